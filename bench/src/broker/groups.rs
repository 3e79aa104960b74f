//! Consumer groups of one member: whoever joined last has all partitions, and who joined before is told that it is out.
//!
//! Consumers of the comparison are one process each, so nothing more is needed; positions are kept, as all of them commit.

use std::collections::HashMap;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, SyncGroupRequest, SyncGroupResponse, TopicName,
    join_group_response::JoinGroupResponseMember, offset_commit_response, offset_fetch_response,
};
use kafka_protocol::protocol::StrBytes;

/// All groups.
#[derive(Debug, Default)]
pub struct Groups {
    groups: HashMap<GroupId, Group>,
    members: u64,
}

#[derive(Debug, Default)]
struct Group {
    generation: i32,
    member: StrBytes,
    assignment: Bytes,
    committed: HashMap<(TopicName, i32), i64>,
}

impl Groups {
    /// The member is the leader at once: there is nobody to wait for.
    pub fn join(&mut self, request: JoinGroupRequest) -> JoinGroupResponse {
        let Some(protocol) = request.protocols.into_iter().next() else {
            return JoinGroupResponse::default().with_error_code(ResponseError::InconsistentGroupProtocol.code());
        };
        self.members += 1;
        let member = if request.member_id.is_empty() {
            StrBytes::from_string(format!("member-{}", self.members))
        } else {
            request.member_id
        };
        let group = self.groups.entry(request.group_id).or_default();
        group.generation += 1;
        group.member = member.clone();
        let this = JoinGroupResponseMember::default()
            .with_member_id(member.clone())
            .with_group_instance_id(request.group_instance_id)
            .with_metadata(protocol.metadata);
        JoinGroupResponse::default()
            .with_generation_id(group.generation)
            .with_protocol_type(Some(request.protocol_type))
            .with_protocol_name(Some(protocol.name))
            .with_leader(member.clone())
            .with_member_id(member)
            .with_members(vec![this])
    }

    /// Gives back what the leader assigned to itself.
    pub fn sync(&mut self, request: SyncGroupRequest) -> SyncGroupResponse {
        let Some(group) = self.groups.get_mut(&request.group_id).filter(|group| group.member == request.member_id) else {
            return SyncGroupResponse::default().with_error_code(ResponseError::UnknownMemberId.code());
        };
        if let Some(own) = request.assignments.into_iter().find(|assigned| assigned.member_id == group.member) {
            group.assignment = own.assignment;
        }
        SyncGroupResponse::default()
            .with_protocol_type(request.protocol_type)
            .with_protocol_name(request.protocol_name)
            .with_assignment(group.assignment.clone())
    }

    /// All is well, or the member is out.
    pub fn heartbeat(&self, request: &HeartbeatRequest) -> HeartbeatResponse {
        let known = self.groups.get(&request.group_id).is_some_and(|group| group.member == request.member_id);
        let code = if known { 0 } else { ResponseError::UnknownMemberId.code() };
        HeartbeatResponse::default().with_error_code(code)
    }

    /// Sessions end by themselves when the next one joins.
    pub fn leave() -> LeaveGroupResponse {
        LeaveGroupResponse::default()
    }

    /// Keeps the positions.
    pub fn commit(&mut self, request: OffsetCommitRequest) -> OffsetCommitResponse {
        let group = self.groups.entry(request.group_id).or_default();
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in topic.partitions {
                group.committed.insert((topic.name.clone(), partition.partition_index), partition.committed_offset);
                partitions.push(
                    offset_commit_response::OffsetCommitResponsePartition::default()
                        .with_partition_index(partition.partition_index),
                );
            }
            topics.push(
                offset_commit_response::OffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions),
            );
        }
        OffsetCommitResponse::default().with_topics(topics)
    }

    /// The positions, -1 where there is none.
    pub fn committed(&self, request: OffsetFetchRequest) -> OffsetFetchResponse {
        let group = self.groups.get(&request.group_id);
        let topics = request.topics.unwrap_or_default().into_iter().map(|topic| {
            let partitions = topic.partition_indexes.into_iter().map(|partition| {
                let position = group.and_then(|group| group.committed.get(&(topic.name.clone(), partition)));
                offset_fetch_response::OffsetFetchResponsePartition::default()
                    .with_partition_index(partition)
                    .with_committed_offset(position.copied().unwrap_or(-1))
                    .with_committed_leader_epoch(-1)
                    .with_metadata(Some(StrBytes::default()))
            });
            let partitions = partitions.collect();
            offset_fetch_response::OffsetFetchResponseTopic::default().with_name(topic.name.clone()).with_partitions(partitions)
        });
        OffsetFetchResponse::default().with_topics(topics.collect())
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;

    use super::*;

    fn join(groups: &mut Groups) -> JoinGroupResponse {
        let protocol = JoinGroupRequestProtocol::default().with_name(StrBytes::from_static_str("range"));
        let group = GroupId(StrBytes::from_static_str("g"));
        groups.join(JoinGroupRequest::default().with_group_id(group).with_protocols(vec![protocol]))
    }

    #[test]
    fn who_joins_last_has_the_group() {
        let mut groups = Groups::default();
        let (first, second) = (join(&mut groups), join(&mut groups));
        assert_ne!(first.member_id, second.member_id);
        let beat = |member: &JoinGroupResponse| {
            let group = GroupId(StrBytes::from_static_str("g"));
            groups
                .heartbeat(&HeartbeatRequest::default().with_group_id(group).with_member_id(member.member_id.clone()))
                .error_code
        };
        assert_eq!((beat(&first), beat(&second)), (ResponseError::UnknownMemberId.code(), 0));
    }
}

//! The choices that a schema leaves (`anyOf`, `oneOf`, `if`), and what is given with each of their alternatives.

use super::Checker;
use super::doc::{Node, address};
use super::given::Given;

/// A choice that a schema leaves: each alternative with what it passes, and what it does not.
pub(super) struct Choice<'a> {
    id: usize,
    pub(super) parts: Vec<(Vec<Node<'a>>, Vec<Node<'a>>)>,
}

impl Given<'_> {
    /// True where there are choices that may still be looked into.
    pub(super) fn has_choices(&self) -> bool {
        let open = |id: usize| !self.settled.contains(&id) && !self.idle.contains(&id);
        self.nodes.iter().any(|node| {
            let lists = ["anyOf", "oneOf"].iter().filter_map(|keyword| node.get(keyword));
            lists.map(address).chain(node.schema("if").map(Node::id)).any(open)
        })
    }

    pub(super) fn is_settled(&self, id: usize) -> bool {
        self.settled.contains(&id)
    }
}

impl<'a> Checker<'a> {
    /// The choices that may still be looked into.
    pub(super) fn choices(&mut self, given: &Given<'a>) -> Vec<Choice<'a>> {
        let mut choices = Vec::new();
        for node in &given.nodes {
            if let Some(at) = node.get("anyOf") {
                let parts = node.list("anyOf").into_iter().map(|part| (vec![part], Vec::new())).collect();
                choices.push(Choice { id: address(at), parts });
            }
            if let Some(at) = node.get("oneOf") {
                let all = node.list("oneOf");
                let others = |part: &Node<'a>| all.iter().filter(|other| other.id() != part.id()).copied().collect();
                choices.push(Choice { id: address(at), parts: all.iter().map(|part| (vec![*part], others(part))).collect() });
            }
            if let Some(condition) = node.schema("if") {
                let then = [condition].into_iter().chain(node.schema("then")).collect();
                let otherwise = node.schema("else").into_iter().collect();
                choices.push(Choice { id: condition.id(), parts: vec![(then, Vec::new()), (otherwise, vec![condition])] });
            }
        }
        choices.retain(|choice| !given.settled.contains(&choice.id) && !given.idle.contains(&choice.id));
        // Each alternative of `oneOf` knows all the others.
        let size = choices.iter().flat_map(|choice| &choice.parts).map(|(nodes, nots)| nodes.len() + nots.len());
        self.step((size.sum::<usize>() + given.nodes.len()) / 8);
        choices
    }

    /// The alternatives of a choice, each with what was given; the other choices are left alone then.
    pub(super) fn parts(&mut self, given: &Given<'a>, choice: &Choice<'a>, choices: &[Choice<'a>]) -> Vec<Given<'a>> {
        let mut base = given.clone();
        base.settled.push(choice.id);
        base.settled.sort_unstable();
        base.idle.extend(choices.iter().map(|other| other.id).filter(|id| *id != choice.id));
        base.idle.sort_unstable();
        let mut parts = Vec::new();
        for (nodes, nots) in &choice.parts {
            base.chosen = nodes.first().map(|node| node.value);
            let part = self.extended(base.clone(), nodes, nots);
            if !part.never {
                parts.push(part);
            }
        }
        parts
    }
}

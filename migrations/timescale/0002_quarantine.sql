-- What was kept aside can be replayed and deleted, and the books still add up to the rows.

alter table quarantine
    -- `waiting`, or `replayed` in the transaction that stored its readings.
    add column state             text not null default 'waiting' check (state in ('waiting', 'replayed')),
    -- Replays that refused it again, and what the last one said.
    add column attempts          int not null default 0,
    add column attempted_at      timestamptz,
    add column last_refuser_kind text,
    add column last_refuser      text,
    add column last_reason       text,
    -- Where it went: the batch of the replay, the number of readings in that batch, `stored` or `duplicate`.
    add column replayed_at       timestamptz,
    add column replayed_batch    uuid,
    add column replayed_readings bigint,
    add column outcome           text check (outcome in ('stored', 'duplicate')),
    add constraint quarantine_replayed check ((state = 'replayed') = (replayed_batch is not null
        and replayed_readings is not null and outcome is not null));
create index quarantine_waiting on quarantine (tenant, time, id) where state = 'waiting';
create index quarantine_message on quarantine (topic, partition, message_offset) where partition is not null;

-- What somebody deleted from quarantine, by the batches in whose books it stood.
create table discards (
    id              uuid primary key,
    tenant          text collate "C" not null,
    time            timestamptz not null default now(),
    topic           text collate "C" not null,
    batch_id        uuid not null,
    -- Of those that were replayed before: the batch of the replay, and the readings that they became in it.
    replayed_batch  uuid,
    readings        bigint not null default 0,
    entries         bigint not null,
    subject         text not null,
    request_id      text not null,
    policy_revision text not null
);
create index discards_time on discards (tenant, time);
create index discards_batch on discards (batch_id);

-- A replay is a batch of its own. `overwritten`: of the rows that a batch wrote, so many took the place of others; null in batches
-- that were entered before anybody counted.
alter table batches
    drop constraint batches_origin_check,
    add constraint batches_origin_check check (origin in ('http', 'kafka', 'replay')),
    add column overwritten bigint;

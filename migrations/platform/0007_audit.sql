-- The audit log as a chain, a tenant's entries each holding the hash of the one before; and changes as events on their way to Kafka.

select set_config('weir.tenant', '*', true);

alter table audit_log
    add column seq  bigint,
    add column prev bytea,
    add column hash bytea;

-- Where each tenant's chain begins and ends. What was kept no longer lies before `first_seq`; `first_prev` is the hash of its last entry.
create table audit_heads (
    tenant     text primary key,
    seq        bigint not null,
    hash       bytea not null,
    first_seq  bigint not null default 1,
    first_prev bytea not null default '\x'
);
alter table audit_heads enable row level security;
alter table audit_heads force row level security;
create policy tenant on audit_heads using (weir_sees(tenant)) with check (weir_sees(tenant));

-- SHA-256 of the hash before and of all that an entry says, written as a JSON array: jsonb has one spelling for each value.
create function weir_audit_hash(entry audit_log) returns bytea language sql immutable as $$
    select sha256(entry.prev || convert_to(jsonb_build_array(
        entry.seq, entry.id, to_char(entry.time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), entry.tenant, entry.subject,
        entry.action, entry.object, entry.outcome, entry.request_id, entry.policy, entry.details)::text, 'UTF8'))
$$;

-- Entries of a tenant are made one after the other: the row of its head is locked until the transaction ends.
create function weir_audit_link() returns trigger language plpgsql as $$
declare
    head audit_heads;
begin
    insert into audit_heads (tenant, seq, hash) values (new.tenant, 0, '\x') on conflict do nothing;
    select * into strict head from audit_heads where tenant = new.tenant for update;
    new.seq := head.seq + 1;
    new.prev := head.hash;
    new.hash := weir_audit_hash(new);
    update audit_heads set seq = new.seq, hash = new.hash where tenant = new.tenant;
    return new;
end $$;

-- What is there already becomes the beginning of the chain, in the order of time.
alter table audit_log disable trigger audit_log_append_only;
do $$
declare
    entry audit_log;
    head audit_heads;
begin
    for entry in select * from audit_log order by tenant, time, id loop
        insert into audit_heads (tenant, seq, hash) values (entry.tenant, 0, '\x') on conflict do nothing;
        select * into strict head from audit_heads where tenant = entry.tenant;
        entry.seq := head.seq + 1;
        entry.prev := head.hash;
        entry.hash := weir_audit_hash(entry);
        update audit_log set seq = entry.seq, prev = entry.prev, hash = entry.hash where id = entry.id;
        update audit_heads set seq = entry.seq, hash = entry.hash where tenant = entry.tenant;
    end loop;
end $$;
alter table audit_log enable trigger audit_log_append_only;

alter table audit_log
    alter column seq set not null,
    alter column prev set not null,
    alter column hash set not null;
create unique index audit_log_chain on audit_log (tenant, seq);
create index audit_log_by_object on audit_log (tenant, object text_pattern_ops, seq);
create index audit_log_by_subject on audit_log (tenant, subject, seq);
drop index audit_log_by_time;
create index audit_log_by_time on audit_log (tenant, time);
create trigger audit_log_link before insert on audit_log for each row execute function weir_audit_link();

-- Rows are only ever added; but for those that are older than they are to be kept, which are taken away from the beginning.
create or replace function weir_append_only() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and current_setting('weir.audit_forgets', true) = 'on' then
        return null;
    end if;
    raise exception 'the audit log is append only' using errcode = 'insufficient_privilege';
end $$;

-- Changes on their way to Kafka, in the order in which they are sent. One that was sent is deleted.
create table outbox (
    seq    bigint generated always as identity primary key,
    id     uuid not null,
    tenant text not null,
    key    text not null,
    body   jsonb not null
);
alter table outbox enable row level security;
alter table outbox force row level security;
create policy tenant on outbox using (weir_sees(tenant)) with check (weir_sees(tenant));

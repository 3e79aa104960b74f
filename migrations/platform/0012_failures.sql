-- What the policy allowed and was not done, with the status that whoever wanted it was answered.

alter table audit_log add column status integer;

-- Entries that have a status hash it with the rest; those from before it stay what they are.
create or replace function weir_audit_hash(entry audit_log) returns bytea language sql immutable as $$
    select sha256(entry.prev || convert_to((jsonb_build_array(
        entry.seq, entry.id, to_char(entry.time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), entry.tenant, entry.subject,
        entry.action, entry.object, entry.outcome, entry.request_id, entry.policy, entry.details)
        || case when entry.status is null then '[]'::jsonb else jsonb_build_array(entry.status) end)::text, 'UTF8'))
$$;

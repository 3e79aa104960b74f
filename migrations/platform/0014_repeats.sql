-- Which request a key was claimed for, and whether a change of it has been made: where its answer was lost with the process that was to
-- give it, the request must not be done once more.

alter table idempotency
    add column request_id text not null default '',
    add column done       boolean not null default false;
create index idempotency_under_way on idempotency (tenant, request_id) where answer is null;

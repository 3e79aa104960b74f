-- What tells one claim of a key from another, and whether a change was made under it: where the answer was lost with the process that was
-- to give it, the request must not be done once more.

alter table idempotency
    add column claim uuid,
    add column done  boolean not null default false;
create unique index idempotency_claims on idempotency (claim);

-- Answers to requests that named an idempotency key, for whoever sends the same request again within a day.

create table idempotency (
    tenant     text not null references tenants (slug) on delete cascade,
    subject    text not null,
    key        text not null,
    -- SHA-256 of what was asked.
    request    bytea not null check (octet_length(request) = 32),
    -- Encrypted by the credential that asked; nothing as long as the first request is under way.
    answer     bytea,
    created_at timestamptz not null default now(),
    primary key (tenant, subject, key)
);
create index idempotency_by_time on idempotency (created_at);
alter table idempotency enable row level security;
alter table idempotency force row level security;
create policy tenant on idempotency using (weir_sees(tenant)) with check (weir_sees(tenant));

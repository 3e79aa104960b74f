-- What the policy decided lately, each kind of request now and then: what other rules are held against before they are put to work.

create table decisions (
    tenant     text not null references tenants (slug) on delete cascade,
    home       text not null,
    subject    text not null,
    action     text not null check (action in ('read', 'write', 'delete', 'admin')),
    object     text not null,
    allowed    boolean not null,
    revision   text not null,
    first_seen timestamptz not null default now(),
    last_seen  timestamptz not null default now(),
    primary key (tenant, home, subject, action, object)
);
create index decisions_last on decisions (tenant, last_seen);
create index decisions_crossing on decisions (last_seen)
    where not allowed and (home <> tenant or object like '/platform/tenants%' or object like '/platform/policies%');

alter table decisions enable row level security;
alter table decisions force row level security;
create policy tenant on decisions using (weir_sees(tenant)) with check (weir_sees(tenant));

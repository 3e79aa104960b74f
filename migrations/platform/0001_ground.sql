-- What the platform knows: tenants, credentials, the catalogue of topics, schemas and validators, and the audit.
--
-- Every table carries its tenant and row-level security. A transaction says for whom it acts with set_config('weir.tenant', …, true);
-- one that forgets sees nothing. `weir.tenant` = '*' is Weir itself: credential look-up, the writer's list of topics.

create function weir_sees(tenant text) returns boolean
    language sql stable parallel safe
    return tenant = current_setting('weir.tenant', true) or current_setting('weir.tenant', true) = '*';

create table tenants (
    slug       text primary key check (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    name       text not null,
    status     text not null default 'active' check (status in ('active', 'suspended')),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create table tokens (
    id         uuid primary key,
    tenant     text not null references tenants (slug) on delete cascade,
    name       text not null,
    digest     bytea not null unique check (octet_length(digest) = 32),
    expires_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz not null default now()
);
-- A revoked token's name may be used again: policy files speak of the name.
create unique index tokens_name on tokens (tenant, name) where revoked_at is null;

create table schemas (
    id            uuid primary key,
    tenant        text not null references tenants (slug) on delete cascade,
    name          text not null,
    version       integer not null check (version > 0),
    type          text not null check (type in ('json-schema')),
    definition    text not null,
    compatibility text not null default 'none' check (compatibility in ('none')),
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now(),
    unique (tenant, name, version),
    unique (tenant, id)
);

-- Kafka's topics have one namespace for all tenants, so their names do here.
create table kafka_topics (
    name           text primary key,
    tenant         text not null references tenants (slug) on delete cascade,
    format         text not null default 'json' check (format in ('json')),
    schema_id      uuid,
    ingest         boolean not null default true,
    mode           text not null default 'upsert' check (mode in ('upsert', 'append')),
    error_strategy text not null default 'quarantine' check (error_strategy in ('reject', 'quarantine', 'flag', 'stop')),
    description    text not null default '',
    created_at     timestamptz not null default now(),
    updated_at     timestamptz not null default now(),
    unique (tenant, name),
    foreign key (tenant, schema_id) references schemas (tenant, id)
);

create table modules (
    digest bytea primary key check (octet_length(digest) = 32),
    bytes  bytea not null
);

-- Compiled code, by module and by engine (version and settings), so that no replica compiles what another has.
create table module_code (
    digest bytea not null references modules (digest) on delete cascade,
    engine text not null,
    code   bytea not null,
    primary key (digest, engine)
);

create table validators (
    id             uuid primary key,
    tenant         text not null references tenants (slug) on delete cascade,
    name           text not null,
    kind           text not null default 'wasm' check (kind in ('wasm')),
    target         text not null default 'readings' check (target in ('readings')),
    config         jsonb not null default '{}',
    error_strategy text not null default 'quarantine' check (error_strategy in ('reject', 'quarantine', 'flag', 'stop')),
    status         text not null default 'active' check (status in ('active', 'inactive')),
    active_version integer,
    created_at     timestamptz not null default now(),
    updated_at     timestamptz not null default now(),
    unique (tenant, name),
    unique (tenant, id)
);

create table validator_versions (
    validator_id uuid not null references validators (id) on delete cascade,
    version      integer not null check (version > 0),
    tenant       text not null references tenants (slug) on delete cascade,
    digest       bytea not null references modules (digest),
    world        text not null,
    wit_version  text not null,
    imports      text[] not null,
    size         bigint not null,
    created_at   timestamptz not null default now(),
    primary key (validator_id, version)
);
alter table validators add foreign key (id, active_version) references validator_versions (validator_id, version);

create table chains (
    tenant       text not null references tenants (slug) on delete cascade,
    topic        text not null,
    position     integer not null,
    validator_id uuid not null,
    primary key (tenant, topic, position),
    unique (tenant, topic, validator_id),
    foreign key (tenant, topic) references kafka_topics (tenant, name) on delete cascade,
    -- Without a cascade: a validator that is in use cannot be deleted.
    foreign key (tenant, validator_id) references validators (tenant, id)
);

create table audit_log (
    id         uuid primary key,
    time       timestamptz not null default clock_timestamp(),
    tenant     text not null,
    subject    text not null,
    action     text not null,
    object     text not null,
    outcome    text not null check (outcome in ('allowed', 'denied', 'failed')),
    request_id text not null,
    policy     text not null,
    details    jsonb not null default '{}'
);
create index audit_log_by_time on audit_log (tenant, time desc, id);

create function weir_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log is append only' using errcode = 'insufficient_privilege';
end $$;
create trigger audit_log_append_only before update or delete or truncate on audit_log
    for each statement execute function weir_append_only();

do $$
declare
    name text;
begin
    foreach name in array array['tokens', 'schemas', 'kafka_topics', 'validators', 'validator_versions', 'chains', 'audit_log'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy tenant on %I using (weir_sees(tenant)) with check (weir_sees(tenant))', name);
    end loop;
end $$;
alter table tenants enable row level security;
alter table tenants force row level security;
create policy tenant on tenants using (weir_sees(slug)) with check (weir_sees(slug));

-- Replicas hear of changes to what batches must pass and drop what they keep in memory.
create function weir_announce() returns trigger language plpgsql as $$
begin
    perform pg_notify('weir_catalogue', tg_table_name);
    return null;
end $$;
do $$
declare
    name text;
begin
    foreach name in array array['tenants', 'schemas', 'kafka_topics', 'validators', 'validator_versions', 'chains'] loop
        execute format('create trigger announce after insert or update or delete on %I
                        for each statement execute function weir_announce()', name);
    end loop;
end $$;

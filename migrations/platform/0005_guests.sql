-- Modules of all three worlds: what they check, what they are granted, what they may take, and what became of each version.

alter table tenants
    add column guest_time_ms           integer check (guest_time_ms between 1 and 60000),
    add column guest_memory_bytes      bigint check (guest_memory_bytes between 65536 and 1073741824),
    add column guest_cpu_ms_per_second integer check (guest_cpu_ms_per_second > 0);

alter table validators
    drop constraint validators_target_check,
    add check (target in ('readings', 'documents', 'objects')),
    add column grants         text[] not null default '{config,log}' check (grants <@ array['config', 'log', 'lookup']),
    add column time_ms        integer check (time_ms between 1 and 60000),
    add column memory_bytes   bigint check (memory_bytes between 65536 and 1073741824),
    add column shadow_version integer,
    -- Activation of a version that no clean replay speaks for is refused.
    add column clean_replay   boolean not null default false,
    add foreign key (id, shadow_version) references validator_versions (validator_id, version);

-- A chain is that of a topic, of a kind of resource or of a bucket.
alter table chains drop constraint chains_pkey;
alter table chains
    alter column topic drop not null,
    add column resource text,
    add column bucket   text collate "C",
    add check (num_nonnulls(topic, resource, bucket) = 1),
    add column place text not null generated always as (
        case when topic is not null then 'topics/' || topic when resource is not null then 'documents/' || resource
             else 'objects/' || bucket end) stored,
    add primary key (tenant, place, position),
    add unique (tenant, place, validator_id),
    add foreign key (tenant, bucket) references buckets (tenant, name) on delete cascade;
create index chains_by_validator on chains (tenant, validator_id);

-- Who may vouch for a tenant's modules. Where there is one key, every upload needs a signature.
create table signing_keys (
    id         uuid primary key,
    tenant     text not null references tenants (slug) on delete cascade,
    name       text not null,
    public_key bytea not null check (octet_length(public_key) = 32),
    created_at timestamptz not null default now(),
    unique (tenant, name),
    unique (tenant, public_key)
);
alter table validator_versions
    add column signed_by text,
    add column grants    text[] not null default '{}';
-- What is there already was built for the first interface, whose grants stand in the names of its imports.
update validator_versions w set grants = array(
    select g from unnest(array['config', 'log']) g
    where exists (select from unnest(w.imports) i where i like 'weir:validator/' || g || '@%'));

-- Which version ran when, and why. The newest row of a validator is what runs.
create table validator_activations (
    id           uuid primary key,
    tenant       text not null references tenants (slug) on delete cascade,
    validator_id uuid not null references validators (id) on delete cascade,
    version      integer not null,
    previous     integer,
    cause        text not null check (cause in ('upload', 'activation', 'return', 'faults')),
    subject      text not null,
    request_id   text not null,
    at           timestamptz not null default clock_timestamp(),
    -- Of a return that nobody asked for: the rates that led to it.
    details       jsonb not null default '{}',
    -- Of the version, until then: what came later is what it is judged by.
    calls_before  bigint not null default 0,
    faults_before bigint not null default 0
);
create index validator_activations_of on validator_activations (validator_id, id desc);
insert into validator_activations (id, tenant, validator_id, version, cause, subject, request_id, at)
    select gen_random_uuid(), tenant, id, active_version, 'activation', 'service:migration', '', updated_at
    from validators where active_version is not null;

-- What each version did with live traffic, summed over the replicas.
create table validator_stats (
    tenant            text not null references tenants (slug) on delete cascade,
    validator_id      uuid not null,
    version           integer not null,
    calls             bigint not null default 0,
    faults            bigint not null default 0,
    rested            bigint not null default 0,
    accepted          bigint not null default 0,
    replaced          bigint not null default 0,
    rejected          bigint not null default 0,
    failed            bigint not null default 0,
    micros            bigint not null default 0,
    -- Calls by their time: bucket i has those below 2^i times 64 microseconds, the last one the rest.
    histogram         bigint[] not null default '{}',
    peak_memory_bytes bigint not null default 0,
    dropped_lines     bigint not null default 0,
    -- As a shadow: readings that were compared, and those on which the active version said otherwise, by how.
    compared          bigint not null default 0,
    not_compared      bigint not null default 0,
    accept_to_reject  bigint not null default 0,
    reject_to_accept  bigint not null default 0,
    changed           bigint not null default 0,
    updated_at        timestamptz not null default now(),
    primary key (validator_id, version),
    foreign key (validator_id, version) references validator_versions (validator_id, version) on delete cascade
);

-- The last faults, log lines and differences of each version; a bounded number of each is kept.
create table validator_notes (
    id           uuid primary key,
    tenant       text not null references tenants (slug) on delete cascade,
    validator_id uuid not null,
    version      integer not null,
    kind         text not null check (kind in ('fault', 'log', 'difference')),
    at           timestamptz not null default clock_timestamp(),
    body         jsonb not null,
    foreign key (validator_id, version) references validator_versions (validator_id, version) on delete cascade
);
create index validator_notes_of on validator_notes (validator_id, version, kind, id desc);

-- What a version would have made of readings that are there already.
create table validator_replays (
    id           uuid primary key,
    tenant       text not null references tenants (slug) on delete cascade,
    validator_id uuid not null,
    version      integer not null,
    against      integer,
    config       jsonb not null,
    subject      text not null,
    at           timestamptz not null default now(),
    clean        boolean not null,
    report       jsonb not null,
    foreign key (validator_id, version) references validator_versions (validator_id, version) on delete cascade
);
create index validator_replays_of on validator_replays (validator_id, version, id desc);

do $$
declare
    name text;
begin
    foreach name in array array['signing_keys', 'validator_activations', 'validator_stats', 'validator_notes', 'validator_replays'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy tenant on %I using (weir_sees(tenant)) with check (weir_sees(tenant))', name);
    end loop;
end $$;

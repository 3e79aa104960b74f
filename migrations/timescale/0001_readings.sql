-- What the sensors said, and the books about it.
--
-- `readings` is a hypertable where TimescaleDB is there and may be used, else a table partitioned by month. Everything else is
-- the same in all editions, and so is every statement of Weir.

-- Each combination that can have a value at a time, once. Text is compared byte by byte, so that cursors mean the same everywhere.
create table series (
    id         bigint generated always as identity primary key,
    tenant     text collate "C" not null,
    sensor     text collate "C" not null,
    metric     text collate "C" not null,
    topic      text collate "C" not null default '',
    schema_ref text collate "C" not null default '',
    unit       text collate "C" not null default '',
    unique (tenant, sensor, metric, topic, schema_ref, unit)
);
create index series_topic on series (tenant, topic, sensor);
create index series_schema_ref on series (tenant, schema_ref, sensor) where schema_ref <> '';

-- One transaction with one origin: a request's readings of one topic, or what a flush took from one partition.
create table batches (
    id              uuid primary key,
    tenant          text collate "C" not null,
    time            timestamptz not null default now(),
    origin          text not null check (origin in ('http', 'kafka')),
    cluster         text,
    consumer_group  text,
    topic           text collate "C" not null default '',
    partition       int,
    first_offset    bigint,
    next_offset     bigint,
    rules_revision  text not null,
    policy_revision text not null,
    subject         text not null,
    request_id      text not null,
    read            bigint not null,
    stored          bigint not null,
    replaced        bigint not null,
    duplicate       bigint not null,
    quarantined     bigint not null,
    skipped         bigint not null,
    skipped_by      jsonb not null default '{}',
    rows            bigint not null,
    constraint books_balance check (read = stored + duplicate + quarantined + skipped and replaced <= stored)
);
create index batches_time on batches (tenant, time);
create index batches_offset on batches (topic, partition, first_offset) where origin = 'kafka';

-- What was kept aside, as it came.
create table quarantine (
    id              uuid primary key,
    time            timestamptz not null default now(),
    tenant          text collate "C" not null,
    batch_id        uuid not null,
    topic           text collate "C" not null default '',
    partition       int,
    message_offset  bigint,
    message_key     bytea,
    headers         jsonb,
    index_in_source bigint not null,
    raw             bytea not null,
    refuser_kind    text not null,
    refuser         text not null,
    reason          text not null,
    path            text,
    fault           boolean not null,
    sqlstate        text
);
create index quarantine_list on quarantine (tenant, time, id);
create index quarantine_topic on quarantine (tenant, topic, time, id);

-- Readings that somebody deleted: without them the books would not add up to what is there.
create table removals (
    id          uuid primary key,
    tenant      text collate "C" not null,
    time        timestamptz not null default now(),
    sensor      text collate "C" not null,
    reading     timestamptz not null,
    topic       text collate "C" not null,
    schema_ref  text collate "C" not null,
    rows        bigint not null,
    subject     text not null,
    request_id  text not null
);
create index removals_time on removals (tenant, time);

-- Up to where each partition is in the tables above. `previous` is where it was before the last move: it lets one statement both
-- claim a new partition and refuse a writer that does not know the current position.
create table writer_offsets (
    cluster        text not null,
    consumer_group text not null,
    topic          text not null,
    partition      int not null,
    tenant         text not null,
    previous       bigint not null,
    next           bigint not null,
    updated_at     timestamptz not null default now(),
    primary key (cluster, consumer_group, topic, partition)
);

-- Makes the partition of the month that begins at `month`; true where it is there afterwards. It never fails: rows of a month
-- without a partition go to the default one, and where that has some of the month already, they stay together there.
create function weir_readings_partition(month timestamptz) returns boolean language plpgsql as $$
declare
    utc timestamp := month at time zone 'UTC';
    name text := 'readings_' || to_char(utc, 'YYYY_MM');
begin
    if to_regclass(name) is not null then
        return true;
    end if;
    -- A writer that holds the default partition must not hold up this one for long.
    perform set_config('lock_timeout', '2s', true);
    execute format('create table %I partition of readings for values from (%L) to (%L)',
        name, utc at time zone 'UTC', (utc + interval '1 month') at time zone 'UTC');
    return true;
exception when others then
    return to_regclass(name) is not null;
end
$$;

do $$
begin
    -- Without its preloaded library, creating the extension ends the connection; the library shows in its settings.
    if exists (select from pg_settings where name like 'timescaledb.%')
        and not exists (select from pg_extension where extname = 'timescaledb') then
        begin
            create extension timescaledb;
        exception when others then
            raise notice 'timescaledb cannot be created here: %', sqlerrm;
        end;
    end if;
    if exists (select from pg_settings where name like 'timescaledb.%')
        and exists (select from pg_extension where extname = 'timescaledb') then
        create table readings (
            time      timestamptz not null,
            series_id bigint not null,
            value     float8,
            batch_id  uuid not null,
            quality   smallint not null default 0,
            text      text
        );
        perform create_hypertable('readings', 'time', chunk_time_interval => interval '7 days', create_default_indexes => false);
    else
        create table readings (
            time      timestamptz not null,
            series_id bigint not null,
            value     float8,
            batch_id  uuid not null,
            quality   smallint not null default 0,
            text      text
        ) partition by range (time);
        create table readings_default partition of readings default;
    end if;
end
$$;
create unique index readings_series_time on readings (series_id, time);

-- Files: buckets, the names in them, and the versions that the object store holds.
--
-- Every key of the object store has a row in object_versions before it has bytes, and keeps it until the bytes are gone. So what no
-- name points to is found here, without listing the store, and an answer that was lost in the middle of a commit is no riddle.

create table buckets (
    id         uuid primary key,
    tenant     text not null references tenants (slug),
    name       text collate "C" not null check (name ~ '^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$'),
    created_at timestamptz not null default now(),
    unique (tenant, name),
    unique (tenant, id)
);

-- `staged`: bytes are on their way, or what began them broke off. `stored`: whole, and what its object points to or once pointed to.
-- `discarded`: nothing points to it any more, and its bytes may go.
-- bucket_id and object_id are parts of the key in the store and point to nothing: a row outlives its object until the bytes are gone.
create table object_versions (
    id           uuid primary key,
    tenant       text not null references tenants (slug),
    bucket_id    uuid not null,
    object_id    uuid not null,
    state        text not null default 'staged' check (state in ('staged', 'stored', 'discarded')),
    size         bigint check (size >= 0),
    digest       bytea check (octet_length(digest) = 32),
    content_type text,
    created_at   timestamptz not null default now(),
    changed_at   timestamptz not null default now(),
    unique (object_id, id),
    check (state <> 'stored' or (size is not null and digest is not null and content_type is not null))
);
create index object_versions_left_over on object_versions (changed_at) where state <> 'stored';

-- An object without a current version is not there for anybody: its first upload is under way, or it was deleted while another was.
create table objects (
    id              uuid primary key,
    tenant          text not null references tenants (slug),
    bucket_id       uuid not null,
    name            text collate "C" not null check (octet_length(name) between 1 and 1024),
    current_version uuid,
    created_at      timestamptz not null default now(),
    -- Also the index of the listing: names in the order of their bytes.
    unique (bucket_id, name),
    -- Without cascades: a bucket that holds something cannot go, and neither can the version that is current.
    foreign key (tenant, bucket_id) references buckets (tenant, id),
    foreign key (id, current_version) references object_versions (object_id, id)
);

do $$
declare
    name text;
begin
    foreach name in array array['buckets', 'object_versions', 'objects'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy tenant on %I using (weir_sees(tenant)) with check (weir_sees(tenant))', name);
    end loop;
end $$;

-- Buckets have limits and may keep what is replaced; versions have a history, markers of deletions, and metadata.

select set_config('weir.tenant', '*', true);

alter table buckets
    add column versioning       text not null default 'off' check (versioning in ('off', 'on', 'suspended')),
    add column max_object_bytes bigint check (max_object_bytes > 0),
    add column quota_bytes      bigint check (quota_bytes > 0),
    add column media_types      text[] not null default '{}',
    add column updated_at       timestamptz;
update buckets set updated_at = created_at;
alter table buckets alter column updated_at set not null, alter column updated_at set default now();

-- `kept`: stored while its bucket kept what is replaced, so that it stays when it is. `marker`: no bytes, but the word that its object was
-- deleted then.
alter table object_versions
    add column kept     boolean not null default false,
    add column marker   boolean not null default false,
    add column metadata jsonb not null default '{}';
create index object_versions_history on object_versions (object_id, created_at desc, id desc) where state = 'stored';

-- How much each bucket holds, as `storage_use` has it for tenants.
create table bucket_use (
    bucket_id uuid primary key,
    tenant    text not null references tenants (slug) on delete cascade,
    bytes     bigint not null
);
alter table bucket_use enable row level security;
alter table bucket_use force row level security;
create policy tenant on bucket_use using (weir_sees(tenant)) with check (weir_sees(tenant));

lock table object_versions in share row exclusive mode;
insert into bucket_use (bucket_id, tenant, bytes)
    select bucket_id, tenant, sum(size) from object_versions where state = 'stored' group by bucket_id, tenant;

create or replace function weir_count_storage() returns trigger language plpgsql as $$
declare
    more bigint := 0;
    whose text;
    bucket uuid;
begin
    if tg_op <> 'DELETE' then
        whose := new.tenant;
        bucket := new.bucket_id;
        more := case when new.state = 'stored' then new.size else 0 end;
    end if;
    if tg_op <> 'INSERT' then
        whose := old.tenant;
        bucket := old.bucket_id;
        more := more - case when old.state = 'stored' then old.size else 0 end;
    end if;
    if more <> 0 then
        insert into storage_use (tenant, bytes) values (whose, more)
            on conflict (tenant) do update set bytes = storage_use.bytes + excluded.bytes;
        insert into bucket_use (bucket_id, tenant, bytes) values (bucket, whose, more)
            on conflict (bucket_id) do update set bytes = bucket_use.bytes + excluded.bytes;
    end if;
    return null;
end $$;

-- The next file or folder of a listing: the least name above `after`, or from `onward` on, that begins with `prefix`; where it goes on with a
-- slash, what is up to that slash. The rest of the row is where to go on: `0` is the character after `/`, so that nothing that is in a
-- folder is gone through, and a file of that very name is not missed.
create function weir_next_entry(whose text, bucket uuid, prefix text, bound text, after text, onward text, reach jsonb)
    returns table (name text, next_after text, next_onward text) language sql stable as $$
    select case when cut > 0 then left(n.name, length(prefix) + cut) else n.name end,
           case when cut > 0 then null else n.name end,
           case when cut > 0 then left(n.name, length(prefix) + cut - 1) || '0' end
    from (select o.name, position('/' in substr(o.name, length(prefix) + 1)) as cut
          from objects o
          where o.tenant = whose and o.bucket_id = bucket and o.name >= prefix and (bound is null or o.name < bound)
          and (after is null or o.name > after) and (onward is null or o.name >= onward)
          and o.current_version is not null and weir_reaches(o.name, reach)
          order by o.name limit 1) n
$$;

-- How much a tenant may keep in files, and how much it does keep.

select set_config('weir.tenant', '*', true);

-- Nothing is said where there is no bound.
alter table tenants add column storage_bytes bigint check (storage_bytes > 0);

-- A row for each tenant that ever kept a file: adding up all its versions at every upload would take longer with each of them.
create table storage_use (
    tenant text primary key references tenants (slug) on delete cascade,
    bytes  bigint not null
);
alter table storage_use enable row level security;
alter table storage_use force row level security;
create policy tenant on storage_use using (weir_sees(tenant)) with check (weir_sees(tenant));

-- Whoever stores a version meanwhile, an older Weir that still runs among them, waits until it is counted here or by the trigger below.
lock table object_versions in share row exclusive mode;
insert into storage_use (tenant, bytes)
    select tenant, sum(size) from object_versions where state = 'stored' group by tenant;

-- In the transaction that stores or gives up a version, so that both are true together.
create function weir_count_storage() returns trigger language plpgsql as $$
declare
    more bigint := 0;
    whose text;
begin
    if tg_op <> 'DELETE' then
        whose := new.tenant;
        more := case when new.state = 'stored' then new.size else 0 end;
    end if;
    if tg_op <> 'INSERT' then
        whose := old.tenant;
        more := more - case when old.state = 'stored' then old.size else 0 end;
    end if;
    if more <> 0 then
        insert into storage_use (tenant, bytes) values (whose, more)
            on conflict (tenant) do update set bytes = storage_use.bytes + excluded.bytes;
    end if;
    return null;
end $$;
create trigger count_storage after insert or update or delete on object_versions for each row execute function weir_count_storage();

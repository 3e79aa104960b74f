-- What is on record of a deleted tenant stays under its slug, and is nothing to show to another one of the same slug.

create function weir_slug_once() returns trigger language plpgsql as $$
begin
    -- Of one that is there, the primary key says so.
    if exists (select from audit_heads where tenant = new.slug) and not exists (select from tenants where slug = new.slug) then
        raise exception 'the slug was used before' using errcode = 'unique_violation', constraint = 'tenants_slug_once';
    end if;
    return new;
end $$;
create trigger slug_once before insert on tenants for each row execute function weir_slug_once();

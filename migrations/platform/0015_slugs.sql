-- What is on record of a deleted tenant stays under its slug, and is nothing to show to another one of the same slug.

create function weir_slug_once() returns trigger language plpgsql as $$
begin
    if exists (select from audit_heads where tenant = new.slug) then
        raise exception 'the slug was used before' using errcode = 'unique_violation', constraint = 'tenants_slug_once';
    end if;
    return new;
end $$;
create trigger slug_once before insert on tenants for each row execute function weir_slug_once();

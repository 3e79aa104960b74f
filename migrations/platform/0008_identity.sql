-- Sessions of users who logged in, failed logins, tokens that act for users within scopes, and how many requests a tenant may make.

create table sessions (
    id         uuid primary key,
    tenant     text not null references tenants (slug) on delete cascade,
    user_id    uuid not null,
    digest     bytea not null unique check (octet_length(digest) = 32),
    expires_at timestamptz not null,
    created_at timestamptz not null default clock_timestamp(),
    -- A deleted user's sessions go with them.
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);
create index sessions_by_user on sessions (tenant, user_id, created_at, id);
create index sessions_by_end on sessions (expires_at);

-- Logins that failed, of users that there are: shared by all replicas, so that none of them gives a guesser more tries.
create table login_failures (
    user_id      uuid primary key,
    tenant       text not null references tenants (slug) on delete cascade,
    failures     integer not null check (failures > 0),
    failed_at    timestamptz not null,
    -- Until then no password is looked at.
    locked_until timestamptz,
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);
create index login_failures_by_time on login_failures (failed_at);
create index login_failures_by_user on login_failures (tenant, user_id);

-- Without a user a token acts for nobody but itself; without scopes it may do whatever the policy allows.
alter table tokens
    add column user_id uuid,
    add column scopes  text[] not null default '{}',
    add foreign key (tenant, user_id) references users (tenant, id) on delete cascade;
create index tokens_by_user on tokens (tenant, user_id) where user_id is not null;

-- Nothing is said where there is no bound.
alter table tenants add column requests_per_second integer check (requests_per_second > 0);

-- Whatever changes a password or suspends a user ends their sessions, in the same transaction. A new password also lets them try again.
create function weir_end_sessions() returns trigger language plpgsql as $$
begin
    delete from sessions where tenant = new.tenant and user_id = new.id;
    if new.password_hash is distinct from old.password_hash then
        delete from login_failures where user_id = new.id;
    end if;
    return null;
end $$;
create trigger end_sessions after update on users for each row
    when (new.password_hash is distinct from old.password_hash or new.status <> 'active')
    execute function weir_end_sessions();

do $$
declare
    name text;
begin
    foreach name in array array['sessions', 'login_failures'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy tenant on %I using (weir_sees(tenant)) with check (weir_sees(tenant))', name);
    end loop;
end $$;

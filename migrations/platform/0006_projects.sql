-- Users, projects, their members, pipelines and connectors.

-- Who may log in. Policy files speak of `user:<email>`, so an email is unique in its tenant whatever its case.
create table users (
    id            uuid primary key,
    tenant        text not null references tenants (slug) on delete cascade,
    email         text not null,
    name          text not null,
    -- argon2id in PHC form; nobody logs in without one.
    password_hash text,
    status        text not null default 'active' check (status in ('active', 'suspended')),
    metadata      jsonb not null default '{}',
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now(),
    unique (tenant, id)
);
create unique index users_email on users (tenant, lower(email));
create index users_email_anywhere on users (lower(email));

create table projects (
    id          uuid primary key,
    tenant      text not null references tenants (slug) on delete cascade,
    name        text not null,
    description text not null default '',
    owner_id    uuid,
    metadata    jsonb not null default '{}',
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    unique (tenant, id),
    -- Without cascades, here and below: what is in use cannot be deleted.
    foreign key (tenant, owner_id) references users (tenant, id)
);
create index projects_by_name on projects (tenant, name, id);
create index projects_by_owner on projects (tenant, owner_id, id);

create table project_members (
    tenant     text not null,
    project_id uuid not null,
    user_id    uuid not null,
    role       text not null check (role in ('owner', 'editor', 'viewer')),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant, project_id, user_id),
    -- Who belongs to what goes with either.
    foreign key (tenant, project_id) references projects (tenant, id) on delete cascade,
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);
create index project_members_by_user on project_members (tenant, user_id, project_id);

create table pipelines (
    id         uuid primary key,
    tenant     text not null references tenants (slug) on delete cascade,
    project_id uuid not null,
    name       text not null,
    definition jsonb not null default '{}',
    status     text not null default 'inactive' check (status in ('active', 'inactive')),
    version    integer not null default 1 check (version > 0),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (tenant, id),
    foreign key (tenant, project_id) references projects (tenant, id)
);
create index pipelines_by_project on pipelines (tenant, project_id, id);
create index pipelines_by_name on pipelines (tenant, name, id);

create table connectors (
    id         uuid primary key,
    tenant     text not null references tenants (slug) on delete cascade,
    project_id uuid,
    name       text not null,
    protocol   text not null,
    endpoint   text not null,
    -- Without its secrets; in their places stands that there is one.
    config     jsonb not null default '{}',
    -- The secrets by their place in `config`, encrypted by the key of this name.
    sealed     bytea,
    sealed_by  text,
    schema_id  uuid,
    status     text not null default 'inactive' check (status in ('active', 'inactive')),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (tenant, id),
    check ((sealed is null) = (sealed_by is null)),
    foreign key (tenant, project_id) references projects (tenant, id),
    foreign key (tenant, schema_id) references schemas (tenant, id)
);
create index connectors_by_project on connectors (tenant, project_id, id);
create index connectors_by_name on connectors (tenant, name, id);
create index connectors_by_schema on connectors (tenant, schema_id) where schema_id is not null;
create index connectors_by_key on connectors (sealed_by) where sealed_by is not null;

do $$
declare
    name text;
begin
    foreach name in array array['users', 'projects', 'project_members', 'pipelines', 'connectors'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy tenant on %I using (weir_sees(tenant)) with check (weir_sees(tenant))', name);
    end loop;
end $$;

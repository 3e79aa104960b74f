-- A key may get another name, like anything else that is kept by a key.
alter table signing_keys add column updated_at timestamptz;
update signing_keys set updated_at = created_at;
alter table signing_keys alter column updated_at set not null, alter column updated_at set default now();

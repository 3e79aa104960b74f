-- Validators that are a JSON Schema of the registry instead of a module.

alter table validators
    drop constraint validators_kind_check,
    add constraint validators_kind_check check (kind in ('wasm', 'json-schema')),
    add column schema_id uuid,
    add foreign key (tenant, schema_id) references schemas (tenant, id),
    add constraint validators_schema_check check ((kind = 'json-schema') = (schema_id is not null)),
    -- An object is bytes.
    add constraint validators_schema_target_check check (kind = 'wasm' or target <> 'objects');
create index validators_by_schema on validators (tenant, schema_id) where schema_id is not null;

-- Schemas: what a new version has to keep up with.

alter table schemas drop constraint schemas_compatibility_check;
alter table schemas add constraint schemas_compatibility_check check (compatibility in ('none', 'backward', 'forward', 'full'));

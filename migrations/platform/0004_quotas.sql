-- How much a tenant may bring. Nothing is said where there is no bound.

alter table tenants add column readings_per_second integer check (readings_per_second > 0);

-- Topics: other formats than JSON, which of two values counts, and a topic for what is refused. Schemas: Avro, found by a number.

alter table kafka_topics drop constraint kafka_topics_format_check;
alter table kafka_topics add constraint kafka_topics_format_check check (format in ('json', 'avro'));
alter table kafka_topics add column conflict text not null default 'keep-last'
    constraint kafka_topics_conflict_check check (conflict in ('keep-last', 'keep-first'));
-- Whose it is, and that nobody consumes it, is checked over all tenants by the program (`platform/catalogue.rs`).
alter table kafka_topics add column dead_letter_topic text
    constraint kafka_topics_dead_letter_topic_check check (dead_letter_topic <> name);
create index kafka_topics_dead_letters on kafka_topics (dead_letter_topic) where dead_letter_topic is not null;

alter table schemas drop constraint schemas_type_check;
alter table schemas add constraint schemas_type_check check (type in ('json-schema', 'avro'));
-- Four bytes in front of each message of Confluent's wire format. One sequence for all tenants: a number is never used twice.
alter table schemas add column number integer generated always as identity;
alter table schemas add constraint schemas_number_key unique (number);

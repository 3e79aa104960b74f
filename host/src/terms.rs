//! The terms of the contract: texts and numbers that clients send, with their bounds, as components of the OpenAPI document.
//!
//! They are for the document alone: a form says `#[schema(value_type = Name)]` where its field is a `String`. What they promise is checked
//! where the value is used, and `tests/contract.rs` holds the one against the other. Lengths are characters there and bytes here, so a name
//! outside of ASCII may be refused that the document lets pass.

use utoipa::openapi::schema::{
    AllOfBuilder, AnyOfBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::limits;

/// Neither at the beginning nor at the end of a name.
const BLANKS: &str = r"\u0020\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000";
/// Nowhere in a name.
const CONTROLS: &str = r"\u0000-\u001f\u007f-\u009f";

macro_rules! terms {
    ($($(#[doc = $text:literal])+ $name:ident = $schema:expr;)+) => {$(
        $(#[doc = $text])+
        #[derive(Debug)]
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let description = concat!($($text),+).trim_start();
                described($schema.into(), description)
            }
        }

        impl ToSchema for $name {}
    )+};
}

terms! {
    /// 1 to 255 bytes, no control characters and no blanks at its ends.
    Name = name();
    /// A name that stands in policy files: no blanks, no control characters and none of , / : # ".
    PolicyName = text(1, limits::NAME_BYTES).pattern(Some(format!("^[^,/:#\"{CONTROLS}{BLANKS}]+$")));
    /// A tenant's name: 1 to 63 of a-z, 0-9 and '-', and it begins with a letter or a digit.
    Slug = text(1, limits::TENANT_NAME_BYTES).pattern(Some("^[a-z0-9][a-z0-9-]*$"));
    /// A name, or nothing.
    NameOrNothing = text(0, limits::NAME_BYTES).pattern(Some(format!("^({})?$", name_pattern())));
    /// The name of a Kafka topic: 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-', and neither '.' nor '..'.
    TopicName = text(1, limits::TOPIC_NAME_BYTES).pattern(Some(
        r"^([a-zA-Z0-9_-][a-zA-Z0-9._-]*|\.[a-zA-Z0-9_-]|\.[a-zA-Z0-9._-]{2,})$",
    ));
    /// 3 to 63 of a-z, 0-9, '.' and '-', as S3 has it: it begins and ends with a letter or a digit, has no '..' and is no IP address. Words of
    /// the API's own paths are refused as well.
    BucketName = text(*limits::BUCKET_NAME_BYTES.start(), *limits::BUCKET_NAME_BYTES.end()).pattern(Some(r"^[a-z0-9](\.?[a-z0-9-])*\.?[a-z0-9]$"));
    /// A media type, or all of one kind: `application/pdf`, `image/*`.
    MediaTypePattern = text(3, limits::NAME_BYTES).pattern(Some(r"^[a-z0-9!#$&^_.+-]+/(\*|[a-z0-9!#$&^_.+-]+)$")).examples(["image/*"]);
    /// One `@` with something on both sides, no blanks and none of , " # / : *: it stands in policy files.
    EmailAddress = text(3, limits::EMAIL_BYTES).pattern(Some(format!(
        "^[^,\"#/:*@{CONTROLS}{BLANKS}]+@[^,\"#/:*@{CONTROLS}{BLANKS}]+$"
    )));
    /// 8 to 256 characters.
    NewPassword = text(*limits::PASSWORD_CHARACTERS.start(), *limits::PASSWORD_CHARACTERS.end())
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)))
        .write_only(true);
    /// `<action or *>:<object pattern>`, as in policy files.
    ScopeText = text(1, limits::SCOPE_BYTES).pattern(Some(r"^(read|write|delete|admin|\*):/.+$")).examples(["read:/timescale/**"]);
    /// Text of at most 4,096 bytes.
    LongText = text(0, limits::TEXT_FIELD_BYTES);
    /// An address. It has no blanks, no control characters and no password: `user:password@host` is refused.
    Endpoint = text(1, limits::TEXT_FIELD_BYTES).pattern(Some(endpoint()));
    /// The 32 bytes of an ed25519 public key, in base64.
    PublicKey = text(44, 44).pattern(Some("^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$"));
    /// Bytes in base64, with padding.
    Base64 = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"));
    /// The 64 bytes of an ed25519 signature, in base64.
    Signature = text(88, 88).pattern(Some("^[A-Za-z0-9+/]{85}[AQgw]==$"));
    /// `nextCursor` of the page before. What it says is the endpoint's own affair.
    Cursor = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[A-Za-z0-9_-]*$"));
    /// One object, by the path that policy files name it by.
    PolicyObject = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^/(platform|timescale|storage)/[^*]+$")).examples(["/timescale/sensors/room-4"]);
    /// `user:`, `token:` or `service:` and a name.
    SubjectName = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^(user|token|service):"));
    /// 1 to 255 printable ASCII characters and no blanks.
    RepeatKey = text(1, limits::NAME_BYTES).pattern(Some("^[!-~]+$"));
    /// The rest of the path, slashes included: between them stands something, and neither '.' nor '..'; no control characters.
    ObjectName = text(1, limits::OBJECT_NAME_BYTES).pattern(Some(object_name()));
    /// RFC 3339 with any offset, or milliseconds since 1970.
    Moment = AnyOfBuilder::new()
        .item(ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))))
        .item(whole(*limits::MILLISECONDS.start(), *limits::MILLISECONDS.end()));
    /// A number, true, false or a text. Integers go to 2^53, beyond which not all of them have a 64-bit float.
    Scalar = AnyOfBuilder::new()
        .item(of_type(SchemaType::from_iter([Type::Number, Type::Boolean])))
        .item(text(0, limits::TEXT_BYTES));
    /// A number, true, false or a text by metric.
    Values = of_type(Type::Object)
        .property_names(Some(name()))
        .additional_properties(Some(Ref::from_schema_name("Scalar")))
        .min_properties(Some(1))
        .max_properties(Some(limits::READING_VALUES));
    /// The unit by metric; of metrics that have a value.
    Units = of_type(Type::Object)
        .property_names(Some(name()))
        .additional_properties(Some(Ref::from_schema_name("Name")))
        .max_properties(Some(limits::READING_VALUES));
    /// A JSON Schema of one reading as it is sent, or the Avro schema of its record.
    Definition = ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::Object, Type::Array, Type::String, Type::Boolean]));
    /// Any bytes.
    Binary = ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
}

/// The part of an address that says where may begin with a user, who has no password.
fn endpoint() -> String {
    let refused = format!("{CONTROLS}{BLANKS}");
    format!("^([^:@/?#{refused}]+://)?([^:/?#{refused}]*@)?[^@/?#{refused}]*([/?#][^{refused}]*)?$")
}

fn name() -> ObjectBuilder {
    text(1, limits::NAME_BYTES).pattern(Some(format!("^{}$", name_pattern())))
}

fn name_pattern() -> String {
    format!("[^{CONTROLS}{BLANKS}]([^{CONTROLS}]*[^{CONTROLS}{BLANKS}])?")
}

/// Segments that are neither empty nor `.` nor `..`, with slashes between them.
fn object_name() -> String {
    let segment = format!(r"([^/.{CONTROLS}][^/{CONTROLS}]*|\.[^/.{CONTROLS}][^/{CONTROLS}]*|\.\.[^/{CONTROLS}]+)");
    format!("^{segment}(/{segment})*$")
}

fn text(least: usize, most: usize) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).min_length((least > 0).then_some(least)).max_length(Some(most))
}

fn whole(least: i64, most: i64) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least)).maximum(Some(most))
}

fn described(mut schema: Schema, text: &str) -> RefOr<Schema> {
    match &mut schema {
        Schema::Object(object) => object.description = Some(text.to_owned()),
        Schema::AnyOf(any) => any.description = Some(text.to_owned()),
        _ => {}
    }
    RefOr::T(schema)
}

/// One of the ways in which a form may be filled in.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// What has to be there, and of which of these types.
    pub with: &'a [(&'a str, &'a [Type])],
    /// What may not be there, or is null.
    pub without: &'a [&'a str],
}

/// A form that is filled in in just one of these ways.
pub fn in_one_way(form: RefOr<Schema>, ways: &[Way<'_>]) -> RefOr<Schema> {
    let ways = ways.iter().fold(OneOfBuilder::new(), |ways, way| {
        let with = way.with.iter().fold(ObjectBuilder::new(), |object, (name, types)| {
            object.property(*name, of_type(types.iter().cloned().collect::<SchemaType>())).required(*name)
        });
        ways.item(way.without.iter().fold(with, |object, name| object.property(*name, of_type(Type::Null))))
    });
    AllOfBuilder::new().item(form).item(ways).into()
}

fn of_type(of: impl Into<SchemaType>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(of)
}

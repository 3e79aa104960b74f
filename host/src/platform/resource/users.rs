//! Users: people who log in. Policy files speak of them as `user:<email>`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::FromRow;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Form, Resource, Secret, Statements, check_size};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::check_name;
use crate::platform::statements;
use crate::terms::{EmailAddress, Name, NewPassword};
use crate::times;

/// A user.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Their id.
    pub id: Uuid,
    /// Unique in the tenant, whatever its case.
    pub email: String,
    /// Their name for people.
    pub name: String,
    /// `active`, or `suspended`: every access is refused.
    #[schema(value_type = Standing)]
    pub status: String,
    /// Whatever else is to be known about them.
    #[schema(value_type = Object)]
    pub metadata: Value,
    /// When they were made.
    #[serde(serialize_with = "times::micros")]
    pub created_at: DateTime<Utc>,
    /// When they were last changed.
    #[serde(serialize_with = "times::micros")]
    pub updated_at: DateTime<Utc>,
}

/// Whether a user may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// They may, as the policy has it.
    Active,
    /// They may not: no login, and what they have of sessions and tokens counts for nothing.
    Suspended,
}

/// A new user.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewUser {
    #[schema(value_type = EmailAddress)]
    email: String,
    /// The email where it is not given.
    #[schema(value_type = Option<Name>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// 8 to 256 characters. Without one, they cannot log in with a password.
    #[schema(value_type = Option<NewPassword>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    /// `active` where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Standing>,
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Map<String, Value>>,
}

/// A change of a user; what is left out stays as it is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserChange {
    /// Rules of the policy that name the old one do not follow.
    #[schema(value_type = Option<EmailAddress>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[schema(value_type = Option<Name>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// A new one ends all their sessions.
    #[schema(value_type = Option<NewPassword>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Standing>,
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Map<String, Value>>,
}

/// What users are filtered by.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct UserFilter {
    /// The one with this email.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Those of this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub status: Option<Standing>,
}

impl Form for NewUser {
    fn check(&self) -> Result<()> {
        check(Some(&self.email), self.name.as_deref(), self.password.as_deref())?;
        check_size("metadata", &self.metadata)
    }
}

impl Form for UserChange {
    fn check(&self) -> Result<()> {
        check(self.email.as_deref(), self.name.as_deref(), self.password.as_deref())?;
        check_size("metadata", &self.metadata)
    }
}

fn check(email: Option<&str>, name: Option<&str>, password: Option<&str>) -> Result<()> {
    if let Some(email) = email {
        check_email(email)?;
    }
    if let Some(name) = name {
        check_name("A user's `name`", name).map_err(|error| error.at("/name", "not a name"))?;
    }
    // NIST SP 800-63B: length counts, and rules about characters do not help.
    if let Some(length) = password.map(|password| password.chars().count())
        && !(limits::PASSWORD_CHARACTERS).contains(&length)
    {
        let (least, most) = (limits::PASSWORD_CHARACTERS.start(), limits::PASSWORD_CHARACTERS.end());
        return Err(
            Error::malformed(format!("A `password` has {least} to {most} characters.")).at("/password", "too short or too long")
        );
    }
    Ok(())
}

/// One `@` with something on both sides, and nothing that ends a field of a policy file.
fn check_email(email: &str) -> Result<()> {
    let stands = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, ',' | '"' | '#' | '/' | ':' | '*');
    let sound = email.len() <= limits::EMAIL_BYTES
        && email.chars().all(stands)
        && email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'));
    if sound {
        return Ok(());
    }
    let sentence =
        "An `email` has the form `name@host`, at most 254 bytes, and none of , \" # / : * or blanks: it stands in policy files.";
    Err(Error::malformed(sentence).at("/email", "not an email"))
}

impl Resource for User {
    const COLLECTION: &'static str = "users";
    const ONE: &'static str = "user";
    const STATEMENTS: Statements =
        Statements { insert: INSERT, list: LIST, get: GET, lock: LOCK, update: UPDATE, delete: DELETE };
    const SECRET: Secret = Secret::Password;
    type New = NewUser;
    type Change = UserChange;
    type Filter = UserFilter;

    fn key(&self) -> String {
        self.id.to_string()
    }
}

statements! {
    INSERT = "insert into users (tenant, id, email, name, password_hash, status, metadata)
              select $1, $2::uuid, f.email, coalesce(f.name, f.email), f.\"passwordHash\", coalesce(f.status, 'active'),
                     coalesce(f.metadata, '{}')
              from jsonb_to_record($3::jsonb) as f (email text, name text, \"passwordHash\" text, status text, metadata jsonb)
              returning *";
    LIST = "select * from users where tenant = $1 and ($2::text is null or id > $2::uuid)
            and ($3::jsonb ->> 'email' is null or lower(email) = lower($3 ->> 'email'))
            and ($3 ->> 'status' is null or status = $3 ->> 'status') and weir_reaches(id::text, $5)
            order by id limit $4";
    GET = "select * from users where tenant = $1 and id = $2::uuid";
    LOCK = "select * from users where tenant = $1 and id = $2::uuid for update";
    UPDATE = "update users u set email = coalesce(f.email, u.email), name = coalesce(f.name, u.name),
              password_hash = coalesce(f.\"passwordHash\", u.password_hash), status = coalesce(f.status, u.status),
              metadata = coalesce(f.metadata, u.metadata), updated_at = clock_timestamp()
              from jsonb_to_record($3::jsonb) as f (email text, name text, \"passwordHash\" text, status text, metadata jsonb)
              where u.tenant = $1 and u.id = $2::uuid returning u.*";
    DELETE = "delete from users where tenant = $1 and id = $2::uuid";
}

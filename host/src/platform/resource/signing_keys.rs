//! Keys that may vouch for a tenant's modules (ed25519). Where a tenant has one, every upload needs a signature by one of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, Serializer};
use sqlx::FromRow;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Form, Resource, Statements};
use crate::error::{Error, Result};
use crate::model::{Action, check_name};
use crate::platform::{Platform, failed, statements};
use crate::policy::Permit;
use crate::terms::{Name, PublicKey};
use crate::times;

/// A public key.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SigningKey {
    /// Its id.
    pub id: Uuid,
    /// Its name, for people.
    pub name: String,
    /// The 32 bytes of the ed25519 public key, in base64.
    #[serde(serialize_with = "base64")]
    #[schema(value_type = PublicKey)]
    pub public_key: Vec<u8>,
    /// When it was registered.
    #[serde(serialize_with = "times::micros")]
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    #[serde(serialize_with = "times::micros")]
    pub updated_at: DateTime<Utc>,
}

fn base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

/// A key to be registered. From then on every module of the tenant needs a signature by one of its keys.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSigningKey {
    #[schema(value_type = Name)]
    name: String,
    #[schema(value_type = PublicKey)]
    public_key: String,
}

/// A change of a key; what is left out stays as it is. Another public key is another key.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SigningKeyChange {
    #[schema(value_type = Option<Name>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// What keys are filtered by.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct SigningKeyFilter {
    /// The one of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

fn check_key_name(name: &str) -> Result<()> {
    check_name("A key's `name`", name).map_err(|error| error.at("/name", "not a name"))
}

impl Form for NewSigningKey {
    fn check(&self) -> Result<()> {
        check_key_name(&self.name)?;
        if STANDARD.decode(&self.public_key).is_ok_and(|bytes| bytes.len() == 32) {
            return Ok(());
        }
        let sentence = "`publicKey` is the 32 bytes of an ed25519 public key, in base64.";
        Err(Error::malformed(sentence).at("/publicKey", "not a key"))
    }
}

impl Form for SigningKeyChange {
    fn check(&self) -> Result<()> {
        self.name.as_deref().map_or(Ok(()), check_key_name)
    }
}

impl Resource for SigningKey {
    const COLLECTION: &'static str = "signing-keys";
    const ONE: &'static str = "signing key";
    const STATEMENTS: Statements =
        Statements { insert: INSERT, list: LIST, get: GET, lock: LOCK, update: UPDATE, delete: DELETE };
    type New = NewSigningKey;
    type Change = SigningKeyChange;
    type Filter = SigningKeyFilter;

    fn key(&self) -> String {
        self.id.to_string()
    }

    /// Whoever changes them says whose code runs.
    fn action(action: Action) -> Action {
        if action == Action::Read { action } else { Action::Admin }
    }
}

impl Platform {
    /// All of them, to check a signature by.
    pub async fn signing_keys(&self, permit: &Permit) -> Result<Vec<SigningKey>> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query_as(ALL).bind(permit.tenant().as_str()).fetch_all(&mut *transaction).await.map_err(failed)
    }
}

statements! {
    INSERT = "insert into signing_keys (tenant, id, name, public_key)
              select $1, $2::uuid, f.name, decode(f.\"publicKey\", 'base64')
              from jsonb_to_record($3::jsonb) as f (name text, \"publicKey\" text)
              returning *";
    LIST = "select * from signing_keys where tenant = $1 and ($2::text is null or id > $2::uuid)
            and ($3::jsonb ->> 'name' is null or name = $3 ->> 'name') and weir_reaches(id::text, $5)
            order by id limit $4";
    ALL = "select * from signing_keys where tenant = $1 order by id";
    GET = "select * from signing_keys where tenant = $1 and id = $2::uuid";
    LOCK = "select * from signing_keys where tenant = $1 and id = $2::uuid for update";
    UPDATE = "update signing_keys k set name = coalesce(f.name, k.name), updated_at = clock_timestamp()
              from jsonb_to_record($3::jsonb) as f (name text)
              where k.tenant = $1 and k.id = $2::uuid returning k.*";
    DELETE = "delete from signing_keys where tenant = $1 and id = $2::uuid";
}

//! The sample tenant of `weir dev`: a topic, a validator and a token, made through the gate like anybody else's.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use serde_json::json;

use super::keep_secret;
use crate::commands::Failure;
use crate::error::Kind;
use crate::gate::Gate;
use crate::gate::chains::ChainOf;
use crate::gate::resources::{self, NewTenant, NewTopic, Topic};
use crate::gate::tokens::{NewToken, TokenFilter};
use crate::gate::validators::NewValidator;
use crate::model::{Attempt, Caller, Subject, Tenant};
use crate::paging::PageOf;

/// The sample topic.
pub(super) const TOPIC: &str = "demo.readings";
/// Its partitions.
pub(super) const PARTITIONS: i32 = 4;

const TENANT: &str = "demo";
const VALIDATOR: &str = "range-check";

/// Makes what is not there yet; returns the token of tenant `demo`.
pub(super) async fn load(gate: &Gate, data: &Path, guests: Option<&Path>) -> Result<String, Failure> {
    // The caller of the bootstrap token: it may do everything, by the policy files that `weir dev` starts with.
    let home = Tenant::parse("default")?;
    let administrator = Caller {
        subject: Subject::token("bootstrap"),
        tenant: home.clone(),
        home,
        bearer: None,
        request_id: "weir-dev".into(),
        attempt: Attempt::default(),
    };
    match gate.resource_create::<resources::Tenant>(&administrator, NewTenant::named(TENANT, "Sample tenant")).await {
        Err(error) if error.kind() != Kind::Conflict => return Err(error.into()),
        _ => {}
    }
    let caller = Caller { tenant: Tenant::parse(TENANT)?, ..administrator };
    let topic = NewTopic::named(TOPIC, "What `weir dev` starts with: JSON readings, checked by `range-check`.");
    match gate.resource_create::<Topic>(&caller, topic).await {
        Ok(_) => put_validator(gate, &caller, guests).await?,
        Err(error) if error.kind() == Kind::Conflict => {}
        Err(error) => return Err(error.into()),
    }
    token(gate, &caller, data).await
}

async fn put_validator(gate: &Gate, caller: &Caller, guests: Option<&Path>) -> Result<(), Failure> {
    let Some(module) = guests.map(|folder| folder.join(format!("{VALIDATOR}.wasm"))).filter(|path| path.exists()) else {
        tracing::warn!("no sample validator: build the guests with `make guests` and pass their folder as --guests");
        return Ok(());
    };
    let config = json!({ "limits": { "temperature": { "min": -40, "max": 85 }, "humidity": { "min": 0, "max": 100 } } });
    let validator = gate.validator_create(caller, &NewValidator { config, ..NewValidator::named(VALIDATOR) }).await?;
    let component = Bytes::from(fs::read(module)?);
    gate.validator_upload(caller, validator.id, async { Ok(component) }, None).await?;
    gate.chain_set(caller, &ChainOf::Topic(TOPIC.to_owned()), &[validator.id]).await?;
    Ok(())
}

/// The token of the last start where it is still there, else a new one.
async fn token(gate: &Gate, caller: &Caller, data: &Path) -> Result<String, Failure> {
    let kept = data.join("demo-token");
    if let Ok(token) = fs::read_to_string(&kept)
        && gate.identify(token.trim(), None, "weir-dev".into()).await.is_ok()
    {
        return Ok(token.trim().to_owned());
    }
    // The name that the sample policy file speaks of; one of an earlier start may still have it.
    let named = TokenFilter { name: Some(TENANT.to_owned()), ..TokenFilter::default() };
    for old in gate.token_list(caller, &named, &PageOf { limit: 1, after: None }).await?.items {
        gate.token_revoke(caller, old.id, &|_| true).await?;
    }
    let created = gate.token_create(caller, NewToken { name: TENANT.to_owned(), ..NewToken::default() }).await?;
    keep_secret(&kept, &created.secret)?;
    Ok(created.secret)
}

/// Says where everything is and what to try.
pub(super) fn greet(
    address: SocketAddr,
    kafka: SocketAddr,
    data: &Path,
    administrator: &str,
    token: &str,
) -> Result<(), Failure> {
    let base = format!("http://localhost:{}", address.port());
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "
Weir is ready.

  API            {base}/api        (document: {base}/api/openapi.json, health: {base}/health)
  Kafka          localhost:{kafka_port}         (topic {TOPIC}, {PARTITIONS} partitions; it forgets when this ends)
  Data           {data}
  Tenant demo    {token}
  Administrator  {administrator}

Try:

  curl -s {base}/api/timescale/sensor-readings -H 'Authorization: Bearer {token}' \\
    -H 'Content-Type: application/json' \\
    -d '{{\"sensorId\":\"room-4\",\"timestamp\":\"2026-05-04T12:00:00Z\",\"values\":{{\"temperature\":21.5}},\"topic\":\"{TOPIC}\"}}'

  curl -s {base}/api/timescale/sensors/room-4/latest -H 'Authorization: Bearer {token}'

  curl -s {base}/api/timescale/sensor-readings -H 'Authorization: Bearer {token}' \\
    -H 'Content-Type: application/json' \\
    -d '{{\"sensorId\":\"room-4\",\"timestamp\":\"2026-05-04T12:01:00Z\",\"values\":{{\"temperature\":900}},\"topic\":\"{TOPIC}\"}}'

The third is refused by the validator, with its reason. Ctrl-C stops; data stays, `--fresh` starts over.
",
        kafka_port = kafka.port(),
        data = fs::canonicalize(data).unwrap_or_else(|_| data.to_path_buf()).display(),
    )?;
    Ok(out.flush()?)
}

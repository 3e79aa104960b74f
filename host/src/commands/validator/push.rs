//! `weir validator push`: a component to a running Weir, by the API that everybody has.

use std::path::{Path, PathBuf};

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::{Failure, print_line};
use crate::guest::load::look;
use crate::limits;
use crate::model::Target;

/// The media type of a module.
const MODULE: &str = "application/wasm";

/// Where to, and as whom.
#[derive(Debug, Args)]
pub(in crate::commands) struct To {
    /// Where Weir answers, such as `http://localhost:3010`.
    #[arg(long, env = "WEIR_URL")]
    url: String,
    /// A token that may write validators.
    #[arg(long, env = "WEIR_TOKEN", hide_env_values = true)]
    token: String,
    /// The validator's name; the project's where it is not given.
    #[arg(long)]
    name: Option<String>,
    /// A file with the ed25519 key to sign with (PKCS #8 in PEM, as `openssl genpkey -algorithm ed25519` writes it), for tenants that
    /// take signed modules only.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Make the new version the one that runs.
    #[arg(long)]
    activate: bool,
}

/// Uploads a component.
pub(super) async fn run(component: Vec<u8>, project: Option<String>, to: To) -> Result<(), Failure> {
    let name = to.name.or(project).ok_or_else(|| Failure("say which validator it is for: --name NAME".to_owned()))?;
    let signature = to.key.as_deref().map(|key| sign(key, &component)).transpose()?;
    let api = Api { signature, ..Api::new(&to.url, to.token)? };
    let (id, made) = match api.find(&name).await? {
        Some(id) => (id, false),
        // What cannot be looked at is the server's to refuse, in its own words.
        None => (
            api.create(&name, look(&component, limits::GUEST_MEMORY_BYTES).map(|facts| facts.target).unwrap_or_default()).await?,
            true,
        ),
    };
    let path = format!("/api/platform/validators/{id}");
    let uploaded = api.ask(Method::PUT, &format!("{path}/module"), MODULE, component).await?;
    let version = uploaded["data"]["version"].as_i64().ok_or_else(|| api.strange())?;
    let new = if made { "a new validator, " } else { "" };
    print_line(&format!("{name} ({id}): {new}version {version}, sha256 {}", text(&uploaded["data"]["sha256"])))?;
    if to.activate {
        api.json(Method::POST, &format!("{path}/activate"), &json!({ "version": version })).await?;
        print_line(&format!("version {version} runs now, wherever {name} is in a chain"))?;
    }
    Ok(())
}

/// A Weir that is asked with a token.
struct Api {
    base: String,
    token: String,
    http: reqwest::Client,
    /// Of the module, in base64.
    signature: Option<String>,
}

/// The signature of a component by the key in a file, in base64.
fn sign(key: &Path, component: &[u8]) -> Result<String, Failure> {
    let unusable = |error: &dyn std::fmt::Display| {
        Failure(format!(
            "--key {}: {error}; it is an ed25519 key in PEM, as `openssl genpkey -algorithm ed25519` writes it",
            key.display()
        ))
    };
    let der = PrivatePkcs8KeyDer::from_pem_file(key).map_err(|error| unusable(&error))?;
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).map_err(|error| unusable(&error))?;
    Ok(STANDARD.encode(pair.sign(component)))
}

impl Api {
    fn new(url: &str, token: String) -> Result<Self, Failure> {
        let http = reqwest::Client::builder().timeout(limits::PUSH_TIME).build()?;
        Ok(Self { base: url.trim_end_matches('/').to_owned(), token, http, signature: None })
    }

    /// The id of the validator of this name.
    async fn find(&self, name: &str) -> Result<Option<String>, Failure> {
        let mut cursor = String::new();
        loop {
            let path = format!("/api/platform/validators?limit={}{cursor}", limits::PAGE_MAX);
            let page = self.ask(Method::GET, &path, "application/json", Vec::new()).await?;
            let found = page["data"].as_array().ok_or_else(|| self.strange())?.iter().find(|row| row["name"] == name);
            if let Some(row) = found {
                return row["id"].as_str().map(|id| Some(id.to_owned())).ok_or_else(|| self.strange());
            }
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(None),
            }
        }
    }

    async fn create(&self, name: &str, target: Target) -> Result<String, Failure> {
        let form = json!({ "name": name, "target": target });
        let made = self.json(Method::POST, "/api/platform/validators", &form).await?;
        made["data"]["id"].as_str().map(str::to_owned).ok_or_else(|| self.strange())
    }

    async fn json(&self, method: Method, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(method, path, "application/json", body.to_string().into_bytes()).await
    }

    /// Asks, and gives the answer's body; a refusal is a line with all that the server says of it.
    async fn ask(&self, method: Method, path: &str, media_type: &str, body: Vec<u8>) -> Result<Value, Failure> {
        let request = self.http.request(method, format!("{}{path}", self.base)).header(CONTENT_TYPE, media_type);
        let request = match &self.signature {
            Some(signature) if media_type == MODULE => request.header("X-Module-Signature", signature),
            _ => request,
        };
        let request = request.bearer_auth(&self.token).body(body);
        let away = |error: reqwest::Error| {
            let error = error.without_url();
            Failure(format!("{} cannot be asked: {}", self.base, crate::error::Chain(&error)))
        };
        let answer = request.send().await.map_err(away)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(away)?;
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(body);
        }
        let Some(sentence) = body["error"].as_str() else {
            return Err(Failure(format!("{} answers {status}, and not as a Weir does; is the address right?", self.base)));
        };
        // Many sentences have their detail in them.
        let details = body["details"].as_array().into_iter().flatten();
        let details = details.filter(|detail| !sentence.contains(text(&detail["message"])));
        let details = details.map(|detail| format!(" [{}: {}]", text(&detail["path"]), text(&detail["message"])));
        Err(Failure(format!("{} refuses ({}): {sentence}{}", self.base, status.as_u16(), details.collect::<String>())))
    }

    fn strange(&self) -> Failure {
        Failure(format!("{} does not answer as a Weir does; is the address right?", self.base))
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

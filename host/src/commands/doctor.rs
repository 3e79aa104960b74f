//! `weir doctor`: checks each backend, version, privilege and policy file, and says what to do.

use std::process::ExitCode;

use super::{Failure, print_line};
use crate::error::Chain;
use crate::settings::Settings;
use crate::{policy, serve};

/// What a check found.
enum Finding {
    Fine(String),
    Wrong { what: String, advice: &'static str },
}

pub(super) async fn run(settings: &Settings) -> Result<ExitCode, Failure> {
    let mut wrong = 0;
    let mut found = vec![
        ("policies", policies(settings)),
        ("platform database", platform(settings).await),
        ("readings database", timescale(settings).await),
        ("object store", objects(settings).await),
        ("kafka", kafka(settings).await),
    ];
    if let Some(finding) = issuer(settings).await {
        found.push(("issuer of tokens", finding));
    }
    for (part, finding) in found {
        match finding {
            Finding::Fine(what) => print_line(&format!("ok     {part}: {what}"))?,
            Finding::Wrong { what, advice } => {
                wrong += 1;
                print_line(&format!("wrong  {part}: {what}\n       {advice}"))?;
            }
        }
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn policies(settings: &Settings) -> Finding {
    match policy::files::check(&settings.policies) {
        Ok(summary) => Finding::Fine(summary.to_string()),
        Err(mistakes) => Finding::Wrong {
            what: mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            advice: "Mend these lines; `weir policy check` shows the same. WEIR_POLICIES names the folder.",
        },
    }
}

async fn platform(settings: &Settings) -> Finding {
    let found = async { serve::platform(settings)?.examine().await }.await;
    match found {
        Ok(facts) => Finding::Fine(facts),
        Err(error) => Finding::Wrong {
            what: Chain(&error).to_string(),
            advice: "Check DATABASE_URL_PLATFORM, that the server runs, and that its role owns the database; then run `weir migrate`.",
        },
    }
}

async fn timescale(settings: &Settings) -> Finding {
    let found = async { serve::timescale(settings)?.examine().await }.await;
    match found {
        Ok(facts) => Finding::Fine(facts),
        Err(error) => Finding::Wrong {
            what: Chain(&error).to_string(),
            advice: "Check DATABASE_URL_TIMESCALE, that the server runs, and that its role may create tables; then run `weir migrate`.",
        },
    }
}

async fn objects(settings: &Settings) -> Finding {
    let found = async { serve::objects(settings)?.examine().await }.await;
    match found {
        Ok(facts) => Finding::Fine(facts),
        Err(error) => Finding::Wrong {
            what: Chain(&error).to_string(),
            advice: "Check WEIR_STORAGE_URL or the MINIO_… settings, that the bucket exists, and that the keys may read and write it.",
        },
    }
}

/// Nothing, where none is configured.
async fn issuer(settings: &Settings) -> Option<Finding> {
    let found = match serve::issuer(settings) {
        Ok(issuer) => issuer?.examine().await,
        Err(error) => Err(error),
    };
    Some(match found {
        Ok(facts) => Finding::Fine(facts),
        Err(error) => Finding::Wrong {
            what: Chain(&error).to_string(),
            advice: "Check WEIR_OIDC_ISSUER, which is the issuer's URL as its tokens have it, and that it can be reached from here.",
        },
    })
}

async fn kafka(settings: &Settings) -> Finding {
    let Some(options) = serve::kafka_options(settings) else {
        return Finding::Fine("not configured; nothing is consumed".to_owned());
    };
    match tokio::task::spawn_blocking(move || crate::kafka::examine(&options)).await {
        Ok(Ok(facts)) => Finding::Fine(facts),
        Ok(Err(error)) => Finding::Wrong {
            what: Chain(&error).to_string(),
            advice: "Check KAFKA_BROKERS, the WEIR_KAFKA_… settings of TLS and login, and that the broker runs.",
        },
        Err(error) => Finding::Wrong { what: error.to_string(), advice: "This is a defect of Weir." },
    }
}

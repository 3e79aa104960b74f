//! How the brokers are to be reached: in the clear or by TLS, and who logs in.
//!
//! What cannot work is refused at the start by one line that names the setting: a file that cannot be read, a login that lacks its
//! half, a key for a protocol that has no use for it. Whether the broker agrees is seen when it is asked.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::{Kafka, Mistake};

/// How to speak to the brokers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecurityProtocol {
    /// In the clear, without a login.
    #[default]
    #[serde(alias = "PLAINTEXT")]
    Plaintext,
    /// TLS, without a login.
    #[serde(alias = "SSL")]
    Ssl,
    /// In the clear, with a login.
    #[serde(alias = "SASL_PLAINTEXT")]
    SaslPlaintext,
    /// TLS with a login.
    #[serde(alias = "SASL_SSL")]
    SaslSsl,
}

impl SecurityProtocol {
    /// Kafka's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    /// True where the connection is encrypted.
    pub fn has_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// True where the client logs in.
    pub fn has_login(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// How the client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum SaslMechanism {
    /// The password itself, so over TLS only.
    #[serde(rename = "PLAIN")]
    Plain,
    /// A proof of the password by SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// A proof of the password by SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl SaslMechanism {
    /// Kafka's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// Whether a broker's certificate must name its host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointCheck {
    /// It must, as with HTTPS.
    #[default]
    Https,
    /// Any host of the authority will do.
    None,
}

impl EndpointCheck {
    /// Kafka's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::None => "none",
        }
    }
}

impl Kafka {
    pub(super) fn check_security(&self) -> Result<(), Mistake> {
        self.check_login()?;
        self.check_tls()
    }

    fn check_login(&self) -> Result<(), Mistake> {
        let protocol = self.security_protocol.as_str();
        let parts = [
            ("kafka.sasl_mechanism", self.sasl_mechanism.is_some(), "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
            ("kafka.sasl_username", self.sasl_username.as_ref().is_some_and(|name| !name.is_empty()), "who logs in"),
            (
                "kafka.sasl_password",
                self.sasl_password.as_ref().is_some_and(|password| !password.reveal().is_empty()),
                "that user's password",
            ),
        ];
        for (key, given, what) in parts {
            match (self.security_protocol.has_login(), given) {
                (true, false) => {
                    return Err(Mistake::of(key, format!("is needed with `kafka.security_protocol` = `{protocol}`: {what}")));
                }
                (false, true) => return Err(useless(key, protocol, "`sasl_ssl` or `sasl_plaintext`")),
                _ => {}
            }
        }
        Ok(())
    }

    fn check_tls(&self) -> Result<(), Mistake> {
        let parts = [
            ("kafka.ssl_ca", self.ssl_ca.is_some()),
            ("kafka.ssl_certificate", self.ssl_certificate.is_some()),
            ("kafka.ssl_key", self.ssl_key.is_some()),
            ("kafka.ssl_key_password", self.ssl_key_password.is_some()),
        ];
        if !self.security_protocol.has_tls()
            && let Some((key, _)) = parts.iter().find(|(_, given)| *given)
        {
            return Err(useless(key, self.security_protocol.as_str(), "`ssl` or `sasl_ssl`"));
        }
        match (&self.ssl_certificate, &self.ssl_key) {
            (Some(_), None) => return Err(Mistake::of("kafka.ssl_key", "is needed with `kafka.ssl_certificate`")),
            (None, Some(_)) => return Err(Mistake::of("kafka.ssl_certificate", "is needed with `kafka.ssl_key`")),
            (None, None) if self.ssl_key_password.is_some() => {
                return Err(Mistake::of("kafka.ssl_key_password", "has no `kafka.ssl_key` to open"));
            }
            _ => {}
        }
        for (key, file, what) in [
            ("kafka.ssl_ca", &self.ssl_ca, "CERTIFICATE-----"),
            ("kafka.ssl_certificate", &self.ssl_certificate, "CERTIFICATE-----"),
            ("kafka.ssl_key", &self.ssl_key, "PRIVATE KEY-----"),
        ] {
            if let Some(file) = file {
                check_file(key, file, what)?;
            }
        }
        Ok(())
    }
}

/// A setting that nothing would follow is taken for a mistake in the protocol: better no start than one in the clear.
fn useless(key: &str, protocol: &str, wanted: &str) -> Mistake {
    Mistake::of(
        key,
        format!("has no effect with `kafka.security_protocol` = `{protocol}`; set that to {wanted}, or leave this out"),
    )
}

fn check_file(key: &str, file: &Path, what: &str) -> Result<(), Mistake> {
    let text = fs::read(file).map_err(|error| Mistake::of(key, format!("{} cannot be read: {error}", file.display())))?;
    if text.windows(what.len()).any(|part| part == what.as_bytes()) {
        return Ok(());
    }
    Err(Mistake::of(key, format!("{} has no `-----BEGIN … {what}` in it; it must be in PEM", file.display())))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::settings::Settings;

    fn load(pairs: &[(&str, &str)]) -> Result<Settings, Mistake> {
        let least = [
            ("DATABASE_URL_PLATFORM", "postgres://localhost/platform"),
            ("DATABASE_URL_TIMESCALE", "postgres://localhost/readings"),
            ("WEIR_STORAGE_URL", "fs:///tmp/objects"),
        ];
        let environment: BTreeMap<String, String> =
            least.iter().chain(pairs).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::load(None, &environment)
    }

    #[test]
    fn a_login_is_whole_and_kafkas_own_spelling_will_do() {
        let whole = [
            ("WEIR_KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT"),
            ("WEIR_KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
            ("WEIR_KAFKA_SASL_USERNAME", "weir"),
            ("WEIR_KAFKA_SASL_PASSWORD", "hunter22"),
        ];
        let settings = load(&whole).expect("nothing is missing");
        assert_eq!(settings.kafka.security_protocol, SecurityProtocol::SaslPlaintext);
        assert!(!format!("{settings:?}").contains("hunter22"));
        for (missing, _) in &whole[1..] {
            let rest: Vec<_> = whole.iter().copied().filter(|(name, _)| name != missing).collect();
            let mistake = load(&rest).expect_err("a login lacks its half").to_string();
            assert!(mistake.contains(missing) && !mistake.contains("hunter22"), "{mistake}");
        }
    }

    #[test]
    fn what_the_protocol_has_no_use_for_is_refused() {
        for (name, value, wanted) in [
            ("WEIR_KAFKA_SASL_USERNAME", "weir", "sasl_ssl"),
            ("WEIR_KAFKA_SSL_CA", "/etc/ca.pem", "`ssl`"),
            ("WEIR_KAFKA_SSL_KEY_PASSWORD", "hunter22", "`ssl`"),
        ] {
            let mistake = load(&[(name, value)]).expect_err("it would be ignored").to_string();
            assert!(mistake.contains(name) && mistake.contains(wanted) && !mistake.contains("hunter22"), "{mistake}");
        }
    }

    #[test]
    fn a_file_is_read_at_the_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::write(path("text.pem"), "no certificate").expect("written");
        fs::write(path("ca.pem"), "-----BEGIN CERTIFICATE-----\n").expect("written");
        let ssl = ("WEIR_KAFKA_SECURITY_PROTOCOL", "ssl");
        for (name, file, why) in [
            ("WEIR_KAFKA_SSL_CA", path("missing.pem"), "cannot be read"),
            ("WEIR_KAFKA_SSL_CA", path("text.pem"), "must be in PEM"),
            ("WEIR_KAFKA_SSL_CERTIFICATE", path("ca.pem"), "WEIR_KAFKA_SSL_KEY"),
            ("WEIR_KAFKA_SSL_KEY", path("ca.pem"), "WEIR_KAFKA_SSL_CERTIFICATE"),
            ("WEIR_KAFKA_SSL_KEY_PASSWORD", "hunter22".to_owned(), "no `kafka.ssl_key`"),
        ] {
            let mistake = load(&[ssl, (name, &file)]).expect_err("it cannot work").to_string();
            assert!(mistake.contains(why) && mistake.lines().count() == 1, "{mistake}");
        }
        load(&[ssl, ("WEIR_KAFKA_SSL_CA", &path("ca.pem"))]).expect("an authority is enough");
        load(&[ssl]).expect("the machine's own authorities will do");
    }

    #[test]
    fn a_word_that_is_none_is_named() {
        for (name, value) in [
            ("WEIR_KAFKA_SECURITY_PROTOCOL", "tls"),
            ("WEIR_KAFKA_SASL_MECHANISM", "GSSAPI"),
            ("WEIR_KAFKA_SSL_ENDPOINT_CHECK", "off"),
        ] {
            let mistake = load(&[(name, value)]).expect_err("not a word of Kafka's").to_string();
            assert!(mistake.contains(name), "{mistake}");
        }
    }
}

//! librdkafka's complaints, in words that say which setting to look at.
//!
//! What is said here is shown by `/health`, so it names no address and no user; librdkafka's own words are in the log, at debug level.

use rdkafka::types::RDKafkaErrorCode;

/// What a complaint comes to; `None` where its own words are all there is to say.
pub(super) fn in_words(code: RDKafkaErrorCode, reason: &str) -> Option<String> {
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    let plain = match code {
        RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => {
            if let Some((_, offered)) = reason.split_once("supported mechanisms: ") {
                let offered = offered.split(" (").next().unwrap_or(offered);
                return Some(format!("the broker does not take the mechanism of `kafka.sasl_mechanism`; it takes: {offered}"));
            }
            "the broker refuses the login: check `kafka.sasl_username`, `kafka.sasl_password` and `kafka.sasl_mechanism`"
        }
        _ if says(&["certificate required", "client SSL authentication might be required", "alert handshake failure"]) => {
            "the broker wants to see a certificate: check `kafka.ssl_certificate` and `kafka.ssl_key`"
        }
        _ if says(&["alert unknown ca", "alert bad certificate", "alert certificate"]) => {
            "the broker refuses Weir's certificate: check `kafka.ssl_certificate` and that the broker knows who signed it"
        }
        RDKafkaErrorCode::SSL if says(&["certificate verify failed", "0A000086", "verify broker certificate"]) => {
            "the broker's certificate is not accepted: `kafka.ssl_ca` must hold the authority that signed it, and it must name the host that `kafka.brokers` names (`kafka.ssl_endpoint_check`)"
        }
        RDKafkaErrorCode::SSL if says(&["wrong version number", "unexpected message", "record layer failure"]) => {
            "the broker does not answer in TLS: check the port in `kafka.brokers` and `kafka.security_protocol`"
        }
        RDKafkaErrorCode::SSL => {
            "TLS does not come about with the broker: check `kafka.security_protocol` and the settings `kafka.ssl_…`"
        }
        RDKafkaErrorCode::BrokerTransportFailure if says(&["PLAINTEXT broker listener", "SSL connection handshake"]) => {
            "the broker hangs up while TLS begins: it may speak none at this port (`kafka.brokers`, `kafka.security_protocol`)"
        }
        RDKafkaErrorCode::BrokerTransportFailure if says(&["security.protocol"]) => {
            "the broker hangs up at the first word: it may want TLS or a login (`kafka.security_protocol`)"
        }
        _ => return None,
    };
    Some(plain.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_names_the_setting_and_no_address() {
        for (code, reason, wanted) in [
            (
                RDKafkaErrorCode::Authentication,
                "sasl_ssl://127.0.0.1:9092/bootstrap: SASL authentication error: invalid credentials (after 3ms in state AUTH_REQ)",
                "kafka.sasl_password",
            ),
            (
                RDKafkaErrorCode::Authentication,
                "sasl_ssl://127.0.0.1:9092/bootstrap: SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported mechanisms: SCRAM-SHA-512 (after 0ms in state AUTH_HANDSHAKE)",
                "it takes: SCRAM-SHA-512",
            ),
            (
                RDKafkaErrorCode::SSL,
                "ssl://127.0.0.1:9092/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate could not be verified",
                "kafka.ssl_ca",
            ),
            (
                RDKafkaErrorCode::SSL,
                "ssl://127.0.0.1:9092/bootstrap: SSL handshake failed: error:0A00010B:SSL routines::wrong version number",
                "kafka.security_protocol",
            ),
            (
                RDKafkaErrorCode::BrokerTransportFailure,
                "127.0.0.1:9092/bootstrap: Disconnected: requesting ApiVersion: might be caused by incorrect security.protocol configuration (connecting to a SSL listener?)",
                "TLS or a login",
            ),
        ] {
            let words = in_words(code, reason).expect("it is known");
            assert!(words.contains(wanted) && !words.contains("127.0.0.1"), "{words}");
        }
        let refused = "127.0.0.1:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused";
        assert_eq!(in_words(RDKafkaErrorCode::BrokerTransportFailure, refused), None);
    }
}

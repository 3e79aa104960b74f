//! The rule of `range-check` behind `list<record>`, the interface that Weir does not have.

use bench_rule::{Rule, Verdict};

use self::bindings::exports::bench::records::readings::{Guest, Outcome, Reading, Rejection};

mod bindings {
    #![expect(unsafe_code, clippy::pedantic, reason = "wit-bindgen generates it")]

    use super::Records;

    wit_bindgen::generate!({ path: "wit", world: "checker" });

    export!(Records);
}

struct Records;

impl Guest for Records {
    fn check(readings: Vec<Reading>) -> Result<Outcome, String> {
        let rule = Rule::new(&bindings::bench::records::config::json())?;
        let mut outcome = Outcome { rejected: Vec::new(), suspect: Vec::new() };
        for (row, reading) in (0_u32..).zip(&readings) {
            match rule.judge(&reading.metric, reading.value) {
                Verdict::Accept => {}
                Verdict::Suspect => outcome.suspect.push(row),
                Verdict::Reject(reason) => outcome.rejected.push(Rejection { row, reason }),
            }
        }
        Ok(outcome)
    }
}

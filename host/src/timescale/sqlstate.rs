//! What an error of the database means for whoever wanted to write: try again, hold, isolate the row, or leave the partition.
//!
//! Classed once, here. What is not known is *standing*: the topic is held and says so, and nothing is dropped.

use std::sync::Arc;

use uuid::Uuid;

use crate::error::{Error, Kind};

/// The unique index objects.
pub(super) const UNIQUE_VIOLATION: &str = "23505";

/// Why a batch was not stored. Nothing of it was, except that after [`WriteError::Transient`] the answer to a commit may have been
/// lost: what is written again is then fenced (Kafka) or counted as duplicate (HTTP), never stored twice.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It may well work in a moment: connection, deadlock, shutdown, no connection free.
    #[error("the readings database does not answer")]
    Transient(#[source] sqlx::Error),
    /// It will not work until somebody acts: disk full, table missing, permission. Also whatever is not known.
    #[error("the readings database refuses to write")]
    Standing(#[source] sqlx::Error),
    /// Something in this batch cannot be stored; the same batch in halves leads to it.
    #[error("the readings database refuses a value (SQLSTATE {sqlstate})")]
    Poison {
        /// What the database answered; `22000` where Weir itself saw it.
        sqlstate: Arc<str>,
        /// What is wrong, in words for the reading's sender.
        reason: String,
    },
    /// Somebody else replays or replayed these entries of quarantine, or deleted them.
    #[error("{} entries of quarantine are not there to be replayed any more", .0.len())]
    Taken(Vec<Uuid>),
    /// Another writer moved this partition since its position was read.
    #[error("partition {partition} stands at {stored:?}, not at {expected}: another writer holds it")]
    Fenced {
        /// The partition.
        partition: i32,
        /// The position that the batch begins at.
        expected: i64,
        /// The position that is stored; `None` where the row vanished.
        stored: Option<i64>,
    },
}

impl WriteError {
    /// The word for it in metrics.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Transient(_) => "transient",
            Self::Standing(_) => "standing",
            Self::Poison { .. } => "poison",
            Self::Taken(_) => "taken",
            Self::Fenced { .. } => "fenced",
        }
    }

    /// True where the unique index objects to a row that is there already.
    pub(super) fn is_duplicate_row(&self) -> bool {
        matches!(self, Self::Standing(error) if sqlstate(error).as_deref() == Some(UNIQUE_VIOLATION))
    }

    /// Something of the batch itself that Weir sees to be wrong before the database does.
    pub(super) fn poison(reason: &str) -> Self {
        Self::Poison { sqlstate: "22000".into(), reason: reason.to_owned() }
    }
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        match class(&error) {
            Class::Transient => Self::Transient(error),
            Class::Standing => Self::Standing(error),
            Class::Poison => Self::Poison {
                sqlstate: sqlstate(&error).unwrap_or_default().into(),
                reason: error.as_database_error().map_or_else(String::new, |error| error.message().to_owned()),
            },
        }
    }
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Poison { sqlstate, reason } => {
                Error::new(Kind::Refused, format!("The database cannot hold one of these readings: {reason} ({sqlstate})."))
            }
            WriteError::Fenced { .. } | WriteError::Taken(_) => Error::internal(error),
            WriteError::Transient(_) | WriteError::Standing(_) => Error::unavailable("readings database", error),
        }
    }
}

/// What an error means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Transient,
    Standing,
    Poison,
}

pub(super) fn class(error: &sqlx::Error) -> Class {
    match error {
        sqlx::Error::Database(error) => error.code().map_or(Class::Standing, |code| of_sqlstate(&code)),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Class::Transient,
        _ => Class::Standing,
    }
}

/// The class of a SQLSTATE.
pub(super) fn of_sqlstate(code: &str) -> Class {
    match code {
        // A unique index other than that of `readings`, whose objections are expected and handled.
        UNIQUE_VIOLATION => Class::Standing,
        // Too many connections; out of memory; statement cancelled or out of time; lock not available; transaction or session out of time;
        // a plan that a migration made stale; the server going down, down, or coming up.
        "53300" | "53200" | "57014" | "55P03" | "25P03" | "25P04" | "0A000" | "57P01" | "57P02" | "57P03" | "57P05" => {
            Class::Transient
        }
        // A row larger than an index or page can hold.
        "54000" => Class::Poison,
        _ => match code.get(..2) {
            Some("08" | "40") => Class::Transient,
            Some("22" | "23") => Class::Poison,
            _ => Class::Standing,
        },
    }
}

/// The SQLSTATE, where the database answered at all.
pub(super) fn sqlstate(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).map(std::borrow::Cow::into_owned)
}

/// True where a pooled connection turned out to be dead before anything was done with it.
pub(super) fn is_dead_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        _ => sqlstate(error).is_some_and(|code| matches!(code.as_str(), "57P01" | "57P05" | "25P03" | "0A000")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_states_and_the_unknown_stands() {
        for code in ["08006", "08003", "40001", "40P01", "53300", "57P01", "57P02", "57P03", "57014", "55P03"] {
            assert_eq!(of_sqlstate(code), Class::Transient, "{code}");
        }
        for code in
            ["53100", "42P01", "42501", "25006", "55000", "58030", "XX000", "XX001", "28P01", "3D000", "23505", "99999", "", "é"]
        {
            assert_eq!(of_sqlstate(code), Class::Standing, "{code}");
        }
        for code in ["22003", "22008", "22021", "22P05", "23514", "23502", "54000"] {
            assert_eq!(of_sqlstate(code), Class::Poison, "{code}");
        }
    }
}

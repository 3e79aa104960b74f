//! Weir: a storage gateway for IoT platforms. This page is the map; it holds no code.
//!
//! Imports go down only, never sideways between the folders of one floor. `tests/tidy.rs` holds the same table and fails,
//! naming the line and both floors, where one goes up.
//!
//! | floor | modules | what they are |
//! |---|---|---|
//! | 5 start | [`serve`], [`dev`], [`commands`] | the one place where everything is named together |
//! | 4 entrances | [`http`], [`writer`], [`jobs`] | turn one protocol, or a timer, into a call on a gate |
//! | 3 gates | [`gate`] | the straight lines: the only place where deciders meet stores |
//! | 2 stores | [`platform`], [`timescale`], [`objects`], [`kafka`], [`registry`], [`issuer`] | a backend each; public methods take a `Permit` first |
//! | 1 deciders | [`policy`], [`schema`], [`guest`], [`budget`], [`rates`], [`secrets`] | values in, verdicts out; no SQL, HTTP, Kafka or object store |
//! | 0 nouns | [`batch`], [`cases`], [`forms`], [`model`], [`error`], [`rules`], [`ledger`], [`limits`], [`paging`], [`settings`], [`terms`], [`times`], [`turns`], [`vitals`] | no I/O, no async, no framework |

pub mod batch;
pub mod cases;
pub mod error;
pub mod forms;
pub mod ledger;
pub mod limits;
pub mod model;
pub mod paging;
pub mod rules;
pub mod settings;
pub mod terms;
pub mod times;
pub mod turns;
pub mod vitals;

pub mod budget;
pub mod guest;
pub mod policy;
pub mod rates;
pub mod schema;
pub mod secrets;

pub mod issuer;
pub mod kafka;
pub mod objects;
pub mod platform;
pub mod registry;
pub mod timescale;

pub mod gate;

pub mod http;
pub mod jobs;
pub mod writer;

pub mod commands;
pub mod dev;
pub mod serve;

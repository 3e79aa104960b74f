//! The shared harness: real services, and a Weir of one's own as a child process, so that tests can kill, stop and measure it.

pub mod app;
pub mod broker;
pub mod client;
pub mod database;
pub mod front;
pub mod guests;
pub mod issued;
pub mod proxy;
pub mod services;

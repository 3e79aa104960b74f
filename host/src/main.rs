//! The `weir` command: parse, hand over, one line for what went wrong.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    weir::commands::run(weir::commands::Weir::parse())
}

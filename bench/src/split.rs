//! PostgreSQL on one half of the cores and everything else on the other, in all lines alike: as where the database has a machine of its
//! own. What a consumer computes then costs PostgreSQL nothing, and a ratio to COPY says whether it keeps the database busy.

use std::process::Command;

use crate::failure::{Doing as _, Failure, Result};
use crate::usage;

/// Moves PostgreSQL, its children included, to the lower half of `cores`, and this process with all that it will start to the upper.
pub fn split(postgres: u32, cores: usize) -> Result<()> {
    if cores < 2 {
        return Err(Failure::new("--split takes two cores or more"));
    }
    let half = cores / 2;
    let (lower, upper) = (format!("0-{}", half - 1), format!("{half}-{}", cores - 1));
    for pid in usage::children(postgres).into_iter().chain([postgres]) {
        pin(&lower, pid)?;
    }
    pin(&upper, std::process::id())
}

fn pin(cores: &str, pid: u32) -> Result<()> {
    let pid = pid.to_string();
    let done = Command::new("taskset").args(["--all-tasks", "--cpu-list", "--pid", cores, &pid]).output();
    let done = done.doing("taskset (of util-linux) cannot be started")?;
    if done.status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("process {pid} cannot be moved to cores {cores}: {}", String::from_utf8_lossy(&done.stderr))))
}

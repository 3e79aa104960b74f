//! A process that the bench started: its lines are read, and it ends with the bench.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Doing as _, Failure, Result};

/// Lines that are told where something went wrong.
const LAST_LINES: usize = 15;

/// A running process.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    lines: Receiver<(Instant, String)>,
    last: VecDeque<String>,
}

impl Process {
    /// Starts it. Both its outputs are read, line by line.
    pub fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .doing(&format!("{name} cannot be started ({})", command.get_program().display()))?;
        let (send, lines) = channel();
        if let Some(out) = child.stdout.take() {
            follow(out, send.clone());
        }
        if let Some(err) = child.stderr.take() {
            follow(err, send);
        }
        Ok(Self { name, child, lines, last: VecDeque::new() })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of which `wanted` makes something; with it comes when the line was read.
    pub fn wait_for<T>(&mut self, patience: Duration, wanted: impl Fn(&str) -> Option<T>) -> Result<(Instant, T)> {
        let deadline = Instant::now() + patience;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((when, line)) => {
                    if let Some(found) = wanted(&line) {
                        return Ok((when, found));
                    }
                    self.remember(line);
                }
                Err(RecvTimeoutError::Timeout) => return Err(self.failure("did not say what was waited for")),
                Err(RecvTimeoutError::Disconnected) => return Err(self.failure("ended")),
            }
        }
    }

    /// Waits until it has ended by itself.
    pub fn end(mut self) {
        let _ = self.child.wait();
    }

    /// A failure with its last lines.
    pub fn failure(&mut self, what: &str) -> Failure {
        while let Ok((_, line)) = self.lines.try_recv() {
            self.remember(line);
        }
        let last: Vec<&str> = self.last.iter().map(String::as_str).collect();
        Failure::new(format!("{} {what}; its last lines:\n{}", self.name, last.join("\n")))
    }

    fn remember(&mut self, line: String) {
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // What it did is in the database, and it has no more to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn follow(from: impl Read + Send + 'static, to: Sender<(Instant, String)>) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(std::result::Result::ok) {
            // Where nobody listens any more, it is read all the same, so that the process does not wait.
            let _ = to.send((Instant::now(), line));
        }
    });
}

//! One command at a time: bare, from a client, through `strongroom exec`, and
//! in other jails, in turns.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Result;
use crate::session::Place;
use crate::{TRUE, peers};

/// Between two commands. An agent thinks for longer; it is the same for every
/// kind of command, and stores of workers are full when it is over.
const PAUSE: Duration = Duration::from_millis(20);

/// One way to run the command.
struct Kind<'a> {
    key: &'static str,
    what: String,
    run: Box<dyn FnMut() -> Result<()> + 'a>,
    pause: Duration,
    /// One round in so many: some are slow.
    every: usize,
    times: Vec<Duration>,
}

impl<'a> Kind<'a> {
    fn new(key: &'static str, what: &str, run: impl FnMut() -> Result<()> + 'a) -> Self {
        let (what, run) = (what.to_owned(), Box::new(run));
        Self { key, what, run, pause: PAUSE, every: 1, times: vec![] }
    }

    fn once(&mut self) -> Result<()> {
        std::thread::sleep(self.pause);
        let start = Instant::now();
        (self.run)()?;
        self.times.push(start.elapsed());
        Ok(())
    }

    /// Microseconds that so many of a hundred took at most.
    fn at(&self, percent: usize) -> f64 {
        let mut times = self.times.clone();
        times.sort_unstable();
        let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    }
}

/// Runs a program that ends by itself, with captured output.
fn capture(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() { Ok(()) } else { Err(format!("{output:?}").into()) }
}

/// Measures them all, and prints the table.
///
/// # Errors
/// A session or a command failed.
pub fn measure(place: &Place<'_>, rounds: usize) -> Result<Value> {
    let warm = place.session(4)?;
    let mut client = warm.client()?;
    let mut next = warm.client()?;
    let binary = || {
        let mut command = Command::new(place.bin.join("strongroom"));
        command.args(["exec", "--", TRUE]).env("STRONGROOM_SOCKET", warm.socket());
        command
    };
    let mut kinds = vec![
        Kind::new("bare", "bare posix_spawn", || capture(&mut Command::new(TRUE))),
        Kind::new("client", "jailed, from a client", || client.run(&[TRUE]).map(drop)),
        // Right after the one before, whose worker is being replaced.
        Kind {
            pause: Duration::ZERO,
            ..Kind::new("again", "jailed, once more at once", || next.run(&[TRUE]).map(drop))
        },
        Kind::new("binary", "jailed, through `strongroom exec`", || capture(&mut binary())),
    ];
    if place.tier == Some("full") {
        let workspace = place.base.join("workspace");
        for peer in peers::found() {
            let mut command = peer.command(&workspace, TRUE);
            let mut kind = Kind::new(peer.key, peer.what, move || capture(&mut command));
            kind.every = 4;
            kinds.push(kind);
        }
    }
    for kind in &mut kinds {
        (0..5).try_for_each(|_| (kind.run)())?;
    }
    for round in 0..rounds {
        for kind in kinds.iter_mut().filter(|kind| round % kind.every == 0) {
            kind.once()?;
        }
    }
    let usage = warm.usage()?;
    let mut rows: Vec<Value> = kinds.iter().map(row).collect();
    drop(kinds);
    drop(warm);

    // In a session of its own, whose store is always empty.
    let empty = place.session(0)?;
    let mut client = empty.client()?;
    let mut cold = Kind::new("cold", "jailed, no worker ready", || client.run(&[TRUE]).map(drop));
    (0..rounds / 4).try_for_each(|_| cold.once())?;
    rows.push(row(&cold));
    print(&rows);
    for (name, kib) in &usage.resident_kib {
        println!("resident, {name}: {kib} KiB");
    }
    Ok(json!({ "microseconds": rows, "resident_kib": usage.resident_kib }))
}

fn row(kind: &Kind<'_>) -> Value {
    let [p50, p90, p99] = [50, 90, 99].map(|percent| kind.at(percent));
    json!({ "key": kind.key, "what": kind.what, "p50": p50, "p90": p90, "p99": p99 })
}

fn print(rows: &[Value]) {
    let number = |row: &Value, key: &str| row.get(key).and_then(Value::as_f64).unwrap_or(0.0);
    let bare = |key| rows.first().map_or(1.0, |row| number(row, key));
    println!(
        "{:<40} {:>8} {:>8} {:>8}   {:>5} {:>5}",
        "microseconds", "p50", "p90", "p99", "p50", "p99"
    );
    for row in rows {
        println!(
            "{:<40} {:>8.0} {:>8.0} {:>8.0} {:>6.2}x {:>5.2}x",
            row.get("what").and_then(Value::as_str).unwrap_or_default(),
            number(row, "p50"),
            number(row, "p90"),
            number(row, "p99"),
            number(row, "p50") / bare("p50"),
            number(row, "p99") / bare("p99"),
        );
    }
}

//! `strongroom-bench BIN [--tier T] [--rounds N] [--seconds S] [--json FILE]`:
//! starts sessions and times commands in them against bare ones, side by side
//! in the same process, so that a slow machine is slow for both. Prints a
//! table; FILE gets the same as one JSON object.
//!
//! ```text
//! session     a session to measure, and what its processes use
//! latency     one command at a time
//! throughput  sixteen clients at once
//! peers       the same command in somebody else's jail
//! stream      much output
//! ```
#![forbid(unsafe_code)]

mod client;
mod latency;
mod peers;
mod session;
mod stream;
mod throughput;

use std::path::PathBuf;
use std::time::Duration;

use client::Result;
use serde_json::{Map, Value};

/// What is run: a program that does nothing.
const TRUE: &str = "/bin/true";

struct Options {
    bin: PathBuf,
    tier: Option<String>,
    rounds: usize,
    seconds: u64,
    json: Option<PathBuf>,
}

fn main() -> Result<()> {
    let options = options()?;
    let base = std::env::temp_dir().join(format!("strongroom-bench-{}", std::process::id()));
    std::fs::create_dir_all(base.join("workspace"))?;
    let place = session::Place { bin: &options.bin, base: &base, tier: options.tier.as_deref() };
    let result = measure(&options, &place);
    std::fs::remove_dir_all(&base)?;
    let result = result?;
    if let Some(file) = &options.json {
        std::fs::write(file, format!("{result:#}\n"))?;
    }
    Ok(())
}

fn options() -> Result<Options> {
    let mut args = std::env::args().skip(1);
    let bin = args.next().ok_or("usage: strongroom-bench BIN [--tier T] [--rounds N] …")?;
    let mut options = Options { bin: bin.into(), tier: None, rounds: 300, seconds: 10, json: None };
    while let Some(flag) = args.next() {
        let value = args.next().ok_or("a flag without its value")?;
        match flag.as_str() {
            "--tier" => options.tier = Some(value),
            "--rounds" => options.rounds = value.parse()?,
            "--seconds" => options.seconds = value.parse()?,
            "--json" => options.json = Some(value.into()),
            other => return Err(format!("unknown flag {other}").into()),
        }
    }
    Ok(options)
}

fn measure(options: &Options, place: &session::Place<'_>) -> Result<Value> {
    let mut report = Map::new();
    report.insert("tier".into(), options.tier.clone().into());
    report.insert("rounds".into(), options.rounds.into());
    let start = place.start_to_first_instruction()?;
    report.insert("start_ms".into(), (start.as_secs_f64() * 1e3).into());

    report.insert("latency".into(), latency::measure(place, options.rounds)?);
    let seconds = Duration::from_secs(options.seconds);
    report.insert("throughput".into(), throughput::measure(place, seconds)?);
    report.insert("stream".into(), stream::measure(place)?);
    println!("run to the agent's first instruction: {:.1} ms", start.as_secs_f64() * 1e3);
    Ok(report.into())
}

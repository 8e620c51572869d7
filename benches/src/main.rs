//! `strongroom-bench BIN [--tier T] [--rounds N]`: starts a session and times
//! commands in it against bare ones, one after the other in the same process,
//! so that a slow machine is slow for both. Prints a table, and one JSON object
//! as the last line.
#![forbid(unsafe_code)]

mod client;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use client::{Client, Result};
use serde_json::json;

struct Options {
    bin: PathBuf,
    tier: Option<String>,
    rounds: usize,
}

fn main() -> Result<()> {
    let options = options()?;
    let base = std::env::temp_dir().join(format!("strongroom-bench-{}", std::process::id()));
    std::fs::create_dir_all(base.join("workspace"))?;
    let result = measure(&options, &base);
    std::fs::remove_dir_all(&base)?;
    println!("{}", result?);
    Ok(())
}

fn options() -> Result<Options> {
    let mut args = std::env::args().skip(1);
    let bin = args.next().ok_or("usage: strongroom-bench BIN [--tier T] [--rounds N]")?;
    let mut options = Options { bin: bin.into(), tier: None, rounds: 300 };
    while let Some(flag) = args.next() {
        let value = args.next().ok_or("a flag without its value")?;
        match flag.as_str() {
            "--tier" => options.tier = Some(value),
            "--rounds" => options.rounds = value.parse()?,
            other => return Err(format!("unknown flag {other}").into()),
        }
    }
    Ok(options)
}

fn measure(options: &Options, base: &Path) -> Result<serde_json::Value> {
    let start = start_to_first_instruction(options, base)?;
    let mut session = start_session(options, base)?;
    let result = commands(options, base, session.id(), start);
    session.kill()?;
    session.wait()?;
    result
}

fn commands(
    options: &Options,
    base: &Path,
    supervisor: u32,
    start: Duration,
) -> Result<serde_json::Value> {
    let socket = base.join("state/run/agent.sock");
    let mut client = patiently(|| Client::connect(&socket))?;
    let strongroom = options.bin.join("strongroom");
    let true_program = "/bin/true";
    for _ in 0..20 {
        client.run(&[true_program])?;
    }
    let (mut bare, mut jailed, mut binary) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        bare.push(timed(|| {
            Ok(Command::new(true_program).stdin(Stdio::null()).output().map(drop)?)
        })?);
        jailed.push(timed(|| client.run(&[true_program]).map(drop))?);
        let mut through = Command::new(&strongroom);
        through.args(["exec", "--", true_program]).env("STRONGROOM_SOCKET", &socket);
        binary.push(timed(|| Ok(through.stdin(Stdio::null()).output().map(drop)?))?);
    }
    let resident = resident_kib(supervisor)?;
    let mut table = serde_json::Map::new();
    println!("{:<44} {:>8} {:>8} {:>8}", "microseconds", "p50", "p90", "p99");
    let bare = row(&mut table, "bare", "bare posix_spawn of /bin/true", bare);
    let jailed = row(&mut table, "jailed", "jailed, from a client", jailed);
    let binary = row(&mut table, "binary", "jailed, through `strongroom exec`", binary);
    println!("\nratio to bare, p50: client {:.2}, binary {:.2}", jailed / bare, binary / bare);
    println!("run to the agent's first instruction: {:.1} ms", start.as_secs_f64() * 1e3);
    println!("resident: {resident:?} KiB");
    Ok(json!({
        "tier": options.tier,
        "microseconds": table,
        "ratio_client": jailed / bare,
        "ratio_binary": binary / bare,
        "start_ms": start.as_secs_f64() * 1e3,
        "resident_kib": resident,
    }))
}

fn row(
    table: &mut serde_json::Map<String, serde_json::Value>,
    key: &str,
    what: &str,
    mut times: Vec<Duration>,
) -> f64 {
    times.sort_unstable();
    let at = |percent: usize| {
        let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(index).map_or(0.0, |t| t.as_secs_f64() * 1e6)
    };
    println!("{what:<44} {:>8.0} {:>8.0} {:>8.0}", at(50), at(90), at(99));
    table.insert(key.to_owned(), json!({"p50": at(50), "p90": at(90), "p99": at(99)}));
    at(50)
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    std::thread::sleep(Duration::from_millis(20));
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

fn run_command(options: &Options, base: &Path) -> Command {
    let mut command = Command::new(options.bin.join("strongroom"));
    command.args(["run", "--quiet", "--state"]).arg(base.join("state"));
    command.arg("--workspace").arg(base.join("workspace"));
    if let Some(tier) = &options.tier {
        command.args(["--tier", tier]);
    }
    command
}

/// The whole of `strongroom run`, with an agent that only says it is there.
fn start_to_first_instruction(options: &Options, base: &Path) -> Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        let mut child = run_command(options, base)
            .args(["--", "/bin/echo", "here"])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut first = [0];
        let mut output = child.stdout.take().ok_or("no stdout")?;
        std::io::Read::read_exact(&mut output, &mut first)?;
        best = best.min(start.elapsed());
        drop(output);
        child.wait()?;
    }
    Ok(best)
}

fn start_session(options: &Options, base: &Path) -> Result<Child> {
    // A policy without a rate limit: the rate is what is measured.
    let policy = base.join("bench.toml");
    std::fs::write(
        &policy,
        "version = 1\nextends = [\"builtin:base\"]\n[session]\ncommands-per-minute = 0\n",
    )?;
    Ok(run_command(options, base)
        .arg("--policy")
        .arg(policy)
        .args(["--", "/bin/sleep", "600"])
        .spawn()?)
}

fn patiently<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        match attempt() {
            Err(e) if Instant::now() >= until => return Err(e),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
            ok => return ok,
        }
    }
}

/// Proportional set size of the supervisor and its direct children, by name.
fn resident_kib(supervisor: u32) -> Result<Vec<(String, u64)>> {
    let children =
        std::fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children"))?;
    let pids = children.split_whitespace().map(str::to_owned);
    let mut list = Vec::new();
    for pid in std::iter::once(supervisor.to_string()).chain(pids) {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm"))?.trim().to_owned();
        let rollup =
            std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let pss = rollup.lines().find_map(|l| l.strip_prefix("Pss:"));
        let kib = pss.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse().ok());
        list.push((name, kib.unwrap_or(0)));
    }
    Ok(list)
}

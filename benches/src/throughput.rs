//! Sixteen clients at once: commands per second, bare and jailed, and whether
//! anything grows.

use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::TRUE;
use crate::client::Result;
use crate::session::{Place, Session, Usage};

/// Clients.
const CLIENTS: usize = 16;

/// Measures bare commands, then jailed ones, for so long each.
///
/// # Errors
/// A session or a command failed.
pub fn measure(place: &Place<'_>, time: Duration) -> Result<Value> {
    let bare = at_once(time / 2, |_| {
        let mut command = Command::new(TRUE);
        Ok(move || command.stdin(Stdio::null()).output().map(drop).map_err(|e| e.to_string()))
    })?;
    let session = place.session(4)?;
    // What a session needs for so many clients, it has after this.
    jailed(&session, time / 4)?;
    let before = session.usage()?;
    let inside = jailed(&session, time)?;
    let after = session.usage()?;
    println!(
        "{CLIENTS} clients: {bare:.0}/s bare, {inside:.0}/s jailed: {:.0} %",
        100.0 * inside / bare
    );
    println!("grown by: {}", growth(&before, &after));
    Ok(json!({
        "clients": CLIENTS,
        "seconds": time.as_secs(),
        "bare_per_second": bare,
        "jailed_per_second": inside,
        "growth": growth(&before, &after),
    }))
}

fn jailed(session: &Session, time: Duration) -> Result<f64> {
    at_once(time, |_| {
        let mut client = session.client().map_err(|e| e.to_string())?;
        Ok(move || client.run(&[TRUE]).map(drop).map_err(|e| e.to_string()))
    })
}

/// Runs what `prepare` returns over and over in each of the threads; how often
/// in a second.
fn at_once<F, R>(time: Duration, prepare: F) -> Result<f64>
where
    F: Fn(usize) -> std::result::Result<R, String> + Sync,
    R: FnMut() -> std::result::Result<(), String>,
{
    let total = Mutex::new(0usize);
    let start = Instant::now();
    let work = |number| -> std::result::Result<(), String> {
        let mut run = prepare(number)?;
        let mut done = 0;
        while start.elapsed() < time {
            run()?;
            done += 1;
        }
        *total.lock().map_err(|e| e.to_string())? += done;
        Ok(())
    };
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..CLIENTS).map(|n| scope.spawn(move || work(n))).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err("a thread panicked".to_owned()))
        })
    })?;
    let total = *total.lock().map_err(|e| e.to_string())?;
    Ok(total as f64 / start.elapsed().as_secs_f64())
}

fn growth(before: &Usage, after: &Usage) -> Value {
    let of = |usage: &Usage, name: &str| usage.resident_kib.get(name).copied().unwrap_or(0) as i64;
    let resident = |name| of(after, name) - of(before, name);
    json!({
        "descriptors": after.descriptors as i64 - before.descriptors as i64,
        "processes": after.processes as i64 - before.processes as i64,
        "supervisor_kib": resident("strongroom-supervisor"),
        "broker_kib": resident("strongroom-broker"),
        "recorder_kib": resident("strongroom-recorder"),
    })
}

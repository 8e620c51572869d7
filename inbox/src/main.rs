//! `strongroom-inbox`: a small web page on loopback where a human decides what
//! waits for a decision and enters credentials, and webhooks that tell that
//! something waits.
//!
//! ```text
//! browser ── serve ── guard ── app ── desk ── broker ── channel O
//!                              door          views (html, rows)
//! watch ── deliver ── a receiver of webhooks
//! ```
//!
//! A program of its own: an HTTP stack has no place in the command line, in
//! the supervisor's processes or in the broker. It is a client of channel O
//! like `strongroom approvals`, and can do no more.
#![forbid(unsafe_code)]

mod app;
mod broker;
mod deliver;
mod desk;
mod door;
mod form;
mod guard;
mod html;
mod log;
mod options;
mod place;
mod reply;
mod serve;
mod style;
mod tail;
mod time;
mod views;
mod watch;
mod webhook;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use nix::sys::resource::{Resource, setrlimit};
use strongroom_protocol::codes::Code;
use strongroom_sys::process;
use strongroom_sys::wipe::Wiping;

use crate::app::App;
use crate::door::Door;
use crate::options::{Options, Serve};
use crate::webhook::Key;

/// A credential's value passes through buffers of libraries.
#[global_allocator]
static MEMORY: Wiping = Wiping;

/// Webhooks that wait for their receiver.
const MAX_EVENTS: usize = 64;

fn main() -> ExitCode {
    // Before anything opens a file: it must not land on 0, 1 or 2.
    let standard = strongroom_sys::fd::fill_standard();
    match standard.map_err(|e| failed("/dev/null", &e.into())).and_then(|()| run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, words)) => {
            let entry = code.entry();
            eprintln!("strongroom: {code}: {}: {words}\n  instead: {}", entry.what, entry.instead);
            ExitCode::from(u8::try_from(entry.exit).unwrap_or(125))
        }
    }
}

type Failure = (Code, String);

fn failed(what: &str, error: &std::io::Error) -> Failure {
    (Code::StartFailed, format!("{what}: {error}"))
}

fn run() -> Result<(), Failure> {
    let options = Options::parse(std::env::args_os().skip(1));
    match options.map_err(|why| (Code::StartFailed, why))? {
        Options::NewKey(path) => {
            let key = Key::create(&path).map_err(|e| failed("--new-webhook-key", &e))?;
            print(&key.public());
            Ok(())
        }
        Options::Serve(serve) => {
            // No core file, and no other process of the user looks into it.
            process::set_dumpable(false).map_err(|e| failed("not dumpable", &e.into()))?;
            setrlimit(Resource::RLIMIT_CORE, 0, 0)
                .map_err(|e| failed("no core file", &e.into()))?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(8)
                .build()
                .map_err(|e| failed("the runtime", &e))?;
            runtime.block_on(open(*serve))
        }
    }
}

async fn open(options: Serve) -> Result<(), Failure> {
    let Serve { seat, listen, webhook } = options;
    if let Some((to, path)) = webhook {
        let key = Key::read(&path).map_err(|e| failed("--webhook-key", &e))?;
        let (out, events) = tokio::sync::mpsc::channel(MAX_EVENTS);
        let seat = seat.clone();
        std::thread::spawn(move || watch::watch(&seat, &out));
        tokio::spawn(deliver::deliver(events, to, key));
    }
    let (listener, hosts, url) = listen.open().map_err(|e| failed("cannot listen", &e))?;
    let no_random = |e: strongroom_sys::Errno| failed("no randomness", &e.into());
    let (door, code) = Door::new(Instant::now()).map_err(no_random)?;
    let announce = move |code: &str| print(&format!("{url}  one-time code {code}"));
    announce(&code);
    drop(code);
    let app = App::new(seat, hosts, door, Box::new(announce));
    serve::serve(Arc::new(app), listener).await
}

/// Says something on standard output: a reader that has gone is no error.
fn print(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

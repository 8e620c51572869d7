//! `strongroom-mcp`: the agent's verbs as tools of the Model Context Protocol,
//! on standard input and output. `strongroom mcp` becomes it.
//!
//! ```text
//! server    the protocol's side: which tools, one call
//! tools     the tools: names, words, schemas
//! call      one call, done over channel A, with progress and cancellation
//! once      a call that is made again is not done again
//! capture   output, as much of it as fits
//! reply     what a model is told
//! announce  where a human decides
//! ```
//!
//! A program of its own: the SDK and its runtime have no place in the command
//! line. It runs in the agent's jail with the agent's socket, and can do no
//! more than `strongroom exec` there.
#![forbid(unsafe_code)]

mod announce;
mod call;
mod capture;
mod once;
mod reply;
mod server;
mod tools;

use std::process::ExitCode;

use rmcp::ServiceExt as _;
use rmcp::transport::stdio;
use strongroom_client::Line;
use strongroom_protocol::codes::Code;

use crate::server::{MAX_IN_FLIGHT, Server};

fn main() -> ExitCode {
    // Before anything opens a file: it must not land on 0, 1 or 2.
    let standard = strongroom_sys::fd::fill_standard();
    match standard.map_err(|e| (Code::StartFailed, e.desc().to_owned())).and_then(|()| run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, words)) => {
            let entry = code.entry();
            eprintln!("strongroom: {code}: {}: {words}\n  instead: {}", entry.what, entry.instead);
            ExitCode::from(u8::try_from(entry.exit).unwrap_or(125))
        }
    }
}

fn run() -> Result<(), (Code, String)> {
    // Where there is no session, say so now and not at the first call.
    Line::open().map_err(|e| (e.code(), e.message()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // One for each call in flight, one each for the standard streams.
        .max_blocking_threads(MAX_IN_FLIGHT + 4)
        .build()
        .map_err(|e| (Code::StartFailed, e.to_string()))?;
    let served = runtime.block_on(async {
        let service = Server::new().serve(stdio()).await.map_err(|e| e.to_string())?;
        service.waiting().await.map(drop).map_err(|e| e.to_string())
    });
    // What still runs was asked for by a client that has gone: its connections
    // close with this process, and the broker ends it.
    runtime.shutdown_background();
    served.map_err(|words| (Code::Protocol, words))
}

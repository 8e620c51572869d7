//! `strongroom api` and `strongroom mcp`: the agent's verbs for programs.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use strongroom_api::serve::serve;
use strongroom_client::Line;
use strongroom_protocol::codes::Code;

use crate::error::{Failure, shown};
use crate::programs::{MCP, companion};

/// Answers lines of JSON on standard input until it ends.
///
/// # Errors
/// [`Code::NoSession`] at once where there is none.
pub fn api() -> Result<i32, Failure> {
    Line::open()?;
    serve(std::io::stdin().lock(), std::io::stdout())
        .map_err(|e| Failure::new(Code::Internal, format!("standard input: {e}")))?;
    Ok(0)
}

/// Becomes the program that speaks MCP. That one has an SDK and an async
/// runtime, which have no place here.
///
/// # Errors
/// [`Code::InstallBroken`].
pub fn mcp() -> Result<i32, Failure> {
    let path = companion(MCP)?;
    // Comes back only where it failed.
    let error = Command::new(&path).exec();
    Err(Failure::new(Code::InstallBroken, format!("{}: {error}", shown(&path))))
}

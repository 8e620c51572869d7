//! `strongroom api`: the agent's verbs for programs.

use strongroom_api::serve::serve;
use strongroom_client::Line;
use strongroom_protocol::codes::Code;

use crate::error::Failure;

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

//! What the agent's verbs have in common when they speak: that a human is
//! asked, and that a request was refused.

use strongroom_client::Error;
use strongroom_protocol::channel::a::Denial;
use strongroom_protocol::types::ApprovalId;

use crate::error::{Failure, print, warn, warn_raw};
use crate::operator::age;
use crate::report;
use crate::style::Style;

/// Tells that a human is asked. Not on standard output, which is for what
/// comes of it.
pub fn waiting(approval: ApprovalId, left_ms: u64, json: bool) {
    let ApprovalId(id) = approval;
    if json {
        let object =
            format!("{{\"v\":1,\"waiting\":{{\"approval\":{id},\"left_ms\":{left_ms}}}}}\n");
        warn_raw(&object);
    } else {
        warn(&format!("waiting for a human: approval {id}, {} left", age(left_ms)));
    }
}

/// Tells of a refusal, and gives the exit status.
///
/// # Errors
/// Everything but a refusal, passed on.
pub fn told(error: Error, json: bool) -> Result<i32, Failure> {
    match error {
        Error::Refused(denial) => Ok(refused(&denial, json)),
        other => Err(other.into()),
    }
}

/// Tells of a refusal, and gives the exit status.
pub fn refused(denial: &Denial, json: bool) -> i32 {
    if json {
        print(&format!("{}\n", report::denied(denial)));
    } else {
        warn_raw(&report::denied_text(denial, Style::of(&std::io::stderr())));
    }
    denial.code.entry().exit
}

//! `strongroom inbox`: becomes the program that serves it. That one has an
//! HTTP stack, which has no place here.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use strongroom_protocol::codes::Code;

use crate::args::inbox::Inbox;
use crate::error::{Failure, shown};
use crate::programs::companion;
use crate::state::Wanted;

/// The program.
const PROGRAM: &str = "strongroom-inbox";

/// Becomes it.
///
/// # Errors
/// [`Code::InstallBroken`]; [`Code::NoSession`] where this user has no usual
/// state folder.
pub fn inbox(args: &Inbox) -> Result<i32, Failure> {
    let path = companion(PROGRAM)?;
    let mut command = Command::new(&path);
    if args.new_webhook_key.is_none() {
        command.arg("--state").arg(Wanted::from(args.seat.state.folder.as_deref()).path()?);
    }
    let listen = args.listen.map(|address| address.to_string());
    let approver = args.seat.approver.as_ref().map(|name| name.as_str());
    let mut give = |name: &str, value: Option<&OsStr>| {
        if let Some(value) = value {
            command.arg(name).arg(value);
        }
    };
    give("--as", approver.map(OsStr::new));
    give("--listen", listen.as_deref().map(OsStr::new));
    give("--unix", args.unix.as_deref().map(OsStr::new));
    give("--webhook", args.webhook.as_deref().map(OsStr::new));
    give("--notify", args.notify.as_deref().map(OsStr::new));
    give("--webhook-key", args.webhook_key.as_deref().map(OsStr::new));
    give("--new-webhook-key", args.new_webhook_key.as_deref().map(OsStr::new));
    // Comes back only where it failed.
    let error = command.exec();
    Err(Failure::new(Code::InstallBroken, format!("{}: {error}", shown(&path))))
}

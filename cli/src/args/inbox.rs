//! The verb that starts the web inbox, as types.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::approvals::Seat;

/// `strongroom inbox`.
#[derive(Debug, Args)]
#[command(
    after_help = "Prints the address and a one-time code to log in with, and serves until it is ended. It does for a \
browser what `approvals` and `credentials put` do on a terminal. Only loopback; from another machine, forward a port to \
it or to the socket (`ssh -L`).\n\n\
A webhook says that something waits, or is settled, and never what; nothing can be decided with it. It is signed by the \
Standard Webhooks specification (ed25519)."
)]
pub struct Inbox {
    #[command(flatten)]
    pub seat: Seat,
    /// Listen here. Without it at an address of 127.0.0.0/8 drawn by chance,
    /// because browsers share cookies among all ports of one address.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = loopback, conflicts_with = "unix")]
    pub listen: Option<SocketAddr>,
    /// Listen at this Unix socket, for a port that is forwarded to it.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub unix: Option<PathBuf>,
    /// Send webhooks to this receiver: http, on loopback.
    #[arg(long, value_name = "URL", requires = "webhook_key")]
    pub webhook: Option<String>,
    /// Start this program for each webhook: the message on its standard
    /// input, WEBHOOK_ID, WEBHOOK_TIMESTAMP and WEBHOOK_SIGNATURE in its
    /// environment.
    #[arg(long, value_name = "PROGRAM", requires = "webhook_key", conflicts_with = "webhook", value_hint = ValueHint::ExecutablePath)]
    pub notify: Option<PathBuf>,
    /// The key that signs webhooks.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub webhook_key: Option<PathBuf>,
    /// Make such a key in a new file, print its public part, and do nothing
    /// else.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["listen", "unix", "webhook", "notify", "webhook_key", "folder", "approver"])]
    pub new_webhook_key: Option<PathBuf>,
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "an address and a port, such as 127.0.0.1:8000".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("not an address of loopback".to_owned())
    }
}

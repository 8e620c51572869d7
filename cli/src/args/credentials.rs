//! The verbs about credentials, as types.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use strongroom_protocol::types::{CredentialName, Reason};

use super::approvals::Patience;
use super::vault::{Key, descriptor};
use super::{State, credential, reason};

/// `strongroom credentials`.
#[derive(Debug, Args)]
#[command(
    after_help = "Values are never shown: there is no verb that reads one. While a session runs, its broker does what \
the operator asks; without one, put, delete, revoke and import change the vault file itself."
)]
pub struct Credentials {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Where the credentials are: a session's state folder, and the key of the
/// vault in it for when no session runs.
#[derive(Debug, Args)]
pub struct Where {
    #[command(flatten)]
    pub state: State,
    #[command(flatten)]
    pub key: Key,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List credentials, never a value. In a session the agent sees those of
    /// its commands.
    List {
        #[command(flatten)]
        place: Where,
    },
    /// Ask a human to enter a credential (agent side).
    Request {
        /// Which.
        #[arg(value_name = "NAME", value_parser = credential)]
        name: CredentialName,
        /// Why, in your own words.
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: Reason,
    },
    /// Enter a credential, or a new value for one.
    ///
    /// The value is typed twice, without being shown; or it comes through
    /// --fd, or on standard input where that is no terminal. It is never an
    /// argument: other users can see those.
    Put {
        /// Which.
        #[arg(value_name = "NAME", value_parser = credential)]
        name: CredentialName,
        #[command(flatten)]
        place: Where,
        /// Read the value from this descriptor.
        #[arg(long, value_name = "N", value_parser = descriptor)]
        fd: Option<i32>,
        /// Keep the line end at the end of a value that is a single line.
        #[arg(long)]
        exact: bool,
        /// Take a value that is short or easily guessed, and so not hidden
        /// everywhere.
        #[arg(long)]
        force: bool,
    },
    /// Delete a credential: its value and its name. An agent needs the word of
    /// a human for it.
    Delete {
        /// Which.
        #[arg(value_name = "NAME", value_parser = credential)]
        name: CredentialName,
        #[command(flatten)]
        place: Where,
        /// Why, in the agent's own words, for the human who is asked.
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: Option<Reason>,
        #[command(flatten)]
        patience: Patience,
    },
    /// Erase a credential's value and end every command that holds it; its
    /// name stays.
    Revoke {
        /// Which.
        #[arg(value_name = "NAME", value_parser = credential)]
        name: CredentialName,
        #[command(flatten)]
        place: Where,
    },
    /// Enter every file of a folder, named after the credential it holds:
    /// `github-token` is GITHUB_TOKEN.
    Import {
        /// The folder, as Docker and Kubernetes mount secrets.
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        secrets: PathBuf,
        #[command(flatten)]
        place: Where,
        /// Take values that are short or easily guessed.
        #[arg(long)]
        force: bool,
    },
    /// Show which credentials agents ask for. `put` grants such a request.
    Requests {
        #[command(flatten)]
        state: State,
    },
    /// Forget such a request.
    Dismiss {
        /// Its number, from `strongroom credentials requests`.
        request: u32,
        #[command(flatten)]
        state: State,
    },
}

/// A credential that comes through a descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handed {
    /// Its name.
    pub name: CredentialName,
    /// The descriptor's number.
    pub fd: i32,
}

/// Reads `NAME=fd:N`.
///
/// # Errors
/// What is wrong, in words.
pub fn handed(text: &str) -> Result<Handed, String> {
    let (name, fd) = text
        .split_once("=fd:")
        .ok_or("NAME=fd:N, such as GITHUB_TOKEN=fd:5; a value is never an argument")?;
    Ok(Handed { name: credential(name)?, fd: descriptor(fd)? })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn credentials_by_descriptor() {
        let got = handed("A_KEY=fd:5").unwrap();
        assert_eq!((got.name.as_str(), got.fd), ("A_KEY", 5));
        for bad in ["A_KEY", "A_KEY=value", "a=fd:5", "A=fd:1", "A=fd:", "=fd:5", "A=fd:-1"] {
            assert!(handed(bad).is_err(), "{bad}");
        }
    }
}

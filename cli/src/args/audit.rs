//! `strongroom audit` as types.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand, ValueHint};
use strongroom_audit::schema::Level;
use strongroom_audit::time;
use strongroom_protocol::codes::Code;
use strongroom_protocol::types::{CredentialName, Name};

use super::State;

/// `strongroom audit`.
#[derive(Debug, Args)]
pub struct Audit {
    /// What to do.
    #[command(subcommand)]
    pub verb: AuditVerb,
}

/// The verbs of `strongroom audit`. They read the log's files and need no
/// session.
#[derive(Debug, Subcommand)]
pub enum AuditVerb {
    /// Say whether the log is what was written, and up to where that is sure.
    Verify(Verify),
    /// Show records: all, or those asked for.
    Show(Show),
    /// Show the last records, and those to come.
    Tail(Tail),
    /// Print records as OCSF events, one JSON object a line.
    Export(Export),
}

/// Where the log is.
#[derive(Debug, Args)]
pub struct Log {
    #[command(flatten)]
    pub state: State,
    /// Folder of the log itself, in the place of a state folder: a copy.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "folder")]
    pub log: Option<PathBuf>,
}

/// `strongroom audit verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 when nothing is wrong with what is there, 1 when the log was tampered with or its two \
accounts differ, 78 when it cannot be read."
)]
pub struct Verify {
    #[command(flatten)]
    pub log: Log,
    /// The log's first public key, or a file with it: as it was noted down
    /// when the log began, elsewhere than beside the log.
    #[arg(long, value_name = "KEY|FILE")]
    pub key: Option<String>,
    /// A file to which a witness has written checkpoints, between any other
    /// lines. May be given more than once.
    #[arg(long = "witness", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub witnesses: Vec<PathBuf>,
}

/// Which records are asked for.
#[derive(Debug, Args)]
pub struct Asked {
    /// Not before this: 2026-01-31, 2026-01-31T23:59:59Z, or so long ago: 90m, 24h.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<i64>,
    /// Not after this.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<i64>,
    /// Of the session whose name begins so.
    #[arg(long, value_name = "NAME", value_parser = session)]
    pub session: Option<String>,
    /// With this name: intent, denied, outcome, credential, …
    #[arg(long, value_name = "NAME")]
    pub event: Option<String>,
    /// Of the command with this number.
    #[arg(long, value_name = "N")]
    pub command: Option<u64>,
    /// Decided by this rule of the policy.
    #[arg(long, value_name = "RULE", value_parser = super::name)]
    pub rule: Option<Name>,
    /// About this request for approval.
    #[arg(long, value_name = "ID")]
    pub approval: Option<u64>,
    /// About this credential.
    #[arg(long, value_name = "KEY", value_parser = super::credential)]
    pub credential: Option<CredentialName>,
    /// With this code.
    #[arg(long, value_parser = super::code)]
    pub code: Option<Code>,
    /// At least this grave: info, notice, warning, alert.
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    pub level: Option<Level>,
    /// With this text somewhere.
    #[arg(long = "match", value_name = "TEXT")]
    pub text: Option<String>,
}

/// `strongroom audit show`.
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    pub log: Log,
    #[command(flatten)]
    pub asked: Asked,
}

/// `strongroom audit tail`.
#[derive(Debug, Args)]
pub struct Tail {
    #[command(flatten)]
    pub log: Log,
    #[command(flatten)]
    pub asked: Asked,
    /// So many records first.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10)]
    pub lines: usize,
    /// Print checkpoints and nothing else, one JSON object a line, a second
    /// after they were made: for a witness on another machine.
    #[arg(long)]
    pub checkpoints: bool,
    /// Do not wait for more.
    #[arg(long)]
    pub no_follow: bool,
}

/// `strongroom audit export`.
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    pub log: Log,
    #[command(flatten)]
    pub asked: Asked,
}

fn level(text: &str) -> Result<Level, String> {
    Level::parse(text).ok_or_else(|| "info, notice, warning or alert".to_owned())
}

fn session(text: &str) -> Result<String, String> {
    let hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if hex && !text.is_empty() { Ok(text.to_owned()) } else { Err("hexadecimal digits".to_owned()) }
}

/// Microseconds since 1970.
pub fn moment(text: &str) -> Result<i64, String> {
    const FORM: &str = "2026-01-31, 2026-01-31T23:59:59Z (UTC), or so long ago: 90m, 24h";
    if let Ok(ago) = super::duration(text) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        let ago = i64::try_from(ago.get()).ok().and_then(|ms| ms.checked_mul(1000));
        return Ok(now.saturating_sub(ago.unwrap_or(i64::MAX)));
    }
    let whole = match text.len() {
        10 => format!("{text}T00:00:00.000000Z"),
        20 => text.replace('Z', ".000000Z"),
        _ => text.to_owned(),
    };
    time::micros(&whole).ok_or_else(|| FORM.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        assert_eq!(moment("1970-01-02"), Ok(86_400_000_000));
        assert_eq!(moment("1970-01-01T00:00:01Z"), Ok(1_000_000));
        assert_eq!(moment("1970-01-01T00:00:01.000002Z"), Ok(1_000_002));
        assert!(moment("1h").is_ok_and(|then| then > 1_600_000_000_000_000));
        for bad in ["", "yesterday", "1970-13-01", "1970-01-01T00:00:01", "1970-01-01 00:00:01"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }
}

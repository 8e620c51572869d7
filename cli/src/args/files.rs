//! The verbs that write files for an agent and read its log, as types.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use strongroom_protocol::channel::a::Level;
use strongroom_protocol::types::Reason;

use super::approvals::Patience;
use super::reason;

/// `strongroom write`.
#[derive(Debug, Args)]
#[command(override_usage = "strongroom write [OPTIONS] PATH <CONTENT")]
#[command(
    after_help = "The content comes on standard input. ${credentials.NAME} in it stands for the value of a credential, \
${credentials.NAME|FILTER} for the value as that format writes it: json, yaml, toml, dotenv, shell, url, base64 or raw. \
Without a filter the file's name decides. $${ is the text itself.\n\n\
A file with placeholders is sealed: the workspace shows a link, and only commands that are granted every credential in \
it can read what it leads to. `strongroom read` shows it as it was written.\n\n\
Exit status: 0 written; 77 denied or a placeholder that cannot be filled in; 75 approval timed out; 125 not written."
)]
pub struct Write {
    /// Where, in the workspace.
    #[arg(value_hint = ValueHint::FilePath)]
    pub path: PathBuf,
    /// Its mode, in octal. Without it 0600 for a new file, and an old one's is
    /// kept.
    #[arg(long, value_name = "MODE", value_parser = mode)]
    pub mode: Option<u16>,
    /// Write real values into the workspace, where the policy allows it.
    #[arg(long)]
    pub plain: bool,
    /// Seal a file that has placeholders. This is the default.
    #[arg(long, alias = "seal", conflicts_with = "plain")]
    pub sealed: bool,
    /// Why, in your own words, for the human who may be asked.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: Option<Reason>,
    #[command(flatten)]
    pub patience: Patience,
}

/// `strongroom read`.
#[derive(Debug, Args)]
pub struct Read {
    /// Where, in the workspace.
    #[arg(value_hint = ValueHint::FilePath)]
    pub path: PathBuf,
}

/// `strongroom log`.
#[derive(Debug, Args)]
#[command(
    after_help = "The latest 1024 records of this session about its agent and the agent's commands: what was asked for, \
refused, and how it ended. The log itself is the operator's (`strongroom audit`)."
)]
pub struct Log {
    /// Not before this: 2026-01-31, 2026-01-31T23:59:59Z, or so long ago: 90m, 24h.
    #[arg(long, value_name = "TIME", value_parser = super::audit::moment)]
    pub since: Option<i64>,
    /// At least this grave: info, notice, warning.
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = crate::log::level)]
    pub level: Level,
    /// With this text somewhere.
    #[arg(long = "match", value_name = "TEXT", value_parser = reason)]
    pub pattern: Option<Reason>,
}

fn mode(text: &str) -> Result<u16, String> {
    match u16::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 && text.starts_with(|c: char| c.is_ascii_digit()) => Ok(mode),
        _ => Err("three octal digits, such as 640".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::mode;

    #[test]
    fn modes() {
        for (text, want) in [
            ("600", Some(0o600)),
            ("0640", Some(0o640)),
            ("777", Some(0o777)),
            ("0", Some(0)),
            ("4755", None),
            ("1777", None),
            ("+600", None),
            ("8", None),
            ("u+x", None),
            ("", None),
        ] {
            assert_eq!(mode(text).ok(), want, "{text:?}");
        }
    }
}

//! What the agent's verbs say at the end: JSON for agents, a few lines for
//! people. The shapes are a contract: fields may be added, never changed.

use serde::Serialize;
use strongroom_protocol::channel::a::{Denial, Outcome, Report, Spot};
use strongroom_protocol::codes::{Code, exit};
use strongroom_protocol::receipt::{Receipt, landlock, ns};
use strongroom_protocol::types::CredentialName;

use crate::signals;
use crate::style::Style;

/// The exit status for an outcome (design.md section 10).
pub fn exit_status(outcome: Outcome) -> i32 {
    match outcome {
        Outcome::Exited(status) => i32::from(status),
        Outcome::Signalled(signal) => exit::SIGNALLED + i32::from(signal),
        Outcome::Ended(code) => match code.entry().exit {
            // A notice is not an end; only a broken broker sends it as one.
            0 => exit::OWN_FAILURE,
            status => status,
        },
    }
}

/// A command that ran, as one object.
pub fn ended(argv: &[Vec<u8>], report: &Report, stdout: &[u8], stderr: &[u8]) -> String {
    let code = match report.outcome {
        Outcome::Ended(code) => Some(code),
        _ => None,
    };
    crate::error::to_json(&Ended {
        v: 1,
        argv: argv.iter().map(|a| String::from_utf8_lossy(a).into_owned()).collect(),
        exit: exit_status(report.outcome),
        signal: match report.outcome {
            Outcome::Signalled(signal) => Some(signals::name(signal)),
            _ => None,
        },
        code: code.map(|c| c.to_string()),
        message: code.map(|c| c.entry().what),
        stdout: String::from_utf8_lossy(stdout).into_owned(),
        stdout_base64: exact(stdout),
        stderr: String::from_utf8_lossy(stderr).into_owned(),
        stderr_base64: exact(stderr),
        output_cut: report.output_cut,
        masked: report.masked,
        withheld: report.withheld,
        protected: protected(report),
        usage: Usage {
            wall_us: report.usage.wall_us,
            user_us: report.usage.user_us,
            system_us: report.usage.system_us,
            max_rss_kib: report.usage.max_rss_kib,
            stdout_bytes: report.stdout_bytes,
            stderr_bytes: report.stderr_bytes,
        },
        receipt: report.receipt.as_ref().map(ReceiptJson::from),
    })
}

/// A refusal, as one object.
pub fn denied(denial: &Denial) -> String {
    denied_at(denial, None)
}

/// A refusal because of a place in a file, as one object.
pub fn misplaced(code: Code, spot: &Spot) -> String {
    denied_at(
        &Denial::from(code),
        Some(SpotJson {
            key: spot.key.as_ref().map(CredentialName::as_str),
            line: spot.line,
            column: spot.column,
            context: spot.context.as_str(),
            what: spot.what.display(),
        }),
    )
}

/// The same for people, as compilers say it.
pub fn misplaced_text(path: &str, code: Code, spot: &Spot, style: Style) -> String {
    let Spot { key, line, column, context, what } = spot;
    let key = key.as_ref().map_or_else(String::new, |key| format!("{}: ", key.as_str()));
    let head =
        format!("{code}: {path}:{line}:{column}: {key}{} ({})", what.display(), context.as_str());
    format!(
        "strongroom: {}\n  instead: {}\n  more: strongroom explain {code}\n",
        style.bad(&head),
        code.entry().instead
    )
}

fn denied_at(denial: &Denial, spot: Option<SpotJson<'_>>) -> String {
    let entry = denial.code.entry();
    crate::error::to_json(&Denied {
        v: 1,
        denied: DeniedBody {
            code: entry.code.to_string(),
            what: entry.what,
            instead: entry.instead,
            ask: entry.ask.as_str(),
            why: denial.why.as_ref().map(|w| w.display()),
            spot,
        },
        exit: entry.exit,
    })
}

/// A refusal, for people.
pub fn denied_text(denial: &Denial, style: Style) -> String {
    let why = denial.why.as_ref().map(|w| format!("  why: {}\n", w.display()));
    notice(denial.code, why.as_deref().unwrap_or_default(), style)
}

/// What is to be said about a command that ran, for people; mostly nothing.
pub fn notices(report: &Report, style: Style) -> String {
    let mut text = String::new();
    if let Outcome::Ended(code) = report.outcome {
        text.push_str(&notice(code, "", style));
    }
    if report.output_cut {
        text.push_str(&notice(Code::OutputCut, "", style));
    }
    if report.withheld {
        text.push_str(&notice(Code::TooManyMasks, "", style));
    }
    if report.masked > 0 {
        let values = if report.masked == 1 { "value was" } else { "values were" };
        text.push_str(&format!("strongroom: {} secret {values} masked\n", report.masked));
    }
    let names = protected(report);
    if !names.is_empty() {
        text.push_str(&notice(
            Code::ProtectedName,
            &format!("  names: {}\n", names.join(", ")),
            style,
        ));
    }
    text
}

fn notice(code: Code, more: &str, style: Style) -> String {
    let entry = code.entry();
    let head = style.bad(&format!("{code}: {}", entry.what));
    format!(
        "strongroom: {head}\n{more}  instead: {}\n  more: strongroom explain {code}\n",
        entry.instead
    )
}

fn protected(report: &Report) -> Vec<String> {
    report.protected.as_slice().iter().map(|p| p.display()).collect()
}

/// Bytes that are not UTF-8, for those who need them exactly.
pub fn exact(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).is_err().then(|| base64(bytes))
}

/// Base64 with padding (RFC 4648 section 4).
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let six = (group >> (18 - 6 * place)) & 63;
            let letter = ALPHABET.get(six as usize).copied().unwrap_or(b'=');
            text.push(if place > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

#[derive(Serialize)]
struct Ended<'a> {
    v: u8,
    argv: Vec<String>,
    exit: i32,
    signal: Option<String>,
    code: Option<String>,
    message: Option<&'a str>,
    stdout: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout_base64: Option<String>,
    stderr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr_base64: Option<String>,
    output_cut: bool,
    masked: u64,
    withheld: bool,
    protected: Vec<String>,
    usage: Usage,
    receipt: Option<ReceiptJson>,
}

#[derive(Serialize)]
struct Usage {
    wall_us: u64,
    user_us: u64,
    system_us: u64,
    max_rss_kib: u64,
    stdout_bytes: u64,
    stderr_bytes: u64,
}

#[derive(Serialize)]
struct Denied<'a> {
    v: u8,
    denied: DeniedBody<'a>,
    exit: i32,
}

#[derive(Serialize)]
struct DeniedBody<'a> {
    code: String,
    what: &'a str,
    instead: &'a str,
    ask: &'a str,
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spot: Option<SpotJson<'a>>,
}

#[derive(Serialize)]
struct SpotJson<'a> {
    key: Option<&'a str>,
    line: u32,
    column: u32,
    context: &'a str,
    what: String,
}

#[derive(Serialize)]
struct ReceiptJson {
    tier: &'static str,
    uid: u32,
    gid: u32,
    namespaces: Vec<&'static str>,
    proc: &'static str,
    landlock: Landlock,
    seccomp_filters: u8,
    no_new_privs: bool,
    capabilities: &'static str,
    kill_all: &'static str,
    limits: &'static str,
    protect: &'static str,
    metadata: &'static str,
    private_tmp: &'static str,
    shared_shm: bool,
}

#[derive(Serialize)]
struct Landlock {
    abi: u8,
    filesystem: Vec<String>,
    network: Vec<String>,
    scopes: Vec<String>,
}

impl From<&Receipt> for ReceiptJson {
    fn from(receipt: &Receipt) -> Self {
        Self {
            tier: receipt.tier.as_str(),
            uid: receipt.uid,
            gid: receipt.gid,
            namespaces: ns::names(receipt.namespaces).collect(),
            proc: receipt.proc_view.as_str(),
            landlock: Landlock {
                abi: receipt.landlock_abi,
                filesystem: landlock::names(receipt.landlock_fs, landlock::FILESYSTEM).collect(),
                network: landlock::names(receipt.landlock_net, landlock::NETWORK).collect(),
                scopes: landlock::names(receipt.landlock_scopes, landlock::SCOPES).collect(),
            },
            seccomp_filters: receipt.seccomp_filters,
            no_new_privs: receipt.unprivileged,
            capabilities: receipt.capabilities(),
            kill_all: receipt.kill_all.as_str(),
            limits: receipt.limits.as_str(),
            protect: receipt.protect.as_str(),
            metadata: receipt.metadata.as_str(),
            private_tmp: receipt.private_tmp(),
            shared_shm: receipt.shared_shm,
        }
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;

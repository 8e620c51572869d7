//! What `strongroom exec` says at the end: JSON for agents, a few lines for
//! people. The shapes are a contract: fields may be added, never changed.

use serde::Serialize;
use strongroom_protocol::channel::a::{Denial, Outcome, Report};
use strongroom_protocol::codes::{Code, exit};
use strongroom_protocol::receipt::{Receipt, ns};

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
    let entry = denial.code.entry();
    crate::error::to_json(&Denied {
        v: 1,
        denied: DeniedBody {
            code: entry.code.to_string(),
            what: entry.what,
            instead: entry.instead,
            ask: entry.ask.as_str(),
            why: denial.why.as_ref().map(|w| w.display()),
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

fn exact(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).is_err().then(|| base64(bytes))
}

/// Base64 with padding (RFC 4648 section 4).
fn base64(bytes: &[u8]) -> String {
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
                filesystem: rights(receipt.landlock_fs, FILESYSTEM),
                network: rights(receipt.landlock_net, NETWORK),
                scopes: rights(receipt.landlock_scopes, SCOPES),
            },
            seccomp_filters: receipt.seccomp_filters,
            no_new_privs: receipt.unprivileged,
            capabilities: if receipt.unprivileged { "none" } else { "unknown" },
            kill_all: receipt.kill_all.as_str(),
            limits: receipt.limits.as_str(),
            protect: receipt.protect.as_str(),
            metadata: receipt.metadata.as_str(),
            private_tmp: if receipt.private_tmpfs { "tmpfs" } else { "folder" },
            shared_shm: receipt.shared_shm,
        }
    }
}

/// Names of LANDLOCK_ACCESS_FS_*, by bit (linux/landlock.h).
const FILESYSTEM: &[&str] = &[
    "execute",
    "write-file",
    "read-file",
    "read-dir",
    "remove-dir",
    "remove-file",
    "make-char",
    "make-dir",
    "make-reg",
    "make-sock",
    "make-fifo",
    "make-block",
    "make-sym",
    "refer",
    "truncate",
    "ioctl-dev",
];

/// Names of LANDLOCK_ACCESS_NET_*, by bit.
const NETWORK: &[&str] = &["bind-tcp", "connect-tcp"];

/// Names of LANDLOCK_SCOPE_*, by bit.
const SCOPES: &[&str] = &["abstract-unix-socket", "signal"];

/// The names of the set bits; a bit newer than this table by its number.
fn rights(bits: u64, names: &[&str]) -> Vec<String> {
    (0..64usize)
        .filter(|bit| bits >> bit & 1 == 1)
        .map(|bit| names.get(bit).map_or_else(|| format!("bit-{bit}"), |n| (*n).to_owned()))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use strongroom_protocol::channel::a;
    use strongroom_protocol::receipt::{KillAll, LimitsBy, MetadataBy, ProcView, ProtectBy, Tier};
    use strongroom_protocol::types::{List, PathBytes, Reason};

    fn report(outcome: Outcome) -> Report {
        Report {
            outcome,
            usage: a::Usage { wall_us: 1, user_us: 2, system_us: 3, max_rss_kib: 4 },
            stdout_bytes: 3,
            stderr_bytes: 2,
            output_cut: false,
            protected: List::empty(),
            receipt: None,
        }
    }

    fn receipt() -> Receipt {
        Receipt {
            tier: Tier::Full,
            uid: 1000,
            gid: 1000,
            namespaces: 63,
            proc_view: ProcView::Own,
            landlock_abi: 7,
            landlock_fs: 0b1_0000_0000_0000_0101,
            landlock_net: 3,
            landlock_scopes: 3,
            seccomp_filters: 3,
            unprivileged: true,
            kill_all: KillAll::PidNamespace,
            limits: LimitsBy::Watchdog,
            protect: ProtectBy::Mounts,
            metadata: MetadataBy::MountNamespace,
            private_tmpfs: true,
            shared_shm: false,
        }
    }

    #[test]
    fn exit_statuses() {
        for (outcome, want) in [
            (Outcome::Exited(0), 0),
            (Outcome::Exited(3), 3),
            (Outcome::Exited(255), 255),
            (Outcome::Signalled(9), 137),
            (Outcome::Signalled(15), 143),
            (Outcome::Ended(Code::WallTime), 124),
            (Outcome::Ended(Code::CpuTime), 124),
            (Outcome::Ended(Code::Memory), 137),
            (Outcome::Ended(Code::NotFound), 127),
            (Outcome::Ended(Code::CannotExecute), 126),
            (Outcome::Ended(Code::JailFailed), 125),
            (Outcome::Ended(Code::WorkerLost), 125),
            (Outcome::Ended(Code::Killed), 137),
            (Outcome::Ended(Code::CwdUnusable), 77),
            (Outcome::Ended(Code::OutputCut), 125),
        ] {
            assert_eq!(exit_status(outcome), want, "{outcome:?}");
        }
    }

    #[test]
    fn shape_of_an_end() {
        let text = ended(&[b"ls".to_vec(), vec![0xff]], &report(Outcome::Exited(1)), b"out", b"er");
        assert_eq!(
            text,
            "{\"v\":1,\"argv\":[\"ls\",\"\u{fffd}\"],\"exit\":1,\"signal\":null,\"code\":null,\"message\":null,\
             \"stdout\":\"out\",\"stderr\":\"er\",\"output_cut\":false,\"protected\":[],\
             \"usage\":{\"wall_us\":1,\"user_us\":2,\"system_us\":3,\"max_rss_kib\":4,\"stdout_bytes\":3,\"stderr_bytes\":2},\
             \"receipt\":null}"
        );
    }

    #[test]
    fn shape_of_an_end_with_everything() {
        let mut report = report(Outcome::Ended(Code::WallTime));
        report.output_cut = true;
        report.protected = List::new(vec![PathBytes::new(".git/hooks").unwrap()]).unwrap();
        report.receipt = Some(receipt());
        let text = ended(&[b"x".to_vec()], &report, &[0xff, 0xfe], b"");
        assert_eq!(
            text,
            "{\"v\":1,\"argv\":[\"x\"],\"exit\":124,\"signal\":null,\"code\":\"SR201\",\
             \"message\":\"the command ran out of time and was ended\",\
             \"stdout\":\"\u{fffd}\u{fffd}\",\"stdout_base64\":\"//4=\",\"stderr\":\"\",\"output_cut\":true,\
             \"protected\":[\".git/hooks\"],\
             \"usage\":{\"wall_us\":1,\"user_us\":2,\"system_us\":3,\"max_rss_kib\":4,\"stdout_bytes\":3,\"stderr_bytes\":2},\
             \"receipt\":{\"tier\":\"full\",\"uid\":1000,\"gid\":1000,\
             \"namespaces\":[\"user\",\"pid\",\"mount\",\"net\",\"ipc\",\"uts\"],\"proc\":\"own\",\
             \"landlock\":{\"abi\":7,\"filesystem\":[\"execute\",\"read-file\",\"bit-16\"],\
             \"network\":[\"bind-tcp\",\"connect-tcp\"],\"scopes\":[\"abstract-unix-socket\",\"signal\"]},\
             \"seccomp_filters\":3,\"no_new_privs\":true,\"capabilities\":\"none\",\"kill_all\":\"pid-namespace\",\
             \"limits\":\"rlimits+watchdog\",\"protect\":\"mounts\",\"metadata\":\"mount-namespace\",\
             \"private_tmp\":\"tmpfs\",\"shared_shm\":false}}"
        );
    }

    #[test]
    fn a_signal_has_a_name() {
        let text = ended(&[b"x".to_vec()], &report(Outcome::Signalled(9)), b"", b"");
        assert!(text.contains(r#""exit":137,"signal":"SIGKILL","code":null"#), "{text}");
        let text = ended(&[b"x".to_vec()], &report(Outcome::Signalled(40)), b"", b"");
        assert!(text.contains(r#""signal":"SIG40""#), "{text}");
    }

    #[test]
    fn shape_of_a_refusal() {
        let mut denial = Denial::from(Code::RuleDenies);
        assert_eq!(
            denied(&denial),
            r#"{"v":1,"denied":{"code":"SR101","what":"policy refuses this command","instead":"use another command for the same end; the operator decides what is allowed","ask":"no","why":null},"exit":77}"#
        );
        denial.why = Some(Reason::new("not\x1b here").unwrap());
        assert!(denied(&denial).contains(r#""why":"not\\x1b here""#));
        assert_eq!(
            denied_text(&denial, Style::PLAIN),
            "strongroom: SR101: policy refuses this command\n  why: not\\x1b here\n  \
             instead: use another command for the same end; the operator decides what is allowed\n  \
             more: strongroom explain SR101\n"
        );
    }

    #[test]
    fn notices_for_people() {
        assert_eq!(notices(&report(Outcome::Exited(1)), Style::PLAIN), "");
        let mut cut = report(Outcome::Exited(0));
        cut.output_cut = true;
        cut.protected = List::new(vec![PathBytes::new(".claude").unwrap()]).unwrap();
        let text = notices(&cut, Style::PLAIN);
        assert!(
            text.contains("SR205") && text.contains("SR210") && text.contains("names: .claude"),
            "{text}"
        );
    }

    #[test]
    fn base64_vectors() {
        for (plain, want) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), want);
        }
    }
}

//! The shapes, word by word.
#![allow(clippy::unwrap_used)]

use super::*;
use strongroom_api::shape::exit_status;
use strongroom_protocol::channel::a;
use strongroom_protocol::receipt::{
    KillAll, LimitsBy, MetadataBy, ProcView, ProtectBy, Receipt, Tier,
};
use strongroom_protocol::types::{CredentialName, List, Name, PathBytes, Reason};

fn report(outcome: Outcome) -> Report {
    Report {
        outcome,
        usage: a::Usage { wall_us: 1, user_us: 2, system_us: 3, max_rss_kib: 4 },
        stdout_bytes: 3,
        stderr_bytes: 2,
        output_cut: false,
        protected: List::empty(),
        masked: 0,
        withheld: false,
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
         \"stdout\":\"out\",\"stderr\":\"er\",\"output_cut\":false,\"masked\":0,\"withheld\":false,\"protected\":[],\
         \"usage\":{\"wall_us\":1,\"user_us\":2,\"system_us\":3,\"max_rss_kib\":4,\"stdout_bytes\":3,\"stderr_bytes\":2},\
         \"receipt\":null}"
    );
}

#[test]
fn shape_of_an_end_with_everything() {
    let mut report = report(Outcome::Ended(Code::WallTime));
    report.output_cut = true;
    report.masked = 2;
    report.withheld = true;
    report.protected = List::new(vec![PathBytes::new(".git/hooks").unwrap()]).unwrap();
    report.receipt = Some(receipt());
    let text = ended(&[b"x".to_vec()], &report, &[0xff, 0xfe], b"");
    assert_eq!(
        text,
        "{\"v\":1,\"argv\":[\"x\"],\"exit\":124,\"signal\":null,\"code\":\"SR201\",\
         \"message\":\"the command ran out of time and was ended\",\
         \"stdout\":\"\u{fffd}\u{fffd}\",\"stdout_base64\":\"//4=\",\"stderr\":\"\",\"output_cut\":true,\"masked\":2,\"withheld\":true,\
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
    assert!(!notices(&cut, Style::PLAIN).contains("masked"));
    cut.masked = 1;
    cut.withheld = true;
    let text = notices(&cut, Style::PLAIN);
    assert!(text.contains("strongroom: 1 secret value was masked\n"), "{text}");
    assert!(
        text.contains("SR207")
            && text.contains("SR205")
            && text.contains("SR210")
            && text.contains("names: .claude"),
        "{text}"
    );
}

#[test]
fn a_place_in_a_file() {
    let mut spot = Spot {
        key: Some(CredentialName::new("GITHUB_TOKEN").unwrap()),
        line: 3,
        column: 7,
        context: Name::new("json").unwrap(),
        what: Reason::new("not closed").unwrap(),
    };
    assert_eq!(
        misplaced_text(".env", Code::BadPlaceholder, &spot, Style::PLAIN),
        "strongroom: SR135: .env:3:7: GITHUB_TOKEN: not closed (json)\n  \
         instead: see the place it names; `|raw` takes the value as it is, `$${` writes the text itself\n  \
         more: strongroom explain SR135\n"
    );
    let json = misplaced(Code::BadPlaceholder, &spot);
    assert!(
        json.contains(
            r#""why":null,"spot":{"key":"GITHUB_TOKEN","line":3,"column":7,"context":"json","what":"not closed"}},"exit":77}"#
        ),
        "{json}"
    );
    spot.key = None;
    let text = misplaced_text("x", Code::BadPlaceholder, &spot, Style::PLAIN);
    assert!(text.starts_with("strongroom: SR135: x:3:7: not closed (json)\n"), "{text}");
}

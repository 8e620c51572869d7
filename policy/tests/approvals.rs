//! `[approvals]`: what it becomes, and what is said of it.
#![allow(clippy::unwrap_used)]

mod common;

use common::Folder;
use strongroom_policy::verbs;
use strongroom_protocol::plan::{Approvals, Plan};
use strongroom_protocol::types::Name;

const ASKS: &str = "[[rule]]\nname = \"push\"\nmatch = [\"git\", \"push\"]\nprofile = \"worker\"\naction = \"ask\"\n";

fn names(names: &[&str]) -> Vec<Name> {
    names.iter().map(|name| Name::new(*name).unwrap()).collect()
}

#[test]
fn the_defaults() {
    let plan = Folder::new().compile("").unwrap();
    let wanted = Approvals {
        approvers: names(&["operator"]),
        quorum: 1,
        timeout_ms: 300_000,
        permission_ms: 120_000,
        pending: 16,
        denials: 3,
        cool_down_ms: 30_000,
    };
    assert_eq!(plan.approvals, wanted);
}

#[test]
fn every_key_arrives() {
    let text = "[approvals]\napprovers = [\"alice\", \"bob\", \"operator\"]\nquorum = 2\n\
                timeout = \"1h\"\npermission = \"30s\"\npending = 4\ndenials = 0\ncool-down = \"none\"\n";
    let plan = Folder::new().compile(text).unwrap();
    let wanted = Approvals {
        approvers: names(&["alice", "bob", "operator"]),
        quorum: 2,
        timeout_ms: 3_600_000,
        permission_ms: 30_000,
        pending: 4,
        denials: 0,
        cool_down_ms: 0,
    };
    assert_eq!(plan.approvals, wanted);
    assert!(Plan::decode(&plan.encode().unwrap()).is_ok());
}

/// A quorum can be above what an extending file lists; the merged table counts.
#[test]
fn merged_key_by_key() {
    let folder = Folder::new();
    folder
        .write("under.toml", "version = 1\n[approvals]\nquorum = 2\napprovers = [\"a\", \"b\"]\n");
    let text = "version = 1\nextends = [\"builtin:base\", \"under.toml\"]\n\
                [approvals]\ntimeout = \"9s\"\n";
    let file = folder.write("policy.toml", text);
    let loaded = strongroom_policy::load(Some(&file)).unwrap();
    let plan = strongroom_policy::compile(&loaded, &folder.place()).unwrap();
    assert_eq!((plan.approvals.quorum, plan.approvals.timeout_ms), (2, 9000));
    let alone = format!("{text}approvers = [\"a\"]\n");
    assert!(strongroom_policy::load(Some(&folder.write("policy.toml", alone))).is_err());
}

#[test]
fn what_asking_means_is_said() {
    let folder = Folder::new();
    let argv = [b"git".to_vec(), b"push".to_vec()];
    for (table, wanted) in [
        ("", "operator must agree within 5m, or it is denied"),
        ("approvers = [\"al\", \"bo\"]\nquorum = 2\n", "all of al, bo must agree within 5m"),
        (
            "approvers = [\"al\", \"bo\", \"cy\"]\nquorum = 2\ntimeout = \"1h\"\n",
            "2 of al, bo, cy must agree within 1h",
        ),
    ] {
        let text = common::on_base(&format!("{ASKS}[approvals]\n{table}"));
        let file = folder.write("policy.toml", text);
        for said in [
            verbs::explain(Some(&file), &argv, false).0,
            verbs::explain(Some(&file), &argv, true).0,
            verbs::check(Some(&file), false).0,
            verbs::check(Some(&file), true).0,
        ] {
            let json = said.starts_with('{');
            assert!(
                if json { said.contains("\"quorum\"") } else { said.contains(wanted) },
                "{said}"
            );
        }
    }
    // Nothing asks: nothing is said.
    let quiet = folder.write("quiet.toml", common::on_base(""));
    assert!(!verbs::check(Some(&quiet), false).0.contains("asking"));
    assert!(!verbs::explain(Some(&quiet), &[b"ls".to_vec()], false).0.contains("approval"));
}

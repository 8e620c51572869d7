//! A list that leaves something to guess stops the build. The build's own modules, compiled once more as a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, dead_code)]

#[path = "../build/combine.rs"]
mod combine;
#[path = "../build/model.rs"]
mod model;
#[path = "../build/source.rs"]
mod source;

use std::{
    fs,
    path::{Path, PathBuf},
};

use combine::Lists;
use model::List;

const HEAD: &str = "purpose = 'p'\nunlisted = 'EPERM'\nunknown = 'ENOSYS'\n";
const REST: &str = "purpose = 'p'\nunlisted = 'allow'\nunknown = 'allow'\n";

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn read(folder: &Path, name: &str, body: &str) -> Result<List, String> {
    let head = match name {
        "setup" => "purpose = 'p'\n",
        "last" => REST,
        _ => HEAD,
    };
    fs::write(folder.join(format!("{name}.toml")), format!("list = '{name}'\n{head}{body}"))
        .unwrap();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let arch = source::arch(&root.join("arch/x86_64.toml"))?;
    let constants = source::constants(&root.join("../policies/seccomp/constants.toml"))?;
    source::list(folder, name, &arch, &constants)
}

#[test]
fn single_list() {
    let rule = |when: &str| {
        format!(
            "[[rule]]\nnames = ['clone']\nargs = ['flags']\nelse = 'EPERM'\nwhy = 'w'\n[[rule.case]]\nwhen = [{when}]\n"
        )
    };
    let bad = [
        ("[[allow]]\nnames = ['reed']\nwhy = 'w'\n".to_string(), "reed is not a system call"),
        ("[[allow]]\nnames = ['read', 'read']\nwhy = 'w'\n".to_string(), "read is listed twice"),
        (
            format!(
                "[[allow]]\nnames = ['clone']\nwhy = 'w'\n{}",
                rule("{arg='flags', null=true}")
            ),
            "clone is listed twice",
        ),
        ("[[allow]]\nnames = ['read']\n".to_string(), "missing field `why`"),
        ("[[allow]]\nnames = ['read']\nwhy = ' '\n".to_string(), "needs both names and a why"),
        ("[[allow]]\nnames = ['read']\nwhy = 'w'\nwhen = 1\n".to_string(), "unknown field `when`"),
        ("[[refuse]]\nnames = ['read']\nwhy = 'w'\nwith = 'EWRONG'\n".to_string(), "is no verdict"),
        (
            "[[refuse]]\nnames = ['read']\nwhy = 'w'\nwith = 'allow'\n".to_string(),
            "refuses with \"allow\"",
        ),
        (rule(""), "a case needs conditions"),
        (rule("{arg='flag', null=true}"), "flag is not one of"),
        (rule("{arg='flags'}"), "exactly one of"),
        (rule("{arg='flags', null=true, none_of=['CLONE_NEWNS']}"), "exactly one of"),
        (rule("{arg='flags', none_of=['CLONE_NEWNOTHING']}"), "not in constants.toml"),
        (rule("{arg='flags', only=['CLONE_NEWNS'], in=['CLONE_NEWPID']}"), "outside its mask"),
        (rule("{arg='flags', in=['THIS', 'PRIO_PROCESS']}"), "repeats itself"),
    ];
    let folder = folder("single");
    for (body, want) in bad {
        let said = read(&folder, "standard", &body).err().expect(want);
        assert!(said.contains(want), "{want}: {said}");
    }
    assert!(read(&folder, "standard", &rule("{arg='flags', none_of=['CLONE_NEWNS']}")).is_ok());
}

#[test]
fn contradictions_between_lists() {
    let folder = folder("between");
    let check = |standard: &str, setup: &str, never: &str| {
        let list = |name: &str, body: &str| read(&folder, name, body).unwrap();
        Lists {
            standard: list("standard", standard),
            setup: list("setup", setup),
            last: list("last", ""),
            deputy: list("deputy", ""),
            never: list("never", never),
            broker: list("broker", ""),
            recorder: list("recorder", ""),
        }
        .check()
    };
    let allow = |name: &str| format!("[[allow]]\nnames = ['{name}']\nwhy = 'w'\n");
    let refuse =
        |name: &str| format!("[[refuse]]\nnames = ['{name}']\nwhy = 'w'\nwith = 'EPERM'\n");
    assert_eq!(check(&allow("read"), &allow("mount"), &refuse("bpf")), Ok(()));
    assert!(check(&allow("mount"), &allow("mount"), "").unwrap_err().contains("already allowed"));
    assert!(check(&allow("bpf"), "", &refuse("bpf")).unwrap_err().contains("never.toml forbids"));
    assert!(check("", &allow("bpf"), &refuse("bpf")).unwrap_err().contains("never.toml forbids"));
    let rule = "[[rule]]\nnames = ['clone']\nargs = ['flags']\nwhy = 'w'\n[[rule.case]]\nwhen = [{arg='flags', null=true}]\n";
    assert!(check("", rule, "").unwrap_err().contains("must be a rule exactly if"));
}

/// What `last` says must be what `standard` says, or `base` could not be made by leaving it out.
#[test]
fn last_against_the_others() {
    let folder = folder("last");
    let check = |standard: &str, setup: &str, last: &str, deputy: &str| {
        let list = |name: &str, body: &str| read(&folder, name, body).unwrap();
        Lists {
            standard: list("standard", standard),
            setup: list("setup", setup),
            last: list("last", last),
            deputy: list("deputy", deputy),
            never: list("never", ""),
            broker: list("broker", ""),
            recorder: list("recorder", ""),
        }
        .check()
    };
    let refuse =
        |with: &str| format!("[[refuse]]\nnames = ['openat2']\nwhy = 'w'\nwith = '{with}'\n");
    let allow = "[[allow]]\nnames = ['openat2']\nwhy = 'w'\n";
    let rule = |when: &str| {
        format!(
            "[[rule]]\nnames = ['seccomp']\nargs = ['operation', 'flags']\nelse = 'EPERM'\nwhy = 'w'\n[[rule.case]]\nwhen = [{when}]\n"
        )
    };
    let flags = "{arg='flags', none_of=['SECCOMP_FILTER_FLAG_NEW_LISTENER']}";
    let both = format!("{{arg='operation', in=['SECCOMP_SET_MODE_FILTER']}}, {flags}");
    let operation = "{arg='operation', in=['SECCOMP_SET_MODE_FILTER']}";

    assert_eq!(check(&refuse("ENOSYS"), "", &refuse("ENOSYS"), ""), Ok(()));
    assert_eq!(check(&rule(&both), "", &rule(flags), ""), Ok(()));
    let bad = [
        (String::new(), refuse("ENOSYS")),
        (refuse("EPERM"), refuse("ENOSYS")),
        (allow.into(), allow.into()),
        (rule(operation), rule(flags)),
        (rule(flags), rule(flags)),
    ];
    for (standard, last) in bad {
        let said = check(&standard, "", &last, "").unwrap_err();
        assert!(said.contains("refused as in standard.toml"), "{said}");
    }
    let (standard, last) = (refuse("ENOSYS"), refuse("ENOSYS"));
    let said = check(&standard, allow, &last, "").unwrap_err();
    assert!(said.contains("is in setup.toml too"), "{said}");
    let said = check(&standard, "", &last, &refuse("EPERM")).unwrap_err();
    assert!(said.contains("is in deputy.toml too"), "{said}");
}

//! Every kind of mistake: that it is refused, at exactly which place, and what
//! the operator reads. In the texts `«` marks where the caret must stand.
//!
//! The rendered messages are in `golden/`; `STRONGROOM_BLESS=1` writes them
//! anew, for a reader to look at in the diff.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use common::{Folder, on_base};
use strongroom_policy::{Diagnostics, load};
use strongroom_protocol::codes::Code;

/// Files that stand alone: name, text.
const ALONE: &[(&str, &str)] = &[
    ("empty-file", "«"),
    ("only-a-comment", "«# nothing\n"),
    ("no-version", "«extends = [\"builtin:base\"]\n"),
    ("other-version", "version = «2\nextends = [\"builtin:base\"]\n"),
    ("version-is-text", "version = «\"1\"\n"),
    ("version-negative", "version = «-1\n"),
    ("no-agent", "«version = 1\n"),
    ("extends-unknown-builtin", "version = 1\nextends = [«\"builtin:bse\"]\n"),
    ("extends-missing", "version = 1\nextends = [\"builtin:base\", «\"nonesuch.toml\"]\n"),
    ("extends-dotdot", "version = 1\nextends = [«\"../policy.toml\"]\n"),
    ("extends-itself", "version = 1\nextends = [«\"bad.toml\"]\n"),
    ("extends-folder", "version = 1\nextends = [«\"workspace\"]\n"),
    ("extends-empty", "version = 1\nextends = [«\"\"]\n"),
    ("extends-nul", "version = 1\nextends = [«\"a\\u0000b\"]\n"),
    ("extends-text", "version = 1\nextends = «\"builtin:base\"\n"),
    ("nul-byte", "version = 1\n# «\0\n"),
    ("not-toml", "version «: 1\n"),
];

/// Files on top of `builtin:base`: name, what they add.
const ON_BASE: &[(&str, &str)] = &[
    ("unknown-table", "[«profle.x]\n"),
    ("unknown-key", "[profile.x]\n«netwrk = \"open\"\n"),
    ("unknown-limit", "[profile.x.limits]\n«wal = \"1s\"\n"),
    ("unknown-key-in-rule", "[[rule]]\nname = \"a\"\n[rule.«when]\n"),
    ("rule-without-action", "«[[rule]]\nname = \"a\"\nmatch = [\"a\"]\nprofile = \"worker\"\n"),
    ("rule-is-a-table", "«[rule]\nname = \"a\"\n"),
    ("network-word", "[profile.worker]\nnetwork = «\"opne\"\n"),
    (
        "action-word",
        "[[rule]]\nname = \"a\"\nmatch = [\"a\"]\nprofile = \"worker\"\naction = «\"alow\"\n",
    ),
    ("tier-word", "[require]\ntier = «\"Full\"\n"),
    ("abi-zero", "[require]\nlandlock-abi = «0\n"),
    ("abi-too-big", "[require]\nlandlock-abi = «256\n"),
    ("duplicate-key", "[require]\nlandlock-abi = 6\n«landlock-abi = 7\n"),
    ("duplicate-table", "[require]\n[«require]\n"),
    ("duration-unit", "[profile.worker]\nlimits = { wall = «\"5mm\" }\n"),
    ("duration-number", "[profile.worker]\nlimits = { wall = «600 }\n"),
    ("duration-zero", "[profile.worker.limits]\nwall = «\"0s\"\n"),
    ("duration-overflow", "[profile.worker.limits]\ncpu = «\"99999999999999999999s\"\n"),
    ("size-decimal", "[profile.worker.limits]\nmemory = «\"2GB\"\n"),
    ("memory-tiny", "[profile.worker.limits]\nmemory = «\"2KiB\"\n"),
    ("open-files-zero", "[profile.worker.limits]\nopen-files = «0\n"),
    ("processes-negative", "[profile.worker.limits]\nprocesses = «-1\n"),
    ("processes-fraction", "[profile.worker.limits]\nprocesses = «1.5\n"),
    ("warm-too-many", "[profile.worker]\nwarm = «17\n"),
    ("profile-files", "[profile.«files]\nread = [\"@workspace\"]\n"),
    ("profile-name", "[profile.«Worker]\n"),
    ("path-relative", "[profile.worker]\nread = [«\"usr\"]\n"),
    ("path-dotdot", "[profile.worker]\nread = [\"@system\", «\"/usr/../etc\"]\n"),
    ("path-double-slash", "[profile.worker]\nread = [«\"/usr//lib\"]\n"),
    ("path-trailing-slash", "[profile.worker]\nread = [«\"/usr/\"]\n"),
    ("path-tilde", "[profile.worker]\nread = [«\"~/src\"]\n"),
    ("path-variable", "[profile.worker]\nread = [«\"$HOME/src\"]\n"),
    ("path-pattern", "[profile.worker]\nread = [«\"/home/*/src\"]\n"),
    ("path-root", "[profile.worker]\nread = [«\"/\"]\n"),
    ("path-token", "[profile.worker]\nread = [«\"@sytem\"]\n"),
    ("path-write-system", "[profile.worker]\nwrite = [«\"@system\"]\n"),
    ("path-read-tmp", "[profile.worker]\nread = [«\"@tmp\"]\n"),
    ("path-write-proc", "[profile.worker]\nwrite = [«\"/proc/sys\"]\n"),
    ("path-home-in-worker", "[profile.worker]\nwrite = [«\"@home\"]\n"),
    ("path-not-a-list", "[profile.worker]\nread = «\"@system\"\n"),
    ("path-number", "[profile.worker]\nread = [«1]\n"),
    ("workspace-relative", "[workspace]\npath = «\"src\"\n"),
    ("workspace-root", "[workspace]\npath = «\"/\"\n"),
    ("protect-absolute", "[workspace]\nprotect = [\".git/hooks\", «\"/etc\"]\n"),
    ("protect-dotdot", "[workspace]\nprotect = [«\"../x\"]\n"),
    ("env-star", "[profile.worker.env]\npass = [«\"*\"]\n"),
    ("env-steering", "[profile.worker.env]\npass = [\"TERM\", «\"LD_PRELOAD\"]\n"),
    ("env-steering-agent", "[agent.env]\npass = [«\"NODE_OPTIONS\"]\n"),
    ("env-name", "[profile.worker.env]\nset = { «\"A-B\" = \"1\" }\n"),
    ("env-ours", "[profile.worker.env]\nset = { «STRONGROOM_SOCKET = \"1\" }\n"),
    ("env-nul", "[profile.worker.env]\nset = { A = «\"a\\u0000b\" }\n"),
    (
        "env-credential",
        "[credential.TOKEN]\ndeliver = [\"env\"]\n[profile.worker.env]\npass = [«\"TOKEN\"]\n",
    ),
    (
        "env-credential-set",
        "[profile.worker.env]\nset = { «TOKEN = \"x\" }\n[credential.TOKEN]\ndeliver = [\"file\"]\n",
    ),
    (
        "env-credential-agent",
        "[credential.TOKEN]\ndeliver = [\"env\"]\n[agent.env]\npass = [«\"TOKEN\"]\n",
    ),
    (
        "rule-name",
        "[[rule]]\nname = «\"Git Push\"\nmatch = [\"a\"]\nprofile = \"worker\"\naction = \"allow\"\n",
    ),
    (
        "rule-twice",
        "[[rule]]\nname = \"a\"\nmatch = [\"a\"]\naction = \"deny\"\n[[rule]]\nname = «\"a\"\nmatch = [\"b\"]\naction = \"deny\"\n",
    ),
    ("rule-no-profile", "[[rule]]\nname = «\"a\"\nmatch = [\"a\"]\naction = \"allow\"\n"),
    (
        "rule-unknown-profile",
        "[[rule]]\nname = \"a\"\nmatch = [\"a\"]\nprofile = «\"woker\"\naction = \"allow\"\n",
    ),
    (
        "rule-agents-profile",
        "[[rule]]\nname = \"a\"\nmatch = [\"a\"]\nprofile = «\"agent\"\naction = \"allow\"\n",
    ),
    ("match-empty", "[[rule]]\nname = \"a\"\nmatch = «[]\naction = \"deny\"\n"),
    (
        "match-rest-inside",
        "[[rule]]\nname = \"a\"\nmatch = [\"git\", «\"...\", \"push\"]\naction = \"deny\"\n",
    ),
    ("match-no-program", "[[rule]]\nname = \"a\"\nmatch = [«\"\"]\naction = \"deny\"\n"),
    (
        "why-two-lines",
        "[[rule]]\nname = \"a\"\nmatch = [\"a\"]\naction = \"deny\"\nwhy = «\"a\\nb\"\n",
    ),
    ("credential-name", "[credential.«token]\ndeliver = [\"env\"]\n"),
    ("credential-steering", "[credential.«LD_PRELOAD]\ndeliver = [\"env\"]\n"),
    ("credential-leads", "[credential.«HTTPS_PROXY]\ndeliver = [\"env\"]\n"),
    ("credential-everyday", "[credential.«HOME]\ndeliver = [\"file\"]\n"),
    ("credential-ours", "[credential.«STRONGROOM_TOKEN]\ndeliver = [\"env\"]\n"),
    ("credential-twice", "[credential.TOKEN]\ndeliver = [\"env\", «\"env\"]\n"),
    ("credential-plain-word", "[credential.TOKEN]\ndeliver = [\"file\"]\nplain = «\"yes\"\n"),
    ("credential-network-word", "[credential.TOKEN]\ndeliver = [\"file\"]\nnetwork = «\"opne\"\n"),
    ("credential-key", "[credential.TOKEN]\ndeliver = [\"file\"]\n«value = \"x\"\n"),
    ("credential-no-delivery", "[credential.TOKEN]\ndeliver = «[]\n"),
    ("credential-delivery-word", "[credential.TOKEN]\ndeliver = [«\"mail\"]\n"),
    (
        "credential-unknown",
        "[credential.TOKEN]\ndeliver = [\"env\"]\n[[rule]]\nname = \"a\"\nmatch = [\"gh\"]\nprofile = \"worker\"\naction = \"allow\"\ncredentials = [«\"TOKN\"]\n",
    ),
    (
        "credential-shell",
        "[credential.TOKEN]\ndeliver = [\"env\"]\n[[rule]]\nname = \"a\"\nmatch = [«\"bash\", \"...\"]\nprofile = \"worker\"\naction = \"allow\"\ncredentials = [\"TOKEN\"]\n",
    ),
    (
        "credential-any",
        "[credential.TOKEN]\ndeliver = [\"env\"]\n[[rule]]\nname = \"a\"\nmatch = [«\"...\"]\nprofile = \"worker\"\naction = \"ask\"\ncredentials = [\"TOKEN\"]\n",
    ),
    (
        "credential-network",
        "[credential.TOKEN]\ndeliver = [\"env\"]\n[profile.net]\nnetwork = \"open\"\n[[rule]]\nname = \"a\"\nmatch = [\"gh\"]\nprofile = \"net\"\naction = \"allow\"\ncredentials = [«\"TOKEN\"]\n",
    ),
    (
        "credential-network-loopback",
        "[credential.TOKEN]\ndeliver = [\"env\"]\n[profile.net]\nnetwork = \"loopback\"\n[[rule]]\nname = \"a\"\nmatch = [\"gh\"]\nprofile = \"net\"\naction = \"ask\"\ncredentials = [«\"TOKEN\"]\n",
    ),
    (
        "credential-network-one-of-two",
        "[credential.A]\ndeliver = [\"env\"]\nnetwork = \"open\"\n[credential.B]\ndeliver = [\"file\"]\nnetwork = \"loopback\"\n[profile.net]\nread = [\"@workspace\"]\nnetwork = \"open\"\n[[rule]]\nname = \"a\"\nmatch = [\"gh\"]\nprofile = \"net\"\naction = \"allow\"\ncredentials = [\"A\", «\"B\"]\n",
    ),
    (
        "credential-program-relative",
        "[credential.TOKEN]\ndeliver = [\"env\"]\n[[rule]]\nname = \"a\"\nmatch = [«\"./deploy\"]\nprofile = \"worker\"\naction = \"allow\"\ncredentials = [\"TOKEN\"]\n",
    ),
    (
        "credential-path-relative",
        "[credential.TOKEN]\ndeliver = [\"env\"]\n[profile.worker.env]\nset = { PATH = \"/usr/bin:bin\" }\n[[rule]]\nname = \"a\"\nmatch = [«\"gh\"]\nprofile = \"worker\"\naction = \"allow\"\ncredentials = [\"TOKEN\"]\n",
    ),
    (
        "credential-path-empty",
        "[credential.TOKEN]\ndeliver = [\"env\"]\n[profile.worker.env]\nset = { PATH = \"/usr/bin:\" }\n[[rule]]\nname = \"a\"\nmatch = [«\"/usr/bin/gh\"]\nprofile = \"worker\"\naction = \"allow\"\ncredentials = [\"TOKEN\"]\n",
    ),
    (
        "credential-denied",
        "[credential.TOKEN]\ndeliver = [\"env\"]\n[[rule]]\nname = \"a\"\nmatch = [\"gh\"]\naction = \"deny\"\ncredentials = «[\"TOKEN\"]\n",
    ),
    ("session-burst", "[session]\nburst = «0\n"),
    ("session-masks", "[session]\nmasks = «-1\n"),
    ("session-grace", "[session]\ngrace = «\"none\"\n"),
    ("approvals-nobody", "[approvals]\napprovers = «[]\n"),
    ("approvals-name", "[approvals]\napprovers = [\"operator\", «\"Alice\"]\n"),
    ("approvals-twice", "[approvals]\napprovers = [\"alice\", «\"alice\"]\n"),
    ("approvals-quorum", "[approvals]\napprovers = [\"alice\", \"bob\"]\nquorum = «3\n"),
    ("approvals-no-quorum", "[approvals]\nquorum = «0\n"),
    ("approvals-pending", "[approvals]\npending = «0\n"),
    ("approvals-timeout", "[approvals]\ntimeout = «\"none\"\n"),
    ("approvals-permission", "[approvals]\npermission = «\"2d\"\n"),
    ("approvals-cool-down", "[approvals]\ncool-down = «\"2d\"\n"),
    ("approvals-key", "[approvals]\n«cool_down = \"2m\"\n"),
    ("errors-level", "[errors]\nlevel = «\"full\"\n"),
    (
        "test-fails",
        "[[test]]\nname = \"ls asks\"\nargv = [\"ls\"]\nexpect = { action = «\"ask\" }\n",
    ),
    (
        "test-other-rule",
        "[[rule]]\nname = \"ls\"\nmatch = [\"ls\"]\nprofile = \"worker\"\naction = \"allow\"\n[[test]]\nname = \"t\"\nargv = [\"ls\"]\nexpect = { action = «\"allow\", rule = \"anything\" }\n",
    ),
    (
        "test-unknown-rule",
        "[[test]]\nname = \"t\"\nargv = [\"ls\"]\nexpect = { action = \"ask\", rule = «\"anythin\" }\n",
    ),
    ("test-no-command", "[[test]]\nname = \"t\"\nargv = «[]\nexpect = { action = \"deny\" }\n"),
    ("test-without-expect", "«[[test]]\nname = \"t\"\nargv = [\"ls\"]\n"),
    ("unclosed-text", "[workspace]\npath = \"/a«\n"),
    ("no-value", "[workspace]\npath = «\n"),
    ("unicode-key", "[workspace]\np«аth = \"/a\"\n"),
    ("hidden-characters", "[profile.worker]\nread = [«\"/usr/\u{202e}x//y\"]\n"),
];

fn refuse(folder: &Folder, bytes: &[u8]) -> Diagnostics {
    load(Some(&folder.write("bad.toml", bytes))).expect_err("refused")
}

/// Loads a marked text, compares place and rendering.
fn check(name: &str, marked: &str) -> Result<(), String> {
    let at = marked.find('«').expect("a mark");
    let before = &marked[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap().chars().count() + 1;

    let folder = Folder::new();
    let found = refuse(&folder, marked.replacen('«', "", 1).as_bytes());
    let root = folder.root.to_str().unwrap();
    let first = &found.list[0];
    assert_eq!(first.code, Code::PolicyInvalid, "{name}");
    assert!(first.file.ends_with("/bad.toml"), "{name}: {}", first.file);
    if (first.line, first.column) != (line, column) {
        return Err(format!(
            "{name}: at {}:{} instead of {line}:{column}\n{found}",
            first.line, first.column
        ));
    }
    golden(name, &(found.to_string().replace(root, "/etc") + "\n"))
}

fn golden(name: &str, text: &str) -> Result<(), String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let file = path.join(format!("{name}.txt"));
    if std::env::var_os("STRONGROOM_BLESS").is_some() {
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    if known == text { Ok(()) } else { Err(format!("{name}: expected\n{known}\ngot\n{text}")) }
}

#[test]
fn each_mistake_at_its_place_in_its_words() {
    let on_base: Vec<(&str, String)> = ON_BASE.iter().map(|(n, t)| (*n, on_base(t))).collect();
    let alone = ALONE.iter().map(|(n, t)| (*n, (*t).to_owned()));
    let all: Vec<(&str, String)> = alone.chain(on_base).collect();
    let wrong: Vec<String> = all.iter().filter_map(|(n, t)| check(n, t).err()).collect();
    assert!(wrong.is_empty(), "{} of {}\n\n{}", wrong.len(), all.len(), wrong.join("\n"));

    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let kept = std::fs::read_dir(golden).unwrap().count();
    assert_eq!(kept, all.len(), "a golden file without a case");
}

#[test]
fn invalid_utf8() {
    let folder = Folder::new();
    let found = refuse(&folder, b"version = 1\n# caf\xe9\n");
    let first = &found.list[0];
    assert_eq!((first.line, first.column, first.message.as_str()), (2, 6, "not UTF-8"));
}

#[test]
fn several_mistakes_are_all_told() {
    let folder = Folder::new();
    let text =
        on_base("[profile.worker]\nread = [\"a\", \"/b/\"]\nwrite = [\"@proc\"]\nwarm = 99\n");
    let found = refuse(&folder, text.as_bytes());
    let lines: Vec<usize> = found.list.iter().map(|d| d.line).collect();
    assert_eq!(lines, [4, 4, 5, 6]);
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["list"][0]["code"], "SR701");
    assert_eq!(json["list"][0]["severity"], "error");
}

#[test]
fn thousands_of_mistakes_stay_readable_and_fast() {
    let folder = Folder::new();
    let text = on_base(&format!("[profile.worker]\nread = [{}]\n", "\"a\", ".repeat(100_000)));
    let start = std::time::Instant::now();
    let found = refuse(&folder, text.as_bytes());
    assert_eq!((found.list.len(), found.left_out), (50, 99_950));
    assert!(found.to_string().len() < 200_000, "{}", found.to_string().len());
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn colour_only_when_asked() {
    let folder = Folder::new();
    let found = refuse(&folder, b"version = 2\n");
    assert!(!found.to_string().contains('\x1b'));
    assert!(found.render(true).contains('\x1b'));
}

#[test]
fn byte_order_mark_and_crlf_mean_the_same() {
    let folder = Folder::new();
    let plain = on_base("[profile.worker]\nwarm = 3\n");
    for text in [plain.replace('\n', "\r\n"), format!("\u{feff}{plain}")] {
        let loaded = load(Some(&folder.write("policy.toml", text))).unwrap();
        assert_eq!(**loaded.policy.profile["worker"].warm.as_ref().unwrap(), 3);
    }
    let found = refuse(&folder, "\u{feff}version = 2\r\n".as_bytes());
    assert_eq!((found.list[0].line, found.list[0].column), (1, 11));
    let found = refuse(&folder, b"version = 1\r\nfoo = 1\r\n");
    assert_eq!((found.list[0].line, found.list[0].column), (2, 1));
}

/// C04: nothing takes long, nothing takes the stack.
#[test]
fn bombs() {
    let folder = Folder::new();
    let start = std::time::Instant::now();
    let many = 400_000;
    for bomb in [
        "[".repeat(many),
        format!("a={}", "[".repeat(many)),
        format!("a={}", "{b=".repeat(many / 4)),
        format!("{}a=1", "a.".repeat(many)),
        format!("[{}a]", "a.".repeat(many)),
        format!("a=\"{}\"", "a".repeat(1_000_000)),
        format!("{}=1", "a".repeat(1_000_000)),
        format!("version=1\n{}", "[[rule]]\n".repeat(100_000)),
    ] {
        let found = refuse(&folder, bomb.as_bytes());
        assert!(found.to_string().len() < 10_000, "{}", found.to_string().len());
    }
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn a_file_of_100_mb_is_not_read() {
    let folder = Folder::new();
    let path = folder.path("bad.toml");
    std::fs::File::create(&path).unwrap().set_len(100 << 20).unwrap();
    let start = std::time::Instant::now();
    let found = load(Some(&path)).unwrap_err();
    assert!(found.list[0].message.contains("larger than 1 MiB"), "{found}");
    assert!(start.elapsed().as_millis() < 1000);
    let exact = format!("{}{}", common::on_base("#"), "x".repeat(1 << 20));
    assert!(load(Some(&folder.write("policy.toml", &exact[..1 << 20]))).is_ok());
    assert!(load(Some(&folder.write("policy.toml", &exact[..(1 << 20) + 1]))).is_err());
}

#[test]
fn only_regular_files() {
    let folder = Folder::new();
    let real = folder.write("real.toml", on_base(""));
    let link = folder.path("link.toml");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let fifo = folder.path("fifo.toml");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (path, words) in [
        (link.as_path(), "symbolic link"),
        (&fifo, "not a regular file"),
        (std::path::Path::new("/dev/zero"), "not a regular file"),
        (folder.root.as_path(), "not a regular file"),
        (&folder.path("nonesuch"), "No such file"),
    ] {
        let found = load(Some(path)).unwrap_err();
        assert!(found.to_string().contains(words), "{found}");
        assert_eq!((found.list[0].line, found.list[0].file.as_str()), (0, ""));
    }
}

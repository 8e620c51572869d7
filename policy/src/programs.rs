//! Programs of rules that carry credentials: which of them can be told to
//! print what they carry, and which the sandbox can change. The worker looks
//! again at the file it is about to execute; here a policy that cannot work,
//! or says more than it means, is refused before anything runs.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use strongroom_protocol::names::{Why, may_be_credential};
use strongroom_protocol::plan;
use strongroom_protocol::rules::PROGRAM_FOLDERS;

use crate::diagnostics::Diagnostics;
use crate::grant::Ground;
use crate::model::{ActionWord, File, Profile, Rule};
use crate::rules::understood;
use crate::source::At;

const UNDERSTOOD: &str = "`i_understand_shell_can_print_it = true`";

/// Programs that run or print what their arguments say, so that who chooses
/// argv can have them print what they carry. Not complete: no such list is.
const RUNS_ARGV: &[&str] = &[
    // Shells, and what starts another program.
    "ash bash busybox chroot chrt csh dash doas entr env expect fakeroot find firejail fish flock",
    "git-shell gosu ionice ksh ltrace mksh nice nohup nsenter osascript parallel perf prlimit pwsh",
    "rlwrap run-parts runuser screen script setpriv setsid sg sh socat ssh stdbuf strace su sudo",
    "taskset time timeout tmux toybox unbuffer unshare valgrind watch xargs xonsh zsh bwrap docker",
    "podman nerdctl",
    // Interpreters.
    "awk bpftrace bun bunx deno elixir emacs gawk gdb ghci groovy guile irb java jjs jrunscript jshell",
    "julia lua luajit m4 mawk nawk node nodejs octave perl php py pypy python r racket rscript ruby",
    "scala sqlite swipl tclsh ts-node tsx wish",
    // Builders and package managers, which run what a file says.
    "ant bazel bundle cmake composer conda dotnet gem gmake go gradle just make meson mvn ninja npm npx",
    "nox pip pipx pnpm poetry pytest rake tox uv uvx yarn",
    // Editors and pagers.
    "ed ex less man more sed vi view vim",
    // What prints files, and so /proc/self/environ.
    "base32 base64 basenc cat cp cut dd diff egrep envsubst fgrep grep head hexdump jq nl od paste",
    "printenv rg sort strings tac tail tar tee uniq xxd yq",
];

/// Whether a program of a rule (a word of `match`, a path or a name) can be
/// told by its arguments to print its environment. `python3.11` is `python`.
fn runs_argv(program: &str) -> bool {
    if program.contains('*') || program == "..." {
        return true;
    }
    let name = program.rsplit('/').next().unwrap_or(program).to_ascii_lowercase();
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    let mut listed = RUNS_ARGV.iter().flat_map(|group| group.split_ascii_whitespace());
    listed.any(|known| known == bare || known == name)
}

/// Checks the program of a rule that carries credentials, as far as the
/// policy says everything about it.
pub fn check(rule: &Rule, profile: Option<&Profile>, found: &mut Diagnostics) {
    let Some(program) = rule.pattern.first().filter(|_| !understood(rule)) else {
        return;
    };
    if runs_argv(program) {
        found.error(
            program.site(),
            "this program does what its arguments say, so it can be told to print the credential",
            format!("a rule for one program, or {UNDERSTOOD}"),
        );
        return;
    }
    if !program.starts_with('/') && program.contains('/') {
        found.error(
            program.site(),
            "this program lies in the workspace, so the sandbox can change it into one that prints \
             the credential",
            format!("a program of the system, or {UNDERSTOOD}"),
        );
        return;
    }
    let Some(path) = profile.and_then(|profile| profile.env.set.get("PATH")) else {
        return;
    };
    if let Some(folder) = path.split(':').find(|folder| !folder.starts_with('/')) {
        found.error(
            program.site(),
            format!(
                "PATH has the folder `{folder}`, which is not absolute ({}): programs would be looked \
                 for in the workspace, where the sandbox can change them",
                path.site().short()
            ),
            format!("only absolute folders in PATH, or {UNDERSTOOD}"),
        );
    }
}

/// Checks the programs of all rules that carry credentials against what the
/// profiles let jailed code change in this place.
pub fn check_place(policy: &File, profiles: &[plan::Profile], ground: &mut Ground<'_>) {
    let mut seen = BTreeSet::new();
    for rule in policy.rule.iter().filter(|rule| carries(rule)) {
        let name = rule.profile.as_ref().map_or("", |name| name.as_str());
        let Some(profile) = profiles.iter().find(|p| p.name.as_str() == name) else {
            continue;
        };
        firm(rule, profile, ground);
        if seen.insert(name) {
            led_away(rule, profile, ground);
        }
    }
}

fn carries(rule: &At<Rule>) -> bool {
    *rule.action != ActionWord::Deny
        && !understood(rule)
        && rule.credentials.as_ref().is_some_and(|names| !names.is_empty())
}

/// Refuses a program that can be changed, and a folder of PATH: what this
/// program starts is looked for there, even where it is not itself.
fn firm(rule: &Rule, profile: &plan::Profile, ground: &mut Ground<'_>) {
    let Some(program) = rule.pattern.first() else { return };
    let path = profile.env.iter().find(|var| var.name.as_bytes() == b"PATH");
    let path = path.map_or(&b""[..], |var| var.value.as_bytes()).split(|byte| *byte == b':');
    let folders: Vec<&Path> = path.map(|folder| Path::new(OsStr::from_bytes(folder))).collect();
    let programs = candidates(program, &folders);
    let mut all = programs.into_iter().chain(folders.into_iter().map(Path::to_path_buf));
    let changeable = all.find_map(|path| {
        let root = ground.changeable(&path)?.to_path_buf();
        Some((path, root))
    });
    let Some((path, root)) = changeable else { return };
    let message = format!(
        "the sandbox can change {}, which lies beneath {}, and so have the credential printed",
        path.display(),
        root.display()
    );
    let expected = if path == Path::new(program.as_str()) {
        format!("a program that lies elsewhere, or {UNDERSTOOD}")
    } else {
        format!("a PATH without that folder, or {UNDERSTOOD}")
    };
    ground.found.error(program.site(), message, expected);
}

/// Every path that may be executed for a program of a rule: an allow rule for
/// a name also takes that name in the folders of the system.
fn candidates(program: &str, path: &[&Path]) -> Vec<PathBuf> {
    if program.contains('/') {
        return vec![PathBuf::from(program)];
    }
    let system = PROGRAM_FOLDERS.iter().map(Path::new);
    path.iter().copied().chain(system).map(|folder| folder.join(program)).collect()
}

/// Warns of a variable that leads the program to settings, libraries or
/// servers' certificates in a place that the sandbox can change.
fn led_away(rule: &Rule, profile: &plan::Profile, ground: &mut Ground<'_>) {
    for var in &profile.env {
        let name = var.name.display();
        // PATH was looked at more closely.
        let leads = matches!(
            may_be_credential(&name),
            Err(Why::Loads | Why::Leads | Why::Everyday) if name != "PATH"
        );
        if !leads {
            continue;
        }
        let pieces = var.value.as_bytes().split(|byte| b":;,= ".contains(byte));
        let mut paths = pieces.map(|piece| Path::new(OsStr::from_bytes(piece)));
        if let Some(path) = paths.find(|p| p.is_absolute() && ground.changeable(p).is_some()) {
            ground.found.warn(
                rule.name.site(),
                format!(
                    "{name} of profile `{}` leads this rule's program to {}, which the sandbox can \
                     change: what stands there may have it print the credential",
                    profile.name.as_str(),
                    path.display()
                ),
                "a place that no profile may write",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs() {
        for program in [
            "sh",
            "bash",
            "/bin/bash",
            "python",
            "python3",
            "python3.11",
            "/usr/bin/python3",
            "perl5.36",
            "node",
            "ruby3.1",
            "env",
            "xargs",
            "find",
            "awk",
            "make",
            "npx",
            "*",
            "...",
            "py*",
            "SH",
            "lua5.4",
            "clang-*",
            "./sh",
            "cat",
            "base64",
            "jq",
        ] {
            assert!(runs_argv(program), "{program}");
        }
        for program in ["git", "gh", "cargo", "curl", "terraform", "/usr/bin/aws", "7z"] {
            assert!(!runs_argv(program), "{program}");
        }
    }
}

//! The lists as `docs/seccomp.md`.

use std::fmt::Write;

use crate::{
    Net, Unix,
    spec::{Body, Case, Entry, LISTS, List},
};

/// Renders every list, grouped, each entry with its why.
pub fn markdown() -> String {
    let mut out = String::from(INTRODUCTION);
    for list in LISTS {
        section(&mut out, list);
    }
    out
}

const INTRODUCTION: &str = "# System-call lists

Generated from `policies/seccomp/*.toml`; do not edit.

The kernel runs all installed filters and takes the strictest verdict, seccomp(2). Filters are never removed, and each
process below inherits those of the one before it:

| filter | who installs it | when | made from |
|---|---|---|---|
| `never` | the supervisor | at its start; inherited by all | `never` |
| `base` | the zygote of a profile | before its first worker | `standard` without the refusals of `last`, widened by `setup` |
| `close` | the worker | when its jail is finished | what `standard` says of each call of `setup` |
| `last` | the command, with a mount namespace | between vfork and exec | `last` |
| `deputy` | the command, without a mount namespace | between vfork and exec, in place of `last` | `deputy` and `last` |
| `broker`, `recorder` | each its own | when it is set up | the list of that name |

So a jailed command runs under `standard` and `never`, and without a mount namespace under `deputy` too. Its worker
keeps what `last` refuses: openat2, and the listener of `deputy`.

Every filter but `last` kills the process on a foreign architecture (`int 0x80`, x32); `last` is only installed above
`base`. Arguments are compared on the 32 bits that the kernel reads, unless said otherwise.
";

fn section(out: &mut String, list: &List) {
    // Writing to a String does not fail.
    let _ = write!(out, "\n## {}\n\n{}", list.name, list.purpose);
    if list.name != "setup" {
        let _ = write!(
            out,
            " Known but not listed: {}. Unknown number: {}.",
            list.unlisted, list.unknown
        );
    }
    let _ = write!(out, "\n\n| calls | verdict | why |\n|---|---|---|\n");
    for entry in list.entries {
        let (verdict, why) = (verdict(entry, list.name == "setup"), why(entry));
        let names = entry.names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(out, "| {names} | {} | {} |", escape(&verdict), escape(&why));
    }
}

fn verdict(entry: &Entry, additive: bool) -> String {
    let (cases, otherwise) = match &entry.body {
        Body::Plain(verdict) => return verdict.to_string(),
        Body::Rule { cases, otherwise } => (cases, otherwise),
    };
    let mut parts: Vec<String> = cases.iter().map(one_case).collect();
    parts.push(if additive { "else as in standard".into() } else { format!("else {otherwise}") });
    parts.join("<br>")
}

fn one_case(case: &Case) -> String {
    let conditions = case.when.iter().map(|c| c.text).collect::<Vec<_>>().join("; ");
    let nets =
        names(case.net, &[(Net::None, "none"), (Net::Loopback, "loopback"), (Net::Open, "open")]);
    let unixes = names(
        case.unix,
        &[(Unix::All, "all"), (Unix::Seqpacket, "seqpacket"), (Unix::None, "none")],
    );
    let limits = [("net", nets), ("unix", unixes)]
        .into_iter()
        .filter_map(|(k, v)| Some(format!(" (only {k}: {})", v?)));
    format!("{}{}: {conditions}", case.then, limits.collect::<String>())
}

/// `None` if all variants are there.
fn names<T: PartialEq>(chosen: &[T], known: &[(T, &str)]) -> Option<String> {
    let named = known.iter().filter(|(variant, _)| chosen.contains(variant)).map(|(_, name)| *name);
    (chosen.len() < known.len()).then(|| named.collect::<Vec<_>>().join(", "))
}

fn why(entry: &Entry) -> String {
    let mut parts = vec![entry.why];
    if let Body::Rule { cases, .. } = &entry.body {
        parts.extend(cases.iter().map(|c| c.why).filter(|why| !why.is_empty()));
    }
    parts.join("<br>")
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}

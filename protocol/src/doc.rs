//! Writes `docs/protocol.md` and `docs/errors.md` from the tables, so that
//! they cannot drift. A test compares the files with what this returns.

use std::fmt::Write as _;

use crate::channel::{Budget, Direction, a, o, r, s, w, z};
use crate::codes;
use crate::fds;
use crate::limits;
use crate::stage::Stage;

fn direction<D: Direction>(out: &mut String) {
    let _ = writeln!(out, "### {}: {} to {}\n", D::CHANNEL, D::FROM, D::TO);
    let states: Vec<String> = D::STATES.iter().map(|s| format!("`{s:?}`")).collect();
    let _ = writeln!(out, "States: {} (starts in `{:?}`).\n", states.join(", "), D::START);
    let _ = writeln!(out, "| tag | message | in state | then | fds | budget | what |");
    let _ = writeln!(out, "|---|---|---|---|---|---|---|");
    for row in D::TABLE {
        let from: Vec<String> = row.from.iter().map(|s| format!("{s:?}")).collect();
        let to = row.to.map_or("–".to_owned(), |s| format!("{s:?}"));
        let budget = match row.budget {
            Budget::Once => "once".to_owned(),
            Budget::PerSecond(n) => format!("{n}/s"),
            Budget::Unbounded => "–".to_owned(),
        };
        let _ = writeln!(
            out,
            "| {} | `{}` | {} | {} | {} | {} | {} |",
            row.tag,
            row.name,
            from.join(", "),
            to,
            row.fds,
            budget,
            row.doc.trim()
        );
    }
    out.push('\n');
    for row in D::TABLE {
        let fields = declared(row.fields);
        if !fields.is_empty() {
            let _ = writeln!(out, "- `{}`: {}", row.name, fields.join(", "));
        }
    }
    out.push('\n');
}

/// Field declarations without their comments: "`name` Type".
fn declared(fields: &str) -> Vec<String> {
    // Comments may hold commas and brackets, so they go first.
    let mut bare = String::new();
    let mut rest = fields;
    while let Some(at) = rest.find("///").or_else(|| rest.find("#[doc")) {
        bare.push_str(rest.get(..at).unwrap_or_default());
        let comment = rest.get(at..).unwrap_or_default();
        let end = if comment.starts_with("///") {
            comment.find('\n').map(|n| n + 1)
        } else {
            comment.find("\"]").map(|n| n + 2)
        };
        rest = end.and_then(|n| comment.get(n..)).unwrap_or_default();
    }
    bare.push_str(rest);
    let mut depth = 0;
    let parts = bare.split(|c| {
        match c {
            '<' | '[' | '(' => depth += 1,
            '>' | ']' | ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts
        .filter_map(|part| {
            let (name, kind) = part.split_once(':')?;
            let kind: String = kind.split_whitespace().collect();
            Some(format!("`{}` {}", name.trim(), kind.replace(',', ", ").replace('<', "\\<")))
        })
        .collect()
}

/// The tables of `docs/protocol.md`.
#[must_use]
pub fn protocol() -> String {
    let mut out = String::new();
    direction::<a::FromAgent>(&mut out);
    direction::<a::ToAgent>(&mut out);
    direction::<o::FromOperator>(&mut out);
    direction::<o::ToOperator>(&mut out);
    direction::<s::FromBroker>(&mut out);
    direction::<s::ToBroker>(&mut out);
    direction::<z::ToZygote>(&mut out);
    direction::<z::FromZygote>(&mut out);
    direction::<w::ToWorker>(&mut out);
    direction::<w::FromWorker>(&mut out);
    direction::<r::FromBroker>(&mut out);
    direction::<r::FromSupervisor>(&mut out);
    direction::<r::ToWriter>(&mut out);

    out.push_str("### Descriptors at start\n\n| process | number | what |\n|---|---|---|\n");
    for (process, number, what) in fds::TABLE {
        let _ = writeln!(out, "| {process} | {number} | {what} |");
    }
    out.push_str("\n### Limits\n\n| limit | value |\n|---|---|\n");
    for (name, value) in [
        ("bytes in a packet", limits::MAX_PACKET),
        ("descriptors in a packet", limits::MAX_FDS),
        ("arguments", limits::MAX_ARGS),
        ("bytes in an argument", limits::MAX_ARG),
        ("environment entries", limits::MAX_ENV),
        ("bytes in an environment value", limits::MAX_ENV_VALUE),
        ("bytes in a path", limits::MAX_PATH),
        ("bytes in a name", limits::MAX_NAME),
        ("bytes in a credential's name", limits::MAX_CREDENTIAL_NAME),
        ("bytes in a reason", limits::MAX_REASON),
        ("commands in flight, one connection", limits::MAX_EXECS_PER_CONNECTION),
        ("commands in flight, session", limits::MAX_EXECS),
        ("connections on a listening socket", limits::MAX_CONNECTIONS),
    ] {
        let _ = writeln!(out, "| {name} | {value} |");
    }
    out.push_str("\n### Steps of the jail\n\nA worker that fails in a step exits with its status.\n\n| status | step | what |\n|---|---|---|\n");
    for stage in Stage::ALL {
        let _ = writeln!(out, "| {} | `{stage:?}` | {} |", stage.exit_code(), stage.describe());
    }
    out.push_str(ENCODING);
    out
}

/// How the types above stand on the wire. Pinned by the golden vectors of
/// `protocol/tests/golden`, which fail when this no longer holds.
const ENCODING: &str = r"
### Encoding

bincode 2's fixed-width little-endian encoding, frozen. A decoder refuses a
packet over the limit, bytes after the end of the message, and any value that
breaks the rule of its type; it compares a length with its limit before it
reads that many.

| type | bytes |
|---|---|
| `u8` `u16` `u32` `u64` `i32` `i64` | little-endian, 1, 2, 4, 8, 4, 8 |
| `bool` | one byte, 0 or 1 |
| `[u8; N]` | N bytes |
| message, enum | the index of the variant as `u32`, then its fields in order |
| `Option<T>` | one byte, 0: nothing follows; 1: a `T` follows |
| `List<T, MAX>` | the number of items as `u64`, then the items |
| `Arg` `PathBytes` `EnvName` `EnvValue` `Name` `CredentialName` `Reason` | the number of bytes as `u64`, then the bytes; never a NUL |
| `Argv` | a list of `Arg`, not empty, the first not empty |
| `ReqId` `ProfileIx` `SignalNo` | `u64`, `u16`, `u8` |
| `Code` | its number as `u16` |
| `Stage` | its exit status as `u8` |
| `Tier` `ProcView` `KillAll` `LimitsBy` `ProtectBy` `MetadataBy` | enum without fields |
| `StageError` | `stage` Stage, `errno` i32 |
| `Denial` | `code` Code, `why` Option\<Reason> |
| `Outcome` | enum: `Exited` u8, `Signalled` u8, `Ended` Code |
| `Usage` | `wall_us` u64, `user_us` u64, `system_us` u64, `max_rss_kib` u64 |
| `Report` | `outcome`, `usage`, `stdout_bytes` u64, `stderr_bytes` u64, `output_cut` bool, `protected` List\<PathBytes>, `receipt` Option\<Receipt> |
| `Receipt` | `tier`, `uid` u32, `gid` u32, `namespaces` u8, `proc_view`, `landlock_abi` u8, `landlock_fs` u64, `landlock_net` u64, `landlock_scopes` u64, `seccomp_filters` u8, `unprivileged` bool, `kill_all`, `limits`, `protect`, `metadata`, `private_tmpfs` bool, `shared_shm` bool |
| `Launch` | `argv`, `cwd` Option\<PathBytes>, `secrets` List\<SecretVar>, `firm` bool, `wall_ms` u64, `known` Option\<Known> |
| `Known` | `stamp` Stamp, `digest` [u8; 32] |
| `Stamp` | `dev` u64, `ino` u64, `size` u64, `mtime_ns` i64, `ctime_ns` i64 |
| `SecretVar` | `name` CredentialName, the value's bytes as for `Arg` |
| `Digests` | `argv` [u8; 32], `program` Option\<[u8; 32]>, `stdin` Option\<Input>, `output` Option\<[[u8; 32]; 2]>, `receipt` Option\<[u8; 32]> |
| `Input` | `bytes` u64, `digest` [u8; 32] |
| `EnvVar` | `name` EnvName, `value` EnvValue |
| `ActionRecord` | `connection` u64, `argv` List\<Arg>, `argc` u32, `cwd` Option\<PathBytes>, `rule` Option\<Name>, `profile` Option\<Name>, `credentials` List\<CredentialName>, `reason` Option\<Reason> |
| `Status` | `session` [u8; 16], `tier`, `age_ms` u64, `accepted` u64, `refused` u64, `connections` u32, `running` List\<Running>, `running_count` u32 |
| `Running` | `id` ReqId, `rule` Name, `argv`, `cut` bool, `age_ms` u64 |
";

/// The table of `docs/errors.md`.
#[must_use]
pub fn errors() -> String {
    let mut out = String::from(
        "| code | exit | what | instead | may asking help? |\n|---|---|---|---|---|\n",
    );
    for entry in codes::TABLE {
        let exit =
            if entry.exit == 0 { "the command's".to_owned() } else { entry.exit.to_string() };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            entry.code,
            exit,
            entry.what,
            entry.instead,
            entry.ask.as_str()
        );
    }
    out
}

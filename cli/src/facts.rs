//! Facts about this place that decisions are made from.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{getegid, geteuid};
use strongroom_protocol::plan::Ids;

use crate::place::{Starter, Step};

/// Who runs this process.
pub fn starter() -> Starter {
    use caps::{CapSet, Capability, has_cap};
    let has = |cap| has_cap(None, CapSet::Effective, cap).unwrap_or(false);
    Starter {
        ids: Ids { uid: geteuid().as_raw(), gid: getegid().as_raw() },
        switches: has(Capability::CAP_SETUID) && has(Capability::CAP_SETGID),
    }
}

/// Every step of a path that has no link in it, from `/` to the path itself.
///
/// # Errors
/// As lstat(2).
pub fn way(path: &Path) -> io::Result<Vec<Step>> {
    let mut steps: Vec<&Path> = path.ancestors().collect();
    steps.reverse();
    steps.into_iter().map(step).collect()
}

/// One step.
///
/// # Errors
/// As lstat(2).
pub fn step(path: &Path) -> io::Result<Step> {
    let meta = path.symlink_metadata()?;
    Ok(Step {
        path: path.to_owned(),
        owner: Ids { uid: meta.uid(), gid: meta.gid() },
        mode: meta.permissions().mode() & 0o7777,
    })
}

/// An absolute path from the environment; one that is set and empty, or
/// relative, counts as not set (XDG base directory specification).
pub fn path_variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Names that are likely to hold a secret.
pub fn secret_like(names: Vec<OsString>) -> Vec<OsString> {
    names.into_iter().filter(|name| looks_secret(&name.to_string_lossy())).collect()
}

fn looks_secret(name: &str) -> bool {
    const ENDINGS: &[&str] = &[
        "_TOKEN",
        "_KEY",
        "_APIKEY",
        "_SECRET",
        "_PASSWORD",
        "_PASSWD",
        "_PASS",
        "_PWD",
        "_PAT",
        "_CREDENTIALS",
        "_AUTH",
        "_DSN",
        "_COOKIE",
    ];
    const INNER: &[&str] = &["PASSWORD", "PASSWD", "SECRET", "PRIVATE_KEY", "APIKEY", "API_KEY"];
    const WHOLE: &[&str] =
        &["TOKEN", "PASS", "PAT", "AUTH", "KEY", "DATABASE_URL", "KUBECONFIG", "NETRC"];
    // Places of agents and sockets, not secrets: still worth a word.
    const DOORS: &[&str] = &["SSH_AUTH_SOCK", "GPG_AGENT_INFO", "DOCKER_HOST"];
    let name = name.to_ascii_uppercase();
    let harmless = [
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_PAGER",
        "AWS_PROFILE",
        "AWS_CA_BUNDLE",
        "AWS_CONFIG_FILE",
        "OLDPWD",
        "PWD",
    ];
    if harmless.contains(&name.as_str()) {
        return false;
    }
    name.starts_with("AWS_")
        || ENDINGS.iter().any(|e| name.ends_with(e))
        || INNER.iter().any(|i| name.contains(i))
        || WHOLE.contains(&name.as_str())
        || DOORS.contains(&name.as_str())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn secrets_by_name() {
        for name in [
            "GITHUB_TOKEN",
            "ANTHROPIC_API_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "DB_PASSWORD",
            "PGPASSWORD",
            "MYSQL_PWD",
            "npm_token",
            "SLACK_SECRET",
            "MY_SECRET_THING",
            "SSH_AUTH_SOCK",
            "TOKEN",
            "DATABASE_URL",
        ] {
            assert!(looks_secret(name), "{name}");
        }
        for name in [
            "PATH",
            "HOME",
            "PWD",
            "OLDPWD",
            "LANG",
            "TERM",
            "AWS_REGION",
            "KEYBOARD",
            "MONKEY",
            "COMPASS",
        ] {
            assert!(!looks_secret(name), "{name}");
        }
    }

    #[test]
    fn the_way_starts_at_the_root() {
        let way = way(Path::new("/usr/bin")).unwrap();
        let paths: Vec<_> = way.iter().map(|s| s.path.to_str().unwrap()).collect();
        assert_eq!(paths, ["/", "/usr", "/usr/bin"]);
    }
}

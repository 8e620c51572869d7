//! The words of `read`, `write` and `deny`: tokens and literal paths. Only
//! their grammar; what they mean in a place is decided when compiling.

use std::path::{Component, Path, PathBuf};

use strongroom_protocol::limits::MAX_PATH;

/// Which list a word stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// `read`
    Read,
    /// `write`
    Write,
    /// `deny`
    Deny,
}

/// One word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// `@system`: programs, libraries, the harmless part of /etc, /proc, devices.
    System,
    /// `@proc`
    Proc,
    /// `@dev`: the harmless devices.
    Dev,
    /// `@tmp`
    Tmp,
    /// `@shm`
    Shm,
    /// `@home`
    Home,
    /// `@workspace`, or a path beneath it.
    Workspace {
        /// Relative; empty for the workspace itself.
        beneath: PathBuf,
        /// May be missing.
        optional: bool,
    },
    /// An absolute path.
    Literal {
        /// The path.
        path: PathBuf,
        /// May be missing.
        optional: bool,
    },
}

/// What is wrong with a word, and what was expected.
pub type Wrong = (String, &'static str);

const TOKENS: &str =
    "`@system`, `@workspace`, `@workspace/DIR`, `@proc`, `@dev`, `@tmp`, `@shm` or `@home`";
const READ_ONLY: &str = "it under `read`";
const WRITE_ONLY: &str = "it under `write`";
const ABSOLUTE: &str = "an absolute path, or a token such as `@workspace`";

/// Reads one word of a list.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str, list: List) -> Result<Word, Wrong> {
    let (path, optional) = match text.strip_suffix('?') {
        Some(path) => (path, true),
        None => (text, false),
    };
    if let Some(token) = text.strip_prefix('@') {
        let path = path.strip_prefix('@').unwrap_or_default();
        return self::token(token, path, optional, list);
    }
    literal(path, optional, list)
}

fn token(token: &str, path: &str, optional: bool, list: List) -> Result<Word, Wrong> {
    let word = match token {
        "system" => Word::System,
        "proc" => Word::Proc,
        "dev" => Word::Dev,
        "tmp" => Word::Tmp,
        "shm" => Word::Shm,
        "home" => Word::Home,
        "workspace" => Word::Workspace { beneath: PathBuf::new(), optional: false },
        _ => {
            let beneath = path
                .strip_prefix("workspace/")
                .ok_or_else(|| (format!("unknown token `@{token}`"), TOKENS))?;
            normal(&format!("/{beneath}"))?;
            if beneath.is_empty() {
                return Err(("`/` at the end".to_owned(), "`@workspace`"));
            }
            Word::Workspace { beneath: PathBuf::from(beneath), optional }
        }
    };
    match (&word, list) {
        (Word::System | Word::Proc | Word::Dev, List::Write) => {
            Err((format!("`@{token}` cannot be writable"), READ_ONLY))
        }
        (Word::Tmp | Word::Shm | Word::Home, List::Read) => {
            Err((format!("`@{token}` is for writing"), WRITE_ONLY))
        }
        (Word::Workspace { .. }, _) | (_, List::Read | List::Write) => Ok(word),
        (_, List::Deny) => Err((
            format!("`@{token}` in `deny`"),
            "a path; what is not in `read` or `write` is denied already",
        )),
    }
}

fn literal(path: &str, optional: bool, list: List) -> Result<Word, Wrong> {
    let wrong = |what: &str| Err((what.to_owned(), ABSOLUTE));
    if path.is_empty() {
        return wrong("an empty path");
    }
    if path.starts_with('~') {
        return wrong("`~` is not expanded");
    }
    if path.contains('$') {
        return wrong("variables are not expanded");
    }
    if !path.starts_with('/') {
        return wrong("a relative path");
    }
    if path != "/" {
        normal(path)?;
    }
    let path = PathBuf::from(path);
    if path == Path::new("/") && list != List::Deny {
        return Err((
            "`/` would give everything, the state folder too".to_owned(),
            "the folders that are needed; `@system` is the system's",
        ));
    }
    if list == List::Write
        && let Some(kernel) = KERNEL.iter().find(|kernel| path.starts_with(kernel))
    {
        return Err((
            format!("nothing beneath {kernel} may be writable"),
            "`@dev` under `read` for the harmless devices",
        ));
    }
    Ok(Word::Literal { path, optional })
}

/// Where a write speaks to the kernel, not to a disk.
const KERNEL: &[&str] = &["/proc", "/sys", "/dev"];

/// A path that has one spelling only.
///
/// # Errors
/// What is wrong with it.
pub fn normal(path: &str) -> Result<(), Wrong> {
    let wrong = |what: &str, expected| Err((what.to_owned(), expected));
    if path.len() > MAX_PATH {
        return wrong("a path longer than 4095 bytes", "a shorter path");
    }
    if path.chars().any(char::is_control) {
        return wrong("a control character in a path", "a path without one");
    }
    if path.contains('*') {
        return wrong("`*` in a path", "a path; everything beneath a folder is included");
    }
    if path.contains("//") {
        return wrong("`//` in a path", "one `/`");
    }
    if path.len() > 1 && path.ends_with('/') {
        return wrong("`/` at the end of a path", "the path without it");
    }
    // `components()` drops an inner `.`, so look at the text.
    if path.split('/').any(|part| part == "." || part == "..") {
        return wrong("`.` or `..` in a path", "the path it leads to");
    }
    Ok(())
}

/// Whether a name for `protect` stays beneath the workspace.
///
/// # Errors
/// What is wrong with it.
pub fn protected(name: &str) -> Result<(), Wrong> {
    const HOW: &str = "a name relative to the workspace, such as \".git/hooks\"";
    if name.is_empty() {
        return Err(("an empty name".to_owned(), HOW));
    }
    if name.starts_with('/') || name.starts_with('@') || name.starts_with('~') {
        return Err(("not a relative name".to_owned(), HOW));
    }
    normal(&format!("/{name}"))
}

/// Whether a path is absolute and has one spelling only.
#[must_use]
pub fn is_absolute_normal(path: &Path) -> bool {
    path.is_absolute()
        && path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ok(text: &str, list: List) -> bool {
        parse(text, list).is_ok()
    }

    #[test]
    fn words() {
        use List::{Deny, Read, Write};
        // word, read, write, deny
        for (text, read, write, deny) in [
            ("@system", true, false, false),
            ("@proc", true, false, false),
            ("@dev", true, false, false),
            ("@tmp", false, true, false),
            ("@shm", false, true, false),
            ("@home", false, true, false),
            ("@workspace", true, true, true),
            ("@workspace/src", true, true, true),
            ("@workspace/src?", true, true, true),
            ("@workspace/", false, false, false),
            ("@workspace?", false, false, false),
            ("@workspace/../x", false, false, false),
            ("@workspace2", false, false, false),
            ("@System", false, false, false),
            ("@", false, false, false),
            ("/job", true, true, true),
            ("/job?", true, true, true),
            ("/job/", false, false, false),
            ("/job//a", false, false, false),
            ("/job/./a", false, false, false),
            ("/job/../a", false, false, false),
            ("/job/..a", true, true, true),
            ("/", false, false, true),
            ("", false, false, false),
            ("?", false, false, false),
            ("work", false, false, false),
            ("./job", false, false, false),
            ("~", false, false, false),
            ("~/x", false, false, false),
            ("$HOME", false, false, false),
            ("/home/$USER", false, false, false),
            ("/a*", false, false, false),
            ("/a\nb", false, false, false),
            ("/a\0b", false, false, false),
            ("/proc", true, false, true),
            ("/proc/sys", true, false, true),
            ("/processes", true, true, true),
            ("/sys/fs", true, false, true),
            ("/dev/sda", true, false, true),
            ("/devel", true, true, true),
            ("/é", true, true, true),
        ] {
            assert_eq!(ok(text, Read), read, "read {text:?}");
            assert_eq!(ok(text, Write), write, "write {text:?}");
            assert_eq!(ok(text, Deny), deny, "deny {text:?}");
        }
    }

    #[test]
    fn protect_names() {
        for (name, want) in [
            (".git/hooks", true),
            (".mcp.json", true),
            ("a b", true),
            ("", false),
            (".", false),
            ("..", false),
            ("a/../b", false),
            ("a//b", false),
            ("a/", false),
            ("/a", false),
            ("@workspace/a", false),
            ("a*", false),
        ] {
            assert_eq!(protected(name).is_ok(), want, "{name:?}");
        }
    }

    proptest! {
        /// What is accepted has one spelling: the kernel's components, joined
        /// again, are the text.
        #[test]
        fn accepted_paths_are_normal(text in "[/.a?~*@ -]{0,12}") {
            for list in [List::Read, List::Write, List::Deny] {
                if let Ok(Word::Literal { path, optional }) = parse(&text, list) {
                    let spelled: PathBuf = path.components().collect();
                    prop_assert_eq!(spelled.as_os_str(), path.as_os_str());
                    prop_assert!(is_absolute_normal(&path));
                    let shown = format!("{}{}", path.display(), if optional { "?" } else { "" });
                    prop_assert_eq!(shown, text.clone());
                }
            }
        }

        /// Any normal absolute path is accepted for reading.
        #[test]
        fn normal_paths_are_accepted(parts in prop::collection::vec("[a-z_-][a-z._-]{0,6}", 1..5)) {
            let path = format!("/{}", parts.join("/"));
            prop_assert_eq!(
                parse(&path, List::Read).unwrap(),
                Word::Literal { path: PathBuf::from(&path), optional: false }
            );
        }

        #[test]
        fn protected_names_stay_beneath(name in "[/.a*]{0,8}") {
            if protected(&name).is_ok() {
                let joined = Path::new("/w").join(&name);
                prop_assert!(joined.starts_with("/w") && joined != Path::new("/w"));
                prop_assert!(is_absolute_normal(&joined));
            }
        }
    }
}

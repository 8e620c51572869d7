//! The names that git takes for `.git`: on a file system that folds case, has
//! short names or streams, or ignores some characters, they are that folder
//! (git's `is_ntfs_dotgit` and `is_hfs_dotgit`; CVE-2014-9390, CVE-2019-1352).

/// Would some file system call this `.git`?
pub fn is_dot_git(name: &[u8]) -> bool {
    // NTFS: what follows `:` names a stream, `\` separates folders.
    name.split(|b| *b == b'\\').any(|part| {
        let name = part.split(|b| *b == b':').next().unwrap_or_default();
        let end = name.iter().rposition(|b| !matches!(b, b' ' | b'.')).map_or(0, |at| at + 1);
        let name = name.get(..end).unwrap_or_default();
        name.eq_ignore_ascii_case(b"git~1") || seen(name).eq_ignore_ascii_case(".git")
    })
}

/// Without the characters that HFS+ ignores.
fn seen(name: &[u8]) -> String {
    let ignored = |c: &char| matches!(*c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    String::from_utf8_lossy(name).chars().filter(|c| !ignored(c)).collect()
}

#[cfg(test)]
mod tests {
    use super::is_dot_git;

    #[test]
    fn whatever_some_file_system_calls_so() {
        for name in [
            ".git",
            ".GIT",
            ".Git ",
            ".git...",
            ".git . .",
            "git~1",
            "GIT~1",
            ".git::$INDEX_ALLOCATION",
            ".git:x",
            "a\\.git",
            ".git\\hooks",
            ".g\u{200c}it",
            "\u{feff}.git",
            ".gi\u{206f}T",
        ] {
            assert!(is_dot_git(name.as_bytes()), "{name:?}");
        }
    }

    #[test]
    fn and_nothing_else() {
        for name in ["git", ".gitignore", ".github", "x.git", "git~2", ".gi", ". git", ".env"] {
            assert!(!is_dot_git(name.as_bytes()), "{name:?}");
        }
    }
}

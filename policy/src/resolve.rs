//! A path to the file it leads to, and every symbolic link on the way: a new
//! root must show the links, and a rule must name what is behind them.

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;

/// As many links as the kernel follows.
const MAX_LINKS: usize = 40;

/// A path, followed.
#[derive(Debug, PartialEq, Eq)]
pub struct Walk {
    /// Where it leads, without a link.
    pub real: PathBuf,
    /// The links on the way: where each stands (without a link) and what it says.
    pub links: Vec<(PathBuf, PathBuf)>,
}

/// Follows an absolute path.
///
/// # Errors
/// When it or a link leads nowhere, or in circles.
pub fn walk(path: &Path) -> io::Result<Walk> {
    let mut todo: Vec<OsString> = parts(path).collect();
    todo.reverse();
    let mut real = PathBuf::from("/");
    let mut links = Vec::new();
    while let Some(part) = todo.pop() {
        if part == ".." {
            real.pop();
            continue;
        }
        let here = real.join(&part);
        if !here.symlink_metadata()?.is_symlink() {
            real = here;
            continue;
        }
        if links.len() == MAX_LINKS {
            return Err(Errno::ELOOP.into());
        }
        let target = here.read_link()?;
        if target.is_absolute() {
            real = PathBuf::from("/");
        }
        let ahead: Vec<OsString> = parts(&target).collect();
        todo.extend(ahead.into_iter().rev());
        links.push((here, target));
    }
    Ok(Walk { real, links })
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn follows_as_the_kernel_does() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("real/deep")).unwrap();
        std::fs::write(base.join("real/deep/file"), "x").unwrap();
        symlink("real", base.join("short")).unwrap();
        symlink("../real/deep", base.join("real/again")).unwrap();
        symlink(base.join("short/again/file"), base.join("absolute")).unwrap();
        symlink("round", base.join("round")).unwrap();
        symlink("nowhere", base.join("dangling")).unwrap();

        for name in ["real/deep/file", "short/deep", "short/again/file", "absolute"] {
            let path = base.join(name);
            assert_eq!(walk(&path).unwrap().real, path.canonicalize().unwrap(), "{name}");
        }
        let found = walk(&base.join("absolute")).unwrap();
        let stands: Vec<_> =
            found.links.iter().map(|l| l.0.strip_prefix(&base).unwrap().to_owned()).collect();
        assert_eq!(stands, ["absolute", "short", "real/again"].map(PathBuf::from));
        assert_eq!(walk(&base.join("real")).unwrap().links, []);
        assert_eq!(walk(&base.join("round")).unwrap_err().raw_os_error(), Some(40));
        assert_eq!(walk(&base.join("dangling")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}

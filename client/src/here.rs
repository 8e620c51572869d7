//! Where the caller is: what a relative path of its means to the broker.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use strongroom_protocol::codes::Code;
use strongroom_protocol::types::PathBytes;

use crate::connect::WORKSPACE;

/// The caller's folder where it is in the workspace. The broker checks it; a
/// wrong variable only moves a command to another folder of the workspace.
#[must_use]
pub fn folder() -> Option<PathBytes> {
    default_cwd(std::env::current_dir().ok(), std::env::var_os(WORKSPACE))
}

/// A path as the broker takes it: a relative one is the caller's folder's,
/// where that is in the workspace.
///
/// # Errors
/// [`Code::BadPath`].
pub fn path(path: &Path) -> Result<PathBytes, Code> {
    let path = meant(path, std::env::current_dir().ok(), std::env::var_os(WORKSPACE));
    PathBytes::new(path.as_os_str().as_bytes()).map_err(|_| Code::BadPath)
}

fn default_cwd(cwd: Option<PathBuf>, workspace: Option<OsString>) -> Option<PathBytes> {
    let (cwd, workspace) = (cwd?, workspace?);
    if !cwd.starts_with(Path::new(&workspace)) {
        return None;
    }
    PathBytes::new(cwd.into_os_string().into_vec()).ok()
}

/// A relative path is the caller's folder's, where that is in the workspace.
/// `.` and `..` are taken out: the broker goes through no link, so there is
/// nothing else they could mean.
fn meant(path: &Path, cwd: Option<PathBuf>, workspace: Option<OsString>) -> PathBuf {
    let inside = |cwd: &PathBuf| workspace.as_ref().is_some_and(|w| cwd.starts_with(w));
    let whole = cwd.filter(inside).map_or_else(|| path.to_owned(), |cwd| cwd.join(path));
    if !whole.is_absolute() {
        return whole;
    }
    let mut plain = PathBuf::from("/");
    for part in whole.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::Normal(name) => plain.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_to_where_the_caller_is() {
        for (path, cwd, workspace, want) in [
            (".env", Some("/job/sub"), Some("/job"), "/job/sub/.env"),
            ("./a/../.env", Some("/job"), Some("/job"), "/job/.env"),
            ("../x", Some("/job/sub"), Some("/job"), "/job/x"),
            ("../../x", Some("/job"), Some("/job"), "/x"),
            (".env", Some("/elsewhere"), Some("/job"), ".env"),
            (".env", Some("/job2"), Some("/job"), ".env"),
            ("../x", None, Some("/job"), "../x"),
            (".env", Some("/job"), None, ".env"),
            ("/job/./a//b", None, None, "/job/a/b"),
            ("/../x", None, None, "/x"),
        ] {
            let got = meant(Path::new(path), cwd.map(PathBuf::from), workspace.map(OsString::from));
            assert_eq!(got, Path::new(want), "{path} in {cwd:?} of {workspace:?}");
        }
    }

    #[test]
    fn the_folder_is_sent_only_where_it_is_in_the_workspace() {
        for (cwd, workspace, want) in [
            (Some("/job/sub"), Some("/job"), Some("/job/sub")),
            (Some("/job"), Some("/job"), Some("/job")),
            (Some("/work2"), Some("/job"), None),
            (Some("/"), Some("/job"), None),
            (None, Some("/job"), None),
            (Some("/job"), None, None),
        ] {
            let got = default_cwd(cwd.map(PathBuf::from), workspace.map(OsString::from));
            assert_eq!(
                got.as_ref().map(|p| p.as_bytes()),
                want.map(str::as_bytes),
                "{cwd:?} {workspace:?}"
            );
        }
    }
}

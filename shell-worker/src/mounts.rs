//! What is mounted where (proc_pid_mountinfo(5)): two paths can lead to one
//! folder, and only this says so.

/// A folder of a file system, whatever the paths that lead to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its file system, `major:minor`.
    device: Vec<u8>,
    /// From the file system's own root.
    path: Vec<u8>,
}

impl Place {
    /// Is it `outer`, or beneath it?
    pub fn is_beneath(&self, outer: &Self) -> bool {
        self.device == outer.device && is_beneath(&self.path, &outer.path)
    }
}

/// Is `inner` the same path as `outer`, or beneath it? By component.
pub fn is_beneath(inner: &[u8], outer: &[u8]) -> bool {
    let outer = if outer == b"/" { b"" } else { outer };
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'/'))
}

struct Mount {
    point: Vec<u8>,
    root: Place,
}

/// All that is mounted, as this process sees it.
pub struct Mounts(Vec<Mount>);

impl Mounts {
    /// Reads the list; `None` where it cannot be read, or not be understood.
    pub fn read() -> Option<Self> {
        Self::parse(&std::fs::read("/proc/self/mountinfo").ok()?)
    }

    /// Reads such a list.
    pub fn parse(list: &[u8]) -> Option<Self> {
        let lines = list.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        lines.map(mount).collect::<Option<_>>().map(Self)
    }

    /// Where a path without links leads. Of two mounts at one point the later
    /// one is seen.
    pub fn place(&self, path: &[u8]) -> Option<Place> {
        let around = self.0.iter().filter(|m| is_beneath(path, &m.point));
        let mount = around.max_by_key(|m| m.point.len())?;
        let rest = if mount.point == b"/" { path } else { path.get(mount.point.len()..)? };
        let Place { device, path: root } = &mount.root;
        let root = if root == b"/" { &b""[..] } else { root };
        Some(Place { device: device.clone(), path: [root, rest].concat() })
    }

    /// Every place beneath a path: its own, and what is mounted deeper.
    pub fn places(&self, path: &[u8]) -> Vec<Place> {
        let deeper = self.0.iter().filter(|m| is_beneath(&m.point, path));
        self.place(path).into_iter().chain(deeper.map(|m| m.root.clone())).collect()
    }
}

/// One line: number, parent, device, root, mount point, …
fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|b| *b == b' ').skip(2);
    let device = fields.next()?.to_vec();
    let root = plain(fields.next()?)?;
    let point = plain(fields.next()?)?;
    Some(Mount { point, root: Place { device, path: root } })
}

/// Space, tab, newline and backslash are written as three octal digits.
fn plain(field: &[u8]) -> Option<Vec<u8>> {
    let mut parts = field.split(|b| *b == b'\\');
    let mut text = parts.next()?.to_vec();
    for part in parts {
        let (digits, rest) = part.split_first_chunk::<3>()?;
        text.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()?);
        text.extend_from_slice(rest);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &[u8] = b"\
22 1 0:21 / / rw,relatime shared:1 - overlay overlay rw
23 22 0:22 / /proc rw - proc proc rw
30 22 8:1 /home/me/src /workspace rw - ext4 /dev/sda1 rw
31 22 8:1 /home/me/src/tools /opt/tools ro - ext4 /dev/sda1 rw
32 30 8:2 / /workspace/with\\040space rw - ext4 /dev/sda2 rw
33 22 8:2 /bin /opt/other ro - ext4 /dev/sda2 rw
";
    const LATER: &[u8] = b"34 22 8:3 / /opt/tools ro - ext4 /dev/sda3 rw\n";

    #[test]
    fn two_paths_one_folder() {
        let mounts = Mounts::parse(LIST).unwrap();
        let tools = mounts.place(b"/opt/tools/deploy").unwrap();
        assert_eq!(
            (&*tools.device, &*tools.path),
            (&b"8:1"[..], &b"/home/me/src/tools/deploy"[..])
        );
        let workspace = mounts.places(b"/workspace");
        assert!(workspace.iter().any(|w| tools.is_beneath(w)));
        let system = mounts.place(b"/usr/bin/git").unwrap();
        assert!(!workspace.iter().any(|w| system.is_beneath(w)));
        // What is mounted inside the workspace is in it, too.
        let other = mounts.place(b"/opt/other/x").unwrap();
        assert!(workspace.iter().any(|w| other.is_beneath(w)));
    }

    #[test]
    fn the_later_mount_hides_the_earlier() {
        let mounts = Mounts::parse(&[LIST, LATER].concat()).unwrap();
        let tools = mounts.place(b"/opt/tools").unwrap();
        assert_eq!((&*tools.device, &*tools.path), (&b"8:3"[..], &b""[..]));
        assert!(!mounts.places(b"/workspace").iter().any(|w| tools.is_beneath(w)));
    }

    #[test]
    fn components_and_roots() {
        assert!(is_beneath(b"/a/b", b"/a") && is_beneath(b"/a", b"/a") && is_beneath(b"/a", b"/"));
        assert!(!is_beneath(b"/ab", b"/a") && !is_beneath(b"/a", b"/a/b"));
    }

    #[test]
    fn what_is_not_understood_is_no_list() {
        for line in ["22 1 0:21", "22 1 0:21 / /a\\9", "22 1 0:21 / /a\\999 rw"] {
            assert!(Mounts::parse(line.as_bytes()).is_none(), "{line}");
        }
        assert!(Mounts::read().is_some_and(|m| m.place(b"/").is_some()));
    }
}

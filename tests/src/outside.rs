//! Things outside the jail that an attack aims at, and whether they were hit.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::eventually;
use crate::place::{Place, is_root};
use crate::processes::{self, Process};

/// A file outside the workspace, owned by the sandbox user and open to it:
/// nothing but the jail protects it.
#[derive(Debug)]
pub struct Canary {
    /// Where.
    pub path: PathBuf,
    /// What is in it, found nowhere else.
    pub secret: String,
    before: Looks,
}

#[derive(Debug, PartialEq, Eq)]
struct Looks {
    content: Vec<u8>,
    inode: u64,
    mode: u32,
    owner: u32,
    links: u64,
    changed: (i64, i64),
}

impl Looks {
    fn of(path: &Path) -> Self {
        let meta = fs::symlink_metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self {
            content: fs::read(path).unwrap(),
            inode: meta.ino(),
            mode: meta.mode(),
            owner: meta.uid(),
            links: meta.nlink(),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

impl Canary {
    /// Makes one.
    #[must_use]
    pub fn new(path: PathBuf, place: Place) -> Self {
        let secret = random_name("canary");
        fs::write(&path, &secret).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        own(&path, place.sandbox());
        let before = Looks::of(&path);
        Self { path, secret, before }
    }

    /// The path as text.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// Fails when anything about it has changed, its change time included.
    #[track_caller]
    pub fn untouched(&self) {
        assert_eq!(Looks::of(&self.path), self.before, "{} was touched", self.path.display());
    }
}

/// A process outside the jail that has the sandbox user's uid.
#[derive(Debug)]
pub struct Victim {
    child: Child,
    before: Process,
    limits: String,
    scheduling: Vec<String>,
    /// A value in its environment, found nowhere else.
    pub secret: String,
}

impl Victim {
    /// Starts one, in this folder.
    #[must_use]
    pub fn new(place: Place, folder: &Path) -> Self {
        let secret = random_name("victim");
        let child = place
            .attacker("/usr/bin/sleep")
            .arg("1000")
            .env_clear()
            .env("VICTIM_SECRET", &secret)
            .env("PATH", "/usr/bin:/bin")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        crate::limit::started(child.id());
        let pid = i32::try_from(child.id()).unwrap();
        let is_sleep =
            || processes::look(pid).is_some_and(|p| p.cmdline.starts_with("/usr/bin/sleep"));
        assert!(crate::eventually(std::time::Duration::from_secs(2), is_sleep), "no victim");
        let before = processes::look(pid).unwrap();
        Self { child, before, limits: limits(pid), scheduling: scheduling(pid), secret }
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.before.pid
    }

    /// Fails when it is dead, stopped, traced, limited or scheduled otherwise
    /// than before.
    #[track_caller]
    pub fn unharmed(&self) {
        // Whoever let go of it has it run for a moment, to find that out.
        let mut now = None;
        let sleeps = eventually(Duration::from_secs(1), || {
            now = processes::look(self.pid());
            now.as_ref().is_some_and(|p| p.started == self.before.started && p.state == 'S')
        });
        assert!(sleeps, "the victim: {now:?}");
        assert_eq!(limits(self.pid()), self.limits, "the victim's limits");
        assert_eq!(scheduling(self.pid()), self.scheduling, "the victim's scheduling");
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        assert!(status.contains("TracerPid:\t0"), "the victim is traced: {status}");
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn limits(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default()
}

/// Priority, nice value, real-time priority, policy; allowed processors.
fn scheduling(pid: i32) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let mut list: Vec<String> =
        [15, 16, 37, 38].iter().filter_map(|i| Some((*fields.get(*i)?).to_owned())).collect();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    list.extend(status.lines().filter(|l| l.starts_with("Cpus_allowed")).map(str::to_owned));
    list
}

/// Gives a file to a user, where root runs the tests.
pub fn own(path: &Path, uid: u32) {
    if is_root() {
        std::os::unix::fs::lchown(path, Some(uid), Some(uid)).unwrap();
    }
}

/// A name nobody else has.
#[must_use]
pub fn random_name(what: &str) -> String {
    let mut bytes = [0u8; 12];
    std::io::Read::read_exact(&mut fs::File::open("/dev/urandom").unwrap(), &mut bytes).unwrap();
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    format!("{what}-{hex}")
}

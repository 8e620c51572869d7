//! An install whose supervisor only tells how it was started.
#![allow(dead_code, clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use strongroom_protocol::intake::{Found, Intake};

/// A folder that holds the program and stand-ins for the others; the
/// supervisor's says how it was started.
pub struct Install {
    folder: tempfile::TempDir,
}

const SUPERVISOR: &str = r#"#!/bin/sh
echo "started: $# arguments, in $PWD"
for fd in 3 4 5 6 7 8 9; do
    if [ -e "/proc/$$/fd/$fd" ]; then echo "$fd $(readlink "/proc/$$/fd/$fd")"; fi
done
cat <&6 >"${0%/*}/intake"
tr '\0' '\n' <"/proc/$$/environ"
umask
"#;

impl Install {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let this = Self { folder };
        for name in ["", "bin", "lib", "lib/strongroom", "work"] {
            let path = this.path(name);
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let program = fs::read(env!("CARGO_BIN_EXE_strongroom")).unwrap();
        write_program(&this.path("bin/strongroom"), &program);
        for name in ["supervisor", "broker", "recorder", "worker"] {
            let path = this.path(&format!("lib/strongroom/strongroom-{name}"));
            write_program(&path, SUPERVISOR.as_bytes());
        }
        this
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// What the broker would have been handed by the last start.
    pub fn intake(&self) -> Intake {
        Intake::decode(&fs::read(self.path("lib/strongroom/intake")).unwrap()).unwrap()
    }

    /// The credentials in it: name and value.
    pub fn found(&self) -> Vec<(String, Vec<u8>)> {
        let found = self.intake().found;
        let pair = |f: &Found| (f.name.as_str().to_owned(), f.value.as_bytes().to_vec());
        found.iter().map(pair).collect()
    }

    /// `strongroom run` in the workspace.
    pub fn run(&self) -> Command {
        let mut command = Command::new(self.path("bin/strongroom"));
        command.arg("run").env_clear().env("PATH", "/usr/bin:/bin").current_dir(self.path("work"));
        command.stdin(Stdio::null());
        command
    }
}

/// Writes a program in another process: where this one held it open for
/// writing, a fork by a test beside this one would hold it too, and it could
/// not be executed (ETXTBSY).
pub fn write_program(path: &Path, program: &[u8]) {
    let mut writer = Command::new("sh")
        .args(["-c", "cat >\"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut writer.stdin.take().unwrap(), program).unwrap();
    assert!(writer.wait().unwrap().success());
}

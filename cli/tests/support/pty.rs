//! A terminal for the program under test.
#![allow(dead_code, clippy::unwrap_used)]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, Termios, tcgetattr};

/// A program whose session has this terminal.
pub struct Session {
    master: File,
    slave: OwnedFd,
    pub child: Child,
    pub said: String,
    before: Termios,
}

impl Session {
    /// Starts it with the terminal as its three streams.
    pub fn start(command: &Command) -> Self {
        Self::sized(command, 80, 24)
    }

    /// The same on a terminal of this size.
    pub fn sized(command: &Command, columns: u16, lines: u16) -> Self {
        let size = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        // Otherwise the program holds its own terminal open.
        for end in [&pty.master, &pty.slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        }
        let before = tcgetattr(&pty.slave).unwrap();
        let stream = || Stdio::from(pty.slave.try_clone().unwrap());
        // A session leader that opens a terminal's number gets it (setsid(1)).
        let mut inner = Command::new("setsid");
        inner.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        inner.env_clear().envs(command.get_envs().filter_map(|(n, v)| Some((n, v?))));
        if let Some(folder) = command.get_current_dir() {
            inner.current_dir(folder);
        }
        let child = inner.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
        let (master, slave) = (File::from(pty.master), pty.slave);
        Self { master, slave, child, said: String::new(), before }
    }

    /// Reads until this was said, counted from the last wait.
    pub fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.said.contains(text) {
            assert!(Instant::now() < deadline, "{text:?} was not said: {}", self.said);
            self.hear(Duration::from_millis(50));
        }
        let end = self.said.find(text).unwrap() + text.len();
        self.said.drain(..end);
    }

    fn hear(&mut self, patience: Duration) {
        let patience = PollTimeout::try_from(patience).unwrap();
        let mut ready = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        if poll(&mut ready, patience).unwrap() > 0 {
            let mut bytes = [0; 4096];
            let got = self.master.read(&mut bytes).unwrap_or(0);
            self.said.push_str(&String::from_utf8_lossy(bytes.get(..got).unwrap()));
        }
        assert!(!self.said.contains("canary"), "shown: {}", self.said);
    }

    /// What was said so far and not waited for.
    pub fn said(&mut self) -> &str {
        self.hear(Duration::from_millis(100));
        &self.said
    }

    pub fn mode(&self) -> Termios {
        tcgetattr(&self.slave).unwrap()
    }

    pub fn is_mute(&self) -> bool {
        !self.mode().local_flags.contains(LocalFlags::ECHO)
    }

    /// Gives the terminal another size.
    pub fn resize(&self, columns: u16, lines: u16) {
        let mut stty = Command::new("stty");
        stty.args(["cols", &columns.to_string(), "rows", &lines.to_string()]);
        stty.stdin(Stdio::from(self.slave.try_clone().unwrap()));
        assert!(stty.status().unwrap().success());
    }

    pub fn type_in(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Waits for the end: exit status, or signal.
    pub fn end(mut self) -> (Option<i32>, Option<i32>, String) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let status = loop {
            self.hear(Duration::from_millis(10));
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end: {}", self.said);
        };
        self.hear(Duration::from_millis(10));
        assert_eq!(self.mode(), self.before, "the terminal is as it was");
        (status.code(), status.signal(), std::mem::take(&mut self.said))
    }
}

impl Drop for Session {
    /// A test that fails leaves nothing behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

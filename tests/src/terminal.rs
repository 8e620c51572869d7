//! A terminal that a program asks its questions on.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;
use nix::sys::termios::{LocalFlags, tcgetattr};

/// How long a program may take to ask.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a program on a terminal of its own. Each time it has turned the echo
/// off, the next answer is typed. Gives its exit status, and all that the
/// terminal showed.
#[must_use]
pub fn answered(command: &Command, answers: &[&str]) -> (i32, String) {
    let pty = openpty(None, None).unwrap();
    let stream = || Stdio::from(pty.slave.try_clone().unwrap());
    // A session leader that is given a terminal has it (setsid(1)).
    let mut inner = Command::new("setsid");
    inner.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
    inner.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = inner.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
    crate::limit::started(child.id());
    let mut master = File::from(pty.master);
    let (mut shown, mut answers) = (String::new(), answers.iter());
    let (mut asked, until) = (0, Instant::now() + PATIENCE);
    let in_time = loop {
        let mut ready = [PollFd::new(master.as_fd(), PollFlags::POLLIN)];
        if poll(&mut ready, PollTimeout::from(20u8)).unwrap() > 0 {
            let mut bytes = [0; 4096];
            let got = master.read(&mut bytes).unwrap_or(0);
            shown.push_str(&String::from_utf8_lossy(&bytes[..got]));
        } else if child.try_wait().unwrap().is_some() {
            break true;
        }
        let mute = !tcgetattr(&pty.slave).unwrap().local_flags.contains(LocalFlags::ECHO);
        let prompts = shown.matches(": ").count();
        if mute
            && prompts > asked
            && let Some(answer) = answers.next()
        {
            asked = prompts;
            master.write_all(format!("{answer}\n").as_bytes()).unwrap();
        }
        if Instant::now() >= until {
            child.kill().unwrap();
            break false;
        }
    };
    let status = child.wait().unwrap();
    assert!(in_time, "it does not end: {shown}");
    (status.code().unwrap_or(-1), shown)
}

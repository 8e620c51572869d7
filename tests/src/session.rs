//! One session of the real programs: a workspace, a state folder, and a shell
//! as agent. A test dictates lines to the shell, so every command takes the
//! way an agent's takes: `strongroom exec` from inside the agent's jail.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::outside::{Canary, Victim, own, random_name};
use crate::place::Place;
use crate::processes::{self, Process};
use crate::ran::{Ran, Steps};
use crate::setup::{Setup, programs};

/// How long a command may take before the test gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running session.
#[derive(Debug)]
pub struct Session {
    /// Where.
    pub place: Place,
    /// The workspace.
    pub ws: PathBuf,
    /// The state folder.
    pub state: PathBuf,
    /// A name that is in every path of this session and of no other.
    pub mark: String,
    /// The supervisor's pid.
    pub pid: i32,
    setup: Setup,
    child: Child,
    stdin: Mutex<Option<ChildStdin>>,
    agent: Mutex<(Receiver<String>, Vec<String>)>,
    log: Arc<Mutex<String>>,
    ended: Option<i32>,
}

/// A command that was dictated and may still run.
#[derive(Debug)]
pub struct Job {
    name: String,
    json: bool,
}

impl Session {
    /// Starts the programs, and does not wait for the agent.
    pub(crate) fn launch(setup: Setup) -> Self {
        let mut child = setup
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        crate::limit::started(child.id());
        let stdin = child.stdin.take();
        let (lines, agent) = channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        let log = Arc::new(Mutex::new(String::new()));
        let copy = Arc::clone(&log);
        let mut stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = stderr.read(&mut buffer) {
                copy.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..n]));
            }
        });
        let pid = i32::try_from(child.id()).unwrap();
        Self {
            place: setup.place,
            ws: setup.path("ws"),
            state: setup.path("state"),
            mark: setup.folder.path().file_name().unwrap().to_string_lossy().into_owned(),
            pid,
            setup,
            child,
            stdin: Mutex::new(stdin),
            agent: Mutex::new((agent, Vec::new())),
            log,
            ended: None,
        }
    }

    /// Waits until the agent takes dictation.
    #[track_caller]
    pub(crate) fn is_ready(&self) {
        self.dictate("echo @ready 0");
        self.heard("ready", Duration::from_secs(10));
    }

    /// A session with the built-in policy.
    #[must_use]
    pub fn new(place: Place) -> Self {
        Setup::new(place).start()
    }

    /// Runs a command to its end.
    #[track_caller]
    #[must_use]
    pub fn exec<S: AsRef<OsStr>>(&self, argv: &[S]) -> Ran {
        self.wait(&self.spawn(&[], argv, b""))
    }

    /// Runs a command to its end, with flags of `strongroom exec`.
    #[track_caller]
    #[must_use]
    pub fn exec_with<S: AsRef<OsStr>>(&self, flags: &[&str], argv: &[S]) -> Ran {
        self.wait(&self.spawn(flags, argv, b""))
    }

    /// Runs a shell script to its end.
    #[track_caller]
    #[must_use]
    pub fn sh(&self, script: &str) -> Ran {
        self.exec(&["sh", "-c", script])
    }

    /// Runs a hostile helper to its end.
    #[track_caller]
    #[must_use]
    pub fn attack(&self, name: &str, args: &[&str]) -> Ran {
        let mut argv = vec![self.hostile(name)];
        argv.extend(args.iter().map(|a| (*a).to_owned()));
        self.exec(&argv)
    }

    /// Puts a hostile helper into the workspace; its path there.
    #[must_use]
    pub fn hostile(&self, name: &str) -> String {
        let path = self.ws.join(format!("hostile-{name}"));
        if !path.exists() {
            fs::copy(crate::hostile(name), &path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        path.to_str().unwrap().to_owned()
    }

    /// What a hostile helper can do outside any jail, as the same user: the
    /// positive control.
    #[must_use]
    pub fn unjailed(&self, name: &str, args: &[&str]) -> Steps {
        let helper = self.hostile(name);
        let output = self.place.attacker(helper).args(args).current_dir(&self.ws).output().unwrap();
        Steps::read(&String::from_utf8_lossy(&output.stdout))
    }

    /// Starts a command, and does not wait for its end.
    #[must_use]
    pub fn spawn<S: AsRef<OsStr>>(&self, flags: &[&str], argv: &[S], input: &[u8]) -> Job {
        let name = random_name("job");
        fs::write(self.home().join(format!("{name}.in")), input).unwrap();
        own(&self.home().join(format!("{name}.in")), self.place.sandbox());
        let mut line = format!("(strongroom exec --json {} --", flags.join(" ")).into_bytes();
        for word in argv {
            line.push(b' ');
            line.extend(quoted(word.as_ref()));
        }
        let streams = format!(
            " <\"$HOME/{name}.in\" >\"$HOME/{name}.out\" 2>\"$HOME/{name}.err\"; echo \"@{name} $?\") &"
        );
        line.extend_from_slice(streams.as_bytes());
        self.dictate_bytes(&line);
        Job { name, json: true }
    }

    /// Waits for the end of a command.
    #[track_caller]
    #[must_use]
    pub fn wait(&self, job: &Job) -> Ran {
        let exit = self.heard(&job.name, PATIENCE);
        let read = |what: &str| {
            fs::read(self.home().join(format!("{}.{what}", job.name))).unwrap_or_default()
        };
        if job.json {
            return Ran::from_json(exit, &read("out"), &read("err"));
        }
        Ran { exit, json: serde_json::Value::Null, stdout: read("out"), stderr: read("err") }
    }

    /// Has the agent's own shell run a script; its output and status.
    #[track_caller]
    #[must_use]
    pub fn agent(&self, script: &str) -> Ran {
        let name = random_name("line");
        self.dictate(&format!("(\n{script}\n) </dev/null >\"$HOME/{name}.out\" 2>\"$HOME/{name}.err\"; echo \"@{name} $?\""));
        self.wait(&Job { name, json: false })
    }

    /// Gives the agent's shell a line.
    pub fn dictate(&self, line: &str) {
        self.dictate_bytes(line.as_bytes());
    }

    fn dictate_bytes(&self, line: &[u8]) {
        let mut stdin = self.stdin.lock().unwrap();
        let Some(stdin) = stdin.as_mut() else { return };
        // A session that has ended is noticed by who waits for the answer.
        let _ = stdin.write_all(line).and_then(|()| stdin.write_all(b"\n"));
    }

    /// Waits for `@NAME STATUS` from the agent's shell.
    #[track_caller]
    fn heard(&self, name: &str, patience: Duration) -> i32 {
        let wanted = format!("@{name} ");
        let until = Instant::now() + patience;
        loop {
            let mut agent = self.agent.lock().unwrap();
            if let Some(at) = agent.1.iter().position(|line| line.starts_with(&wanted)) {
                let line = agent.1.swap_remove(at);
                return line[wanted.len()..].trim().parse().unwrap();
            }
            match agent.0.recv_timeout(Duration::from_millis(20)) {
                Ok(line) => agent.1.push(line),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
                    drop(agent);
                    panic!("the session has ended while waiting for {name}:\n{}", self.log());
                }
                Err(_) => {}
            }
            assert!(Instant::now() < until, "nothing heard of {name}:\n{}", self.log());
        }
    }

    /// The agent's home folder.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.state.join("home")
    }

    /// What Strongroom has said so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// A folder outside the workspace that belongs to the sandbox user.
    #[must_use]
    pub fn outside(&self) -> PathBuf {
        self.setup.path("outside")
    }

    /// The next session in the same folders, with the same command line, once
    /// this one has ended.
    #[must_use]
    pub fn again(self) -> Self {
        assert!(self.ended.is_some(), "the session has not ended");
        let setup = self.setup.again();
        drop(self);
        setup.start()
    }

    /// What it was started with.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// A path in the folder of this test.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.setup.path(name)
    }

    /// A file outside for attacks to aim at.
    #[must_use]
    pub fn canary(&self) -> Canary {
        Canary::new(self.outside().join(random_name("file")), self.place)
    }

    /// A process outside for attacks to aim at.
    #[must_use]
    pub fn victim(&self) -> Victim {
        Victim::new(self.place, &self.outside())
    }

    /// A path in the workspace, as text.
    #[must_use]
    pub fn in_ws(&self, name: &str) -> String {
        self.ws.join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file of the sandbox user into the workspace.
    pub fn put(&self, name: &str, content: &str) {
        self.setup.put(name, content);
    }

    /// The process of the session with this program's name, as outside shows
    /// it; the newest where there are more.
    #[must_use]
    pub fn process(&self, name: &str) -> Option<Process> {
        let mut found = processes::beneath(self.pid);
        found.retain(|p| p.cmdline.starts_with(name));
        found.into_iter().max_by_key(|p| (p.started, p.pid))
    }

    /// Waits until a command that carries this text in its arguments runs.
    /// Our own programs and the agent's shell carry it, too.
    #[track_caller]
    pub fn until_runs(&self, text: &str) -> Process {
        let command = |process: &Process| {
            let program = process.cmdline.split(' ').next().unwrap_or_default();
            let name = program.rsplit('/').next().unwrap_or_default();
            process.cmdline.contains(text)
                && !name.starts_with("strongroom")
                && program != "/bin/sh"
        };
        let mut found = None;
        let look = || {
            found = processes::beneath(self.pid).into_iter().find(&command);
            found.is_some()
        };
        let runs = crate::eventually(Duration::from_secs(5), look);
        assert!(runs, "{text} does not run:\n{}", self.log());
        found.unwrap()
    }

    /// `strongroom exec` as an agent runs it, to be talked to while it runs.
    /// It is run outside the agent's jail, over the same socket.
    #[must_use]
    pub fn client<S: AsRef<OsStr>>(&self, flags: &[&str], argv: &[S]) -> Command {
        let mut command = self.place.attacker(programs().join("strongroom"));
        command.arg("exec").args(flags).arg("--").args(argv);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("STRONGROOM_SOCKET", self.state.join("run/agent.sock"));
        command
            .current_dir(&self.ws)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// A line about the session by the operator: `strongroom ARGS --state …`.
    #[must_use]
    pub fn operator(&self, args: &[&str]) -> std::process::Output {
        let mut command = self.place.command(programs().join("strongroom"));
        command.args(args).arg("--state").arg(&self.state).env_clear().output().unwrap()
    }

    /// The lines of the audit log, as far as they are kept.
    #[must_use]
    pub fn audit(&self) -> Vec<serde_json::Value> {
        let mut lines = Vec::new();
        for file in fs::read_dir(self.state.join("log")).unwrap().filter_map(Result::ok) {
            let text = fs::read_to_string(file.path()).unwrap_or_default();
            lines.extend(text.lines().filter_map(|line| serde_json::from_str(line).ok()));
        }
        lines
    }

    /// Sends a signal to the supervisor.
    pub fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.pid), signal);
    }

    /// Closes the agent's standard input: its shell ends.
    pub fn dismiss(&self) {
        self.stdin.lock().unwrap().take();
    }

    /// Waits for the end of the session; its exit status, 128+n by signal.
    #[track_caller]
    pub fn ends_within(&mut self, time: Duration) -> i32 {
        let child = &mut self.child;
        let mut status = None;
        let over = crate::eventually(time, || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        assert!(over, "the session does not end:\n{}", self.log());
        let status = status.unwrap();
        let code = status.code().unwrap_or_else(|| {
            128 + std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0)
        });
        self.ended = Some(code);
        code
    }

    /// Ends the session in order; fails when that fails or leaves anything.
    #[track_caller]
    pub fn end(mut self) {
        self.dismiss();
        let status = self.ends_within(Duration::from_secs(8));
        assert_eq!(status, 0, "{}", self.log());
        self.leaves_nothing();
    }

    /// Fails when a process or a private folder of this session is left.
    #[track_caller]
    pub fn leaves_nothing(&self) {
        let mut left = Vec::new();
        let gone = crate::eventually(Duration::from_secs(1), || {
            left = processes::marked(&self.mark);
            left.is_empty()
        });
        assert!(gone, "left behind: {left:#?}");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- strongroom said:\n{}----", self.log());
        }
        if self.ended.is_none() {
            self.dismiss();
            let child = &mut self.child;
            let time = if std::thread::panicking() { 500 } else { 8000 };
            let over = crate::eventually(Duration::from_millis(time), || {
                child.try_wait().is_ok_and(|s| s.is_some())
            });
            if !over {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
            if !std::thread::panicking() {
                assert!(over, "the session does not end:\n{}", self.log());
            }
        }
        let left = || processes::marked(&self.mark);
        let gone = crate::eventually(Duration::from_secs(1), || left().is_empty());
        let remaining = left();
        for process in &remaining {
            let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
        }
        if !gone && !std::thread::panicking() {
            panic!("left behind: {remaining:#?}");
        }
    }
}

/// A word as the shell reads it, whatever is in it.
fn quoted(word: &OsStr) -> Vec<u8> {
    let mut text = vec![b'\''];
    for byte in word.as_bytes() {
        match byte {
            b'\'' => text.extend_from_slice(b"'\\''"),
            other => text.push(*other),
        }
    }
    text.push(b'\'');
    text
}

//! A session to measure, and what its processes use.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::client::{Client, Result};

/// Where sessions are started.
pub struct Place<'a> {
    /// The folder of the programs.
    pub bin: &'a Path,
    /// The folder of everything that is made.
    pub base: &'a Path,
    /// The tier; `None`: the best there is.
    pub tier: Option<&'a str>,
}

/// A session whose agent sleeps. Ended when dropped.
pub struct Session {
    supervisor: Child,
    socket: std::path::PathBuf,
}

/// What all processes of a session use.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    /// Proportional set size by program, KiB: the largest of that name.
    pub resident_kib: BTreeMap<String, u64>,
    /// Open descriptors of supervisor, broker and recorder.
    pub descriptors: usize,
    /// Processes.
    pub processes: usize,
}

impl Place<'_> {
    fn run(&self) -> Command {
        let mut command = Command::new(self.bin.join("strongroom"));
        command.args(["run", "--quiet", "--state"]).arg(self.base.join("state"));
        command.arg("--workspace").arg(self.base.join("workspace"));
        if let Some(tier) = self.tier {
            command.args(["--tier", tier]);
        }
        command.stderr(Stdio::null());
        command
    }

    /// The whole of `strongroom run`, with an agent that only says it is
    /// there. The best of five.
    ///
    /// # Errors
    /// The session did not start.
    pub fn start_to_first_instruction(&self) -> Result<Duration> {
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let start = Instant::now();
            let mut child =
                self.run().args(["--", "/bin/echo", "here"]).stdout(Stdio::piped()).spawn()?;
            let mut first = [0];
            let mut output = child.stdout.take().ok_or("no stdout")?;
            std::io::Read::read_exact(&mut output, &mut first)?;
            best = best.min(start.elapsed());
            drop(output);
            child.wait()?;
        }
        Ok(best)
    }

    /// A session with so many workers kept ready. No rate limit: the rate is
    /// what is measured.
    ///
    /// # Errors
    /// It did not start.
    pub fn session(&self, warm: u16) -> Result<Session> {
        let policy = self.base.join("bench.toml");
        let text = format!(
            "version = 1\nextends = [\"builtin:base\"]\n[session]\ncommands-per-minute = 0\n\
             [profile.worker]\nwarm = {warm}\n[profile.worker.limits]\noutput = \"none\"\n"
        );
        std::fs::write(&policy, text)?;
        let mut run = self.run();
        run.arg("--policy").arg(policy).args(["--", "/bin/sleep", "3600"]);
        let session =
            Session { supervisor: run.spawn()?, socket: self.base.join("state/run/agent.sock") };
        session.client()?;
        Ok(session)
    }
}

impl Session {
    /// A new connection, as soon as there can be one.
    ///
    /// # Errors
    /// There was none in five seconds.
    pub fn client(&self) -> Result<Client> {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            match Client::connect(&self.socket) {
                Err(e) if Instant::now() >= until => return Err(e),
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
                client => return client,
            }
        }
    }

    /// Where clients connect.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What it uses now.
    ///
    /// # Errors
    /// /proc could not be read.
    pub fn usage(&self) -> Result<Usage> {
        let pid = self.supervisor.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let pids = children.split_whitespace().map(str::to_owned);
        let mut usage = Usage::default();
        for pid in std::iter::once(pid.to_string()).chain(pids) {
            // One that ends meanwhile is nothing to count.
            let Ok(arguments) = std::fs::read_to_string(format!("/proc/{pid}/cmdline")) else {
                continue;
            };
            let program = arguments.split('\0').next().unwrap_or_default();
            if program.is_empty() {
                continue;
            }
            let name = program.rsplit('/').next().unwrap_or_default().to_owned();
            let rollup =
                std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
            let kib = pss.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse().ok());
            let largest = usage.resident_kib.entry(name.clone()).or_default();
            *largest = kib.unwrap_or(0).max(*largest);
            usage.processes += 1;
            if !name.contains("worker") {
                let open = std::fs::read_dir(format!("/proc/{pid}/fd"));
                usage.descriptors += open.map_or(0, Iterator::count);
            }
        }
        Ok(usage)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(self.supervisor.id() as i32),
            nix::sys::signal::Signal::SIGTERM,
        );
        let _ = self.supervisor.wait();
    }
}

//! What a session is started with, and the command line that starts it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

use crate::outside::own;
use crate::place::Place;
use crate::session::Session;

/// The folder of the programs under test.
#[must_use]
pub fn programs() -> PathBuf {
    let named = std::env::var_os("STRONGROOM_BIN").filter(|v| !v.is_empty()).map(PathBuf::from);
    let built =
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/x86_64-unknown-linux-gnu/release");
    let folder = named.unwrap_or_else(built);
    let folder = folder.canonicalize().unwrap_or(folder);
    assert!(
        folder.join("strongroom").is_file(),
        "{}: build first: cargo build --release",
        folder.display()
    );
    folder
}

/// What a session is started with.
#[derive(Debug)]
pub struct Setup {
    /// Where.
    pub place: Place,
    /// Everything of this test, removed with it. Others may enter it.
    pub folder: Arc<tempfile::TempDir>,
    policy: Option<String>,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    agent: Vec<OsString>,
    under: Vec<OsString>,
    tools: OnceLock<Arc<tempfile::TempDir>>,
}

impl Setup {
    /// A workspace and a state folder, the built-in policy, a shell as agent.
    #[must_use]
    pub fn new(place: Place) -> Self {
        Self::within(place, &std::env::temp_dir())
    }

    /// The same, beneath this folder.
    #[must_use]
    pub fn within(place: Place, parent: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("srt-").tempdir_in(parent).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let this = Self {
            place,
            folder: Arc::new(folder),
            policy: None,
            args: Vec::new(),
            env: Vec::new(),
            agent: vec!["/bin/sh".into()],
            under: Vec::new(),
            tools: OnceLock::new(),
        };
        for (name, owner, mode) in [
            ("ws", place.starter(), 0o755),
            ("state", place.starter(), 0o711),
            ("outside", place.sandbox(), 0o755),
        ] {
            let path = this.path(name);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            own(&path, owner);
        }
        this
    }

    /// A path in the folder of this test.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A folder for programs that are granted something. Not in /tmp, where
    /// commands have folders of their own, so nothing there is firm; the
    /// project itself may stand there.
    pub fn tools(&self) -> &Path {
        let make = || {
            let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
            fs::create_dir_all(&target).unwrap();
            let target = target.canonicalize().unwrap();
            let loose = ["/tmp", "/var/tmp", "/dev/shm"].iter().any(|l| target.starts_with(l));
            let target = if loose { PathBuf::from("/usr/local/lib") } else { target };
            let folder = tempfile::Builder::new().prefix("srt-").tempdir_in(target).unwrap();
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
            own(folder.path(), self.place.starter());
            Arc::new(folder)
        };
        self.tools.get_or_init(make).path()
    }

    /// Writes a file of the sandbox user into the workspace.
    pub fn put(&self, name: &str, content: &str) {
        let path = self.path("ws").join(name);
        let folder = path.parent().unwrap();
        for missing in folder.ancestors().collect::<Vec<_>>().into_iter().rev() {
            if !missing.exists() {
                fs::create_dir(missing).unwrap();
                own(missing, self.place.sandbox());
            }
        }
        fs::write(&path, content).unwrap();
        own(&path, self.place.sandbox());
    }

    /// Uses this policy file instead of the built-in one.
    #[must_use]
    pub fn policy(mut self, text: &str) -> Self {
        self.policy = Some(text.to_owned());
        self
    }

    /// Adds flags of `strongroom run`.
    #[must_use]
    pub fn args<S: Into<OsString>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds to the environment of `strongroom run`, which is otherwise empty
    /// but for PATH.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Has `strongroom run` started by this program, which must become it.
    #[must_use]
    pub fn under<S: Into<OsString>>(mut self, argv: impl IntoIterator<Item = S>) -> Self {
        self.under = argv.into_iter().map(Into::into).collect();
        self
    }

    /// Runs this agent instead of the shell that takes dictation.
    #[must_use]
    pub fn agent<S: Into<OsString>>(mut self, argv: impl IntoIterator<Item = S>) -> Self {
        self.agent = argv.into_iter().map(Into::into).collect();
        self
    }

    /// The same once more, in the same folders.
    #[must_use]
    pub fn again(&self) -> Self {
        Self {
            place: self.place,
            folder: Arc::clone(&self.folder),
            policy: self.policy.clone(),
            args: self.args.clone(),
            env: self.env.clone(),
            agent: self.agent.clone(),
            under: self.under.clone(),
            tools: self.tools.clone(),
        }
    }

    /// The command line of `strongroom run`, streams not yet set.
    #[must_use]
    pub fn command(&self) -> Command {
        let program = programs().join("strongroom");
        let words: Vec<_> = self.under.iter().cloned().chain([program.into()]).collect();
        let mut command = self.place.command(&words[0]);
        command.args(&words[1..]).arg("run");
        if let Some(text) = &self.policy {
            let file = self.path("policy.toml");
            fs::write(&file, text).unwrap();
            own(&file, self.place.starter());
            command.arg("--policy").arg(file);
        }
        command.arg("--state").arg(self.path("state")).arg("--workspace").arg(self.path("ws"));
        command.args(["--tier", self.place.tier()]).args(&self.args).arg("--").args(&self.agent);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .envs(self.env.iter().cloned());
        command.current_dir(self.path("ws"));
        command
    }

    /// Runs to the end with nothing on standard input.
    #[must_use]
    pub fn run(&self) -> std::process::Output {
        let child = self
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        crate::limit::started(child.id());
        child.wait_with_output().unwrap()
    }

    /// Starts the session; returns when its agent takes dictation.
    #[must_use]
    pub fn start(self) -> Session {
        let session = self.launch();
        session.is_ready();
        session
    }

    /// Starts the session, and does not wait for its agent.
    #[must_use]
    pub fn launch(self) -> Session {
        Session::launch(self)
    }
}

//! Credentials for tests: values that are found nowhere else, a policy that
//! grants them, and how operator and agent go about them.
//!
//! `hostile/reveal.c` tells outside what a command was given, as hashes, so
//! that no value gets into the workspace by the test itself.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use crate::outside::random_name;
use crate::processes;
use crate::ran::Ran;
use crate::session::Session;
use crate::setup::{Setup, programs};

/// A policy under which `reveal` gets credentials by its first argument:
///
/// * `alpha`: ALPHA_TOKEN, in its environment;
/// * `both`: ALPHA_TOKEN and BETA_TOKEN;
/// * `file`: FILE_KEY, in sealed files;
/// * `files`: FILE_KEY and OTHER_KEY;
/// * `mixed`: ALPHA_TOKEN and FILE_KEY.
///
/// `/usr/bin/python3 -c` gets ALPHA_TOKEN, FILE_KEY and OTHER_KEY. PLAIN_KEY
/// may be written as it is, and no rule carries it. A word ending in `+` has
/// `reveal` stay. Everything else runs without.
#[must_use]
pub fn policy(setup: &Setup) -> String {
    let reveal = setup.tool("reveal");
    let tools = setup.tools().display();
    let mut text = format!(
        r#"
version = 1
extends = ["builtin:base"]
credential.ALPHA_TOKEN = {{ deliver = ["env"] }}
credential.BETA_TOKEN = {{ deliver = ["env"] }}
credential.FILE_KEY = {{ deliver = ["file"] }}
credential.OTHER_KEY = {{ deliver = ["file"] }}
credential.PLAIN_KEY = {{ deliver = ["file"], plain = "allow" }}

[profile.granted]
read = ["@system", "@workspace", "{tools}"]
write = ["@workspace", "@tmp"]
env.pass = ["LANG"]
limits.output = "8MiB"

[profile.worker]
read = ["@system", "@workspace", "{tools}"]

[[rule]]
name = "python"
match = ["/usr/bin/python3", "-c", "..."]
profile = "granted"
action = "allow"
i_understand_shell_can_print_it = true
credentials = ["ALPHA_TOKEN", "FILE_KEY", "OTHER_KEY"]
"#
    );
    for (name, keys) in [
        ("alpha", r#""ALPHA_TOKEN""#),
        ("both", r#""ALPHA_TOKEN", "BETA_TOKEN""#),
        ("file", r#""FILE_KEY""#),
        ("files", r#""FILE_KEY", "OTHER_KEY""#),
        ("mixed", r#""ALPHA_TOKEN", "FILE_KEY""#),
    ] {
        for (word, rule) in
            [(name.to_owned(), name.to_owned()), (format!("{name}+"), format!("{name}-stays"))]
        {
            text += &format!(
                "[[rule]]\nname = \"{rule}\"\nmatch = [\"{reveal}\", \"{word}\", \"...\"]\nprofile = \"granted\"\n\
                 action = \"allow\"\ncredentials = [{keys}]\n"
            );
        }
    }
    text
}

/// Values of all credentials of [`policy`].
#[derive(Debug)]
pub struct Values(BTreeMap<&'static str, String>);

impl Values {
    /// New ones.
    #[must_use]
    pub fn new() -> Self {
        let names = ["ALPHA_TOKEN", "BETA_TOKEN", "FILE_KEY", "OTHER_KEY", "PLAIN_KEY"];
        Self(names.into_iter().map(|name| (name, random_name("v"))).collect())
    }

    /// One of them.
    #[must_use]
    pub fn of(&self, name: &str) -> &str {
        &self.0[name]
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Fails when one is in a text.
    #[track_caller]
    pub fn none_in(&self, text: &str) {
        for (name, value) in self.all() {
            assert!(!text.contains(value), "{name} is in: {text}");
        }
    }

    /// Fails when one is in a file beneath a folder; says how many it saw.
    #[track_caller]
    pub fn none_beneath(&self, folder: &Path) -> usize {
        let (seen, found) = self.beneath(folder);
        assert!(found.is_empty(), "{found:?}");
        seen
    }

    /// How many files are beneath a folder, and in which of them one is.
    #[must_use]
    pub fn beneath(&self, folder: &Path) -> (usize, Vec<(&'static str, PathBuf)>) {
        let (mut seen, mut found) = (0, Vec::new());
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok) {
                let path = entry.path();
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(path),
                    Ok(kind) if kind.is_file() => {
                        let bytes = fs::read(&path).unwrap_or_default();
                        seen += 1;
                        let holds = |value: &str| holds(&bytes, value.as_bytes());
                        found.extend(
                            self.all().filter(|(_, v)| holds(v)).map(|(n, _)| (n, path.clone())),
                        );
                    }
                    _ => {}
                }
            }
        }
        (seen, found)
    }
}

/// Are these bytes among those?
#[must_use]
pub fn holds(bytes: &[u8], value: &[u8]) -> bool {
    memchr::memmem::find(bytes, value).is_some()
}

impl Default for Values {
    fn default() -> Self {
        Self::new()
    }
}

/// What `reveal` writes for some bytes.
#[must_use]
pub fn hash(bytes: &[u8]) -> String {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}

impl Setup {
    /// Puts a hostile helper where commands can read it and nobody in the
    /// session can change it; its path.
    #[must_use]
    pub fn tool(&self, name: &str) -> String {
        let path = self.tools().join(name);
        if !path.exists() {
            fs::copy(crate::hostile(name), &path).unwrap();
            crate::outside::own(&path, self.place.starter());
        }
        path.to_str().unwrap().to_owned()
    }

    /// Starts a session with [`policy`], and `values` in it.
    #[must_use]
    pub fn start_with(self, values: &Values) -> Session {
        let text = policy(&self);
        let session = self.policy(&text).start();
        for (name, value) in values.all() {
            session.enter(name, value);
        }
        session
    }
}

impl Session {
    /// A session with [`policy`], and with values.
    #[must_use]
    pub fn with_credentials(place: crate::Place) -> (Self, Values) {
        let values = Values::new();
        (Setup::new(place).start_with(&values), values)
    }

    /// Enters a credential as an operator does.
    #[track_caller]
    pub fn enter(&self, name: &str, value: &str) {
        let output = self.operator_with(&["credentials", "put", name], value.as_bytes());
        assert!(output.status.success(), "{output:?}");
    }

    /// A line by the operator, with something on its standard input.
    #[must_use]
    pub fn operator_with(&self, args: &[&str], input: &[u8]) -> Output {
        let mut command = self.place.command(programs().join("strongroom"));
        command.args(args).arg("--state").arg(&self.state).env_clear();
        let streams = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = streams.spawn().unwrap();
        // One that refuses does not read.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    /// Has the agent write a file.
    #[track_caller]
    #[must_use]
    pub fn write(&self, path: &str, flags: &str, content: impl AsRef<[u8]>) -> Ran {
        let name = random_name("content");
        let file = self.home().join(&name);
        fs::write(&file, content).unwrap();
        crate::outside::own(&file, self.place.sandbox());
        self.agent(&format!("strongroom write {flags} -- '{path}' <\"$HOME/{name}\""))
    }

    /// What `reveal` wrote: by variable, or by file and way. Waits for it.
    #[track_caller]
    #[must_use]
    pub fn revealed(&self, out: &str) -> BTreeMap<String, String> {
        let path = self.ws.join(out);
        let there = crate::eventually(Duration::from_secs(5), || path.exists());
        assert!(there, "{out} was not written:\n{}", self.log());
        let text = fs::read_to_string(path).unwrap();
        let pair = |line: &str| line.rsplit_once(' ').map(|(n, v)| (n.to_owned(), v.to_owned()));
        text.lines().filter_map(pair).collect()
    }

    /// Runs `reveal` to its end; what it wrote.
    #[track_caller]
    #[must_use]
    pub fn reveal(&self, label: &str, files: &[&str]) -> BTreeMap<String, String> {
        let out = random_name("out");
        let reveal = self.setup().tool("reveal");
        let argv: Vec<&str> =
            [&reveal, label, &out].into_iter().chain(files.iter().copied()).collect();
        self.exec(&argv).ok();
        self.revealed(&out)
    }

    /// Where a sealed file's link leads.
    #[track_caller]
    #[must_use]
    pub fn lease(&self, name: &str) -> PathBuf {
        fs::read_link(self.ws.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Sealed files that are there now, as root or their owner sees them, in
    /// every mount namespace of the session. `link` is a sealed file's link.
    #[must_use]
    pub fn leases(&self, link: &str) -> Vec<PathBuf> {
        let lease = self.lease(link);
        let folder = lease.parent().and_then(Path::parent).unwrap().to_owned();
        let mut roots = vec![PathBuf::from("/")];
        if self.place.private() {
            let all = processes::beneath(self.pid);
            roots.extend(all.iter().map(|p| PathBuf::from(format!("/proc/{}/root", p.pid))));
        }
        let inside = |root: PathBuf| folders(&root.join(folder.strip_prefix("/").unwrap()));
        let mut found: Vec<PathBuf> = roots.into_iter().flat_map(inside).collect();
        found.sort();
        found
    }
}

/// The files in the folders of a folder.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let list = |path: &Path| -> Vec<PathBuf> {
        fs::read_dir(path).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).collect()
    };
    list(folder).iter().flat_map(|f| list(f)).collect()
}

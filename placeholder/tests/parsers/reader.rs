//! Real parsers, each in a process of its own that lives through a test.

use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a parser found in a document, in order.
pub type Leaves = Vec<Vec<u8>>;

/// A parser.
pub struct Reader {
    process: Child,
    requests: Option<BufWriter<ChildStdin>>,
    answers: BufReader<ChildStdout>,
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parsers").join(name)
}

fn command(program: &str, parser: &str) -> Command {
    let name = if program == "node" { "readers.js" } else { "readers.py" };
    let mut command = Command::new(program);
    command.arg(script(name)).arg(parser);
    command
}

/// Says why a parser cannot be tested with; in CI that is a failure.
pub fn missing(what: &str, how: &str) {
    static SKIPPED: AtomicUsize = AtomicUsize::new(0);
    assert!(std::env::var_os("CI").is_none(), "{what} is missing: {how}");
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    // Not through the test harness, which keeps what a passing test prints.
    let _ = writeln!(std::io::stderr(), "SKIPPED ({count} so far) {what} is missing: {how}");
}

impl Reader {
    /// Starts `parser` of `program`; none if it is not there.
    pub fn start(program: &str, parser: &str, how: &str) -> Option<Self> {
        let check = command(program, parser).arg("--check").output();
        if !check.is_ok_and(|out| out.status.success()) {
            missing(&format!("{program} {parser}"), how);
            return None;
        }
        let mut process =
            command(program, parser).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let requests = process.stdin.take().map(BufWriter::new);
        let answers = BufReader::new(process.stdout.take().unwrap());
        Some(Self { process, requests, answers })
    }

    /// Reads a document. A refusal is one leaf that begins with `!`.
    pub fn read(&mut self, document: &[u8]) -> Leaves {
        let requests = self.requests.as_mut().unwrap();
        requests.write_all(&(document.len() as u32).to_le_bytes()).unwrap();
        requests.write_all(document).unwrap();
        requests.flush().unwrap();
        let count = self.number();
        (0..count)
            .map(|_| {
                let mut leaf = vec![0; self.number()];
                self.answers.read_exact(&mut leaf).unwrap();
                leaf
            })
            .collect()
    }

    fn number(&mut self) -> usize {
        let mut bytes = [0; 4];
        self.answers.read_exact(&mut bytes).expect("the parser goes on");
        u32::from_le_bytes(bytes) as usize
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.requests.take();
        let _ = self.process.wait();
    }
}

/// A shell, and the variables to look at.
pub struct Shell {
    path: PathBuf,
    variables: &'static [&'static str],
}

impl Shell {
    pub fn find(program: &str, variables: &'static [&'static str]) -> Option<Self> {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let mut paths = std::env::split_paths(&folders).map(|folder| folder.join(program));
        Some(Self { path: paths.find(|path| path.is_file())?, variables })
    }

    /// Runs each fragment, all in one shell, and says what is in the variables
    /// after each. There is no program that the shell could find, and it must
    /// say nothing and write no file.
    pub fn run(&self, fragments: &[Vec<u8>]) -> Vec<Leaves> {
        let mut script = Vec::new();
        for fragment in fragments {
            script.extend_from_slice(fragment);
            for name in self.variables {
                let line = format!(
                    "\nprintf '%s %d\\n%s' \"${{{name}+set}}\" \"${{#{name}}}\" \"${name}\"\nunset {name}\n"
                );
                script.extend_from_slice(line.as_bytes());
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script");
        std::fs::write(&path, &script).unwrap();
        let out = Command::new(&self.path)
            .arg(&path)
            .env_clear()
            .env("PATH", "/nonexistent")
            .env("LC_ALL", "C")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        let shown = || fragments.iter().map(|f| f.escape_ascii().to_string()).collect::<Vec<_>>();
        assert!(out.status.success() && said.is_empty(), "{said}\n{:#?}", shown());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "{:#?}", shown());
        let mut rest = out.stdout.as_slice();
        let mut one = || self.variables.iter().map(|_| variable(&mut rest)).collect();
        let found = fragments.iter().map(|_| one()).collect();
        assert!(rest.is_empty(), "it printed something else\n{:#?}", shown());
        found
    }
}

fn variable(rest: &mut &[u8]) -> Vec<u8> {
    let end = rest.iter().position(|b| *b == b'\n').unwrap();
    let header = std::str::from_utf8(&rest[..end]).unwrap();
    let (set, length) = header.split_once(' ').unwrap();
    let length: usize = length.parse().unwrap();
    let value = &rest[end + 1..][..length];
    *rest = &rest[end + 1 + length..];
    [set.as_bytes(), b" ", value].concat()
}

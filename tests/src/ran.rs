//! What came of one command.

use std::collections::BTreeMap;

use serde_json::Value;

/// One ended `strongroom exec`.
#[derive(Clone)]
pub struct Ran {
    /// Exit status of `strongroom exec`.
    pub exit: i32,
    /// The object it printed; null where it was not asked for one.
    pub json: Value,
    /// The command's standard output.
    pub stdout: Vec<u8>,
    /// The command's standard error, or the client's own words.
    pub stderr: Vec<u8>,
}

impl std::fmt::Debug for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short =
            |bytes: &[u8]| String::from_utf8_lossy(bytes.get(..4000).unwrap_or(bytes)).into_owned();
        let Self { exit, json, .. } = self;
        let (stdout, stderr) = (short(&self.stdout), short(&self.stderr));
        write!(f, "exit {exit} {}\nstdout: {stdout}\nstderr: {stderr}\n{json}", self.code())
    }
}

impl Ran {
    /// From what `strongroom exec --json` printed.
    #[must_use]
    pub fn from_json(exit: i32, stdout: &[u8], stderr: &[u8]) -> Self {
        let json: Value = serde_json::from_slice(stdout).unwrap_or(Value::Null);
        let stream = |name: &str| match &json[format!("{name}_base64")] {
            Value::String(text) => unbase64(text),
            _ => json[name].as_str().unwrap_or_default().as_bytes().to_vec(),
        };
        let (out, mut err) = (stream("stdout"), stream("stderr"));
        err.extend_from_slice(stderr);
        if json.is_null() {
            err.extend_from_slice(stdout);
        }
        Self { exit, stdout: out, stderr: err, json }
    }

    /// Standard output, without spaces around it.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }

    /// Both streams, for searching.
    #[must_use]
    pub fn everything(&self) -> String {
        format!(
            "{}\n{}\n{}",
            self.json,
            String::from_utf8_lossy(&self.stdout),
            String::from_utf8_lossy(&self.stderr)
        )
    }

    /// The code of a refusal, or of an end by Strongroom; empty: none.
    #[must_use]
    pub fn code(&self) -> &str {
        [&self.json["code"], &self.json["denied"]["code"], &self.json["error"]["code"]]
            .into_iter()
            .find_map(Value::as_str)
            .unwrap_or_default()
    }

    /// Fails unless the command ended with this status.
    #[track_caller]
    pub fn exits(&self, status: i32) -> &Self {
        assert_eq!(self.exit, status, "{self:#?}");
        self
    }

    /// Fails unless the command succeeded.
    #[track_caller]
    pub fn ok(&self) -> &Self {
        self.exits(0)
    }

    /// Fails unless Strongroom refused or ended it with this code and status.
    #[track_caller]
    pub fn refused(&self, code: &str, status: i32) -> &Self {
        assert_eq!((self.code(), self.exit), (code, status), "{self:#?}");
        self
    }

    /// The steps that a hostile helper has printed: `name 0`, or the negative
    /// errno.
    #[must_use]
    pub fn steps(&self) -> Steps {
        Steps::read(&String::from_utf8_lossy(&self.stdout))
    }
}

/// What became of the steps of a hostile helper.
#[derive(Debug, Clone, Default)]
pub struct Steps(pub BTreeMap<String, i64>);

impl Steps {
    /// Reads the lines `NAME NUMBER`.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let line = |line: &str| {
            let (name, number) = line.rsplit_once(' ')?;
            Some((name.to_owned(), number.parse().ok()?))
        };
        Self(text.lines().filter_map(line).collect())
    }

    /// One step's result.
    #[track_caller]
    #[must_use]
    pub fn of(&self, name: &str) -> i64 {
        *self.0.get(name).unwrap_or_else(|| panic!("no step {name} in {self:#?}"))
    }

    /// Fails unless the step succeeded.
    #[track_caller]
    pub fn works(&self, name: &str) {
        assert!(self.of(name) >= 0, "{name} fails: {self:#?}");
    }

    /// Fails unless the step failed with one of these errnos.
    #[track_caller]
    pub fn fails(&self, name: &str, errnos: &[i32]) {
        let got = self.of(name);
        assert!(
            errnos.iter().any(|e| got == -i64::from(*e)),
            "{name}: {got}, wanted one of {errnos:?}: {self:#?}"
        );
    }
}

fn unbase64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut group, mut bits) = (0u32, 0);
    for letter in text.bytes() {
        let six = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => break,
        };
        group = group << 6 | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((group >> bits & 0xff) as u8);
        }
    }
    bytes
}

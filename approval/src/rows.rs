//! An action object as rows: what it is called, what it says, whose words
//! those are. Every field of the object is in one of them.

use strongroom_protocol::action::{ActionObject, Deed, Exec, Exhibit, PlainFile};
use strongroom_protocol::text::hex;
use strongroom_protocol::types::CredentialName;

use crate::text::Text;

/// Whose words a row has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Strongroom's: what it found.
    Ours,
    /// The operator's, from the policy.
    Operators,
    /// Somebody else's: whatever they say may be false.
    Untrusted,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What it is, in lower case.
    pub label: &'static str,
    /// Which of several with this label.
    pub number: Option<usize>,
    /// Whose words it has.
    pub trust: Trust,
    /// What it says.
    pub values: Vec<Value>,
}

/// A part of what a row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Words of ours, in ASCII: a number, a name, a digest.
    Fact {
        /// What it is; empty for the row's own.
        name: &'static str,
        /// They.
        words: String,
    },
    /// A text of somebody.
    Text(Text),
}

impl Row {
    fn new(label: &'static str, trust: Trust, values: Vec<Value>) -> Self {
        Self { label, number: None, trust, values }
    }

    fn fact(label: &'static str, words: impl Into<String>) -> Self {
        Self::new(label, Trust::Ours, vec![fact("", words)])
    }

    fn text(label: &'static str, trust: Trust, text: Text) -> Self {
        Self::new(label, trust, vec![Value::Text(text)])
    }

    fn numbered(self, number: usize) -> Self {
        Self { number: Some(number), ..self }
    }
}

fn fact(name: &'static str, words: impl Into<String>) -> Value {
    Value::Fact { name, words: words.into() }
}

/// All rows of an object, what matters most first.
pub fn of(object: &ActionObject, digest: &[u8; 32]) -> Vec<Row> {
    let mut rows =
        vec![Row::fact("request", object.id.0.to_string()), Row::fact("asks", asks(&object.deed))];
    if let Some(rule) = &object.rule {
        let words = vec![fact("", rule.as_str())];
        rows.push(Row::new("rule", Trust::Operators, words));
    }
    if let Some(why) = &object.why {
        rows.push(Row::text("why", Trust::Operators, Text::prose(why.as_bytes())));
    }
    match &object.deed {
        Deed::Exec(exec) => command(exec, &mut rows),
        Deed::Plain(file) => plain(file, &mut rows),
        Deed::Delete(name) => rows.push(Row::fact("credential", name.as_str())),
        Deed::Question(question) => {
            let text = Text::prose(question.as_bytes());
            rows.push(Row::text("question", Trust::Untrusted, text));
        }
    }
    if let Some(reason) = &object.reason {
        rows.push(Row::text("reason", Trust::Untrusted, Text::prose(reason.as_bytes())));
    }
    rows.push(Row::fact(
        "quorum",
        match object.quorum {
            1 => "1 approver decides".to_owned(),
            all => format!("{all} approvers must agree"),
        },
    ));
    rows.push(Row::fact("connection", object.connection.to_string()));
    rows.push(Row::fact("session", hex(&object.session)));
    rows.push(Row::fact("policy", hex(&object.policy)));
    rows.push(Row::fact("digest", hex(digest)));
    rows
}

const fn asks(deed: &Deed) -> &'static str {
    match deed {
        Deed::Exec(_) => "to run a command",
        Deed::Plain(_) => "to write real values into a file of the workspace",
        Deed::Delete(_) => "to delete a credential",
        Deed::Question(_) => "a question; a yes is an answer and does nothing",
    }
}

fn command(exec: &Exec, rows: &mut Vec<Row>) {
    for (i, argument) in exec.argv.as_slice().iter().enumerate() {
        let text = Text::exact(argument.as_bytes());
        rows.push(Row::text("argument", Trust::Untrusted, text).numbered(i));
    }
    match &exec.cwd {
        Some(cwd) => {
            rows.push(Row::text("folder", Trust::Untrusted, Text::exact(cwd.as_bytes())));
        }
        None => rows.push(Row::fact("folder", "the workspace")),
    }
    rows.push(exhibit("program", &exec.files.program, "what was looked at is what will run"));
    for (i, interpreter) in exec.files.interpreters.as_slice().iter().enumerate() {
        let row = exhibit("run by", interpreter, "what was looked at is what will run");
        rows.push(row.numbered(i + 1));
    }
    for (i, file) in exec.files.named.as_slice().iter().enumerate() {
        let row = exhibit("file", file, "another command could change it while this one runs");
        rows.push(row.numbered(i + 1));
    }
    if exec.files.unseen > 0 {
        let words =
            format!("{} more that arguments name; nobody looked at them", exec.files.unseen);
        rows.push(Row::fact("files", words));
    }
    rows.push(Row::new(
        "jail",
        Trust::Operators,
        vec![
            fact("", exec.profile.as_str()),
            fact("network", exec.network.as_str()),
            fact(
                "time",
                match exec.wall_ms {
                    0 => "any".to_owned(),
                    ms if ms % 60_000 == 0 => format!("{} min", ms / 60_000),
                    ms if ms % 1_000 == 0 => format!("{} s", ms / 1_000),
                    ms => format!("{ms} ms"),
                },
            ),
        ],
    ));
    rows.push(credentials("credentials", exec.credentials.as_slice()));
    rows.push(Row::fact("argv sha256", hex(&exec.argv_digest)));
}

fn exhibit(label: &'static str, file: &Exhibit, soft: &str) -> Row {
    let firm = if file.firm { "no command can change it" } else { soft };
    Row::new(
        label,
        Trust::Ours,
        vec![
            Value::Text(Text::exact(file.path.as_bytes())),
            fact("sha256", hex(&file.digest)),
            fact("size", format!("{} bytes", file.size)),
            fact(if file.firm { "firm" } else { "not firm" }, firm),
        ],
    )
}

fn plain(file: &PlainFile, rows: &mut Vec<Row>) {
    rows.push(Row::text("file", Trust::Untrusted, Text::exact(file.path.as_bytes())));
    rows.push(Row::fact(
        "mode",
        match file.mode {
            Some(mode) => format!("{mode:04o}"),
            None => "as it is; 0600 where it is new".to_owned(),
        },
    ));
    rows.push(credentials("values of", file.credentials.as_slice()));
    let mut content = vec![
        Value::Text(Text::exact(file.head.as_bytes())),
        fact("sha256", hex(&file.digest)),
        fact("size", format!("{} bytes, before the values are put in", file.size)),
    ];
    let rest = usize::try_from(file.size).unwrap_or(usize::MAX);
    if rest > file.head.as_bytes().len() {
        content.push(fact("cut", "the rest is not here: only the digest speaks for it"));
    }
    rows.push(Row::new("content", Trust::Untrusted, content));
}

fn credentials(label: &'static str, names: &[CredentialName]) -> Row {
    let mut words: Vec<Value> = names.iter().map(|name| fact("", name.as_str())).collect();
    if words.is_empty() {
        words.push(fact("", "none"));
    }
    Row::new(label, Trust::Ours, words)
}

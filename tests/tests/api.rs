//! `strongroom api`: the agent's verbs as lines, in real sessions.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use strongroom_tests::{Setup, eventually, limit, places};

/// A session whose agent is `strongroom api` itself.
struct Api {
    /// Its folders, which go with it.
    _setup: Setup,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Api {
    fn start(setup: Setup) -> Self {
        let mut child = setup
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        limit::started(child.id());
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
        let mut api = Self { _setup: setup, child, stdin, stdout: BufReader::new(stdout) };
        let ready = api.next();
        assert_eq!((&ready["event"], &ready["v"]), (&json!("ready"), &json!(1)));
        api
    }

    fn raw(&mut self, line: &[u8]) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line).unwrap();
        stdin.write_all(b"\n").unwrap();
    }

    fn ask(&mut self, id: impl Into<Value>, method: &str, params: &Value) {
        let line = json!({ "id": id.into(), "method": method, "params": params });
        self.raw(line.to_string().as_bytes());
    }

    fn run(&mut self, id: impl Into<Value>, argv: &[&str]) {
        self.ask(id, "run_command", &json!({ "argv": argv }));
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"))
    }

    /// The next line that is the last of a request.
    fn over(&mut self) -> Value {
        loop {
            let line = self.next();
            if line["event"] == "result" || line["event"] == "error" {
                return line;
            }
        }
    }

    /// The code that a request fails with.
    fn code(&mut self) -> String {
        let line = self.over();
        assert_eq!(line["event"], "error", "{line}");
        line["error"]["code"].as_str().unwrap().to_owned()
    }

    /// Everything until as many requests are over: output by request, ends by
    /// request.
    fn all(&mut self, requests: usize) -> (HashMap<Value, String>, HashMap<Value, Value>) {
        let (mut output, mut ends) = (HashMap::<Value, String>::new(), HashMap::new());
        while ends.len() < requests {
            let line = self.next();
            let id = line["id"].clone();
            match line["event"].as_str().unwrap() {
                "output" => output.entry(id).or_default().push_str(line["data"].as_str().unwrap()),
                "result" | "error" => drop(ends.insert(id, line)),
                _ => {}
            }
        }
        (output, ends)
    }

    fn ends(mut self) {
        drop(self.stdin.take());
        let mut status = None;
        let over = eventually(Duration::from_secs(20), || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert!(over, "the session does not end");
        assert!(status.unwrap().success(), "{status:?}");
    }
}

fn setup(place: strongroom_tests::place::Place) -> Setup {
    let rules = r#"
version = 1
extends = ["builtin:base"]
[[rule]]
name = "no"
match = ["rm", "..."]
action = "deny"
[[rule]]
name = "asks"
match = ["env", "push", "..."]
profile = "worker"
action = "ask"
"#;
    Setup::new(place).policy(rules).agent(["strongroom", "api"])
}

places! {
    /// Streams, statuses, refusals and bytes that are not text.
    all fn commands(place) {
        let mut api = Api::start(setup(place));
        api.ask(1, "run_command", &json!({
            "argv": ["sh", "-c", "cat; echo oops >&2; exit 3"], "stdin": "in é\n",
        }));
        let (mut out, mut err) = (String::new(), String::new());
        let end = loop {
            let line = api.next();
            assert_eq!(line["id"], 1);
            match (line["event"].as_str().unwrap(), line["stream"].as_str()) {
                ("output", Some("stdout")) => out.push_str(line["data"].as_str().unwrap()),
                ("output", Some("stderr")) => err.push_str(line["data"].as_str().unwrap()),
                ("result", None) => break line,
                (other, _) => assert_eq!(other, "started"),
            }
        };
        assert_eq!((out.as_str(), err.as_str(), &end["result"]["exit"]), ("in é\n", "oops\n", &json!(3)));
        assert_eq!(end["result"]["receipt"]["tier"], place.tier());

        api.run("bytes", &["printf", r"\377"]);
        let bytes = std::iter::from_fn(|| Some(api.next())).find(|l| l["event"] == "output").unwrap();
        assert_eq!(bytes["data"], json!({ "base64": "/w==" }));
        assert_eq!(api.over()["result"]["exit"], 0);
        api.ask(2, "run_command", &json!({ "argv": ["od", "-An", "-tx1"], "stdin": { "base64": "AP8=" } }));
        let (output, _) = api.all(1);
        assert_eq!(output[&json!(2)].trim(), "00 ff");

        for (argv, code) in [(["rm", "x"], "SR101"), (["/nonesuch", "x"], "SR301")] {
            api.run(3, &argv);
            let line = api.over();
            let said = if line["event"] == "error" { &line["error"] } else { &line["result"] };
            assert_eq!(said["code"], code, "{line}");
        }
        api.ask(4, "run_command", &json!({ "argv": ["sleep", "9"], "timeout_ms": 100 }));
        assert_eq!(api.over()["result"]["code"], "SR201");
        api.ask(5, "run_command", &json!({ "argv": ["true"], "credentials": ["NO_SUCH"] }));
        assert_eq!(api.code(), "SR105");
        api.ask(6, "explain", &json!({ "code": "sr105" }));
        assert_eq!(api.over()["result"]["codes"][0]["exit"], 77);
        api.ask(7, "read_log", &json!({ "match": "rm x", "limit": 1 }));
        let log = api.over();
        assert_eq!(log["result"]["records"][0]["code"], "SR101", "{log}");
        api.ends();
    }

    /// Requests run at the same time, each with its own input and its own end.
    all fn many_at_once(place) {
        let mut api = Api::start(setup(place));
        let start = Instant::now();
        for id in 0..8 {
            api.run(id, &["sh", "-c", &format!("sleep 0.7; echo {id}")]);
        }
        let (output, ends) = api.all(8);
        assert!(start.elapsed() < Duration::from_secs(5), "one after the other");
        for id in 0..8 {
            assert_eq!(output[&json!(id)], format!("{id}\n"));
            assert_eq!(ends[&json!(id)]["result"]["exit"], 0);
        }

        api.ask("cat", "run_command", &json!({ "argv": ["cat"], "keep_stdin_open": true }));
        let piece = "x".repeat(100_000);
        let (mut got, mut over) = (0, false);
        for id in ["a", "b"] {
            api.ask(id, "stdin", &json!({ "request": "cat", "data": piece, "end": id == "b" }));
            let mut fed = false;
            while !fed || (id == "b" && !over) {
                let line = api.next();
                got += line["data"].as_str().map_or(0, str::len);
                fed |= line["event"] == "result" && line["id"] == id;
                over |= line["event"] == "result" && line["id"] == "cat";
            }
        }
        assert_eq!(got, 200_000);
        api.ask("late", "stdin", &json!({ "request": "cat", "data": "x" }));
        assert_eq!(api.code(), "SR141");

        for id in 0..33 {
            api.run(id, &["sleep", "30"]);
        }
        assert_eq!(api.code(), "SR112");
        for id in 0..32 {
            api.ask(format!("c{id}"), "cancel", &json!({ "request": id }));
        }
        let start = Instant::now();
        let (_, ends) = api.all(64);
        assert!(start.elapsed() < Duration::from_secs(20));
        let killed = (0..32).filter(|id| ends[&json!(id)]["result"]["signal"] == "SIGKILL").count();
        let refused = (0..32).filter(|id| ends[&json!(id)]["error"]["code"] == "SR603").count();
        assert_eq!(killed + refused, 32, "{ends:?}");
        api.ends();
    }

    /// No line ends the program, and each is answered.
    all fn bad_lines(place) {
        let mut api = Api::start(setup(place));
        for line in [
            &b"nonsense"[..], b"[]", b"1", b"{}", b"{\"id\":null,\"method\":\"explain\"}",
            b"{\"id\":1.5,\"method\":\"explain\"}", b"\xff\xfe", b"{\"id\":{},\"method\":\"explain\"}",
            b"{\"id\":-1,\"method\":\"explain\"}",
        ] {
            api.raw(line);
            let said = api.over();
            assert_eq!((&said["id"], &said["error"]["code"]), (&Value::Null, &json!("SR131")), "{said}");
        }
        api.raw(&[b'['; 100_000]);
        assert_eq!(api.code(), "SR131");
        api.raw(&vec![b'x'; 25 * 1024 * 1024]);
        assert_eq!(api.code(), "SR130");
        for (method, params) in [
            ("approve", json!({})),
            ("run_command", json!({ "argv": [] })),
            ("run_command", json!({ "argv": ["a\0b"] })),
            ("run_command", json!({ "argv": ["true"], "reason": "x".repeat(1025) })),
            ("run_command", json!({ "argv": ["true"], "rule": "NO" })),
            ("run_command", json!({ "argv": ["true"], "timout_ms": 1 })),
            ("run_command", json!({ "argv": "true".repeat(100_000) })),
            ("request_credential", json!({ "name": "lower", "reason": "x" })),
            ("write_file", json!({ "path": "x", "content": "", "mode": 2048 })),
            ("read_log", json!({ "limit": 0 })),
            ("explain", json!({ "code": "SR999" })),
        ] {
            api.ask(1, method, &params);
            let said = api.over();
            assert_eq!((&said["id"], &said["error"]["code"]), (&json!(1), &json!("SR131")), "{method} {params}");
            assert!(said.to_string().len() < 2000);
        }
        for method in ["cancel", "stdin"] {
            api.ask(1, method, &json!({ "request": 1 }));
            assert_eq!(api.code(), "SR141");
        }
        api.run(1, &["sleep", "30"]);
        api.run(1, &["true"]);
        assert_eq!(api.code(), "SR131", "the same id twice");
        api.ask(2, "cancel", &json!({ "request": 1 }));
        api.all(2);
        api.run(1, &["true"]);
        assert_eq!(api.over()["result"]["exit"], 0);
        api.ends();
    }

    /// An agent asks and waits, or takes it back; it never answers.
    all fn approvals(place) {
        let mut api = Api::start(setup(place));
        api.ask(1, "run_command", &json!({ "argv": ["env", "push"], "patience_ms": 0 }));
        let refused = api.over();
        assert_eq!(refused["error"]["code"], "SR103");
        api.ask(2, "request_approval", &json!({ "question": "now?" }));
        let waiting = api.next();
        assert_eq!((&waiting["event"], &waiting["id"]), (&json!("waiting"), &json!(2)));
        api.ask(3, "cancel", &json!({ "request": 2 }));
        let (_, ends) = api.all(2);
        assert_eq!(ends[&json!(2)]["error"]["code"], "SR603");
        api.ends();
    }

    /// The end of the input lets what runs end; the reader's end does not wait.
    all fn ends(place) {
        let mut api = Api::start(setup(place));
        api.ask(1, "run_command", &json!({ "argv": ["sh", "-c", "cat; echo end"], "keep_stdin_open": true }));
        drop(api.stdin.take());
        let (output, _) = api.all(1);
        assert_eq!(output[&json!(1)], "end\n");
        api.ends();

        let mut api = Api::start(setup(place));
        api.run(1, &["sleep", "1000"]);
        assert_eq!(api.next()["event"], "started");
        let Api { _setup, mut child, stdin, stdout } = api;
        drop((stdin, stdout));
        assert!(eventually(Duration::from_secs(20), || child.try_wait().unwrap().is_some()));
    }
}

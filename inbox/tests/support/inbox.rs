//! The inbox under test, and a client that sends bytes.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A running inbox.
pub struct Inbox {
    child: Child,
    out: BufReader<ChildStdout>,
    said: Arc<Mutex<String>>,
    /// `ADDRESS:PORT`.
    pub host: String,
    /// The first code.
    pub code: String,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// All values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v).collect()
    }

    pub fn header(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or("")
    }

    /// The value of a hidden field of the form that goes to `action`.
    pub fn field(&self, action: &str, name: &str) -> String {
        let form = self.body.split("<form ").find(|f| f.contains(&format!("action=\"{action}\"")));
        let form = form.unwrap_or_else(|| panic!("no form for {action} in {}", self.body));
        let form = form.split("</form>").next().unwrap();
        let input = form.split("<input ").find(|i| i.contains(&format!("name=\"{name}\"")));
        let value = input.unwrap().split("value=\"").nth(1).unwrap();
        value.split('"').next().unwrap().to_owned()
    }
}

impl Inbox {
    pub fn start(state: &Path, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom-inbox"));
        command.arg("--state").arg(state).args(args);
        Self::of(command)
    }

    pub fn of(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said: Arc<Mutex<String>> = Arc::default();
        let (heard, mut stderr) = (Arc::clone(&said), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = stderr.read(&mut buffer) {
                heard.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..n]));
            }
        });
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut this = Self { child, out, said, host: String::new(), code: String::new() };
        let line = this.line();
        let (url, code) = line.trim().split_once("  one-time code ").expect(&line);
        this.host = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        this.code = code.to_owned();
        this
    }

    /// The next line on standard output.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "it ended: {}", self.said());
        line
    }

    /// What it said on standard error so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    /// Sends bytes; what comes until the connection ends.
    pub fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // It may be closed before all is taken.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub fn send(&self, text: &str) -> Answer {
        parse(&self.raw(text.as_bytes()))
    }

    /// A page as a browser asks for it; headers in the place of its own.
    pub fn get(&self, path: &str, cookie: &str, other: &[(&str, &str)]) -> Answer {
        let mut head = vec![
            ("Host", self.host.as_str()),
            ("Sec-Fetch-Site", "none"),
            ("Sec-Fetch-Dest", "document"),
            ("Cookie", cookie),
        ];
        replace(&mut head, other);
        self.send(&format!("GET {path} HTTP/1.1\r\n{}\r\n", lines(&head)))
    }

    /// A form as a browser sends it.
    pub fn post(&self, path: &str, cookie: &str, body: &str, other: &[(&str, &str)]) -> Answer {
        let (length, origin) = (body.len().to_string(), format!("http://{}", self.host));
        let mut head = vec![
            ("Host", self.host.as_str()),
            ("Origin", &origin),
            ("Sec-Fetch-Site", "same-origin"),
            ("Sec-Fetch-Dest", "document"),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Content-Length", &length),
            ("Cookie", cookie),
        ];
        replace(&mut head, other);
        self.send(&format!("POST {path} HTTP/1.1\r\n{}\r\n{body}", lines(&head)))
    }

    /// Logs in as a browser that keeps firm cookies does: its cookie.
    pub fn log_in(&self) -> String {
        let probe = "__Host-strongroom-try=1";
        let answer = self.try_code(&self.code, probe);
        assert_eq!(answer.status, 303, "{answer:?}");
        answer.header("Set-Cookie").split(';').next().unwrap().to_owned()
    }

    /// Sends a code, with these cookies.
    pub fn try_code(&self, code: &str, cookie: &str) -> Answer {
        let token = self.get("/login", "", &[]).field("/login", "token");
        self.post("/login", cookie, &format!("token={token}&code={code}"), &[])
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn replace<'a>(head: &mut Vec<(&'a str, &'a str)>, other: &[(&'a str, &'a str)]) {
    for (name, value) in other {
        head.retain(|(known, _)| known != name);
        head.push((name, value));
    }
    head.retain(|(_, value)| !value.is_empty());
}

fn lines(head: &[(&str, &str)]) -> String {
    head.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}

pub fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// A text as a form has it.
pub fn encoded(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02x}")).collect()
}

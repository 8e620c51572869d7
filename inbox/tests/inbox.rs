//! What a human does in the inbox, and what comes of it at the broker.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use strongroom_protocol::action::Deed;
use strongroom_protocol::channel::o::Verdict;
use strongroom_protocol::types::{CredentialName, Reason};
use support::broker::{Broker, Done, command, exec, patiently, request, write_log};
use support::inbox::{Answer, Inbox, encoded, parse};

const NASTY: [&str; 8] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'><svg/onload=alert(1)>",
    "</textarea></form><form action=//evil.example>",
    "</style><style>*{display:none}",
    "<meta http-equiv=refresh content=0;url=//evil.example>",
    "&lt;b&gt;&#60;i&#62;",
    "javascript:alert(1)//<a href=javascript:alert(1)>",
];

fn world() -> (tempfile::TempDir, Broker) {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::new(folder.path());
    (folder, broker)
}

/// No element, attribute or entity of a page came from a text.
fn tame(answer: &Answer) {
    let body = answer.body.split("</style>").nth(1).unwrap();
    for tag in body.split('<').skip(1) {
        let name: String =
            tag.trim_start_matches('/').chars().take_while(|c| c.is_alphanumeric()).collect();
        assert!(
            [
                "head", "body", "html", "header", "div", "strong", "nav", "a", "main", "p", "h1",
                "h2", "span", "code", "small", "form", "input", "label", "textarea", "button",
                "footer", "table", "thead", "tbody", "tr", "th", "td", "b", "details", "summary",
            ]
            .contains(&name.as_str()),
            "<{tag}"
        );
        let inside = tag.split('>').next().unwrap();
        assert!(!inside.contains("on") || !inside.contains("alert"), "<{tag}");
        assert!(!inside.contains("evil") && !inside.contains("javascript"), "<{tag}");
    }
    assert!(!body.contains("http-equiv=refresh content=0;url=//evil.example>"));
}

#[test]
fn every_text_is_only_a_text() {
    let (folder, broker) = world();
    let inbox = Inbox::start(folder.path(), &[]);
    for (i, nasty) in NASTY.iter().enumerate() {
        let id = i as u64 * 10 + 10;
        let argv: Vec<&[u8]> = vec![b"sh", nasty.as_bytes(), b"\x1b[2J\xff\xe2\x80\xae"];
        broker.add(request(id, 1, exec(&argv), Some(nasty)));
        let question = Deed::Question(Reason::new(*nasty).unwrap());
        broker.add(request(id + 1, 1, question, Some(nasty)));
        broker.ask(i as u32, &format!("NAME_{i}"), nasty);
        broker.hold(&format!("HELD_{i}"), true);
    }
    let fields = NASTY.map(|nasty| nasty.replace('\\', "\\\\").replace('"', "\\\"")).map(|nasty| {
        format!(",\"argv\":[\"{nasty}\"],\"reason\":\"{nasty}\",\"rule\":\"{nasty}\"")
    });
    let events: Vec<(&str, &str)> = fields.iter().map(|f| ("intent", f.as_str())).collect();
    write_log(folder.path(), &events);
    let cookie = inbox.log_in();
    let get = |path: &str| inbox.get(path, &cookie, &[]);
    let mut pages = vec![get("/"), get("/credentials"), get("/audit"), get("/credentials/NAME_1")];
    for i in 0..NASTY.len() {
        pages.extend([
            get(&format!("/requests/{}", i * 10 + 10)),
            get(&format!("/requests/{}", i * 10 + 11)),
        ]);
    }
    for nasty in NASTY {
        pages.push(get(&format!("/?told={}", encoded(nasty))));
        pages.push(get(&format!("/{}", encoded(nasty))));
        pages.push(inbox.get("/", &cookie, &[("User-Agent", nasty), ("Accept-Language", nasty)]));
        pages.push(inbox.get("/", &cookie, &[("Host", nasty)]));
        pages.push(inbox.post(
            &format!("/requests/10?{}", encoded(nasty)),
            &cookie,
            "token=x",
            &[],
        ));
    }
    pages.iter().for_each(tame);
    // And it is all there.
    let argv = &pages[4].body;
    assert!(argv.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{argv}");
    for escape in ["\\x1b", "\\xff", "\\u{202e}"] {
        assert!(argv.contains(escape), "{escape}");
    }
    assert!(argv.contains("which nobody has checked"));
    for nasty in ["&lt;svg/onload", "&amp;lt;b&amp;gt;", "javascript:alert(1)//"] {
        assert!(pages[2].body.contains(nasty), "{nasty} in the log's page");
    }
    assert_eq!(broker.done(), []);
}

#[test]
fn deciding() {
    let (folder, broker) = world();
    broker.add(command(1, &["git", "push", "two words"], 1));
    broker.add(command(2, &["true"], 2));
    broker.add(request(3, 1, Deed::Delete(CredentialName::new("OLD").unwrap()), None));
    let inbox = Inbox::start(folder.path(), &[]);
    let cookie = inbox.log_in();
    let list = inbox.get("/", &cookie, &[]);
    assert!(list.body.contains("git push &quot;two words&quot;"), "{}", list.body);
    for part in ["Requests (3)", "session abababab", "tier container", "you are operator"] {
        assert!(list.body.contains(part), "{part}");
    }
    let decide = |id: u64, verdict: &str, reason: &str| {
        let path = format!("/requests/{id}");
        let page = inbox.get(&path, &cookie, &[]);
        let [token, digest] = ["token", "digest"].map(|name| page.field(&path, name));
        let body =
            format!("token={token}&digest={digest}&verdict={verdict}&reason={}", encoded(reason));
        inbox.post(&path, &cookie, &body, &[]).header("Location").to_owned()
    };
    assert_eq!(decide(3, "deny", "keep it\r\nplease "), "/?told=denied");
    assert_eq!(decide(2, "approve", ""), "/?told=counted");
    assert_eq!(decide(1, "approve", "ok"), "/?told=approved");
    let decided = |id, verdict, reason: Option<&str>| Done::Decided {
        by: "operator".to_owned(),
        id,
        verdict,
        reason: reason.map(str::to_owned),
    };
    assert_eq!(
        broker.done(),
        [
            decided(3, Verdict::Deny, Some("keep it\\nplease")),
            decided(2, Verdict::Approve, None),
            decided(1, Verdict::Approve, Some("ok"))
        ]
    );
    let told = inbox.get("/?told=approved", &cookie, &[]);
    assert!(told.body.contains("Approved.") && told.header("Refresh") == "10; url=/");
    let two = inbox.get("/requests/2", &cookie, &[]);
    assert!(two.body.contains("1 of 2 approvals") && !two.body.contains("value=\"approve\""));
    assert!(two.body.contains("value=\"deny\""));
}

#[test]
fn another_approver() {
    let (folder, broker) = world();
    broker.add(command(2, &["true"], 2));
    let inbox = Inbox::start(folder.path(), &["--as", "alice"]);
    let cookie = inbox.log_in();
    let page = inbox.get("/requests/2", &cookie, &[]);
    assert!(page.body.contains("you are alice"));
    let [token, digest] = ["token", "digest"].map(|name| page.field("/requests/2", name));
    let body = format!("token={token}&digest={digest}&verdict=approve&reason=");
    assert_eq!(inbox.post("/requests/2", &cookie, &body, &[]).status, 303);
    let credentials = inbox.get("/credentials", &cookie, &[]);
    assert_eq!(credentials.status, 403);
    assert!(credentials.body.contains("SR617"));
    let token = inbox.get("/kill", &cookie, &[]).field("/kill", "token");
    assert_eq!(
        inbox.post("/kill", &cookie, &format!("token={token}"), &[]).header("Location"),
        "/?told=killed"
    );
    assert_eq!(broker.done().last(), Some(&Done::Killed { by: "alice".to_owned() }));
}

#[test]
fn entering_a_credential() {
    let (folder, broker) = world();
    broker.ask(3, "DB_PASSWORD", "the migration needs it");
    broker.hold("API_TOKEN", true);
    let inbox = Inbox::start(folder.path(), &[]);
    let cookie = inbox.log_in();
    let list = inbox.get("/credentials", &cookie, &[]);
    for part in ["API_TOKEN", "DB_PASSWORD", "the migration needs it", "asked 4 s ago, 2 times"] {
        assert!(list.body.contains(part), "{part}: {}", list.body);
    }
    let path = "/credentials/DB_PASSWORD";
    let form = inbox.get(path, &cookie, &[]);
    assert!(form.body.contains("type=\"password\"") && form.body.contains("autocomplete=\"off\""));
    let token = form.field(path, "token");
    let value = "canary-3f9a-Ä&=+% <b>";
    let put = |body: &str| inbox.post(path, &cookie, &format!("token={token}&{body}"), &[]);
    let short = put("value=short7&lines=");
    assert!(short.status == 409 && short.body.contains("SR612") && !short.body.contains("short7"));
    assert!(put("value=&lines=").body.contains("SR612"));
    assert_eq!(put("value=a&lines=b").status, 400);
    assert_eq!(put("value=a&lines=&force=no").status, 400);
    assert!(put(&format!("value={}", "x".repeat(64 * 1024 + 1))).body.contains("SR612"));
    let entered = put(&format!("value={}&lines=", encoded(value)));
    assert_eq!((entered.status, entered.header("Location")), (303, "/credentials?told=entered"));
    let lines = "-----BEGIN KEY-----\r\nabc\r\n-----END KEY-----\r\n";
    assert_eq!(put(&format!("value=&lines={}", encoded(lines))).status, 303);
    let long = format!("canary-long-{}", "y".repeat(60_000));
    assert_eq!(put(&format!("value={long}")).status, 303);
    assert_eq!(put("value=short7&force=yes").status, 303);
    let kept: Vec<(Vec<u8>, bool)> = broker
        .done()
        .into_iter()
        .map(|done| match done {
            Done::Kept { name, value, force } if name == "DB_PASSWORD" => (value, force),
            other => panic!("{other:?}"),
        })
        .collect();
    let want =
        [value, &lines.replace("\r\n", "\n"), &long, "short7"].map(|v| v.as_bytes().to_vec());
    assert_eq!(kept.iter().map(|(v, _)| v.clone()).collect::<Vec<_>>(), want);
    assert_eq!(kept.iter().map(|(_, f)| *f).collect::<Vec<_>>(), [false, false, false, true]);
    for answer in [
        entered,
        inbox.get("/credentials?told=entered", &cookie, &[]),
        inbox.get(path, &cookie, &[]),
    ] {
        assert!(!answer.head.contains("canary") && !answer.body.contains("canary"));
    }
    assert!(!inbox.said().contains("canary"));
    for place in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("/proc/{}/{place}", inbox.pid()));
        assert!(bytes.is_ok_and(|b| !String::from_utf8_lossy(&b).contains("canary")));
    }
    nothing_is_left(
        &inbox,
        folder.path(),
        &["canary-3f9a", "canary%2d3f9a", "canary-long-", "BEGIN KEY", "short7"],
    );
}

/// Looks through the inbox's memory. As another user it cannot be read, which
/// is as it should be.
fn nothing_is_left(inbox: &Inbox, state: &std::path::Path, texts: &[&str]) {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: looking through the inbox's memory needs root");
        return;
    }
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", inbox.pid())).unwrap();
    let mut memory = std::fs::File::open(format!("/proc/{}/mem", inbox.pid())).unwrap();
    let mut state_seen = false;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let range = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [from, to] = [range.0, range.1].map(|hex| u64::from_str_radix(hex, 16).unwrap());
        let mut bytes = Vec::new();
        std::io::Seek::seek(&mut memory, std::io::SeekFrom::Start(from)).unwrap();
        if (&mut memory).take(to - from).read_to_end(&mut bytes).is_err() {
            continue;
        }
        let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        for text in texts {
            let hexed = encoded(text);
            assert!(!has(text) && !has(&hexed), "{text} in {line}");
        }
        // The heap holds what was not given back.
        state_seen |= line.contains("[heap]") && has(state.to_str().unwrap());
    }
    assert!(state_seen, "the memory was looked at");
}

#[test]
fn forgetting_and_killing() {
    let (folder, broker) = world();
    broker.ask(3, "DB_PASSWORD", "x");
    let inbox = Inbox::start(folder.path(), &[]);
    let cookie = inbox.log_in();
    let token = inbox.get("/credentials", &cookie, &[]).field("/dismiss/3", "token");
    let dismiss = || inbox.post("/dismiss/3", &cookie, &format!("token={token}"), &[]);
    assert_eq!(dismiss().header("Location"), "/credentials?told=dismissed");
    assert_eq!(dismiss().status, 404);
    let page = inbox.get("/kill", &cookie, &[]);
    assert!(page.body.contains("1 command is running now."));
    assert_eq!(broker.done(), [Done::Dismissed(3)], "looking ends nothing");
    let token = page.field("/kill", "token");
    assert_eq!(inbox.post("/kill", &cookie, &format!("token={token}"), &[]).status, 303);
    assert_eq!(broker.done().last(), Some(&Done::Killed { by: "operator".to_owned() }));
}

#[test]
fn without_a_session() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = Inbox::start(folder.path(), &[]);
    let cookie = inbox.log_in();
    let page = inbox.get("/", &cookie, &[]);
    assert_eq!((page.status, page.header("Refresh")), (503, "10; url=/"));
    assert!(page.body.contains("SR503"), "{}", page.body);
    assert!(inbox.get("/audit", &cookie, &[]).body.contains("may not read the log"));
    // One is started, and found.
    let broker = Broker::new(folder.path());
    broker.add(command(1, &["true"], 1));
    assert_eq!(inbox.get("/", &cookie, &[]).status, 200);
    assert!(inbox.get("/audit", &cookie, &[]).body.contains("The log has no record."));
}

#[test]
fn on_a_unix_socket() {
    let (folder, broker) = world();
    broker.add(command(1, &["true"], 1));
    let path = folder.path().join("inbox.sock");
    let inbox = Inbox::start(folder.path(), &["--unix", path.to_str().unwrap()]);
    assert_eq!(inbox.host, format!("unix:{}", path.display()));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let send = |host: &str, rest: &str| {
        let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
        write!(stream, "GET /login HTTP/1.1\r\nHost: {host}\r\n{rest}\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        parse(&text).status
    };
    assert_eq!(send("localhost", ""), 200);
    assert_eq!(send("127.0.0.1:8080", "Origin: http://127.0.0.1:8080\r\n"), 200);
    assert_eq!(send("127.0.0.1:8080", "Origin: http://127.0.0.1:8081\r\n"), 403);
    assert_eq!(send("evil.example:8080", ""), 421);
}

#[test]
fn what_does_not_start() {
    for args in
        [&["--listen", "0.0.0.0:0"][..], &["--what", "x"], &["--webhook", "http://127.0.0.1/"]]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom-inbox"));
        let output = command.args(["--state", "/nonexistent"]).args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.starts_with("strongroom: SR710") && output.stdout.is_empty(), "{said}");
    }
}

/// A receiver that answers each message with the next status.
fn receiver(statuses: &'static [u16]) -> (String, std::sync::mpsc::Receiver<Answer>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook?x=1", listener.local_addr().unwrap());
    let (out, messages) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for status in statuses {
            let (stream, _) = listener.accept().unwrap();
            let mut stream = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                stream.read_line(&mut head).unwrap();
            }
            let mut answer = parse(&head);
            let mut body = vec![0; answer.header("content-length").parse().unwrap()];
            stream.read_exact(&mut body).unwrap();
            answer.body = String::from_utf8(body).unwrap();
            write!(stream.get_mut(), "HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").unwrap();
            out.send(answer).unwrap();
        }
    });
    (url, messages)
}

fn key(folder: &std::path::Path) -> (String, String) {
    let path = folder.join("webhook.key").to_str().unwrap().to_owned();
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom-inbox"));
    let output = command.args(["--new-webhook-key", &path]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let public = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert!(public.starts_with("whpk_"));
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("whsk_"));
    (path, public)
}

fn verify(public: &str, id: &str, timestamp: &str, signature: &str, payload: &str) {
    use ed25519_dalek::{Signature, VerifyingKey};
    use strongroom_audit::base64;
    let public = base64::decode(public.strip_prefix("whpk_").unwrap()).unwrap();
    let public = VerifyingKey::from_bytes(public.first_chunk().unwrap()).unwrap();
    let signature = base64::decode(signature.strip_prefix("v1a,").unwrap()).unwrap();
    let signed = format!("{id}.{timestamp}.{payload}");
    public.verify_strict(signed.as_bytes(), &Signature::from_slice(&signature).unwrap()).unwrap();
}

#[test]
fn webhooks() {
    let (folder, broker) = world();
    let (key, public) = key(folder.path());
    let (url, messages) = receiver(&[500, 200, 200, 204]);
    let _inbox = Inbox::start(folder.path(), &["--webhook", &url, "--webhook-key", &key]);
    broker.add(command(5, &["git", "push", "SECRET-ARGUMENT"], 1));
    let next = || {
        let message = messages.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
        assert!(message.head.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{}", message.head);
        let [id, time, signature] = ["webhook-id", "webhook-timestamp", "webhook-signature"]
            .map(|name| message.header(name));
        verify(&public, id, time, signature, &message.body);
        (id.to_owned(), message.body.clone())
    };
    let (id, body) = next();
    assert!(body.starts_with("{\"type\":\"approval.waiting\",\"timestamp\":\""), "{body}");
    assert!(body.contains("\"approval\":5,\"kind\":\"exec\",\"rule\":\"git-push\",\"digest\":\""));
    assert!(
        !body.contains("SECRET") && !body.contains("http") && !body.contains("token"),
        "{body}"
    );
    assert_eq!(next(), (id.clone(), body), "the same again, after it failed");
    broker.remove(5);
    let (settled, body) = next();
    assert_ne!(settled, id);
    assert!(body.contains("approval.settled") && body.contains("\"approval\":5"), "{body}");
    broker.add(command(6, &["true"], 1));
    assert!(next().1.contains("\"approval\":6"));
}

#[test]
fn a_program_is_told() {
    let (folder, broker) = world();
    let (key, public) = key(folder.path());
    let program = folder.path().join("notify");
    let told = folder.path().join("told");
    // In another process: where this one held it open for writing, a fork by a
    // test beside this one would hold it too (ETXTBSY).
    let script = format!(
        "#!/bin/sh\nbody=$(cat)\nprintf '%s\\n' \"$WEBHOOK_ID\" \"$WEBHOOK_TIMESTAMP\" \"$WEBHOOK_SIGNATURE\" \"$body\" >{0}.new\n\
         env >>{0}.new\nmv {0}.new {0}\n",
        told.display()
    );
    let mut writer = Command::new("sh")
        .args(["-c", "cat >\"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(&program)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(writer.wait().unwrap().success());
    let mut command_line = Command::new(env!("CARGO_BIN_EXE_strongroom-inbox"));
    command_line.env("SECRET_OF_OPERATOR", "x").arg("--state").arg(folder.path());
    command_line.arg("--notify").arg(&program).args(["--webhook-key", &key]);
    let _inbox = Inbox::of(command_line);
    broker.add(command(5, &["true"], 1));
    let text = patiently(|| std::fs::read_to_string(&told).ok());
    let lines: Vec<&str> = text.lines().collect();
    verify(&public, lines[0], lines[1], lines[2], lines[3]);
    assert!(lines[3].contains("approval.waiting"));
    assert!(!text.contains("SECRET_OF_OPERATOR"), "{text}");
}

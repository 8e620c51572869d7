//! What the inbox refuses: requests that a page elsewhere could make a
//! browser send, requests under another name, requests that are two, and
//! codes that somebody guesses. Nothing of them reaches the broker.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use support::broker::{Broker, command, patiently};
use support::inbox::{Answer, Inbox, encoded, parse};

struct World {
    broker: Broker,
    inbox: Inbox,
    cookie: String,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let broker = Broker::new(folder.path());
        broker.add(command(7, &["git", "push"], 1));
        broker.ask(3, "DB_PASSWORD", "the migration needs it");
        let inbox = Inbox::start(folder.path(), &["--listen", "127.0.0.1:0"]);
        let cookie = inbox.log_in();
        Self { broker, inbox, cookie, _folder: folder }
    }

    fn approval(&self) -> String {
        let page = self.inbox.get("/requests/7", &self.cookie, &[]);
        let (token, digest) =
            (page.field("/requests/7", "token"), page.field("/requests/7", "digest"));
        format!("token={token}&digest={digest}&verdict=approve&reason=")
    }
}

/// An approval with something wrong about its request, and the status.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], u16);

#[test]
fn approvals_from_elsewhere() {
    let world = World::new();
    let body = world.approval();
    let host = world.inbox.host.clone();
    let port = host.rsplit(':').next().unwrap().to_owned();
    let other_port = format!("http://127.0.0.1:{}", port.parse::<u16>().unwrap() ^ 1);
    let localhost = format!("http://localhost:{port}");
    let rebound = format!("evil.example:{port}");
    let rebound_origin = format!("http://{rebound}");
    let long = "x".repeat(20_000);
    let cases: [Case<'_>; 31] = [
        ("rebinding: the Host", &[("Host", &rebound)], 421),
        ("rebinding: Host and Origin", &[("Host", &rebound), ("Origin", &rebound_origin)], 421),
        ("rebinding: no port", &[("Host", "evil.example")], 421),
        ("another port as Host", &[("Host", "127.0.0.1:1")], 421),
        ("no Host", &[("Host", "")], 421),
        ("CSRF: the Origin", &[("Origin", "http://evil.example")], 403),
        ("CSRF: https", &[("Origin", "https://evil.example")], 403),
        ("CSRF: null", &[("Origin", "null")], 403),
        ("CSRF: another port of ours", &[("Origin", &other_port)], 403),
        ("CSRF: another name of ours", &[("Origin", &localhost)], 403),
        ("CSRF: a file", &[("Origin", "file://")], 403),
        ("CSRF: cross-site", &[("Sec-Fetch-Site", "cross-site")], 403),
        ("CSRF: same-site", &[("Sec-Fetch-Site", "same-site")], 403),
        ("CSRF: typed", &[("Sec-Fetch-Site", "none")], 403),
        ("CSRF: nothing says where from", &[("Sec-Fetch-Site", ""), ("Origin", "")], 403),
        ("from a frame", &[("Sec-Fetch-Dest", "iframe")], 403),
        ("by fetch()", &[("Sec-Fetch-Dest", "empty")], 403),
        ("a simple request's type", &[("Content-Type", "text/plain")], 415),
        ("JSON", &[("Content-Type", "application/json")], 415),
        ("a form with files", &[("Content-Type", "multipart/form-data; boundary=x")], 415),
        ("no type", &[("Content-Type", "")], 415),
        ("no length", &[("Content-Length", "")], 413),
        ("too long", &[("Content-Length", "131073")], 413),
        ("both lengths", &[("Transfer-Encoding", "chunked")], 400),
        ("an encoding", &[("Content-Encoding", "gzip")], 400),
        ("another protocol", &[("Upgrade", "h2c")], 400),
        ("waits for leave", &[("Expect", "100-continue")], 400),
        ("no cookie", &[("Cookie", "")], 403),
        ("a made-up cookie", &[("Cookie", "__Host-strongroom=00ff")], 403),
        ("a tossed cookie", &[("Cookie", "__Host-strongroom=a; __Host-strongroom=b")], 403),
        ("a head that is too long", &[("X-Filler", &long)], 431),
    ];
    for (what, head, status) in cases {
        let answer = world.inbox.post("/requests/7", &world.cookie, &body, head);
        assert_eq!(answer.status, status, "{what}: {answer:?}");
    }
    assert!(world.broker.done().is_empty());
    let said = world.inbox.said();
    assert!(said.contains("refused a POST: the Origin is not this inbox"), "{said}");
    for value in ["evil.example", "00ff", &body[6..20]] {
        assert!(!said.contains(value), "{said}");
    }
    // The same, as it should be.
    assert_eq!(world.inbox.post("/requests/7", &world.cookie, &body, &[]).status, 303);
    assert_eq!(world.broker.done().len(), 1);
}

#[test]
fn forms_that_are_not_ours() {
    let world = World::new();
    let body = world.approval();
    let get = |path: &str| world.inbox.get(path, &world.cookie, &[]);
    let kill = get("/kill").field("/kill", "token");
    let digest = body.split('&').nth(1).unwrap();
    let token = body.split('&').next().unwrap();
    for (what, path, body, status) in [
        ("no token", "/requests/7", format!("{digest}&verdict=approve"), 403),
        ("an empty token", "/requests/7", format!("token=&{digest}&verdict=approve"), 403),
        (
            "another form's token",
            "/requests/7",
            format!("token={kill}&{digest}&verdict=approve"),
            403,
        ),
        ("another request's token", "/requests/8", body.clone(), 403),
        ("for another page", "/kill", token.to_owned(), 403),
        ("no digest", "/requests/7", format!("{token}&verdict=approve"), 400),
        ("half a digest", "/requests/7", format!("{token}&digest=abcd&verdict=approve"), 400),
        ("no verdict", "/requests/7", format!("{token}&{digest}"), 400),
        ("a new verdict", "/requests/7", format!("{token}&{digest}&verdict=always"), 400),
        (
            "both verdicts",
            "/requests/7",
            format!("{token}&{digest}&verdict=deny&verdict=approve"),
            400,
        ),
        ("a field too many", "/requests/7", format!("{body}&admin=1"), 400),
        ("a long reason", "/requests/7", format!("{body}{}", "x".repeat(1_025)), 400),
        ("a reason with a NUL", "/requests/7", format!("{body}%00"), 400),
        ("bad escapes", "/requests/7", format!("{body}%zz"), 400),
        ("a page that takes nothing", "/", token.to_owned(), 405),
        ("a page that is none", "/admin", token.to_owned(), 404),
        ("a traversal", "/requests/../kill", format!("token={kill}"), 404),
        ("an escape in the path", "/%6bill", format!("token={kill}"), 404),
    ] {
        let answer = world.inbox.post(path, &world.cookie, &body, &[]);
        assert_eq!(answer.status, status, "{what}: {answer:?}");
    }
    // By GET nothing is done.
    for path in ["/logout", "/dismiss/3"] {
        assert_eq!(get(path).status, 405, "{path}");
    }
    let query = world.inbox.get(&format!("/requests/7?{body}"), &world.cookie, &[]);
    assert_eq!(query.status, 200);
    assert!(world.broker.done().is_empty());
}

#[test]
fn a_decision_holds_for_what_was_shown_and_once() {
    let world = World::new();
    let body = world.approval();
    let other = body.replacen("digest=", "digest=00", 1);
    let other: String =
        other.split('&').map(|f| f.get(..71).unwrap_or(f)).collect::<Vec<_>>().join("&");
    let answer = world.inbox.post("/requests/7", &world.cookie, &other, &[]);
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(answer.body.contains("SR615"), "another digest");
    // What waits was changed after the page was drawn.
    world.broker.swap(command(7, &["git", "push", "--force"], 1));
    let answer = world.inbox.post("/requests/7", &world.cookie, &body, &[]);
    assert_eq!(answer.status, 409);
    assert!(answer.body.contains("SR615") && answer.body.contains("--force"), "shown anew");
    assert!(world.broker.done().is_empty());

    let body = world.approval();
    assert_eq!(world.inbox.post("/requests/7", &world.cookie, &body, &[]).status, 303);
    let again = world.inbox.post("/requests/7", &world.cookie, &body, &[]);
    assert_eq!(again.status, 404);
    assert!(again.body.contains("SR614"), "{again:?}");
    assert_eq!(world.broker.done().len(), 1);
}

#[test]
fn methods_and_targets() {
    let World { inbox, cookie, .. } = &World::new();
    let head = format!("Host: {}\r\nCookie: {cookie}\r\n\r\n", inbox.host);
    for (line, status) in [
        ("GET / HTTP/1.1", 200),
        ("HEAD / HTTP/1.1", 405),
        ("OPTIONS * HTTP/1.1", 405),
        ("PUT /kill HTTP/1.1", 405),
        ("DELETE /requests/7 HTTP/1.1", 405),
        ("PATCH / HTTP/1.1", 405),
        ("TRACE / HTTP/1.1", 405),
        ("CONNECT evil.example:443 HTTP/1.1", 405),
        ("get / HTTP/1.1", 405),
        ("GET http://evil.example/ HTTP/1.1", 400),
        ("GET http://127.0.0.1/ HTTP/1.1", 400),
        ("GET / HTTP/1.0", 505),
        ("GET / HTTP/2.0", 400),
        ("GET /", 400),
        ("GET  /  HTTP/1.1", 400),
        ("GET /\u{0} HTTP/1.1", 400),
    ] {
        let answer = inbox.send(&format!("{line}\r\n{head}"));
        assert_eq!(answer.status, status, "{line}: {answer:?}");
        assert!(answer.body.is_empty() || !answer.body.contains("evil"), "{line}");
        for name in ["Access-Control-Allow-Origin", "Access-Control-Allow-Methods"] {
            assert_eq!(answer.header(name), "", "{line}");
        }
    }
    let allow = inbox.send(&format!("PUT / HTTP/1.1\r\n{head}"));
    assert_eq!(allow.header("Allow"), "GET, POST");
}

/// Bytes that two readers could take for two different requests, or for two.
#[test]
fn smuggling() {
    let world = World::new();
    let body = world.approval();
    let host = &world.inbox.host;
    let cookie = &world.cookie;
    let head = format!(
        "POST /requests/7 HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nCookie: {cookie}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n"
    );
    let length = body.len();
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    for (what, bytes) in [
        (
            "CL.TE",
            format!(
                "{head}Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"
            ),
        ),
        (
            "TE.CL",
            format!(
                "{head}Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n\r\n{chunked}"
            ),
        ),
        ("TE", format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunked}")),
        (
            "TE in disguise",
            format!("{head}Transfer-Encoding: xchunked\r\nContent-Length: {length}\r\n\r\n{body}"),
        ),
        (
            "TE twice",
            format!(
                "{head}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n{chunked}"
            ),
        ),
        ("CL twice", format!("{head}Content-Length: {length}\r\nContent-Length: 5\r\n\r\n{body}")),
        // The same length twice is one length (RFC 9110, section 8.6).
        ("CL as a list", format!("{head}Content-Length: {length}, {length}\r\n\r\n{body}")),
        ("CL with a sign", format!("{head}Content-Length: +{length}\r\n\r\n{body}")),
        ("a space before the colon", format!("{head}Content-Length : {length}\r\n\r\n{body}")),
        ("a folded header", format!("{head}X: a\r\n Content-Length: {length}\r\n\r\n{body}")),
        ("Host twice", format!("{head}Host: {host}\r\nContent-Length: {length}\r\n\r\n{body}")),
        ("a NUL in a header", format!("{head}X: a\0b\r\nContent-Length: {length}\r\n\r\n{body}")),
        ("lone CR", format!("{head}X: a\rContent-Length: {length}\r\n\r\n{body}")),
    ] {
        let answer = parse(&world.inbox.raw(bytes.as_bytes()));
        assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
    }
    assert!(world.broker.done().is_empty());
    // What comes after a request is nobody's: one connection, one request.
    let first = format!("GET / HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n");
    let second = format!("{head}Content-Length: {length}\r\n\r\n{body}");
    let answers = world.inbox.raw(format!("{first}{second}").as_bytes());
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    assert!(world.broker.done().is_empty());
}

#[test]
fn slow_and_many() {
    let World { inbox, cookie, .. } = &World::new();
    let started = Instant::now();
    // As many as may be, each with half a head.
    let mut slow: Vec<_> = (0..32)
        .map(|_| {
            let mut stream = inbox.connect();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").unwrap();
            stream
        })
        .collect();
    patiently(|| inbox.raw(b"GET / HTTP/1.1\r\n\r\n").is_empty().then_some(()));
    let mut rest = Vec::new();
    for stream in &mut slow {
        rest.clear();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let _ = stream.read_to_end(&mut rest);
    }
    let took = started.elapsed();
    assert!(took > Duration::from_secs(8) && took < Duration::from_secs(19), "{took:?}");
    assert_eq!(inbox.get("/", cookie, &[]).status, 200, "and then it goes on");
    assert!(inbox.said().contains("as many as may be") && inbox.said().contains("too slowly"));
}

#[test]
fn a_body_that_does_not_come() {
    let world = World::new();
    let body = world.approval();
    let (head, tail) = body.split_at(body.len() - 10);
    let length = body.len();
    let host = &world.inbox.host;
    let mut stream = world.inbox.connect();
    let text = format!(
        "POST /requests/7 HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nCookie: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{head}",
        world.cookie
    );
    stream.write_all(text.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(!answer.starts_with("HTTP/1.1 303"), "{answer}");
    assert!(!tail.is_empty() && world.broker.done().is_empty());
}

#[test]
fn guessing_and_reuse_of_codes() {
    let folder = tempfile::tempdir().unwrap();
    let _broker = Broker::new(folder.path());
    let mut inbox = Inbox::start(folder.path(), &[]);
    assert_eq!(inbox.get("/", "", &[]).header("Location"), "/login");
    assert_eq!(inbox.get("/requests/7", "", &[]).header("Location"), "/login");
    inbox.log_in();
    let used = inbox.try_code(&inbox.code, "");
    assert_eq!(used.status, 403, "a code opens once");
    let second = inbox.line();
    let second = second.trim().rsplit(' ').next().unwrap().to_owned();
    assert_ne!(second, inbox.code);
    for guess in ["", "0000", &encoded("' OR 1=1 --")] {
        assert_eq!(inbox.try_code(guess, "").status, 403, "{guess}");
    }
    let last = inbox.try_code("9999", "");
    assert!(last.body.contains("Too many wrong codes"), "{}", last.body);
    let shut = inbox.get("/login", "", &[]);
    assert!(shut.body.contains("Too many wrong codes") && !shut.body.contains("name=\"code\""));
    // The right one comes too late: its form has no token any more, and the
    // code is none.
    let token = last.body.contains("name=\"token\"");
    assert!(!token);
    let late = inbox.post("/login", "", &format!("token=00&code={second}"), &[]);
    assert_eq!(late.status, 403);
    assert!(inbox.said().contains("nobody can log in for 30 s"), "{}", inbox.said());
    assert!(!inbox.said().contains(&second) && !inbox.said().contains("OR 1"));
}

#[test]
fn cookies_are_given_and_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let _broker = Broker::new(folder.path());
    let mut inbox = Inbox::start(folder.path(), &[]);
    // A session that somebody planted.
    let planted = "a".repeat(64);
    let cookies =
        format!("__Host-strongroom={planted}; strongroom={planted}; __Host-strongroom-try=1");
    let answer = inbox.try_code(&inbox.code, &cookies);
    let given = answer.header("Set-Cookie").to_owned();
    assert!(!given.contains(&planted), "{given}");
    assert!(given.starts_with("__Host-strongroom="), "{given}");
    for part in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict"] {
        assert!(given.contains(part), "{given}");
    }
    assert!(!given.contains("Domain"));
    let planted = format!("__Host-strongroom={planted}");
    assert_eq!(inbox.get("/", &planted, &[]).header("Location"), "/login");
    let cookie = given.split(';').next().unwrap();
    assert_eq!(inbox.get("/", cookie, &[]).status, 200);

    // Where the browser keeps no firm one.
    inbox.get("/login", "", &[]);
    let line = inbox.line();
    let answer = inbox.try_code(line.trim().rsplit(' ').next().unwrap(), "");
    let plain = answer.header("Set-Cookie").to_owned();
    assert!(plain.starts_with("strongroom=") && !plain.contains("Secure"), "{plain}");
    let plain = plain.split(';').next().unwrap().to_owned();
    assert_eq!(inbox.get("/", &plain, &[]).status, 200);

    // Another browser's token is of no use.
    let token = inbox.get("/kill", cookie, &[]).field("/kill", "token");
    assert_eq!(inbox.post("/kill", &plain, &format!("token={token}"), &[]).status, 403);

    let token = inbox.get("/", cookie, &[]).field("/logout", "token");
    let out = inbox.post("/logout", cookie, &format!("token={token}"), &[]);
    assert_eq!((out.status, out.all("Set-Cookie").len()), (303, 2));
    assert_eq!(inbox.get("/", cookie, &[]).header("Location"), "/login", "logged out here too");
    assert_eq!(inbox.get("/", &plain, &[]).status, 200, "and nobody else");
}

/// Headers that every answer has, refusals too.
#[test]
fn headers_of_every_answer() {
    let world = World::new();
    let get = |path: &str| world.inbox.get(path, &world.cookie, &[]);
    let answers: Vec<Answer> = vec![
        get("/"),
        get("/requests/7"),
        get("/requests/9999"),
        get("/credentials"),
        get("/credentials/DB_PASSWORD"),
        get("/audit"),
        get("/kill"),
        get("/nowhere"),
        world.inbox.get("/login", "", &[]),
        world.inbox.get("/", "", &[]),
        world.inbox.get("/", &world.cookie, &[("Host", "evil.example")]),
        world.inbox.post("/kill", &world.cookie, "", &[]),
    ];
    for answer in &answers {
        let policy = answer.header("Content-Security-Policy");
        for part in [
            "default-src 'none'",
            "style-src 'sha256-",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("script-src") && !policy.contains("unsafe"));
        for (name, value) in [
            ("X-Frame-Options", "DENY"),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "same-origin"),
            ("Cache-Control", "no-store"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Content-Type", "text/html; charset=utf-8"),
            ("Access-Control-Allow-Origin", ""),
            ("Connection", "close"),
        ] {
            assert!(answer.header(name).eq_ignore_ascii_case(value), "{name} of {answer:?}");
        }
        for markup in ["<script", "javascript:", " onclick", " src=", "@import", "url("] {
            assert!(!answer.body.contains(markup), "{markup}");
        }
    }
    // Lists look again; forms would lose what was typed.
    let again: Vec<bool> = answers.iter().map(|a| !a.header("Refresh").is_empty()).collect();
    assert_eq!(again[..7], [true, false, false, true, false, true, false]);
}

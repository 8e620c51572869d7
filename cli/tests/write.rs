//! `strongroom write`, `strongroom read`, and the agent's `credentials`,
//! against a broker that does as it is told.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use strongroom_protocol::channel::a::{Answer, Known, Request, Spot, Values, Written};
use strongroom_protocol::codes::Code;
use strongroom_protocol::types::{
    ApprovalId, CredentialName, List, Name, PathBytes, Piece, Reason,
};
use support::{Broker, Peer, err, out, strongroom};

fn name(text: &str) -> CredentialName {
    CredentialName::new(text).unwrap()
}

/// Starts a verb with this on its standard input.
fn fed(command: &mut Command, input: &[u8]) -> Child {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    std::thread::spawn(move || stdin.write_all(&input));
    child
}

/// Takes all of a write: the request, and the bytes.
fn taken(peer: &mut Peer) -> (Request, Vec<u8>) {
    let request = peer.greet();
    let mut content = Vec::new();
    loop {
        match peer.next().unwrap() {
            Request::Content { bytes } => content.extend_from_slice(bytes.as_bytes()),
            Request::Commit => return (request, content),
            other => panic!("{other:?}"),
        }
    }
}

fn written(values: Values, names: &[&str]) -> Answer {
    Answer::Written {
        tag: 1,
        written: Box::new(Written {
            values,
            credentials: List::new(names.iter().map(|n| name(n)).collect()).unwrap(),
            near_misses: List::new(vec![(2, 5)]).unwrap(),
        }),
    }
}

fn finish(child: Child) -> (Option<i32>, String, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), out(&output), err(&output))
}

#[test]
fn a_file_goes_over_in_pieces() {
    let broker = Broker::new();
    let content: Vec<u8> = (0..100_000u32).map(|n| n.to_le_bytes()[0]).collect();
    let mut command = broker.verb("write");
    command.args(["a/.env", "--mode", "640", "--reason", "because", "--patience", "5s"]);
    let child = fed(&mut command, &content);
    let mut peer = broker.accept();
    let (request, got) = taken(&mut peer);
    assert_eq!(got, content);
    assert_eq!(
        request,
        Request::Write {
            tag: 1,
            path: PathBytes::new("a/.env").unwrap(),
            mode: Some(0o640),
            values: Values::Sealed,
            size: 100_000,
            reason: Some(Reason::new("because").unwrap()),
            patience_ms: Some(5_000),
        }
    );
    peer.send(&Answer::Waiting { tag: 1, approval: ApprovalId(7), left_ms: 1_500 }, &[]);
    peer.send(&written(Values::Sealed, &["A_KEY", "B"]), &[]);
    let (code, out, err) = finish(child);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(out, "a/.env: sealed, for commands that are granted A_KEY, B\n");
    let waiting = "strongroom: waiting for a human: approval 7, 1.5s left\n";
    let rest = err.strip_prefix(waiting).unwrap_or_else(|| panic!("{err}"));
    assert!(rest.starts_with("strongroom: a/.env:2:5: this looks like a placeholder"), "{err}");
}

#[test]
fn plain_and_empty_and_as_an_object() {
    let broker = Broker::new();
    let mut command = broker.verb("write");
    let child = fed(command.args(["--plain", "--json", "x"]), b"");
    let mut peer = broker.accept();
    let (request, content) = taken(&mut peer);
    assert!(matches!(request, Request::Write { values: Values::Plain, size: 0, mode: None, .. }));
    assert!(content.is_empty());
    peer.send(&written(Values::Plain, &[]), &[]);
    let (code, out, err) = finish(child);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(
        out,
        "{\"v\":1,\"path\":\"x\",\"values\":\"plain\",\"credentials\":[],\
         \"near_misses\":[{\"line\":2,\"column\":5}]}\n"
    );
}

#[test]
fn a_place_that_is_wrong_is_named_as_compilers_do() {
    let spot = Spot {
        key: Some(name("GITHUB_TOKEN")),
        line: 3,
        column: 7,
        context: Name::new("dotenv").unwrap(),
        what: Reason::new("no such filter").unwrap(),
    };
    let misplaced = Answer::Misplaced { tag: 1, code: Code::BadPlaceholder, spot: Box::new(spot) };
    for json in [false, true] {
        let broker = Broker::new();
        let mut command = broker.verb("write");
        command.arg(".env").args(json.then_some("--json"));
        let child = fed(&mut command, b"text");
        let mut peer = broker.accept();
        taken(&mut peer);
        peer.send(&misplaced, &[]);
        let (code, out, err) = finish(child);
        assert_eq!(code, Some(77), "{err}");
        if json {
            assert!(out.contains(r#""code":"SR135""#) && out.contains(r#""line":3,"column":7"#));
        } else {
            let want = "strongroom: SR135: .env:3:7: GITHUB_TOKEN: no such filter (dotenv)\n";
            assert!(err.starts_with(want) && out.is_empty(), "{err}");
        }
    }
}

#[test]
fn refusals_and_losses() {
    // Refused before all of it has come.
    let broker = Broker::new();
    let child = fed(broker.verb("write").arg("x"), &[b'x'; 200_000]);
    let mut peer = broker.accept();
    peer.greet();
    peer.send(&Answer::Refused { tag: 1, denial: Code::BadPath.into() }, &[]);
    drop(peer);
    let (code, _, err) = finish(child);
    assert!(matches!(code, Some(77 | 70)), "{err}");

    let broker = Broker::new();
    let child = fed(broker.verb("write").arg("x"), b"x");
    let mut peer = broker.accept();
    taken(&mut peer);
    drop(peer);
    let (code, _, err) = finish(child);
    assert_eq!(code, Some(70), "{err}");
    assert!(err.contains("SR601"), "{err}");

    let broker = Broker::new();
    let child = fed(broker.verb("write").arg("x"), &vec![0; 16 * 1024 * 1024 + 1]);
    let (code, _, err) = finish(child);
    assert_eq!(code, Some(77), "{err}");
    assert!(err.contains("SR130") && err.contains("over 16 MiB"), "{err}");
    for verb in
        [&["write", "x"][..], &["read", "x"], &["credentials", "request", "A", "--reason", "x"]]
    {
        let output = strongroom().args(verb).output().unwrap();
        assert_eq!(output.status.code(), Some(125), "{}", support::err(&output));
        assert!(support::err(&output).contains("SR503"));
    }
}

#[test]
fn a_sealed_file_reads_as_it_was_written() {
    let text =
        |bytes: &[u8], last| Answer::Text { tag: 1, bytes: Piece::new(bytes).unwrap(), last };
    for (json, want) in [
        (false, "A=${credentials.A}\nB\u{fffd}\n"),
        (
            true,
            "{\"v\":1,\"path\":\".env\",\"text\":\"A=${credentials.A}\\nB\u{fffd}\\n\",\
             \"text_base64\":\"QT0ke2NyZWRlbnRpYWxzLkF9CkL/Cg==\"}\n",
        ),
    ] {
        let broker = Broker::new();
        let child = broker.verb("read").arg(".env").args(json.then_some("--json")).spawn().unwrap();
        let mut peer = broker.accept();
        let path = PathBytes::new(".env").unwrap();
        assert_eq!(peer.greet(), Request::Read { tag: 1, path });
        peer.send(&text(b"A=${credentials.A}\n", false), &[]);
        peer.send(&text(b"B\xff\n", true), &[]);
        let (code, out, err) = finish(child);
        assert_eq!((code, out.as_str()), (Some(0), want), "{err}");
    }
    let broker = Broker::new();
    let child = broker.verb("read").arg("x").spawn().unwrap();
    let mut peer = broker.accept();
    peer.greet();
    peer.send(&Answer::Refused { tag: 1, denial: Code::NotSealed.into() }, &[]);
    let (code, _, err) = finish(child);
    assert_eq!(code, Some(77));
    assert!(err.contains("SR136"), "{err}");
}

fn known(text: &str) -> Known {
    Known {
        name: name(text),
        there: true,
        env: true,
        file: false,
        changed: 1,
        used: 0,
        asked: false,
    }
}

#[test]
fn an_agent_lists_all_pages() {
    let broker = Broker::new();
    let child = broker.verb("credentials").args(["list", "--json"]).spawn().unwrap();
    let mut peer = broker.accept();
    assert_eq!(peer.greet(), Request::Credentials { tag: 1, after: None });
    let page = |names: &[&str], more| Answer::Credentials {
        tag: 1,
        list: List::new(names.iter().map(|n| known(n)).collect()).unwrap(),
        more,
    };
    peer.send(&page(&["A", "B"], true), &[]);
    assert_eq!(peer.next(), Some(Request::Credentials { tag: 1, after: Some(name("B")) }));
    peer.send(&page(&["C"], false), &[]);
    let (code, out, err) = finish(child);
    assert_eq!(code, Some(0), "{err}");
    let object: serde_json::Value = serde_json::from_str(&out).unwrap();
    let names: Vec<&str> = object["credentials"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["A", "B", "C"]);

    // A broker that would have it ask without end.
    let broker = Broker::new();
    let child = broker.verb("credentials").arg("list").spawn().unwrap();
    let mut peer = broker.accept();
    peer.greet();
    peer.send(&page(&["A"], true), &[]);
    peer.next();
    peer.send(&page(&["A"], true), &[]);
    let (code, _, err) = finish(child);
    assert_eq!(code, Some(76), "{err}");
}

#[test]
fn an_agent_asks_for_what_a_human_decides() {
    let broker = Broker::new();
    let args = ["request", "A_KEY", "--reason", "to push"];
    let child = broker.verb("credentials").args(args).spawn().unwrap();
    let mut peer = broker.accept();
    let reason = Reason::new("to push").unwrap();
    assert_eq!(peer.greet(), Request::Ask { tag: 1, name: name("A_KEY"), reason: reason.clone() });
    peer.send(&Answer::Asked { tag: 1, request: 7 }, &[]);
    let (code, out, err) = finish(child);
    assert_eq!((code, out.as_str()), (Some(0), "request 7 waits for a human\n"), "{err}");
}

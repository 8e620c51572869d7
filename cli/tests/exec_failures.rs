//! `strongroom exec` where the broker is lost, lies or is not there.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs::File;
use std::io::Write;
use std::process::{Child, Output};

use strongroom_protocol::channel::a::{Answer, Outcome};
use strongroom_protocol::codes::Code;
use strongroom_protocol::types::ReqId;
use support::{Broker, ID, Peer, report, strongroom};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn finish(child: Child) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code(), text(&stdout), text(&stderr))
}

#[test]
fn a_broker_that_is_lost() {
    // Before the start, and after it.
    let broker = Broker::new();
    let child = broker.exec(&["--", "x"]).spawn().unwrap();
    drop(broker.accept());
    let (code, _, err) = finish(child);
    assert_eq!(code, Some(70), "{err}");
    assert!(err.contains("SR601"), "{err}");

    let broker = Broker::new();
    let child = broker.exec(&["--", "x"]).spawn().unwrap();
    let mut peer = broker.accept();
    let (_, streams) = peer.start();
    File::from(streams.stdout).write_all(b"so far").unwrap();
    drop((peer, streams.stdin, streams.stderr));
    let (code, out, err) = finish(child);
    assert_eq!((code, out.as_str()), (Some(70), "so far"), "{err}");
}

#[test]
fn a_broker_that_breaks_the_protocol() {
    type Act = fn(&Peer);
    let acts: [Act; 6] = [
        |peer| peer.send_raw(b"xx"),
        |peer| peer.send_raw(&[9, 0, 0, 0]),
        |peer| peer.send_raw(&vec![0; 65 * 1024]),
        |peer| {
            peer.send(
                &Answer::Exited { id: ReqId(1), report: Box::new(report(Outcome::Exited(0))) },
                &[],
            )
        },
        |peer| peer.send(&Answer::Started { tag: 1, id: ID }, &[]),
        |peer| {
            peer.send(
                &Answer::NoSuchCommand { id: ID, code: Code::UnknownCommand },
                &[peer.socket.try_clone().unwrap()],
            )
        },
    ];
    for (i, act) in acts.iter().enumerate() {
        let broker = Broker::new();
        let child = broker.exec(&["--", "x"]).spawn().unwrap();
        let mut peer = broker.accept();
        peer.greet();
        act(&peer);
        let (code, _, err) = finish(child);
        assert_eq!(code, Some(76), "{i}: {err}");
        assert!(err.contains("SR501"), "{i}: {err}");
    }
}

#[test]
fn another_version_is_refused() {
    let broker = Broker::new();
    let child = broker.exec(&["--", "x"]).spawn().unwrap();
    let mut peer = broker.accept();
    peer.next();
    peer.send(&Answer::Refused { tag: 0, denial: Code::Version.into() }, &[]);
    let (code, _, err) = finish(child);
    assert_eq!(code, Some(76));
    assert!(err.contains("SR502"), "{err}");
}

#[test]
fn a_request_that_is_too_big() {
    let broker = Broker::new();
    let long = "x".repeat(61 * 1024);
    let half = "x".repeat(40 * 1024);
    for args in [vec!["--", "x", &long], vec!["--", "x", &half, &half]] {
        let child = broker.exec(&args).spawn().unwrap();
        let (code, _, err) = finish(child);
        assert_eq!(code, Some(77));
        assert!(err.contains("SR130"), "{err}");
    }
}

#[test]
fn no_session() {
    for socket in [None, Some("/nonexistent/a.sock"), Some("")] {
        let mut command = strongroom();
        command.args(["exec", "--json", "--", "x"]);
        if let Some(socket) = socket {
            command.env("STRONGROOM_SOCKET", socket).env("STRONGROOM_FD", "1");
        }
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(125), "{output:?}");
        assert!(
            text(&output.stdout).starts_with("{\"v\":1,\"error\":{\"code\":\"SR503\""),
            "{output:?}"
        );
    }
}

//! `strongroom exec` against a broker that does as it is told.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use strongroom_protocol::channel::a::{Answer, Denial, Outcome, Request};
use strongroom_protocol::codes::Code;
use strongroom_protocol::types::{List, PathBytes, Reason};
use support::{Broker, ID, Peer, report, strongroom};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn finish(child: Child) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code(), text(&stdout), text(&stderr))
}

fn raise(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

#[test]
fn a_whole_request_and_its_streams() {
    let broker = Broker::new();
    let args = [
        "--rule",
        "build",
        "--cwd",
        "sub/dir",
        "--timeout",
        "1500ms",
        "--cred",
        "A_KEY",
        "--cred",
        "B",
        "--reason",
        "be cause",
        "--",
        "prog",
        "--json",
        "",
    ];
    let mut child = broker.exec(&args).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"question").unwrap();
    let mut peer = broker.accept();
    let (request, streams) = peer.start();
    let Request::Exec { argv, cwd, rule, timeout_ms, credentials, reason, .. } = request else {
        panic!()
    };
    let words: Vec<&[u8]> = argv.as_slice().iter().map(|a| a.as_bytes()).collect();
    assert_eq!(words, [&b"prog"[..], b"--json", b""]);
    assert_eq!(cwd, Some(PathBytes::new("sub/dir").unwrap()));
    assert_eq!(rule.unwrap().as_str(), "build");
    assert_eq!(timeout_ms, Some(1500));
    assert_eq!(
        credentials.as_slice().iter().map(|c| c.display()).collect::<Vec<_>>(),
        ["A_KEY", "B"]
    );
    assert_eq!(reason, Some(Reason::new("be cause").unwrap()));

    let mut question = String::new();
    File::from(streams.stdin).read_to_string(&mut question).unwrap();
    assert_eq!(question, "question", "and then the end");
    File::from(streams.stdout).write_all(b"answer").unwrap();
    File::from(streams.stderr).write_all(b"complaint").unwrap();
    peer.end(Outcome::Exited(3));
    assert_eq!(finish(child), (Some(3), "answer".to_owned(), "complaint".to_owned()));
}

#[test]
fn output_after_the_end_is_not_lost() {
    let broker = Broker::new();
    let child = broker.exec(&["--", "x"]).spawn().unwrap();
    let mut peer = broker.accept();
    let (_, streams) = peer.start();
    peer.end(Outcome::Signalled(15));
    std::thread::sleep(Duration::from_millis(50));
    let big = vec![b'x'; 300_000];
    let writer = std::thread::spawn({
        let big = big.clone();
        move || File::from(streams.stdout).write_all(&big).unwrap()
    });
    drop(streams.stderr);
    let (code, stdout, _) = finish(child);
    writer.join().unwrap();
    assert_eq!((code, stdout.len()), (Some(143), big.len()));
}

#[test]
fn a_slow_reader_of_one_stream_does_not_hold_the_other() {
    let broker = Broker::new();
    let mut child = broker.exec(&["--", "x"]).spawn().unwrap();
    let mut peer = broker.accept();
    let (_, streams) = peer.start();
    let (mut out, mut err) = (File::from(streams.stdout), File::from(streams.stderr));
    // More than every pipe on the way holds, and nobody reads it yet.
    let writer = std::thread::spawn(move || out.write_all(&[b'o'; 500_000]).unwrap());
    err.write_all(b"still heard").unwrap();
    drop(err);
    let mut heard = [0; 11];
    child.stderr.take().unwrap().read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"still heard");
    peer.end(Outcome::Exited(0));
    let (code, stdout, _) = finish(child);
    writer.join().unwrap();
    assert_eq!((code, stdout.len()), (Some(0), 500_000));
}

#[test]
fn a_reader_that_leaves_is_passed_on() {
    let broker = Broker::new();
    let mut child = broker.exec(&["--", "yes"]).spawn().unwrap();
    drop(child.stdout.take());
    let mut peer = broker.accept();
    let (_, streams) = peer.start();
    let mut out = File::from(streams.stdout);
    let deadline = Instant::now() + Duration::from_secs(10);
    let broke = loop {
        match out.write_all(&[b'y'; 4096]) {
            Ok(()) => assert!(Instant::now() < deadline, "the command is never told"),
            Err(e) => break e,
        }
    };
    assert_eq!(broke.kind(), std::io::ErrorKind::BrokenPipe);
    drop((out, streams.stderr));
    peer.end(Outcome::Signalled(13));
    assert_eq!(finish(child).0, Some(141));
}

#[test]
fn standard_streams_may_be_closed() {
    let broker = Broker::new();
    let socket = broker.path.to_str().unwrap();
    let line = format!("exec {} exec -- x <&- 2>&-", env!("CARGO_BIN_EXE_strongroom"));
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &line]).env("STRONGROOM_SOCKET", socket).stdout(Stdio::piped());
    let child = shell.spawn().unwrap();
    let mut peer = broker.accept();
    let (_, streams) = peer.start();
    let mut nothing = Vec::new();
    File::from(streams.stdin).read_to_end(&mut nothing).unwrap();
    assert!(nothing.is_empty());
    File::from(streams.stdout).write_all(b"out").unwrap();
    drop(streams.stderr);
    peer.end(Outcome::Exited(0));
    assert_eq!(finish(child), (Some(0), "out".to_owned(), String::new()));
}

#[test]
fn a_silent_input_does_not_keep_the_client() {
    let broker = Broker::new();
    let mut child = broker.exec(&["--", "x"]).stdin(Stdio::piped()).spawn().unwrap();
    let held = child.stdin.take();
    let mut peer = broker.accept();
    let (_, streams) = peer.start();
    drop(streams);
    peer.end(Outcome::Exited(0));
    assert_eq!(finish(child).0, Some(0));
    drop(held);
}

#[test]
fn signals_are_passed_on() {
    let broker = Broker::new();
    let child = broker.exec(&["--", "x"]).spawn().unwrap();
    let mut peer = broker.accept();
    let (_, streams) = peer.start();
    for signal in [Signal::SIGUSR1, Signal::SIGINT, Signal::SIGHUP, Signal::SIGTERM] {
        // The client takes signals over when it starts, not at a known time.
        std::thread::sleep(Duration::from_millis(50));
        raise(&child, signal);
        let Some(Request::Signal { id, signal: got }) = peer.next() else { panic!("{signal}") };
        assert_eq!((id, got.number()), (ID, signal as i32));
    }
    peer.send(&Answer::NoSuchCommand { id: ID, code: Code::UnknownCommand }, &[]);
    drop(streams);
    peer.end(Outcome::Signalled(15));
    assert_eq!(finish(child).0, Some(143));
}

#[test]
fn a_storm_of_signals_stays_within_the_budget() {
    let broker = Broker::new();
    let child = broker.exec(&["--", "x"]).spawn().unwrap();
    let mut peer = broker.accept();
    let (_, streams) = peer.start();
    std::thread::sleep(Duration::from_millis(50));
    let end = Instant::now() + Duration::from_millis(500);
    while Instant::now() < end {
        raise(&child, Signal::SIGWINCH);
    }
    drop(streams);
    peer.end(Outcome::Exited(0));
    assert_eq!(finish(child).0, Some(0));
    let mut count = 0;
    while let Some(request) = peer.next() {
        assert!(matches!(request, Request::Signal { .. }));
        count += 1;
    }
    assert!((2..=100).contains(&count), "{count} in half a second; 200 a second are allowed");
}

#[test]
fn a_stop_stops_both() {
    let broker = Broker::new();
    let child = broker.exec(&["--", "x"]).spawn().unwrap();
    let mut peer = broker.accept();
    let (_, streams) = peer.start();
    std::thread::sleep(Duration::from_millis(50));
    raise(&child, Signal::SIGTSTP);
    let Some(Request::Signal { signal, .. }) = peer.next() else { panic!() };
    assert_eq!(signal.number(), Signal::SIGSTOP as i32);
    raise(&child, Signal::SIGCONT);
    let Some(Request::Signal { signal, .. }) = peer.next() else { panic!() };
    assert_eq!(signal.number(), Signal::SIGCONT as i32);
    drop(streams);
    peer.end(Outcome::Exited(0));
    assert_eq!(finish(child).0, Some(0));
}

#[test]
fn a_signal_before_the_start_ends_the_wait() {
    let broker = Broker::new();
    let child = broker.exec(&["--", "x"]).spawn().unwrap();
    let mut peer = broker.accept();
    peer.greet();
    std::thread::sleep(Duration::from_millis(50));
    raise(&child, Signal::SIGTERM);
    assert_eq!(finish(child).0, Some(143));
}

#[test]
fn what_was_ignored_stays_ignored() {
    let broker = Broker::new();
    let line = format!("trap '' HUP; exec {} exec -- x", env!("CARGO_BIN_EXE_strongroom"));
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &line]).env("STRONGROOM_SOCKET", &broker.path).stdin(Stdio::null());
    let child = shell.spawn().unwrap();
    let mut peer = broker.accept();
    let (_, streams) = peer.start();
    std::thread::sleep(Duration::from_millis(50));
    raise(&child, Signal::SIGHUP);
    std::thread::sleep(Duration::from_millis(50));
    raise(&child, Signal::SIGUSR1);
    let Some(Request::Signal { signal, .. }) = peer.next() else { panic!() };
    assert_eq!(signal.number(), Signal::SIGUSR1 as i32);
    drop(streams);
    peer.end(Outcome::Exited(0));
    assert_eq!(finish(child).0, Some(0));
}

#[test]
fn refusals() {
    for (json, want_out, want_err) in [
        (false, "", "strongroom: SR101: policy refuses this command\n  why: no\n  instead: "),
        (
            true,
            "{\"v\":1,\"denied\":{\"code\":\"SR101\",\"what\":\"policy refuses this command\",\"instead\":",
            "",
        ),
    ] {
        let broker = Broker::new();
        let args: &[&str] = if json { &["--json", "--", "x"] } else { &["--", "x"] };
        let child = broker.exec(args).spawn().unwrap();
        let mut peer = broker.accept();
        let Request::Exec { tag, .. } = peer.greet() else { panic!() };
        let denial = Denial { code: Code::RuleDenies, why: Some(Reason::new("no").unwrap()) };
        peer.send(&Answer::Refused { tag, denial }, &[]);
        let (code, out, err) = finish(child);
        assert_eq!(code, Some(77));
        assert!(out.starts_with(want_out) && err.starts_with(want_err), "{out}{err}");
        assert!(out.is_empty() != err.is_empty(), "one of the two: {out}{err}");
    }
}

#[test]
fn notices_and_json_of_an_end() {
    for json in [false, true] {
        let broker = Broker::new();
        let args: &[&str] = if json { &["--json", "--", "x"] } else { &["--", "x"] };
        let child = broker.exec(args).spawn().unwrap();
        let mut peer = broker.accept();
        let (_, streams) = peer.start();
        File::from(streams.stdout).write_all(&[b'a', 0xff]).unwrap();
        drop(streams.stderr);
        let mut report = report(Outcome::Ended(Code::WallTime));
        report.output_cut = true;
        report.protected = List::new(vec![PathBytes::new(".git/hooks").unwrap()]).unwrap();
        peer.send(&Answer::Exited { id: ID, report: Box::new(report) }, &[]);
        let (code, out, err) = finish(child);
        assert_eq!(code, Some(124));
        if json {
            assert!(err.is_empty(), "{err}");
            assert!(out.contains(r#""exit":124,"signal":null,"code":"SR201""#), "{out}");
            assert!(
                out.contains(r#""stdout_base64":"Yf8=""#) && out.contains(r#""output_cut":true"#),
                "{out}"
            );
        } else {
            assert!(
                err.contains("SR201") && err.contains("SR205") && err.contains("names: .git/hooks"),
                "{err}"
            );
        }
    }
}

#[test]
fn the_inherited_connection_is_the_second_choice() {
    let (ours, theirs) = strongroom_sys::packet::pair().unwrap();
    strongroom_sys::fd::set_nonblocking(std::os::fd::AsFd::as_fd(&ours)).unwrap();
    // A number the shell can name; it keeps what it inherits.
    let number = theirs.as_raw_fd();
    nix::fcntl::fcntl(&theirs, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    let mut command = strongroom();
    command
        .args(["exec", "--", "x"])
        .env("STRONGROOM_FD", number.to_string())
        .stdout(Stdio::piped());
    let child = command.spawn().unwrap();
    drop(theirs);
    let mut peer = Peer::new(ours);
    let (_, streams) = peer.start();
    drop(streams);
    peer.end(Outcome::Exited(9));
    let status = child.wait_with_output().unwrap().status;
    assert_eq!((status.code(), status.signal()), (Some(9), None));
}

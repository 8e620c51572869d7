//! A command's life, against a broker that the test plays.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::thread::{JoinHandle, spawn};

use strongroom_client::run::{Event, Stream, remote, run};
use strongroom_client::{Error, Line, Lost, Port};
use strongroom_protocol::channel::a::{
    Answer, Denial, FromAgent, Outcome, Report, Request, ToAgent, Usage,
};
use strongroom_protocol::codec;
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan;
use strongroom_protocol::receipt::Tier;
use strongroom_protocol::types::{ApprovalId, Arg, Argv, List, ReqId, SignalNo};
use strongroom_sys::{fd, packet};

const ID: ReqId = ReqId(7);

/// The broker's end.
struct Broker(Port<FromAgent, ToAgent>, OwnedFd);

impl Broker {
    fn next(&mut self) -> Result<Request, Lost> {
        self.0.receive().map(|(request, _)| request)
    }

    fn say(&self, answer: &Answer, fds: &[OwnedFd]) {
        let fds: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
        packet::send(self.1.as_fd(), &codec::encode(answer).unwrap(), &fds).unwrap();
    }

    /// Says hello and takes the request for a command.
    fn greet(&mut self) {
        assert!(matches!(self.next(), Ok(Request::Hello { version: plan::VERSION })));
        self.say(&Answer::Welcome { version: plan::VERSION, tier: Tier::Full }, &[]);
        assert!(matches!(self.next(), Ok(Request::Exec { .. })));
    }

    /// Starts the command; its ends of the three pipes.
    fn start(&mut self) -> [std::fs::File; 3] {
        let (stdin, to) = fd::pipe().unwrap();
        let (from, stdout) = fd::pipe().unwrap();
        let (errors, stderr) = fd::pipe().unwrap();
        self.say(&Answer::Started { tag: 1, id: ID }, &[to, from, errors]);
        [stdin.into(), stdout.into(), stderr.into()]
    }

    fn end(&self, outcome: Outcome) {
        let report = Box::new(report(outcome));
        self.say(&Answer::Exited { id: ID, report }, &[]);
    }
}

fn report(outcome: Outcome) -> Report {
    Report {
        outcome,
        usage: Usage::default(),
        stdout_bytes: 0,
        stderr_bytes: 0,
        output_cut: false,
        protected: List::empty(),
        masked: 0,
        withheld: false,
        receipt: None,
    }
}

fn exec() -> Request {
    Request::Exec {
        tag: 1,
        argv: Argv::new(vec![Arg::new("x").unwrap()]).unwrap(),
        cwd: None,
        rule: None,
        timeout_ms: None,
        credentials: List::empty(),
        reason: None,
        patience_ms: None,
    }
}

fn session(play: impl FnOnce(Broker) + Send + 'static) -> (Line, JoinHandle<()>) {
    let (ours, theirs) = packet::pair().unwrap();
    let copy = theirs.try_clone().unwrap();
    let broker = spawn(move || play(Broker(Port::new(theirs), copy)));
    (Line::over(ours).unwrap(), broker)
}

#[test]
fn streams_both_ways() {
    let (line, broker) = session(|mut broker| {
        broker.greet();
        let [mut stdin, mut stdout, stderr] = broker.start();
        let mut got = Vec::new();
        stdin.read_to_end(&mut got).unwrap();
        assert_eq!(got.len(), 300_000, "more than a pipe holds, and then the end");
        // What came before the end is passed on though the end is known.
        broker.end(Outcome::Exited(3));
        stdout.write_all(&got).unwrap();
        drop((stdout, stderr));
    });
    let (remote, steering) = remote().unwrap();
    remote.input(1, vec![b'a'; 299_999]);
    remote.input(2, vec![b'z']);
    remote.close();
    let (mut output, mut taken, mut started) = (Vec::new(), Vec::new(), None);
    let report = run(line, &exec(), steering, &mut |event| match event {
        Event::Output(stream, bytes) => {
            assert_eq!(stream, Stream::Stdout);
            output.extend_from_slice(bytes);
        }
        Event::Taken(ticket) => taken.push(ticket),
        Event::Started(id) => started = Some(id),
        Event::Waiting(..) => panic!("nobody is asked"),
    });
    broker.join().unwrap();
    assert_eq!(report.unwrap().outcome, Outcome::Exited(3));
    assert_eq!((started, taken), (Some(ID), vec![1, 2]));
    assert_eq!((output.len(), output.last()), (300_000, Some(&b'z')));
}

#[test]
fn input_of_a_command_that_ended_is_told_of() {
    let (line, broker) = session(|mut broker| {
        broker.greet();
        drop(broker.start());
        broker.end(Outcome::Exited(0));
    });
    let (remote, steering) = remote().unwrap();
    remote.input(9, vec![0; 1 << 20]);
    let mut taken = Vec::new();
    let report = run(line, &exec(), steering, &mut |event| {
        if let Event::Taken(ticket) = event {
            taken.push(ticket);
        }
    });
    broker.join().unwrap();
    assert!(report.is_ok());
    assert_eq!(taken, [9]);
    remote.input(10, vec![1]);
    remote.cancel();
}

#[test]
fn cancelled_while_it_runs_it_is_killed_and_its_end_awaited() {
    let (line, broker) = session(|mut broker| {
        broker.greet();
        let pipes = broker.start();
        let Ok(Request::Signal { id: ID, signal }) = broker.next() else { panic!("no signal") };
        assert_eq!(signal.number(), 9);
        drop(pipes);
        broker.end(Outcome::Signalled(9));
    });
    let (remote, steering) = remote().unwrap();
    let report = run(line, &exec(), steering, &mut |event| {
        if let Event::Started(_) = event {
            remote.cancel();
        }
    });
    broker.join().unwrap();
    assert_eq!(report.unwrap().outcome, Outcome::Signalled(9));
}

#[test]
fn a_signal_before_the_start_is_sent_after_it() {
    let (remote, steering) = remote().unwrap();
    remote.signal(SignalNo::new(15).unwrap());
    let (line, broker) = session(|mut broker| {
        broker.greet();
        let pipes = broker.start();
        let Ok(Request::Signal { id: ID, signal }) = broker.next() else { panic!("no signal") };
        assert_eq!(signal.number(), 15);
        drop(pipes);
        broker.end(Outcome::Signalled(15));
    });
    let report = run(line, &exec(), steering, &mut |_| {});
    broker.join().unwrap();
    assert_eq!(report.unwrap().outcome, Outcome::Signalled(15));
}

#[test]
fn cancelled_while_a_human_is_asked_the_connection_ends() {
    let (remote, steering) = remote().unwrap();
    let (line, broker) = session(move |mut broker| {
        broker.greet();
        for left_ms in [9, 8] {
            broker.say(&Answer::Waiting { tag: 1, approval: ApprovalId(4), left_ms }, &[]);
        }
        remote.cancel();
        assert_eq!(broker.next(), Err(Lost::Closed));
    });
    let mut heard = Vec::new();
    let ended = run(line, &exec(), steering, &mut |event| {
        if let Event::Waiting(id, left_ms) = event {
            heard.push((id.0, left_ms));
        }
    });
    assert_eq!(ended.unwrap_err().code(), Code::ClientGone);
    broker.join().unwrap();
    assert!(heard.is_empty() || heard == [(4, 9)], "at most once: {heard:?}");
}

#[test]
fn refusals_and_losses() {
    let (line, broker) = session(|mut broker| {
        broker.greet();
        broker.say(&Answer::Refused { tag: 1, denial: Code::RuleDenies.into() }, &[]);
    });
    let (_remote, steering) = remote().unwrap();
    let ended = run(line, &exec(), steering, &mut |_| {});
    assert_eq!(ended, Err(Error::Refused(Denial::from(Code::RuleDenies))));
    broker.join().unwrap();

    let (line, broker) = session(|mut broker| {
        broker.greet();
        let [_, mut stdout, _] = broker.start();
        stdout.write_all(b"last words").unwrap();
    });
    let (_remote, steering) = strongroom_client::run::remote().unwrap();
    let mut output = Vec::new();
    let ended = run(line, &exec(), steering, &mut |event| {
        if let Event::Output(_, bytes) = event {
            output.extend_from_slice(bytes);
        }
    });
    broker.join().unwrap();
    assert_eq!((ended, output.as_slice()), (Err(Error::Lost(Lost::Closed)), &b"last words"[..]));
}

#[test]
fn a_conversation_is_ended_from_another_thread() {
    let (mut line, broker) = session(|mut broker| {
        assert!(broker.next().is_ok());
        assert!(matches!(broker.next(), Ok(Request::Read { .. })));
        assert_eq!(broker.next(), Err(Lost::Closed));
    });
    let hangup = line.hangup().unwrap();
    let path = strongroom_protocol::types::PathBytes::new("x").unwrap();
    let asking = spawn(move || line.read(path));
    std::thread::sleep(std::time::Duration::from_millis(50));
    hangup.now();
    assert_eq!(asking.join().unwrap(), Err(Error::Lost(Lost::Closed)));
    broker.join().unwrap();
}

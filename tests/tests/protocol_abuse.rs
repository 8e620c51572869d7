//! Channel A and channel O under a hostile client (attacks.md 2.7). After
//! each abuse the broker is the same process, and serves.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use strongroom_protocol::channel::a::{Answer, FromAgent, Request, ToAgent};
use strongroom_protocol::channel::o::{Order, Reply, TOKEN};
use strongroom_protocol::channel::{Direction, Gate};
use strongroom_protocol::plan::VERSION;
use strongroom_protocol::types::{Arg, Argv, List, ReqId, SignalNo};
use strongroom_protocol::{codec, limits::MAX_PACKET};
use strongroom_sys::{fd, packet};
use strongroom_tests::{Place, Session, eventually, places};

/// A raw connection.
struct Peer {
    socket: OwnedFd,
    gate: Gate<ToAgent>,
}

impl Peer {
    fn new(session: &Session) -> Self {
        let socket = packet::connect(&agents(session)).unwrap();
        Self { socket, gate: Gate::new() }
    }

    fn greeted(session: &Session) -> Self {
        let mut peer = Self::new(session);
        peer.say(&Request::Hello { version: VERSION });
        assert!(matches!(peer.hear(), Some(Answer::Welcome { .. })));
        peer
    }

    fn say(&self, request: &Request) {
        self.send(&codec::encode(request).unwrap(), &[]);
    }

    /// The broker may have closed already: that is an answer, too.
    fn send(&self, bytes: &[u8], fds: &[&OwnedFd]) {
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let _ = packet::send(self.socket.as_fd(), bytes, &fds);
    }

    fn readable(&self) -> bool {
        use nix::poll::{PollFd, PollFlags, poll};
        let mut polled = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        poll(&mut polled, 2000u16).unwrap() > 0
    }

    /// The next answer; `None` when the connection is closed.
    fn hear(&mut self) -> Option<Answer> {
        assert!(self.readable(), "neither an answer nor a close");
        let mut buffer = vec![0; MAX_PACKET];
        let packet = packet::receive(self.socket.as_fd(), &mut buffer).ok()?;
        if packet.len == 0 {
            return None;
        }
        Some(self.gate.admit(&buffer[..packet.len], packet.fds.len(), 0).unwrap())
    }

    /// Fails unless the broker closes the connection, whatever it says first.
    #[track_caller]
    fn ends(mut self, what: &str) {
        for _ in 0..4 {
            match self.hear() {
                None => return,
                Some(Answer::Refused { .. } | Answer::Welcome { .. }) => {}
                Some(other) => panic!("{what}: {other:?}"),
            }
        }
        panic!("{what}: not closed");
    }
}

fn agents(session: &Session) -> PathBuf {
    session.state.join("run/agent.sock")
}

fn exec(words: &[&str]) -> Request {
    let words = words.iter().map(|w| Arg::new(*w).unwrap()).collect();
    Request::Exec {
        tag: 7,
        argv: Argv::new(words).unwrap(),
        cwd: None,
        rule: None,
        timeout_ms: None,
        credentials: List::empty(),
        reason: None,
        patience_ms: None,
    }
}

/// A session, and its broker.
fn session(place: Place) -> (Session, i32) {
    let session = Session::new(place);
    let broker = session.process("strongroom-broker").unwrap().pid;
    (session, broker)
}

/// Fails unless the same broker serves.
#[track_caller]
fn serves(session: &Session, broker: i32) {
    assert_eq!(session.process("strongroom-broker").unwrap().pid, broker);
    session.exec(&["true"]).ok();
}

fn violations(session: &Session) -> usize {
    session.audit().iter().filter(|l| l["event"] == "violation").count()
}

places! {
    /// B06, B21: order and versions.
    all fn out_of_state(place) {
        let (session, broker) = session(place);
        let peer = Peer::new(&session);
        peer.say(&exec(&["touch", "before-hello"]));
        peer.ends("exec before hello");
        let peer = Peer::greeted(&session);
        peer.say(&Request::Hello { version: VERSION });
        peer.ends("hello twice");
        for version in [0, VERSION + 1, u16::MAX] {
            let peer = Peer::new(&session);
            peer.say(&Request::Hello { version });
            peer.ends("another version");
        }
        let peer = Peer::new(&session);
        peer.say(&Request::Signal { id: ReqId(1), signal: SignalNo::new(9).unwrap() });
        peer.ends("signal before hello");
        assert!(!session.ws.join("before-hello").exists());
        assert!(eventually(Duration::from_secs(1), || violations(&session) >= 3), "{:#?}", session.audit());
        serves(&session, broker);
    }

    /// B01, B02, B04: truncated, lengthened, flipped and random packets.
    all within 30 fn malformed(place) {
        let (session, broker) = session(place);
        let whole = codec::encode(&exec(&["touch", "malformed"])).unwrap();
        for cut in (0..whole.len()).step_by(3) {
            let peer = Peer::greeted(&session);
            peer.send(&whole[..cut.max(1)], &[]);
            peer.ends("a cut packet");
        }
        let peer = Peer::greeted(&session);
        peer.send(&[&whole[..], b"x"].concat(), &[]);
        peer.ends("a trailing byte");
        for tag in [3u32, 4, 99, u32::MAX] {
            let peer = Peer::greeted(&session);
            peer.send(&[&tag.to_le_bytes()[..], &[0; 40]].concat(), &[]);
            peer.ends("an unknown kind");
        }
        // Lengths that would be a lot of memory.
        for at in [8, 16] {
            let mut bomb = whole.clone();
            bomb[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
            let peer = Peer::greeted(&session);
            peer.send(&bomb, &[]);
            peer.ends("a huge length");
        }
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..60 {
            let mut noise = vec![0; (state % 300 + 1) as usize];
            for byte in &mut noise {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                *byte = state as u8;
            }
            let peer = if state.is_multiple_of(2) { Peer::new(&session) } else { Peer::greeted(&session) };
            peer.send(&noise, &[]);
            peer.ends("noise");
        }
        assert!(!session.ws.join("malformed").exists());
        serves(&session, broker);
    }

    /// B09, S08: descriptors where none belong are refused and closed.
    all fn descriptors(place) {
        let (session, broker) = session(place);
        let count = || std::fs::read_dir(format!("/proc/{broker}/fd")).unwrap().count();
        let before = count();
        let (ours, theirs) = fd::pipe().unwrap();
        let hello = codec::encode(&Request::Hello { version: VERSION }).unwrap();
        for fds in [vec![&theirs], vec![&theirs; 5], vec![&theirs; 9]] {
            let peer = Peer::new(&session);
            peer.send(&hello, &fds);
            peer.ends("descriptors with hello");
            let peer = Peer::greeted(&session);
            peer.send(&codec::encode(&exec(&["touch", "with-fds"])).unwrap(), &fds);
            peer.ends("descriptors with exec");
        }
        let peer = Peer::new(&session);
        peer.send(b"", &[&theirs]);
        drop(peer);
        drop(theirs);
        // All copies are closed: the pipe is at its end.
        assert!(
            eventually(Duration::from_secs(2), || {
                fd::set_nonblocking(ours.as_fd()).unwrap();
                nix::unistd::read(&ours, &mut [0; 1]) == Ok(0)
            }),
            "a descriptor was kept"
        );
        assert!(eventually(Duration::from_secs(2), || count() <= before), "{} were {before}", count());
        assert!(!session.ws.join("with-fds").exists());
        serves(&session, broker);
    }

    /// B14: another connection's command is as unknown as none.
    all fn others_commands(place) {
        let (session, broker) = session(place);
        let job = session.spawn(&[], &["sleep", "1.75"], b"");
        session.until_runs("1.75");
        let mut peer = Peer::greeted(&session);
        let mut answers = Vec::new();
        for id in [1, 2, 9999, u64::MAX] {
            peer.say(&Request::Signal { id: ReqId(id), signal: SignalNo::new(9).unwrap() });
            match peer.hear() {
                Some(Answer::NoSuchCommand { id: said, code }) => answers.push((said == ReqId(id), code)),
                other => panic!("{other:?}"),
            }
        }
        assert!(answers.iter().all(|a| *a == answers[0] && a.0), "{answers:?}");
        session.wait(&job).ok();
        serves(&session, broker);
    }

    /// B13: messages of another channel, and the operator's without a token.
    all fn other_channels(place) {
        let (session, broker) = session(place);
        let peer = Peer::new(&session);
        peer.send(&codec::encode(&Order::Hello { version: VERSION, token: [0; TOKEN] }).unwrap(), &[]);
        peer.ends("an operator's hello");
        let operators = session.state.join("run/operator.sock");
        for token in [[0; TOKEN], [0xff; TOKEN]] {
            let socket = packet::connect(&operators).unwrap();
            packet::send(socket.as_fd(), &codec::encode(&Order::Hello { version: VERSION, token }).unwrap(), &[])
                .unwrap();
            let mut buffer = [0; 1024];
            let packet = packet::receive(socket.as_fd(), &mut buffer).unwrap();
            let reply: Reply = codec::decode(&buffer[..packet.len]).unwrap();
            assert!(matches!(reply, Reply::Refused { .. }), "{reply:?}");
        }
        let socket = packet::connect(&operators).unwrap();
        packet::send(socket.as_fd(), &codec::encode(&Order::KillAll).unwrap(), &[]).unwrap();
        let packet = packet::receive(socket.as_fd(), &mut [0; 1024]);
        assert!(packet.is_err() || packet.is_ok_and(|p| p.len == 0));
        serves(&session, broker);
    }

    /// B03: idle and dropped connections keep nobody out for long.
    all within 20 fn idle_connections(place) {
        let (session, broker) = session(place);
        let idle: Vec<_> = (0..200).filter_map(|_| packet::connect(&agents(&session)).ok()).collect();
        assert!(idle.len() > 100);
        let served = || session.exec(&["true"]).exit == 0;
        assert!(eventually(Duration::from_secs(8), served), "kept out");
        drop(idle);
        for _ in 0..300 {
            let peer = Peer::new(&session);
            peer.say(&Request::Hello { version: VERSION });
        }
        assert!(eventually(Duration::from_secs(8), served), "kept out");
        serves(&session, broker);
    }

    /// B24: a command is ended exactly once, however many want its end.
    all within 20 fn one_end(place) {
        let (session, broker) = session(place);
        for round in 0..15 {
            let mut peer = Peer::greeted(&session);
            peer.say(&exec(&["sleep", "0.02"]));
            let Some(Answer::Started { id, .. }) = peer.hear() else { panic!("not started") };
            std::thread::sleep(Duration::from_millis(round * 2));
            for _ in 0..20 {
                peer.say(&Request::Signal { id, signal: SignalNo::new(9).unwrap() });
            }
            let mut ends = 0;
            while ends == 0 {
                match peer.hear() {
                    Some(Answer::Exited { .. }) => ends += 1,
                    Some(Answer::NoSuchCommand { .. }) => {}
                    other => panic!("{other:?}"),
                }
            }
            peer.say(&Request::Hello { version: VERSION });
            peer.ends_after_its_command();
        }
        serves(&session, broker);
    }

    /// The tables' own tags are the wire's.
    all fn every_tag(place) {
        let (session, broker) = session(place);
        let known: Vec<u32> = FromAgent::TABLE.iter().map(|row| row.tag).collect();
        for tag in (0..40).filter(|tag| !known.contains(tag)) {
            let peer = Peer::greeted(&session);
            peer.send(&tag.to_le_bytes(), &[]);
            peer.ends("a tag of nobody");
        }
        serves(&session, broker);
    }
}

impl Peer {
    /// As [`Self::ends`], past answers to signals that came too late.
    #[track_caller]
    fn ends_after_its_command(mut self) {
        for _ in 0..64 {
            match self.hear() {
                None => return,
                Some(Answer::NoSuchCommand { .. }) => {}
                Some(other) => panic!("{other:?}"),
            }
        }
        panic!("not closed");
    }
}

//! Who breaks a channel's table is cut off, and only he.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use common::*;
use strongroom_broker::End;
use strongroom_broker::port::Port;
use strongroom_protocol::channel::a::{Answer, Outcome, Request};
use strongroom_protocol::channel::o::{Order, Reply};
use strongroom_protocol::channel::r::{Ack, Record};
use strongroom_protocol::channel::s::{Command, Event};
use strongroom_protocol::codec;
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::VERSION;
use strongroom_protocol::types::*;
use strongroom_sys::packet;

/// A connection on which anything can be said.
fn raw(world: &World) -> (OwnedFd, AgentPort) {
    let socket = packet::connect(&world.agents).unwrap();
    (socket.try_clone().unwrap(), Port::new(socket).unwrap())
}

fn hello() -> Vec<u8> {
    codec::encode(&Request::Hello { version: VERSION }).unwrap().to_vec()
}

fn rule_is(want: &str) -> impl Fn(&Record) -> bool {
    let want = named(want);
    move |r| matches!(r, Record::Violation { channel: b'A', rule } if *rule == want)
}

#[test]
fn on_channel_a() {
    let exec = codec::encode(&exec(1, &["echo", "x"])).unwrap().to_vec();
    let cut = exec[..exec.len() - 1].to_vec();
    let long = [exec.as_slice(), &[0]].concat();
    let mut lying = exec.clone();
    // The number of arguments: more than there is memory for.
    lying[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    let mut nul = exec.clone();
    let at = nul.windows(4).position(|w| w == b"echo").unwrap();
    nul[at] = 0;
    let answer =
        codec::encode(&Answer::Welcome { version: 1, tier: receipt().tier }).unwrap().to_vec();
    for (what, before_hello, bytes, with_fd) in [
        ("out-of-state", true, exec.clone(), false),
        ("malformed", true, b"x".to_vec(), false),
        ("out-of-state", false, hello(), false),
        ("malformed", false, cut, false),
        ("trailing-bytes", false, long, false),
        ("malformed", false, lying, false),
        ("malformed", false, nul, false),
        ("wrong-fds", false, exec, true),
        ("unknown-kind", false, vec![0xff; 64], false),
        ("out-of-state", false, answer, false),
        ("malformed", false, vec![], true),
    ] {
        with(plan(), async move |world| {
            let (socket, port) = raw(&world);
            let bystander = world.agent().await;
            let mut running = None;
            if !before_hello {
                packet::send(socket.as_fd(), &hello(), &[]).unwrap();
                assert!(matches!(common::answer(&port).await.0, Answer::Welcome { .. }));
                running = Some(start(&port, 1, &["hang"]).await);
            }
            let null = std::fs::File::open("/dev/null").unwrap();
            let fds: &[BorrowedFd<'_>] = if with_fd { &[null.as_fd()] } else { &[] };
            packet::send(socket.as_fd(), &bytes, fds).unwrap();
            let end = port.receive().await;
            assert!(matches!(end, Ok(None)), "{what}: {end:?}");
            world.recorded(what, rule_is(what)).await;
            if let Some(started) = running {
                world.recorded("its command was ended", |r| matches!(
                    r,
                    Record::Outcome { req, outcome: Outcome::Ended(Code::Protocol), .. } if *req == started.id
                )).await;
                assert!(world.commands.borrow().contains(&Command::Kill { req: started.id }));
            }
            let (report, ..) = whole(&bystander, &["echo", "x"]).await;
            assert_eq!(report.outcome, Outcome::Exited(0));
        });
    }
}

#[test]
fn a_packet_over_the_limit() {
    with(plan(), async |world| {
        let (socket, port) = raw(&world);
        packet::send(socket.as_fd(), &vec![0; 64 * 1024 + 1], &[]).unwrap();
        assert!(matches!(port.receive().await, Ok(None)));
        world.recorded("it", rule_is("truncated")).await;
    });
}

#[test]
fn more_descriptors_than_fit_are_closed_not_kept() {
    with(plan(), async |world| {
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let (socket, port) = raw(&world);
        let null = std::fs::File::open("/dev/null").unwrap();
        let before = open();
        packet::send(socket.as_fd(), &hello(), &[null.as_fd(); 60]).unwrap();
        assert!(matches!(port.receive().await, Ok(None)));
        world.until("they are closed", |_| open() <= before).await;
    });
}

#[test]
fn too_many_signals() {
    with(plan(), async |world| {
        let (socket, port) = raw(&world);
        packet::send(socket.as_fd(), &hello(), &[]).unwrap();
        common::answer(&port).await;
        let signal = Request::Signal { id: ReqId(5), signal: SignalNo::new(1).unwrap() };
        let mut refused = 0;
        loop {
            if port.send(&signal, &[]).await.is_err() {
                break;
            }
            match port.receive().await {
                Ok(Some(_)) => refused += 1,
                _ => break,
            }
        }
        assert!((200..2000).contains(&refused), "{refused}");
        world.recorded("it", rule_is("over-budget")).await;
    });
}

#[test]
fn on_channel_w() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        let (report, ..) = whole(&agent, &["nonsense"]).await;
        assert_eq!(report.outcome, Outcome::Ended(Code::WorkerLost));
        world
            .recorded("it", |r| {
                matches!(
                    r, Record::Violation { channel: b'W', rule } if *rule == named("out-of-state")
                )
            })
            .await;
        assert!(world.commands.borrow().contains(&Command::Kill { req: ReqId(1) }));
    });
}

#[test]
fn on_channel_o() {
    with(plan(), async |world| {
        let socket = packet::connect(&world.operators).unwrap();
        packet::send(socket.as_fd(), &codec::encode(&Order::KillAll).unwrap(), &[]).unwrap();
        world
            .recorded("it", |r| {
                matches!(
                    r, Record::Violation { channel: b'O', rule } if *rule == named("out-of-state")
                )
            })
            .await;
        assert_eq!(*world.commands.borrow(), [Command::Ready]);
    });
}

/// Those the broker trusts: nonsense from them ends everything.
#[test]
fn on_channel_s() {
    let unknown = ReqId(77);
    let (own, _other) = packet::pair().unwrap();
    for event in [
        Event::Exited { req: unknown, status: 0 },
        Event::Spawned { req: unknown },
        Event::SpawnFailed {
            req: unknown,
            error: strongroom_protocol::stage::StageError {
                stage: strongroom_protocol::stage::Stage::Start,
                errno: 0,
            },
        },
    ] {
        let own = own.try_clone().unwrap();
        with(plan(), async move |world| {
            let fds: &[BorrowedFd<'_>] =
                if matches!(event, Event::Spawned { .. }) { &[own.as_fd()] } else { &[] };
            world.supervisor.send(&event, fds).await.unwrap();
            assert_eq!(world.end().await, End::SupervisorLost);
        });
    }
}

#[test]
fn on_channel_r() {
    for ack in [Ack::Kept { count: 1 }, Ack::Kept { count: 0 }, Ack::Refused { errno: 5 }] {
        with(plan(), async move |world| {
            world.recorder.send(&ack, &[]).await.unwrap();
            assert_eq!(world.end().await, End::RecorderLost);
            assert!(world.commands.borrow().contains(&Command::Shutdown { now: true }));
        });
    }
}

#[test]
fn a_wrong_token() {
    with(plan(), async |world| {
        for token in [[0; 32], {
            let mut almost = TOKEN;
            almost[31] ^= 1;
            almost
        }] {
            let port = OperatorPort::new(packet::connect(&world.operators).unwrap()).unwrap();
            let refused = order(&port, &Order::Hello { version: VERSION, token }).await;
            assert_eq!(refused, Reply::Refused { code: Code::NotOperator });
            assert!(matches!(port.receive().await, Ok(None)));
        }
        world
            .recorded(
                "it",
                |r| matches!(r, Record::Order { order, .. } if *order == named("refused")),
            )
            .await;
        let operator = world.operator().await;
        let Reply::Status { status } = order(&operator, &Order::Status).await else { panic!() };
        assert_eq!(status.refused, 2);
    });
}

/// The kernel says "reset" ahead of what a peer said before it left.
#[test]
fn last_words_are_heard() {
    with(plan(), async |_| {
        let (one, other) = packet::pair().unwrap();
        let port = OperatorPort::new(one).unwrap();
        port.send(&Order::Status, &[]).await.unwrap();
        packet::send(
            other.as_fd(),
            &codec::encode(&Reply::Welcome { version: 1, name: named("operator") }).unwrap(),
            &[],
        )
        .unwrap();
        drop(other);
        assert!(matches!(port.receive().await, Ok(Some(_))));
        assert!(matches!(port.receive().await, Ok(None)));
    });
}

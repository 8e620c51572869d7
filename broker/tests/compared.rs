//! What two runs can be compared by, and the way of a command's input, which
//! passes through the broker for it.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::io::Write as _;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use common::*;
use nix::poll::{PollFd, PollFlags, poll};
use sha2::{Digest as _, Sha256};
use strongroom_protocol::channel::a::{Outcome, Request};
use strongroom_protocol::channel::r::{Digests, Input, Record};
use strongroom_protocol::channel::w::Known;
use strongroom_protocol::codec;
use strongroom_protocol::types::{ReqId, SignalNo};
use strongroom_sys::fd;

fn sha(bytes: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// What is on record of a command.
async fn digests(world: &World, id: ReqId) -> Digests {
    world.recorded("outcome", |r| matches!(r, Record::Outcome { req, .. } if *req == id)).await;
    let records = world.records.borrow();
    let found = records.iter().find_map(|r| match r {
        Record::Outcome { req, digests, .. } if *req == id => digests.clone(),
        _ => None,
    });
    *found.unwrap()
}

/// Runs a command with this input.
async fn run(world: &World, agent: &AgentPort, words: &[&str], input: &[u8]) -> Digests {
    let Started { id, mut stdin, stdout, stderr } = start(agent, 1, words).await;
    let input = input.to_vec();
    let give = tokio::task::spawn_blocking(move || stdin.write_all(&input));
    let (given, ..) = tokio::join!(give, slurp(stdout), slurp(stderr), exited(agent, id));
    given.unwrap().unwrap();
    digests(world, id).await
}

#[test]
fn each_digest_is_of_what_it_says() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        let both = run(&world, &agent, &["both"], b"").await;
        let given = Input { bytes: 0, digest: sha("") };
        let receipt = sha(&*codec::encode(&receipt()).unwrap());
        assert_eq!(
            both,
            Digests {
                argv: sha("both\0"),
                program: Some(PROGRAM),
                stdin: Some(given),
                output: Some([sha("out"), sha("err")]),
                receipt: Some(receipt),
            }
        );
        let text = vec![b'y'; 300_000];
        let cat = run(&world, &agent, &["cat", "", "-"], &text).await;
        assert_eq!(cat.argv, sha("cat\0\0-\0"));
        assert_eq!(cat.stdin, Some(Input { bytes: 300_000, digest: sha(&text) }));
        assert_eq!(cat.output, Some([sha(&text), sha("")]));
        // More arguments than the intent shows.
        let many = vec!["x"; 100];
        let many = [&["echo"], many.as_slice()].concat();
        let echo = run(&world, &agent, &many, b"").await;
        assert_eq!(echo.argv, sha(many.join("\0") + "\0"));
    });
}

#[test]
fn one_byte_changes_one_digest() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        let first = run(&world, &agent, &["swallow", "a"], b"input").await;
        assert_eq!(run(&world, &agent, &["swallow", "a"], b"input").await, first);
        let input = run(&world, &agent, &["swallow", "a"], b"inpux").await;
        assert_ne!(input.stdin, first.stdin);
        assert_eq!(Digests { stdin: first.stdin, ..input }, first);
        let argv = run(&world, &agent, &["swallow", "b"], b"input").await;
        assert_ne!(argv.argv, first.argv);
        assert_eq!(Digests { argv: first.argv, ..argv }, first);
    });
}

#[test]
fn output_that_is_cut() {
    let mut plan = plan();
    plan.profiles[0].limits.output = 100_000;
    with(plan, async |world| {
        let agent = world.agent().await;
        let flood = run(&world, &agent, &["flood", "120000", "0"], b"").await;
        assert_eq!(flood.output, Some([sha(vec![b'x'; 100_000]), sha("")]));
    });
}

#[test]
fn values_are_in_no_digest_but_that_of_the_input() {
    let values = credentials(&[("TOKEN", b"c4nary-9f37aa01")]);
    with_credentials(plan(), values, async |world| {
        let agent = world.agent().await;
        let echo = run(&world, &agent, &["echo", "a c4nary-9f37aa01 b"], b"").await;
        assert_eq!(echo.argv, sha("echo\0a [REDACTED:TOKEN] b\0"));
        assert_eq!(echo.output, Some([sha("a [REDACTED:TOKEN] b"), sha("")]));
        let cat = run(&world, &agent, &["cat"], b"c4nary-9f37aa01").await;
        assert_eq!(cat.stdin.unwrap().digest, sha("c4nary-9f37aa01"));
        assert_eq!(cat.output, Some([sha("[REDACTED:TOKEN]"), sha("")]));
    });
}

/// The outcome does not wait for it, and says nothing of what may still come.
#[test]
fn output_that_nobody_has_read_yet_has_no_digest() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        let Started { id, stdout, .. } = start(&agent, 1, &["flood", "120000", "0"]).await;
        let flood = digests(&world, id).await;
        assert_eq!((flood.output, flood.program), (None, Some(PROGRAM)));
        let (stdout, _) = tokio::join!(slurp(stdout), exited(&agent, id));
        assert_eq!(stdout.len(), 120_000);
    });
}

#[test]
fn what_was_not_launched_has_arguments_only() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        agent.send(&exec(1, &["nojail"]), &[]).await.unwrap();
        let argv = sha("nojail\0");
        let nothing = Digests { argv, program: None, stdin: None, output: None, receipt: None };
        assert_eq!(digests(&world, ReqId(1)).await, nothing);
        let receipts = |r: &&Record| matches!(r, Record::Receipt { .. });
        assert_eq!(world.records.borrow().iter().filter(receipts).count(), 0);
    });
}

#[test]
fn a_receipt_is_on_record_once_and_first() {
    with(plan(), async |world| {
        let agents = [world.agent().await, world.agent().await, world.agent().await];
        let [a, b, c] = &agents;
        let run = |agent| run(&world, agent, &["swallow"], b"");
        let (first, ..) = tokio::join!(run(a), run(b), run(c));
        let records = world.records.borrow();
        let at = |is: fn(&Record) -> bool| records.iter().position(is).unwrap();
        let receipts: Vec<_> = records
            .iter()
            .filter_map(|r| match r {
                Record::Receipt { digest, receipt } => Some((*digest, receipt.clone())),
                _ => None,
            })
            .collect();
        assert_eq!(receipts, [(first.receipt.unwrap(), Box::new(receipt()))]);
        let outcome = at(|r| matches!(r, Record::Outcome { .. }));
        assert!(at(|r| matches!(r, Record::Receipt { .. })) < outcome);
    });
}

#[test]
fn a_worker_is_told_what_another_one_has_read() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        for words in [["echo", "1"], ["echo", "2"], ["swallow", "3"]] {
            run(&world, &agent, &words, b"").await;
        }
        let told: Vec<_> = world.launches.borrow().iter().map(|launch| launch.known).collect();
        let known = Known { stamp: STAMP, digest: PROGRAM };
        assert_eq!(told, [None, Some(known), None]);
        assert_eq!(codec::encode(&known).unwrap().len(), Known::SIZE);
    });
}

/// Without a byte from the client: it waits for room, as `yes | head` does.
#[test]
fn a_command_that_closes_its_input_closes_the_clients_end() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        let Started { id, mut stdin, .. } = start(&agent, 1, &["deaf"]).await;
        let hung_up = tokio::task::spawn_blocking(move || {
            let mut polled = [PollFd::new(stdin.as_fd(), PollFlags::empty())];
            assert_eq!(poll(&mut polled, 10_000u16), Ok(1));
            let refused = stdin.write(b"x").unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::BrokenPipe);
        });
        hung_up.await.unwrap();
        let signal = Request::Signal { id, signal: SignalNo::new(15).unwrap() };
        agent.send(&signal, &[]).await.unwrap();
        assert_eq!(exited(&agent, id).await.outcome, Outcome::Exited(0));
    });
}

/// Two pipes and at most a chunk; nothing is held when it is over.
#[test]
fn a_command_that_does_not_read_holds_its_client_up() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        let Started { id, mut stdin, .. } = start(&agent, 1, &["hang"]).await;
        fd::set_nonblocking(stdin.as_fd()).unwrap();
        let mut taken = 0;
        let mut quiet = Instant::now();
        while quiet.elapsed() < Duration::from_millis(200) {
            match stdin.write(&[b'x'; 4096]) {
                Ok(n) => (taken, quiet) = (taken + n, Instant::now()),
                Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::WouldBlock),
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        const PIPE: usize = 64 * 1024;
        assert!((2 * PIPE..=3 * PIPE).contains(&taken), "{taken}");
        let signal = Request::Signal { id, signal: SignalNo::new(15).unwrap() };
        agent.send(&signal, &[]).await.unwrap();
        assert_eq!(exited(&agent, id).await.outcome, Outcome::Signalled(15));
        let refused = stdin.write(b"x").unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::BrokenPipe);
        // What it was given, read or not.
        let bytes = digests(&world, id).await.stdin.unwrap().bytes;
        assert_eq!(bytes, PIPE as u64);
    });
}

#[test]
fn input_kept_open_by_what_is_left_holds_nobody_up() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        let began = Instant::now();
        let Started { id, mut stdin, .. } = start(&agent, 1, &["leave-input"]).await;
        assert_eq!(exited(&agent, id).await.outcome, Outcome::Exited(0));
        digests(&world, id).await;
        let refused = stdin.write(b"x").unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::BrokenPipe);
        assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    });
}

//! Every way in which a request can be refused, or end without a result.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use common::*;
use strongroom_broker::decide::{self, decide};
use strongroom_protocol::channel::a::{Answer, Denial, Outcome, Request};
use strongroom_protocol::channel::r::Record;
use strongroom_protocol::channel::s::Command;
use strongroom_protocol::codec;
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::MAX_PACKET;
use strongroom_protocol::plan::{ErrorLevel, Plan, VERSION};
use strongroom_protocol::stage::{Stage, StageError};
use strongroom_protocol::types::*;

fn wish(words: &[&str]) -> decide::Request {
    decide::Request {
        tag: 1,
        argv: argv(words),
        cwd: None,
        rule: None,
        timeout_ms: None,
        credentials: List::empty(),
        reason: None,
        patience_ms: None,
    }
}

fn in_folder(cwd: &str) -> decide::Request {
    decide::Request { cwd: Some(path(cwd)), ..wish(&["echo"]) }
}

fn code(plan: &Plan, request: &decide::Request) -> Option<Code> {
    decide(plan, request, &|_| false).task.err()
}

#[test]
fn the_working_folder_by_its_text() {
    let plan = plan();
    for (cwd, want) in [
        ("/job/space", None),
        ("/job/space/", None),
        ("//job//space/.", None),
        ("/job/space/a/b", Some("a/b")),
        ("/job/space/./a//b/", Some("a/b")),
        ("/job/space/a/.../b", Some("a/.../b")),
        (".", None),
        ("./", None),
        ("a", Some("a")),
        ("./a/./b", Some("a/b")),
        ("..a", Some("..a")),
    ] {
        let task = decide(&plan, &in_folder(cwd), &|_| false).task.expect(cwd);
        assert_eq!(task.launch.cwd, want.map(path), "{cwd}");
    }
    for cwd in [
        "/",
        "/job",
        "/job/spac",
        "/job/spaces",
        "/job/space/..",
        "/job/space/../space",
        "/job/space/a/../b",
        "/job/../job/space",
        "..",
        "a/..",
        "../space",
        "./../x",
        "/proc/self/cwd",
        "/../job/space",
        "/etc",
    ] {
        assert_eq!(code(&plan, &in_folder(cwd)), Some(Code::CwdOutside), "{cwd}");
    }
}

#[test]
fn rules_credentials_and_time() {
    let plan = plan();
    let with = |f: &dyn Fn(&mut decide::Request)| {
        let mut request = wish(&["echo", "x"]);
        f(&mut request);
        code(&plan, &request)
    };
    assert_eq!(with(&|_| ()), None);
    assert_eq!(with(&|r| r.argv = argv(&["rm", "-rf"])), Some(Code::RuleDenies));
    let asks = |words: &[&str]| decide(&plan, &wish(words), &|_| false).task.unwrap().asks;
    assert_eq!((asks(&["git", "push"]), asks(&["echo"])), (true, false));
    assert_eq!(with(&|r| r.argv = argv(&["unheard-of"])), Some(Code::NoRule));
    assert_eq!(with(&|r| r.rule = Some(named("any"))), None);
    assert_eq!(with(&|r| r.rule = Some(named("any-cat"))), Some(Code::RuleNotForThis));
    assert_eq!(with(&|r| r.rule = Some(named("no-such"))), Some(Code::RuleNotForThis));
    assert_eq!(with(&|r| r.timeout_ms = Some(0)), Some(Code::BadTimeout));
    assert_eq!(with(&|r| r.timeout_ms = Some(60_001)), Some(Code::BadTimeout));
    assert_eq!(with(&|r| r.timeout_ms = Some(u64::MAX)), Some(Code::BadTimeout));
    assert_eq!(with(&|r| r.timeout_ms = Some(60_000)), None);
    let task = |ms| {
        let request = decide::Request { timeout_ms: ms, ..wish(&["echo"]) };
        decide(&plan, &request, &|_| false).task.unwrap().launch.wall_ms
    };
    assert_eq!((task(None), task(Some(5))), (60_000, 5));

    let mut endless = plan.clone();
    endless.profiles[0].limits.wall_ms = 0;
    let request = decide::Request { timeout_ms: Some(u64::MAX), ..wish(&["echo"]) };
    assert_eq!(code(&endless, &request), None);
}

#[test]
fn what_does_not_fit_one_packet_with_its_environment_is_refused() {
    let mut plan = plan();
    let request = |n: usize| decide::Request {
        argv: Argv::new(vec![arg("echo"), arg(vec![b'x'; n])]).unwrap(),
        ..wish(&["echo"])
    };
    assert_eq!(code(&plan, &request(60_000)), None);
    plan.profiles[0].env = vec![EnvVar {
        name: EnvName::new("LONG").unwrap(),
        value: EnvValue::new(vec![b'v'; 8_000]).unwrap(),
    }];
    assert_eq!(code(&plan, &request(60_000)), Some(Code::RequestTooBig));
    // To the byte: 4 tag, 8+(8+4)+(8+n) argv, 1 cwd, 8 secrets, 1 firm, 8
    // time, 1 and 72 for what will be known of the program; 16+4+8000.
    let room = MAX_PACKET - (4 + 8 + 12 + 8 + 1 + 8 + 1 + 8 + 1 + 72) - (16 + 4 + 8_000);
    assert_eq!(code(&plan, &request(room)), None);
    assert_eq!(code(&plan, &request(room + 1)), Some(Code::RequestTooBig));
}

#[test]
fn refusals_are_answered_recorded_and_start_nothing() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        for (words, want) in [(["rm", "x"], Code::RuleDenies), (["unheard", "of"], Code::NoRule)] {
            let refused = ask(&agent, &exec(9, &words)).await;
            assert_eq!(refused, Answer::Refused { tag: 9, denial: want.into() });
            world
                .recorded(
                    "the refusal",
                    |r| matches!(r, Record::Denied { code, .. } if *code == want),
                )
                .await;
        }
        assert_eq!(*world.commands.borrow(), [Command::Ready]);
    });
}

#[test]
fn the_operators_reason_only_where_the_policy_says_so() {
    let mut detailed = plan();
    detailed.errors = ErrorLevel::Detailed;
    for (plan, want) in [(plan(), None), (detailed, Some(Reason::new("deletes things").unwrap()))] {
        with(plan, async move |world| {
            let agent = world.agent().await;
            let denial = Denial { code: Code::RuleDenies, why: want };
            assert_eq!(ask(&agent, &exec(1, &["rm"])).await, Answer::Refused { tag: 1, denial });
        });
    }
}

#[test]
fn no_such_credential_and_not_yours_are_the_same_bytes() {
    let mut plan = plan();
    let known = CredentialName::new("KNOWN").unwrap();
    for rule in &mut plan.rules {
        if rule.name == named("any-cat") {
            rule.credentials.push(known.clone());
        }
    }
    with(plan, async |world| {
        let agent = world.agent().await;
        let mut answers = Vec::new();
        for name in ["KNOWN", "UNKNOWN"] {
            let mut request = exec(1, &["echo"]);
            let Request::Exec { credentials, .. } = &mut request else { unreachable!() };
            *credentials = List::new(vec![CredentialName::new(name).unwrap()]).unwrap();
            answers.push(codec::encode(&ask(&agent, &request).await).unwrap());
        }
        assert_eq!(answers[0], answers[1]);
        let denial = Code::CredentialRefused.into();
        assert_eq!(answers[0], codec::encode(&Answer::Refused { tag: 1, denial }).unwrap());
    });
}

#[test]
fn session_limits() {
    let mut commands = plan();
    commands.session_limits.commands = 2;
    let mut cpu = plan();
    // A command of these tests says it used 1.5 ms.
    cpu.session_limits.cpu_ms = 3;
    for (plan, want) in [(commands, Code::SessionCommands), (cpu, Code::SessionCpu)] {
        with(plan, async move |world| {
            let agent = world.agent().await;
            for _ in 0..2 {
                assert_eq!(whole(&agent, &["echo", "x"]).await.0.outcome, Outcome::Exited(0));
            }
            let refused = ask(&agent, &exec(1, &["echo"])).await;
            assert_eq!(refused, Answer::Refused { tag: 1, denial: want.into() });
        });
    }
}

#[test]
fn the_rate_counts_refused_requests_too() {
    let mut plan = plan();
    plan.session_limits.commands_per_minute = 1;
    plan.session_limits.burst = 3;
    with(plan, async |world| {
        let agent = world.agent().await;
        ask(&agent, &exec(1, &["rm"])).await;
        ask(&agent, &exec(2, &["rm"])).await;
        assert_eq!(whole(&agent, &["echo", "x"]).await.0.outcome, Outcome::Exited(0));
        let long = "x".repeat(9000);
        for _ in 0..3 {
            let refused = ask(&agent, &exec(4, &["echo", &long])).await;
            assert_eq!(refused, Answer::Refused { tag: 4, denial: Code::RateLimited.into() });
        }
        world
            .recorded("it, in short", |r| {
                matches!(
                    r,
                    Record::Denied { code: Code::RateLimited, action }
                        if action.argc == 2 && action.argv.as_slice()[1].as_bytes().len() <= 256
                            && action.argv_digest.is_some()
                )
            })
            .await;
    });
}

#[test]
fn so_many_at_once_and_no_more() {
    with(plan(), async |world| {
        let (first, second, third) =
            (world.agent().await, world.agent().await, world.agent().await);
        let mut held = Vec::new();
        for agent in [&first, &second] {
            for tag in 0..32 {
                held.push(start(agent, tag, &["hang"]).await);
            }
            let refused = ask(agent, &exec(77, &["echo"])).await;
            assert_eq!(refused, Answer::Refused { tag: 77, denial: Code::TooManyAtOnce.into() });
        }
        let refused = ask(&third, &exec(5, &["echo"])).await;
        assert_eq!(refused, Answer::Refused { tag: 5, denial: Code::TooManyAtOnce.into() });

        // A place is free again when a command's jail is empty.
        let last = held.pop().unwrap();
        let signal = Request::Signal { id: last.id, signal: SignalNo::new(9).unwrap() };
        second.send(&signal, &[]).await.unwrap();
        exited(&second, last.id).await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        assert_eq!(whole(&third, &["echo", "x"]).await.0.outcome, Outcome::Exited(0));
    });
}

#[test]
fn another_version_is_refused() {
    with(plan(), async |world| {
        let agent = world.stranger();
        let refused = ask(&agent, &Request::Hello { version: VERSION + 1 }).await;
        assert_eq!(refused, Answer::Refused { tag: 0, denial: Code::Version.into() });
        assert!(agent.receive().await.unwrap().is_none());
    });
}

#[test]
fn a_jail_that_fails_runs_nothing_and_its_step_is_for_the_operator() {
    let step = |stage, errno| Some(StageError { stage, errno });
    with(plan(), async |world| {
        let agent = world.agent().await;
        for (program, want) in
            [("nospawn", step(Stage::Namespaces, 1)), ("nojail", step(Stage::Landlock, 95))]
        {
            let refused = ask(&agent, &exec(3, &[program])).await;
            assert_eq!(refused, Answer::Refused { tag: 3, denial: Code::JailFailed.into() });
            world.recorded("the step", |r| matches!(
                r,
                Record::Outcome { outcome: Outcome::Ended(Code::JailFailed), failed, .. } if *failed == want
            )).await;
        }
        assert!(world.launches.borrow().is_empty());
    });
}

#[test]
fn a_command_that_cannot_be_executed() {
    let exec_step = Stage::Exec.exit_code().to_string();
    let cwd_step = Stage::Cwd.exit_code().to_string();
    let other_step = Stage::Seccomp.exit_code().to_string();
    with(plan(), async |world| {
        let agent = world.agent().await;
        for (step, errno, want) in [
            (&exec_step, "2", Code::NotFound),
            (&exec_step, "13", Code::CannotExecute),
            (&exec_step, "8", Code::CannotExecute),
            (&exec_step, "21", Code::CannotExecute),
            (&exec_step, "20", Code::CannotExecute),
            (&exec_step, "12", Code::JailFailed),
            (&cwd_step, "2", Code::CwdUnusable),
            (&cwd_step, "18", Code::CwdUnusable),
            (&other_step, "1", Code::JailFailed),
        ] {
            let (report, ..) = whole(&agent, &["failed", step, errno]).await;
            assert_eq!(report.outcome, Outcome::Ended(want), "{step} {errno}");
        }
    });
}

#[test]
fn a_record_always_fits_its_packet() {
    with(plan(), async |world| {
        let agent = world.agent().await;
        let mut words = vec!["echo"];
        let long = "y".repeat(50_000);
        words.push(&long);
        words.extend(["z"; 1000]);
        let (report, ..) = whole(&agent, &words).await;
        assert_eq!(report.outcome, Outcome::Exited(0));
        let records = world.records.borrow();
        let Record::Intent { action, .. } = &records[0] else { panic!() };
        assert_eq!((action.argc, action.argv.as_slice().len()), (1002, 64));
        assert!(action.argv_digest.is_some());
        // What runs is what was asked, not what was recorded.
        assert_eq!(world.launches.borrow()[0].argv, argv(&words));
    });
}

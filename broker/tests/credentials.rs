//! Credentials: who gets which, who does not, and where no value may appear.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::time::{Duration, Instant};

use common::*;
use strongroom_broker::decide::{self, decide};
use strongroom_protocol::channel::a::{Answer, Outcome, Request, Values};
use strongroom_protocol::channel::o::{Order, Reply};
use strongroom_protocol::channel::r::Record;
use strongroom_protocol::channel::w::Down;
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::{Credential, Leases, Plain, Plan};
use strongroom_protocol::types::*;

const CANARY: &str = "c4nary-9fQ2x7LmZk31";
const OTHER: &str = "0ther-Vb83nRt5wYp64";

fn declared(name: &str, env: bool, file: bool, plain: Plain) -> Credential {
    Credential { name: credential(name), env, file, plain }
}

/// `echo` carries TOKEN, `cat` carries FILE, `hang` both; others nothing.
fn granting() -> Plan {
    let mut plan = plan();
    plan.credentials = vec![
        declared("FILE", false, true, Plain::Deny),
        declared("OPEN", false, false, Plain::Allow),
        declared("TOKEN", true, false, Plain::Ask),
    ];
    plan.leases = Some(Leases { folder: path("/leases"), writer: GOOD });
    for (rule, names) in
        [("any", &["TOKEN"][..]), ("any-cat", &["FILE"]), ("any-hang", &["FILE", "TOKEN"])]
    {
        let rule = plan.rules.iter_mut().find(|r| r.name == named(rule)).unwrap();
        rule.credentials = names.iter().map(|n| credential(n)).collect();
    }
    plan
}

fn values() -> strongroom_broker::credentials::Credentials {
    credentials(&[
        ("TOKEN", CANARY.as_bytes()),
        ("FILE", OTHER.as_bytes()),
        ("OPEN", b"0pen-3hU7cKe92QsXd"),
        ("UNNAMED", b"unnamed-7Hs6Kq1mPz"),
    ])
}

fn asking(words: &[&str], names: &[&str]) -> Request {
    let Request::Exec { tag, argv, cwd, rule, timeout_ms, reason, patience_ms, .. } =
        exec(1, words)
    else {
        unreachable!()
    };
    let credentials = List::new(names.iter().map(|n| credential(n)).collect()).unwrap();
    Request::Exec { tag, argv, cwd, rule, timeout_ms, credentials, reason, patience_ms }
}

#[test]
fn exactly_the_named_ones_and_only_for_their_rule() {
    with_credentials(granting(), values(), async |world| {
        let agent = world.agent().await;
        whole(&agent, &["echo", "x"]).await;
        whole(&agent, &["both"]).await;
        whole(&agent, &["cat"]).await;
        let launches = world.launches.borrow();
        let secrets: Vec<Vec<(String, Vec<u8>)>> = launches
            .iter()
            .map(|l| {
                let secrets = l.secrets.as_slice().iter();
                secrets.map(|s| (s.name.display(), s.value.as_bytes().to_vec())).collect()
            })
            .collect();
        assert_eq!(secrets, [vec![("TOKEN".to_owned(), CANARY.into())], vec![], vec![]]);
        let firm: Vec<bool> = launches.iter().map(|l| l.firm).collect();
        assert_eq!(firm, [true, false, true]);
    });
}

#[test]
fn fewer_may_be_asked_for_and_never_more() {
    with_credentials(granting(), values(), async |world| {
        let agent = world.agent().await;
        agent.send(&asking(&["hang"], &["TOKEN"]), &[]).await.unwrap();
        assert!(matches!(answer(&agent).await.0, Answer::Started { .. }));
        world.until("launched", |w| w.launches.borrow().len() == 1).await;
        assert_eq!(world.launches.borrow()[0].secrets.as_slice().len(), 1);

        let denied: Vec<Answer> = {
            let mut all = Vec::new();
            for names in [
                &["FILE"][..],
                &["NO_SUCH"],
                &["UNNAMED"],
                &["TOKEN", "NO_SUCH"],
                &["TOKEN", "FILE"],
            ] {
                all.push(ask(&agent, &asking(&["echo", "x"], names)).await);
            }
            all
        };
        for answer in &denied {
            assert_eq!(answer, &denied[0]);
            assert!(
                matches!(answer, Answer::Refused { denial, .. } if denial.code == Code::CredentialRefused),
                "{answer:?}"
            );
        }
        assert_eq!(world.launches.borrow().len(), 1);
    });
}

#[test]
fn a_value_that_is_not_there_is_refused_like_one_that_does_not_exist() {
    with_credentials(granting(), credentials(&[]), async |world| {
        let agent = world.agent().await;
        let missing = ask(&agent, &exec(1, &["echo", "x"])).await;
        let unknown = ask(&agent, &asking(&["echo", "x"], &["NO_SUCH"])).await;
        assert_eq!(missing, unknown);
        assert_eq!(missing, Answer::Refused { tag: 1, denial: Code::CredentialRefused.into() });
    });
}

/// Time must not tell either (K13). The decision alone is measured: everything
/// after it is the same code. Medians, taken in turns, best of some rounds: a
/// busy machine can make one round differ, a leak makes all of them differ.
#[test]
fn unknown_and_not_yours_take_the_same_time() {
    let plan = granting();
    let there = values();
    let wish = |name: &str| decide::Request {
        tag: 1,
        argv: argv(&["echo", "x"]),
        cwd: None,
        rule: None,
        timeout_ms: None,
        credentials: List::new(vec![credential(name)]).unwrap(),
        reason: None,
        patience_ms: None,
    };
    let (unknown, others) = (wish("NO_SUCH"), wish("UNNAMED"));
    let time = |request: &decide::Request| {
        let began = Instant::now();
        let verdict = decide(&plan, std::hint::black_box(request), &|name| there.there(name));
        assert_eq!(verdict.task.unwrap_err(), Code::CredentialRefused);
        began.elapsed()
    };
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2].as_nanos() as f64
    };
    let round = || {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for _ in 0..10_000 {
            a.push(time(&unknown));
            b.push(time(&others));
        }
        (median(a) / median(b) - 1.0).abs()
    };
    let best = (0..10).map(|_| round()).fold(f64::MAX, f64::min);
    assert!(best < 0.05, "the times differ by {best}");
}

#[test]
fn no_value_in_output_records_status_or_debug() {
    with_credentials(granting(), values(), async |world| {
        let agent = world.agent().await;
        let text = format!("a {CANARY} b {OTHER}");
        let mut request = exec(1, &["echo", &text]);
        if let Request::Exec { reason, cwd, .. } = &mut request {
            *reason = Some(Reason::new(format!("because {CANARY}")).unwrap());
            *cwd = Some(path(&format!("sub/{CANARY}")));
        }
        agent.send(&request, &[]).await.unwrap();
        let (Answer::Started { id, .. }, fds) = answer(&agent).await else { panic!() };
        let mut fds = fds.into_iter().map(std::fs::File::from);
        drop(fds.next());
        let (stdout, stderr, report) = tokio::join!(
            slurp(fds.next().unwrap()),
            slurp(fds.next().unwrap()),
            exited(&agent, id)
        );
        assert_eq!(String::from_utf8(stdout).unwrap(), "a [REDACTED:TOKEN] b [REDACTED:FILE]");
        assert!(stderr.is_empty());
        assert_eq!((report.masked, report.withheld), (2, false));
        world.recorded("outcome", |r| matches!(r, Record::Outcome { masked: 2, .. })).await;
        let records = format!("{:?} {report:?}", world.records.borrow());
        assert!(records.contains("because [REDACTED:TOKEN]"), "{records}");
        assert!(!records.contains(CANARY) && !records.contains(OTHER));
        // What the worker was told is a type that shows nothing.
        let told = format!("{:?} {:?}", world.launches.borrow()[0].secrets, values());
        assert!(!told.contains(CANARY), "{told}");
    });
}

#[test]
fn a_value_split_over_writes_is_masked_and_the_rest_is_exact() {
    with_credentials(granting(), values(), async |world| {
        let agent = world.agent().await;
        let Started { id, mut stdin, stdout, .. } = start(&agent, 1, &["cat"]).await;
        let reader = tokio::task::spawn_local(slurp(stdout));
        let text = format!("before {OTHER} after c4nary-9f");
        tokio::task::spawn_blocking(move || {
            use std::io::Write as _;
            for byte in text.bytes() {
                stdin.write_all(&[byte]).unwrap();
                std::thread::sleep(Duration::from_millis(2));
            }
        })
        .await
        .unwrap();
        let report = exited(&agent, id).await;
        let out = String::from_utf8(reader.await.unwrap()).unwrap();
        assert!(out.starts_with("before [REDACTED:FILE] after "), "{out}");
        assert_eq!(report.outcome, Outcome::Exited(0));
    });
}

#[test]
fn revoked_means_at_once_for_all() {
    with_credentials(granting(), values(), async |world| {
        let (agent, operator) = (world.agent().await, world.operator().await);
        let Started { id, .. } = start(&agent, 1, &["hang"]).await;
        let began = Instant::now();
        let reply = order(&operator, &Order::Revoke { name: credential("TOKEN") }).await;
        assert!(matches!(reply, Reply::Changed { version: 0, holders: 1, .. }), "{reply:?}");
        let report = exited(&agent, id).await;
        assert_eq!(report.outcome, Outcome::Ended(Code::Revoked));
        assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());

        let refused = ask(&agent, &exec(2, &["echo", "x"])).await;
        assert_eq!(refused, Answer::Refused { tag: 2, denial: Code::CredentialRefused.into() });
        // What was a value stays hidden.
        let (report, stdout, _) = whole(&agent, &["both"]).await;
        assert_eq!((report.outcome, stdout.as_slice()), (Outcome::Exited(3), &b"out"[..]));
        world
            .recorded(
                "revoke",
                |r| matches!(r, Record::Credential { verb, .. } if *verb == named("revoke")),
            )
            .await;
    });
}

fn enter(name: &str, value: &[u8], size: usize, force: bool) -> Vec<Order> {
    let size = u32::try_from(size).unwrap();
    let mut orders = vec![Order::Put { name: credential(name), size, force }];
    orders.extend(
        value
            .chunks(32 * 1024)
            .map(|piece| Order::Value { bytes: SecretBytes::new(piece.to_vec()).unwrap() }),
    );
    orders.push(Order::Keep);
    orders
}

async fn put(operator: &OperatorPort, name: &str, value: &[u8], force: bool) -> Reply {
    let mut orders = enter(name, value, value.len(), force);
    let keep = orders.pop().unwrap();
    for message in &orders {
        operator.send(message, &[]).await.unwrap();
    }
    order(operator, &keep).await
}

#[test]
fn an_operator_enters_and_changes_values() {
    with_credentials(granting(), credentials(&[]), async |world| {
        let (agent, operator) = (world.agent().await, world.operator().await);
        let asked = Request::Ask {
            tag: 4,
            name: credential("TOKEN"),
            reason: Reason::new("to push").unwrap(),
        };
        assert_eq!(ask(&agent, &asked).await, Answer::Asked { tag: 4, request: 1 });
        let Reply::Requests { list } = order(&operator, &Order::Requests).await else { panic!() };
        assert_eq!(list.as_slice()[0].name, credential("TOKEN"));

        let changed = put(&operator, "TOKEN", CANARY.as_bytes(), false).await;
        assert_eq!(changed, Reply::Changed { version: 1, generation: 0, holders: 0 });
        let Reply::Requests { list } = order(&operator, &Order::Requests).await else { panic!() };
        assert!(list.as_slice().is_empty());
        let changed = put(&operator, "TOKEN", OTHER.as_bytes(), false).await;
        assert_eq!(changed, Reply::Changed { version: 2, generation: 0, holders: 0 });

        // Both are hidden, the new one is delivered.
        let both = format!("{CANARY} {OTHER}");
        let (report, stdout, _) = whole(&agent, &["echo", &both]).await;
        assert_eq!(stdout, b"[REDACTED:TOKEN] [REDACTED:TOKEN]");
        assert_eq!(report.masked, 2);
        let delivered = world.launches.borrow()[0].secrets.as_slice()[0].value.clone();
        assert_eq!(delivered.as_bytes(), OTHER.as_bytes());

        let Reply::Credentials { list, more } =
            order(&operator, &Order::Credentials { after: None }).await
        else {
            panic!()
        };
        let names: Vec<String> = list.as_slice().iter().map(|h| h.name.display()).collect();
        assert_eq!((names, more), (vec!["FILE".into(), "OPEN".into(), "TOKEN".into()], false));
        let token = &list.as_slice()[2];
        assert_eq!((token.there, token.version, token.env), (true, 2, true));
        assert!(token.used > 0 && token.changed > 0);
        assert!(!format!("{list:?}").contains(OTHER));
    });
}

#[test]
fn bad_values_and_names_change_nothing() {
    with_credentials(granting(), credentials(&[]), async |world| {
        let operator = world.operator().await;
        let long = vec![b'x'; 70_000];
        for (name, value, force, code) in [
            ("A", &b""[..], true, Code::BadValue),
            ("A", b"short", false, Code::BadValue),
            ("A", b"aaaaaaaaaaaaaaaaaaaaaaaa", false, Code::BadValue),
            ("A", &long, true, Code::BadValue),
            ("LD_PRELOAD", CANARY.as_bytes(), false, Code::BadCredentialName),
            ("BASH_ENV", CANARY.as_bytes(), true, Code::BadCredentialName),
            ("STRONGROOM_SOCKET", CANARY.as_bytes(), true, Code::BadCredentialName),
        ] {
            assert_eq!(put(&operator, name, value, force).await, Reply::Refused { code }, "{name}");
        }
        // Not as long as it was said to be.
        for size in [5, 4000] {
            let mut orders = enter("A", CANARY.as_bytes(), size, true);
            let keep = orders.pop().unwrap();
            for message in &orders {
                operator.send(message, &[]).await.unwrap();
            }
            assert_eq!(order(&operator, &keep).await, Reply::Refused { code: Code::BadValue });
        }
        for name in [credential("A"), credential("TOKEN")] {
            let unknown = Reply::Refused { code: Code::UnknownCredential };
            assert_eq!(order(&operator, &Order::Revoke { name: name.clone() }).await, unknown);
            assert_eq!(order(&operator, &Order::Delete { name }).await, unknown);
        }
        assert!(matches!(put(&operator, "A", b"short", true).await, Reply::Changed { .. }));
        let longest: Vec<u8> = (0..65_536u32).map(|n| (n * 7 % 251) as u8).collect();
        assert!(matches!(put(&operator, "B", &longest, false).await, Reply::Changed { .. }));
    });
}

async fn write(agent: &AgentPort, name: &str, text: &[u8], values: Values) -> Answer {
    let size = u32::try_from(text.len()).unwrap();
    let write = Request::Write {
        tag: 3,
        path: path(name),
        mode: None,
        values,
        size,
        reason: None,
        patience_ms: None,
    };
    agent.send(&write, &[]).await.unwrap();
    for piece in text.chunks(32 * 1024) {
        let content = Request::Content { bytes: Piece::new(piece).unwrap() };
        agent.send(&content, &[]).await.unwrap();
    }
    ask(agent, &Request::Commit).await
}

#[test]
fn a_sealed_file_reaches_commands_that_are_granted_all_of_it() {
    with_credentials(granting(), values(), async |world| {
        let agent = world.agent().await;
        let text = b"KEY=${credentials.FILE}\n";
        let answer = write(&agent, "conf/.env", text, Values::Sealed).await;
        let Answer::Written { written, .. } = answer else { panic!("{answer:?}") };
        assert_eq!(written.values, Values::Sealed);
        let told: Vec<Down> = world.told.borrow_mut().drain(..).collect();
        assert!(
            matches!(&told[..], [Down::Link { link }] if link.path == path("conf/.env")),
            "{told:?}"
        );

        whole(&agent, &["both"]).await;
        whole(&agent, &["echo", "x"]).await;
        assert!(world.told.borrow().is_empty());
        let Started { stdin, .. } = start(&agent, 1, &["cat"]).await;
        drop(stdin);
        world.until("launched", |w| w.launches.borrow().len() == 3).await;
        let told = world.told.borrow();
        let [Down::Lease { name, size, .. }, Down::LeaseBytes { bytes }] = &told[..] else {
            panic!("{told:?}")
        };
        let rendered = format!("KEY={OTHER}\n");
        assert_eq!((name.as_bytes(), *size as usize), (&b".env"[..], rendered.len()));
        assert_eq!(bytes.as_bytes(), rendered.as_bytes());
    });
}

#[test]
fn the_agent_reads_back_what_it_wrote() {
    with_credentials(granting(), values(), async |world| {
        let agent = world.agent().await;
        let mut text = b"KEY=${credentials.FILE}\n".to_vec();
        text.extend(std::iter::repeat_n(b"# filler\n".as_slice(), 10_000).flatten());
        write(&agent, ".env", &text, Values::Sealed).await;
        agent.send(&Request::Read { tag: 5, path: path("/job/space/.env") }, &[]).await.unwrap();
        let mut read = Vec::new();
        loop {
            let (Answer::Text { bytes, last, .. }, _) = answer(&agent).await else { panic!() };
            read.extend_from_slice(bytes.as_bytes());
            if last {
                break;
            }
        }
        assert_eq!(read, text);
        for other in ["README.md", "/etc/passwd", ".."] {
            let refused = ask(&agent, &Request::Read { tag: 5, path: path(other) }).await;
            assert_eq!(refused, Answer::Refused { tag: 5, denial: Code::NotSealed.into() });
        }
    });
}

#[test]
fn a_file_that_cannot_be_filled_in_is_not_written() {
    with_credentials(granting(), values(), async |world| {
        let agent = world.agent().await;
        let mut unavailable = Vec::new();
        // Unknown, not declared, declared for something else: one answer.
        for name in ["NO_SUCH", "UNNAMED", "TOKEN"] {
            let text = format!("A=1\nB=${{credentials.{name}}}\n");
            let answer = write(&agent, ".env", text.as_bytes(), Values::Sealed).await;
            let Answer::Misplaced { code, mut spot, .. } = answer else { panic!("{answer:?}") };
            assert_eq!((spot.key.take(), spot.line, spot.column), (Some(credential(name)), 2, 3));
            unavailable.push((code, spot));
        }
        assert_eq!(unavailable[0], unavailable[1]);
        assert_eq!(unavailable[0], unavailable[2]);
        for (text, file) in [
            ("A=${credentials.FILE|nonsense}\n", ".env"),
            ("{\"a\": \"${credentials.FILE|dotenv}\"", "x.json"),
        ] {
            let answer = write(&agent, file, text.as_bytes(), Values::Sealed).await;
            assert!(
                matches!(&answer, Answer::Misplaced { code: Code::BadPlaceholder, .. })
                    || matches!(&answer, Answer::Written { .. }) && file == "x.json",
                "{answer:?}"
            );
        }
        for bad in ["../.env", "/etc/x", "."] {
            let answer = write(&agent, bad, b"x", Values::Sealed).await;
            assert_eq!(answer, Answer::Refused { tag: 3, denial: Code::BadPath.into() }, "{bad}");
        }
    });
}

#[test]
fn real_values_in_the_workspace_only_where_the_policy_says_so() {
    with_credentials(granting(), values(), async |world| {
        let agent = world.agent().await;
        // One that asks does not help one that denies.
        for names in ["${credentials.FILE}", "${credentials.TOKEN} ${credentials.FILE}"] {
            let text = format!("A='{names}'\n");
            let answer = write(&agent, ".env", text.as_bytes(), Values::Plain).await;
            let denial = Code::PlainRefused.into();
            assert_eq!(answer, Answer::Refused { tag: 3, denial }, "{names}");
        }
        assert!(world.told.borrow().is_empty());
        let text = b"A=${credentials.OPEN}\n";
        let answer = write(&agent, ".env", text, Values::Plain).await;
        assert!(matches!(answer, Answer::Written { .. }), "{answer:?}");
        let told = world.told.borrow();
        let [Down::Write { write }, Down::WriteBytes { bytes }, Down::WriteDone] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!(write.size as usize, bytes.as_bytes().len());
        assert_eq!(bytes.as_bytes(), b"A=0pen-3hU7cKe92QsXd\n");
    });
}

#[test]
fn nothing_is_granted_before_the_record_is_kept() {
    with_credentials(granting(), values(), async |world| {
        let agent = world.agent().await;
        world.disk.set(Disk::Stuck);
        agent.send(&exec(1, &["echo", "x"]), &[]).await.unwrap();
        world.recorded("intent", |r| matches!(r, Record::Intent { .. })).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(world.launches.borrow().is_empty());
    });
}

#[test]
fn beyond_the_limit_output_is_withheld() {
    let mut plan = granting();
    plan.session_limits.masks = 3;
    with_credentials(plan, values(), async |world| {
        let agent = world.agent().await;
        let text = format!("{CANARY} {CANARY} {CANARY} ");
        let (report, stdout, _) = whole(&agent, &["echo", &text]).await;
        assert_eq!((report.masked, report.withheld), (3, false));
        assert_eq!(stdout, b"[REDACTED:TOKEN] [REDACTED:TOKEN] [REDACTED:TOKEN] ");
        let (report, _, _) = whole(&agent, &["echo", &text]).await;
        assert!(report.withheld);
        let (_, stdout, _) = whole(&agent, &["echo", &text]).await;
        assert!(stdout.is_empty(), "{stdout:?}");
    });
}

//! One message of every kind, with every optional field in it.

use strongroom_protocol::action::{ActionObject, Deed, Exec, Exhibit, Files, PlainFile};
use strongroom_protocol::channel::{Direction, a, o, r, s, w, z};
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::{Network, VERSION};
use strongroom_protocol::receipt::*;
use strongroom_protocol::stage::{Stage, StageError};
use strongroom_protocol::types::*;

/// What is done with each direction and its samples.
pub trait Visitor {
    fn visit<D: Direction>(&mut self, samples: &[D::Message])
    where
        D::Message: PartialEq + std::fmt::Debug + Clone;
}

/// Shows every direction of every channel to a visitor.
pub fn every_direction(visitor: &mut impl Visitor) {
    visitor.visit::<a::FromAgent>(&requests());
    visitor.visit::<a::ToAgent>(&answers());
    visitor.visit::<o::FromOperator>(&orders());
    visitor.visit::<o::ToOperator>(&replies());
    visitor.visit::<s::FromBroker>(&commands());
    visitor.visit::<s::ToBroker>(&events());
    visitor.visit::<w::ToWorker>(&downs());
    visitor.visit::<w::FromWorker>(&ups());
    visitor.visit::<r::FromBroker>(&records());
    visitor.visit::<r::FromSupervisor>(&accounts());
    visitor.visit::<r::ToWriter>(&acks());
    visitor.visit::<z::ToZygote>(&forks());
    visitor.visit::<z::FromZygote>(&forked());
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn path(text: &str) -> PathBytes {
    PathBytes::new(text).unwrap()
}

fn args(words: &[&str]) -> Vec<Arg> {
    words.iter().map(|w| Arg::new(*w).unwrap()).collect()
}

fn argv() -> Argv {
    Argv::new(args(&["ls", "-l", ""])).unwrap()
}

fn credential() -> CredentialName {
    CredentialName::new("TOKEN_1").unwrap()
}

fn secret() -> SecretBytes {
    SecretBytes::new(b"s3cret".to_vec()).unwrap()
}

fn piece() -> Piece {
    Piece::new("text").unwrap()
}

fn credentials<const MAX: usize>() -> List<CredentialName, MAX> {
    List::new(vec![credential()]).unwrap()
}

fn reason() -> Reason {
    Reason::new("because").unwrap()
}

fn protected() -> List<PathBytes, 16> {
    List::new(vec![path(".git/hooks/x")]).unwrap()
}

fn failed() -> StageError {
    StageError { stage: Stage::Landlock, errno: 95 }
}

fn usage() -> a::Usage {
    a::Usage { wall_us: 0x0102_0304, user_us: 2, system_us: 3, max_rss_kib: 4 }
}

fn receipt() -> Receipt {
    Receipt {
        tier: Tier::Full,
        uid: 1000,
        gid: 1001,
        namespaces: 0x3f,
        proc_view: ProcView::Shared,
        landlock_abi: 7,
        landlock_fs: 0xffff,
        landlock_net: 3,
        landlock_scopes: 3,
        seccomp_filters: 4,
        unprivileged: true,
        kill_all: KillAll::LandlockScope,
        limits: LimitsBy::Watchdog,
        protect: ProtectBy::Detection,
        metadata: MetadataBy::Deputy,
        private_tmpfs: true,
        shared_shm: true,
    }
}

fn launch() -> Box<w::Launch> {
    Box::new(w::Launch {
        argv: argv(),
        cwd: Some(path("sub")),
        secrets: List::new(vec![SecretVar { name: credential(), value: secret() }]).unwrap(),
        firm: true,
        wall_ms: 60_000,
        known: Some(w::Known { stamp: stamp(), digest: [0x5a; 32] }),
    })
}

fn stamp() -> w::Stamp {
    w::Stamp { dev: 1, ino: 2, size: 3, mtime_ns: -4, ctime_ns: 5 }
}

fn action() -> Box<r::ActionRecord> {
    Box::new(r::ActionRecord {
        connection: 2,
        argv: List::new(args(&["ls", "-l"])).unwrap(),
        argc: 70,
        argv_digest: Some([0x5a; 32]),
        cwd: Some(path("sub")),
        rule: Some(name("any")),
        profile: Some(name("build")),
        credentials: credentials(),
        reason: Some(reason()),
        approval: Some(ApprovalId(8)),
    })
}

fn exhibit(at: &str) -> Exhibit {
    Exhibit { path: path(at), digest: [0x5a; 32], size: 4, firm: true }
}

fn files() -> Files {
    Files {
        program: exhibit("/usr/bin/tool"),
        interpreters: List::new(vec![exhibit("/bin/sh")]).unwrap(),
        named: List::new(vec![exhibit("sub/x")]).unwrap(),
        unseen: 3,
    }
}

/// One action object for each deed.
#[allow(dead_code)] // Not every test that has samples looks at these.
pub fn actions() -> Vec<ActionObject> {
    let exec = Exec {
        argv: argv(),
        argv_digest: [0x5a; 32],
        cwd: Some(path("sub")),
        profile: name("build"),
        network: Network::Loopback,
        credentials: credentials(),
        wall_ms: 60_000,
        files: files(),
    };
    let plain = PlainFile {
        path: path(".env"),
        mode: Some(0o640),
        size: 4,
        digest: [0x5a; 32],
        head: piece(),
        credentials: credentials(),
    };
    let deeds = [
        Deed::Exec(Box::new(exec)),
        Deed::Plain(Box::new(plain)),
        Deed::Delete(credential()),
        Deed::Question(reason()),
    ];
    let object = |deed| ActionObject {
        session: [0x11; 16],
        policy: [0x22; 32],
        id: ApprovalId(8),
        connection: 2,
        rule: Some(name("any")),
        why: Some(reason()),
        quorum: 2,
        deed,
        reason: Some(reason()),
    };
    deeds.map(object).into()
}

fn requests() -> Vec<a::Request> {
    vec![
        a::Request::Hello { version: VERSION },
        a::Request::Exec {
            tag: 7,
            argv: argv(),
            cwd: Some(path("/workspace/sub")),
            rule: Some(name("any")),
            timeout_ms: Some(1000),
            credentials: credentials(),
            reason: Some(reason()),
            patience_ms: Some(5000),
        },
        a::Request::Signal { id: ReqId(9), signal: SignalNo::new(15).unwrap() },
        a::Request::Write {
            tag: 7,
            path: path(".env"),
            mode: Some(0o640),
            values: a::Values::Plain,
            size: 4,
            reason: Some(reason()),
            patience_ms: Some(5000),
        },
        a::Request::Content { bytes: piece() },
        a::Request::Commit,
        a::Request::Read { tag: 7, path: path(".env") },
        a::Request::Credentials { tag: 7, after: Some(credential()) },
        a::Request::Ask { tag: 7, name: credential(), reason: reason() },
        a::Request::Delete {
            tag: 7,
            name: credential(),
            reason: Some(reason()),
            patience_ms: Some(5000),
        },
        a::Request::AskApproval { tag: 7, question: reason(), patience_ms: Some(5000) },
        a::Request::Log {
            tag: 7,
            after: 8,
            since_ms: 9,
            level: a::Level::Warning,
            pattern: Some(reason()),
        },
    ]
}

fn answers() -> Vec<a::Answer> {
    let report = a::Report {
        outcome: a::Outcome::Ended(Code::WallTime),
        usage: usage(),
        stdout_bytes: 5,
        stderr_bytes: 6,
        output_cut: true,
        protected: protected(),
        masked: 2,
        withheld: true,
        receipt: Some(receipt()),
    };
    let written = a::Written {
        values: a::Values::Sealed,
        credentials: credentials(),
        near_misses: List::new(vec![(3, 4)]).unwrap(),
    };
    let spot = a::Spot {
        key: Some(credential()),
        line: 3,
        column: 4,
        context: name("json"),
        what: reason(),
    };
    let known = a::Known {
        name: credential(),
        there: true,
        env: true,
        file: false,
        changed: 5,
        used: 6,
        asked: true,
    };
    vec![
        a::Answer::Welcome { version: VERSION, tier: Tier::Container },
        a::Answer::Started { tag: 7, id: ReqId(9) },
        a::Answer::Refused {
            tag: 7,
            denial: a::Denial { code: Code::RuleDenies, why: Some(reason()) },
        },
        a::Answer::Exited { id: ReqId(9), report: Box::new(report) },
        a::Answer::NoSuchCommand { id: ReqId(9), code: Code::UnknownCommand },
        a::Answer::Written { tag: 7, written: Box::new(written) },
        a::Answer::Misplaced { tag: 7, code: Code::BadPlaceholder, spot: Box::new(spot) },
        a::Answer::Text { tag: 7, bytes: piece(), last: true },
        a::Answer::Credentials { tag: 7, list: List::new(vec![known]).unwrap(), more: true },
        a::Answer::Asked { tag: 7, request: 8 },
        a::Answer::Waiting { tag: 7, approval: ApprovalId(8), left_ms: 300_000 },
        a::Answer::Approved { tag: 7 },
        a::Answer::Log {
            tag: 7,
            list: List::new(vec![a::Logged {
                number: 8,
                at_ms: 9,
                level: a::Level::Notice,
                event: name("denied"),
                req: Some(ReqId(3)),
                code: Some(Code::RuleDenies),
                text: reason(),
            }])
            .unwrap(),
            next: 8,
        },
    ]
}

fn orders() -> Vec<o::Order> {
    vec![
        o::Order::Hello { version: VERSION, token: [0xc3; o::TOKEN] },
        o::Order::Status,
        o::Order::Kill { id: ReqId(9) },
        o::Order::KillAll,
        o::Order::Shutdown,
        o::Order::Put { name: credential(), size: 6, force: true },
        o::Order::Value { bytes: secret() },
        o::Order::Keep,
        o::Order::Revoke { name: credential() },
        o::Order::Delete { name: credential() },
        o::Order::Credentials { after: Some(credential()) },
        o::Order::Requests,
        o::Order::Dismiss { request: 8 },
        o::Order::Approvals { after: Some(ApprovalId(8)) },
        o::Order::Show { id: ApprovalId(8), from: 9 },
        o::Order::Decide {
            id: ApprovalId(8),
            digest: [0x5a; 32],
            verdict: o::Verdict::Deny,
            reason: Some(reason()),
        },
        o::Order::Await { seen: 5 },
    ]
}

fn replies() -> Vec<o::Reply> {
    let running =
        o::Running { id: ReqId(9), rule: name("any"), argv: argv(), cut: true, age_ms: 12 };
    let status = o::Status {
        session: [0x11; 16],
        tier: Tier::Rootless,
        age_ms: 1,
        accepted: 2,
        refused: 3,
        connections: 4,
        running: List::new(vec![running]).unwrap(),
        running_count: 5,
        credentials: 6,
        vault: 7,
        arena: name("memfd-secret"),
        masked: 8,
        requests: 9,
        approvals: 10,
    };
    let held = o::Held {
        name: credential(),
        there: true,
        revoked: true,
        env: false,
        file: true,
        created: 1,
        changed: 2,
        version: 3,
        used: 4,
        holders: 5,
    };
    let request = o::Request { id: 8, name: credential(), reason: reason(), age_ms: 12, times: 2 };
    let pending = o::Pending {
        id: ApprovalId(8),
        kind: o::Kind::Exec,
        rule: Some(name("any")),
        head: List::new(args(&["ls", "-l"])).unwrap(),
        cut: true,
        age_ms: 12,
        left_ms: 300_000,
        votes: 1,
        quorum: 2,
        approved: true,
        voted: true,
        times: 3,
    };
    vec![
        o::Reply::Welcome { version: VERSION, name: name(o::OPERATOR) },
        o::Reply::Status { status: Box::new(status) },
        o::Reply::Done,
        o::Reply::Refused { code: Code::NotOperator },
        o::Reply::Changed { version: 3, generation: 7, holders: 1 },
        o::Reply::Credentials { list: List::new(vec![held]).unwrap(), more: true },
        o::Reply::Requests { list: List::new(vec![request]).unwrap() },
        o::Reply::Approvals { list: List::new(vec![pending]).unwrap(), more: true },
        o::Reply::Shown { bytes: piece(), last: true },
        o::Reply::Decided { votes: 1, quorum: 2, settled: true },
        o::Reply::News { state: 5 },
    ]
}

fn commands() -> Vec<s::Command> {
    vec![
        s::Command::Ready,
        s::Command::Spawn { req: ReqId(9), profile: ProfileIx(1) },
        s::Command::Kill { req: ReqId(9) },
        s::Command::Shutdown { now: true },
    ]
}

fn events() -> Vec<s::Event> {
    vec![
        s::Event::Spawned { req: ReqId(9) },
        s::Event::SpawnFailed { req: ReqId(9), error: failed() },
        s::Event::Exited { req: ReqId(9), status: -9 },
        s::Event::Drain,
    ]
}

fn downs() -> Vec<w::Down> {
    vec![
        w::Down::Launch { launch: launch() },
        w::Down::LaunchAgent { launch: launch() },
        w::Down::Signal { signal: SignalNo::new(2).unwrap() },
        w::Down::Lease { id: LeaseId(5), name: FileName::new(".env").unwrap(), size: 6 },
        w::Down::LeaseBytes { bytes: secret() },
        w::Down::Link { link: Box::new(w::Link { path: path(".env"), id: LeaseId(5) }) },
        w::Down::Write {
            write: Box::new(w::Write { path: path(".env"), mode: Some(0o640), size: 6 }),
        },
        w::Down::WriteText { bytes: piece() },
        w::Down::WriteBytes { bytes: secret() },
        w::Down::WriteDone,
        w::Down::Examine { launch: launch() },
        w::Down::Go,
    ]
}

fn ups() -> Vec<w::Up> {
    vec![
        w::Up::Ready { receipt: Box::new(receipt()) },
        w::Up::Failed { error: failed() },
        w::Up::Exited {
            outcome: a::Outcome::Signalled(9),
            usage: usage(),
            protected: protected(),
            program: Some([0x5a; 32]),
            stamp: Some(stamp()),
        },
        w::Up::Filed { filed: w::Filed::NotPlain, errno: 40 },
        w::Up::Examined { files: Box::new(files()) },
    ]
}

fn records() -> Vec<r::Record> {
    vec![
        r::Record::Intent { req: ReqId(9), action: action() },
        r::Record::Denied { code: Code::NoRule, action: action() },
        r::Record::Outcome {
            req: ReqId(9),
            outcome: a::Outcome::Exited(3),
            usage: usage(),
            output: [5, 6],
            output_cut: true,
            protected: protected(),
            failed: Some(failed()),
            masked: 2,
            digests: Some(Box::new(r::Digests {
                argv: [0x11; 32],
                program: Some([0x22; 32]),
                stdin: Some(r::Input { bytes: 7, digest: [0x33; 32] }),
                output: Some([[0x44; 32], [0x55; 32]]),
                receipt: Some([0x66; 32]),
            })),
        },
        r::Record::Violation { channel: b'A', rule: name("wrong-fds") },
        r::Record::Order { order: name("kill"), req: Some(ReqId(9)), by: Some(name(o::OPERATOR)) },
        r::Record::Write {
            req: ReqId(9),
            write: Box::new(r::WriteRecord {
                connection: 2,
                path: path(".env"),
                values: a::Values::Sealed,
                size: 4,
                digest: [0x5a; 32],
                credentials: credentials(),
                reason: Some(reason()),
                approval: Some(ApprovalId(8)),
            }),
        },
        r::Record::Credential {
            verb: name("put"),
            name: credential(),
            connection: Some(2),
            reason: Some(reason()),
            code: Some(Code::UnknownCredential),
            approval: Some(ApprovalId(8)),
        },
        r::Record::Vault { what: name("opened"), vault: [0x11; 16], generation: 7 },
        r::Record::WriteDenied { code: Code::BadPath, connection: 2, path: path(".git/x") },
        r::Record::Examine { req: ReqId(9), approval: ApprovalId(8), action: action() },
        r::Record::Examined { req: ReqId(9), code: Some(Code::NotExaminable) },
        r::Record::Asked {
            approval: ApprovalId(8),
            kind: o::Kind::Exec,
            digest: [0x5a; 32],
            connection: 2,
            rule: Some(name("any")),
            quorum: 2,
            program: Some([0x5a; 32]),
            reason: Some(reason()),
        },
        r::Record::Voted {
            approval: ApprovalId(8),
            digest: [0x5a; 32],
            approver: name(o::OPERATOR),
            verdict: o::Verdict::Approve,
            reason: Some(reason()),
        },
        r::Record::Settled {
            approval: ApprovalId(8),
            digest: [0x5a; 32],
            how: name("approved"),
            approvers: List::new(vec![name(o::OPERATOR)]).unwrap(),
        },
        r::Record::Unasked { code: Code::CoolingDown, connection: 2, question: reason() },
        r::Record::Receipt { digest: [0x66; 32], receipt: Box::new(receipt()) },
    ]
}

fn accounts() -> Vec<r::Account> {
    vec![
        r::Account::Began { session: [0x11; 16], policy: [0x22; 32], tier: Tier::Full },
        r::Account::Spawned { req: ReqId(9), slot: 3, pid: 4242 },
        r::Account::Exited { req: ReqId(9), status: -15 },
        r::Account::SpawnFailed { req: ReqId(9), error: failed() },
        r::Account::AgentStarted { pid: 17 },
        r::Account::AgentExited { status: 1 },
        r::Account::BrokerLost,
        r::Account::Ended { status: 70 },
    ]
}

fn acks() -> Vec<r::Ack> {
    vec![r::Ack::Kept { count: 258 }, r::Ack::Refused { errno: 28 }]
}

fn forks() -> Vec<z::Fork> {
    vec![z::Fork::Worker { slot: 3 }, z::Fork::Sweep { slot: 3 }]
}

fn forked() -> Vec<z::Forked> {
    vec![
        z::Forked::Ready,
        z::Forked::Worker { slot: 3 },
        z::Forked::Failed { slot: 3, error: failed() },
    ]
}

//! `strongroom-bench-audit FOLDER [RECORDS]`: the audit log in figures. Records a
//! second that are signed and on the disk before they are acknowledged, with 64
//! writers and with one; records that are only accepted; then a log of a
//! million records verified and searched. Prints a table, and one JSON object
//! as the last line.
#![forbid(unsafe_code)]

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use strongroom_audit::folder::{key_file, segments};
use strongroom_audit::query::Filter;
use strongroom_audit::verify::{Evidence, verify};
use strongroom_protocol::channel::a::{Outcome, Usage};
use strongroom_protocol::channel::r::{Account, Ack, ActionRecord, Digests, Input, Record};
use strongroom_protocol::codec;
use strongroom_protocol::receipt::Tier;
use strongroom_protocol::types::{Arg, CredentialName, List, Name, ReqId};
use strongroom_recorder::disk::Folder;
use strongroom_recorder::log::{Limits, Log, Settings};
use strongroom_recorder::record::{Event, Writer};
use strongroom_recorder::vaults::Vaults;
use strongroom_recorder::{clock, serve};
use strongroom_sys::{fd, packet};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// How long each way of recording is measured.
const TIME: Duration = Duration::from_secs(3);

/// One command in so many carries the credential that is looked for.
const RARE: u64 = 10_000;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let base = args.next().ok_or("usage: strongroom-bench-audit FOLDER [RECORDS]")?;
    let records = args.next().map_or(Ok(1_000_000), |n| n.parse())?;
    let base = Path::new(&base).join(format!("strongroom-bench-{}", std::process::id()));
    std::fs::create_dir_all(&base)?;
    let done = measure(&base, records);
    std::fs::remove_dir_all(&base)?;
    println!("{}", Value::Object(done?));
    Ok(())
}

fn measure(base: &Path, records: u64) -> Result<Map<String, Value>> {
    let mut figures = Map::new();
    let mut figure = |key: &str, what: &str, value: f64, unit: &str| {
        println!("{what:<62} {value:>12.0} {unit}");
        figures.insert(key.to_owned(), json!(value.round()));
    };
    for (key, what, writers, durable) in [
        ("durable_1", "durable, one writer: one wait for the disk per record", 1, true),
        ("durable_64", "durable, 64 writers", 64, true),
        ("durable_512", "durable, 64 writers with 8 records under way each", 512, true),
        ("accepted_64", "accepted (on the disk 200 ms later), 64 writers", 64, false),
    ] {
        figure(key, what, recorded(&base.join(key), writers, durable)?, "records/s");
    }
    let log = base.join("log");
    let began = Instant::now();
    let work = processor_time()?;
    fill(&log, records)?;
    let work = (processor_time()? - work).as_secs_f64();
    let seconds = began.elapsed().as_secs_f64();
    figure(
        "written",
        "written, chained and signed by one thread, then compressed",
        records as f64 / seconds,
        "records/s",
    );
    figure(
        "written_core",
        "  the same for each second of processor time",
        records as f64 / work,
        "records/s",
    );
    let segments = segments(&log)?;
    let size: u64 =
        std::fs::read_dir(&log)?.filter_map(|e| e.ok()?.metadata().ok()).map(|m| m.len()).sum();
    figure(
        "bytes_per_record",
        "bytes a record on the disk, old files compressed",
        size as f64 / records as f64,
        "bytes",
    );
    let evidence = Evidence { key_file: key_file(&log), ..Evidence::default() };
    let cores = std::thread::available_parallelism()?.get();
    for threads in [1, cores] {
        let (began, work) = (Instant::now(), processor_time()?);
        let report = verify(&segments, &evidence, threads)?;
        let work = (processor_time()? - work).as_secs_f64();
        if !report.is_clean() {
            return Err(format!("{:?}", report.findings).into());
        }
        let rate = report.records as f64 / began.elapsed().as_secs_f64();
        figure(
            &format!("verified_{threads}"),
            &format!("verified, {threads} threads"),
            rate,
            "records/s",
        );
        let per_core = report.records as f64 / work;
        figure(
            &format!("verified_{threads}_core"),
            "  the same for each second of processor time",
            per_core,
            "records/s",
        );
    }
    for (key, what, credential) in [
        ("show_rare_ms", "`show --credential`, named by one command in 10,000", "DEPLOY_KEY"),
        ("show_all_ms", "`show --credential`, named by a quarter of all records", "GITHUB_TOKEN"),
    ] {
        let filter = Filter { credential: Some(credential.to_owned()), ..Filter::default() };
        let (began, work) = (Instant::now(), processor_time()?);
        let mut found = 0u64;
        filter.select(&segments, cores, &mut |_, _| found += 1)?;
        let milliseconds = began.elapsed().as_secs_f64() * 1e3;
        figure(key, &format!("{what}: {found} records"), milliseconds, "ms");
        let work = (processor_time()? - work).as_secs_f64() * 1e3;
        figure(&format!("{key}_core"), "  the same in processor time", work, "ms");
    }
    Ok(figures)
}

/// Of all threads so far: what a busy machine cannot falsify.
fn processor_time() -> Result<Duration> {
    Ok(Duration::from(nix::time::clock_gettime(nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID)?))
}

fn settings() -> Settings {
    Settings {
        session: "ab".repeat(16),
        boot: "bench".to_owned(),
        limits: Limits::default(),
        clock: clock::now,
    }
}

fn open(folder: &Path) -> Result<Log<Folder>> {
    std::fs::create_dir_all(folder)?;
    let path = CString::new(folder.to_str().ok_or("a path that is not UTF-8")?)?;
    let anchor = fd::anchor(&path)?;
    let folder = Folder::open(anchor.as_fd(), None).map_err(|e| e.to_string())?;
    Ok(Log::open(folder, settings()).map_err(|e| e.to_string())?)
}

/// Records a second, with so many under way at a time. A record is
/// acknowledged when it is signed and on the disk, or when it is written.
fn recorded(folder: &Path, writers: u64, durable: bool) -> Result<f64> {
    let log = open(folder)?;
    let vaults = Vaults::open(std::fs::File::open(folder)?.as_fd())?;
    let (broker, b) = packet::pair()?;
    let (supervisor, s) = packet::pair()?;
    let recorder = std::thread::spawn(move || serve(log, vaults, b, s).map(drop));
    let (mut sent, mut kept) = (0, 0);
    let began = Instant::now();
    while began.elapsed() < TIME {
        while sent < kept + writers {
            sent += 1;
            packet::send(broker.as_fd(), &codec::encode(&intent(sent, durable)?)?, &[])?;
        }
        kept = acknowledged(&broker)?;
    }
    let rate = kept as f64 / began.elapsed().as_secs_f64();
    drop((broker, supervisor));
    recorder.join().map_err(|_| "the recorder panicked")??;
    Ok(rate)
}

fn acknowledged(socket: &OwnedFd) -> Result<u64> {
    let mut buffer = [0; 64];
    let packet = packet::receive(socket.as_fd(), &mut buffer)?;
    match codec::decode(buffer.get(..packet.len).unwrap_or_default())? {
        Ack::Kept { count } => Ok(count),
        Ack::Refused { errno } => Err(format!("refused: {errno}").into()),
    }
}

/// A log of whole commands: four records each.
fn fill(folder: &Path, records: u64) -> Result<()> {
    let mut log = open(folder)?;
    let by_supervisor = |log: &mut Log<Folder>, account| {
        log.add(Writer::Supervisor, &Event::from(account));
    };
    let began = Account::Began { session: [0xab; 16], policy: [1; 32], tier: Tier::Full };
    by_supervisor(&mut log, began);
    for req in 1..=records / 4 {
        log.add(Writer::Broker, &Event::from(intent(req, true)?));
        by_supervisor(&mut log, Account::Spawned { req: ReqId(req), slot: req, pid: 1234 });
        by_supervisor(&mut log, Account::Exited { req: ReqId(req), status: 0 });
        log.add(Writer::Broker, &Event::from(outcome(req)));
        if req % 64 == 0 {
            log.write()?;
            log.maintain()?;
        }
    }
    by_supervisor(&mut log, Account::Ended { status: 0 });
    log.write()?;
    while log.pack() {}
    Ok(log.close()?)
}

fn intent(req: u64, durable: bool) -> Result<Record> {
    let name = if req.is_multiple_of(RARE) { "DEPLOY_KEY" } else { "GITHUB_TOKEN" };
    let credentials = if durable {
        vec![CredentialName::new(name).map_err(|e| format!("{e:?}"))?]
    } else {
        vec![]
    };
    let args = ["cargo", "build", "--release", "--package", "strongroom-recorder"];
    let argv: Vec<Arg> = args.into_iter().filter_map(|arg| Arg::new(arg).ok()).collect();
    let action = ActionRecord {
        connection: 1,
        argc: u32::try_from(argv.len())?,
        argv: List::new(argv).map_err(|_| "too many")?,
        argv_digest: None,
        cwd: None,
        rule: Name::new("build").ok(),
        profile: Name::new("build").ok(),
        credentials: List::new(credentials).map_err(|_| "too many")?,
        reason: None,
        approval: None,
    };
    Ok(Record::Intent { req: ReqId(req), action: Box::new(action) })
}

fn outcome(req: u64) -> Record {
    Record::Outcome {
        masked: 0,
        req: ReqId(req),
        outcome: Outcome::Exited(0),
        usage: Usage { wall_us: 1500, user_us: 700, system_us: 300, max_rss_kib: 2048 },
        output: [12, 0],
        output_cut: false,
        protected: List::empty(),
        failed: None,
        digests: Some(Box::new(Digests {
            argv: [1; 32],
            program: Some([2; 32]),
            stdin: Some(Input { bytes: 0, digest: [3; 32] }),
            output: Some([[4; 32], [5; 32]]),
            receipt: Some([6; 32]),
        })),
    }
}

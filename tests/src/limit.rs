//! The time a test has, and how a check that cannot run says so.

use std::cell::RefCell;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::place::Place;

/// Seconds a test has, if it says nothing else.
pub const SECONDS: u64 = 10;

type Pids = Arc<Mutex<Vec<i32>>>;

thread_local! {
    static STARTED: RefCell<Option<Pids>> = const { RefCell::new(None) };
}

/// Runs a test's body in a place, or skips it loudly where there is no such
/// place. A body that takes too long loses its processes, and fails.
pub fn run(place: Place, seconds: u64, body: fn(Place)) {
    if let Some(why) = place.missing() {
        return skip(&format!("{place:?}: {why}"));
    }
    within(seconds, move || body(place));
}

/// Runs a body with a hard limit of time.
pub fn within(seconds: u64, body: impl FnOnce() + Send + 'static) {
    let pids = Pids::default();
    let (done, finished) = mpsc::channel();
    let registry = Arc::clone(&pids);
    let thread = std::thread::Builder::new()
        .name(std::thread::current().name().unwrap_or("test").to_owned())
        .spawn(move || {
            STARTED.with(|s| *s.borrow_mut() = Some(registry));
            let _done = Done(done);
            body();
        })
        .unwrap();
    if finished.recv_timeout(Duration::from_secs(seconds)).is_ok() {
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
        return;
    }
    for pid in pids.lock().unwrap().iter() {
        let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
    }
    // With its processes gone the body ends, and says where it was.
    let _ = finished.recv_timeout(Duration::from_secs(5));
    panic!("over its limit of {seconds} s");
}

/// Says so when it is dropped, by a panic too.
struct Done(mpsc::Sender<()>);

impl Drop for Done {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// Notes a process that must go when the test runs out of time.
pub fn started(pid: u32) {
    let pid = i32::try_from(pid).unwrap();
    STARTED.with(|s| s.borrow().iter().for_each(|pids| pids.lock().unwrap().push(pid)));
}

/// Says that a check cannot run here. With `CI=true` that is a failure.
pub fn skip(why: &str) {
    static SKIPPED: AtomicUsize = AtomicUsize::new(0);
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{name} cannot run here: {why}");
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    // Not by eprintln!: that is kept back for tests that pass.
    let _ = writeln!(std::io::stderr(), "SKIPPED ({count} so far) {name}: {why}");
}

/// Waits until something holds; `false` when it does not in that time.
pub fn eventually(time: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + time;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

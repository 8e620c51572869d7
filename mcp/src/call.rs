//! One call, done over channel A by a thread of its own, while its client
//! hears of progress and may cancel it.

use std::time::{Duration, Instant};

use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::{RequestContext, RoleServer};
use strongroom_api::job::{Handle, Job};
use strongroom_api::shape::{Failure, Result as Shape};
use strongroom_client::run::{Event, Stream};
use strongroom_protocol::codes::Code;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::announce;
use crate::capture::Capture;

/// Between two messages about output.
const OUTPUT_PAUSE: Duration = Duration::from_millis(500);

/// How often a client hears that a silent command goes on.
const TICK: Duration = Duration::from_secs(5);

/// What came of it.
#[derive(Debug)]
pub struct Finished {
    /// The result.
    pub done: Result<Shape, Failure>,
    /// A command ran.
    pub started: bool,
    /// What it wrote.
    pub stdout: Capture,
    /// Likewise.
    pub stderr: Capture,
}

/// What a client may hear of meanwhile. Nothing that a command wrote.
#[derive(Debug)]
enum Note {
    Waiting(u64),
    Started,
    Output(u64),
}

/// Does a job to its end; cancels it when the client does.
pub async fn perform(
    (job, handle): (Job, Handle),
    most: usize,
    inbox: Option<&str>,
    context: &RequestContext<RoleServer>,
) -> Finished {
    let (tell, mut notes) = unbounded_channel();
    let mut work = tokio::task::spawn_blocking(move || act(job, most, &tell));
    let mut progress = Progress::new(context);
    let mut tick = tokio::time::interval(TICK);
    let mut cancelled = false;
    loop {
        tokio::select! {
            biased;
            finished = &mut work => return finished.unwrap_or_else(|_| lost(most)),
            () = context.ct.cancelled(), if !cancelled => {
                cancelled = true;
                handle.cancel();
            }
            Some(note) = notes.recv() => {
                if let (Note::Waiting(approval), Some(url)) = (&note, inbox) {
                    announce::tell(context, url, *approval);
                }
                progress.note(&note, inbox);
                progress.say().await;
            }
            _ = tick.tick() => progress.say().await,
        }
    }
}

fn act(job: Job, most: usize, tell: &UnboundedSender<Note>) -> Finished {
    let (mut stdout, mut stderr) = (Capture::new(most), Capture::new(most));
    let (mut started, mut told) = (false, Instant::now());
    // A client that has gone hears nothing; the job is ended elsewhere.
    let say = |note| drop(tell.send(note));
    let done = job.act(&mut |event| match event {
        Event::Waiting(approval, _) => say(Note::Waiting(approval.0)),
        Event::Started(_) => {
            started = true;
            say(Note::Started);
        }
        Event::Output(stream, bytes) => {
            match stream {
                Stream::Stdout => stdout.push(bytes),
                Stream::Stderr => stderr.push(bytes),
            }
            if told.elapsed() >= OUTPUT_PAUSE {
                told = Instant::now();
                say(Note::Output(stdout.total() + stderr.total()));
            }
        }
        Event::Taken(_) => {}
    });
    Finished { done, started, stdout, stderr }
}

/// The thread ended in a way it cannot.
fn lost(most: usize) -> Finished {
    let done = Err(Failure::from(Code::Internal));
    Finished { done, started: true, stdout: Capture::new(most), stderr: Capture::new(most) }
}

/// Messages about one call, where its client asked for them.
struct Progress<'a> {
    context: &'a RequestContext<RoleServer>,
    token: Option<ProgressToken>,
    began: Instant,
    words: String,
}

impl<'a> Progress<'a> {
    fn new(context: &'a RequestContext<RoleServer>) -> Self {
        let token = context.meta.get_progress_token();
        Self { context, token, began: Instant::now(), words: "asked for".to_owned() }
    }

    fn note(&mut self, note: &Note, inbox: Option<&str>) {
        self.words = match (note, inbox) {
            (Note::Waiting(approval), Some(url)) => {
                format!("waiting for a human: approval {approval}, decided at {url}")
            }
            (Note::Waiting(approval), None) => format!("waiting for a human: approval {approval}"),
            (Note::Started, _) => "running".to_owned(),
            (Note::Output(bytes), _) => format!("running, {bytes} bytes of output"),
        };
    }

    /// Progress is the time that has gone by, which always grows.
    async fn say(&self) {
        let Some(token) = &self.token else { return };
        let seconds = self.began.elapsed().as_secs_f64();
        let param =
            ProgressNotificationParam::new(token.clone(), seconds).with_message(self.words.clone());
        let _ = self.context.peer.notify_progress(param).await;
    }
}

//! Channel S: the broker's end. Asks for workers and for their end, and
//! learns of both.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::OwnedFd;

use strongroom_protocol::channel::s::{Command, Event, FromBroker, ToBroker};
use strongroom_protocol::stage::StageError;
use strongroom_protocol::types::{ProfileIx, ReqId};
use strongroom_sys::Errno;
use tokio::sync::{Mutex, oneshot, watch};

use crate::log;
use crate::port::{Port, Received};

/// The supervisor, as the broker sees it.
#[derive(Debug)]
pub struct Supervisor {
    port: Port<ToBroker, FromBroker>,
    // Held while a packet is sent: after a Shutdown no Spawn may follow, or
    // the supervisor would have to take us for broken.
    sending: Mutex<()>,
    draining: watch::Sender<bool>,
    workers: RefCell<HashMap<ReqId, Expected>>,
}

/// A worker for one command.
#[derive(Debug)]
pub struct Worker {
    /// The broker's end of its channel W.
    pub socket: OwnedFd,
    /// Comes when it has ended and its jail is empty.
    pub exited: oneshot::Receiver<i32>,
}

/// Why there is no worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoWorker {
    /// The session is ending.
    Draining,
    /// A step of the supervisor's failed.
    Failed(StageError),
    /// The supervisor is gone.
    Lost,
}

/// What must come next for a command.
#[derive(Debug)]
enum Expected {
    Worker(oneshot::Sender<Result<Worker, StageError>>),
    Exit(oneshot::Sender<i32>),
}

impl Supervisor {
    /// Takes the channel over.
    ///
    /// # Errors
    /// errno of taking the socket over.
    pub fn new(socket: OwnedFd) -> Result<Self, Errno> {
        Ok(Self {
            port: Port::new(socket)?,
            sending: Mutex::new(()),
            draining: watch::Sender::new(false),
            workers: RefCell::default(),
        })
    }

    /// Says that the broker is locked down and serves.
    ///
    /// # Errors
    /// errno of sendmsg(2).
    pub async fn ready(&self) -> Result<(), Errno> {
        self.port.send(&Command::Ready, &[]).await
    }

    /// The session is ending: no worker is to be had any more.
    pub fn draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Waits until it does.
    pub async fn ending(&self) {
        let _ = self.draining.subscribe().wait_for(|draining| *draining).await;
    }

    /// Gets a worker of this profile for this command.
    ///
    /// # Errors
    /// [`NoWorker`].
    pub async fn spawn(&self, req: ReqId, profile: ProfileIx) -> Result<Worker, NoWorker> {
        let (sender, answer) = oneshot::channel();
        {
            let _sending = self.sending.lock().await;
            if self.draining() {
                return Err(NoWorker::Draining);
            }
            self.workers.borrow_mut().insert(req, Expected::Worker(sender));
            let spawn = Command::Spawn { req, profile };
            self.port.send(&spawn, &[]).await.map_err(|_| NoWorker::Lost)?;
        }
        answer.await.map_err(|_| NoWorker::Lost)?.map_err(NoWorker::Failed)
    }

    /// Ends a command's worker and all that is in its jail, if it has one.
    pub async fn kill(&self, req: ReqId) {
        let _sending = self.sending.lock().await;
        if self.workers.borrow().contains_key(&req) {
            // A lost supervisor is noticed by `listen`, and ends everything.
            let _ = self.port.send(&Command::Kill { req }, &[]).await;
        }
    }

    /// Ends the session: in order, or at once.
    pub async fn shutdown(&self, now: bool) {
        self.draining.send_replace(true);
        let _sending = self.sending.lock().await;
        let _ = self.port.send(&Command::Shutdown { now }, &[]).await;
    }

    /// Hears the supervisor until it is gone. Returns also when it says what
    /// cannot be: then nothing it says can be relied on.
    pub async fn listen(&self) {
        loop {
            match self.port.receive().await {
                Ok(None) => return,
                Ok(Some(received)) => {
                    if self.hear(received).is_none() {
                        log::line(format_args!("channel S: an event for no command of ours"));
                        return;
                    }
                }
                Err(broken) => {
                    log::line(format_args!("channel S: {broken:?}"));
                    return;
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Takes one event; `None` when it fits no command. Each Spawn has one
    /// answer, and each Spawned one Exited.
    fn hear(&self, received: Received<Event>) -> Option<()> {
        let mut workers = self.workers.borrow_mut();
        // The receivers may be gone: their commands have ended meanwhile.
        match received.message {
            Event::Spawned { req } => {
                let Some(Expected::Worker(sender)) = workers.remove(&req) else {
                    return None;
                };
                let (exit, exited) = oneshot::channel();
                workers.insert(req, Expected::Exit(exit));
                let socket = received.fds.into_iter().next()?;
                let _ = sender.send(Ok(Worker { socket, exited }));
            }
            Event::SpawnFailed { req, error } => {
                let Some(Expected::Worker(sender)) = workers.remove(&req) else {
                    return None;
                };
                let _ = sender.send(Err(error));
            }
            Event::Exited { req, status } => {
                let Some(Expected::Exit(sender)) = workers.remove(&req) else {
                    return None;
                };
                let _ = sender.send(status);
            }
            Event::Drain => {
                self.draining.send_replace(true);
            }
        }
        Some(())
    }
}

//! A listening socket, and no more guests at once than the limit.
//!
//! When the house is full, the newcomer takes the place of the guest who has
//! been silent longest: who says hello at once always gets in, and a crowd of
//! mute connections keeps nobody out, the operator least of all.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::Future;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use strongroom_protocol::limits::MAX_CONNECTIONS;
use strongroom_sys::{Errno, packet};
use tokio::task::AbortHandle;

use crate::log;
use crate::port::{errno, registered};

/// Whether a guest has said hello: set by the one who serves it.
pub type Known = Rc<Cell<bool>>;

/// Out of descriptors: wait for some to be closed.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug)]
struct Guest {
    task: AbortHandle,
    known: Known,
}

/// Takes connections for ever. `serve` makes the future that serves one;
/// `turn_away` says no to one for which there is no room.
///
/// # Errors
/// errno of taking the socket over.
pub async fn keep<F>(
    listener: OwnedFd,
    serve: impl Fn(OwnedFd, Known) -> F,
    turn_away: impl Fn(OwnedFd),
) -> Result<(), Errno>
where
    F: Future<Output = ()> + 'static,
{
    let listener = registered(listener)?;
    let mut guests: VecDeque<Guest> = VecDeque::new();
    loop {
        let mut ready = listener.readable().await.map_err(errno)?;
        match ready.try_io(|l| Ok(packet::accept(l.get_ref().as_fd())?)) {
            Ok(Ok(socket)) => {
                if !make_room(&mut guests) {
                    turn_away(socket);
                } else {
                    let known = Known::default();
                    let task = tokio::task::spawn_local(serve(socket, Rc::clone(&known)));
                    guests.push_back(Guest { task: task.abort_handle(), known });
                }
            }
            // The guest left before it was let in.
            Ok(Err(e)) if errno_is(&e, Errno::ECONNABORTED) => {}
            Ok(Err(e)) => {
                log::line(format_args!("cannot take a connection: {}", errno(e)));
                tokio::time::sleep(PAUSE).await;
            }
            Err(_would_block) => {}
        }
        tokio::task::yield_now().await;
    }
}

/// Finds a place for one more guest.
fn make_room(guests: &mut VecDeque<Guest>) -> bool {
    if guests.len() < MAX_CONNECTIONS {
        return true;
    }
    guests.retain(|guest| !guest.task.is_finished());
    if guests.len() < MAX_CONNECTIONS {
        return true;
    }
    let Some(silent) = guests.iter().position(|guest| !guest.known.get()) else {
        return false;
    };
    if let Some(guest) = guests.remove(silent) {
        // It has said nothing, so it has nothing that would need cleaning up.
        guest.task.abort();
    }
    true
}

fn errno_is(error: &std::io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}

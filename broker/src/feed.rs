//! Input on its way from a client to its command. It passes through the
//! broker because the record says what a command was given. Nothing is taken
//! out of it.

use std::os::fd::OwnedFd;

use strongroom_sys::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use crate::port::{errno, registered};
use crate::pump::{Chunk, widen, write_all};
use crate::tally::Tally;

/// Moves input until one end is closed, which closes the other, or until `over`
/// says that the command is over: then nobody reads it any more, whatever is
/// still open (attacks.md P08). Holds one chunk, so a command that does not
/// read holds its client up as it always would. Counts what has gone into the
/// command's pipe.
pub async fn run(source: OwnedFd, sink: OwnedFd, tally: &Tally, mut over: watch::Receiver<bool>) {
    let (Ok(source), Ok(sink)) = (registered(source), registered(sink)) else { return };
    tokio::select! {
        _ = forward(&source, &sink, tally) => {}
        // Its last reader is gone (pipe(7)): the client must hear of it, also
        // while it says nothing.
        _ = sink.ready(Interest::ERROR) => {}
        _ = over.wait_for(|over| *over) => {}
    }
}

async fn forward(
    source: &AsyncFd<OwnedFd>,
    sink: &AsyncFd<OwnedFd>,
    tally: &Tally,
) -> Result<(), Errno> {
    let mut chunk = Chunk::new();
    loop {
        let mut ready = source.readable().await.map_err(errno)?;
        match chunk.read(source.get_ref()) {
            Ok(0) => return Ok(()),
            Ok(_) => write_all(sink, chunk.bytes(), tally).await?,
            Err(Errno::EAGAIN) => {
                chunk.wipe();
                ready.clear_ready();
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        if chunk.grow() {
            widen(source);
            widen(sink);
        }
        // A firehose is always ready: let the others have their turn.
        tokio::task::yield_now().await;
    }
}

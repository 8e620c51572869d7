//! The receipts of a session: each one is on record once, and outcomes name it
//! by its digest.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};
use strongroom_protocol::channel::r::Record;
use strongroom_protocol::codec;
use strongroom_protocol::receipt::Receipt;
use tokio::sync::Mutex;

use crate::recorder::Recorder;

/// Those on record.
#[derive(Debug, Default)]
pub struct Receipts(Mutex<BTreeSet<[u8; 32]>>);

impl Receipts {
    /// Puts a receipt on record if it is not, and names it: SHA-256 over its
    /// encoding on the wire.
    pub async fn record(&self, recorder: &Recorder, receipt: &Receipt) -> Option<[u8; 32]> {
        let digest = Sha256::digest(codec::encode(receipt).ok()?).into();
        // Held until the record is on its way: an outcome that names it must
        // not overtake it.
        let mut recorded = self.0.lock().await;
        if recorded.insert(digest) {
            let record = Record::Receipt { digest, receipt: Box::new(receipt.clone()) };
            // A lost log is noticed by its listener, and ends everything.
            let _ = recorder.record(&record).await;
        }
        Some(digest)
    }
}

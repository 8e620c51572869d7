//! What a human is asked, as bytes, and what tells it from all else.

use sha2::{Digest as _, Sha256};
use strongroom_protocol::action::{ActionObject, DIGEST_PREFIX, Deed};
use strongroom_protocol::channel::o::Kind;
use strongroom_protocol::codec::WireError;
use strongroom_protocol::types::{ApprovalId, Arg, List, Name};

use crate::account::shorten;

/// Arguments, and bytes of them, shown of one request in a list: so that a
/// page of them fits one packet.
const SHOWN: (usize, usize) = (16, 512);

/// SHA-256 of an action object's bytes, as a decision names it.
#[must_use]
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(DIGEST_PREFIX).chain_update(bytes).finalize().into()
}

/// What a human is asked for.
#[derive(Debug, Clone)]
pub struct Petition {
    /// The bytes that are decided on.
    pub bytes: Vec<u8>,
    /// Their digest.
    pub digest: [u8; 32],
    /// The request's number.
    pub id: ApprovalId,
    /// What for.
    pub kind: Kind,
    /// The rule that asks.
    pub rule: Option<Name>,
    /// The agent's connection.
    pub connection: u64,
    /// The digest it would have whoever asked, and whenever.
    pub likeness: [u8; 32],
    /// Its beginning, for a list.
    pub head: List<Arg, 16>,
    /// There is more of it.
    pub cut: bool,
}

impl Petition {
    /// Puts an action object into bytes.
    ///
    /// # Errors
    /// [`WireError::TooBig`].
    pub fn new(object: &ActionObject) -> Result<Self, WireError> {
        let bytes = object.encode()?;
        let anybody = ActionObject { id: ApprovalId(0), connection: 0, ..object.clone() };
        let (kind, head) = head(&object.deed);
        let (head, cut) = shorten(&head, SHOWN.0, SHOWN.1);
        Ok(Self {
            digest: digest(&bytes),
            bytes,
            id: object.id,
            kind,
            rule: object.rule.clone(),
            connection: object.connection,
            likeness: digest(&anybody.encode()?),
            head: List::new(head).unwrap_or_else(|_| List::empty()),
            cut,
        })
    }
}

fn head(deed: &Deed) -> (Kind, Vec<Arg>) {
    let one = |bytes: &[u8]| Arg::new(bytes).into_iter().collect();
    match deed {
        Deed::Exec(exec) => (Kind::Exec, exec.argv.as_slice().to_vec()),
        Deed::Plain(file) => (Kind::Plain, one(file.path.as_bytes())),
        Deed::Delete(name) => (Kind::Delete, one(name.as_bytes())),
        Deed::Question(question) => (Kind::Question, one(question.as_bytes())),
    }
}

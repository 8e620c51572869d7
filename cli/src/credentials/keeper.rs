//! Who keeps the credentials: the broker of the session that uses the state
//! folder, or, where none does, the vault file in it.

use strongroom_protocol::channel::o::{Held, Order, Reply};
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::{MAX_PIECE, MAX_SECRET};
use strongroom_protocol::types::{CredentialName, SecretBytes};
use strongroom_vault as vault;
use strongroom_vault::limits::MAX_BODY;

use crate::args::credentials::Where;
use crate::error::Failure;
use crate::operator::{self, Line};
use crate::secret;
use crate::state::Wanted;
use crate::state::idle::Idle;
use crate::store::{self, Store};
use crate::{key, value};

/// It.
pub enum Keeper {
    /// A session's broker.
    Broker(Box<Line>),
    /// The file.
    File(Box<Store>),
}

/// What a change came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The credential's version; 0: it is gone.
    pub version: u64,
    /// The vault file's generation; 0: it is kept in memory only.
    pub generation: u64,
    /// Commands that held it and are being ended.
    pub holders: u32,
}

impl Change {
    /// What is said about it: a line.
    pub fn text(&self, what: &str, name: &CredentialName) -> String {
        let version = match self.version {
            0 => String::new(),
            version => format!(", version {version}"),
        };
        let kept = match self.generation {
            0 => "; in memory only, until the session ends".to_owned(),
            generation => format!("; vault generation {generation}"),
        };
        let holders = match self.holders {
            0 => String::new(),
            1 => "; 1 command that held it is ended".to_owned(),
            many => format!("; {many} commands that held it are ended"),
        };
        format!("{}: {what}{version}{kept}{holders}\n", name.as_str())
    }
}

impl Keeper {
    /// Finds out who. From here on this process may hold a secret.
    ///
    /// # Errors
    /// [`Code::NotOperator`], [`Code::NoVault`], [`Code::VaultLocked`] …
    pub fn open(place: &Where) -> Result<Self, Failure> {
        Self::open_for(place, key::given(&place.key)?, 1)
    }

    /// The same, for so many new values, with a key that is in hand already.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_for(
        place: &Where,
        given: Option<key::Source>,
        values: usize,
    ) -> Result<Self, Failure> {
        secret::seclude()?;
        match operator::connect(&place.state) {
            Ok(line) => Ok(Self::Broker(Box::new(line))),
            Err(failure) if failure.code == Code::NoSession => {
                let idle = Idle::existing(Wanted::from(place.state.folder.as_deref()))?;
                let new = values.saturating_mul(MAX_SECRET).min(MAX_BODY);
                Ok(Self::File(Box::new(Store::open(idle, given, new)?)))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Enters a value.
    ///
    /// # Errors
    /// Why it was not.
    pub fn put(
        &mut self,
        name: &CredentialName,
        value: &[u8],
        force: bool,
    ) -> Result<Change, Failure> {
        match self {
            Self::Broker(line) => enter(line, name, value, force),
            Self::File(store) => {
                let change = store.vault.put(name.clone(), value, force, store::now());
                changed(change, store)
            }
        }
    }

    /// Erases a value and keeps its name.
    ///
    /// # Errors
    /// Why not.
    pub fn revoke(&mut self, name: &CredentialName) -> Result<Change, Failure> {
        match self {
            Self::Broker(line) => order(line, &Order::Revoke { name: name.clone() }),
            Self::File(store) => changed(store.vault.revoke(name, store::now()), store),
        }
        .map_err(|failure| about(failure, name))
    }

    /// Forgets a credential.
    ///
    /// # Errors
    /// Why not.
    pub fn delete(&mut self, name: &CredentialName) -> Result<Change, Failure> {
        match self {
            Self::Broker(line) => order(line, &Order::Delete { name: name.clone() }),
            Self::File(store) => changed(store.vault.delete(name), store),
        }
        .map_err(|failure| about(failure, name))
    }

    /// All there are, without any value.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn list(&mut self) -> Result<Vec<Held>, Failure> {
        match self {
            Self::Broker(line) => pages(line),
            Self::File(store) => Ok(store.vault.entries().map(held).collect()),
        }
    }
}

/// Says which credential it is that is not there.
fn about(failure: Failure, name: &CredentialName) -> Failure {
    match failure.code {
        Code::UnknownCredential => Failure { message: name.as_str().to_owned(), ..failure },
        _ => failure,
    }
}

fn changed(change: Result<vault::Change, vault::Error>, store: &Store) -> Result<Change, Failure> {
    let vault::Change { version, generation } =
        change.map_err(|error| store::failure(error, &store.idle.path))?;
    Ok(Change { version, generation, holders: 0 })
}

fn order(line: &mut Line, order: &Order) -> Result<Change, Failure> {
    match operator::ask(line, order)? {
        Reply::Changed { version, generation, holders } => {
            Ok(Change { version, generation, holders })
        }
        other => Err(operator::unexpected(&other)),
    }
}

fn enter(
    line: &mut Line,
    name: &CredentialName,
    value: &[u8],
    force: bool,
) -> Result<Change, Failure> {
    let size = u32::try_from(value.len()).map_err(|_| value::too_long())?;
    line.send(&Order::Put { name: name.clone(), size, force })?;
    for piece in value.chunks(MAX_PIECE) {
        let bytes = SecretBytes::new(piece.to_vec()).map_err(|_| value::too_long())?;
        line.send(&Order::Value { bytes })?;
    }
    order(line, &Order::Keep)
}

fn pages(line: &mut Line) -> Result<Vec<Held>, Failure> {
    let mut all: Vec<Held> = Vec::new();
    loop {
        let after = all.last().map(|last| last.name.clone());
        let (list, more) = match operator::ask(line, &Order::Credentials { after })? {
            Reply::Credentials { list, more } => (list.into_vec(), more),
            other => return Err(operator::unexpected(&other)),
        };
        let over = !more || list.is_empty();
        all.extend(list);
        if over {
            return Ok(all);
        }
    }
}

/// A credential of the file. What the policy does with it is not known here.
fn held((name, entry): (&CredentialName, &vault::Entry)) -> Held {
    Held {
        name: name.clone(),
        there: entry.value().is_some(),
        revoked: entry.revoked().is_some(),
        env: false,
        file: false,
        created: entry.created(),
        changed: entry.rotated(),
        version: entry.version(),
        used: 0,
        holders: 0,
    }
}

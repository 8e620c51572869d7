//! `strongroom vault`: makes the vault file and looks after it, while no
//! session uses it.

mod files;
mod show;
mod witness;

use std::path::Path;

use strongroom_protocol::codes::Code;
use strongroom_vault::{Cost, Error, Label, NewSlot, Unlock, Vault as File, look};

use crate::args::State;
use crate::args::vault::{Key, NewKey, SlotVerb, Vault, Verb};
use crate::error::{Failure, print, shown};
use crate::key;
use crate::prompt::{self, Unasked};
use crate::secret;
use crate::state::Wanted;
use crate::state::idle::{self, Idle};
use crate::store::{self, Store, failure};
use crate::style::Style;
use files::NewFile;

/// Runs the verb and gives the exit status.
///
/// # Errors
/// A [`Failure`]; the vault is as it was before, where that is not said
/// otherwise.
pub fn vault(args: &Vault, json: bool) -> Result<i32, Failure> {
    match &args.verb {
        Verb::Init { state, new, label } => init(state, new, label, json),
        Verb::Slots { state } => slots(state, json),
        Verb::Slot { verb: SlotVerb::Add { state, key, new, label } } => {
            add(state, key, new, label, json)
        }
        Verb::Slot { verb: SlotVerb::Remove { slot, state, key } } => {
            let mut store = open(state, key)?;
            done(store.vault.remove_slot(*slot).map(drop), &store, json)
        }
        Verb::Rekey { state, key, label } => {
            let label = label_of(label)?;
            let mut store = open(state, key)?;
            let slot = NewSlot { label, unlock: &store.unlock, cost: cost()? };
            let rekeyed = store.vault.rekey(&[slot]).map(drop);
            done(rekeyed, &store, json)
        }
        Verb::Backup { file, state, key } => backup(file, state, key, json),
        Verb::Restore { file, state, key } => restore(file.as_deref(), state, key, json),
        Verb::Accept { state, key } => {
            let store = open(state, key)?;
            witness::accept(store.idle.log(), store.vault.id(), store.vault.generation())
                .map_err(|errno| witness::unusable(&store.idle.path, errno))?;
            tell(&store.vault, &store.idle.path, json)
        }
    }
}

fn open(state: &State, key: &Key) -> Result<Store, Failure> {
    let given = key::given(key)?;
    secret::seclude()?;
    Store::open(Idle::existing(wanted(state))?, given, 0)
}

fn wanted(state: &State) -> Wanted {
    Wanted::from(state.folder.as_deref())
}

/// Says what the vault is now, unless it failed.
fn done(changed: Result<(), Error>, store: &Store, json: bool) -> Result<i32, Failure> {
    changed.map_err(|error| failure(error, &store.idle.path))?;
    tell(&store.vault, &store.idle.path, json)
}

fn tell(vault: &File, state: &Path, json: bool) -> Result<i32, Failure> {
    let bytes = vault.backup().map_err(|error| failure(error, state))?;
    let sight = look::sight(&bytes).map_err(|error| failure(error, state))?;
    say(&sight, json);
    Ok(0)
}

fn say(sight: &look::Sight, json: bool) {
    print(&match json {
        true => show::json(sight),
        false => show::text(sight, Style::of(&std::io::stdout())),
    });
}

fn init(state: &State, new: &NewKey, label: &str, json: bool) -> Result<i32, Failure> {
    let source = NewSource::of(new)?;
    let label = label_of(label)?;
    secret::seclude()?;
    let idle = Idle::or_new(wanted(state))?;
    let fail = |error| failure(error, &idle.path);
    match look::read(idle.broker()) {
        Err(Error::Missing { .. }) => {}
        Err(error) => return Err(fail(error)),
        Ok(_) => return Err(fail(Error::Exists)),
    }
    let disk = store::disk(&idle)?;
    let arena = store::arena(0)?;
    let (unlock, file) = source.make(&idle.path, &arena)?;
    let slot = NewSlot { label, unlock: &unlock, cost: cost()? };
    let made = File::create(disk, &arena, &slot);
    let vault = settle(made, file).map_err(fail)?;
    tell(&vault, &idle.path, json)
}

fn add(state: &State, key: &Key, new: &NewKey, label: &str, json: bool) -> Result<i32, Failure> {
    key::distinct(key.descriptors().chain(new.descriptors()))?;
    let source = NewSource::of(new)?;
    let label = label_of(label)?;
    let mut store = open(state, key)?;
    let arena = store::arena(0)?;
    let (unlock, file) = source.make(&store.idle.path, &arena)?;
    let slot = NewSlot { label, unlock: &unlock, cost: cost()? };
    let added = settle(store.vault.add_slot(&slot).map(drop), file);
    done(added, &store, json)
}

/// A key file that was made for a change goes again when the change failed.
/// In doubt it stays: the vault may want it.
fn settle<T>(changed: Result<T, Error>, file: Option<NewFile>) -> Result<T, Error> {
    if let (Ok(_) | Err(Error::InDoubt(_)), Some(file)) = (&changed, file) {
        file.keep();
    }
    changed
}

/// Looks without the lock: a session may be using the vault.
fn slots(state: &State, json: bool) -> Result<i32, Failure> {
    let folder = idle::look(wanted(state))?;
    let path = wanted(state).path()?;
    let sight = look::read(std::os::fd::AsFd::as_fd(&folder))
        .and_then(|bytes| look::sight(&bytes))
        .map_err(|error| failure(error, &path))?;
    say(&sight, json);
    Ok(0)
}

/// Likewise: one whole generation of the file is copied.
fn backup(file: &Path, state: &State, key: &Key, json: bool) -> Result<i32, Failure> {
    let given = key::given(key)?;
    secret::seclude()?;
    let path = wanted(state).path()?;
    let folder = idle::look(wanted(state))?;
    let fail = |error| failure(error, &path);
    let bytes = look::read(std::os::fd::AsFd::as_fd(&folder)).map_err(fail)?;
    let arena = store::arena(bytes.len())?;
    let unlock = store::unlock(&key::find(given)?, &arena)?;
    let sight = look::verify(&bytes, &arena, &unlock).map_err(fail)?;
    NewFile::write(file, &bytes).map_err(|why| files::refused(file, &why))?.keep();
    say(&sight, json);
    Ok(0)
}

fn restore(file: Option<&Path>, state: &State, key: &Key, json: bool) -> Result<i32, Failure> {
    let given = key::given(key)?;
    secret::seclude()?;
    let idle = Idle::or_new(wanted(state))?;
    let bytes = match file {
        Some(file) => files::read(file).map_err(|why| files::refused(file, &why))?,
        None => files::previous(&idle)?,
    };
    let fail = |error| failure(error, file.unwrap_or(&idle.path));
    let sight = look::sight(&bytes).map_err(fail)?;
    let seen = witness::seen(idle.log(), sight.id)
        .map_err(|errno| witness::unusable(&idle.path, errno))?;
    let disk = store::disk(&idle)?;
    let arena = store::arena(bytes.len())?;
    let unlock = store::unlock(&key::find(given)?, &arena)?;
    let vault = File::restore(disk, &arena, &unlock, &bytes, seen).map_err(fail)?;
    tell(&vault, &idle.path, json)
}

fn label_of(text: &str) -> Result<Label, Failure> {
    Label::new(text).map_err(|error| Failure::new(Code::BadRequest, format!("--label: {error}")))
}

fn cost() -> Result<Cost, Failure> {
    Cost::for_this_machine()
        .map_err(|error| Failure::new(Code::VaultLocked, format!("a passphrase: {error}")))
}

/// Where what opens the vault from now on comes from.
enum NewSource {
    /// A new key file.
    File(std::path::PathBuf),
    /// Something that is there.
    There(key::Source),
    /// The terminal, twice.
    Terminal,
}

impl NewSource {
    fn of(new: &NewKey) -> Result<Self, Failure> {
        Ok(match (&new.file, new.key_fd, new.passphrase_fd) {
            (Some(file), _, _) => Self::File(file.clone()),
            (_, Some(number), _) => Self::There(key::Source::Descriptor(key::take_over(number)?)),
            (_, _, Some(number)) => Self::There(key::Source::Passphrase(key::take_over(number)?)),
            (None, None, None) => Self::Terminal,
        })
    }

    /// Asks, reads, or makes a key file.
    fn make(
        &self,
        state: &Path,
        arena: &strongroom_sys::secret::Arena,
    ) -> Result<(Unlock, Option<NewFile>), Failure> {
        match self {
            Self::There(source) => Ok((store::unlock(source, arena)?, None)),
            Self::Terminal => {
                let typed = prompt::ask_twice("New passphrase of the vault").map_err(no_answer)?;
                let unlock = arena.store(&typed).map_err(Error::from).and_then(Unlock::passphrase);
                Ok((unlock.map_err(|error| failure(error, state))?, None))
            }
            Self::File(path) => {
                if let Some(why) = files::unfit(path, state) {
                    return Err(files::refused(path, why));
                }
                let key = files::random_key()?;
                let file = NewFile::write(path, key.as_bytes())
                    .map_err(|why| files::refused(path, &why))?;
                let unlock = arena.store(key.as_bytes()).map_err(Error::from).and_then(Unlock::key);
                Ok((unlock.map_err(|error| failure(error, state))?, Some(file)))
            }
        }
    }
}

fn no_answer(why: Unasked) -> Failure {
    Failure::new(Code::BadRequest, format!("the new passphrase: {why}"))
        .hint("give --new-key FILE, --new-key-fd N or --new-passphrase-fd N")
}

/// How a path is shown when a file there is refused.
fn at(path: &Path, why: &str) -> String {
    format!("{}: {why}", shown(path))
}

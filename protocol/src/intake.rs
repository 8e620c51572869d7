//! What the start of a session hands to the broker beside the plan: the key
//! of the vault, and credentials found in the place (the start's environment,
//! folders of secret files). It is written by a child of `strongroom run` into
//! a memfd that the supervisor passes on without looking inside, and wiped by
//! the broker once it has been read.

use bincode::{Decode, Encode};
use zeroize::Zeroizing;

use crate::codec::{self, WireError};
use crate::types::{CredentialName, SecretValue};

/// What opens the vault.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Key {
    /// A passphrase.
    Passphrase(SecretValue),
    /// The content of a key file, or what came through a descriptor.
    File(SecretValue),
}

/// One credential to be taken over into memory. It hides one of the same name
/// in the vault file until the session ends.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Found {
    /// Its name.
    pub name: CredentialName,
    /// Its value.
    pub value: SecretValue,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Intake {
    /// The vault's key. `None`: there is no vault file, or the start fails.
    pub key: Option<Key>,
    /// Credentials found in the place.
    pub found: Vec<Found>,
}

impl Intake {
    /// Reads it.
    ///
    /// # Errors
    /// [`WireError`] when the bytes are not exactly one intake.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        codec::decode_intake(bytes)
    }

    /// Writes it.
    ///
    /// # Errors
    /// [`WireError::TooBig`] when it does not fit.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, WireError> {
        codec::encode_intake(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_and_shows_nothing() {
        let value = || SecretValue::new(b"correct horse".to_vec()).unwrap();
        let name = CredentialName::new("TOKEN").unwrap();
        let intake = Intake {
            key: Some(Key::Passphrase(value())),
            found: vec![Found { name, value: value() }],
        };
        let bytes = intake.encode().unwrap();
        assert_eq!(Intake::decode(&bytes), Ok(intake.clone()));
        assert_eq!(Intake::decode(&bytes[..bytes.len() - 1]), Err(WireError::Malformed));
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(Intake::decode(&longer), Err(WireError::TrailingBytes));
        assert!(!format!("{intake:?}").contains("horse"));
    }
}

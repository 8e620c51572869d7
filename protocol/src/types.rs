//! Newtypes that cannot hold bad values. Decoding is the only way in from a
//! socket, and it checks the bound before it allocates.

use bincode::de::read::Reader;
use bincode::de::{BorrowDecode, BorrowDecoder, Decoder};
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode, enc::Encoder};

use zeroize::Zeroize as _;

use crate::limits::{
    MAX_ARG, MAX_ARGS, MAX_CREDENTIAL_NAME, MAX_ENV_VALUE, MAX_FILE_NAME, MAX_NAME, MAX_PATH,
    MAX_PIECE, MAX_REASON, MAX_SECRET,
};

/// A value did not meet its type's rule. Says which type, never the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid(pub &'static str);

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not a valid {}", self.0)
    }
}

impl std::error::Error for Invalid {}

/// Reads a length, compares it with `max`, then reads that many bytes.
fn bounded_bytes<D: Decoder>(decoder: &mut D, max: usize) -> Result<Vec<u8>, DecodeError> {
    let claimed = u64::decode(decoder)?;
    let len = usize::try_from(claimed).unwrap_or(usize::MAX);
    if len > max {
        return Err(DecodeError::LimitExceeded);
    }
    decoder.claim_bytes_read(len)?;
    let mut bytes = vec![0; len];
    decoder.reader().read(&mut bytes)?;
    Ok(bytes)
}

fn encode_bytes<E: Encoder>(bytes: &[u8], encoder: &mut E) -> Result<(), EncodeError> {
    bytes.encode(encoder)
}

macro_rules! byte_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Vec<u8>);

        impl $name {
            /// Checks the rule of this type.
            ///
            /// # Errors
            /// [`Invalid`] when the bytes break it.
            pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, Invalid> {
                let bytes = bytes.into();
                let rule: fn(&[u8]) -> bool = $rule;
                if bytes.len() <= $max && rule(&bytes) {
                    Ok(Self(bytes))
                } else {
                    Err(Invalid($what))
                }
            }

            /// The bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }

            /// For people: lossy where it is not UTF-8, control characters escaped.
            #[must_use]
            pub fn display(&self) -> String {
                crate::text::visible(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({})", $what, self.display())
            }
        }

        impl Encode for $name {
            fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
                encode_bytes(&self.0, encoder)
            }
        }

        impl<C> Decode<C> for $name {
            fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
                Self::new(bounded_bytes(decoder, $max)?).map_err(|e| DecodeError::Other(e.0))
            }
        }

        bincode::impl_borrow_decode!($name);
    };
}

fn no_nul(bytes: &[u8]) -> bool {
    !bytes.contains(&0)
}

byte_type!(
    /// One argument of a command: any bytes but NUL.
    Arg, "argument", MAX_ARG, no_nul
);
byte_type!(
    /// A path: 1 to 4095 bytes, no NUL. Says nothing of where it leads.
    PathBytes, "path", MAX_PATH, |b| !b.is_empty() && no_nul(b)
);
byte_type!(
    /// An environment variable's name: `[A-Za-z_][A-Za-z0-9_]*`.
    EnvName, "environment name", MAX_CREDENTIAL_NAME, |b| {
        b.first().is_some_and(|c| c.is_ascii_alphabetic() || *c == b'_')
            && b.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'_')
    }
);
byte_type!(
    /// An environment variable's value: any bytes but NUL.
    EnvValue, "environment value", MAX_ENV_VALUE, no_nul
);
byte_type!(
    /// The name of a rule, profile or session: `[a-z0-9][a-z0-9_-]*`.
    Name, "name", MAX_NAME, |b| {
        b.first().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
            && b.iter().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_'))
    }
);
byte_type!(
    /// The name of a credential: `[A-Z_][A-Z0-9_]{0,127}`.
    CredentialName, "credential name", MAX_CREDENTIAL_NAME, |b| {
        b.first().is_some_and(|c| c.is_ascii_uppercase() || *c == b'_')
            && b.iter().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == b'_')
    }
);
byte_type!(
    /// The name of a file in its folder: no `/`, not `.` or `..`.
    FileName, "file name", MAX_FILE_NAME, |b| {
        !b.is_empty() && no_nul(b) && !b.contains(&b'/') && b != b"." && b != b".."
    }
);
byte_type!(
    /// A piece of a file's content, without any secret in it.
    Piece, "piece", MAX_PIECE, |_| true
);
byte_type!(
    /// The agent's own words about a request. Untrusted: shown escaped only.
    Reason, "reason", MAX_REASON, no_nul
);

macro_rules! secret_type {
    ($(#[$doc:meta])* $name:ident, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(Vec<u8>);

        impl $name {
            /// Takes the bytes over.
            ///
            /// # Errors
            /// [`Invalid`] when there are too many; they are wiped.
            pub fn new(mut bytes: Vec<u8>) -> Result<Self, Invalid> {
                if bytes.len() <= $max {
                    return Ok(Self(bytes));
                }
                bytes.zeroize();
                Err(Invalid("secret"))
            }

            /// The bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                self.0.zeroize();
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("secret")
            }
        }

        impl Encode for $name {
            fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
                encode_bytes(&self.0, encoder)
            }
        }

        impl<C> Decode<C> for $name {
            fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
                Self::new(bounded_bytes(decoder, $max)?).map_err(|e| DecodeError::Other(e.0))
            }
        }

        bincode::impl_borrow_decode!($name);
    };
}

secret_type!(
    /// A secret of at most [`MAX_PIECE`] bytes, or a piece of a longer one.
    /// Nothing shows it, and its memory is wiped.
    SecretBytes, MAX_PIECE
);
secret_type!(
    /// The whole value of a credential. Nothing shows it, and its memory is
    /// wiped.
    SecretValue, MAX_SECRET
);

/// A credential on its way into one worker's environment.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SecretVar {
    /// The credential's name, and the variable's.
    pub name: CredentialName,
    /// The value.
    pub value: SecretBytes,
}

/// Number of one sealed file within a session. Given by the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct LeaseId(pub u32);

impl LeaseId {
    /// Its folder beneath the plan's folder of leases.
    #[must_use]
    pub fn folder(self) -> String {
        format!("{:08x}", self.0)
    }

    /// Whether a folder's name is one of these.
    #[must_use]
    pub fn is_folder(name: &[u8]) -> bool {
        name.len() == 8 && name.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }
}

impl CredentialName {
    /// The name as text: its alphabet is ASCII.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("")
    }
}

impl Name {
    /// The name as text: its alphabet is ASCII.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("")
    }
}

/// A list of at most `MAX` items, checked before any is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> List<T, MAX> {
    /// Checks the length.
    ///
    /// # Errors
    /// [`Invalid`] when there are more than `MAX` items.
    pub fn new(items: Vec<T>) -> Result<Self, Invalid> {
        if items.len() <= MAX { Ok(Self(items)) } else { Err(Invalid("list length")) }
    }

    /// No items.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Vec::new())
    }

    /// The items.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// The items, owned.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T: Encode, const MAX: usize> Encode for List<T, MAX> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        (self.0.len() as u64).encode(encoder)?;
        self.0.iter().try_for_each(|item| item.encode(encoder))
    }
}

impl<C, T: Decode<C>, const MAX: usize> Decode<C> for List<T, MAX> {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let len = u64::decode(decoder)?;
        if len > MAX as u64 {
            return Err(DecodeError::LimitExceeded);
        }
        let mut items = Vec::new();
        for _ in 0..len {
            items.push(T::decode(decoder)?);
        }
        Ok(Self(items))
    }
}

impl<'de, C, T: Decode<C>, const MAX: usize> BorrowDecode<'de, C> for List<T, MAX> {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(
        decoder: &mut D,
    ) -> Result<Self, DecodeError> {
        Self::decode(decoder)
    }
}

/// The arguments of a command: at least one, the first is the program.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct Argv(List<Arg, MAX_ARGS>);

impl Argv {
    /// Checks that there is a program and that its name is not empty.
    ///
    /// # Errors
    /// [`Invalid`] otherwise, or when there are more than [`MAX_ARGS`].
    pub fn new(args: Vec<Arg>) -> Result<Self, Invalid> {
        match args.first() {
            Some(program) if !program.as_bytes().is_empty() => Ok(Self(List::new(args)?)),
            _ => Err(Invalid("argument list")),
        }
    }

    /// The arguments.
    #[must_use]
    pub fn as_slice(&self) -> &[Arg] {
        self.0.as_slice()
    }

    /// The program as the caller named it.
    #[must_use]
    pub fn program(&self) -> &[u8] {
        self.0.as_slice().first().map_or(b"", |a| a.as_bytes())
    }
}

impl<C> Decode<C> for Argv {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::new(List::<Arg, MAX_ARGS>::decode(decoder)?.into_vec())
            .map_err(|e| DecodeError::Other(e.0))
    }
}

bincode::impl_borrow_decode!(Argv);

/// One environment entry.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct EnvVar {
    /// The name.
    pub name: EnvName,
    /// The value.
    pub value: EnvValue,
}

/// Number of one command within a session. Given by the broker, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct ReqId(pub u64);

/// Number of one request for approval within a session. Given by the broker,
/// never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct ApprovalId(pub u64);

/// Index of a profile in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct ProfileIx(pub u16);

/// A signal a caller may send to its own command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode)]
pub struct SignalNo(u8);

impl SignalNo {
    /// HUP INT QUIT KILL USR1 USR2 TERM CONT STOP TSTP WINCH, by number.
    pub const ALLOWED: &[u8] = &[1, 2, 3, 9, 10, 12, 15, 18, 19, 20, 28];

    /// Checks that the signal is one of [`Self::ALLOWED`].
    ///
    /// # Errors
    /// [`Invalid`] otherwise.
    pub fn new(signal: u8) -> Result<Self, Invalid> {
        if Self::ALLOWED.contains(&signal) { Ok(Self(signal)) } else { Err(Invalid("signal")) }
    }

    /// The number, as in signal(7).
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0 as i32
    }
}

impl<C> Decode<C> for SignalNo {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::new(u8::decode(decoder)?).map_err(|e| DecodeError::Other(e.0))
    }
}

bincode::impl_borrow_decode!(SignalNo);

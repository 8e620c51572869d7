//! Webhooks by the Standard Webhooks specification, 1.0.0: a key pair, and a
//! message with its signature. A message says that something waits and which;
//! it never says what, and nothing in it can decide.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use ed25519_dalek::{Signer as _, SigningKey};
use strongroom_audit::base64;
use strongroom_protocol::channel::o::Kind;
use strongroom_protocol::text::hex;
use strongroom_protocol::types::{ApprovalId, Name};
use strongroom_sys::random;
use zeroize::Zeroizing;

use crate::time::rfc3339;

/// What a secret key begins with in text.
const SECRET: &str = "whsk_";

/// What a public key begins with in text.
const PUBLIC: &str = "whpk_";

/// Bytes of a key file, at most.
const MAX_FILE: u64 = 1024;

/// Signs messages.
pub struct Key(SigningKey);

impl Key {
    /// Makes a key and writes it into a new file that only its owner reads.
    ///
    /// # Errors
    /// The file is there already, or cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        random::fill(&mut *seed)?;
        let key = SigningKey::from_bytes(&seed);
        let pair = Zeroizing::new(key.to_keypair_bytes());
        let text = Zeroizing::new(format!("{SECRET}{}\n", *Zeroizing::new(base64::encode(&*pair))));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        Ok(Self(key))
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// It cannot be read, others can read it too, or it holds no key.
    pub fn read(path: &Path) -> io::Result<Self> {
        let bad = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
        let file = fs::File::open(path)?;
        if file.metadata()?.mode() & 0o077 != 0 {
            return Err(bad("others can read or write it: chmod 600"));
        }
        let mut text = Zeroizing::new(String::with_capacity(MAX_FILE as usize));
        file.take(MAX_FILE).read_to_string(&mut text)?;
        Self::parse(text.trim()).ok_or_else(|| bad("no key of the form whsk_BASE64 is in it"))
    }

    /// The seed, or as others write it the seed and the public key.
    fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(base64::decode(text.strip_prefix(SECRET)?)?);
        let seed = bytes.first_chunk::<32>()?;
        let key = SigningKey::from_bytes(seed);
        let whole = match bytes.len() {
            32 => true,
            64 => bytes.get(32..) == Some(key.verifying_key().as_bytes().as_slice()),
            _ => false,
        };
        whole.then_some(Self(key))
    }

    /// The public key, for receivers.
    #[must_use]
    pub fn public(&self) -> String {
        format!("{PUBLIC}{}", base64::encode(self.0.verifying_key().as_bytes()))
    }
}

/// What has happened to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Nothing more is to be decided; otherwise it waits.
    pub settled: bool,
    /// When, seconds since 1970.
    pub at: u64,
    /// The session.
    pub session: [u8; 16],
    /// The request.
    pub about: About,
}

/// A request, without what it asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its number.
    pub id: ApprovalId,
    /// What is asked for.
    pub kind: Kind,
    /// The rule that asks.
    pub rule: Option<Name>,
    /// What a decision on it is bound to.
    pub digest: [u8; 32],
}

/// A message that is sent until it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Names it, also when it is sent again.
    pub id: String,
    /// The body.
    pub payload: String,
}

impl Message {
    /// A message about an event.
    ///
    /// # Errors
    /// The kernel gives no randomness.
    pub fn new(event: &Event) -> io::Result<Self> {
        let mut id = [0; 16];
        random::fill(&mut id)?;
        let About { id: ApprovalId(number), kind, rule, digest } = &event.about;
        // No text in it needs an escape: their alphabets are a-z, 0-9, - and _.
        let rule = rule.as_ref().map_or("null".to_owned(), |rule| format!("\"{}\"", rule.as_str()));
        Ok(Self {
            id: format!("msg_{}", hex(&id)),
            payload: format!(
                "{{\"type\":\"approval.{}\",\"timestamp\":\"{}\",\"data\":{{\"approval\":{number},\"kind\":\"{}\",\
                 \"rule\":{rule},\"digest\":\"{}\",\"session\":\"{}\"}}}}",
                if event.settled { "settled" } else { "waiting" },
                rfc3339(event.at),
                kind.as_str(),
                hex(digest),
                hex(&event.session),
            ),
        })
    }

    /// The signature of an attempt at this time.
    #[must_use]
    pub fn signature(&self, key: &Key, timestamp: u64) -> String {
        let signed = format!("{}.{timestamp}.{}", self.id, self.payload);
        format!("v1a,{}", base64::encode(&key.0.sign(signed.as_bytes()).to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signature, VerifyingKey};
    use std::os::unix::fs::PermissionsExt as _;

    fn event() -> Event {
        Event {
            settled: false,
            at: 951_782_400,
            session: [0xab; 16],
            about: About {
                id: ApprovalId(7),
                kind: Kind::Exec,
                rule: Some(Name::new("git-push").unwrap()),
                digest: [0xcd; 32],
            },
        }
    }

    #[test]
    fn a_message() {
        let message = Message::new(&event()).unwrap();
        assert_eq!(
            message.payload,
            format!(
                "{{\"type\":\"approval.waiting\",\"timestamp\":\"2000-02-29T00:00:00Z\",\"data\":{{\"approval\":7,\
                 \"kind\":\"exec\",\"rule\":\"git-push\",\"digest\":\"{}\",\"session\":\"{}\"}}}}",
                "cd".repeat(32),
                "ab".repeat(16)
            )
        );
        assert!(message.id.starts_with("msg_") && !message.id.contains('.'));
        assert_ne!(message.id, Message::new(&event()).unwrap().id);
        let about = About { rule: None, ..event().about };
        let settled = Message::new(&Event { settled: true, about, ..event() }).unwrap();
        assert!(
            settled.payload.contains("\"approval.settled\"")
                && settled.payload.contains("\"rule\":null")
        );
    }

    #[test]
    fn signatures_verify() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::create(&folder.path().join("key")).unwrap();
        let message = Message::new(&event()).unwrap();
        let signature = message.signature(&key, 1_674_087_231);
        let bytes = base64::decode(signature.strip_prefix("v1a,").unwrap()).unwrap();
        let public = base64::decode(key.public().strip_prefix("whpk_").unwrap()).unwrap();
        let public = VerifyingKey::from_bytes(public.first_chunk().unwrap()).unwrap();
        let signature = Signature::from_slice(&bytes).unwrap();
        let verify = |text: String| public.verify_strict(text.as_bytes(), &signature).is_ok();
        assert!(verify(format!("{}.1674087231.{}", message.id, message.payload)));
        assert!(!verify(format!("{}.1674087232.{}", message.id, message.payload)));
    }

    #[test]
    fn key_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key = Key::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Key::create(&path).is_err(), "it is not written over");
        assert_eq!(Key::read(&path).unwrap().public(), key.public());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(Key::read(&path).is_err());
        // RFC 8032, section 7.1, test 1.
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec,
            0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03,
            0x1c, 0xae, 0x7f, 0x60,
        ];
        let key = Key::parse(&format!("whsk_{}", base64::encode(&seed))).unwrap();
        assert_eq!(key.public(), "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
        let other = [seed, [0; 32]].concat();
        for bad in
            ["", "whsk_", "whsk_AAAA", &format!("whsk_{}", base64::encode(&other)), "whsec_AAAA"]
        {
            assert!(Key::parse(bad).is_none(), "{bad}");
        }
    }
}

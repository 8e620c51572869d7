//! Who may come in: one-time codes, browsers' sessions, and the tokens of
//! forms. Pure: the clock and randomness come from outside.

use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use strongroom_protocol::text::hex;
use strongroom_sys::{Errno, random};
use zeroize::Zeroizing;

/// A code can be used this long.
pub const CODE_LIVES: Duration = Duration::from_secs(5 * 60);

/// A browser stays logged in this long.
pub const SESSION_LIVES: Duration = Duration::from_secs(12 * 3600);

/// Wrong codes until nobody can log in for a while.
const MAX_WRONG: u8 = 5;

/// How long then, the first time; twice as long each time after it.
const WAIT: Duration = Duration::from_secs(30);

/// But no longer.
const MAX_WAIT: Duration = Duration::from_secs(600);

/// Browsers that can be logged in at once; the oldest goes.
const MAX_SESSIONS: usize = 8;

/// Bytes of the key of forms' tokens: a block of SHA-256.
const KEY: usize = 64;

/// Bytes of a code: 128 bits.
const CODE: usize = 16;

/// Crockford's base32: no letter that looks like a digit.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The door.
pub struct Door {
    key: Zeroizing<[u8; KEY]>,
    code: Option<Code>,
    serial: u64,
    wrong: u8,
    wait: Duration,
    shut_until: Option<Instant>,
    sessions: Vec<Session>,
}

struct Code {
    digits: Zeroizing<String>,
    until: Instant,
}

/// Names a browser's session and says nothing of its cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionId([u8; 32]);

struct Session {
    id: SessionId,
    until: Instant,
}

/// A fresh code, to be printed.
pub type Printed = Zeroizing<String>;

/// Why a code does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// It is not the one, or is no longer.
    Wrong,
    /// It was wrong for the last time: nobody can log in for so long.
    Shut(Duration),
}

/// What a form is for: its token holds for nothing else.
#[derive(Debug, Clone, Copy)]
pub enum Bearer<'a> {
    /// Somebody who has not logged in yet.
    Stranger,
    /// A browser that has.
    Session(&'a SessionId),
}

impl Door {
    /// A door with a code, which is to be printed.
    ///
    /// # Errors
    /// The kernel gives no randomness.
    pub fn new(now: Instant) -> Result<(Self, Printed), Errno> {
        let mut key = Zeroizing::new([0; KEY]);
        random::fill(&mut *key)?;
        let mut door = Self {
            key,
            code: None,
            serial: 0,
            wrong: 0,
            wait: WAIT,
            shut_until: None,
            sessions: Vec::new(),
        };
        let code = door.new_code(now)?;
        Ok((door, code))
    }

    fn new_code(&mut self, now: Instant) -> Result<Printed, Errno> {
        let mut bytes = Zeroizing::new([0; CODE]);
        random::fill(&mut *bytes)?;
        let digits = base32(&*bytes);
        let printed = in_groups(&digits);
        self.serial += 1;
        self.code = Some(Code { digits, until: now + CODE_LIVES });
        Ok(printed)
    }

    /// Somebody stands before the door: a code is made if there is none that
    /// could be used, so that there is no more than one in [`CODE_LIVES`]
    /// unless it was used.
    ///
    /// # Errors
    /// The kernel gives no randomness.
    pub fn knock(&mut self, now: Instant) -> Result<Option<Printed>, Errno> {
        let usable = self.code.as_ref().is_some_and(|code| now < code.until);
        if usable || self.shut(now).is_some() {
            return Ok(None);
        }
        self.new_code(now).map(Some)
    }

    /// How long nobody can log in.
    #[must_use]
    pub fn shut(&self, now: Instant) -> Option<Duration> {
        self.shut_until.map(|until| until.saturating_duration_since(now)).filter(|d| !d.is_zero())
    }

    /// Tries a code. A right one is used up, and opens a session: the cookie.
    ///
    /// # Errors
    /// [`Closed`]; or the kernel gives no randomness.
    pub fn enter(&mut self, given: &[u8], now: Instant) -> Result<Result<Printed, Closed>, Errno> {
        if let Some(left) = self.shut(now) {
            return Ok(Err(Closed::Shut(left)));
        }
        let given = normal(given);
        let right = self.code.as_ref().is_some_and(|code| {
            now < code.until && self.same(code.digits.as_bytes(), given.as_bytes())
        });
        if right {
            self.code = None;
            self.wrong = 0;
            self.wait = WAIT;
            return self.open(now).map(Ok);
        }
        self.wrong += 1;
        if self.wrong < MAX_WRONG {
            return Ok(Err(Closed::Wrong));
        }
        let wait = self.wait;
        self.code = None;
        self.wrong = 0;
        self.wait = (wait * 2).min(MAX_WAIT);
        self.shut_until = Some(now + wait);
        Ok(Err(Closed::Shut(wait)))
    }

    fn open(&mut self, now: Instant) -> Result<Printed, Errno> {
        let mut bytes = Zeroizing::new([0; 32]);
        random::fill(&mut *bytes)?;
        let cookie = Zeroizing::new(hex(&*bytes));
        self.sessions.retain(|session| now < session.until);
        if self.sessions.len() >= MAX_SESSIONS {
            self.sessions.remove(0);
        }
        self.sessions.push(Session { id: id_of(cookie.as_bytes()), until: now + SESSION_LIVES });
        Ok(cookie)
    }

    /// The session of a cookie. What is compared are hashes, so how long it
    /// takes says nothing of the cookie.
    #[must_use]
    pub fn session(&self, cookie: &[u8], now: Instant) -> Option<SessionId> {
        let id = id_of(cookie);
        let known = self.sessions.iter().find(|session| session.id == id)?;
        (now < known.until).then_some(id)
    }

    /// Ends a session.
    pub fn leave(&mut self, id: &SessionId) {
        self.sessions.retain(|session| session.id != *id);
    }

    /// The token of a form.
    #[must_use]
    pub fn token(&self, bearer: Bearer<'_>, form: &str) -> String {
        hex(&self.mac(bearer, form).finalize().into_bytes())
    }

    /// Whether a form came with its token.
    #[must_use]
    pub fn is_token(&self, bearer: Bearer<'_>, form: &str, token: &[u8]) -> bool {
        self.same(self.token(bearer, form).as_bytes(), token)
    }

    fn mac(&self, bearer: Bearer<'_>, form: &str) -> Hmac<Sha256> {
        let mut mac = keyed(&self.key);
        match bearer {
            // Another one with each code.
            Bearer::Stranger => {
                mac.update(b"s");
                mac.update(&self.serial.to_be_bytes());
            }
            Bearer::Session(SessionId(id)) => {
                mac.update(b"b");
                mac.update(id);
            }
        }
        mac.update(form.as_bytes());
        mac
    }

    /// Compares in a time that says nothing of where they differ.
    fn same(&self, ours: &[u8], theirs: &[u8]) -> bool {
        let mac = |bytes: &[u8]| keyed(&self.key).chain_update(b"=").chain_update(bytes);
        mac(ours).verify(&mac(theirs).finalize().into_bytes()).is_ok()
    }
}

fn keyed(key: &[u8; KEY]) -> Hmac<Sha256> {
    Hmac::new(key.into())
}

fn id_of(cookie: &[u8]) -> SessionId {
    SessionId(Sha256::digest(cookie).into())
}

fn base32(bytes: &[u8]) -> Zeroizing<String> {
    // Made at its full size: a string that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2));
    let (mut held, mut bits) = (0u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(digit(held >> bits));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(digit(held << (5 - bits)));
    }
    text
}

fn digit(value: u32) -> char {
    ALPHABET.iter().cycle().nth(value as usize & 31).map_or('0', |byte| char::from(*byte))
}

fn in_groups(digits: &str) -> Printed {
    let mut text = Zeroizing::new(String::with_capacity(digits.len() * 2));
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && i % 4 == 0 {
            text.push('-');
        }
        text.push(c);
    }
    text
}

/// A code as somebody types it: in either case, with or without what stands
/// between groups, and with the letters that are none.
fn normal(given: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(given.len()));
    for byte in given {
        match byte.to_ascii_uppercase() {
            b' ' | b'-' | b'\t' | b'\r' | b'\n' => {}
            b'O' => text.push('0'),
            b'I' | b'L' => text.push('1'),
            other => text.push(char::from(other)),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *START.get_or_init(Instant::now) + Duration::from_secs(seconds)
    }

    fn enter(door: &mut Door, code: &str, seconds: u64) -> Result<Printed, Closed> {
        door.enter(code.as_bytes(), at(seconds)).unwrap()
    }

    #[test]
    fn codes_are_base32_in_groups() {
        assert_eq!(*base32(&[0; 16]), "0".repeat(26));
        assert_eq!(*base32(&[0xff; 16]), format!("{}W", "Z".repeat(25)));
        // RFC 4648's "foobar", in this alphabet.
        assert_eq!(*base32(b"foobar"), "CSQPYRK1E8");
        let (_, code) = Door::new(at(0)).unwrap();
        assert_eq!((code.len(), code.matches('-').count()), (26 + 6, 6));
        let (_, other) = Door::new(at(0)).unwrap();
        assert_ne!(*code, *other);
    }

    #[test]
    fn a_code_opens_once() {
        let (mut door, code) = Door::new(at(0)).unwrap();
        let cookie = enter(&mut door, &code, 1).unwrap();
        assert_eq!(cookie.len(), 64);
        assert!(door.session(cookie.as_bytes(), at(1)).is_some());
        assert_eq!(enter(&mut door, &code, 2), Err(Closed::Wrong));
    }

    #[test]
    fn a_code_as_somebody_types_it() {
        let (mut door, code) = Door::new(at(0)).unwrap();
        let typed = format!(" {}\n", code.replace('-', " ").replace('0', "o").replace('1', "l"));
        assert!(enter(&mut door, &typed.to_lowercase(), 1).is_ok());
    }

    #[test]
    fn a_code_gets_old() {
        let (mut door, code) = Door::new(at(0)).unwrap();
        assert!(door.knock(at(299)).unwrap().is_none());
        assert_eq!(enter(&mut door, &code, 300), Err(Closed::Wrong));
        let fresh = door.knock(at(300)).unwrap().unwrap();
        assert_ne!(*fresh, *code);
        assert!(door.knock(at(301)).unwrap().is_none());
        assert!(enter(&mut door, &fresh, 302).is_ok());
    }

    #[test]
    fn guessing_shuts_the_door() {
        let (mut door, code) = Door::new(at(0)).unwrap();
        for _ in 0..4 {
            assert_eq!(enter(&mut door, "ABCD", 1), Err(Closed::Wrong));
        }
        assert_eq!(enter(&mut door, "", 1), Err(Closed::Shut(Duration::from_secs(30))));
        // The right one, too late.
        assert_eq!(enter(&mut door, &code, 2), Err(Closed::Shut(Duration::from_secs(29))));
        assert!(door.knock(at(30)).unwrap().is_none());
        let fresh = door.knock(at(31)).unwrap().unwrap();
        assert_eq!(enter(&mut door, &code, 31), Err(Closed::Wrong), "it is no longer one");
        for _ in 0..3 {
            assert_eq!(enter(&mut door, &code, 31), Err(Closed::Wrong));
        }
        assert_eq!(enter(&mut door, &code, 31), Err(Closed::Shut(Duration::from_secs(60))));
        assert_eq!(enter(&mut door, &fresh, 92), Err(Closed::Wrong));
        for round in 0..8 {
            let now = 1_000 + round * 1_000;
            for _ in 0..5 {
                let _ = enter(&mut door, "x", now);
            }
        }
        assert_eq!(door.wait, MAX_WAIT);
        let now = 20_000;
        let fresh = door.knock(at(now)).unwrap().unwrap();
        assert!(enter(&mut door, &fresh, now).is_ok());
        assert_eq!(door.wait, WAIT);
    }

    #[test]
    fn sessions_end() {
        let (mut door, code) = Door::new(at(0)).unwrap();
        let cookie = enter(&mut door, &code, 0).unwrap();
        let hours = 12 * 3600;
        assert!(door.session(cookie.as_bytes(), at(hours - 1)).is_some());
        assert!(door.session(cookie.as_bytes(), at(hours)).is_none());
        assert!(door.session(b"", at(0)).is_none());
        let id = door.session(cookie.as_bytes(), at(0)).unwrap();
        door.leave(&id);
        assert!(door.session(cookie.as_bytes(), at(0)).is_none());
    }

    #[test]
    fn the_oldest_browser_goes() {
        let (mut door, first) = Door::new(at(0)).unwrap();
        let mut code = first;
        let mut cookies = Vec::new();
        for _ in 0..=MAX_SESSIONS {
            cookies.push(enter(&mut door, &code, 0).unwrap());
            code = door.knock(at(0)).unwrap().unwrap();
        }
        let known: Vec<bool> =
            cookies.iter().map(|c| door.session(c.as_bytes(), at(0)).is_some()).collect();
        assert_eq!(known.iter().filter(|k| **k).count(), MAX_SESSIONS);
        assert!(!known[0]);
    }

    #[test]
    fn a_token_holds_for_one_form_of_one_browser() {
        let (mut door, code) = Door::new(at(0)).unwrap();
        let stranger = door.token(Bearer::Stranger, "/login");
        assert!(door.is_token(Bearer::Stranger, "/login", stranger.as_bytes()));
        let one = enter(&mut door, &code, 0).unwrap();
        let code = door.knock(at(0)).unwrap().unwrap();
        let two = enter(&mut door, &code, 0).unwrap();
        let [one, two] = [one, two].map(|c| door.session(c.as_bytes(), at(0)).unwrap());
        assert!(!door.is_token(Bearer::Stranger, "/login", stranger.as_bytes()), "an older code's");
        let token = door.token(Bearer::Session(&one), "/kill");
        assert!(door.is_token(Bearer::Session(&one), "/kill", token.as_bytes()));
        assert!(!door.is_token(Bearer::Session(&one), "/logout", token.as_bytes()));
        assert!(!door.is_token(Bearer::Session(&two), "/kill", token.as_bytes()));
        assert!(!door.is_token(Bearer::Stranger, "/kill", token.as_bytes()));
        assert!(!door.is_token(Bearer::Session(&one), "/kill", b""));
        let (other, _) = Door::new(at(0)).unwrap();
        assert!(!other.is_token(Bearer::Session(&one), "/kill", token.as_bytes()));
    }
}

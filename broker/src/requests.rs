//! Credentials that agents ask for and a human has not entered yet.

use std::time::Instant;

use strongroom_protocol::channel::o::{self, MAX_REQUESTS};
use strongroom_protocol::codes::Code;
use strongroom_protocol::types::{CredentialName, List, Reason};

use crate::account::milliseconds;

/// What waits for a human, oldest first.
#[derive(Debug, Default)]
pub struct Requests {
    waiting: Vec<Request>,
    last: u32,
}

#[derive(Debug)]
struct Request {
    id: u32,
    name: CredentialName,
    reason: Reason,
    since: Instant,
    times: u32,
}

impl Requests {
    /// Adds one, or counts it to the one that waits for the same credential:
    /// the first reason stays, so that nobody changes it under a human's eyes.
    ///
    /// # Errors
    /// [`Code::TooManyAtOnce`] when as many wait as may.
    pub fn add(&mut self, name: &CredentialName, reason: &Reason) -> Result<u32, Code> {
        if let Some(known) = self.waiting.iter_mut().find(|r| r.name == *name) {
            known.times = known.times.saturating_add(1);
            return Ok(known.id);
        }
        if self.waiting.len() >= MAX_REQUESTS {
            return Err(Code::TooManyAtOnce);
        }
        self.last = self.last.wrapping_add(1);
        self.waiting.push(Request {
            id: self.last,
            name: name.clone(),
            reason: reason.clone(),
            since: Instant::now(),
            times: 1,
        });
        Ok(self.last)
    }

    /// One waits for this credential.
    pub fn waits_for(&self, name: &CredentialName) -> bool {
        self.waiting.iter().any(|r| r.name == *name)
    }

    /// The credential was entered.
    pub fn fulfilled(&mut self, name: &CredentialName) {
        self.waiting.retain(|r| r.name != *name);
    }

    /// Forgets one; the credential it was for.
    pub fn dismiss(&mut self, id: u32) -> Option<CredentialName> {
        let place = self.waiting.iter().position(|r| r.id == id)?;
        Some(self.waiting.remove(place).name)
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.waiting.len()
    }

    /// For the operator, each reason as `shown` gives it.
    pub fn list(&self, shown: impl Fn(&Reason) -> Reason) -> List<o::Request, MAX_REQUESTS> {
        let list = self.waiting.iter().map(|r| o::Request {
            id: r.id,
            name: r.name.clone(),
            reason: shown(&r.reason),
            age_ms: milliseconds(r.since.elapsed()),
            times: r.times,
        });
        List::new(list.collect()).unwrap_or_else(|_| List::empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> CredentialName {
        CredentialName::new(text).unwrap()
    }

    fn reason(text: &str) -> Reason {
        Reason::new(text).unwrap()
    }

    #[test]
    fn the_same_request_is_one_request_with_its_first_reason() {
        let mut requests = Requests::default();
        let id = requests.add(&name("A"), &reason("first")).unwrap();
        assert_eq!(requests.add(&name("A"), &reason("second")), Ok(id));
        let list = requests.list(Reason::clone);
        let [only] = list.as_slice() else { panic!("{list:?}") };
        assert_eq!((only.times, &only.reason), (2, &reason("first")));
        assert!(requests.waits_for(&name("A")) && !requests.waits_for(&name("B")));
    }

    #[test]
    fn bounded_and_over_when_entered_or_dismissed() {
        let mut requests = Requests::default();
        for n in 0..MAX_REQUESTS {
            requests.add(&name(&format!("K{n}")), &reason("x")).unwrap();
        }
        assert_eq!(requests.add(&name("MORE"), &reason("x")), Err(Code::TooManyAtOnce));
        requests.fulfilled(&name("K0"));
        let id = requests.add(&name("MORE"), &reason("x")).unwrap();
        assert_eq!(requests.dismiss(id), Some(name("MORE")));
        assert_eq!(requests.dismiss(id), None);
        assert_eq!(requests.count(), MAX_REQUESTS - 1);
    }
}

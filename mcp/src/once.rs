//! A call that is made again is not done again: a client that lost an answer
//! may ask for it once more under the same key.
//!
//! What is kept is kept for as long as this program runs, which is as long as
//! its client's connection. A call that was refused before anything was done
//! is not kept, so that it can be made again once it is allowed.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

use crate::reply::Reply;

/// Answers that are kept.
const MAX_KEPT: usize = 64;

/// Bytes of the longest key.
pub const MAX_KEY: usize = 128;

/// What is known of a key: nothing yet, or how it ended. `None` within: it
/// came to nothing, and may be made again.
type State = Option<Option<Reply>>;

/// The calls that were made under a key.
#[derive(Debug, Default)]
pub struct Once(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    calls: HashMap<String, Call>,
    /// Keys of those that are over, oldest first.
    over: VecDeque<String>,
}

#[derive(Debug)]
struct Call {
    what: u64,
    state: watch::Receiver<State>,
}

/// What a key stands for.
#[derive(Debug)]
pub enum Key {
    /// A call to be done now.
    New(Claim),
    /// One that was made before; wait for its end.
    Again(watch::Receiver<State>),
    /// Another call: a mistake.
    Other,
}

/// The right to do a call, and the duty to say what came of it.
#[derive(Debug)]
pub struct Claim {
    key: String,
    state: watch::Sender<State>,
}

impl Once {
    /// Looks a key up, and enters it where it is new.
    pub fn claim(&self, key: &str, tool: &str, arguments: &Value) -> Key {
        let mut hasher = DefaultHasher::new();
        // Maps of serde_json are in the order of their keys.
        (tool, arguments.to_string()).hash(&mut hasher);
        let what = hasher.finish();
        let mut book = self.book();
        match book.calls.get(key) {
            Some(call) if call.what != what => Key::Other,
            Some(call) => Key::Again(call.state.clone()),
            None => {
                let (sender, state) = watch::channel(None);
                book.calls.insert(key.to_owned(), Call { what, state });
                Key::New(Claim { key: key.to_owned(), state: sender })
            }
        }
    }

    /// Says what came of a call; `None`: nothing was done.
    pub fn settle(&self, claim: Claim, reply: Option<&Reply>) {
        let mut book = self.book();
        if reply.is_some() {
            book.over.push_back(claim.key);
            if book.over.len() > MAX_KEPT
                && let Some(oldest) = book.over.pop_front()
            {
                book.calls.remove(&oldest);
            }
        } else {
            book.calls.remove(&claim.key);
        }
        claim.state.send_replace(Some(reply.cloned()));
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a call that was made before; `None`: it came to nothing.
pub async fn end(mut state: watch::Receiver<State>) -> Option<Reply> {
    let over = state.wait_for(Option::is_some).await.ok()?;
    over.clone().flatten()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claim(once: &Once, key: &str) -> Claim {
        match once.claim(key, "t", &json!({"a": 1})) {
            Key::New(claim) => claim,
            other => panic!("{other:?}"),
        }
    }

    fn reply(n: u64) -> Reply {
        Reply::done(&json!({ "n": n }))
    }

    #[tokio::test]
    async fn the_second_gets_what_the_first_got() {
        let once = Once::default();
        let first = claim(&once, "k");
        let Key::Again(early) = once.claim("k", "t", &json!({"a": 1})) else { panic!() };
        let waiting = tokio::spawn(end(early));
        once.settle(first, Some(&reply(7)));
        assert_eq!(waiting.await.unwrap(), Some(reply(7)));
        let Key::Again(late) = once.claim("k", "t", &json!({"a": 1})) else { panic!() };
        assert_eq!(end(late).await, Some(reply(7)));
        assert!(matches!(once.claim("k", "t", &json!({"a": 2})), Key::Other));
        assert!(matches!(once.claim("k", "u", &json!({"a": 1})), Key::Other));
    }

    #[tokio::test]
    async fn what_came_to_nothing_may_be_made_again() {
        let once = Once::default();
        let first = claim(&once, "k");
        let Key::Again(early) = once.claim("k", "t", &json!({"a": 1})) else { panic!() };
        once.settle(first, None);
        assert_eq!(end(early).await, None);
        claim(&once, "k");
        // One whose doer is gone says nothing either.
        let Key::Again(orphan) = once.claim("k", "t", &json!({"a": 1})) else { panic!() };
        assert_eq!(end(orphan).await, None);
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let once = Once::default();
        for n in 0..=MAX_KEPT as u64 {
            once.settle(claim(&once, &n.to_string()), Some(&reply(n)));
        }
        claim(&once, "0");
        assert!(matches!(once.claim("1", "t", &json!({"a": 1})), Key::Again(_)));
        assert_eq!(once.book().calls.len(), MAX_KEPT + 1);
    }
}

//! Answers, each with the headers that keep a browser from doing more with it
//! than show it.

use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use sha2::{Digest as _, Sha256};
use strongroom_audit::base64;

use crate::guard::Refusal;
use crate::html::Html;
use crate::place::{Notice, Place};
use crate::style::SHEET;

/// How often a list asks for itself again.
const AGAIN: Duration = Duration::from_secs(10);

/// What is sent.
pub type Answer = Response<Full<Bytes>>;

/// An answer that is being made.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    page: Option<Html>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Reply {
    /// A page.
    #[must_use]
    pub fn page(page: Html) -> Self {
        Self { status: StatusCode::OK, page: Some(page), headers: Vec::new() }
    }

    /// Another page is to be looked at (RFC 9110, section 15.4.4).
    #[must_use]
    pub fn see(place: &Place, notice: Option<Notice>) -> Self {
        let query = notice.map_or_else(String::new, |n| format!("?told={}", n.word()));
        let reply = Self { status: StatusCode::SEE_OTHER, page: None, headers: Vec::new() };
        reply.header(header::LOCATION, &format!("{place}{query}"))
    }

    /// With another status.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The page shows itself again after a while, without what it was told.
    #[must_use]
    pub fn again(self, place: &Place) -> Self {
        self.header(header::REFRESH, &format!("{}; url={place}", AGAIN.as_secs()))
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        // Every value is made of ASCII of ours.
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    /// The answer.
    #[must_use]
    pub fn answer(self) -> Answer {
        let body = Bytes::from(self.page.map(Html::into_bytes).unwrap_or_default());
        let mut answer = Response::new(Full::new(body));
        *answer.status_mut() = self.status;
        let headers = answer.headers_mut();
        for (name, value) in always() {
            headers.insert(name, value);
        }
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        answer
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let reply = Self::page(crate::views::refused(refusal)).status(refusal.status());
        match refusal {
            Refusal::Method => reply.header(header::ALLOW, "GET, POST"),
            _ => reply,
        }
    }
}

fn always() -> Vec<(HeaderName, HeaderValue)> {
    let fixed = HeaderValue::from_static;
    let named = HeaderName::from_static;
    let mut headers = vec![
        (header::CONTENT_TYPE, fixed("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, fixed("no-store")),
        // With `no-referrer` a browser sends forms with `Origin: null` (Fetch,
        // "serialize a request origin"). No other origin learns anything.
        (header::REFERRER_POLICY, fixed("same-origin")),
        (header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
        (header::X_FRAME_OPTIONS, fixed("DENY")),
        (named("cross-origin-opener-policy"), fixed("same-origin")),
        (named("cross-origin-resource-policy"), fixed("same-origin")),
        (named("cross-origin-embedder-policy"), fixed("require-corp")),
    ];
    if let Ok(policy) = HeaderValue::from_str(&policy()) {
        headers.push((header::CONTENT_SECURITY_POLICY, policy));
    }
    headers
}

/// No script, no image, no frame; our own style, and forms of ours.
fn policy() -> String {
    format!(
        "default-src 'none'; style-src 'sha256-{}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        base64::encode(&Sha256::digest(SHEET))
    )
}

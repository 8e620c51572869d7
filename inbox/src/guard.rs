//! What every request must be, before anything is done with it: made for this
//! inbox, by a page of this inbox or by the human, in the one form that HTTP
//! has for it. Whatever is doubtful is refused.
//!
//! A page elsewhere can send requests to loopback from the human's browser
//! (CSRF), and can do so under a name of its own that leads to loopback (DNS
//! rebinding). It cannot choose `Host`, `Origin` and `Sec-Fetch-Site` of them
//! (Fetch, "forbidden request-header"; W3C Fetch Metadata).

use std::net::SocketAddr;

use hyper::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST, HeaderName, ORIGIN,
    TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode, Version};

/// Bytes of a form.
pub const MAX_BODY: usize = 128 * 1024;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// What is sent once or not at all.
const ONCE: [HeaderName; 7] =
    [HOST, ORIGIN, COOKIE, CONTENT_TYPE, CONTENT_LENGTH, FETCH_SITE, FETCH_DEST];

/// What no browser sends here, and what makes two readers of a request see
/// two different requests (RFC 9112, section 11.2).
const NEVER: [HeaderName; 4] = [TRANSFER_ENCODING, CONTENT_ENCODING, UPGRADE, EXPECT];

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not HTTP/1.1.
    Version,
    /// Neither GET nor POST.
    Method,
    /// Not the path of a page, or too long.
    Target,
    /// A header that comes twice.
    Twice,
    /// A header that has no place here.
    Header,
    /// Another host's.
    Host,
    /// From a page elsewhere.
    Origin,
    /// Likewise, as the browser says.
    Site,
    /// To be shown within another page.
    Framed,
    /// No form.
    Type,
    /// No length, or one that is too long.
    Length,
    /// The form came too slowly.
    Slow,
    /// No session.
    Session,
    /// The form has not its token.
    Token,
    /// A form, but none of ours.
    Form,
    /// There is no such page.
    Nowhere,
    /// The page has no form, or is only one.
    NotSo,
}

impl Refusal {
    /// The status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Method | Self::NotSo => StatusCode::METHOD_NOT_ALLOWED,
            Self::Target | Self::Twice | Self::Header | Self::Form => StatusCode::BAD_REQUEST,
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin | Self::Site | Self::Framed | Self::Session | Self::Token => {
                StatusCode::FORBIDDEN
            }
            Self::Type => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Length => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Nowhere => StatusCode::NOT_FOUND,
        }
    }

    /// Why, in words of ours: nothing of the request is in them.
    #[must_use]
    pub const fn why(self) -> &'static str {
        match self {
            Self::Version => "not HTTP/1.1",
            Self::Method => "neither GET nor POST",
            Self::Target => "the target is not the path of a page",
            Self::Twice => "a header came twice",
            Self::Header => "a header that has no place here",
            Self::Host => "the Host is not this inbox",
            Self::Origin => "the Origin is not this inbox",
            Self::Site => "another site's page made it",
            Self::Framed => "it is for showing this page within another",
            Self::Type => "not a form",
            Self::Length => "no length, or over 128 KiB",
            Self::Slow => "the form came too slowly",
            Self::Session => "nobody is logged in",
            Self::Token => "the form has not its token",
            Self::Form => "not a form of this inbox",
            Self::Nowhere => "no such page",
            Self::NotSo => "this page cannot be used so",
        }
    }
}

/// The names under which the inbox is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// Exactly these.
    Of(Vec<String>),
    /// A Unix socket is behind no name: names of loopback, with any port that
    /// somebody has forwarded to it.
    Forwarded,
}

impl Hosts {
    /// Those of a listening address.
    #[must_use]
    pub fn of(address: SocketAddr) -> Self {
        let mut names = vec![address.ip().to_string(), "localhost".to_owned()];
        match address {
            SocketAddr::V6(_) => names = vec!["[::1]".to_owned(), "localhost".to_owned()],
            // What `localhost` leads to is 127.0.0.1 and nothing else of 127/8.
            SocketAddr::V4(v4) if v4.ip().octets() != [127, 0, 0, 1] => names.truncate(1),
            SocketAddr::V4(_) => {}
        }
        let with_port = names.iter().map(|name| format!("{name}:{}", address.port()));
        let mut hosts: Vec<String> = with_port.collect();
        if address.port() == 80 {
            hosts.extend(names);
        }
        Self::Of(hosts)
    }

    fn has(&self, host: &str) -> bool {
        match self {
            Self::Of(names) => names.iter().any(|name| name == host),
            Self::Forwarded => ["localhost", "127.0.0.1", "[::1]"].iter().any(|name| {
                host.strip_prefix(name).is_some_and(|rest| {
                    rest.is_empty()
                        || rest.strip_prefix(':').is_some_and(|port| {
                            port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
                        })
                })
            }),
        }
    }
}

/// Looks at everything of a request but its body.
///
/// # Errors
/// Why it is refused.
pub fn check(parts: &Parts, hosts: &Hosts) -> Result<(), Refusal> {
    let Parts { method, uri, version, headers, .. } = parts;
    if *version != Version::HTTP_11 {
        return Err(Refusal::Version);
    }
    let posts = *method == Method::POST;
    if !posts && *method != Method::GET {
        return Err(Refusal::Method);
    }
    // The absolute form would bring a second host (RFC 9112, section 3.2.2).
    if uri.authority().is_some() || uri.scheme().is_some() || !uri.path().starts_with('/') {
        return Err(Refusal::Target);
    }
    if ONCE.iter().any(|name| headers.get_all(name).iter().count() > 1) {
        return Err(Refusal::Twice);
    }
    if NEVER.iter().any(|name| headers.contains_key(name)) {
        return Err(Refusal::Header);
    }
    let host = text(headers, &HOST).ok_or(Refusal::Host)?;
    if !hosts.has(host) {
        return Err(Refusal::Host);
    }
    let origin = headers.get(ORIGIN);
    if origin.is_some_and(|origin| origin.as_bytes() != format!("http://{host}").as_bytes()) {
        return Err(Refusal::Origin);
    }
    let site = headers.get(FETCH_SITE).map(|site| site.as_bytes());
    match site {
        Some(b"same-origin") => {}
        // Typed, or from a bookmark.
        Some(b"none") if !posts => {}
        // A client that says neither where it is nor who made it do this may
        // be a program of the human's, but a form comes from a page.
        None if !posts || origin.is_some() => {}
        _ => return Err(Refusal::Site),
    }
    if headers.get(FETCH_DEST).is_some_and(|dest| dest.as_bytes() != b"document") {
        return Err(Refusal::Framed);
    }
    if posts { form(headers) } else { no_body(headers) }
}

fn form(headers: &HeaderMap) -> Result<(), Refusal> {
    let kind = text(headers, &CONTENT_TYPE).ok_or(Refusal::Type)?;
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Refusal::Type);
    }
    let length = text(headers, &CONTENT_LENGTH).filter(|l| l.bytes().all(|b| b.is_ascii_digit()));
    match length.and_then(|length| length.parse::<usize>().ok()) {
        Some(length) if length <= MAX_BODY => Ok(()),
        _ => Err(Refusal::Length),
    }
}

fn no_body(headers: &HeaderMap) -> Result<(), Refusal> {
    match text(headers, &CONTENT_LENGTH) {
        None | Some("0") => Ok(()),
        Some(_) => Err(Refusal::Length),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The value of one cookie. One that comes twice was set by somebody else as
/// well, and is none.
#[must_use]
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let all = headers.get(COOKIE)?.as_bytes();
    let mut found = all.split(|b| *b == b';').filter_map(|pair| {
        let pair = pair.trim_ascii();
        let value = pair.strip_prefix(name.as_bytes())?;
        value.strip_prefix(b"=")
    });
    found.next().filter(|_| found.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    const GOOD: [(&str, &str); 2] = [("host", "127.0.0.1:8000"), ("sec-fetch-site", "none")];
    const FORM: [(&str, &str); 5] = [
        ("host", "127.0.0.1:8000"),
        ("sec-fetch-site", "same-origin"),
        ("origin", "http://127.0.0.1:8000"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-length", "10"),
    ];

    fn hosts() -> Hosts {
        Hosts::of("127.0.0.1:8000".parse().unwrap())
    }

    fn of(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    /// These headers, with some in the place of others; an empty one is left
    /// out.
    fn with<'a>(
        headers: &[(&'a str, &'a str)],
        other: &[(&'a str, &'a str)],
    ) -> Vec<(&'a str, &'a str)> {
        let kept = headers.iter().filter(|(name, _)| !other.iter().any(|(n, _)| n == name));
        kept.chain(other.iter().filter(|(_, value)| !value.is_empty())).copied().collect()
    }

    fn get(other: &[(&str, &str)]) -> Result<(), Refusal> {
        check(&of("GET", "/", &with(&GOOD, other)), &hosts())
    }

    fn post(other: &[(&str, &str)]) -> Result<(), Refusal> {
        check(&of("POST", "/kill", &with(&FORM, other)), &hosts())
    }

    #[test]
    fn what_browsers_send() {
        assert_eq!(get(&[]), Ok(()));
        assert_eq!(get(&[("host", "localhost:8000")]), Ok(()));
        assert_eq!(
            get(&[("sec-fetch-site", "same-origin"), ("sec-fetch-dest", "document")]),
            Ok(())
        );
        assert_eq!(get(&[("sec-fetch-site", "")]), Ok(()));
        assert_eq!(get(&[("content-length", "0")]), Ok(()));
        assert_eq!(post(&[]), Ok(()));
        assert_eq!(post(&[("sec-fetch-site", "")]), Ok(()));
        assert_eq!(post(&[("origin", "")]), Ok(()));
        let kind = "application/x-www-form-urlencoded; charset=UTF-8";
        assert_eq!(post(&[("content-type", kind), ("content-length", "131072")]), Ok(()));
    }

    #[test]
    fn other_hosts() {
        for host in [
            "",
            "evil.example",
            "evil.example:8000",
            "127.0.0.1",
            "127.0.0.1:80",
            "127.0.0.1:8001",
            "127.0.0.2:8000",
            "localhost",
            "localhost.:8000",
            "LOCALHOST:8000",
            "localhost:8000.evil.example",
            "[::1]:8000",
            "0.0.0.0:8000",
            "user@127.0.0.1:8000",
            "127.1:8000",
            "2130706433:8000",
        ] {
            assert_eq!(get(&[("host", host)]), Err(Refusal::Host), "{host}");
            assert_eq!(post(&[("host", host)]), Err(Refusal::Host), "{host}");
        }
    }

    #[test]
    fn other_origins() {
        for origin in [
            "null",
            "http://evil.example",
            "http://127.0.0.1",
            "http://127.0.0.1:8001",
            "https://127.0.0.1:8000",
            "http://localhost:8000",
            "http://127.0.0.1:8000/",
            "http://127.0.0.1:8000.evil.example",
            "file://",
            "chrome-extension://abc",
        ] {
            assert_eq!(post(&[("origin", origin)]), Err(Refusal::Origin), "{origin}");
            assert_eq!(get(&[("origin", origin)]), Err(Refusal::Origin), "{origin}");
        }
    }

    #[test]
    fn other_sites() {
        for site in ["cross-site", "same-site", "Same-Origin", "x"] {
            assert_eq!(get(&[("sec-fetch-site", site)]), Err(Refusal::Site), "{site}");
            assert_eq!(post(&[("sec-fetch-site", site)]), Err(Refusal::Site), "{site}");
        }
        assert_eq!(post(&[("sec-fetch-site", "none")]), Err(Refusal::Site));
        assert_eq!(post(&[("sec-fetch-site", ""), ("origin", "")]), Err(Refusal::Site));
        for dest in ["iframe", "frame", "embed", "object", "image", "script", "empty"] {
            assert_eq!(get(&[("sec-fetch-dest", dest)]), Err(Refusal::Framed), "{dest}");
        }
    }

    #[test]
    fn other_requests() {
        for method in ["HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get", "X"] {
            assert_eq!(check(&of(method, "/", &GOOD), &hosts()), Err(Refusal::Method), "{method}");
        }
        for uri in ["http://127.0.0.1:8000/", "http://evil.example/", "*"] {
            assert_eq!(check(&of("GET", uri, &GOOD), &hosts()), Err(Refusal::Target), "{uri}");
        }
        let mut old = of("GET", "/", &GOOD);
        old.version = Version::HTTP_10;
        assert_eq!(check(&old, &hosts()), Err(Refusal::Version));
        for name in ["host", "origin", "cookie", "content-type", "content-length", "sec-fetch-site"]
        {
            let value = FORM.iter().find(|(n, _)| *n == name).map_or("a=b", |(_, v)| v);
            let twice = [&with(&FORM, &[(name, value)])[..], &[(name, value)]].concat();
            let parts = of("POST", "/kill", &twice);
            assert_eq!(check(&parts, &hosts()), Err(Refusal::Twice), "{name}");
        }
        for (name, value) in [
            ("transfer-encoding", "chunked"),
            ("transfer-encoding", "identity"),
            ("content-encoding", "gzip"),
            ("upgrade", "h2c"),
            ("expect", "100-continue"),
        ] {
            assert_eq!(post(&[(name, value)]), Err(Refusal::Header), "{name}");
            assert_eq!(get(&[(name, value)]), Err(Refusal::Header), "{name}");
        }
    }

    #[test]
    fn other_bodies() {
        for kind in ["", "text/plain", "application/json", "multipart/form-data; boundary=x"] {
            assert_eq!(post(&[("content-type", kind)]), Err(Refusal::Type), "{kind}");
        }
        for length in ["", "131073", "99999999999999999999", "-1", "+1", "1,1", "0x10"] {
            assert_eq!(post(&[("content-length", length)]), Err(Refusal::Length), "{length}");
        }
        assert_eq!(get(&[("content-length", "5")]), Err(Refusal::Length));
    }

    #[test]
    fn names_of_the_inbox() {
        let of = |address: &str| Hosts::of(address.parse().unwrap());
        assert_eq!(of("127.9.8.7:99"), Hosts::Of(vec!["127.9.8.7:99".to_owned()]));
        assert!(of("[::1]:99").has("[::1]:99") && of("[::1]:99").has("localhost:99"));
        assert!(of("127.0.0.1:80").has("localhost") && !of("127.0.0.1:81").has("localhost"));
        for good in ["localhost", "localhost:1", "127.0.0.1:8080", "[::1]:65535"] {
            assert!(Hosts::Forwarded.has(good), "{good}");
        }
        for bad in [
            "",
            "localhost:",
            "localhost:x",
            "localhost:65536",
            "localhostx",
            "evil:80",
            "localhost:+1",
        ] {
            assert!(!Hosts::Forwarded.has(bad), "{bad}");
        }
    }

    #[test]
    fn cookies() {
        let headers = |value: &str| of("GET", "/", &[("cookie", value)]).headers;
        let cookie = |value: &str| cookie(&headers(value), "a").map(<[u8]>::to_vec);
        assert_eq!(cookie("a=1"), Some(b"1".to_vec()));
        assert_eq!(cookie("x=y; a=1 ; b=2"), Some(b"1".to_vec()));
        assert_eq!(cookie("aa=1; b=a=2"), None);
        assert_eq!(cookie("a=1; a=2"), None, "tossed");
        assert_eq!(cookie("a"), None);
    }
}

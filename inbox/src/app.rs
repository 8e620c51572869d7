//! From a request to an answer: who asks, which page, what is done.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::SET_COOKIE;
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use zeroize::Zeroizing;

use crate::broker::Seat;
use crate::desk;
use crate::door::{Bearer, Closed, Door, SessionId};
use crate::form::Form;
use crate::guard::{self, Hosts, MAX_BODY, Refusal};
use crate::log::say;
use crate::place::{Notice, Place};
use crate::reply::{Answer, Reply};
use crate::views;

/// The cookie, where the browser keeps one that no other host and no page
/// without TLS can set (RFC 6265bis, section 4.1.3.2). Browsers differ in
/// whether loopback counts as safe: the login page tries it with another one.
const FIRM: &str = "__Host-strongroom";
const PROBE: &str = "__Host-strongroom-try";

/// The cookie elsewhere.
const PLAIN: &str = "strongroom";

/// How long a form may take to come.
const BODY_TIME: Duration = Duration::from_secs(20);

/// The inbox.
pub struct App {
    seat: Seat,
    hosts: Hosts,
    door: Mutex<Door>,
    announce: Box<dyn Fn(&str) + Send + Sync>,
}

impl App {
    /// An inbox; `announce` tells the human a new code.
    #[must_use]
    pub fn new(
        seat: Seat,
        hosts: Hosts,
        door: Door,
        announce: Box<dyn Fn(&str) + Send + Sync>,
    ) -> Self {
        Self { seat, hosts, door: Mutex::new(door), announce }
    }

    fn door(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request.
    pub async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let (parts, body) = request.into_parts();
        let posts = parts.method == Method::POST;
        let reply = self.judged(&parts, body).await.unwrap_or_else(|refusal| {
            let method = if posts { "POST" } else { "request" };
            say(&format!("refused a {method}: {}", refusal.why()));
            Reply::from(refusal)
        });
        reply.answer()
    }

    async fn judged(self: Arc<Self>, parts: &Parts, body: Incoming) -> Result<Reply, Refusal> {
        guard::check(parts, &self.hosts)?;
        let place = Place::parse(parts.uri.path()).ok_or(Refusal::Nowhere)?;
        let posts = parts.method == Method::POST;
        if !(if posts { place.acts() } else { place.shows() }) {
            return Err(Refusal::NotSo);
        }
        let session = self.session(parts);
        if !posts {
            let notice = parts.uri.query().and_then(Notice::parse);
            return Ok(self.show(place, session, notice).await);
        }
        if session.is_none() && place != Place::Login {
            return Err(Refusal::Session);
        }
        let body = whole(body, parts).await?;
        let form = Form::parse(&body, desk::fields(&place)).map_err(|_| Refusal::Form)?;
        drop(body);
        let bearer = match (&place, &session) {
            (Place::Login, _) | (_, None) => Bearer::Stranger,
            (_, Some(id)) => Bearer::Session(id),
        };
        if !self.door().is_token(bearer, &place.to_string(), form.get("token")) {
            return Err(Refusal::Token);
        }
        match (&place, session) {
            (Place::Login, _) => Ok(self.log_in(&form, parts)),
            (Place::Logout, Some(id)) => {
                self.door().leave(&id);
                Ok(forget(Reply::see(&Place::Login, None)))
            }
            (_, Some(id)) => {
                let tokens = self.tokens(id);
                let seat = self.seat.clone();
                let work = move || desk::act(&seat, &place, form, &tokens);
                work_off(work).await.unwrap_or(Err(Refusal::Form))
            }
            (_, None) => Err(Refusal::Session),
        }
    }

    fn session(&self, parts: &Parts) -> Option<SessionId> {
        let door = self.door();
        let known = |name| door.session(guard::cookie(&parts.headers, name)?, Instant::now());
        known(FIRM).or_else(|| known(PLAIN))
    }

    /// Makes the tokens of one session's forms.
    fn tokens(self: &Arc<Self>, id: SessionId) -> impl Fn(&Place) -> String + Send + 'static {
        let this = Arc::clone(self);
        move |place| this.door().token(Bearer::Session(&id), &place.to_string())
    }

    async fn show(
        self: &Arc<Self>,
        place: Place,
        session: Option<SessionId>,
        notice: Option<Notice>,
    ) -> Reply {
        match (&place, session) {
            (Place::Login, None) => self.login_page(false),
            (Place::Login, Some(_)) => Reply::see(&Place::Requests, None),
            (_, None) => Reply::see(&Place::Login, None),
            (_, Some(id)) => {
                let tokens = self.tokens(id);
                let seat = self.seat.clone();
                let shown = place.clone();
                let work = move || desk::show(&seat, &place, notice, &tokens);
                work_off(work).await.unwrap_or_else(|| Reply::see(&shown, None))
            }
        }
    }

    fn login_page(&self, wrong: bool) -> Reply {
        let now = Instant::now();
        let mut door = self.door();
        if let Ok(Some(code)) = door.knock(now) {
            (self.announce)(&code);
        }
        let page = views::login(
            &door.token(Bearer::Stranger, &Place::Login.to_string()),
            wrong,
            door.shut(now),
        );
        Reply::page(page)
            .header(SET_COOKIE, &format!("{PROBE}=1; Path=/; Secure; HttpOnly; SameSite=Strict"))
    }

    fn log_in(self: &Arc<Self>, form: &Form, parts: &Parts) -> Reply {
        let entered = self.door().enter(form.get("code"), Instant::now());
        match entered {
            Ok(Ok(cookie)) => {
                say("logged in");
                let firm = guard::cookie(&parts.headers, PROBE).is_some();
                let (name, secure) = if firm { (FIRM, "; Secure") } else { (PLAIN, "") };
                let cookie = Zeroizing::new(format!(
                    "{name}={}; Path=/{secure}; HttpOnly; SameSite=Strict",
                    *cookie
                ));
                Reply::see(&Place::Requests, None).header(SET_COOKIE, &cookie)
            }
            Ok(Err(closed)) => {
                say("a wrong code");
                if let Closed::Shut(wait) = closed {
                    say(&format!(
                        "too many wrong codes: nobody can log in for {} s",
                        wait.as_secs()
                    ));
                    self.open_again(wait);
                }
                self.login_page(true).status(StatusCode::FORBIDDEN)
            }
            Err(_) => self.login_page(true).status(StatusCode::SERVICE_UNAVAILABLE),
        }
    }

    /// Makes and tells a new code after a while.
    fn open_again(self: &Arc<Self>, wait: Duration) {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            if let Ok(Some(code)) = this.door().knock(Instant::now()) {
                (this.announce)(&code);
            }
        });
    }
}

/// Talks to the broker elsewhere, so that nobody else waits.
async fn work_off<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

fn forget(reply: Reply) -> Reply {
    reply
        .header(
            SET_COOKIE,
            &format!("{FIRM}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"),
        )
        .header(SET_COOKIE, &format!("{PLAIN}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"))
}

/// A form's bytes. They may hold a secret: they are read into memory that does
/// not move and is wiped.
async fn whole(mut body: Incoming, parts: &Parts) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let length = parts.headers.get(hyper::header::CONTENT_LENGTH).and_then(|l| l.to_str().ok());
    let length: usize = length.and_then(|l| l.parse().ok()).ok_or(Refusal::Length)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.min(MAX_BODY)));
    let read = async {
        while let Some(frame) = body.frame().await {
            let data = frame.map_err(|_| Refusal::Form)?.into_data().map_err(|_| Refusal::Form)?;
            if bytes.len() + data.len() > MAX_BODY {
                return Err(Refusal::Length);
            }
            bytes.extend_from_slice(&data);
        }
        Ok(())
    };
    tokio::time::timeout(BODY_TIME, read).await.map_err(|_| Refusal::Slow)??;
    Ok(bytes)
}

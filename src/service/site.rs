//! The listener for pages: their HTML, the SDK, and the operations on keys that a page's own script has. Nothing else is there.
//!
//! HTML that agents wrote shares no origin with the API. All pages share this one, so what one of them could do to another is
//! refused here: a page's text goes to a tab of its own and never to a script, a frame or an opener; a script shows the proof
//! that stands in its own page's text; and a write comes from this origin.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};

use super::answer::{Answer, empty, finished, text};
use super::app::App;
use super::body;
use super::headers::single;
use super::host::Hosts;
use super::pages::Access;
use super::password;
use super::publish::{cookie, cookie_name};
use super::rate::Rate;
use super::refusal::{Reason, Refusal, Result};
use super::rest::{Ready, carry_out, closing, refused_unread};
use super::route::Route;
use super::session::Session;
use super::site_text::{form, page, refused};
use crate::clock::Clock;
use crate::error::Error;

const SDK: &str = include_str!("sdk.js");
const PAGE: HeaderName = HeaderName::from_static("x-swarm-page");
const PROOF: HeaderName = HeaderName::from_static("x-swarm-proof");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// What a name before a cookie of a page is, without its id.
const COOKIE: &str = "swarm_page_";

/// The most bytes of a form with a password.
const FORM_BODY: usize = 8 * 1024;

/// Requests a second that a page's sessions have together.
const REQUESTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(50).unwrap();

/// Passwords a minute that are tried on a page.
const TRIES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(5).unwrap();

/// What every request for a page needs.
pub(super) struct Site {
    app: Arc<App>,
    hosts: Hosts,
    /// Where browsers find it.
    origin: String,
    requests: Rate,
    tries: Rate,
}

impl Site {
    /// The pages of `app` at `origin`.
    pub(super) fn new(app: Arc<App>, hosts: Hosts, origin: String, clock: Clock) -> Self {
        let requests = Rate::new(REQUESTS_PER_SECOND, clock.clone());
        Self { app, hosts, origin, requests, tries: Rate::per_minute(TRIES_PER_MINUTE, clock) }
    }

    /// Whose session a request has, as its cookies and headers say.
    ///
    /// # Errors
    /// `Unauthenticated` where none verifies, the page is gone, or a browser's script shows no proof of it; `Invalid` where
    /// several verify and none is chosen.
    fn session(&self, headers: &HeaderMap) -> Result<Session> {
        let none = || Reason::Unauthenticated("no session of this page; open it again by its link");
        let chosen = single(headers, &PAGE)?;
        let mut sessions = self.sessions(headers)?;
        sessions.retain(|session| chosen.is_none_or(|page| session.page == page));
        let page = sessions.first().ok_or_else(none)?.page.clone();
        if sessions.iter().any(|session| session.page != page) {
            return Err(Refusal::invalid("several pages have a session here; choose one with X-Swarm-Page"));
        }
        // A browser tells that a script asks, and a script cannot hide it; all pages' cookies come along.
        if headers.contains_key(&FETCH_MODE) {
            let (key, proof) = (self.app.pages.key()?, single(headers, &PROOF)?.unwrap_or(""));
            if !sessions.iter().any(|session| key.proves(session, proof)) {
                return Err(none().into());
            }
        }
        let session = sessions.swap_remove(0);
        match self.app.pages.still_open(&session)? {
            true => Ok(session),
            false => Err(none().into()),
        }
    }

    /// The sessions that the cookies of a request stand for.
    fn sessions(&self, headers: &HeaderMap) -> Result<Vec<Session>> {
        let mut sessions = Vec::new();
        for (name, value) in cookies(headers) {
            let Some((_, page)) = name.split_once(COOKIE) else { continue };
            if cookie_name(&self.app, page) == name {
                sessions.extend(self.app.pages.open(page, value)?);
            }
        }
        Ok(sessions)
    }

    /// A page's session in a browser that asks for the page itself.
    fn session_of(&self, headers: &HeaderMap, id: &str) -> Result<Option<Session>> {
        Ok(self.sessions(headers)?.into_iter().find(|session| session.page == id))
    }

    /// Refuses what another site has a browser send, and a write of which nothing tells where it comes from.
    fn check_origin(&self, parts: &Parts) -> Result<()> {
        let foreign = || Refusal::forbidden("this request comes from elsewhere than the page's own origin");
        let site = single(&parts.headers, &FETCH_SITE)?;
        if site.is_some_and(|site| site != "same-origin") {
            return Err(foreign());
        }
        match single(&parts.headers, &header::ORIGIN)? {
            Some(origin) if self.is_own(origin, parts) => Ok(()),
            Some(_) => Err(foreign()),
            None if site.is_some() || is_read(&parts.method) => Ok(()),
            None => Err(Refusal::forbidden("a write needs an Origin or a Sec-Fetch-Site header; browsers send them")),
        }
    }

    /// Whether an origin is where the request itself was sent to.
    fn is_own(&self, origin: &str, parts: &Parts) -> bool {
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
        origin == self.origin || (self.origin.starts_with("http:") && origin == format!("http://{host}"))
    }
}

/// Answers a request.
pub(super) async fn handle(State(site): State<Arc<Site>>, request: Request<Body>) -> Answer {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    match path.strip_prefix("/p/") {
        Some(id) => document(&site, parts, body, id).await,
        None if path == "/@swarm/sdk.js" => finished(sdk(&site, &parts)),
        None if path.starts_with("/@swarm/api/") => finished(keys(&site, parts, body).await),
        None => finished(site.hosts.check(&parts).and_then(|()| Err(Reason::NoRoute.into()))),
    }
}

fn sdk(site: &Site, parts: &Parts) -> Result<Answer> {
    site.hosts.check(parts)?;
    match is_read(&parts.method) {
        true => Ok(text("text/javascript; charset=utf-8", SDK)),
        false => Err(Reason::Method("GET, HEAD").into()),
    }
}

/// An operation on keys, for the page that asks.
async fn keys(site: &Arc<Site>, parts: Parts, body: Body) -> Result<Answer> {
    site.hosts.check(&parts)?;
    let judging = site.clone();
    let judge = move |_: &App, parts: &Parts| {
        let session = judging.session(&parts.headers)?;
        judging.requests.take(&session.page)?;
        let path = parts.uri.path();
        let inner = path.strip_prefix("/@swarm").unwrap_or(path);
        if inner != "/api/kv" && !inner.starts_with("/api/kv/") {
            return Err(Reason::NoRoute.into());
        }
        let route = Route::of(&parts.method, inner)?;
        judging.check_origin(parts)?;
        Ready::of_page(route, session)
    };
    carry_out(site.app.clone(), parts, body, judge).await
}

/// A page, the way to it, or why there is none.
async fn document(site: &Arc<Site>, parts: Parts, body: Body, id: &str) -> Answer {
    let answer = match parts.method {
        Method::POST => enter(site, parts, body, id.to_owned()).await,
        Method::GET | Method::HEAD => {
            let (site, id) = (site.clone(), id.to_owned());
            let app = site.app.clone();
            app.run(app.registry.waits(), move |_| show(&site, &parts, &id)).await
        }
        _ => Err(Reason::Method("GET, HEAD, POST").into()),
    };
    answer.unwrap_or_else(|refusal| refused(&refusal))
}

fn show(site: &Site, parts: &Parts, id: &str) -> Result<Answer> {
    check_document(site, parts)?;
    let pages = &site.app.pages;
    let known = pages.get(id)?;
    if let Some(code) = code(parts) {
        return match pages.redeem(id, &code)? {
            true => let_in(site, id),
            false => Err(Refusal::forbidden("this link was used before, or is too old; ask for another one")),
        };
    }
    let session = site.session_of(&parts.headers, id)?;
    match (&known.access, session) {
        (Access::Public, _) => Ok(page(&pages.text(id)?, id, None)),
        (_, Some(session)) => Ok(page(&pages.text(id)?, id, Some(&pages.key()?.proof(&session)))),
        (Access::Authed, None) => {
            Err(Reason::Unauthenticated("this page opens by a link of its own; ask for one").into())
        }
        (Access::Password(_), None) => Ok(form(&known.title, id, StatusCode::UNAUTHORIZED, "")),
    }
}

/// Lets in whoever knows the password.
async fn enter(site: &Arc<Site>, parts: Parts, body: Body, id: String) -> Result<Answer> {
    let headers = parts.headers.clone();
    let judging = site.clone();
    let judged = site.app.run(site.app.registry.waits(), move |app| {
        check_document(&judging, &parts)?;
        judging.check_origin(&parts)?;
        let page = app.pages.get(&id)?;
        let Access::Password(hash) = &page.access else { return Err(Reason::Method("GET, HEAD").into()) };
        judging.tries.take(&id)?;
        Ok((id, hash.clone(), page.title))
    });
    let (id, hash, title) = match judged.await {
        Ok(judged) => judged,
        Err(refusal) => return Ok(kept(refused_unread(&refusal, body).await, &refusal)),
    };
    let body = match body::read_any(&site.app, &headers, body, FORM_BODY).await {
        Ok(body) => body,
        Err(refusal) => return Ok(closing(refused(&refusal))),
    };
    let site = site.clone();
    let app = site.app.clone();
    let enter = move |_: &App| {
        let given = form_urlencoded::parse(&body).find(|(name, _)| name == "password");
        match password::matches(given.as_ref().map_or("", |(_, password)| password), &hash)? {
            true => let_in(&site, &id),
            false => Ok(form(&title, &id, StatusCode::FORBIDDEN, "That is not the password.")),
        }
    };
    app.run(true, enter).await
}

/// The refusal as a page, on a connection that ends where the other's would have.
fn kept(answer: Answer, refusal: &Refusal) -> Answer {
    match answer.headers().contains_key(header::CONNECTION) {
        true => closing(refused(refusal)),
        false => refused(refusal),
    }
}

/// Gives the browser a session and sends it to the page, whose address then holds no code.
fn let_in(site: &Site, id: &str) -> Result<Answer> {
    let mut answer = empty(StatusCode::SEE_OTHER);
    let headers = answer.headers_mut();
    headers.insert(header::SET_COOKIE, cookie(&site.app, &site.app.pages.session(id))?);
    let location = HeaderValue::from_str(&format!("/p/{id}")).map_err(|_| Error::corrupt("the id of a page"))?;
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(answer)
}

/// Refuses a page's text to all but a tab of its own: what a script or a frame of another page got, that page would have.
fn check_document(site: &Site, parts: &Parts) -> Result<()> {
    site.hosts.check(parts)?;
    match single(&parts.headers, &FETCH_DEST)? {
        None | Some("document") => Ok(()),
        Some(_) => Err(Refusal::forbidden("a page opens in a tab of its own, not in a script or a frame")),
    }
}

/// The code in an address. Who only looks whether something is there uses none up.
fn code(parts: &Parts) -> Option<String> {
    let query = parts.uri.query().filter(|_| parts.method == Method::GET)?;
    form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "code").map(|(_, code)| code.into_owned())
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let texts = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    texts.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| cookie.trim().split_once('='))
}

fn is_read(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

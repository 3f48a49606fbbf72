//! Pages: HTML that agents wrote, who may see it, and the codes that let a browser in.
//!
//! They lie in the registry beside the store. An id is 128 random bits and never given again, so a page's namespace never passes
//! to another one. Nothing here is believed from a cache: a page that is gone ends its sessions at once. Of a code only the
//! hash is kept, and of a password too. What a page remembers is in the store, not here.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::auth::{Registry, random_hex};
use super::password;
use super::refusal::{Reason, Refusal, Result};
use super::session::{SESSION, Session, SessionKey};
use crate::clock::Clock;
use crate::error::Error;
use crate::store::Expiry;

/// How long a code lets a browser in, once.
pub const CODE_LIFE: Duration = Duration::from_secs(60);

/// The longest title, in characters.
pub const MAX_TITLE: usize = 512;

const PAGES: &str = "pages";
const TEXTS: &str = "page-texts";
const CODES: &str = "page-codes";
const KEYS: &str = "page-keys";

/// Who sees a page.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Everyone; it has no state.
    Public,
    /// Who was let in by a code.
    Authed,
    /// Who knows the password, of which this is the hash, or was let in by a code.
    Password(String),
}

impl Access {
    /// The access of that name.
    ///
    /// # Cost
    /// With a password that of [`password::hash`].
    ///
    /// # Errors
    /// `Invalid` for an unknown name, for a password too many and for one too few.
    pub fn of(name: &str, password: Option<&str>) -> Result<Self> {
        match (name, password) {
            ("public", None) => Ok(Self::Public),
            ("authed", None) => Ok(Self::Authed),
            ("password", Some(password)) => Ok(Self::Password(password::hash(password)?)),
            ("password", None) => Err(Refusal::invalid("\"password\" is missing: authMode password needs one")),
            ("public" | "authed", Some(_)) => Err(Refusal::invalid("only authMode password takes a password")),
            _ => Err(Refusal::invalid(format!("there is no authMode {name:?}; there are public, authed and password"))),
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Authed => "authed",
            Self::Password(_) => "password",
        }
    }
}

/// What is known of a page besides its text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebPage {
    /// What people call it; it may be empty.
    pub title: String,
    /// Who sees it.
    pub access: Access,
    /// The agent that made it, if any.
    pub agent_id: Option<String>,
    /// When it was made, in Unix milliseconds.
    pub created_at: i64,
}

/// The pages of one service.
pub struct Pages {
    registry: Arc<Registry>,
    clock: Clock,
    key: OnceLock<SessionKey>,
}

impl Pages {
    /// The pages that lie in `registry`.
    pub fn new(registry: Arc<Registry>, clock: Clock) -> Self {
        Self { registry, clock, key: OnceLock::new() }
    }

    /// Makes a page, and returns its id with what is known of it.
    ///
    /// # Errors
    /// `Invalid` for a title that is too long. Where the registry fails halfway, no page of this text is reached.
    pub fn make(&self, html: &str, title: &str, access: Access, agent: Option<&str>) -> Result<(String, WebPage)> {
        if title.chars().count() > MAX_TITLE {
            return Err(Refusal::invalid(format!("a title has at most {MAX_TITLE} characters")));
        }
        let id = random_hex::<16>()?;
        let page = WebPage {
            title: title.to_owned(),
            access,
            agent_id: agent.map(str::to_owned),
            created_at: self.clock.now().as_millis(),
        };
        self.registry.write(TEXTS, &id, &html, None)?;
        self.registry.write(PAGES, &id, &page, None)?;
        Ok((id, page))
    }

    /// At most `limit` pages behind the id `after`, by id, without their texts.
    ///
    /// # Errors
    /// Whatever the registry's store answers.
    pub fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<(String, WebPage)>> {
        self.registry.some(PAGES, after, limit)
    }

    /// The page of that id.
    ///
    /// # Errors
    /// `NotFound` where there is none.
    pub fn get(&self, id: &str) -> Result<WebPage> {
        // What is no id at all never reaches the registry.
        let found = if is_id(id) { self.registry.read(PAGES, id)? } else { None };
        found.ok_or_else(|| no_page(id))
    }

    /// The HTML of a page.
    ///
    /// # Errors
    /// `NotFound` where there is none.
    pub fn text(&self, id: &str) -> Result<String> {
        self.registry.read(TEXTS, id)?.ok_or_else(|| no_page(id))
    }

    /// Removes a page: its sessions and codes end at once.
    ///
    /// # Errors
    /// `NotFound` where there is none. What failed halfway is completed by repeating it.
    pub fn remove(&self, id: &str) -> Result<()> {
        self.registry.forget(TEXTS, id)?;
        match self.registry.forget(PAGES, id)? {
            true => Ok(()),
            false => Err(no_page(id)),
        }
    }

    /// Makes a code that lets one browser in, once, within [`CODE_LIFE`].
    ///
    /// # Errors
    /// Whatever the registry's store answers.
    pub fn code(&self, id: &str) -> Result<String> {
        let code = random_hex::<32>()?;
        let until = Expiry::After(CODE_LIFE).resolve(self.clock.now())?;
        self.registry.write(CODES, &slot(&code), &id, until)?;
        Ok(code)
    }

    /// Uses a code up, and tells whether it was one of this page.
    ///
    /// # Errors
    /// Whatever the registry's store answers.
    pub fn redeem(&self, id: &str, code: &str) -> Result<bool> {
        let slot = slot(code);
        let page: Option<String> = self.registry.read(CODES, &slot)?;
        // Of two that come at once only one removes it.
        Ok(page.as_deref() == Some(id) && self.registry.forget(CODES, &slot)?)
    }

    /// A new session of a page.
    pub fn session(&self, id: &str) -> Session {
        let expires_at = self.clock.now().as_millis() + SESSION.as_millis() as i64;
        Session { page: id.to_owned(), expires_at }
    }

    /// The session of a page that a cookie's value stands for.
    ///
    /// # Errors
    /// Whatever the registry's store answers.
    pub fn open(&self, page: &str, cookie: &str) -> Result<Option<Session>> {
        Ok(self.key()?.open(page, cookie, self.clock.now().as_millis()))
    }

    /// Whether a session has neither ended nor lost its page.
    ///
    /// # Errors
    /// Whatever the registry's store answers.
    pub fn still_open(&self, session: &Session) -> Result<bool> {
        let page: Option<WebPage> = self.registry.read(PAGES, &session.page)?;
        let has_keys = page.is_some_and(|page| page.access != Access::Public);
        Ok(has_keys && session.expires_at > self.clock.now().as_millis())
    }

    /// What makes and knows cookies and proofs: one for all servers on a registry, made by the first that needs it.
    ///
    /// # Errors
    /// Whatever the registry's store answers.
    pub fn key(&self) -> Result<&SessionKey> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let wrong = || Reason::Store(Error::corrupt("the key of page sessions in the registry"));
        let hex: String = self.registry.ensure(KEYS, "session", &random_hex::<32>()?)?;
        let bits = blake3::Hash::from_hex(&hex).map_err(|_| wrong())?;
        Ok(self.key.get_or_init(|| SessionKey::new(*bits.as_bytes())))
    }
}

/// Whether a text may be the id of a page.
pub fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Where a code lies.
fn slot(code: &str) -> String {
    blake3::hash(code.as_bytes()).to_hex().to_string()
}

fn no_page(id: &str) -> Refusal {
    // A name that is no id may be anything at all.
    match is_id(id) {
        true => Error::not_found(format!("page {id}")).into(),
        false => Error::not_found("a page of that id").into(),
    }
}

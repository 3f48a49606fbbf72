//! Who calls: the registry of agents, tasks and tokens, and what a caller may do.
//!
//! The registry is a store of its own beside the one that is served, so no door to keys reaches it and no restored snapshot brings
//! a revoked token back. Of a secret only its SHA-256 is kept, and compared in constant time. What a look-up found is believed
//! for at most [`CACHE_MILLIS`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::context::{self, Context, Owner, check_name, check_part};
use super::refusal::{Reason, Refusal, Result};
use crate::clock::{Clock, Timestamp};
use crate::error::Error;
use crate::key::{Key, Namespace};
use crate::store::{Condition, Expiry, Operation, Range, Store, StoreExt};
use crate::value::{Entry, Kind, Value};

/// How long a look-up is believed, in milliseconds.
pub const CACHE_MILLIS: i64 = 2000;

/// The most look-ups that are remembered.
const CACHE_ENTRIES: usize = 10_000;

const AGENTS: &str = "agents";
const TASKS: &str = "tasks";
const TOKENS: &str = "tokens";

/// An agent that is known by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Whether it writes in every agent's namespace.
    pub lead: bool,
    /// What it may use; `None` = what the server offers.
    pub capabilities: Option<Vec<String>>,
}

/// A task, and the conversation that it belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The namespace of its conversation.
    pub context_key: Option<String>,
    /// Who works on it.
    pub agent_id: Option<String>,
}

/// What a token is besides its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Whom it speaks for.
    pub agent_id: String,
    /// What it may do.
    pub scopes: Scopes,
    /// When it ends, in Unix milliseconds; `None` = never.
    pub expires_at: Option<i64>,
    /// The SHA-256 of its secret.
    secret: [u8; 32],
}

/// What credentials allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scopes {
    /// To read any namespace that can be named.
    pub read: bool,
    /// To write where the write rules allow it.
    pub write: bool,
    /// To use the registry and snapshots, and to speak for any agent.
    pub admin: bool,
}

impl Scopes {
    /// All of them.
    pub const ALL: Self = Self { read: true, write: true, admin: true };

    /// The scopes of these names.
    ///
    /// # Errors
    /// `Invalid` for an unknown name, and for none at all.
    pub fn from_names<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self> {
        let mut scopes = Self::default();
        for name in names {
            match name {
                "read" => scopes.read = true,
                "write" => scopes.write = true,
                "admin" => scopes.admin = true,
                _ => {
                    return Err(Refusal::invalid(format!(
                        "there is no scope {name:?}; there are read, write and admin"
                    )));
                }
            }
        }
        match scopes == Self::default() {
            true => Err(Refusal::invalid("a token needs at least one scope of read, write and admin")),
            false => Ok(scopes),
        }
    }

    /// Their names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        [(self.read, "read"), (self.write, "write"), (self.admin, "admin")]
            .into_iter()
            .filter_map(|(has, name)| has.then_some(name))
    }
}

/// Whom the credentials of a request speak for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The token's id; `None` for the operator.
    token: Option<String>,
    /// The token's agent; `None` for the operator.
    agent: Option<String>,
    scopes: Scopes,
}

impl Identity {
    /// Who holds the operator's key, or has the store itself in hand.
    pub(super) const OPERATOR: Self = Self { token: None, agent: None, scopes: Scopes::ALL };

    /// What the credentials are called: the token's id, or `operator`.
    pub fn name(&self) -> &str {
        self.token.as_deref().unwrap_or("operator")
    }

    /// Whether they are the operator's key.
    pub fn is_operator(&self) -> bool {
        self.token.is_none()
    }
}

/// Who calls, as write rules and resolution see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The agent, if any.
    pub agent: Option<String>,
    /// Whether that agent is registered as a lead.
    pub is_lead: bool,
    /// What the credentials allow.
    pub scopes: Scopes,
    /// What the agent's own list says it may use.
    pub capabilities: Option<Vec<String>>,
}

impl Caller {
    /// Checks that the caller may read.
    ///
    /// # Errors
    /// `Forbidden` without the scope.
    pub fn check_read(&self) -> Result<()> {
        if self.scopes.read { Ok(()) } else { Err(without_scope("read")) }
    }

    /// Checks that the caller may use the registry and snapshots.
    ///
    /// # Errors
    /// `Forbidden` without the scope.
    pub fn check_admin(&self) -> Result<()> {
        if self.scopes.admin { Ok(()) } else { Err(without_scope("admin")) }
    }

    /// Checks that the caller may write in `namespace`.
    ///
    /// # Errors
    /// `Forbidden` without the scope, and where somebody else owns the namespace.
    pub fn check_write(&self, namespace: &str) -> Result<()> {
        if !self.scopes.write {
            return Err(without_scope("write"));
        }
        match context::owner(namespace) {
            Owner::Everyone => Ok(()),
            Owner::Agent(agent) if self.is_lead || self.agent.as_deref() == Some(agent) => Ok(()),
            Owner::Agent(agent) => {
                Err(Refusal::forbidden(format!("only agent {agent} and leads write in {namespace}; reading is open")))
            }
            Owner::Page(page) => Err(Refusal::forbidden(format!(
                "only the session of page {page} writes in {namespace}; reading is open"
            ))),
        }
    }
}

fn without_scope(scope: &str) -> Refusal {
    Refusal::forbidden(format!("these credentials lack the scope {scope}"))
}

/// A table and an id in it.
type Slot = (&'static str, String);

/// When a row was looked up, in Unix milliseconds, and what stood there.
type LookUp = (i64, Option<Entry>);

/// The agents, tasks and tokens of one service.
pub struct Registry {
    store: Arc<dyn Store>,
    clock: Clock,
    /// The SHA-256 of the operator's key.
    operator: [u8; 32],
    /// What look-ups found, and when. Held for a look into the map, never while the store is asked.
    cache: Mutex<HashMap<Slot, LookUp>>,
}

impl Registry {
    /// The registry that lies in `store`.
    pub fn new(store: Arc<dyn Store>, operator_key: &str, clock: Clock) -> Self {
        Self { store, clock, operator: digest(operator_key), cache: Mutex::default() }
    }

    /// Whether a look-up may wait for a disk or a network.
    pub fn waits(&self) -> bool {
        self.store.capabilities().waits
    }

    /// The store that it lies in.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Whom a bearer's credentials speak for.
    ///
    /// # Errors
    /// `Unauthenticated` for what is no key and no token, and for a token that is unknown, revoked or expired.
    pub fn authenticate(&self, credentials: &str) -> Result<Identity> {
        if bool::from(digest(credentials).ct_eq(&self.operator)) {
            return Ok(Identity::OPERATOR);
        }
        let unknown = || Reason::Unauthenticated("the bearer's key or token is unknown, revoked or expired");
        let (id, secret) = split_token(credentials).ok_or_else(unknown)?;
        let token: Token = self.look_up(TOKENS, id)?.ok_or_else(unknown)?;
        match bool::from(digest(secret).ct_eq(&token.secret)) && !self.is_due(&token) {
            true => Ok(Identity { token: Some(id.to_owned()), agent: Some(token.agent_id), scopes: token.scopes }),
            false => Err(unknown().into()),
        }
    }

    /// Whether credentials that were right once still are.
    ///
    /// # Errors
    /// Whatever the registry's store answers.
    pub fn still_knows(&self, identity: &Identity) -> Result<bool> {
        let Some(id) = &identity.token else { return Ok(true) };
        let token: Option<Token> = self.look_up(TOKENS, id)?;
        Ok(token.is_some_and(|token| !self.is_due(&token)))
    }

    fn is_due(&self, token: &Token) -> bool {
        token.expires_at.is_some_and(|at| at <= self.clock.now().as_millis())
    }

    /// The caller that `identity` is, or names in `agent`.
    ///
    /// # Errors
    /// `Invalid` for an id that is none, `Forbidden` for another agent than the token's own.
    pub fn caller(&self, identity: &Identity, agent: Option<&str>) -> Result<Caller> {
        if let Some(agent) = agent {
            check_part("agent id", agent)?;
            if !identity.scopes.admin && identity.agent.as_deref() != Some(agent) {
                return Err(Refusal::forbidden("X-Agent-ID names another agent than the token's own"));
            }
        }
        let agent = agent.or(identity.agent.as_deref()).map(str::to_owned);
        let known = match &agent {
            Some(agent) => self.agent(agent)?.unwrap_or_default(),
            None => Agent::default(),
        };
        Ok(Caller { agent, is_lead: known.lead, scopes: identity.scopes, capabilities: known.capabilities })
    }

    /// The namespace of a call that names none.
    ///
    /// # Errors
    /// `Invalid` where neither a known task nor an agent tells it.
    pub fn resolve(&self, caller: &Caller, task: Option<&str>) -> Result<String> {
        if let Some(id) = task {
            check_part("task id", id)?;
            let task = self.task(id)?.unwrap_or_default();
            if let Some(key) = task.context_key {
                return Ok(key);
            }
            if let Some(agent) = task.agent_id {
                return Ok(Context::Agent(&agent).key()?);
            }
        }
        match &caller.agent {
            Some(agent) => Ok(Context::Agent(agent).key()?),
            None => Err(Refusal::invalid(
                "no namespace: name one, as in /api/kv/_/{namespace}/{key}, or send X-Agent-ID or the X-Source-Task-Id of a known task",
            )),
        }
    }

    /// The agent of that id.
    ///
    /// # Errors
    /// Whatever the registry's store answers.
    pub fn agent(&self, id: &str) -> Result<Option<Agent>> {
        self.look_up(AGENTS, id)
    }

    /// The task of that id.
    ///
    /// # Errors
    /// Whatever the registry's store answers.
    pub fn task(&self, id: &str) -> Result<Option<Task>> {
        self.look_up(TASKS, id)
    }

    /// Registers an agent, or changes it.
    ///
    /// # Errors
    /// `Invalid` for an id that is none.
    pub fn put_agent(&self, id: &str, agent: &Agent) -> Result<()> {
        check_part("agent id", id)?;
        self.write(AGENTS, id, agent, None)
    }

    /// Registers a task, or changes it, under `id` or a new one, and returns its id.
    ///
    /// # Errors
    /// `Invalid` for an id or a context key that is none.
    pub fn put_task(&self, id: Option<&str>, task: &Task) -> Result<String> {
        let id = id.map_or_else(random_hex::<16>, |id| Ok(id.to_owned()))?;
        check_part("task id", &id)?;
        if let Some(key) = &task.context_key {
            check_name("context key", key)?;
        }
        if let Some(agent) = &task.agent_id {
            check_part("agent id", agent)?;
        }
        self.write(TASKS, &id, task, None)?;
        Ok(id)
    }

    /// Makes a token, and returns its id and the whole token: the only time that its secret is known.
    ///
    /// # Errors
    /// `Invalid` for an agent id that is none, or an end beyond all time.
    pub fn make_token(&self, agent_id: &str, scopes: Scopes, ttl: Option<Duration>) -> Result<(String, String, Token)> {
        check_part("agent id", agent_id)?;
        let expires_at = ttl.map_or(Ok(None), |ttl| Expiry::After(ttl).resolve(self.clock.now()))?;
        let (id, secret) = (random_hex::<8>()?, random_hex::<32>()?);
        let token = Token {
            agent_id: agent_id.to_owned(),
            scopes,
            expires_at: expires_at.map(Timestamp::as_millis),
            secret: digest(&secret),
        };
        self.write(TOKENS, &id, &token, expires_at)?;
        let whole = format!("sst_{id}_{secret}");
        Ok((id, whole, token))
    }

    /// At most `limit` agents behind the id `after`, by id.
    ///
    /// # Errors
    /// Whatever the registry's store answers.
    pub fn agents(&self, after: Option<&str>, limit: usize) -> Result<Vec<(String, Agent)>> {
        self.some(AGENTS, after, limit)
    }

    /// At most `limit` tasks behind the id `after`, by id.
    ///
    /// # Errors
    /// Whatever the registry's store answers.
    pub fn tasks(&self, after: Option<&str>, limit: usize) -> Result<Vec<(String, Task)>> {
        self.some(TASKS, after, limit)
    }

    /// At most `limit` tokens behind the id `after`, by id.
    ///
    /// # Errors
    /// Whatever the registry's store answers.
    pub fn tokens(&self, after: Option<&str>, limit: usize) -> Result<Vec<(String, Token)>> {
        self.some(TOKENS, after, limit)
    }

    /// Forgets an agent.
    ///
    /// # Errors
    /// `NotFound` where there is none.
    pub fn remove_agent(&self, id: &str) -> Result<()> {
        self.remove(AGENTS, "agent", id)
    }

    /// Forgets a task.
    ///
    /// # Errors
    /// `NotFound` where there is none.
    pub fn remove_task(&self, id: &str) -> Result<()> {
        self.remove(TASKS, "task", id)
    }

    /// Revokes a token: at this server at once, at another one on the same store within [`CACHE_MILLIS`].
    ///
    /// # Errors
    /// `NotFound` where there is none.
    pub fn remove_token(&self, id: &str) -> Result<()> {
        self.remove(TOKENS, "token", id)
    }

    fn look_up<T: DeserializeOwned>(&self, table: &'static str, id: &str) -> Result<Option<T>> {
        let now = self.clock.now().as_millis();
        let slot = (table, id.to_owned());
        let known = self.cache.lock().get(&slot).filter(|(at, _)| (0..CACHE_MILLIS).contains(&(now - at))).cloned();
        let entry = match known {
            Some((_, entry)) => entry,
            None => {
                let entry = self.store.get(&Namespace::new(table)?, &Key::new(id)?)?;
                let mut cache = self.cache.lock();
                if cache.len() >= CACHE_ENTRIES {
                    cache.clear();
                }
                cache.insert(slot, (now, entry.clone()));
                entry
            }
        };
        entry.map(|entry| record(table, &entry)).transpose()
    }

    fn write(&self, table: &'static str, id: &str, record: &impl Serialize, until: Option<Timestamp>) -> Result<()> {
        let bytes = rmp_serde::to_vec_named(record).map_err(|error| Error::invalid(error.to_string()))?;
        let operation = Operation::Set {
            namespace: Namespace::new(table)?,
            key: Key::new(id)?,
            value: Value::shared(Kind::Json, bytes),
            expiry: until.map_or(Expiry::Never, Expiry::At),
        };
        self.store.apply(operation, None::<Condition<'_>>)?;
        self.cache.lock().remove(&(table, id.to_owned()));
        Ok(())
    }

    fn some<T: DeserializeOwned>(
        &self,
        table: &'static str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, T)>> {
        let mut range = Range::default().limit(limit);
        if let Some(after) = after {
            range = range.after(Key::new(after)?);
        }
        let entries = self.store.entries(&Namespace::new(table)?, &range)?;
        entries.iter().map(|entry| Ok((entry.key().to_owned(), record(table, entry)?))).collect()
    }

    fn remove(&self, table: &'static str, what: &str, id: &str) -> Result<()> {
        check_part(&format!("{what} id"), id)?;
        let removed = self.store.delete(table, id)?;
        self.cache.lock().remove(&(table, id.to_owned()));
        if removed { Ok(()) } else { Err(Error::not_found(format!("{what} {id}")).into()) }
    }
}

fn record<T: DeserializeOwned>(table: &str, entry: &Entry) -> Result<T> {
    rmp_serde::from_slice(entry.value())
        .map_err(|error| Error::corrupt(format!("{} in the registry's {table}: {error}", entry.key())).into())
}

/// The id and the secret of `sst_<id>_<secret>`.
fn split_token(credentials: &str) -> Option<(&str, &str)> {
    let (id, secret) = credentials.strip_prefix("sst_")?.split_once('_')?;
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (id.len() == 16 && secret.len() == 64 && is_hex(id) && is_hex(secret)).then_some((id, secret))
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// A new operator's key: 256 random bits.
///
/// # Errors
/// `Unavailable` where the system has no random bits.
pub fn new_operator_key() -> crate::error::Result<String> {
    Ok(format!("ssk_{}", random_hex::<32>()?))
}

fn random_hex<const BYTES: usize>() -> crate::error::Result<String> {
    use std::fmt::Write;
    let mut random = [0; BYTES];
    getrandom::fill(&mut random)
        .map_err(|error| Error::Unavailable { what: format!("the system has no random bits: {error}") })?;
    Ok(random.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

//! One server: its connection, and what to make of what it answers.
//!
//! All threads share a node's connection. It is made by whoever needs one and finds none that lives; the others wait for it. What
//! an error means for the request (not sent, lost, not ready, elsewhere, refused) is judged here and nowhere else; what is done
//! about it is `connection.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, PushInfo, PushKind, RedisError, Value};

use super::address::Target;
use super::script::{Code, Effect, Request};
use crate::error::{Error, Result};

/// One server.
pub(super) struct Node {
    address: String,
    info: ConnectionInfo,
    /// The longest wait for a connection, or for what a cluster's node says of the cluster.
    patience: Duration,
    live: RwLock<Option<Live>>,
    /// Taken by whoever connects; others wait for what comes of it.
    connecting: tokio::sync::Mutex<()>,
}

/// A connection, shared by cloning.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) connection: MultiplexedConnection,
    /// Set by the connection when it ends, and by who waited in vain.
    is_dead: Arc<AtomicBool>,
}

/// What to do after an attempt that failed.
pub(super) enum Failure {
    /// Nothing was sent, and later it may be: the reason.
    NotSent(String),
    /// It may have been sent: the reason.
    Lost(String),
    /// The server is not ready: the reason.
    NotReady(String),
    /// The server does not know the script.
    Unknown,
    /// Another server holds the key, for good or, while it moves, for this once.
    Elsewhere { address: String, slot: u16, is_asking: bool },
    /// The answer is an error.
    Refused(Error),
}

/// How far a request has come, for the message when its time is over.
#[derive(Default)]
pub(super) struct Progress {
    last: Mutex<Option<String>>,
    /// The connection that was sent to and has not answered.
    waits_on: Mutex<Option<Arc<AtomicBool>>>,
    is_repeat: AtomicBool,
}

impl Progress {
    fn sent(&self, live: &Live) {
        *self.waits_on.lock() = Some(live.is_dead.clone());
    }

    fn answered(&self) {
        *self.waits_on.lock() = None;
    }

    pub(super) fn note(&self, reason: &str) {
        *self.last.lock() = Some(reason.to_owned());
    }

    /// The request may have been carried out by an attempt whose answer was lost.
    pub(super) fn repeat(&self, reason: &str) {
        self.note(reason);
        self.is_repeat.store(true, Ordering::Relaxed);
    }

    /// Whether an attempt was lost before.
    pub(super) fn is_repeat(&self) -> bool {
        self.is_repeat.load(Ordering::Relaxed)
    }

    /// What is known when time is over. A connection that was silent is not used again.
    pub(super) fn give_up(&self) -> String {
        let waits_on = self.waits_on.lock().take();
        if let Some(is_dead) = &waits_on {
            is_dead.store(true, Ordering::Release);
        }
        let what = match waits_on.is_some() || self.is_repeat() {
            true => "what was asked may have happened",
            false => "nothing was done",
        };
        match &*self.last.lock() {
            Some(reason) => format!("{what} ({reason})"),
            None => what.to_owned(),
        }
    }
}

impl Node {
    /// A server that is not connected yet.
    pub(super) fn new(address: &str, info: ConnectionInfo, patience: Duration) -> Self {
        Self {
            address: address.to_owned(),
            info,
            patience,
            live: RwLock::default(),
            connecting: tokio::sync::Mutex::default(),
        }
    }

    /// Where it is.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Ends the connection; what is under way on it still has its answer.
    pub(super) fn disconnect(&self) {
        self.live.write().take();
    }

    /// The connection, made if there is none that lives.
    pub(super) async fn live(&self, target: &Target) -> Result<Live, Failure> {
        if let Some(live) = self.current() {
            return Ok(live);
        }
        let _connecting = self.connecting.lock().await;
        if let Some(live) = self.current() {
            return Ok(live);
        }
        let is_dead = Arc::new(AtomicBool::new(false));
        let ended = is_dead.clone();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.patience))
            .set_response_timeout(None)
            .set_push_sender(move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    ended.store(true, Ordering::Release);
                }
                Ok::<(), redis::aio::SendError>(())
            });
        let client = target.client(self.info.clone()).map_err(|error| not_sent(&error, target))?;
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        let connection = connection.await.map_err(|error| not_sent(&error, target))?;
        let live = Live { connection, is_dead };
        *self.live.write() = Some(live.clone());
        Ok(live)
    }

    fn current(&self) -> Option<Live> {
        self.live.read().clone().filter(|live| !live.is_dead.load(Ordering::Acquire))
    }

    /// Sends one request once.
    pub(super) async fn send(
        &self,
        request: &Request,
        is_asking: bool,
        target: &Target,
        progress: &Progress,
    ) -> Result<Value, Failure> {
        let mut live = self.live(target).await?;
        progress.sent(&live);
        let answer = match is_asking {
            false => live.connection.send_packed_command(&request.command).await,
            true => {
                // Both in one, so that no other command of this connection comes between them.
                let mut pipeline = redis::Pipeline::with_capacity(2);
                pipeline.cmd("ASKING").add_command(request.command.clone());
                let answers = live.connection.send_packed_commands(&pipeline, 1, 1).await;
                answers.map(|mut answers| answers.pop().unwrap_or(Value::Nil))
            }
        };
        progress.answered();
        let answer = answer.and_then(Value::extract_error);
        answer.map_err(|error| {
            let failure = judge(&error, target);
            if matches!(failure, Failure::Lost(_)) || needs_another_server(&error) {
                live.is_dead.store(true, Ordering::Release);
            }
            failure
        })
    }

    /// Sends many requests once; what was not answered, or with an error, is `None`.
    pub(super) async fn send_all(&self, page: &[Request], positions: &[usize]) -> Vec<Option<Value>> {
        let Some(mut live) = self.current() else { return Vec::new() };
        let mut pipeline = redis::Pipeline::with_capacity(positions.len());
        for position in positions {
            if page[*position].effect != Effect::Repeatable {
                return Vec::new();
            }
            pipeline.add_command(page[*position].command.clone());
        }
        let answers = live.connection.send_packed_commands(&pipeline, 0, positions.len()).await;
        let answers = answers.unwrap_or_default().into_iter();
        answers.map(|answer| answer.extract_error().ok()).collect()
    }

    /// Makes a script known to the server.
    pub(super) async fn load(&self, code: &Code, target: &Target) -> Result<(), Failure> {
        let mut live = self.live(target).await?;
        let loaded = live.connection.send_packed_command(redis::cmd("SCRIPT").arg("LOAD").arg(&code.text)).await;
        loaded.and_then(Value::extract_error).map(drop).map_err(|error| judge(&error, target))
    }

    /// Asks a cluster's node something about the cluster; a silent one is not waited for.
    pub(super) async fn ask(&self, command: &redis::Cmd, target: &Target) -> Option<Value> {
        let mut live = self.live(target).await.ok()?;
        match tokio::time::timeout(self.patience, live.connection.send_packed_command(command)).await {
            Ok(answer) => answer.and_then(Value::extract_error).ok(),
            Err(_) => {
                // Whoever asks next connects anew, or finds that it cannot.
                live.is_dead.store(true, Ordering::Release);
                None
            }
        }
    }
}

impl Failure {
    pub(super) fn reason(self) -> String {
        match self {
            Self::NotSent(reason) | Self::Lost(reason) | Self::NotReady(reason) => reason,
            Self::Unknown => "it does not know the script".into(),
            Self::Elsewhere { address, .. } => format!("it points to {address}"),
            Self::Refused(error) => error.to_string(),
        }
    }

    pub(super) fn into_error(self, target: &Target) -> Error {
        match self {
            Self::Refused(error) => error,
            other => unavailable(format!("{target} did not answer: {}", other.reason())),
        }
    }
}

/// What to make of an error while connecting.
fn not_sent(error: &RedisError, target: &Target) -> Failure {
    let detail = error.detail().unwrap_or_default();
    match judge(error, target) {
        Failure::Lost(reason) => Failure::NotSent(reason),
        Failure::Refused(Error::Corrupt { .. }) if detail.contains("max number of clients") => {
            Failure::NotSent(detail.to_owned())
        }
        // The database, a protocol that the server lacks: what the URL asks for.
        Failure::Refused(Error::Corrupt { what }) => Failure::Refused(Error::Invalid { what }),
        other => other,
    }
}

/// Whether the server may have become another one: a master that lost its place.
fn needs_another_server(error: &RedisError) -> bool {
    matches!(error.code(), Some("READONLY" | "MASTERDOWN"))
}

/// What to make of an error.
pub(super) fn judge(error: &RedisError, target: &Target) -> Failure {
    let detail = error.detail().unwrap_or_default().chars().take(200).collect::<String>();
    match error.code() {
        Some(code @ ("MOVED" | "ASK")) => match (target.is_cluster(), error.redirect_node()) {
            (true, Some((address, slot))) => {
                Failure::Elsewhere { address: address.to_owned(), slot, is_asking: code == "ASK" }
            }
            _ => Failure::Refused(Error::invalid(format!(
                "{target} is a node of a cluster; open it by a URL that begins with redis+cluster:"
            ))),
        },
        Some("NOSCRIPT") => Failure::Unknown,
        Some(code @ ("TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN" | "LOADING" | "READONLY" | "BUSY")) => {
            Failure::NotReady(format!("{code} {detail}"))
        }
        Some(code @ ("NOAUTH" | "WRONGPASS" | "NOPERM" | "DENIED")) => {
            Failure::Refused(Error::invalid(format!("{target} refuses the user or what it wants to do: {code}")))
        }
        Some("OOM") => Failure::Refused(unavailable(format!("{target} is out of memory; nothing was written"))),
        Some(code @ ("MISCONF" | "NOREPLICAS")) => {
            Failure::Refused(unavailable(format!("{target} takes no writes: {code} {detail}")))
        }
        Some(code) => Failure::Refused(Error::corrupt(format!("{target} answered {code} {detail}"))),
        None if error.kind() == redis::ErrorKind::AuthenticationFailed => {
            Failure::Refused(Error::invalid(format!("{target} refuses the user or the password")))
        }
        None if matches!(
            error.kind(),
            redis::ErrorKind::InvalidClientConfig | redis::ErrorKind::RESP3NotSupported | redis::ErrorKind::Client
        ) =>
        {
            Failure::Refused(Error::invalid(format!("no connection to {target}: {error}")))
        }
        None => Failure::Lost(error.to_string()),
    }
}

/// The client that connects by `info`, with the certificates of a given authority.
pub(super) fn client(info: ConnectionInfo, authority: Option<&[u8]>) -> redis::RedisResult<Client> {
    match (info.addr(), authority) {
        (ConnectionAddr::TcpTls { .. }, Some(authority)) => Client::build_with_tls(
            info,
            redis::TlsCertificates { client_tls: None, root_cert: Some(authority.to_vec()) },
        ),
        _ => Client::open(info),
    }
}

pub(super) fn unavailable(what: String) -> Error {
    Error::Unavailable { what }
}

//! Connections: one shared by all threads to each server, replaced when it dies or falls silent.
//!
//! Commands of many threads travel together over a node's connection. Every call has one deadline around all of it: connecting,
//! waiting to connect again, sending, the answer. What was surely not sent is sent again; what may have been sent is sent again only
//! where its [`Effect`] allows. A process that was forked makes a runtime and connections of its own and leaves its parent's alone.

use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, PushInfo, PushKind, RedisError, Value};
use tokio::runtime::{Builder, Runtime};

use super::address::Target;
use super::cluster::Slots;
use super::script::{Code, Effect, Request};
use crate::error::{Error, Result};

/// The longest wait for a connection, as far as the call's own time allows.
const CONNECT: Duration = Duration::from_secs(1);
/// Waits between attempts begin so short and double up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Waits for a server that says it will be ready soon.
const LONGEST_WAIT: Duration = Duration::from_millis(200);
/// Commands that travel as one, at the most.
const PIPELINE: usize = 1000;

/// The way to a server or a cluster, shared by all threads.
pub(super) struct Transport {
    target: Target,
    timeout: Duration,
    process: Process,
}

/// What one process has of a transport: its children have what comes after.
#[derive(Default)]
struct Process {
    /// Filled once, by the process whose number it holds.
    own: OnceLock<(u32, ManuallyDrop<Inner>)>,
    child: OnceLock<Box<Process>>,
}

struct Inner {
    runtime: Runtime,
    shared: Arc<Shared>,
}

/// What the calls of one process share.
pub(super) struct Shared {
    target: Target,
    nodes: Mutex<HashMap<String, Arc<Node>>>,
    pub(super) slots: Slots,
}

/// One server.
pub(super) struct Node {
    info: ConnectionInfo,
    live: RwLock<Option<Live>>,
    /// Taken by whoever connects; others wait for what comes of it.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Live {
    connection: MultiplexedConnection,
    /// Set by the connection when it ends, and by who waited in vain.
    is_dead: Arc<AtomicBool>,
}

/// An answer, and whether the request may have been carried out before by an attempt whose answer was lost.
pub(super) struct Answer {
    pub(super) value: Value,
    pub(super) is_repeat: bool,
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

impl Transport {
    /// A transport that has connected once.
    ///
    /// # Errors
    /// `Unavailable` when no server answers, `Invalid` when one refuses the user, is too old or is not of the kind that was named.
    pub(super) fn connect(target: Target, timeout: Duration) -> Result<Self> {
        let transport = Self { target, timeout, process: Process::default() };
        let inner = transport.inner()?;
        inner.runtime.block_on(async {
            match tokio::time::timeout(timeout, inner.shared.greet()).await {
                Ok(greeted) => greeted,
                Err(_) => Err(transport.silent("nothing was sent")),
            }
        })?;
        Ok(transport)
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// `Unavailable` after the timeout, or when the answer was lost and a repeat is not allowed; it may have happened then.
    pub(super) fn call(&self, request: &Request) -> Result<Answer> {
        let inner = self.inner()?;
        inner.runtime.block_on(self.within(&inner.shared, request))
    }

    /// Sends requests together and waits for all answers, in the order of the requests.
    ///
    /// # Errors
    /// As [`Transport::call`], for the first that failed.
    pub(super) fn call_many(&self, requests: &[Request]) -> Result<Vec<Value>> {
        let inner = self.inner()?;
        let mut answers = Vec::with_capacity(requests.len());
        for page in requests.chunks(PIPELINE) {
            answers.extend(inner.runtime.block_on(self.page(&inner.shared, page))?);
        }
        Ok(answers)
    }

    /// Closes every connection. Calls that come later connect again.
    pub(super) fn disconnect(&self) {
        if let Ok(inner) = self.inner() {
            let nodes = std::mem::take(&mut *inner.shared.nodes.lock());
            inner.runtime.spawn(async move { drop(nodes) });
        }
    }

    async fn page(&self, shared: &Shared, page: &[Request]) -> Result<Vec<Value>> {
        let mut answers: Vec<Option<Value>> = vec![None; page.len()];
        let together = async {
            for (node, positions) in shared.by_node(page) {
                // What fails here for whatever reason is sent again by itself.
                for (position, answer) in positions.iter().zip(node.send_all(page, &positions).await) {
                    answers[*position] = answer;
                }
            }
        };
        let _ = tokio::time::timeout(self.timeout, together).await;
        let mut found = Vec::with_capacity(page.len());
        for (request, answer) in page.iter().zip(answers) {
            found.push(match answer {
                Some(answer) => answer,
                None => self.within(shared, request).await?.value,
            });
        }
        Ok(found)
    }

    async fn within(&self, shared: &Shared, request: &Request) -> Result<Answer> {
        let progress = Progress::default();
        match tokio::time::timeout(self.timeout, shared.perform(request, &progress)).await {
            Ok(answer) => answer,
            Err(_) => Err(progress.give_up(self)),
        }
    }

    fn silent(&self, what: &str) -> Error {
        unavailable(format!("{} did not answer within {} s; {what}", self.target, self.timeout.as_secs_f64()))
    }

    fn inner(&self) -> Result<&Inner> {
        let (own, mut process) = (std::process::id(), &self.process);
        loop {
            if process.own.get().is_none() {
                let inner = Inner::new(self.target.clone())?;
                let _ = process.own.set((own, ManuallyDrop::new(inner)));
            }
            match process.own.get() {
                Some((id, inner)) if *id == own => return Ok(inner),
                _ => process = process.child.get_or_init(Box::default),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some((id, inner)) = self.own.take()
            && id == std::process::id()
        {
            let Inner { runtime, shared } = ManuallyDrop::into_inner(inner);
            drop(shared);
            runtime.shutdown_background();
        }
    }
}

impl Inner {
    fn new(target: Target) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("swarmstate-redis").enable_all().build();
        let runtime = runtime.map_err(|error| unavailable(format!("no thread could be started: {error}")))?;
        Ok(Self { runtime, shared: Arc::new(Shared { target, nodes: Mutex::default(), slots: Slots::default() }) })
    }
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

    fn note(&self, reason: &str) {
        *self.last.lock() = Some(reason.to_owned());
    }

    /// The error when time is over. A connection that was silent is not used again.
    fn give_up(&self, transport: &Transport) -> Error {
        let waits_on = self.waits_on.lock().take();
        if let Some(is_dead) = &waits_on {
            is_dead.store(true, Ordering::Release);
        }
        let may_have = waits_on.is_some() || self.is_repeat.load(Ordering::Relaxed);
        let what = if may_have { "what was asked may have happened" } else { "nothing was done" };
        match &*self.last.lock() {
            Some(reason) => transport.silent(&format!("{what} ({reason})")),
            None => transport.silent(what),
        }
    }
}

impl Shared {
    /// The node at an address, which may be new.
    pub(super) fn node(&self, address: &str) -> Arc<Node> {
        let mut nodes = self.nodes.lock();
        let node = nodes.entry(address.to_owned()).or_insert_with(|| {
            Arc::new(Node {
                info: self.target.info_of(address),
                live: RwLock::default(),
                connecting: tokio::sync::Mutex::default(),
            })
        });
        node.clone()
    }

    /// Connects to the first server that answers, and looks whether it is what the target says.
    async fn greet(&self) -> Result<()> {
        let mut reasons = Vec::new();
        for address in self.target.addresses() {
            match self.node(address).live(&self.target).await {
                Ok(live) => return self.inspect(live).await,
                Err(Failure::Refused(error)) => return Err(error),
                Err(failure) => reasons.push(failure.reason()),
            }
        }
        Err(unavailable(format!("no connection to {}: {}", self.target, reasons.join("; "))))
    }

    async fn inspect(&self, mut live: Live) -> Result<()> {
        let answer = live.connection.send_packed_command(redis::cmd("INFO").arg("server")).await;
        let answer = answer.and_then(Value::extract_error);
        let text = match answer.and_then(|value| Ok(redis::from_redis_value::<String>(value)?)) {
            Ok(text) => text,
            Err(error) => return Err(judge(&error, &self.target).into_error(&self.target)),
        };
        self.target.check_server(&text)
    }

    /// Sends a request until it is answered, as far as its effect allows.
    async fn perform(&self, request: &Request, progress: &Progress) -> Result<Answer> {
        let mut pause = FIRST_PAUSE;
        let (mut asked, mut waits) = (None, FIRST_PAUSE);
        loop {
            let (address, is_asking) = match asked.take() {
                Some(address) => (address, true),
                None => (self.address_of(&request.key).await, false),
            };
            let node = self.node(&address);
            match node.send(request, is_asking, &self.target, progress).await {
                Ok(value) => return Ok(Answer { value, is_repeat: progress.is_repeat.load(Ordering::Relaxed) }),
                Err(Failure::Refused(error)) => return Err(error),
                Err(Failure::Unknown) => {
                    if let Some(code) = request.script {
                        node.load(code, &self.target).await;
                    }
                }
                Err(Failure::Elsewhere { address: to, slot, is_asking }) => match is_asking {
                    true => asked = Some(with_host(&to, &address)),
                    false => self.slots.moved(slot, with_host(&to, &address)),
                },
                Err(Failure::NotReady(reason)) => {
                    progress.note(&reason);
                    self.slots.forget();
                    tokio::time::sleep(waits).await;
                    waits = (waits * 2).min(LONGEST_WAIT);
                }
                Err(Failure::NotSent(reason)) => {
                    progress.note(&reason);
                    self.slots.forget();
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(Failure::Lost(reason)) => {
                    if request.effect == Effect::Once {
                        return Err(unavailable(format!(
                            "{} was lost before it answered; what was asked may have happened ({reason})",
                            self.target
                        )));
                    }
                    progress.note(&reason);
                    progress.is_repeat.store(true, Ordering::Relaxed);
                    self.slots.forget();
                }
            }
        }
    }

    async fn address_of(&self, key: &[u8]) -> String {
        if !self.target.is_cluster() {
            return self.target.addresses()[0].clone();
        }
        self.slots.address_of(key, self, &self.target).await
    }

    /// The requests by the node that holds their key, as far as it is known.
    fn by_node(&self, page: &[Request]) -> Vec<(Arc<Node>, Vec<usize>)> {
        let mut nodes: Vec<(Option<String>, Vec<usize>)> = Vec::new();
        for (position, request) in page.iter().enumerate() {
            let address = match self.target.is_cluster() {
                true => self.slots.known_address_of(&request.key),
                false => Some(self.target.addresses()[0].clone()),
            };
            match nodes.iter_mut().find(|(known, _)| *known == address) {
                Some((_, positions)) => positions.push(position),
                None => nodes.push((address, vec![position])),
            }
        }
        let known = nodes.into_iter().filter_map(|(address, positions)| Some((self.node(&address?), positions)));
        known.collect()
    }
}

impl Node {
    /// The connection, made if there is none that lives.
    async fn live(&self, target: &Target) -> Result<Live, Failure> {
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
            .set_connection_timeout(Some(CONNECT))
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
    async fn send(
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
    async fn send_all(&self, page: &[Request], positions: &[usize]) -> Vec<Option<Value>> {
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

    async fn load(&self, code: &Code, target: &Target) {
        // A failure shows when the script is called again.
        if let Ok(mut live) = self.live(target).await {
            let _ = live.connection.send_packed_command(redis::cmd("SCRIPT").arg("LOAD").arg(&code.text)).await;
        }
    }

    /// Asks a cluster's node something about the cluster.
    pub(super) async fn ask(&self, command: &redis::Cmd, target: &Target) -> Option<Value> {
        let mut live = self.live(target).await.ok()?;
        live.connection.send_packed_command(command).await.and_then(Value::extract_error).ok()
    }
}

impl Failure {
    fn reason(self) -> String {
        match self {
            Self::NotSent(reason) | Self::Lost(reason) | Self::NotReady(reason) => reason,
            Self::Unknown => "it does not know the script".into(),
            Self::Elsewhere { address, .. } => format!("it points to {address}"),
            Self::Refused(error) => error.to_string(),
        }
    }

    fn into_error(self, target: &Target) -> Error {
        match self {
            Self::Refused(error) => error,
            other => unavailable(format!("{target} did not answer: {}", other.reason())),
        }
    }
}

fn unavailable(what: String) -> Error {
    Error::Unavailable { what }
}

/// A cluster's node may leave its own host out of what it says.
fn with_host(address: &str, told_by: &str) -> String {
    match (address.strip_prefix(':'), told_by.rsplit_once(':')) {
        (Some(port), Some((host, _))) => format!("{host}:{port}"),
        _ => address.to_owned(),
    }
}

/// What to make of an error while connecting.
fn not_sent(error: &RedisError, target: &Target) -> Failure {
    match judge(error, target) {
        Failure::Lost(reason) => Failure::NotSent(reason),
        other => other,
    }
}

/// Whether the server may have become another one: a master that lost its place.
fn needs_another_server(error: &RedisError) -> bool {
    matches!(error.code(), Some("READONLY" | "MASTERDOWN"))
}

/// What to make of an error.
fn judge(error: &RedisError, target: &Target) -> Failure {
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

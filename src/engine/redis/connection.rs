//! The way to a server or a cluster: what is sent where, and again or not.
//!
//! Commands of many threads travel together over a node's connection. Every call has one deadline around all of it: connecting,
//! waiting to connect again, sending, the answer. What was surely not sent is sent again; what may have been sent is sent again only
//! where its [`Effect`] allows. A process that was forked makes a runtime and connections of its own and leaves its parent's alone.

use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use redis::Value;
use tokio::runtime::{Builder, Runtime};

use super::address::Target;
use super::cluster::Slots;
use super::node::{Failure, Live, Node, Progress, judge, unavailable};
use super::script::{Effect, Request};
use crate::error::{Error, Result};

/// The longest wait for a connection, as far as the call's own time allows; where other servers may know more, so
/// many tries have to fit into it.
const LONGEST_PATIENCE: Duration = Duration::from_secs(1);
const TRIES: u32 = 4;
/// Waits between attempts begin so short and double up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Waits for a server that says it will be ready soon.
const LONGEST_WAIT: Duration = Duration::from_millis(200);
/// Redirections of one call that are followed at once.
const REDIRECTIONS: u32 = 4;
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
    /// The server that is named first: the only one, unless the target is a cluster.
    first: Arc<Node>,
    nodes: Mutex<HashMap<String, Arc<Node>>>,
    /// How long one server may be silent while a connection is made.
    patience: Duration,
    pub(super) slots: Slots,
}

/// An answer, and whether the request may have been carried out before by an attempt whose answer was lost.
pub(super) struct Answer {
    pub(super) value: Value,
    pub(super) is_repeat: bool,
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

    /// Where it leads.
    #[cfg(feature = "service")]
    pub(super) fn target(&self) -> &Target {
        &self.target
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
            inner.shared.nodes.lock().values().for_each(|node| node.disconnect());
        }
    }

    async fn page(&self, shared: &Shared, page: &[Request]) -> Result<Vec<Value>> {
        let mut answers: Vec<Option<Value>> = vec![None; page.len()];
        let together = async {
            if let (true, Some(first)) = (self.target.is_cluster(), page.first()) {
                // Learns the slots, if they are not known.
                shared.slots.address_of(&first.key, shared, &self.target).await;
            }
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
            Err(_) => Err(self.silent(&progress.give_up())),
        }
    }

    fn silent(&self, what: &str) -> Error {
        unavailable(format!("{} did not answer within {} s; {what}", self.target, self.timeout.as_secs_f64()))
    }

    fn inner(&self) -> Result<&Inner> {
        let (own, mut process) = (std::process::id(), &self.process);
        loop {
            if process.own.get().is_none() {
                let inner = Inner::new(self.target.clone(), self.timeout)?;
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
    fn new(target: Target, timeout: Duration) -> Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("swarmstate-redis").enable_all().build();
        let runtime = runtime.map_err(|error| unavailable(format!("no thread could be started: {error}")))?;
        let address = &target.addresses()[0];
        let share = if target.is_cluster() { timeout / TRIES } else { timeout };
        let patience = share.min(LONGEST_PATIENCE);
        let first = Arc::new(Node::new(address, target.info_of(address), patience));
        let nodes = Mutex::new(HashMap::from([(address.clone(), first.clone())]));
        Ok(Self { runtime, shared: Arc::new(Shared { target, first, nodes, patience, slots: Slots::default() }) })
    }
}

impl Shared {
    /// The node at an address, which may be new.
    pub(super) fn node(&self, address: &str) -> Arc<Node> {
        let mut nodes = self.nodes.lock();
        let node = nodes
            .entry(address.to_owned())
            .or_insert_with(|| Arc::new(Node::new(address, self.target.info_of(address), self.patience)));
        node.clone()
    }

    /// Where a server may be that knows the others: those that the target names, then those that were ever pointed to.
    pub(super) fn addresses(&self) -> Vec<String> {
        let mut addresses = self.target.addresses().to_vec();
        let nodes = self.nodes.lock();
        addresses.extend(nodes.keys().filter(|address| !self.target.addresses().contains(address)).cloned());
        addresses
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
        let (mut asked, mut waits, mut redirections) = (None, FIRST_PAUSE, 0);
        loop {
            let (node, is_asking) = match asked.take() {
                Some(node) => (node, true),
                None => (self.node_of(&request.key).await, false),
            };
            match node.send(request, is_asking, &self.target, progress).await {
                Ok(value) => return Ok(Answer { value, is_repeat: progress.is_repeat() }),
                Err(Failure::Refused(error)) => return Err(error),
                Err(Failure::Unknown) => {
                    let loaded = match request.script {
                        Some(code) => node.load(code, &self.target).await,
                        None => Ok(()),
                    };
                    if let Err(Failure::Refused(error)) = loaded {
                        return Err(error);
                    }
                }
                Err(Failure::Elsewhere { address: to, slot, is_asking }) => {
                    let to = with_host(&to, node.address());
                    redirections += 1;
                    if redirections > REDIRECTIONS {
                        // Servers that disagree need time to agree.
                        progress.note(&format!("{} points to {to}", node.address()));
                        tokio::time::sleep(waits).await;
                        waits = (waits * 2).min(LONGEST_WAIT);
                    }
                    match is_asking {
                        true => asked = Some(self.node(&to)),
                        false => self.slots.moved(slot, to),
                    }
                }
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
                    progress.repeat(&reason);
                    self.slots.forget();
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn node_of(&self, key: &[u8]) -> Arc<Node> {
        if !self.target.is_cluster() {
            return self.first.clone();
        }
        self.node(&self.slots.address_of(key, self, &self.target).await)
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

/// A cluster's node may leave its own host out of what it says.
fn with_host(address: &str, told_by: &str) -> String {
    match (address.strip_prefix(':'), told_by.rsplit_once(':')) {
        (Some(port), Some((host, _))) => format!("{host}:{port}"),
        _ => address.to_owned(),
    }
}

//! MCP over stdin and stdout: the client that started the process is its only one, and trusted.
//!
//! A line is a message, never longer than a body at REST. What arrived before the input ended is answered before the process
//! ends. Nothing but messages goes to stdout.

use std::io::{BufRead, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rmcp::model::{ClientJsonRpcMessage, GetExtensions, RequestId, ServerJsonRpcMessage};
use rmcp::service::ServerInitializeError;
use rmcp::transport::Transport;
use rmcp::{ErrorData, RoleServer, serve_server};
use tokio::io::{AsyncWriteExt, Stdout};
use tokio::sync::{Mutex, Notify, mpsc};

use super::message::split;
use super::{Call, Tools};
use crate::clock::Clock;
use crate::error::Error;
use crate::service::app::App;
use crate::service::auth::{Identity, Registry, new_operator_key};
use crate::service::context::check_part;
use crate::service::ops::Keys;
use crate::service::problem;
use crate::service::rest::VALUE_BODY;
use crate::store::Store;

/// Messages that are read ahead.
const AHEAD: usize = 4;

/// How long requests under way may take once the input has ended.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// For whom tools are served.
#[derive(Clone, Debug)]
pub struct StdioOptions {
    /// The agent that calls.
    pub agent: Option<String>,
    /// The task that it works on.
    pub task: Option<String>,
    /// The capabilities that are offered.
    pub capabilities: Vec<String>,
    /// What tells the time; the clock of the store.
    pub clock: Clock,
}

/// Serves the tools on `store` over stdin and stdout until the input ends.
///
/// # Errors
/// `Invalid` for an agent or a task that is none, and for a client that does not begin as the protocol says; `Unavailable` where
/// the system has no thread left.
pub fn serve_stdio(store: Arc<dyn Store>, registry: Arc<dyn Store>, options: StdioOptions) -> crate::error::Result<()> {
    for (what, id) in [("agent id", &options.agent), ("task id", &options.task)] {
        id.as_deref().map_or(Ok(()), |id| check_part(what, id))?;
    }
    let registry = Registry::new(registry, &new_operator_key()?, options.clock.clone());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let app = Arc::new(App::new(Keys::new(store, options.clock.clone()), registry, address, None, None, false));
    let tools = Tools { app: app.clone(), offered: options.capabilities.clone().into() };
    let no_thread = |error| Error::Unavailable { what: format!("the server cannot start a thread: {error}") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(no_thread)?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    let reader = move || read_lines(&mut std::io::stdin().lock(), &app, &options, &sender);
    // It waits for input until the process ends; nobody waits for it.
    std::thread::Builder::new().name("swarmstate-stdin".to_owned()).spawn(reader).map_err(no_thread)?;
    runtime.block_on(async {
        let running = match serve_server(tools, Pipe::new(receiver)).await {
            Ok(running) => running,
            Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
            Err(_) => return Err(Error::invalid("the client did not begin as MCP says, with initialize or discover")),
        };
        let _ = running.waiting().await;
        Ok(())
    })
}

/// What a line is.
enum Incoming {
    Message(Box<ClientJsonRpcMessage>),
    /// No message, or one that nobody can carry out, and what to answer.
    Refused(Option<RequestId>, ErrorData),
}

fn read_lines(input: &mut impl BufRead, app: &App, options: &StdioOptions, sender: &mpsc::Sender<Incoming>) {
    let mut line = Vec::new();
    while let Some(is_whole) = read_line(input, &mut line) {
        let incoming = match is_whole {
            true if line.trim_ascii().is_empty() => continue,
            true => incoming(&line, app, options),
            false => {
                let text = format!("the message is longer than {VALUE_BODY} bytes");
                Incoming::Refused(None, ErrorData::invalid_request(text, None))
            }
        };
        if sender.blocking_send(incoming).is_err() {
            return;
        }
    }
}

/// Reads a line; tells whether it is whole rather than too long, and `None` at the end.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> Option<bool> {
    line.clear();
    let limit = VALUE_BODY as u64;
    if input.take(limit).read_until(b'\n', line).ok()? == 0 {
        return None;
    }
    let is_whole = line.ends_with(b"\n") || line.len() < VALUE_BODY;
    while !is_whole && !line.ends_with(b"\n") {
        line.clear();
        if input.take(limit).read_until(b'\n', line).ok()? == 0 {
            return Some(false);
        }
    }
    Some(is_whole)
}

fn incoming(line: &[u8], app: &App, options: &StdioOptions) -> Incoming {
    let unreadable = |text: String| Incoming::Refused(None, ErrorData::parse_error(text, None));
    let (envelope, arguments) = match split(line) {
        Ok(parts) => parts,
        Err(refusal) => return unreadable(problem::detail(&refusal.reason)),
    };
    let Ok(mut message) = serde_json::from_slice::<ClientJsonRpcMessage>(&envelope) else {
        return unreadable("the message is none of the protocol".to_owned());
    };
    if let ClientJsonRpcMessage::Request(request) = &mut message {
        let caller = match app.registry.caller(&Identity::OPERATOR, options.agent.as_deref()) {
            Ok(caller) => caller,
            Err(refusal) => {
                let text = problem::detail(&refusal.reason);
                return Incoming::Refused(Some(request.id.clone()), ErrorData::internal_error(text, None));
            }
        };
        request.request.extensions_mut().insert(Call { caller, task: options.task.clone(), arguments });
    }
    Incoming::Message(Box::new(message))
}

/// Requests that wait for their answer.
#[derive(Default)]
struct UnderWay {
    count: AtomicUsize,
    changed: Notify,
}

/// Messages to and from the client.
struct Pipe {
    incoming: mpsc::Receiver<Incoming>,
    /// Held while one message is written, so that lines never mix.
    out: Arc<Mutex<Stdout>>,
    under_way: Arc<UnderWay>,
}

impl Pipe {
    fn new(incoming: mpsc::Receiver<Incoming>) -> Self {
        Self { incoming, out: Arc::new(Mutex::new(tokio::io::stdout())), under_way: Arc::default() }
    }

    /// Waits until every request has its answer; a request that was cancelled gets none.
    async fn drain(&self) {
        let all_answered = async {
            loop {
                let changed = self.under_way.changed.notified();
                if self.under_way.count.load(Ordering::Acquire) == 0 {
                    return;
                }
                changed.await;
            }
        };
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, all_answered).await;
    }
}

impl Transport<RoleServer> for Pipe {
    type Error = std::io::Error;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let (out, under_way) = (self.out.clone(), self.under_way.clone());
        async move {
            let is_answer = matches!(message, ServerJsonRpcMessage::Response(_) | ServerJsonRpcMessage::Error(_));
            let sent = write(&out, &message).await;
            if is_answer {
                let _ = under_way.count.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| count.checked_sub(1));
                under_way.changed.notify_one();
            }
            sent
        }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            match self.incoming.recv().await {
                Some(Incoming::Message(message)) => {
                    if matches!(*message, ClientJsonRpcMessage::Request(_)) {
                        self.under_way.count.fetch_add(1, Ordering::AcqRel);
                    }
                    return Some(*message);
                }
                Some(Incoming::Refused(id, error)) => {
                    let (out, answer) = (self.out.clone(), ServerJsonRpcMessage::error(error, id));
                    // On its own, since whoever waits for a message may stop waiting halfway.
                    tokio::spawn(async move { write(&out, &answer).await });
                }
                None => {
                    self.drain().await;
                    return None;
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.out.lock().await.flush().await
    }
}

async fn write(out: &Mutex<Stdout>, message: &ServerJsonRpcMessage) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    let mut out = out.lock().await;
    out.write_all(&line).await?;
    out.flush().await
}

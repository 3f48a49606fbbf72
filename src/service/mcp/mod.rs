//! MCP: the operations on keys as tools of an agent, over HTTP at `/mcp` and over stdin and stdout.
//!
//! `tools` says which tools there are, `call` decodes, calls and encodes, `message` keeps arguments exact. The protocol itself is
//! the crate's. No session is kept: each request carries its credentials and is judged alone, as at REST.

mod call;
mod message;
pub(super) mod stdio;
mod tools;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{Method, Request, header};
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, Implementation, ListToolsResult, PaginatedRequestParams,
    ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};

use super::answer::{Answer, finished};
use super::app::App;
use super::auth::Caller;
use super::body;
use super::headers::{bearer, single};
use super::measure::note;
use super::problem;
use super::refusal::Result;
use super::rest::{AGENT, TASK, VALUE_BODY, closing, refused_unread};
use message::{Arguments, split};
use tools::{Tool, available};

/// What an agent is told about the server as a whole.
const INSTRUCTIONS: &str = "A namespaced key/value store for state that a later call will look up by its exact key: \
counters, cursors, last-seen ids, locks, votes. Without a namespace, calls use the one of your task's conversation, or your own; \
my-agent-info tells which. Not for secrets, files, or knowledge to be searched.";

/// Who calls a tool, and with what.
#[derive(Clone)]
struct Call {
    caller: Caller,
    /// The task that the call belongs to, unchecked.
    task: Option<String>,
    arguments: Arguments,
}

impl Call {
    /// The call that the transport put beside a request.
    fn of(context: &RequestContext<RoleServer>) -> std::result::Result<&Self, ErrorData> {
        let beside = context.extensions.get::<Self>();
        let call = beside.or_else(|| context.extensions.get::<Parts>()?.extensions.get::<Self>());
        call.ok_or_else(|| ErrorData::internal_error("the request came without its caller", None))
    }
}

/// The tools, as the protocol asks for them.
#[derive(Clone)]
struct Tools {
    app: Arc<App>,
    /// The capabilities that the server offers.
    offered: Arc<[String]>,
}

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("swarmstate", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> std::result::Result<ListToolsResult, ErrorData> {
        let capabilities = available(&self.offered, &Call::of(&context)?.caller);
        let shown = Tool::ALL.into_iter().filter(|tool| tool.is_within(&capabilities)).map(Tool::describe);
        // Whose capabilities change sees other tools at the next look.
        Ok(ListToolsResult::with_all_items(shown.collect()).with_ttl_ms(0).with_cache_scope(CacheScope::Private))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> std::result::Result<CallToolResponse, ErrorData> {
        let call = Call::of(&context)?.clone();
        let capabilities = available(&self.offered, &call.caller);
        let unknown = || ErrorData::invalid_params(format!("there is no tool {:?}", request.name), None);
        let tool = Tool::named(&request.name).filter(|tool| tool.is_within(&capabilities)).ok_or_else(unknown)?;
        // One that may be long leaves this thread to the others.
        let is_long = tool == Tool::List;
        let turn = match is_long {
            true => self.app.turn().await.map(Some),
            false => Ok(None),
        };
        let turn = match turn {
            Ok(turn) => turn,
            Err(busy) => return Ok(call::refused(&busy).into()),
        };
        let waits = is_long || self.app.waits() || self.app.registry.waits();
        let work = move |app: &App| Ok(call::carry_out(app, tool, &call, &capabilities));
        let done = self.app.run(waits, work).await;
        drop(turn);
        Ok(done.unwrap_or_else(|refusal| call::refused(&refusal)).into())
    }
}

/// MCP over HTTP.
pub(super) struct Mcp {
    app: Arc<App>,
    service: StreamableHttpService<Tools, NeverSessionManager>,
}

impl Mcp {
    /// The door of a server at `address`, whose clients use `public_url` where that is given.
    pub(super) fn new(app: Arc<App>, offered: &[String], address: SocketAddr, public_url: Option<&str>) -> Self {
        let tools = Tools { app: app.clone(), offered: offered.into() };
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_max_request_body_bytes(VALUE_BODY)
            .with_allowed_hosts(hosts(address, public_url))
            .with_allowed_origins(origins(address, public_url))
            .enforce_origin_validation();
        Self { app, service: StreamableHttpService::new(move || Ok(tools.clone()), Arc::default(), config) }
    }

    /// Answers a request: judged as one at REST is, its arguments kept as they came, the rest is the protocol's.
    async fn answer(&self, request: Request<Body>) -> Result<Answer> {
        let (parts, body) = request.into_parts();
        self.app.check_host(&parts)?;
        let judged = self.app.run(self.app.registry.waits(), move |app| judge(app, parts)).await;
        let (caller, task, mut parts) = match judged {
            Ok(judged) => judged,
            Err(refusal) => return Ok(refused_unread(&refusal, body).await),
        };
        let mut envelope = Vec::new();
        if parts.method == Method::POST {
            let body = match body::read(&self.app, &parts.headers, body, VALUE_BODY).await {
                Ok(body) => body,
                Err(refusal) => return Ok(closing(problem::response(&refusal))),
            };
            let (rest, arguments) = split(&body)?;
            parts.extensions.insert(Call { caller, task, arguments });
            parts.headers.remove(header::CONTENT_LENGTH);
            envelope = rest;
        }
        let request = Request::from_parts(parts, Body::from(envelope));
        Ok(self.service.handle(request).await.map(Body::new))
    }
}

/// Who calls, and for which task.
fn judge(app: &App, parts: Parts) -> Result<(Caller, Option<String>, Parts)> {
    let identity = app.registry.authenticate(bearer(&parts.headers)?)?;
    app.take_turn(&identity)?;
    let caller = app.registry.caller(&identity, single(&parts.headers, &AGENT)?)?;
    note(&parts, &identity, &caller);
    let task = single(&parts.headers, &TASK)?.map(str::to_owned);
    Ok((caller, task, parts))
}

/// Answers a request at `/mcp`.
pub(super) async fn handle(State(mcp): State<Arc<Mcp>>, request: Request<Body>) -> Answer {
    finished(mcp.answer(request).await)
}

fn hosts(address: SocketAddr, public_url: Option<&str>) -> Vec<String> {
    let public = public_url.and_then(|url| url.parse::<axum::http::Uri>().ok());
    let public = public.as_ref().and_then(|url| url.host()).map(str::to_owned);
    let own = [address.ip().to_string(), "localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    own.into_iter().chain(public).collect()
}

/// Pages of this server itself; a page of any other site is refused, whatever a browser sends along.
fn origins(address: SocketAddr, public_url: Option<&str>) -> Vec<String> {
    let public = public_url.and_then(|url| url.parse::<axum::http::Uri>().ok()).and_then(|url| {
        let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("https") { 443 } else { 80 });
        Some(format!("{}://{}:{port}", url.scheme_str()?, url.host()?))
    });
    let own = [format!("http://{address}"), format!("http://localhost:{}", address.port())];
    own.into_iter().chain(public).collect()
}

//! What the tests start from: a service on a store of any engine, and clients of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use swarmstate::open::open_beside;
use swarmstate::service::{ServeOptions, Server};
use swarmstate::{
    Clock, Durability, Memory, MemoryOptions, Redis, RedisOptions, Sqlite, SqliteOptions, Store, Timestamp,
};
use ureq::http::{Method, Request};

use crate::servers;

/// A moment that no test shares with the real time.
pub(crate) const START: i64 = 1_700_000_000_000;

pub(crate) const ENGINES: [&str; 4] = ["memory", "sqlite", "redis", "redis-cluster"];

/// A server, the store behind it, and the time that both go by.
pub(crate) struct Service {
    pub(crate) server: Server,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    pub(crate) registry: Arc<dyn Store>,
    pub(crate) _folder: Option<tempfile::TempDir>,
}

impl Service {
    pub(crate) fn new() -> Self {
        Self::on("memory")
    }

    pub(crate) fn on(engine: &str) -> Self {
        Self::with(engine, |_| {})
    }

    /// A service with other options than the usual ones.
    pub(crate) fn with(engine: &str, change: impl FnOnce(&mut ServeOptions)) -> Self {
        let clock = Clock::manual(Timestamp::from_millis(START));
        let folder = (engine == "sqlite").then(|| tempfile::tempdir().expect("a folder can be made"));
        let store = open(engine, folder.as_ref(), clock.clone());
        let registry = open_beside(&*store, "registry", clock.clone()).expect("a registry opens beside every engine");
        let mut options = ServeOptions { clock: clock.clone(), ..ServeOptions::default() };
        change(&mut options);
        let server = Server::start(store.clone(), registry.clone(), options).expect("there is a free port");
        Self { server, store, clock, registry, _folder: folder }
    }

    /// The client that may do everything.
    pub(crate) fn operator(&self) -> Client {
        self.anonymous().with("Authorization", &format!("Bearer {}", self.server.api_key()))
    }

    /// The operator, speaking for an agent.
    pub(crate) fn agent(&self, id: &str) -> Client {
        self.operator().with("X-Agent-ID", id)
    }

    /// A client with a token of an agent.
    pub(crate) fn token(&self, agent: &str, scopes: &[&str]) -> Client {
        let body = serde_json::json!({"agentId": agent, "scopes": scopes}).to_string();
        let made = self.operator().post("/api/tokens", &body);
        let token = made.body["token"].as_str().expect("an operator makes tokens");
        self.anonymous().with("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn anonymous(&self) -> Client {
        Client::of(&self.server)
    }

    /// Another server on the same store and registry.
    pub(crate) fn beside(&self) -> Server {
        let options = ServeOptions { clock: self.clock.clone(), ..ServeOptions::default() };
        Server::start(self.store.clone(), self.registry.clone(), options).expect("there is a free port")
    }

    /// What the server sends back to exactly these bytes, until it closes or `patience` is over.
    pub(crate) fn raw(&self, request: &[u8]) -> String {
        self.raw_at(&self.server.address().to_string(), request)
    }

    /// The same, for the listener at an address.
    pub(crate) fn raw_at(&self, address: &str, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
        // A server that refuses early may close before all is sent.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The status that a request with the operator's key gets, whose first line and headers are as they stand.
    pub(crate) fn raw_status(&self, first_line: &str, headers: &str) -> String {
        let key = self.server.api_key();
        let request = format!("{first_line}\r\n{headers}Authorization: Bearer {key}\r\nConnection: close\r\n\r\n");
        self.raw(request.as_bytes()).split(' ').nth(1).unwrap_or("none").to_owned()
    }
}

fn open(engine: &str, folder: Option<&tempfile::TempDir>, clock: Clock) -> Arc<dyn Store> {
    let redis = |url: &str| {
        let options = RedisOptions { prefix: servers::fresh_prefix(), clock: clock.clone(), ..RedisOptions::default() };
        Arc::new(Redis::open(url, options).expect("the server is up"))
    };
    match (engine, folder) {
        ("memory", _) => {
            let options = MemoryOptions { clock, ..MemoryOptions::default() };
            Arc::new(Memory::with_options(options).expect("the options are right"))
        }
        ("sqlite", Some(folder)) => {
            let options = SqliteOptions { durability: Durability::Normal, clock, ..SqliteOptions::default() };
            Arc::new(Sqlite::open(&folder.path().join("state.db"), options).expect("the folder is there"))
        }
        ("redis", _) => redis(servers::single()),
        ("redis-cluster", _) => redis(servers::cluster()),
        _ => panic!("there is no engine {engine}"),
    }
}

/// A client with the headers that it always sends.
#[derive(Clone)]
pub(crate) struct Client {
    agent: ureq::Agent,
    url: String,
    headers: Vec<(String, String)>,
}

impl Client {
    /// A client without credentials.
    pub(crate) fn of(server: &Server) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0);
        Self { agent: config.build().into(), url: server.url(), headers: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same client at another address.
    pub(crate) fn at(mut self, url: &str) -> Self {
        url.clone_into(&mut self.url);
        self
    }

    /// The same client, speaking for an agent.
    pub(crate) fn with_agent(&self, id: &str) -> Self {
        self.clone().with("X-Agent-ID", id)
    }

    /// The status of a GET, and its body as it arrives; each read of it has its time.
    pub(crate) fn open(&self, path: &str) -> (u16, ureq::BodyReader<'static>) {
        let mut request = Request::builder().uri(format!("{}{path}", self.url));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = self.agent.configure_request(request.body(()).expect("the request is well formed"));
        let request = request.timeout_recv_body(Some(Duration::from_secs(60))).build();
        let response = self.agent.run(request).expect("the server answers");
        (response.status().as_u16(), response.into_body().into_reader())
    }

    /// What a tool answers over MCP: its structured content.
    pub(crate) fn tool(&self, name: &str, arguments: Value) -> Value {
        let params = json!({"name": name, "arguments": arguments});
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let client = self.clone().with("Accept", "application/json, text/event-stream");
        let answer = client.post("/mcp", &message.to_string());
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
        answer.body["result"]["structuredContent"].clone()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "")
    }

    pub(crate) fn put(&self, path: &str, body: &str) -> Answer {
        self.send("PUT", path, body)
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, body)
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, "")
    }

    /// Writes a value that JSON text states, without a type.
    pub(crate) fn set(&self, path: &str, value: &str) -> Answer {
        self.put(path, &format!("{{\"value\":{value}}}"))
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).expect("a method is made of letters");
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let sent = if body.is_empty() {
            self.agent.run(request.body(()).expect("the request is well formed"))
        } else {
            let is_typed = self.headers.iter().any(|(name, _)| name == "Content-Type");
            let request = if is_typed { request } else { request.header("Content-Type", "application/json") };
            self.agent.run(request.body(body.to_owned()).expect("the request is well formed"))
        };
        let mut response = sent.expect("the server answers");
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()));
        let headers = headers.collect();
        let text = response.body_mut().with_config().limit(64 << 20).read_to_string().expect("an answer is UTF-8");
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status: response.status().as_u16(), headers, text, body }
    }
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// The value of an entry, as JSON.
    pub(crate) fn value(&self) -> &Value {
        &self.body["value"]
    }

    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("")
    }

    /// The keys of a list.
    pub(crate) fn keys(&self) -> Vec<&str> {
        let entries = self.body["entries"].as_array().expect("a list has entries");
        entries.iter().map(|entry| entry["key"].as_str().expect("an entry has a key")).collect()
    }
}

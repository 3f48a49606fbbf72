//! `serve`, `Server` and the keys of contexts: the service beside whatever else the process does.

use std::convert::Infallible;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyType;

use super::argument::{self, Argument};
use super::clock;
use super::error::{OrRaise, to_py};
use super::store::PyStore;
use crate::clock::Clock;
use crate::engine::memory::{Memory, MemoryOptions};
use crate::error::Error;
use crate::open::open_beside;
use crate::service::context::Context;
use crate::service::{ServeOptions, Server, StdioOptions, default_capabilities};
use crate::store::{ReadOnly, Store};
use crate::waiting::Waiting;

/// Serve a store over HTTP, beside whatever else the process does.
///
/// The server has threads of its own, which never run Python code. What it knows of agents, tasks and tokens lies
/// beside the store: in `state.registry.db` beside `state.db`, under the prefix `swarmstate.registry` beside
/// `swarmstate`, and in memory for a store in memory.
///
/// Args:
///     store: A store of any engine. It stays open when the server stops.
///     host: The address to listen on.
///     port: The port; 0 = a free one.
///     api_key: The operator's key, at least 16 printable characters; None = a new one.
///     public_url: The URL that clients use, where that is another than the address.
///     pages_port: The port of the listener for pages, on the same address; 0 = a free one, None = no pages.
///     pages_url: The URL under which browsers find pages, where that is another than the address.
///     capabilities: What agents may use over MCP: `kv` stands for the tools on keys, `pages` for pages. An agent's own
///         list narrows it.
///     rate_limit: Requests a second that are taken from each key or token, at least 1; None = any number.
///     read_only: Whether nothing can be written through the server, by any door. It then knows no agents, tasks and
///         tokens, keeps nothing beside the store, and only its key opens it.
///     access_log: Whether each request is told in a line on stderr, without keys, values and secrets.
///     clock: What tells the time; the clock of the store, if that has one.
///
/// Returns:
///     The server, which listens already.
///
/// Raises:
///     InvalidError: The port is in use, the address is not this machine's, or another argument is wrong.
///     Error: Whatever opening the registry raises.
///
/// Example:
///     >>> with serve(Store()) as server:
///     ...     server.url.startswith("http://127.0.0.1:")
///     True
#[pyfunction]
#[pyo3(signature = (store, *, host=None, port=None, api_key=None, public_url=None, pages_port=PagesPort::Any, pages_url=None, capabilities=None, rate_limit=None, read_only=None, access_log=None, clock=None), text_signature = "(store, *, host='127.0.0.1', port=0, api_key=None, public_url=None, pages_port=0, pages_url=None, capabilities=('kv', 'pages'), rate_limit=None, read_only=False, access_log=False, clock=None)")]
#[allow(clippy::too_many_arguments, reason = "one for each keyword")]
pub(crate) fn serve(
    py: Python<'_>,
    store: Argument<'_, '_>,
    host: Option<Argument<'_, '_>>,
    port: Option<Argument<'_, '_>>,
    api_key: Option<Argument<'_, '_>>,
    public_url: Option<Argument<'_, '_>>,
    pages_port: PagesPort<'_>,
    pages_url: Option<Argument<'_, '_>>,
    capabilities: Option<Argument<'_, '_>>,
    rate_limit: Option<Argument<'_, '_>>,
    read_only: Option<Argument<'_, '_>>,
    access_log: Option<Argument<'_, '_>>,
    clock: Option<Argument<'_, '_>>,
) -> PyResult<PyServer> {
    let store = argument::instance::<PyStore>("store", store)?.get().engine().with_waiting(Waiting::plainly());
    let flag = |name, given: Option<Argument<'_, '_>>| given.map_or(Ok(false), |given| argument::flag(name, given));
    let (read_only, access_log) = (flag("read_only", read_only)?, flag("access_log", access_log)?);
    let mut options = ServeOptions { access_log, clock: clock::given(clock)?, ..ServeOptions::default() };
    if let Some(host) = host {
        options.host = address(argument::text("host", host)?)?;
    }
    if let Some(port) = port {
        options.port = port_number("port", port)?;
    }
    options.api_key = api_key.map(|key| argument::text("api_key", key)).transpose()?.map(str::to_owned);
    options.public_url = public_url.map(|url| argument::text("public_url", url)).transpose()?.map(str::to_owned);
    options.pages_port = pages_port.number()?;
    options.pages_url = pages_url.map(|url| argument::text("pages_url", url)).transpose()?.map(str::to_owned);
    if let Some(capabilities) = capabilities {
        options.capabilities = argument::texts("capabilities", capabilities)?;
    }
    options.rate_limit = rate_limit.map(per_second).transpose()?;
    py.detach(|| {
        let (store, registry) = match read_only {
            true => only_read(store, options.clock.clone())?,
            false => (store.clone(), open_beside(&*store, "registry", options.clock.clone())?),
        };
        Ok(PyServer { server: Server::start(store, registry.clone(), options)?, registry })
    })
    .or_raise()
}

/// Serve a store to one MCP client over stdin and stdout, until the input ends.
///
/// Whoever starts the process is trusted with the whole store. What lies beside the store is as with serve().
///
/// Args:
///     store: A store of any engine. It stays open at the end.
///     agent: The agent that calls; None = nobody.
///     task: The task that it works on; None = no task.
///     capabilities: What the agent may use: `kv` stands for the tools on keys. Its own list narrows it.
///     clock: What tells the time; the clock of the store, if that has one.
///
/// Raises:
///     InvalidError: The agent or the task is none, or the client does not speak MCP.
///     Error: Whatever opening the registry raises.
#[pyfunction]
#[pyo3(signature = (store, *, agent=None, task=None, capabilities=None, clock=None), text_signature = "(store, *, agent=None, task=None, capabilities=('kv', 'pages'), clock=None)")]
pub(crate) fn serve_stdio(
    py: Python<'_>,
    store: Argument<'_, '_>,
    agent: Option<Argument<'_, '_>>,
    task: Option<Argument<'_, '_>>,
    capabilities: Option<Argument<'_, '_>>,
    clock: Option<Argument<'_, '_>>,
) -> PyResult<()> {
    let store = argument::instance::<PyStore>("store", store)?.get().engine().with_waiting(Waiting::plainly());
    let options = StdioOptions {
        agent: agent.map(|agent| argument::text("agent", agent)).transpose()?.map(str::to_owned),
        task: task.map(|task| argument::text("task", task)).transpose()?.map(str::to_owned),
        capabilities: match capabilities {
            Some(capabilities) => argument::texts("capabilities", capabilities)?,
            None => default_capabilities(),
        },
        clock: clock::given(clock)?,
    };
    py.detach(|| {
        let registry = open_beside(&*store, "registry", options.clock.clone())?;
        let served = crate::service::serve_stdio(store, registry.clone(), options);
        registry.close()?;
        served
    })
    .or_raise()
}

/// The store without its writes, and a registry in which nobody is and nobody can be put.
fn only_read(store: Arc<dyn Store>, clock: Clock) -> crate::error::Result<(Arc<dyn Store>, Arc<dyn Store>)> {
    let nobody = Memory::with_options(MemoryOptions { clock, ..MemoryOptions::default() })?;
    Ok((Arc::new(ReadOnly::new(store)), Arc::new(ReadOnly::new(Arc::new(nobody)))))
}

/// Where pages are served, which None has a meaning for too: nowhere.
pub(crate) enum PagesPort<'py> {
    /// A free port.
    Any,
    Given(Bound<'py, PyAny>),
}

impl<'py> FromPyObject<'_, 'py> for PagesPort<'py> {
    type Error = Infallible;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> Result<Self, Infallible> {
        Ok(Self::Given(object.to_owned()))
    }
}

impl PagesPort<'_> {
    fn number(&self) -> PyResult<Option<u16>> {
        match self {
            Self::Any => Ok(Some(0)),
            Self::Given(none) if none.is_none() => Ok(None),
            Self::Given(port) => port_number("pages_port", port).map(Some),
        }
    }
}

fn port_number(name: &str, port: Argument<'_, '_>) -> PyResult<u16> {
    let wrong = |_| to_py(Error::invalid(format!("{name} must be at most 65535, but is {port}")));
    u16::try_from(argument::count(name, port)?).map_err(wrong)
}

fn per_second(limit: Argument<'_, '_>) -> PyResult<NonZeroU32> {
    let requests = u32::try_from(argument::count("rate_limit", limit)?).ok().and_then(NonZeroU32::new);
    requests.ok_or_else(|| to_py(Error::invalid(format!("rate_limit must be 1 to {}, not {limit}", u32::MAX))))
}

fn address(host: &str) -> PyResult<IpAddr> {
    match (host, host.parse()) {
        ("localhost", _) => Ok(IpAddr::from([127, 0, 0, 1])),
        (_, Ok(address)) => Ok(address),
        (_, Err(_)) => Err(to_py(Error::invalid(format!(
            "host must be an address of this machine, such as 127.0.0.1 or 0.0.0.0, not {host:?}"
        )))),
    }
}

/// A running server, made by serve(). It stops by `stop`, at the end of a `with`, or with the process.
#[pyclass(frozen, weakref, name = "Server", module = "swarmstate")]
pub(crate) struct PyServer {
    server: Server,
    registry: Arc<dyn Store>,
}

#[pymethods]
impl PyServer {
    /// Its URL on this machine.
    #[getter]
    fn url(&self) -> String {
        self.server.url()
    }

    /// Where browsers find pages; None where no listener serves them.
    #[getter]
    fn pages_url(&self) -> Option<&str> {
        self.server.pages_url()
    }

    /// The operator's key, which may do everything that the service does.
    #[getter]
    fn api_key(&self) -> &str {
        self.server.api_key()
    }

    /// Stop accepting, let requests under way finish for up to ten seconds, and end. Stopping again is nothing.
    ///
    /// The store stays open.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| {
            self.server.stop();
            self.registry.close()
        })
        .or_raise()
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (exc_type, exc_value, traceback, /))]
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: Option<Bound<'_, PyType>>,
        exc_value: Option<Bound<'_, PyAny>>,
        traceback: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let _ = (exc_type, exc_value, traceback);
        self.stop(py)
    }

    fn __repr__(&self) -> String {
        format!("<Server at {}>", self.server.url())
    }
}

impl Drop for PyServer {
    /// Stops it detached, since requests under way may take a while.
    fn drop(&mut self) {
        let stopped = Python::try_attach(|py| py.detach(|| self.server.stop()));
        // An interpreter that is at its end has nobody left to let run.
        if stopped.is_none() {
            self.server.stop();
        }
    }
}

/// Build the namespace of a conversation, an agent or a page.
///
/// Args:
///     kind: What it is of, as the functions of `swarmstate.context` say.
///     parts: Its parts, in order.
///
/// Returns:
///     The namespace.
///
/// Raises:
///     InvalidError: A part holds `:` or what no name may hold.
#[pyfunction]
#[pyo3(signature = (kind, *parts))]
pub(crate) fn context_key(kind: &str, parts: Vec<Bound<'_, PyAny>>) -> PyResult<String> {
    let texts = parts.iter().map(|part| argument::text("part", part)).collect::<PyResult<Vec<_>>>()?;
    let context = match (kind, &texts[..]) {
        ("slack", [channel, timestamp]) => Context::Slack(channel, timestamp),
        ("agentmail", [thread]) => Context::Agentmail(thread),
        ("github_issue", [owner, repository, number]) => Context::GithubIssue(owner, repository, number),
        ("github_pull", [owner, repository, number]) => Context::GithubPull(owner, repository, number),
        ("gitlab_merge", [project, number]) => Context::GitlabMerge(project, number),
        ("gitlab_issue", [project, number]) => Context::GitlabIssue(project, number),
        ("linear", [issue]) => Context::Linear(issue),
        ("jira", [issue]) => Context::Jira(issue),
        ("schedule", [schedule]) => Context::Schedule(schedule),
        ("workflow", [run]) => Context::Workflow(run),
        ("agent", [agent]) => Context::Agent(agent),
        ("page", [page]) => Context::Page(page),
        _ => return Err(to_py(Error::invalid(format!("there is no context {kind:?} of {} parts", texts.len())))),
    };
    context.key().or_raise()
}

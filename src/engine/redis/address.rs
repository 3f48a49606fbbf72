//! Where a store is: the URL of a server or a cluster, and the options that may stand in it.
//!
//! What a target shows of itself, in errors and in `repr`, is its address alone: never a user or a password.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use redis::io::tcp::{TcpSettings, socket2};
use redis::{Client, ConnectionAddr, ConnectionInfo, ProtocolVersion};

use super::node;
use crate::clock::Clock;
use crate::error::{Error, Result};

/// The oldest version that has what the scripts need.
const OLDEST: u32 = 7;
/// The longest time that a call may be given; claims of namespaces count on it.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(600);
const DEFAULT_PORT: u16 = 6379;
/// A connection on which nothing comes and goes is probed after this.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// How a store on Redis is opened.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// What the names of all its keys begin with: stores with other prefixes are strangers.
    pub prefix: String,
    /// How long a call may take, connecting included.
    pub timeout: Duration,
    /// The most snapshots that the history retains; `None` = all of them.
    pub max_history: Option<usize>,
    /// A file with the certificates, in PEM, that `rediss:` trusts; `None` = those of the system.
    pub ca: Option<PathBuf>,
    /// What tells the time. The system's clock is corrected by the server's.
    pub clock: Clock,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            prefix: "swarmstate".into(),
            timeout: Duration::from_secs(5),
            max_history: None,
            ca: None,
            clock: Clock::system(),
        }
    }
}

impl RedisOptions {
    /// Takes an option as a URL gives it; `false` when there is none of that name.
    fn take(&mut self, name: &str, value: &str) -> Result<bool> {
        match name {
            "prefix" => self.prefix = value.to_owned(),
            "timeout" => self.timeout = parse_timeout(value)?,
            "max_history" => {
                let most = value.parse();
                self.max_history = Some(
                    most.map_err(|_| Error::invalid(format!("max_history must be a whole number, not {value:?}")))?,
                );
            }
            "ca" => self.ca = Some(value.into()),
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.max_history == Some(0) {
            return Err(Error::invalid("max_history must be at least 1, or None for no bound"));
        }
        if self.timeout.is_zero() || self.timeout > LONGEST_TIMEOUT {
            let longest = LONGEST_TIMEOUT.as_secs();
            return Err(Error::invalid(format!("timeout must be above 0 and at most {longest} seconds")));
        }
        Ok(())
    }
}

fn parse_timeout(value: &str) -> Result<Duration> {
    let seconds = value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| Error::invalid(format!("timeout must be a number of seconds, not {value:?}")))
}

/// A server or a cluster, and how to connect to it.
#[derive(Clone)]
pub(super) struct Target {
    /// Those that are named; a cluster has more.
    addresses: Vec<String>,
    is_cluster: bool,
    info: ConnectionInfo,
    authority: Option<Vec<u8>>,
}

impl Target {
    /// Reads a URL and the options that stand in it, over those that are given.
    ///
    /// # Errors
    /// `Invalid` for a URL that names no server, or an option that does not exist.
    pub(super) fn parse(url: &str, mut options: RedisOptions) -> Result<(Self, RedisOptions)> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (scheme, rest) = base.split_once("://").ok_or_else(|| wrong("it has no `://`"))?;
        if base.contains('#') || query.contains('#') {
            return Err(wrong("it has a `#`; write it as %23"));
        }
        let is_socket = scheme == "unix";
        let mut connection = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if is_socket && matches!(&*name, "db" | "user" | "pass") {
                connection.append_pair(&name, &value);
            } else if !options.take(&name, &value)? {
                return Err(no_option(&name, is_socket));
            }
        }
        let connection = connection.finish();
        let mut target = match scheme {
            "redis" | "rediss" => Self::server(base)?,
            "unix" => Self::server(&format!("{base}?{connection}"))?,
            "redis+cluster" | "rediss+cluster" => Self::cluster(&scheme[..scheme.len() - "+cluster".len()], rest)?,
            _ => return Err(wrong("it must begin with redis:, rediss:, unix:, redis+cluster: or rediss+cluster:")),
        };
        options.check()?;
        target.authority = options.ca.as_deref().map(read_authority).transpose()?;
        Ok((target, options))
    }

    fn server(url: &str) -> Result<Self> {
        let info = parse_info(url)?;
        Ok(Self { addresses: vec![info.addr().to_string()], is_cluster: false, info, authority: None })
    }

    fn cluster(scheme: &str, rest: &str) -> Result<Self> {
        let (user, rest) = rest.rsplit_once('@').map_or(("", rest), |(user, rest)| (user, rest));
        let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
        if !matches!(database, "" | "0") {
            return Err(wrong("a cluster has no database but 0"));
        }
        let at = if user.is_empty() { "" } else { "@" };
        let infos = hosts.split(',').map(|host| parse_info(&format!("{scheme}://{user}{at}{host}")));
        let infos = infos.collect::<Result<Vec<_>>>()?;
        let addresses = infos.iter().map(|info| info.addr().to_string()).collect();
        let info = infos.into_iter().next().ok_or_else(|| wrong("it names no server"))?;
        Ok(Self { addresses, is_cluster: true, info, authority: None })
    }

    /// Whether it is a cluster.
    pub(super) fn is_cluster(&self) -> bool {
        self.is_cluster
    }

    /// The servers that are named, at least one.
    pub(super) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// How to connect to the server at an address.
    pub(super) fn info_of(&self, address: &str) -> ConnectionInfo {
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) => (host.to_owned(), port.parse().unwrap_or(DEFAULT_PORT)),
            None => (address.to_owned(), DEFAULT_PORT),
        };
        let addr = match self.info.addr() {
            ConnectionAddr::Tcp(..) => ConnectionAddr::Tcp(host, port),
            ConnectionAddr::TcpTls { .. } => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            other => other.clone(),
        };
        let keepalive = socket2::TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
        let settings = self.info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
        self.info.clone().set_addr(addr).set_redis_settings(settings).set_tcp_settings(tcp)
    }

    /// The client that connects by `info`.
    pub(super) fn client(&self, info: ConnectionInfo) -> redis::RedisResult<Client> {
        node::client(info, self.authority.as_deref())
    }

    /// Looks at what a server says of itself.
    ///
    /// # Errors
    /// `Invalid` when it is too old, or a cluster where none was named, or none where one was.
    pub(super) fn check_server(&self, info: &str) -> Result<()> {
        let field = |name: &str| info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'));
        let version = field("redis_version").unwrap_or("0");
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok()).unwrap_or(0);
        if major < OLDEST {
            return Err(Error::invalid(format!("Redis {OLDEST}.0 or newer is needed, but {self} is {version}")));
        }
        // Valkey's own name for it came with version 8.
        let mode = field("redis_mode").or_else(|| field("server_mode"));
        match (mode.unwrap_or("standalone"), self.is_cluster) {
            ("standalone", false) | ("cluster", true) => Ok(()),
            ("cluster", false) => Err(Error::invalid(format!(
                "{self} is a node of a cluster; open it by a URL that begins with redis+cluster:"
            ))),
            ("standalone", true) => {
                Err(Error::invalid(format!("{self} is no cluster; open it by a URL that begins with redis:")))
            }
            (mode, _) => Err(Error::invalid(format!("{self} is a {mode}, not a server that holds data"))),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.is_cluster { "the cluster" } else { "the server" };
        write!(f, "{what} at {}", self.addresses.join(","))?;
        match self.info.redis_settings().db() {
            0 => Ok(()),
            database => write!(f, " (database {database})"),
        }
    }
}

fn parse_info(url: &str) -> Result<ConnectionInfo> {
    // The crate's errors say what is wrong and never show the URL.
    url.parse().map_err(|error: redis::RedisError| wrong(&error.to_string()))
}

fn wrong(what: &str) -> Error {
    Error::invalid(format!("the URL of a Redis store is wrong: {what}"))
}

fn no_option(name: &str, is_socket: bool) -> Error {
    let more = if is_socket { ", `db`, `user`, `pass`" } else { "" };
    Error::invalid(format!(
        "a Redis store has no option {name:?}; it has `prefix`, `timeout`, `max_history`, `ca`{more}"
    ))
}

fn read_authority(path: &std::path::Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error::invalid(format!("ca names {path:?}, which cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<(Target, RedisOptions)> {
        Target::parse(url, RedisOptions::default())
    }

    #[test]
    fn every_form_of_a_url_is_read() {
        for (url, shown) in [
            ("redis://localhost", "the server at localhost:6379"),
            ("redis://user:pass@h:7/3", "the server at h:7 (database 3)"),
            ("rediss://h", "the server at h:6379"),
            ("unix:///run/redis.sock?db=2", "the server at /run/redis.sock (database 2)"),
            ("redis+cluster://u:p@a:1,b:2", "the cluster at a:1,b:2"),
            ("rediss+cluster://a,b:2/0", "the cluster at a:6379,b:2"),
        ] {
            assert_eq!(parse(url).expect(url).0.to_string(), shown);
        }
        let (target, _) = parse("redis://us%65r:p%40ss@h").expect("valid");
        let settings = target.info.redis_settings();
        assert_eq!((settings.username(), settings.password()), (Some("user"), Some("p@ss")));
    }

    #[test]
    fn the_query_takes_the_options() {
        let (_, options) = parse("redis://h?prefix=a%3Ab&timeout=0.5&max_history=3").expect("valid");

        assert_eq!(options.prefix, "a:b");
        assert_eq!((options.timeout, options.max_history), (Duration::from_millis(500), Some(3)));
    }

    #[test]
    fn a_wrong_url_is_refused_and_no_secret_is_shown() {
        for url in [
            "redis:secret",
            "http://u:secret@h",
            "redis://u:secret@h/x",
            "redis://u:secret@h?unknown=1",
            "redis://u:secret@h?timeout=0",
            "redis://u:secret@h?timeout=601",
            "redis://u:secret@h?timeout=soon",
            "redis://u:secret@h?max_history=0",
            "redis://u:secret@h?max_history=-1",
            "redis://u:secret@h#insecure",
            "redis://u:secret@h?ca=/nowhere.pem",
            "redis+cluster://u:secret@a:1,b:x",
            "redis+cluster://u:secret@a:1/1",
            "redis+cluster://",
            "redis://",
        ] {
            let Err(Error::Invalid { what }) = parse(url) else { panic!("{url} is wrong") };
            assert!(!what.contains("secret"), "{what}");
        }
    }

    #[test]
    fn an_old_server_and_one_of_another_kind_are_refused() {
        let (alone, cluster) = (parse("redis://h").expect("valid").0, parse("redis+cluster://h").expect("valid").0);

        assert!(alone.check_server("redis_version:7.0.15\r\nredis_mode:standalone\r\n").is_ok());
        assert!(cluster.check_server("redis_version:7.2.4\r\nredis_mode:cluster\r\n").is_ok());
        assert!(cluster.check_server("redis_version:7.2.4\r\nvalkey_version:8.0.1\r\nserver_mode:cluster\r\n").is_ok());
        for (target, info) in [
            (&alone, "redis_version:6.2.1\r\nredis_mode:standalone"),
            (&alone, "redis_version:7.0.0\r\nredis_mode:cluster"),
            (&cluster, "redis_version:7.0.0\r\nredis_mode:standalone"),
            (&alone, "redis_version:7.0.0\r\nredis_mode:sentinel"),
            (&alone, "redis_version:7.2.4\r\nserver_mode:cluster"),
            (&alone, ""),
        ] {
            assert!(matches!(target.check_server(info), Err(Error::Invalid { .. })), "{info}");
        }
    }
}

//! Redis servers of the tests' own: real processes on free ports of this machine, in a temporary folder, gone with the tests.
//!
//! Tests share a single server and a cluster of three masters, and take a fresh prefix each; where every test is a process of its
//! own (nextest) they share them over the run. Tests that harm a server start one for themselves. A server never outlives who
//! started it: a shell waits beside it, for the end of its own input or for the end of the run.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const PATIENCE: Duration = Duration::from_secs(60);
/// Kills the server and starts it again for each line that it reads, after a pause of so many seconds.
const ENDS_WITH_ITS_INPUT: &str = r#"start() { "$@" >>server.log 2>&1 & server=$!; }
start "$@"
while read -r pause; do kill -9 $server; wait $server; sleep "$pause"; start "$@"; done
kill -9 $server 2>/dev/null; rm -rf "$PWD""#;
const ENDS_WITH_THE_RUN: &str = r#""$@" >server.log 2>&1 & server=$!
while kill -0 "$RUN" 2>/dev/null; do sleep 0.5; done
kill -9 $server 2>/dev/null; cd /; rm -rf "$SHARED""#;

/// A prefix that no other test has.
pub(crate) fn fresh_prefix() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    format!("t{}:{}:{number}", std::process::id(), since.as_nanos())
}

/// The URL of the single server that tests share.
pub(crate) fn single() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| shared("single", |end| vec![Server::start(end, &[])]))
}

/// The URL of the cluster that tests share.
pub(crate) fn cluster() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| shared("cluster", start_cluster))
}

/// When a server ends.
#[derive(Clone)]
pub(crate) enum End {
    /// With the process that started it, or earlier.
    WithProcess,
    /// With the process that runs all tests; the folder that they share goes then.
    WithRun(u32, PathBuf),
}

/// Starts what is shared once for a run, and answers its URL.
fn shared(name: &str, start: fn(End) -> Vec<Server>) -> String {
    let Ok(run) = std::env::var("NEXTEST_RUN_ID") else {
        return url_of(&start(End::WithProcess).leak()[..]);
    };
    let folder = std::env::temp_dir().join(format!("swarmstate-{run}-{name}"));
    let told = folder.join("url");
    if fs::create_dir(&folder).is_ok() {
        let url = url_of(start(End::WithRun(std::os::unix::process::parent_id(), folder.clone())).leak());
        let unfinished = folder.join("url.part");
        fs::write(&unfinished, &url).expect("a temporary folder is writable");
        fs::rename(unfinished, &told).expect("a temporary folder is writable");
        return url;
    }
    wait_for("the test that starts the servers", || fs::read_to_string(&told).ok())
}

fn url_of(servers: &[Server]) -> String {
    match servers {
        [single] => single.url(),
        many => {
            let addresses = many.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect::<Vec<_>>();
            format!("redis+cluster://{}", addresses.join(","))
        }
    }
}

/// One server process.
pub(crate) struct Server {
    pub(crate) port: u16,
    keeper: Child,
}

impl Server {
    /// Starts a server that writes every change to disk before it answers, with further arguments.
    pub(crate) fn start(end: End, more: &[&str]) -> Self {
        let (port, folder) = (free_port(), fresh_folder(&end));
        let mut arguments = ["redis-server", "--bind", "127.0.0.1", "--save", "", "--port"].map(str::to_owned).to_vec();
        arguments.push(port.to_string());
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        let keeper = launch(&folder, &arguments, end);
        let server = Self { port, keeper };
        server.wait_until_ready();
        server
    }

    /// A server of one test.
    pub(crate) fn own(more: &[&str]) -> Self {
        Self::start(End::WithProcess, more)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The process' number, as the server itself tells it.
    pub(crate) fn process(&self) -> String {
        let info = command(self.port, &["INFO", "server"]);
        let line = info.lines().find_map(|line| line.strip_prefix("process_id:"));
        line.expect("a server knows its number").trim().to_owned()
    }

    /// Kills the server as a power cut would, and starts it again in the same place after `down`.
    pub(crate) fn kill_and_restart(&mut self, down: Duration) {
        let before = self.process();
        let shell = self.keeper.stdin.as_mut().expect("it was started to be killed");
        writeln!(shell, "{}", down.as_secs_f64()).expect("the shell reads");
        wait_for("a killed redis-server", || {
            let info = try_command(self.port, &["INFO", "server"])?;
            let is_new = info.contains("process_id:") && !info.contains(&format!("process_id:{before}\r"));
            is_new.then_some(())
        });
        self.wait_until_ready();
    }

    fn wait_until_ready(&self) {
        wait_for("a redis-server", || {
            let answer = try_command(self.port, &["PING"])?;
            (answer.starts_with("+PONG") || answer.starts_with("-NOAUTH")).then_some(())
        });
    }

    fn end(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn launch(folder: &Path, arguments: &[String], end: End) -> Child {
    let mut shell = Command::new("sh");
    let (script, input) = match end {
        End::WithProcess => (ENDS_WITH_ITS_INPUT, Stdio::piped()),
        End::WithRun(run, folder) => {
            shell.env("RUN", run.to_string()).env("SHARED", folder);
            (ENDS_WITH_THE_RUN, Stdio::null())
        }
    };
    let found = Command::new("redis-server").arg("--version").output();
    assert!(found.is_ok(), "redis-server is missing; install it first: apt-get install redis-server");
    shell.args(["-c", script, "sh"]).args(arguments).current_dir(folder);
    shell.stdin(input).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a shell starts")
}

/// Three masters that know one another and share all slots.
pub(crate) fn start_cluster(end: End) -> Vec<Server> {
    let start = |_| {
        let bus = free_port().to_string();
        let more = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "2000"];
        (Server::start(end.clone(), &more), bus)
    };
    let servers = (0..3).map(start).collect::<Vec<_>>();
    let ranges = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];
    for (epoch, ((server, _), (first, last))) in servers.iter().zip(ranges).enumerate() {
        assert_ok(&command(server.port, &["CLUSTER", "ADDSLOTSRANGE", first, last]));
        assert_ok(&command(server.port, &["CLUSTER", "SET-CONFIG-EPOCH", &(epoch + 1).to_string()]));
    }
    for (other, bus) in &servers[1..] {
        let port = other.port.to_string();
        assert_ok(&command(servers[0].0.port, &["CLUSTER", "MEET", "127.0.0.1", &port, bus]));
    }
    for (server, _) in &servers {
        wait_for("the cluster", || {
            let info = command(server.port, &["CLUSTER", "INFO"]);
            (info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")).then_some(())
        });
    }
    servers.into_iter().map(|(server, _)| server).collect()
}

/// The URL of a cluster of one test.
pub(crate) fn cluster_url(servers: &[Server]) -> String {
    url_of(servers)
}

fn assert_ok(answer: &str) {
    assert!(answer.starts_with("+OK"), "{answer}");
}

/// Sends one command over a connection of its own; answers what comes back, as it comes.
pub(crate) fn command(port: u16, words: &[&str]) -> String {
    try_command(port, words).expect("the server answers")
}

/// The same; `None` where no server answers.
pub(crate) fn try_command(port: u16, words: &[&str]) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request += &format!("${}\r\n{word}\r\n", word.len());
    }
    // `QUIT` makes the server end what it answers.
    stream.write_all((request + "*1\r\n$4\r\nQUIT\r\n").as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    Some(answer.strip_suffix("+OK\r\n").unwrap_or(&answer).to_owned())
}

/// A port that was free a moment ago, below those that the system gives to connections, which could take it before the server does.
/// Each process begins at a place of its own.
pub(crate) fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    let begin = std::process::id().wrapping_mul(7_919).wrapping_add(since.subsec_micros());
    let mut look = || {
        let next = begin.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed).into());
        let port = u16::try_from(20_000 + next % 12_000).expect("below 32,000");
        TcpListener::bind(("127.0.0.1", port)).is_ok().then_some(port)
    };
    std::iter::repeat_with(&mut look).flatten().next().expect("it looks until one is free")
}

fn fresh_folder(end: &End) -> PathBuf {
    let parent = match end {
        End::WithProcess => std::env::temp_dir(),
        End::WithRun(_, folder) => folder.clone(),
    };
    let folder = parent.join(format!("swarmstate-redis-{}", fresh_prefix().replace(':', "-")));
    fs::create_dir(&folder).expect("a temporary folder is writable");
    folder
}

/// Looks until there is something to see.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what} did not come up");
        thread::sleep(Duration::from_millis(20));
    }
}

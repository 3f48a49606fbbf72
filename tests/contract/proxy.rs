//! A way to a server that fails as networks do: it falls silent, delays, or breaks off.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// What the proxy does with what comes.
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    /// Passes everything on.
    Pass = 0,
    /// Takes what clients send, and passes nothing on either way.
    Silent = 1,
    /// Passes requests on, and ends the connection in place of the next answer; then passes everything.
    CutOneAnswer = 2,
    /// Passes a number of answers on, then ends every connection and takes no other.
    Spend = 3,
    /// Passes everything on in halves with a pause between them, and now and then ends the connection after the first half.
    Falter = 4,
}

/// A proxy in front of a server, on a port of its own.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    mode: AtomicU8,
    budget: AtomicI64,
    server: AtomicU16,
    /// While it falters: of so many pieces one is broken off; how many came, and how many were broken off.
    every: AtomicU64,
    pieces: AtomicU64,
    breaks: AtomicU64,
}

impl Proxy {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let state = Arc::new(State::default());
        let shared = state.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = shared.clone();
                thread::spawn(move || state.serve(client));
            }
        });
        Self { port, state }
    }

    /// A proxy in front of the server on `port`.
    pub(crate) fn to(port: u16) -> Self {
        let proxy = Self::new();
        proxy.lead_to(port);
        proxy
    }

    pub(crate) fn lead_to(&self, port: u16) {
        self.state.server.store(port, Ordering::SeqCst);
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.state.mode.store(mode as u8, Ordering::SeqCst);
    }

    /// How many answers are left to pass.
    pub(crate) fn left(&self) -> i64 {
        self.state.budget.load(Ordering::SeqCst)
    }

    /// Delays every piece from now on, and breaks off one of so many.
    pub(crate) fn falter_every(&self, pieces: u64) {
        self.state.every.store(pieces, Ordering::SeqCst);
        self.set(Mode::Falter);
    }

    /// How often a connection was broken off in the middle of a piece.
    pub(crate) fn breaks(&self) -> u64 {
        self.state.breaks.load(Ordering::SeqCst)
    }

    /// Passes `answers` more answers on, and nothing after.
    pub(crate) fn spend(&self, answers: i64) {
        self.state.budget.store(answers, Ordering::SeqCst);
        self.set(Mode::Spend);
    }
}

impl State {
    fn is(&self, mode: Mode) -> bool {
        self.mode.load(Ordering::SeqCst) == mode as u8
    }

    fn serve(self: Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.server.load(Ordering::SeqCst))) else { return };
        if self.is(Mode::Spend) && self.budget.load(Ordering::SeqCst) <= 0 {
            return;
        }
        let (from_client, to_server) = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
        let state = self.clone();
        let requests = thread::spawn(move || state.pass(from_client, to_server, || !state.is(Mode::Silent)));
        self.pass(server.try_clone().expect("a handle"), client.try_clone().expect("a handle"), || {
            self.may_answer(&client)
        });
        for side in [client, server] {
            let _ = side.shutdown(Shutdown::Both);
        }
        let _ = requests.join();
    }

    /// Whether an answer is passed on; ends the connection where it is cut off.
    fn may_answer(&self, client: &TcpStream) -> bool {
        let is_cut = match self.mode.load(Ordering::SeqCst) {
            mode if mode == Mode::Silent as u8 => return false,
            mode if mode == Mode::CutOneAnswer as u8 => {
                self.mode.store(Mode::Pass as u8, Ordering::SeqCst);
                true
            }
            mode if mode == Mode::Spend as u8 => self.budget.fetch_sub(1, Ordering::SeqCst) <= 0,
            _ => false,
        };
        if is_cut {
            let _ = client.shutdown(Shutdown::Both);
        }
        !is_cut
    }

    /// Passes on what comes, as long as it comes; what may not pass is swallowed.
    fn pass(&self, mut from: TcpStream, mut to: TcpStream, may_pass: impl Fn() -> bool) {
        let mut room = vec![0; 65_536];
        while let Ok(length @ 1..) = from.read(&mut room) {
            if may_pass() && !self.forward(&mut to, &room[..length]) {
                let _ = from.shutdown(Shutdown::Both);
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }

    /// Passes a piece on; `false` where the connection ends with it.
    fn forward(&self, to: &mut TcpStream, piece: &[u8]) -> bool {
        if !self.is(Mode::Falter) {
            return to.write_all(piece).is_ok();
        }
        let (first, second) = piece.split_at(piece.len() / 2);
        let is_passed = to.write_all(first).is_ok();
        thread::sleep(Duration::from_millis(1));
        let number = self.pieces.fetch_add(1, Ordering::SeqCst) + 1;
        if number.is_multiple_of(self.every.load(Ordering::SeqCst)) {
            self.breaks.fetch_add(1, Ordering::SeqCst);
            return false;
        }
        is_passed && to.write_all(second).is_ok()
    }
}

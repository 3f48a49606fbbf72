//! Threads that work for event loops.
//!
//! They know nothing of Python. To wake one costs an event loop, so those that write to one file, where writes follow one another
//! anyway, leave a few jobs to the threads that work already.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Weak};
use std::thread::Builder;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

/// The most threads of a kind. Each waits for a disk or a network most of its time.
const MOST_THREADS: usize = 32;
/// How long a thread waits for more to do before it ends.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a thread does; it does not panic.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Threads, started when they are needed, that do jobs in the order in which they come.
pub(super) struct Workers {
    process: u32,
    /// How many jobs may wait for each thread that works, before another one joins them.
    backlog: usize,
    /// Taken for moments, by threads that hold nothing else.
    state: Mutex<State>,
    more: Condvar,
    /// That nobody works any more.
    rest: Condvar,
}

/// All that there are in the process, to be waited for at its end. Taken by attached threads alone, for moments: so nobody else is
/// inside when one of them forks.
static ALL: Mutex<Vec<Weak<Workers>>> = Mutex::new(Vec::new());

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Threads that work, or were woken to.
    working: usize,
    /// Threads that wait and were not woken.
    idle: usize,
    /// Wakes that no thread has answered yet.
    wakes: usize,
}

impl Workers {
    fn new(backlog: usize) -> Arc<Self> {
        let (state, more, rest) = (Mutex::default(), Condvar::new(), Condvar::new());
        let workers = Arc::new(Self { process: std::process::id(), backlog, state, more, rest });
        let mut all = ALL.lock();
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(&workers));
        workers
    }

    /// Those of the whole process, who begin with each job at once.
    ///
    /// Needs an attached thread: so nobody else is inside when this thread forks. A process that was forked has none of its
    /// parent's threads, and starts its own.
    pub(super) fn at_once() -> Arc<Self> {
        static WORKERS: Mutex<Option<Arc<Workers>>> = Mutex::new(None);
        let mut workers = WORKERS.lock();
        match &*workers {
            Some(workers) if workers.is_of_this_process() => workers.clone(),
            _ => workers.insert(Self::new(0)).clone(),
        }
    }

    /// Those who write to one file, and take a few jobs one after the other.
    pub(super) fn in_line() -> Arc<Self> {
        Self::new(2)
    }

    /// Whether its threads run in this process, which is not so after a fork; nothing else may be asked of it then.
    pub(super) fn is_of_this_process(&self) -> bool {
        self.process == std::process::id()
    }

    /// Hands a job over.
    ///
    /// # Errors
    /// When no thread can be started and none works: the job is dropped.
    pub(super) fn submit(self: &Arc<Self>, job: Job) -> io::Result<()> {
        let mut state = self.state.lock();
        state.jobs.push_back(job);
        if state.jobs.len() <= self.backlog * state.working {
            return Ok(());
        }
        if state.idle > 0 {
            state.idle -= 1;
            state.working += 1;
            state.wakes += 1;
            drop(state);
            self.more.notify_one();
            return Ok(());
        }
        if state.working >= MOST_THREADS {
            return Ok(());
        }
        state.working += 1;
        drop(state);
        self.start()
    }

    /// Starts the thread that was counted already.
    fn start(self: &Arc<Self>) -> io::Result<()> {
        let own = self.clone();
        let started = Builder::new().name("swarmstate-async".to_owned()).spawn(move || own.work());
        let Err(error) = started else { return Ok(()) };
        let mut state = self.state.lock();
        state.working -= 1;
        if state.working > 0 {
            return Ok(());
        }
        let dropped = state.jobs.pop_back();
        drop(state);
        drop(dropped);
        Err(error)
    }

    /// All that work in this process. Needs an attached thread.
    pub(super) fn all() -> Vec<Arc<Self>> {
        let all = ALL.lock();
        all.iter().filter_map(Weak::upgrade).filter(|workers| workers.is_of_this_process()).collect()
    }

    /// Waits until nobody works.
    pub(super) fn finish(&self) {
        let mut state = self.state.lock();
        while state.working > 0 {
            self.rest.wait(&mut state);
        }
    }

    fn work(&self) {
        let mut state = self.state.lock();
        loop {
            while let Some(job) = state.jobs.pop_front() {
                MutexGuard::unlocked(&mut state, job);
            }
            state.working -= 1;
            if state.working == 0 {
                self.rest.notify_all();
            }
            state.idle += 1;
            while state.wakes == 0 {
                if self.more.wait_for(&mut state, PATIENCE).timed_out() && state.wakes == 0 {
                    state.idle -= 1;
                    return;
                }
            }
            state.wakes -= 1;
        }
    }
}

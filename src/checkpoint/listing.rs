//! Checkpoints of many threads and namespaces in one order: newest id first.
//!
//! Each namespace of each thread is a stream that is already in order; the listing takes the greatest of their heads. All reads
//! are of one view, so writes neither disturb an open listing nor wait for it. A stream reads one checkpoint first, then pages
//! that grow, so that a short listing of many threads stays short.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::content::Trust;
use super::layout;
use super::saved::{Found, Saved};
use crate::error::{Error, Result};
use crate::key::{Key, Namespace, Prefix};
use crate::store::{Range, Reader};

/// Checkpoints that a stream reads at a time, at the most.
const LONGEST_PAGE: usize = 64;
/// How much longer each page is than the one before.
const PAGE_GROWTH: usize = 4;
/// Threads that are looked up at a time.
const THREADS_AT_A_TIME: usize = 1000;

/// Which checkpoints a listing shows; the default is all of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<'a> {
    /// Only those of this thread.
    pub thread_id: Option<&'a str>,
    /// Only those of this namespace.
    pub checkpoint_ns: Option<&'a str>,
    /// Only the one of this id in each namespace.
    pub checkpoint_id: Option<&'a str>,
    /// Only those whose id is smaller than this one, which need not exist.
    pub before: Option<&'a str>,
}

/// An open listing.
pub struct Listing {
    view: Arc<dyn Reader>,
    trust: Trust,
    streams: BinaryHeap<Stream>,
    /// The stream that the last checkpoint came from; its next one is read when somebody asks for more.
    current: Option<Pages>,
}

impl Listing {
    pub(super) fn open(view: Arc<dyn Reader>, trust: Trust, query: &Query<'_>) -> Result<Self> {
        let mut listing = Self { view, trust, streams: BinaryHeap::new(), current: None };
        match query.thread_id {
            Some(thread_id) => listing.open_thread(thread_id, query)?,
            None => listing.open_threads(query)?,
        }
        Ok(listing)
    }

    fn open_threads(&mut self, query: &Query<'_>) -> Result<()> {
        let view = self.view.clone();
        let mut names = threads_of(&*view);
        while let Some(thread_id) = names.next()? {
            self.open_thread(&thread_id, query)?;
        }
        Ok(())
    }

    fn open_thread(&mut self, thread_id: &str, query: &Query<'_>) -> Result<()> {
        let thread = layout::thread(thread_id)?;
        if self.view.get(&thread, &layout::head())?.is_none() {
            return Ok(());
        }
        if let Some(checkpoint_ns) = query.checkpoint_ns {
            return self.open_stream(thread_id, &thread, checkpoint_ns, query);
        }
        let mut last_ns: Option<String> = None;
        let mut cursor: Option<Key<'static>> = None;
        loop {
            let range = Range { after: cursor, ..Range::of(layout::all_checkpoints()?).limit(1) };
            let Some(key) = self.view.keys(&thread, &range)?.pop() else { return Ok(()) };
            let (checkpoint_ns, _) = layout::read_checkpoint(&key).ok_or_else(|| {
                Error::corrupt(format!("thread {thread_id:?} holds a key that is no checkpoint's: {key:?}"))
            })?;
            let is_new = last_ns.as_deref() != Some(&*checkpoint_ns);
            cursor = Some(match layout::behind_checkpoints(&checkpoint_ns) {
                Ok(far) if is_new && far.as_str() > &*key => far,
                // The id begins with the greatest character, or the cursor would be too long a name: one key at a time.
                _ => Key::new(key)?,
            });
            if is_new {
                self.open_stream(thread_id, &thread, &checkpoint_ns, query)?;
                last_ns = Some(checkpoint_ns);
            }
        }
    }

    fn open_stream(
        &mut self,
        thread_id: &str,
        thread: &Namespace<'_>,
        checkpoint_ns: &str,
        query: &Query<'_>,
    ) -> Result<()> {
        let prefix = layout::checkpoints_in(checkpoint_ns, query.checkpoint_id)?;
        let cursor = query.before.map(|before| layout::checkpoint(checkpoint_ns, before)).transpose()?;
        let (thread_id, thread) = (thread_id.to_owned(), thread.clone().into_owned());
        let pages = Pages { thread_id, thread, prefix, cursor, next_length: Some(1), page: Vec::new().into_iter() };
        self.push(pages)
    }

    /// Keeps a stream for as long as it has a head.
    fn push(&mut self, mut pages: Pages) -> Result<()> {
        if let Some(head) = pages.next(&*self.view)? {
            self.streams.push(Stream { head, pages });
        }
        Ok(())
    }

    /// The next checkpoint.
    ///
    /// # Cost
    /// O(log streams), and a page of its stream now and then.
    ///
    /// # Errors
    /// `Corrupt` when a key is not one that was stored, `Unavailable` when the store does not answer.
    #[expect(clippy::should_implement_trait, reason = "it fails, and then it is over")]
    pub fn next(&mut self) -> Result<Option<Found>> {
        if let Some(pages) = self.current.take() {
            self.push(pages)?;
        }
        let Some(Stream { head, pages }) = self.streams.pop() else { return Ok(None) };
        self.current = Some(pages);
        Ok(Some(head))
    }

    /// Reads the rest of a checkpoint that this listing found.
    ///
    /// # Errors
    /// As [`Listing::next`].
    pub fn load(&self, found: Found) -> Result<Saved> {
        let thread = layout::thread(&found.thread_id)?;
        found.load(&*self.view, &thread, self.trust)
    }
}

/// The threads in a store or view, in the order of their ids' bytes.
pub(super) fn threads_of(reader: &dyn Reader) -> ThreadNames<'_> {
    ThreadNames { reader, last: None, page: Vec::new().into_iter() }
}

/// Walks the ids of threads, those included whose time is over.
pub(super) struct ThreadNames<'a> {
    reader: &'a dyn Reader,
    last: Option<String>,
    page: std::vec::IntoIter<String>,
}

impl ThreadNames<'_> {
    pub(super) fn next(&mut self) -> Result<Option<String>> {
        if self.page.as_slice().is_empty() {
            self.page = threads_in(self.reader, "", self.last.as_deref(), THREADS_AT_A_TIME)?.into_iter();
        }
        let next = self.page.next();
        if next.is_some() {
            self.last.clone_from(&next);
        }
        Ok(next)
    }
}

/// A page of the threads whose ids begin with `prefix` and come after `after`, those included whose time is over.
pub(super) fn threads_in(reader: &dyn Reader, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>> {
    let after = after.map(|thread_id| Key::new(layout::thread(thread_id)?.as_str().to_owned())).transpose()?;
    let range = Range { after, ..Range::of(layout::threads(prefix)?).limit(limit) };
    let read = |name: String| {
        layout::read_thread(&name).ok_or_else(|| Error::corrupt(format!("{name:?} is not the namespace of a thread")))
    };
    reader.namespaces(&range)?.into_iter().map(read).collect()
}

/// What is left of one namespace of one thread, with its greatest id taken out.
struct Stream {
    head: Found,
    pages: Pages,
}

impl Stream {
    /// The greatest is the next to be shown: the newest id, and where ids are equal the smallest thread and namespace.
    fn rank(&self) -> (&str, Reverse<(&str, &str)>) {
        let Found { thread_id, checkpoint_ns, checkpoint_id, .. } = &self.head;
        (checkpoint_id, Reverse((thread_id, checkpoint_ns)))
    }
}

impl PartialEq for Stream {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Stream {}

impl PartialOrd for Stream {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Stream {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// One namespace of one thread, greatest id first, a page at a time.
struct Pages {
    thread_id: String,
    thread: Namespace<'static>,
    prefix: Prefix<'static>,
    cursor: Option<Key<'static>>,
    /// `None` once a page came back short.
    next_length: Option<usize>,
    page: std::vec::IntoIter<crate::value::Entry>,
}

impl Pages {
    fn next(&mut self, view: &dyn Reader) -> Result<Option<Found>> {
        if self.page.as_slice().is_empty() {
            self.read_page(view)?;
        }
        self.page.next().map(|entry| Found::read(&self.thread_id, entry)).transpose()
    }

    fn read_page(&mut self, view: &dyn Reader) -> Result<()> {
        let Some(length) = self.next_length else { return Ok(()) };
        let after = self.cursor.as_ref().map(Key::borrow);
        let range = Range { after, ..Range::of(self.prefix.borrow()).descending().limit(length) };
        let page = view.entries(&self.thread, &range)?;
        self.next_length = (page.len() == length).then_some((length * PAGE_GROWTH).min(LONGEST_PAGE));
        if let Some(last) = page.last() {
            self.cursor = Some(Key::new(last.key().to_owned())?);
        }
        self.page = page.into_iter();
        Ok(())
    }
}

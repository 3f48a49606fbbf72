//! What the ancestors of a checkpoint say about channels that are rebuilt from writes.
//!
//! One walk along the parents, for all channels at once: each channel's part of it ends at the nearest ancestor that stores a
//! value of it. The value is as it was before that ancestor's own writes, so those count; the writes of the checkpoint where
//! the walk begins wait for the step that follows it, so they do not.

use std::borrow::Cow;
use std::collections::HashSet;

use super::content::{Content, Stored, Trust};
use super::saved::{Found, Write};
use super::{Place, layout};
use crate::error::Result;
use crate::key::Namespace;
use crate::store::Reader;
use crate::value::Entry;

/// What the ancestors of a checkpoint say about some channels.
#[derive(Debug)]
pub struct History {
    /// The ancestors with their writes, nearest first.
    steps: Vec<(Found, Vec<Entry>)>,
    channels: Vec<Walked>,
    trust: Trust,
}

#[derive(Debug)]
struct Walked {
    channel: String,
    /// What the last of its steps stores.
    seed: Option<Content>,
    /// How many of the steps are its own.
    depth: usize,
}

/// What the ancestors of a checkpoint say about one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelHistory<'a> {
    /// The channel.
    pub channel: &'a str,
    /// The value at the nearest ancestor that stores one; `None` = there is none up to the root.
    pub seed: Option<Stored<'a>>,
    /// The writes to the channel since, oldest first.
    pub writes: Vec<Write<'a>>,
}

impl History {
    /// Walks from a checkpoint, or from the latest of its place.
    pub(super) fn read(
        view: &dyn Reader,
        place: Place<'_>,
        checkpoint_id: Option<&str>,
        channels: &[&str],
        trust: Trust,
    ) -> Result<Self> {
        let thread = layout::thread(place.thread_id)?;
        let walked = |channel: &&str| Walked { channel: (*channel).to_owned(), seed: None, depth: 0 };
        let mut history = Self { steps: Vec::new(), channels: channels.iter().map(walked).collect(), trust };
        let Some(start) = Found::find(view, &thread, place, checkpoint_id)? else { return Ok(history) };
        let mut seen = HashSet::from([start.checkpoint_id.clone()]);
        let mut parent_id = start.parent_id()?.map(Cow::into_owned);
        while let Some(id) = parent_id.filter(|id| history.is_wanting() && seen.insert(id.clone())) {
            let Some(found) = Found::find(view, &thread, place, Some(&id))? else { break };
            parent_id = found.parent_id()?.map(Cow::into_owned);
            history.step(view, &thread, found)?;
        }
        Ok(history)
    }

    fn is_wanting(&self) -> bool {
        self.channels.iter().any(|walked| walked.seed.is_none())
    }

    fn step(&mut self, view: &dyn Reader, thread: &Namespace<'_>, found: Found) -> Result<()> {
        let writes = found.write_entries(view, thread)?;
        for walked in self.channels.iter_mut().filter(|walked| walked.seed.is_none()) {
            walked.depth = self.steps.len() + 1;
            walked.seed = found.content_of(view, thread, &walked.channel)?;
        }
        self.steps.push((found, writes));
        Ok(())
    }

    /// What was found, in the order in which the channels were named.
    ///
    /// # Errors
    /// `Corrupt` when a record is not what was stored.
    pub fn channels(&self) -> Result<Vec<ChannelHistory<'_>>> {
        let mut writes: Vec<Vec<Write<'_>>> = vec![Vec::new(); self.channels.len()];
        for (at, (found, entries)) in self.steps.iter().enumerate().rev() {
            for write in found.read_writes(entries)? {
                let is_its_own = |walked: &Walked| walked.channel == write.channel && at < walked.depth;
                if let Some(channel) = self.channels.iter().position(is_its_own) {
                    writes[channel].push(write);
                }
            }
        }
        let seeds = self.channels.iter().map(|walked| self.seed(walked));
        let named = self.channels.iter().zip(writes).zip(seeds);
        named
            .map(|((walked, writes), seed)| Ok(ChannelHistory { channel: &walked.channel, seed: seed?, writes }))
            .collect()
    }

    fn seed<'a>(&'a self, walked: &'a Walked) -> Result<Option<Stored<'a>>> {
        let Some(content) = &walked.seed else { return Ok(None) };
        let (found, _) = &self.steps[walked.depth - 1];
        found.read_content(&walked.channel, content, self.trust).map(Some)
    }
}

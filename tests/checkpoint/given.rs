//! What the cases start from.

use std::sync::Arc;

use swarmstate::Store;
use swarmstate::checkpoint::{
    ChannelValue, Contents, NewCheckpoint, NewWrite, Origin, Place, Query, Saved, Task, Threads, Typed, Version,
};

use crate::engines::Engine;

/// The engines.
const ENGINES: &[fn() -> Engine] = &[
    Engine::memory,
    #[cfg(feature = "sqlite")]
    Engine::sqlite,
    #[cfg(feature = "redis")]
    Engine::redis,
    #[cfg(feature = "redis")]
    Engine::redis_cluster,
];

pub(crate) const ROOT: Place<'static> = Place { thread_id: "thread", checkpoint_ns: "" };
pub(crate) const TASK: Task<'static> = Task { id: "task", path: "" };

/// Runs a case on an empty store of every engine.
pub(crate) fn on_every_engine(case: impl Fn(&Arc<dyn Store>, Threads)) {
    for engine in ENGINES {
        let engine = engine();
        let store = engine.store();
        case(&store, Threads::new(store.clone()));
    }
}

pub(crate) fn typed(bytes: &[u8]) -> Typed<'_> {
    Typed { form: "msgpack", bytes }
}

pub(crate) fn checkpoint<'a>(
    checkpoint_id: &'a str,
    channels: &[(&'a str, Version<'a>, Option<&'a [u8]>)],
) -> NewCheckpoint<'a> {
    let value = |value: Option<&'a [u8]>| value.map(typed);
    NewCheckpoint {
        checkpoint_id,
        parent_id: None,
        checkpoint: typed(b"checkpoint"),
        seen: None,
        metadata: typed(b"metadata"),
        origin: Origin::default(),
        versions: channels.iter().map(|(channel, version, _)| (*channel, *version)).collect(),
        values: channels
            .iter()
            .map(|(channel, version, bytes)| ChannelValue { channel, version: *version, value: value(*bytes) })
            .collect(),
    }
}

pub(crate) fn write(index: i64, bytes: &[u8]) -> NewWrite<'_> {
    NewWrite { index, channel: "channel", value: typed(bytes) }
}

pub(crate) fn read(threads: &Threads, place: Place<'_>, id: Option<&str>) -> Saved {
    threads.get(place, id).expect("it can be read").expect("it is there")
}

pub(crate) fn written(contents: &Contents<'_>) -> Vec<(String, i64, Vec<u8>)> {
    contents.writes.iter().map(|write| (write.task_id.clone(), write.index, write.value.bytes.to_vec())).collect()
}

pub(crate) fn values<'a>(contents: &Contents<'a>) -> Vec<(&'a str, Vec<u8>)> {
    contents.values.iter().map(|(channel, value)| (*channel, value.to_vec())).collect()
}

pub(crate) fn ids(threads: &Threads, query: Query<'_>) -> Vec<(String, String, String)> {
    let mut listing = threads.list(&query).expect("it can be listed");
    let mut ids = Vec::new();
    while let Some(found) = listing.next().expect("it can be read") {
        ids.push((found.thread_id, found.checkpoint_ns, found.checkpoint_id));
    }
    ids
}

//! Which server of a cluster holds which slot.
//!
//! The map is a guess that servers correct: a wrong one costs a redirection, never a wrong answer. It is asked for when nothing is
//! known of a slot, and forgotten when a server is lost or not ready.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::RwLock;
use redis::Value;

use super::address::Target;
use super::connection::Shared;

const SLOTS: u16 = 16_384;

/// The addresses of the slots, as far as they are known.
#[derive(Default)]
pub(super) struct Slots(RwLock<Vec<Option<Arc<str>>>>);

impl Slots {
    /// Where a slot was said to have moved.
    pub(super) fn moved(&self, slot: u16, address: String) {
        let mut slots = self.0.write();
        slots.resize(usize::from(SLOTS), None);
        if let Some(known) = slots.get_mut(usize::from(slot)) {
            *known = Some(address.into());
        }
    }

    /// Forgets everything, so that it is asked for again.
    pub(super) fn forget(&self) {
        self.0.write().clear();
    }

    /// Where a key is, if that is known.
    pub(super) fn known_address_of(&self, key: &[u8]) -> Option<String> {
        let slots = self.0.read();
        slots.get(usize::from(slot_of(key)))?.as_deref().map(str::to_owned)
    }

    /// Where a key is, or a server that will know.
    pub(super) async fn address_of(&self, key: &[u8], shared: &Shared, target: &Target) -> String {
        if let Some(known) = self.known_address_of(key) {
            return known;
        }
        for address in shared.addresses() {
            let answer = shared.node(&address).ask(redis::cmd("CLUSTER").arg("SLOTS"), target).await;
            if let Some(slots) = answer.as_ref().and_then(|answer| read_slots(answer, &address)) {
                // They will know the others when those that were named are gone.
                for address in slots.iter().flatten().collect::<HashSet<_>>() {
                    shared.node(address);
                }
                *self.0.write() = slots;
                break;
            }
        }
        self.known_address_of(key).unwrap_or_else(|| target.addresses()[0].clone())
    }
}

/// The answer to `CLUSTER SLOTS`: for each range first, last, and its servers, the master first.
fn read_slots(answer: &Value, told_by: &str) -> Option<Vec<Option<Arc<str>>>> {
    let Value::Array(ranges) = answer else { return None };
    let mut slots = vec![None; usize::from(SLOTS)];
    for range in ranges {
        let Value::Array(parts) = range else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = parts.as_slice() else { return None };
        let [host, Value::Int(port), ..] = master.as_slice() else { return None };
        let host = match host {
            Value::BulkString(host) if !host.is_empty() => String::from_utf8_lossy(host).into_owned(),
            _ => told_by.rsplit_once(':').map_or("", |(host, _)| host).to_owned(),
        };
        let address: Arc<str> = format!("{host}:{port}").into();
        let range = usize::try_from(*first).ok()?..=usize::try_from(*last).ok()?;
        slots.get_mut(range)?.fill(Some(address));
    }
    Some(slots)
}

/// The slot of a key: CRC-16 (XMODEM) of its tag, the part between the first `{` and the next `}`.
pub(super) fn slot_of(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').map(|at| &key[at + 1..]);
    let tag = tag.and_then(|rest| rest.split(|byte| *byte == b'}').next().filter(|tag| tag.len() < rest.len()));
    let hashed = tag.filter(|tag| !tag.is_empty()).unwrap_or(key);
    crc16(hashed) % SLOTS
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| match crc & 0x8000 {
            0 => crc << 1,
            _ => (crc << 1) ^ 0x1021,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_the_one_that_the_servers_count() {
        // From the cluster specification, and from `CLUSTER KEYSLOT`.
        assert_eq!(crc16(b"123456789"), 0x31c3);
        for (key, slot) in [("foo", 12182), ("{foo}bar", 12182), ("x{}y", 16116), ("{user1000}.following", 3443)] {
            assert_eq!(slot_of(key.as_bytes()), slot, "{key}");
        }
    }
}

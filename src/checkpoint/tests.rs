//! How values are cut: always the same, whatever they were cut after, and never so that a byte is lost; where they lie; and how
//! records are read.

use std::borrow::Cow;

use proptest::prelude::*;

use super::cut::{self, Common};
use super::id::Id;
use super::layout;
use super::record::{
    CheckpointRecord, HeadRecord, MSGPACK, Origin, Secret, Typed, ValueRecord, WriteRecord, decode, decode_checked,
    encode, encode_checked,
};
use super::seen::Seen;
use super::shape::{Known, Shape};
use super::version::Version;

/// A change to a value.
#[derive(Clone, Debug)]
enum Edit {
    Append(Vec<u8>),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Replace(usize, u8),
}

impl Edit {
    fn applied(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let length = bytes.len();
        match self {
            Self::Append(more) => bytes.extend(more),
            Self::Insert(at, more) => {
                let behind = bytes.split_off(at % (length + 1));
                bytes.extend(more);
                bytes.extend(behind);
            }
            Self::Remove(at, count) => {
                let start = at % (length + 1);
                bytes.drain(start..(start + count).min(length));
            }
            Self::Replace(at, byte) => {
                if let Some(place) = bytes.get_mut(at % length.max(1)) {
                    *place = *byte;
                }
            }
        }
        bytes
    }
}

/// Bytes of every kind of regularity: noise, few letters, runs of one byte, one pattern over and over.
fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let pattern = (prop::collection::vec(any::<u8>(), 1..300), 0..most);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..most),
        prop::collection::vec(97..100_u8, 0..most),
        (any::<u8>(), 0..most).prop_map(|(byte, length)| vec![byte; length]),
        pattern.prop_map(|(pattern, length)| pattern.into_iter().cycle().take(length).collect()),
    ]
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        bytes(3000).prop_map(Edit::Append),
        (any::<usize>(), bytes(500)).prop_map(|(at, more)| Edit::Insert(at, more)),
        (any::<usize>(), 0..5000_usize).prop_map(|(at, count)| Edit::Remove(at, count)),
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Edit::Replace(at, byte)),
    ];
    prop::collection::vec(edit, 1..6)
}

fn secret() -> Secret {
    Secret::new([7; 32])
}

fn noise(length: usize) -> Vec<u8> {
    let mut noise = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    noise
}

/// The bytes of a shape's pieces, with the head before and the tail behind them.
fn joined(shape: &Shape, bytes: &[u8]) -> Vec<u8> {
    let mut joined = bytes[..shape.head].to_vec();
    shape.pieces(bytes).for_each(|(_, piece)| joined.extend(piece));
    joined.extend(&bytes[shape.head + shape.tail_start()..]);
    joined
}

proptest! {
    #[test]
    fn a_value_cut_after_another_is_cut_as_if_it_were_alone(
        start in bytes(60_000), edits in edits(), heads in prop::collection::vec(0..6_usize, 6)
    ) {
        let (secret, mut heads) = (secret(), heads.into_iter().cycle());
        let mut head_of = |bytes: &[u8]| heads.next().unwrap_or(0).min(bytes.len());
        let mut known_bytes = start;
        let mut known = Shape::of(&secret, &known_bytes, head_of(&known_bytes));
        for edit in edits {
            let bytes = edit.applied(known_bytes.clone());
            let head = head_of(&bytes);
            let common = Common::of(&bytes[head..], &known_bytes[known.head..]);

            let shape = Shape::like(&secret, &bytes, head, &Known { length: known_bytes.len(), shape: &known }, common);

            prop_assert_eq!(&shape, &Shape::of(&secret, &bytes, head));
            prop_assert_eq!(joined(&shape, &bytes), &*bytes);
            (known, known_bytes) = (shape, bytes);
        }
    }

    #[test]
    fn what_two_values_have_in_common_is_told_to_the_byte(start in bytes(5000), edits in edits()) {
        let edited = edits.iter().fold(start.clone(), |bytes, edit| edit.applied(bytes));

        let common = Common::of(&start, &edited);

        let least = start.len().min(edited.len());
        let prefix = start.iter().zip(&edited).take_while(|(a, b)| a == b).count();
        let suffix = start.iter().rev().zip(edited.iter().rev()).take_while(|(a, b)| a == b).count();
        prop_assert_eq!(common, Common { prefix, suffix: suffix.min(least - prefix) });
    }
}

#[test]
fn chunks_and_blocks_keep_to_their_sizes() {
    for bytes in [noise(1_000_000), vec![0; 1_000_000]] {
        let (mut start, mut block) = (0, 0);
        while let Some(cut) = cut::next(&bytes[start..], block) {
            assert!((cut::LEAST_CHUNK..=2048).contains(&cut.length));
            (start, block) = (start + cut.length, block + cut.length);
            if cut.ends_block {
                assert!((1024..=16 * 1024).contains(&block), "a block of {block} bytes");
                block = 0;
            }
        }
        assert!(bytes.len() - start < 2048);
    }
}

#[test]
fn an_append_to_a_long_value_makes_few_new_pieces() {
    let secret = secret();
    let noise = noise(4_000_000);
    let (short, long) = (&noise[..3_999_500], &noise[..]);
    let (before, after) = (Shape::of(&secret, short, 0), Shape::of(&secret, long, 0));

    let (old, levels) = (before.names(&before.levels(&secret)), after.levels(&secret));
    let new = after.names(&levels).difference(&old).count();

    assert!(new <= 8, "{new} pieces are new");
    assert!(levels.open.iter().flatten().count() <= 200, "the row names few pieces");
}

fn row(version: &str, channel: &str) -> String {
    layout::channel("", channel, &Version::Text(version)).expect("it is short").as_str().to_owned()
}

proptest! {
    #[test]
    fn a_value_lies_where_no_other_version_or_channel_does(
        one in "[0-9.a]{0,6}|\\PC{0,4}", other in "[0-9.a]{0,6}|\\PC{0,4}", channels in ("[ab]?", "[ab]?"),
    ) {
        let is_same = (&one, &channels.0) == (&other, &channels.1);
        prop_assert_eq!(row(&one, &channels.0) == row(&other, &channels.1), is_same);
    }

    #[test]
    fn the_newest_version_lies_first(numbers in (0..1u64 << 63, 0..1u64 << 63), channels in ("[a-z]{0,3}", "[a-z]{0,3}")) {
        let row = |number: u64, channel: &str| row(&format!("{number:032}.0123456789abcdef"), channel);
        let order = row(numbers.0, &channels.0).cmp(&row(numbers.1, &channels.1));
        prop_assert_eq!(order, numbers.1.cmp(&numbers.0).then(channels.0.cmp(&channels.1)));
    }
}

/// Channels with versions in the form in which they are stored.
fn stored<'a>(versions: &[(&'a str, Version<'a>)]) -> Vec<(&'a str, Version<'a>)> {
    versions.iter().map(|(channel, version)| (*channel, version.stored())).collect()
}

/// What is read of a record that was written.
fn read_again(bytes: &[Vec<u8>; 2]) -> [(CheckpointRecord<'_>, Option<Seen<'_>>); 2] {
    [decode(&bytes[0]), decode_checked(&bytes[1])].map(|found: Option<CheckpointRecord<'_>>| {
        let found = found.expect("it was written");
        let seen = found.seen().expect("it was written");
        (found, seen)
    })
}

/// A version that is longer than those of the saver.
const LONG_VERSION: &str = "The quick brown fox jumps over the lazy dog, and over another, and another.";

/// The text of a version: of one that the saver makes, or of another.
fn version_text(number: i64) -> String {
    match number % 2 {
        0 => number.to_string(),
        _ => format!("{:032}.{number:016x}", number.unsigned_abs()),
    }
}

fn version_of(kind: usize, number: i64, text: &str) -> Version<'_> {
    match kind {
        0 => Version::Integer(number),
        1 => Version::Float(number as f64),
        2 => Version::Text(LONG_VERSION),
        _ => Version::Text(text),
    }
}

proptest! {
    #[test]
    fn a_checkpoint_is_read_as_it_was_written(
        parent_id in prop::option::of("\\PC{0,40}"),
        form in "msgpack|\\PC{0,8}",
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        channels in prop::collection::vec(("[ab]|\\PC{0,40}|a{60,70}", -3..3_i64, 0..4_usize), 0..40),
        nodes in prop::collection::vec(
            ("\\PC{0,8}", prop::collection::vec(("[ab]", any::<usize>(), -3..3_i64, 0..8_usize), 0..4)), 0..12,
        ),
        is_usual in any::<bool>(),
        names in prop::collection::vec("\\PC{0,8}", 0..20),
    ) {
        let texts: Vec<String> = channels.iter().map(|(_, number, _)| version_text(*number)).collect();
        let versions: Vec<_> = channels.iter().zip(&texts).map(|((channel, number, kind), text)| {
            (channel.as_str(), version_of(*kind, *number, text))
        }).collect();
        let seen_texts: Vec<String> =
            nodes.iter().flat_map(|(_, seen)| seen).map(|(_, _, number, _)| version_text(*number)).collect();
        let all_seen = nodes.iter().flat_map(|(_, seen)| seen).zip(&seen_texts);
        // Half of what is seen is a channel of the checkpoint, and half of that the version which it has now.
        let mut channels_seen = all_seen.map(|((name, place, number, kind), text)| match versions.get(place % (2 * versions.len() + 1)) {
            Some((channel, version)) if *kind > 3 => (*channel, *version),
            Some((channel, _)) => (*channel, version_of(*kind, *number, text)),
            None => (name.as_str(), version_of(*kind, *number, text)),
        });
        let mut seen = Seen::default();
        for (node, own) in &nodes {
            seen.add_node(node);
            channels_seen.by_ref().take(own.len()).for_each(|(channel, version)| seen.add_channel(channel, version));
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let origin =
            Origin { run_id: names.first().copied(), parents: names.iter().map(|name| (*name, *name)).collect(), delta_channels: names };
        let typed = Typed { form: &form, bytes: &bytes };
        let (fields, seen_bytes) = (Typed { form: MSGPACK, bytes: b"\x90" }, seen.to_bytes(&versions));
        let record = CheckpointRecord {
            parent_id: parent_id.as_deref().map(Id::of),
            checkpoint: if is_usual { fields } else { typed },
            metadata: typed,
            versions: Cow::Borrowed(&versions),
            origin: Cow::Borrowed(&origin),
            seen: is_usual.then_some(&*seen_bytes),
        };
        let written = [encode(&record, 0), encode_checked(&record, 0)].map(|value| value.as_bytes().to_vec());
        for (found, found_seen) in read_again(&written) {
            prop_assert_eq!((found.parent_id, found.checkpoint, found.metadata), (record.parent_id, record.checkpoint, typed));
            prop_assert_eq!(&*found.versions, stored(&versions));
            prop_assert_eq!(&*found.origin, &origin);
            let of_seen = |seen: &Seen<'_>| format!("{:?}", seen.iter().map(|(node, own)| (node, stored(own))).collect::<Vec<_>>());
            prop_assert_eq!(found_seen.as_ref().map(of_seen), is_usual.then(|| of_seen(&seen)));
        }
    }

    #[test]
    fn a_short_record_is_not_read_as_a_long_one(length in 1..100_000_usize) {
        let text = "x".repeat(length);
        let versions = [(&*text, Version::Text(&text)), ("a", Version::Text(&text))];
        // One node without a name has seen, by its place, the channel with a long name, or the long version.
        for channel in [[0x00, 0x07], [0x01, 0xc0]] {
            let bytes = [&[0x91, 0x93, 0xa0], &channel[..]].concat();
            prop_assert_eq!(Seen::read(&bytes, &versions).is_some(), length <= 64);
        }
    }

    #[test]
    fn other_bytes_are_not_what_nodes_have_seen_and_do_no_harm(bytes in prop::collection::vec(prop_oneof![
        any::<u8>(), 0x90..0x96_u8, Just(0xa0), Just(0xc0), 0..3_u8,
    ], 0..40)) {
        let versions = [("a", Version::Integer(1)), ("b", Version::Text("1"))];
        let Some(seen) = Seen::read(&bytes, &versions) else { return Ok(()) };
        let again = seen.to_bytes(&versions);
        prop_assert_eq!(Seen::read(&again, &versions), Some(seen));
    }

    #[test]
    fn fields_that_are_no_list_are_no_record_beside_what_nodes_have_seen(fields in prop::collection::vec(any::<u8>(), 0..8)) {
        let checkpoint = Typed { form: MSGPACK, bytes: &fields };
        let record = CheckpointRecord {
            parent_id: None,
            checkpoint,
            metadata: checkpoint,
            versions: Cow::Owned(Vec::new()),
            origin: Cow::Owned(Origin::default()),
            seen: Some(&[]),
        };
        let is_list = fields.first().is_some_and(|head| (0x90..=0x94).contains(head));
        let written = encode(&record, 0);
        let is_read = decode::<CheckpointRecord<'_>>(written.as_bytes()).is_some();
        prop_assert!(is_list || !is_read || fields.starts_with(&[0xdc, 0]) || fields.starts_with(&[0xdd, 0, 0, 0]));
    }

    #[test]
    fn an_id_is_read_as_it_was_written(
        id in prop_oneof![
            "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "[0-9a-fA-F]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "[0-9a-f]{32}",
            "\\{[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\\}",
            "\\PC{0,40}",
        ]
    ) {
        let written = encode(&Id::of(&id), 0);
        let read: Option<Id<'_>> = decode(written.as_bytes());
        prop_assert_eq!(read.map(Id::text), Some(Cow::Borrowed(&*id)));
    }

    #[test]
    fn other_bytes_are_no_record_and_do_no_harm(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200), head in prop::sample::select(vec![0x93, 0x94, 0x96, 0xdd]),
    ) {
        bytes.insert(0, head);
        prop_assert!(decode::<HeadRecord>(&bytes).is_none());
        let _ = (decode::<CheckpointRecord<'_>>(&bytes), decode::<ValueRecord<'_>>(&bytes), decode::<WriteRecord<'_>>(&bytes));
        prop_assert!(decode_checked::<WriteRecord<'_>>(&bytes).is_none());
    }
}

proptest! {
    #[test]
    fn a_text_that_is_stored_as_numbers_is_the_same_text_again(
        text in prop_oneof![
            "[0-9]{32}\\.[0-9a-f]{16}",
            "0{13,14}[0-9]{18,19}\\.[0-9a-f]{16}",
            "0{31}[0-9]\\.[0-9a-fA-F]{15,17}",
            "\\PC{49}",
        ]
    ) {
        let found = match Version::Text(&text).stored() {
            Version::Made(made) => made.text().as_str().to_owned(),
            Version::Text(text) => text.to_owned(),
            other => panic!("{other:?} is no text"),
        };
        prop_assert_eq!(&found, &text);
        let is_made = text.split_once('.').is_some_and(|(number, random)| {
            let is_number = number.len() == 32 && number.bytes().all(|digit| digit.is_ascii_digit());
            let is_random = random.len() == 16 && random.bytes().all(|digit| b"0123456789abcdef".contains(&digit));
            is_number && is_random && number.parse::<i64>().is_ok()
        });
        prop_assert_eq!(matches!(Version::Text(&text).stored(), Version::Made(_)), is_made);
    }
}

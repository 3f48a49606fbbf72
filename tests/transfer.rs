//! Exports and imports: what is written comes back, and what is not whole or not right leaves a store as it was.

use std::io::{self, Read, Write};
use std::sync::Mutex;
use std::time::Duration;

use proptest::prelude::*;
use swarmstate::store::{Range, Reader};
use swarmstate::transfer::{Failure, Format, Imported, export, export_to, import, import_from};
use swarmstate::{
    Batch, Clock, Entry, Error, Expiry, Key, Kind, Memory, MemoryOptions, Namespace, NamespaceInfo, Store, StoreExt,
    Timestamp, Usage, Value,
};

const FORMATS: [Format; 2] = [Format::Msgpack, Format::JsonLines];

fn exported(source: &dyn Reader, format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    export(source, &mut out, format, &mut |_, _| Ok(())).expect("a Vec takes every byte");
    out
}

fn imported(mut bytes: &[u8], target: &dyn Store) -> Result<Imported, Failure> {
    import(&mut bytes, target, &mut |_, _| Ok(()))
}

/// What is wrong with `bytes`; nothing of them reaches a store.
fn refusal(bytes: &[u8]) -> String {
    let target = Memory::new();
    let refused = imported(bytes, &target);
    assert_eq!(target.usage(), Ok(Usage::default()), "nothing is written");
    match refused {
        Err(Failure::Store(error @ (Error::Invalid { .. } | Error::TooLarge { .. }))) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

type Row = (String, String, Kind, Vec<u8>, Option<Timestamp>);

/// Everything that an import keeps of an entry.
fn rows(reader: &dyn Reader) -> Vec<Row> {
    let row = |namespace: &str, entry: &Entry| {
        let (key, value) = (entry.key().to_owned(), entry.value().to_vec());
        (namespace.to_owned(), key, entry.kind(), value, entry.expires_at())
    };
    let mut rows = Vec::new();
    for name in reader.namespaces(&Range::default()).expect("answers") {
        let entries = reader.entries(&Namespace::new(&*name).expect("short"), &Range::default()).expect("answers");
        rows.extend(entries.iter().map(|entry| row(&name, entry)));
    }
    rows
}

fn put(store: &Memory, namespace: &str, key: &str, value: Value<'_>, expiry: Expiry) {
    let mut batch = Batch::new();
    batch.set(Namespace::new(namespace).expect("short"), Key::new(key).expect("short"), value, expiry);
    store.write(&batch).expect("valid");
}

/// A store with every kind of value, and some that JSON cannot hold.
fn store_of_all_kinds() -> Memory {
    let store = Memory::new();
    let json = |bytes: &'static [u8]| Value::borrowed(Kind::Json, bytes);
    put(&store, "", "", 0.into(), Expiry::Never);
    put(&store, "\u{1f}threads", "a\"\\\n\u{0}", "text \u{1F600}\u{2028}".into(), Expiry::Never);
    put(&store, "kinds", "bytes", b"\x00\xff".as_slice().into(), Expiry::Never);
    put(&store, "kinds", "large", u64::MAX.to_string().as_str().into(), Expiry::Never);
    put(&store, "kinds", "least", i64::MIN.into(), Expiry::At(Timestamp::from_millis(i64::MAX - 1)));
    put(&store, "kinds", "most", json(b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), Expiry::Never);
    put(&store, "kinds", "nan", json(b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x01"), Expiry::Never);
    put(&store, "kinds", "ext", json(b"\x81\x01\xd4\x05\x00"), Expiry::Never);
    put(&store, "kinds", "long form", json(b"\xdd\x00\x00\x00\x01\xd0\x01"), Expiry::Never);
    put(&store, "kinds", "map", json(b"\x82\xa1b\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00\xa1a\x90"), Expiry::Never);
    store
}

#[test]
fn every_value_comes_back_byte_for_byte_in_both_formats() {
    let source = store_of_all_kinds();
    for format in FORMATS {
        let target = Memory::new();

        let done = imported(&exported(&source, format), &target).expect("it is whole");

        assert_eq!(done, Imported { entries: 10, expired: 0 });
        assert_eq!(rows(&target), rows(&source));
    }
}

#[test]
fn lines_of_json_show_each_value_as_json_where_it_can_be() {
    let clock = Clock::manual(Timestamp::from_millis(1000));
    let store = Memory::with_options(MemoryOptions { clock, ..MemoryOptions::default() }).expect("valid");
    store.set_for("n", "a", 1, Duration::from_secs(1)).expect("valid");
    store.set("n", "b", b"\x00".as_slice()).expect("valid");
    let [a, b] = ["a", "b"].map(|key| {
        let found = store.get(&Namespace::new("n").expect("short"), &Key::new(key).expect("short"));
        found.expect("answers").expect("live").revision()
    });

    let text = String::from_utf8(exported(&store, Format::JsonLines)).expect("JSON is text");

    let times = "\"created_at\":1000,\"updated_at\":1000";
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            "{\"format\":\"swarmstate\",\"version\":1}".to_owned(),
            format!(
                "{{\"namespace\":\"n\",\"key\":\"a\",\"kind\":\"integer\",\"value\":1,\"revision\":{a},{times},\
                 \"expires_at\":2000}}"
            ),
            format!(
                "{{\"namespace\":\"n\",\"key\":\"b\",\"kind\":\"bytes\",\"msgpack\":\"xAEA\",\"revision\":{b},{times},\
                 \"expires_at\":null}}"
            ),
            "{\"entries\":2}".to_owned(),
        ]
    );
}

#[test]
fn the_msgpack_form_can_be_read_by_any_msgpack_reader() {
    let bytes = exported(&store_of_all_kinds(), Format::Msgpack);

    let mut rest = &bytes[..];
    let mut records = Vec::new();
    while !rest.is_empty() {
        records.push(rmpv::decode::read_value(&mut rest).expect("a value"));
    }

    assert_eq!(records[0], rmpv::Value::Array(vec!["swarmstate".into(), 1.into()]));
    assert_eq!(records[1].as_array().map(Vec::len), Some(8));
    assert_eq!(records[records.len() - 1], rmpv::Value::Array(vec![10.into()]));
}

#[test]
fn an_entry_that_is_due_is_left_out_and_counted() {
    let clock = Clock::manual(Timestamp::from_millis(0));
    let at = |clock: &Clock| {
        Memory::with_options(MemoryOptions { clock: clock.clone(), ..MemoryOptions::default() }).expect("valid")
    };
    let (source, target) = (at(&clock), at(&clock));
    for (key, millis) in [("soon", 10), ("later", 20)] {
        source.set_for("n", key, 1, Duration::from_millis(millis)).expect("valid");
    }
    source.set("n", "stays", 1).expect("valid");
    let bytes = exported(&source, Format::Msgpack);
    clock.advance(Duration::from_millis(10));

    let done = imported(&bytes, &target).expect("it is whole");

    assert_eq!(done, Imported { entries: 2, expired: 1 });
    assert_eq!(rows(&target).iter().map(|row| &*row.1).collect::<Vec<_>>(), ["later", "stays"]);
    assert_eq!(rows(&target)[0].4, Some(Timestamp::from_millis(20)));
}

#[test]
fn an_import_onto_a_namespace_that_lives_writes_nothing() {
    let (source, target) = (Memory::new(), Memory::new());
    source.set("a", "k", 1).expect("valid");
    source.set("z", "k", 1).expect("valid");
    target.set("z", "other", 2).expect("valid");

    let refused = imported(&exported(&source, Format::JsonLines), &target);

    assert!(matches!(refused, Err(Failure::Store(Error::Conflict(conflict))) if conflict.namespace == "z"));
    assert_eq!(rows(&target).len(), 1);
}

#[test]
fn an_import_goes_in_batches_and_tells_its_progress() {
    let source = Memory::new();
    for number in 0..2001 {
        source.set("many", &format!("k{number}"), number).expect("valid");
    }
    source.set("other", "k", 1).expect("valid");
    let mut told = Vec::new();
    let target = Memory::new();

    let bytes = exported(&source, Format::Msgpack);
    import(&mut &*bytes, &target, &mut |done, total| {
        told.push((done, total));
        Ok(())
    })
    .expect("it is whole");

    assert_eq!(told, [(1000, 2002), (2000, 2002), (2001, 2002), (2002, 2002)]);
    assert_eq!(target.usage(), source.usage());
}

#[test]
fn an_export_tells_its_progress_after_every_thousand_entries_and_at_the_end() {
    let source = Memory::new();
    for number in 0..2000 {
        source.set("many", &format!("k{number}"), number).expect("valid");
    }
    let mut told = Vec::new();

    let written = export(&source, &mut io::sink(), Format::JsonLines, &mut |done, total| {
        told.push((done, total));
        Ok(())
    });

    assert_eq!(written.expect("a sink takes every byte"), 2000);
    assert_eq!(told, [(1000, 2000), (2000, 2000)]);
}

#[test]
fn an_endless_source_is_refused_at_its_first_bad_record() {
    let garbage = b"\x92\xaaswarmstate\x01".chain(io::repeat(0));

    let refused = import(&mut { garbage }, &Memory::new(), &mut |_, _| Ok(()));

    assert!(
        matches!(refused, Err(Failure::Store(Error::Invalid { what })) if what.starts_with("record 2 of the export"))
    );
}

#[test]
fn an_export_of_nothing_imports_as_nothing() {
    for format in FORMATS {
        let bytes = exported(&Memory::new(), format);

        assert_eq!(imported(&bytes, &Memory::new()).expect("it is whole"), Imported::default());
    }
}

#[test]
fn an_export_that_is_cut_off_anywhere_is_refused_and_writes_nothing() {
    let source = store_of_all_kinds();
    for format in FORMATS {
        let bytes = exported(&source, format);
        // The end of the last line may be missing.
        let whole = bytes.len() - usize::from(format == Format::JsonLines);

        for length in 0..whole {
            refusal(&bytes[..length]);
        }
        assert!(imported(&bytes[..whole], &Memory::new()).is_ok());
    }
}

#[test]
fn what_is_missing_from_a_cut_off_export_is_told() {
    let source = store_of_all_kinds();
    let json = exported(&source, Format::JsonLines);
    let lines: Vec<&[u8]> = json.split_inclusive(|byte| *byte == b'\n').collect();

    assert_eq!(refusal(&lines[..5].concat()), "the export is cut off: its trailer is missing after 4 entries");
    let gap = [&lines[..5], &lines[6..]].concat().concat();
    assert_eq!(refusal(&gap), "record 11 of the export: the trailer counts 10 entries, but 9 stand before it");
    assert_eq!(
        refusal(&json[..50]),
        "record 2 of the export: malformed JSON at byte 13: a string does not end; the export ends here without the end of \
         a line, so it may be cut off"
    );
    let msgpack = exported(&source, Format::Msgpack);
    assert_eq!(refusal(&msgpack[..20]), "the export ends inside record 2: it was cut off");
}

#[test]
fn a_record_that_is_wrong_is_named_by_its_number() {
    let header = "{\"format\":\"swarmstate\",\"version\":1}\n";
    let entry = |key: &str, kind: &str, value: &str| {
        format!("{{\"namespace\":\"n\",\"key\":\"{key}\",\"kind\":\"{kind}\",{value}}}\n")
    };
    let good = entry("b", "integer", "\"value\":1");
    let deep = format!("\"value\":{}{}", "[".repeat(257), "]".repeat(257));
    for (second, what) in [
        ("nothing\n".to_owned(), "malformed JSON at byte 0: no value begins so"),
        ("\n".to_owned(), "malformed JSON at byte 1: a value is missing"),
        ("[]\n".to_owned(), "it is no JSON object"),
        (good.clone(), "key \"b\" in namespace \"n\" comes twice"),
        (entry("a", "integer", "\"value\":1"), "key \"a\" in namespace \"n\" does not stand in the order of the bytes"),
        (header.to_owned(), "it is a second header"),
        ("{\"entries\":2}\n".to_owned(), "the trailer counts 2 entries, but 1 stand before it"),
        (entry("c", "integer", "\"value\":1.0"), "the value of key \"c\" is declared integer, but its bytes are not"),
        (entry("c", "string", "\"value\":1"), "the value of key \"c\" is declared string, but its bytes are not"),
        (entry("c", "text", "\"value\":1"), "its member \"kind\" must be integer, string, bytes or json"),
        (entry("c", "json", "\"value\":1,\"msgpack\":\"AQ==\""), "it has both \"value\" and \"msgpack\""),
        (entry("c", "json", "\"msgpack\":\"!\""), "its member \"msgpack\" must be base64"),
        (
            entry("c", "json", "\"msgpack\":\"kQ==\""),
            "its value is malformed msgpack at byte 0: the item promises more",
        ),
        (entry("c", "json", "\"msgpack\":\"\""), "its value is malformed msgpack at byte 0: the value ends early"),
        (entry("c", "json", "\"value\":1,\"key\":\"d\""), "its member \"key\" stands there twice"),
        (entry("c", "json", "\"value\":1,\"more\":1"), "it has a member \"more\", which this version does not know"),
        (entry("c", "json", "\"value\":1,\"expires_at\":\"soon\""), "its member \"expires_at\" must be an integer"),
        (entry("c", "json", "\"revision\":1"), "an entry has the members"),
        (entry("c", "json", &deep), "malformed JSON at byte 305: nested too deep"),
        (entry(&"c".repeat(4097), "json", "\"value\":1"), "a key of 4097 bytes is longer than 4096"),
    ] {
        let refused = refusal(format!("{header}{good}{second}").as_bytes());

        assert!(refused.starts_with(&format!("record 3 of the export: {what}")), "{second}: {refused}");
    }
    let behind = format!("{header}{good}{{\"entries\":1}}\n{good}");
    assert_eq!(refusal(behind.as_bytes()), "record 4 of the export: it stands behind the trailer");
}

#[test]
fn what_is_no_export_of_this_version_is_refused() {
    for (bytes, what) in [
        (&b""[..], "the export is empty"),
        (b"SQLite format 3", "this is no export of a store: it begins neither as msgpack nor as JSON lines"),
        (b"{\"format\":\"swarmstate\",\"version\":2}", "version 2 of the export; this program reads 1"),
        (b"{\"format\":\"other\",\"version\":1}", "it names the format \"other\", not \"swarmstate\""),
        (b"{\"entries\":0}", "an export begins with a header, but this is none"),
        (b"\x92\xaaswarmstate\x02", "version 2 of the export; this program reads 1"),
        (b"\x92\xaaswarmstate\x01\x91\x01", "the trailer counts 1 entries, but 0 stand before it"),
        (b"\x92\xaaswarmstate\x01\xc1", "record 2 is malformed msgpack at byte 0: 0xc1 is not a marker"),
        (b"\x92\xaaswarmstate\x01\x80", "it is an array of 2 items (header), 8 (entry) or 1 (trailer), not this"),
        (b"\x92\x01\x02", "its member \"format\" must be a text"),
        (b"\x92\xa1\xff\x01", "its member \"format\" must be a text of UTF-8"),
    ] {
        let refused = refusal(bytes);

        assert!(refused.contains(what), "{refused}");
    }
}

#[test]
fn a_stored_value_that_is_no_msgpack_is_not_exported() {
    let store = Memory::new();
    put(&store, "n", "k", Value::borrowed(Kind::Json, b"\x91"), Expiry::Never);
    for format in FORMATS {
        let refused = export(&store, &mut Vec::new(), format, &mut |_, _| Ok(()));

        assert!(matches!(
            refused,
            Err(Failure::Store(Error::Corrupt { what })) if what.starts_with("key \"k\" in namespace \"n\" holds no value")
        ));
    }
}

#[test]
fn a_file_is_replaced_only_by_a_whole_export() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.export");
    let store = store_of_all_kinds();
    export_to(&path, &store, Format::Msgpack, &mut |_, _| Ok(())).expect("it is written");
    let before = std::fs::read(&path).expect("it is there");

    store.set("more", "k", 1).expect("valid");
    let stopped = export_to(&path, &store, Format::Msgpack, &mut |_, _| Err(io::Error::other("stop")));

    assert!(matches!(stopped, Err(Failure::File(error)) if error.to_string() == "stop"));
    assert_eq!(std::fs::read(&path).expect("it is there"), before);
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing else stays");
    let target = Memory::new();
    import_from(&path, &target, &mut |_, _| Ok(())).expect("it is whole");
    assert_eq!(rows(&target).len(), 10);
}

#[cfg(unix)]
#[test]
fn an_export_is_readable_by_its_owner_alone_and_follows_a_link() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let folder = tempfile::tempdir().expect("a folder");
    let (path, link) = (folder.path().join("file"), folder.path().join("link"));
    std::fs::write(&path, "old").expect("written");
    symlink(&path, &link).expect("linked");

    export_to(&link, &Memory::new(), Format::JsonLines, &mut |_, _| Ok(())).expect("it is written");

    assert!(link.is_symlink());
    let written = std::fs::metadata(&path).expect("it is there");
    assert_eq!((written.permissions().mode() & 0o777, written.len()), (0o600, 50));
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("none").join("file");

    let written = export_to(&missing, &Memory::new(), Format::Msgpack, &mut |_, _| Ok(()));
    let read = import_from(&missing, &Memory::new(), &mut |_, _| Ok(()));

    let folder_read = import_from(folder.path(), &Memory::new(), &mut |_, _| Ok(()));
    assert!(matches!(folder_read, Err(Failure::File(error)) if error.to_string().ends_with(": is a directory")));
    for failure in [written.map(drop), read.map(drop)] {
        assert!(failure.is_err_and(|failure| failure.to_string().contains("none/file")));
    }
}

/// A pipe that gives a byte at a time, and fails where it should.
struct Trickle<'a>(&'a [u8], bool);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() && self.1 {
            return Err(io::Error::other("gone"));
        }
        let buffer = buffer.get_mut(..1).unwrap_or(&mut []);
        self.0.read(buffer)
    }
}

#[test]
fn a_source_that_fails_leaves_the_target_as_it_was() {
    let bytes = exported(&store_of_all_kinds(), Format::Msgpack);
    let target = Memory::new();

    let failed = import(&mut Trickle(&bytes, true), &target, &mut |_, _| Ok(()));
    assert!(matches!(failed, Err(Failure::File(error)) if error.to_string() == "gone"));
    assert_eq!(target.usage(), Ok(Usage::default()));

    let done = import(&mut Trickle(&bytes, false), &target, &mut |_, _| Ok(())).expect("it is whole");
    assert_eq!(done.entries, 10);
}

struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_file_that_takes_nothing_ends_the_export() {
    let failed = export(&store_of_all_kinds(), &mut Full, Format::Msgpack, &mut |_, _| Ok(()));

    assert!(matches!(failed, Err(Failure::File(error)) if error.kind() == io::ErrorKind::StorageFull));
}

/// A memory store that notes how many bytes of values each page held.
struct Noted(Memory, Mutex<Vec<usize>>);

impl Reader for Noted {
    fn entries(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<Entry>, Error> {
        let page = self.0.entries(namespace, range)?;
        self.1.lock().expect("nobody panics").push(page.iter().map(|entry| entry.value().len()).sum());
        Ok(page)
    }

    fn get(&self, namespace: &Namespace<'_>, key: &Key<'_>) -> Result<Option<Entry>, Error> {
        self.0.get(namespace, key)
    }

    fn get_many(&self, pairs: &[(Namespace<'_>, Key<'_>)]) -> Result<Vec<Option<Entry>>, Error> {
        self.0.get_many(pairs)
    }

    fn keys(&self, namespace: &Namespace<'_>, range: &Range<'_>) -> Result<Vec<String>, Error> {
        self.0.keys(namespace, range)
    }

    fn namespaces(&self, range: &Range<'_>) -> Result<Vec<String>, Error> {
        self.0.namespaces(range)
    }

    fn namespace(&self, namespace: &Namespace<'_>) -> Result<Option<NamespaceInfo>, Error> {
        self.0.namespace(namespace)
    }

    fn usage(&self) -> Result<Usage, Error> {
        self.0.usage()
    }
}

#[test]
fn large_values_are_read_in_small_pages() {
    let source = Noted(Memory::new(), Mutex::default());
    let large = "x".repeat(1 << 20);
    for number in 0..100 {
        source.0.set("large", &format!("k{number:03}"), &*large).expect("valid");
    }
    for number in 0..2000 {
        source.0.set("small", &format!("k{number:04}"), number).expect("valid");
    }

    let written = export(&source, &mut io::sink(), Format::Msgpack, &mut |_, _| Ok(()));

    assert_eq!(written.expect("a sink takes every byte"), 2100);
    let pages = source.1.into_inner().expect("nobody panics");
    assert!(pages.iter().skip(1).all(|bytes| *bytes <= 8 << 20), "only the first page does not know: {pages:?}");
    assert!(pages.len() <= 1 + 10 + 1 + 4, "small values go in long pages: {pages:?}");
}

fn any_entry() -> impl Strategy<Value = (String, String, Value<'static>)> {
    let value = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(|text| Value::from(&*text)),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Value::from(&*bytes)),
        any::<f64>().prop_map(|float| {
            let mut bytes = Vec::new();
            swarmstate::msgpack::write_f64(&mut bytes, float);
            Value::shared(Kind::Json, bytes)
        }),
    ];
    (prop::sample::select(vec!["", "a", "\u{1f}b", "ä"]).prop_map(str::to_owned), ".{0,6}", value)
}

proptest! {
    #[test]
    fn any_store_comes_back(entries in prop::collection::vec(any_entry(), 0..30), is_json in any::<bool>()) {
        let (source, target) = (Memory::new(), Memory::new());
        for (namespace, key, value) in entries {
            put(&source, &namespace, &key, value, Expiry::Never);
        }

        imported(&exported(&source, FORMATS[usize::from(is_json)]), &target).expect("it is whole");

        prop_assert_eq!(rows(&target), rows(&source));
    }

    #[test]
    fn a_mutated_export_is_imported_whole_or_not_at_all(
        is_json in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = exported(&store_of_all_kinds(), FORMATS[usize::from(is_json)]);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let target = Memory::new();

        let count = match imported(&bytes, &target) {
            Ok(done) => done.entries,
            Err(Failure::Store(Error::Invalid { .. } | Error::TooLarge { .. })) => 0,
            Err(other) => return Err(TestCaseError::fail(format!("{other:?}"))),
        };

        prop_assert_eq!(target.usage().expect("answers").entries, count);
    }
}

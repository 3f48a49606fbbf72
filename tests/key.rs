//! Names of several parts: in order, one to one, and never taken for what nobody wrote.

use proptest::prelude::*;
use swarmstate::key::{KeyReader, KeyWriter};

fn join(parts: &(String, i64, String)) -> String {
    KeyWriter::new().tag("t:").text(&parts.0).number(parts.1).text(&parts.2).finish()
}

fn a_text() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop::sample::select(vec!['\0', '\u{1}', '\u{2}', 'a', 'é', '\u{10ffff}']), 0..4)
        .prop_map(String::from_iter)
}

fn parts() -> impl Strategy<Value = (String, i64, String)> {
    let number = prop_oneof![-2..3_i64, Just(i64::MIN), Just(i64::MAX), any::<i64>()];
    (a_text(), number, a_text())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn names_sort_as_their_parts_do_and_come_apart_again(one in parts(), other in parts()) {
        let (joined, others) = (join(&one), join(&other));
        prop_assert_eq!(joined.cmp(&others), one.cmp(&other));

        let mut reader = KeyReader::new(&joined);
        prop_assert_eq!(reader.tag("t:"), Some(()));
        prop_assert_eq!(reader.text(), Some(one.0.as_str().into()));
        prop_assert_eq!(reader.number(), Some(one.1));
        prop_assert_eq!(reader.text(), Some(one.2.as_str().into()));
        prop_assert!(reader.is_at_end());
    }
}

#[test]
fn what_no_writer_wrote_is_not_read() {
    for text in ["", "a", "\u{1}\0", "\u{1}a\0", "a\u{1}\u{3}\0"] {
        assert_eq!(KeyReader::new(text).text(), None, "{text:?}");
    }
    for number in ["", "7---------", "+----------", "7--------é", "F----------", "zzzzzzzzzzz"] {
        assert_eq!(KeyReader::new(number).number(), None, "{number:?}");
    }
    assert_eq!(KeyReader::new("tag").tag("tags"), None);
    assert!(!KeyReader::new("rest").is_at_end());
}

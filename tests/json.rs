//! Msgpack and JSON: what goes to text comes back byte for byte, and what is no JSON is refused, as serde_json judges it.

use proptest::prelude::*;
use rmpv::Value;
use swarmstate::msgpack::{BadJson, MAX_DEPTH, from_json, to_json};

const NO_LIMIT: usize = usize::MAX;

fn written(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    rmpv::encode::write_value(&mut out, value).expect("a Vec takes every byte");
    out
}

/// The JSON text of `bytes`, or `None` where JSON cannot hold them.
fn text_of(bytes: &[u8]) -> Option<String> {
    let mut out = b"before".to_vec();
    let is_held = to_json(bytes, &mut out, NO_LIMIT).expect("the bytes are well formed");
    assert_eq!(is_held, out != b"before", "what is not held appends nothing");
    is_held.then(|| String::from_utf8(out[6..].to_vec()).expect("JSON is text"))
}

fn read(text: &str) -> Result<Vec<u8>, BadJson> {
    from_json(text.as_bytes(), MAX_DEPTH)
}

/// Values that JSON holds.
fn json_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-200i64..300).prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no others", |float| float.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::collection::vec(prop::char::range('\0', '\u{7f}'), 0..40)
            .prop_map(|chars| Value::from(chars.into_iter().collect::<String>())),
    ];
    scalar.prop_recursive(5, 64, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Value::Array),
            prop::collection::vec((any::<String>().prop_map(Value::from), inner), 0..20).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn what_json_holds_comes_back_byte_for_byte(value in json_value()) {
        let bytes = written(&value);

        let text = text_of(&bytes);

        prop_assert!(text.is_some());
        let text = text.unwrap_or_default();
        prop_assert_eq!(read(&text), Ok(bytes));
        prop_assert!(!text.contains('\n'));
        prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
    }

    #[test]
    fn a_text_is_accepted_where_serde_json_accepts_it_and_means_the_same(
        text in "[\\[\\]{}:, 0-9.eE+\\-\"\\\\unrtfalsetrue\u{1}é]{0,24}",
    ) {
        let ours = read(&text);
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?} {:?}", &text, ours, theirs);
    }

    #[test]
    fn mutated_text_is_read_as_serde_json_reads_it(
        value in json_value(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut text = text_of(&written(&value)).unwrap_or_default().into_bytes();
        for (place, byte) in changes {
            let place = place.index(text.len());
            text[place] = byte;
        }

        let ours = from_json(&text, MAX_DEPTH);
        let theirs = serde_json::from_slice::<serde_json::Value>(&text);

        let is_beyond_64_bits = matches!(ours, Err(BadJson { what: "an integer is beyond 64 bits", .. }));
        prop_assert!(is_beyond_64_bits || ours.is_ok() == theirs.is_ok(), "{:?} {:?}", ours, theirs);
    }

    #[test]
    fn what_another_encoder_wrote_is_held_only_if_it_comes_back(bytes in prop::collection::vec(any::<u8>(), 1..12)) {
        let mut out = Vec::new();
        if let Ok(true) = to_json(&bytes, &mut out, NO_LIMIT) {
            prop_assert_eq!(from_json(&out, MAX_DEPTH), Ok(bytes));
        }
    }
}

#[test]
fn numbers_keep_their_type_and_every_digit() {
    for (text, bytes) in [
        ("9223372036854775807", written(&Value::from(i64::MAX))),
        ("-9223372036854775808", written(&Value::from(i64::MIN))),
        ("18446744073709551615", written(&Value::from(u64::MAX))),
        ("1.0", written(&Value::from(1.0))),
        ("-0.0", written(&Value::from(-0.0))),
        ("5e-324", written(&Value::from(f64::from_bits(1)))),
        ("0.1", written(&Value::from(0.1))),
    ] {
        assert_eq!(read(text), Ok(bytes.clone()), "{text}");
        assert_eq!(text_of(&bytes).as_deref(), Some(text));
    }
    assert_eq!(read("-0"), Ok(vec![0]));
}

#[test]
fn what_json_cannot_hold_exactly_is_told() {
    for value in [
        Value::from(vec![1u8]),
        Value::from(f64::NAN),
        Value::from(f64::NEG_INFINITY),
        Value::from(1.0f32),
        Value::Ext(1, vec![0]),
        Value::Map(vec![(Value::from(1), Value::from(1))]),
        Value::Array(vec![Value::from("text"), Value::from(vec![0u8])]),
    ] {
        assert_eq!(text_of(&written(&value)), None, "{value}");
    }
    let not_shortest: [&[u8]; 5] = [&[0xcc, 1], &[0xd0, 1], &[0xd1, 0xff, 0xff], &[0xd9, 1, b'x'], &[0xdc, 0, 1, 0xc0]];
    for bytes in not_shortest {
        assert_eq!(text_of(bytes), None, "{bytes:02x?}");
    }
    assert!(to_json(&[0xa1, 0xff], &mut Vec::new(), NO_LIMIT).is_err());
}

#[test]
fn a_text_above_the_limit_is_not_written() {
    let bytes = written(&Value::Array(vec![Value::from("x"); 10]));
    let mut out = b"kept".to_vec();

    assert_eq!(to_json(&bytes, &mut out, 40), Ok(false));
    assert_eq!(out, b"kept");
    assert_eq!(to_json(&bytes, &mut out, 41), Ok(true));
    assert_eq!(out.len(), 4 + 41);
}

#[test]
fn text_that_is_no_json_is_refused_with_its_place() {
    for (text, offset, what) in [
        ("", 0, "a value is missing"),
        ("[1,]", 3, "no value begins so"),
        ("[1 2]", 3, "a comma or the end of what is open is missing"),
        ("[1}", 2, "a comma or the end of what is open is missing"),
        ("{\"a\" 1}", 5, "a colon is missing"),
        ("{1:1}", 1, "a member's name is missing"),
        ("01", 0, "a number begins with 0"),
        ("-", 1, "a digit is missing"),
        ("1e400", 0, "a number is beyond the 64-bit floats"),
        ("18446744073709551616", 0, "an integer is beyond 64 bits"),
        ("-9223372036854775809", 0, "an integer is beyond 64 bits"),
        ("NaN", 0, "no value begins so"),
        ("1 1", 2, "more text follows the value"),
        ("\"a", 0, "a string does not end"),
        ("\"\u{1}\"", 1, "a control character stands in a string"),
        ("\"\\x\"", 1, "no escape is written so"),
        ("\"\\u12g4\"", 1, "four hexadecimal digits are missing"),
        ("\"\\ud800\"", 1, "half a surrogate pair stands alone"),
        ("\"\\ud800\\u0041\"", 1, "half a surrogate pair stands alone"),
        ("\"\\udc00\"", 1, "half a surrogate pair stands alone"),
    ] {
        assert_eq!(read(text), Err(BadJson { offset, what }), "{text}");
    }
    assert_eq!(from_json(b"[\"\xff\"]", 9), Err(BadJson { offset: 2, what: "the text is not utf-8" }));
}

#[test]
fn nesting_is_bounded_and_never_recurses() {
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);

    assert!(read(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(read(&nested(MAX_DEPTH + 1)), Err(BadJson { offset: MAX_DEPTH, what: "nested too deep" }));
    assert!(read(&"[".repeat(10_000_000)).is_err());
}

#[test]
fn long_containers_inside_long_containers_get_their_heads() {
    let inner = Value::Array((0..20).map(Value::from).collect());
    let map = Value::Map((0..70_000).map(|number| (Value::from(number.to_string()), inner.clone())).collect());
    let items = [vec![map, inner], vec![Value::Nil; 15]].concat();
    let bytes = written(&Value::Array(items));

    let text = text_of(&bytes).expect("JSON holds it");

    assert_eq!(read(&text), Ok(bytes));
}

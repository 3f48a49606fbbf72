//! LangGraph's cache on a store: what was cached is found until its time, or until just its namespace is cleared.

use std::sync::Arc;
use std::time::Duration;

use swarmstate::cache::{Cache, NewCached, Place};
use swarmstate::store::Range;
use swarmstate::{Clock, Error, Memory, MemoryOptions, Namespace, Reader, StoreExt, Timestamp};

fn given() -> (Arc<Memory>, Cache, Clock) {
    let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
    let options = MemoryOptions { max_history: None, clock: clock.clone() };
    let store = Arc::new(Memory::with_options(options).expect("the options are valid"));
    (store.clone(), Cache::new(store), clock)
}

fn labels(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|label| (*label).to_owned()).collect()
}

fn place(at: &[&str], key: &str) -> Place {
    Place { labels: labels(at), key: key.to_owned() }
}

fn new<'a>(place: &Place, bytes: &'a [u8], ttl: Option<Duration>) -> NewCached<'a> {
    NewCached { place: place.clone(), form: "msgpack", bytes, ttl }
}

/// What is cached there, as text.
fn found(cache: &Cache, place: &Place) -> Option<String> {
    let cached = cache.get(std::slice::from_ref(place)).expect("it is read").remove(0)?;
    let (form, bytes) = cached.typed().expect("it is what was cached");
    assert_eq!(form, "msgpack");
    Some(String::from_utf8(bytes.to_vec()).expect("it is text"))
}

#[test]
fn what_is_cached_is_found_whatever_its_labels_hold() {
    let (_, cache, _) = given();
    let places = [
        place(&[], ""),
        place(&[""], ""),
        place(&["a", "b"], "k"),
        place(&["ab"], "k"),
        place(&["a\u{1f}b"], "k"),
        place(&["a\0", "b"], "k"),
    ];
    let texts: Vec<String> = (0..places.len()).map(|number| number.to_string()).collect();
    let values: Vec<_> = places.iter().zip(&texts).map(|(place, text)| new(place, text.as_bytes(), None)).collect();

    cache.set(&values).expect("they are cached");

    for (place, text) in places.iter().zip(texts) {
        assert_eq!(found(&cache, place), Some(text), "{place:?}");
    }
    assert_eq!(found(&cache, &place(&["a"], "k")), None);
}

#[test]
fn places_are_answered_in_the_order_in_which_they_are_asked_for() {
    let (_, cache, _) = given();
    let (one, other) = (place(&["a"], "1"), place(&["b"], "2"));
    cache.set(&[new(&one, b"one", None)]).expect("it is cached");

    let answers = cache.get(&[other.clone(), one.clone(), other, one]).expect("they are read");

    assert_eq!(answers.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false, true]);
}

#[test]
fn of_several_values_at_one_place_the_last_counts() {
    let (_, cache, _) = given();
    let here = place(&["a"], "k");

    cache.set(&[new(&here, b"first", None), new(&here, b"last", None)]).expect("it is cached");

    assert_eq!(found(&cache, &here).as_deref(), Some("last"));
}

#[test]
fn a_value_goes_at_its_time() {
    let (_, cache, clock) = given();
    let (short, long) = (place(&["a"], "short"), place(&["a"], "long"));
    let ttl = Some(Duration::from_secs(5));
    cache.set(&[new(&short, b"x", ttl), new(&long, b"x", None)]).expect("they are cached");

    clock.advance(Duration::from_millis(4999));
    assert!(found(&cache, &short).is_some());
    clock.advance(Duration::from_millis(1));

    assert_eq!(found(&cache, &short), None);
    assert!(found(&cache, &long).is_some());
}

#[test]
fn clearing_takes_just_the_namespaces_that_are_named() {
    let (_, cache, _) = given();
    let places = [place(&["a"], "k"), place(&["a", "b"], "k"), place(&["ab"], "k"), place(&["c"], "k")];
    cache.set(&places.each_ref().map(|place| new(place, b"x", None))).expect("they are cached");

    cache.clear(Some(&[labels(&["a"]), labels(&["c"]), labels(&["a"]), labels(&["absent"])])).expect("it is cleared");

    assert_eq!(places.each_ref().map(|place| found(&cache, place).is_some()), [false, true, true, false]);
}

#[test]
fn clearing_everything_leaves_what_is_not_the_caches() {
    let (store, cache, _) = given();
    store.set("cache:", "k", "mine").expect("valid");
    store.set("\u{1f}other", "k", "mine").expect("valid");
    let values: Vec<Place> = (0..1500).map(|number| place(&[&number.to_string()], "k")).collect();
    cache.set(&values.iter().map(|place| new(place, b"x", None)).collect::<Vec<_>>()).expect("they are cached");

    cache.clear(None).expect("it is cleared");

    assert_eq!(store.namespaces(&Range::default()).expect("answers"), ["\u{1f}other", "cache:"]);
}

#[test]
fn nothing_is_cached_where_one_place_is_too_long() {
    let (store, cache, _) = given();
    let long = place(&["a"], &"k".repeat(5000));

    let refused = cache.set(&[new(&place(&["a"], "k"), b"x", None), new(&long, b"x", None)]);

    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    assert_eq!(store.usage().expect("answers").entries, 0);
    assert!(matches!(cache.get(&[long]), Err(Error::Invalid { .. })));
}

#[test]
fn a_record_that_somebody_else_wrote_is_named_and_not_taken_for_a_value() {
    let (store, cache, _) = given();
    cache.set(&[new(&place(&["a"], "k"), b"x", None)]).expect("it is cached");
    let namespace = store.namespaces(&Range::default()).expect("answers").remove(0);
    for odd in ["text", ""] {
        store.set(&namespace, "k", odd).expect("valid");

        let cached = cache.get(&[place(&["a"], "k")]).expect("it is read").remove(0).expect("it is there");

        assert!(matches!(cached.typed(), Err(Error::Corrupt { what }) if what.contains("\"k\"")));
    }
    assert!(store.namespace(&Namespace::new(&*namespace).expect("short")).expect("answers").is_some());
}

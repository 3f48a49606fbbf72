//! LangGraph's long-term memory on a store: what is written is found, by its address, its value or its vectors.

use std::sync::Arc;
use std::time::Duration;

use swarmstate::items::{
    Address, Answer, Change, Content, Filter, Found, Items, Listing, Match, Question, Search, Similar,
};
use swarmstate::msgpack::{MAX_DEPTH, from_json};
use swarmstate::{Clock, Error, Memory, MemoryOptions, Reader, StoreExt, Timestamp};

const SECOND: Duration = Duration::from_secs(1);

/// A store whose time stands still, and the items in it.
fn given() -> (Arc<Memory>, Items, Clock) {
    let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
    let options = MemoryOptions { max_history: None, clock: clock.clone() };
    let store = Arc::new(Memory::with_options(options).expect("the options are valid"));
    (store.clone(), Items::new(store), clock)
}

fn labels(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|label| (*label).to_owned()).collect()
}

fn address(at: &[&str], key: &str) -> Address {
    Address { labels: labels(at), key: key.to_owned() }
}

fn packed(json: &str) -> Vec<u8> {
    from_json(json.as_bytes(), MAX_DEPTH).expect("it is JSON")
}

/// Labels, key, value as JSON, and vectors.
type Row<'a> = (&'a [&'a str], &'a str, &'a str, &'a [Vec<f32>]);

fn put(items: &Items, ttl: Option<Duration>, rows: &[Row<'_>]) {
    for (at, key, value, vectors) in rows {
        let (address, value) = (address(at, key), packed(value));
        let content = Some(Content { value: &value, ttl, vectors });
        items.write(&[Change { address: &address, content }]).expect("it is written");
    }
}

fn change<'a>(address: &'a Address, value: Option<&'a [u8]>) -> Change<'a> {
    Change { address, content: value.map(|value| Content { value, ttl: None, vectors: &[] }) }
}

fn get(items: &Items, address: Address, refresh: bool) -> Option<Found> {
    match items.read(&[Question::Get(address, refresh)]).expect("it is read").remove(0) {
        Answer::Item(found) => found,
        other => panic!("{other:?}"),
    }
}

fn search(items: &Items, search: Search) -> Vec<Found> {
    match items.read(&[Question::Search(search)]).expect("it is read").remove(0) {
        Answer::Items(found) => found,
        other => panic!("{other:?}"),
    }
}

fn keys(found: &[Found]) -> Vec<&str> {
    found.iter().map(|found| &*found.address.key).collect()
}

fn all() -> Search {
    Search { limit: usize::MAX, ..Search::default() }
}

#[test]
fn what_is_written_is_found_by_its_address_whatever_its_labels_hold() {
    let (_, items, _) = given();
    let odd: [&[&str]; 5] = [&[], &[""], &["a", "b"], &["a\u{1f}b"], &["a>b", "\0"]];
    for (number, at) in odd.iter().enumerate() {
        put(&items, None, &[(at, "key", &format!("{{\"n\":{number}}}"), &[])]);
    }

    for (number, at) in odd.iter().enumerate() {
        let found = get(&items, address(at, "key"), false).expect("it is there");
        assert_eq!(found.value(), Ok(&*packed(&format!("{{\"n\":{number}}}"))));
        assert_eq!(found.score, None);
    }
    assert!(get(&items, address(&["a"], "key"), false).is_none());
}

#[test]
fn of_several_changes_to_an_item_the_last_counts_and_all_of_them_happen_or_none() {
    let (store, items, _) = given();
    let (one, other) = (address(&["a"], "1"), address(&["a"], "2"));
    let (first, last) = (packed("{\"n\":1}"), packed("{\"n\":2}"));
    let [first, last]: [&[u8]; 2] = [&first, &last];

    let changes = [(&one, Some(first)), (&other, Some(first)), (&one, None), (&other, Some(last))];
    items.write(&changes.map(|(address, value)| change(address, value))).expect("they are written");

    assert!(get(&items, one.clone(), false).is_none());
    assert_eq!(get(&items, other.clone(), false).expect("it is there").value(), Ok(last));

    let long = address(&["x"], &"k".repeat(5000));
    let before = store.usage();
    let refused = items.write(&[change(&one, Some(first)), change(&long, Some(first))]);
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    assert_eq!(store.usage(), before);
}

#[test]
fn a_search_keeps_to_whole_labels_and_to_its_page() {
    let (_, items, _) = given();
    for number in 0..10 {
        put(&items, None, &[(&["a"], &format!("{number}"), "{}", &[])]);
    }
    put(&items, None, &[(&["ab"], "other", "{}", &[]), (&["a", "inner"], "below", "{}", &[])]);

    let under = |offset, limit| Search { labels: labels(&["a"]), offset, limit, ..Search::default() };
    assert_eq!(search(&items, under(0, 100)).len(), 11);
    assert_eq!(keys(&search(&items, under(8, 100))), ["8", "9", "below"]);
    assert_eq!(keys(&search(&items, under(2, 3))), ["2", "3", "4"]);
    assert_eq!(keys(&search(&items, under(0, 0))), [""; 0]);
    assert_eq!(search(&items, all()).len(), 12);
}

#[test]
fn a_filter_judges_values_as_langgraph_does() {
    let (_, items, _) = given();
    let rows: [(&str, &str); 5] = [
        ("int", "{\"n\":1,\"d\":{\"x\":1}}"),
        ("float", "{\"n\":1.0}"),
        ("bool", "{\"n\":true}"),
        ("text", "{\"n\":\"1\",\"a.b\":\"c\"}"),
        ("none", "{\"a\":{\"b\":\"c\"}}"),
    ];
    for (key, value) in rows {
        put(&items, None, &[(&["n"], key, value, &[])]);
    }

    for (filter, kept) in [
        ("{}", &["bool", "float", "int", "none", "text"][..]),
        ("{\"n\":1}", &["bool", "float", "int"]),
        ("{\"n\":\"1\"}", &["text"]),
        ("{\"n\":null}", &["none"]),
        ("{\"n\":{\"$gte\":1}}", &["bool", "float", "int", "text"]),
        ("{\"n\":{\"$gte\":\"a\"}}", &[]),
        ("{\"n\":{\"$gt\":0,\"$ne\":1}}", &["text"]),
        ("{\"n\":{\"$ne\":1}}", &["none", "text"]),
        ("{\"d.x\":1}", &["int"]),
        ("{\"d\":{\"x\":1}}", &["int"]),
        ("{\"a.b\":\"c\"}", &["none", "text"]),
        ("{\"n\":1,\"d\":null}", &["bool", "float"]),
    ] {
        let filter = Filter::parse(&packed(filter)).expect("it is a filter");
        assert_eq!(keys(&search(&items, Search { filter: filter.clone(), ..all() })), kept, "{filter:?}");
    }
    for wrong in ["[]", "{\"n\":{\"$near\":1}}", "{\"n\":{\"$gt\":1,\"n\":2}}"] {
        assert!(matches!(Filter::parse(&packed(wrong)), Err(Error::Invalid { .. })), "{wrong}");
    }
}

#[test]
fn a_search_by_a_vector_ranks_items_by_the_nearest_of_theirs_and_those_without_any_last() {
    let (_, items, _) = given();
    put(
        &items,
        None,
        &[
            (&["v"], "across", "{}", &[vec![0.0, 2.0]]),
            (&["v"], "against", "{}", &[vec![-1.0, 0.0]]),
            (&["v"], "both", "{}", &[vec![-3.0, 0.0], vec![3.0, 4.0]]),
            (&["v"], "along", "{}", &[vec![5.0, 0.0]]),
            (&["v"], "without", "{}", &[]),
        ],
    );
    let similar = || Some(Similar::to(&[0.5, 0.0]).expect("it has a length"));

    let found = search(&items, Search { similar: similar(), ..all() });

    assert_eq!(keys(&found), ["along", "both", "across", "against", "without"]);
    let scores: Vec<_> = found.iter().map(|found| found.score.map(|score| (score * 1e4).round() / 1e4)).collect();
    assert_eq!(scores, [Some(1.0), Some(0.6), Some(0.0), Some(-1.0), None]);
    let page = search(&items, Search { similar: similar(), offset: 1, limit: 2, ..Search::default() });
    assert_eq!(keys(&page), ["both", "across"]);
}

#[test]
fn vectors_of_other_lengths_are_refused_where_they_meet() {
    let (store, items, _) = given();
    put(&items, None, &[(&["v"], "two", "{}", &[vec![1.0, 0.0]])]);
    let before = store.usage();

    let mixed = [vec![1.0], vec![1.0, 2.0]];
    let content = Some(Content { value: &packed("{}"), ttl: None, vectors: &mixed });
    let refused = items.write(&[Change { address: &address(&["v"], "mixed"), content }]);
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    assert_eq!(store.usage(), before);

    let three = Search { similar: Some(Similar::to(&[1.0, 0.0, 0.0]).expect("it has a length")), ..all() };
    let refused = items.read(&[Question::Search(three)]);
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    for wrong in [&[][..], &[f32::NAN], &[f32::INFINITY]] {
        assert!(matches!(Similar::to(wrong), Err(Error::Invalid { .. })), "{wrong:?}");
    }
}

#[test]
fn an_item_that_is_written_anew_is_no_more_found_by_what_it_was() {
    let (_, items, _) = given();
    put(&items, None, &[(&["v"], "k", "{}", &[vec![1.0, 0.0]])]);
    put(&items, None, &[(&["v"], "k", "{}", &[])]);

    let found = search(&items, Search { similar: Some(Similar::to(&[1.0, 0.0]).expect("it has a length")), ..all() });

    assert_eq!(found[0].score, None);
}

#[test]
fn an_item_ends_at_its_time_unless_a_read_puts_its_end_off() {
    let (store, items, clock) = given();
    put(&items, Some(10 * SECOND), &[(&["t"], "read", "{}", &[vec![1.0]]), (&["t"], "left", "{}", &[])]);
    let written = get(&items, address(&["t"], "read"), false).expect("it is there");
    clock.advance(9 * SECOND);

    assert!(get(&items, address(&["t"], "read"), true).is_some());
    clock.advance(9 * SECOND);

    let found = search(&items, Search { similar: Some(Similar::to(&[1.0]).expect("it has a length")), ..all() });
    assert_eq!(keys(&found), ["read"]);
    assert!(found[0].score.is_some(), "its vectors stay as long as it does");
    assert_eq!(found[0].updated_at(), written.updated_at());
    assert_eq!(found[0].created_at(), written.created_at());
    clock.advance(SECOND);
    assert_eq!(keys(&search(&items, all())), [""; 0]);
    items.sweep().expect("it is swept");
    assert_eq!(store.usage().expect("answers").entries, 0);
}

#[test]
fn namespaces_are_listed_by_pattern_and_depth_each_once() {
    let (_, items, _) = given();
    for at in [&["a", "x", "1"][..], &["a", "y", "1"], &["a"], &["b", "x"], &["ab", "x"]] {
        put(&items, None, &[(at, "k", "{}", &[]), (at, "l", "{}", &[])]);
    }
    let listed = |matches: Vec<Match>, max_depth, offset, limit| {
        let question = Question::List(Listing { matches, max_depth, offset, limit });
        match items.read(&[question]).expect("it is read").remove(0) {
            Answer::Namespaces(found) => found.iter().map(|labels| labels.join("/")).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    let prefix = |pattern: &[&str]| Match::Prefix(labels(pattern));
    let suffix = |pattern: &[&str]| Match::Suffix(labels(pattern));

    assert_eq!(listed(vec![], None, 0, 10), ["a", "a/x/1", "a/y/1", "ab/x", "b/x"]);
    assert_eq!(listed(vec![], Some(1), 0, 10), ["a", "ab", "b"]);
    assert_eq!(listed(vec![], None, 1, 2), ["a/x/1", "a/y/1"]);
    assert_eq!(listed(vec![prefix(&["a"])], None, 0, 10), ["a", "a/x/1", "a/y/1"]);
    assert_eq!(listed(vec![prefix(&["*", "x"])], None, 0, 10), ["a/x/1", "ab/x", "b/x"]);
    assert_eq!(listed(vec![suffix(&["x"])], None, 0, 10), ["ab/x", "b/x"]);
    assert_eq!(listed(vec![prefix(&["a"]), suffix(&["y", "*"])], None, 0, 10), ["a/y/1"]);
}

#[test]
fn a_record_that_somebody_else_wrote_is_named_and_not_taken_for_an_item() {
    let (store, items, _) = given();
    put(&items, None, &[(&["a"], "k", "{}", &[])]);
    let namespace = store.namespaces(&Default::default()).expect("answers").remove(0);
    let key = store.keys(&swarmstate::Namespace::new(&*namespace).expect("short"), &Default::default());
    store.set(&namespace, &key.expect("answers")[0], "no item").expect("valid");

    let refused = items.read(&[Question::Search(all())]);

    assert!(matches!(&refused, Err(Error::Corrupt { what }) if what.contains("\"k\"")), "{refused:?}");
}

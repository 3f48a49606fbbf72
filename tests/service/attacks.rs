//! What comes over the wire from those who do not play by the rules.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use swarmstate::StoreExt;

use crate::given::Service;

const HOST: &str = "Host: 127.0.0.1\r\n";

#[test]
fn another_servers_name_is_misdirected() {
    let service = Service::new();
    let status = |host: &str| service.raw_status("GET /api/namespaces HTTP/1.1", host);

    for ours in ["Host: localhost\r\n", "Host: 127.0.0.1:1\r\n", "Host: LOCALHOST:80\r\n", "Host: [::1]:9\r\n"] {
        assert_eq!(status(ours), "200", "{ours}");
    }
    for other in [
        "Host: evil.example\r\n",
        "Host: 127.0.0.1.evil.example\r\n",
        "Host: localhost@evil.example\r\n",
        "Host: evil@localhost\r\n",
        "Host: \r\n",
        "Host: localhost, evil\r\n",
        "Host: localhost\r\nHost: evil.example\r\n",
        "",
    ] {
        assert!(matches!(&*status(other), "421" | "400"), "{other}: {}", status(other));
    }
    assert_eq!(service.raw_status("GET http://evil.example/api/namespaces HTTP/1.1", HOST), "421");
}

#[test]
fn tricks_in_a_path_lead_nowhere() {
    let service = Service::new();
    let status = |path: &str| service.raw_status(&format!("GET {path} HTTP/1.1"), HOST);
    let nowhere = [
        "//api/kv/_/n/k",
        "/api//kv/_/n/k",
        "/api/kv/",
        "/api/kv/_",
        "/api/kv/_/",
        "/api/kv/_//k",
        "/api/kv/_/n/",
        "/api/kv/_/n//k",
        "/api/kv//k",
        "/api%2Fkv/_/n/k",
        "/API/kv/_/n/k",
        "/api/kv/../tokens/x/y",
        "/api",
    ];

    for path in nowhere {
        assert!(matches!(&*status(path), "404" | "400"), "{path}: {}", status(path));
    }
    assert_eq!(status("/api/kv/_/%2e%2e/k"), "400");
    assert_eq!(status("/api/kv/_/n/%2e%2e"), "400");
}

#[test]
fn credentials_and_ids_that_stand_twice_are_refused() {
    let service = Service::new();
    let first = "GET /api/kv/_/n HTTP/1.1";

    assert_eq!(service.raw_status(first, &format!("{HOST}Authorization: Bearer x\r\n")), "401");
    assert_eq!(service.raw_status(first, &format!("{HOST}X-Agent-ID: a\r\nX-Agent-ID: b\r\n")), "400");
    assert_eq!(service.raw_status(first, &format!("{HOST}X-Agent-ID: \u{e4}\r\n")), "400");
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let service = Service::new();
    let huge = format!("{HOST}X-Long: {}\r\n", "a".repeat(256 * 1024));
    let many = format!("{HOST}{}", "X-A: b\r\n".repeat(5000));

    for headers in [huge, many] {
        let status = service.raw_status("GET /api/kv/_/n HTTP/1.1", &headers);
        assert!(matches!(&*status, "431" | "none"), "{status}");
    }
    assert_eq!(service.operator().get("/api/kv/_/n").status, 200);
}

#[test]
fn a_body_above_its_limit_is_refused_before_it_is_read() {
    let service = Service::new();
    let length = |path: &str, length: u64| {
        service.raw_status(path, &format!("{HOST}Content-Type: application/json\r\nContent-Length: {length}\r\n"))
    };

    assert_eq!(length("PUT /api/kv/_/n/k HTTP/1.1", 12 * 1024 * 1024 + 65 * 1024), "413");
    assert_eq!(length("PUT /api/kv/_/n/k HTTP/1.1", 1 << 40), "413");
    assert_eq!(length("POST /api/kv/_/n HTTP/1.1", 16 * 1024 * 1024 + 1), "413");
    assert_eq!(length("POST /api/kv/_/n/k/incr HTTP/1.1", 64 * 1024 + 1), "413");
    assert_eq!(length("POST /api/tokens HTTP/1.1", 64 * 1024 + 1), "413");
}

#[test]
fn a_body_that_never_ends_is_refused_at_its_limit() {
    let service = Service::new();
    let key = service.server.api_key();
    let head = format!(
        "POST /api/kv/_/n/k/incr HTTP/1.1\r\n{HOST}Authorization: Bearer {key}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let chunks = format!("1000\r\n{}\r\n", " ".repeat(4096)).repeat(40);

    let answer = service.raw(format!("{head}{chunks}").as_bytes());

    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[test]
fn nobody_without_rights_has_a_body_read() {
    let service = Service::new();
    let head = format!("PUT /api/kv/_/n/k HTTP/1.1\r\n{HOST}Content-Length: 1000000\r\n");

    let answer = service.raw(format!("{head}\r\n").as_bytes());

    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}

#[test]
fn smuggled_lengths_are_refused() {
    let service = Service::new();
    let both = format!("{HOST}Content-Length: 5\r\nContent-Length: 6\r\n");

    assert_eq!(service.raw_status("PUT /api/kv/_/n/k HTTP/1.1", &both), "400");
}

#[test]
fn connections_that_say_nothing_keep_nobody_out() {
    let service = Service::new();
    let silent: Vec<_> = (0..200).map(|_| TcpStream::connect(service.server.address())).collect();
    let mut half = TcpStream::connect(service.server.address()).expect("the server listens");
    half.write_all(b"PUT /api/kv/_/n/k HT").expect("a connection takes bytes");

    let answer = service.operator().set("/api/kv/_/n/k", "1");

    assert_eq!(answer.status, 200);
    drop(silent);
}

#[test]
fn those_who_announce_much_and_send_little_keep_nobody_out() {
    let service = Service::new();
    let key = service.server.api_key();
    let head = format!(
        "PUT /api/kv/_/n/slow HTTP/1.1\r\n{HOST}Authorization: Bearer {key}\r\nContent-Length: 12000000\r\n\r\n{{"
    );
    let slow: Vec<_> = (0..60)
        .map(|_| {
            let mut stream = TcpStream::connect(service.server.address()).expect("the server listens");
            stream.write_all(head.as_bytes()).expect("a connection takes bytes");
            stream
        })
        .collect();

    let large = format!("\"{}\"", "a".repeat(1 << 20));
    let answer = service.operator().set("/api/kv/_/n/k", &large);

    assert_eq!(answer.status, 200);
    drop(slow);
}

#[test]
fn those_who_ask_for_much_and_read_nothing_take_bounded_room_and_keep_nobody_out() {
    let service = Service::new();
    let large = "x".repeat(2 << 20);
    for key in ["a", "b", "c", "d"] {
        service.store.set("n", key, &*large).expect("a store takes large values");
    }
    service.store.set("small", "k", 1).expect("a store takes integers");
    let key = service.server.api_key();
    let ask = format!("GET /api/kv/_/n HTTP/1.1\r\n{HOST}Authorization: Bearer {key}\r\n\r\n");
    let mut unread = Vec::new();
    let full = loop {
        let mut stream = TcpStream::connect(service.server.address()).expect("the server listens");
        stream.write_all(ask.as_bytes()).expect("a connection takes bytes");
        match &*peeked(&stream, 12) {
            "HTTP/1.1 200" if unread.len() < 100 => unread.push(stream),
            other => break other.to_owned(),
        }
    };

    let (refused, small) = (service.operator().get("/api/kv/_/n"), service.operator().get("/api/kv/_/small/k"));
    let served = unread.len();
    drop(unread);
    let again = service.operator().get("/api/kv/_/n");

    assert_eq!((&*full, served), ("HTTP/1.1 503", 31));
    assert_eq!((refused.status, refused.code(), refused.header("retry-after")), (503, "busy", Some("1")));
    assert_eq!(small.status, 200);
    assert_eq!((again.status, again.keys()), (200, vec!["a", "b", "c", "d"]));
    assert_eq!(again.header("content-length").and_then(|length| length.parse().ok()), Some(again.text.len()));
}

/// The first bytes of an answer, which stay unread.
fn peeked(stream: &TcpStream, bytes: usize) -> String {
    let mut first = vec![0; bytes];
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
    while stream.peek(&mut first).expect("the server answers") < bytes {}
    String::from_utf8_lossy(&first).into_owned()
}

#[test]
fn a_request_for_little_does_not_wait_behind_those_for_much() {
    for engine in ["memory", "sqlite"] {
        let service = Service::on(engine);
        let large = "\u{1}".repeat(2 << 20);
        for key in ["a", "b"] {
            service.store.set("n", key, &*large).expect("a store takes large values");
        }
        let key = service.server.api_key();
        let ask = format!("GET /api/kv/_/n HTTP/1.1\r\n{HOST}Authorization: Bearer {key}\r\n\r\n");
        let asking: Vec<_> = (0..150)
            .map(|_| {
                let mut stream = TcpStream::connect(service.server.address()).expect("the server listens");
                stream.write_all(ask.as_bytes()).expect("a connection takes bytes");
                stream
            })
            .collect();

        let small = service.operator().set("/api/kv/_/small/k", "1");
        let unanswered = asking.iter().filter(|stream| !is_answered(stream)).count();

        assert_eq!(small.status, 200, "{engine}");
        assert!(unanswered > 100, "{engine}: {unanswered} of those who came before are not answered yet");
    }
}

/// Whether an answer has begun to arrive.
fn is_answered(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a connection can be asked without waiting");
    stream.peek(&mut [0]).is_ok()
}

#[test]
fn options_show_no_key() {
    let options =
        swarmstate::service::ServeOptions { api_key: Some("very-secret-key-1".to_owned()), ..Default::default() };

    assert!(!format!("{options:?}").contains("secret"), "{options:?}");
}

#[test]
fn a_connection_goes_on_after_a_refusal_that_left_a_small_body_unread() {
    let service = Service::new();
    let refused = format!("PUT /api/kv/_/n/k HTTP/1.1\r\n{HOST}Content-Length: 11\r\n\r\n{{\"value\":1}}");
    let next = format!("GET /healthz HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n");

    let answers = service.raw(format!("{refused}{next}").as_bytes());

    assert!(answers.starts_with("HTTP/1.1 401") && answers.contains("HTTP/1.1 200"), "{answers}");
}

#[test]
fn a_refusal_that_left_a_large_body_unread_ends_the_connection() {
    let service = Service::new();

    let answer = service.raw(format!("PUT /api/kv/_/n/k HTTP/1.1\r\n{HOST}Content-Length: 1000000\r\n\r\n").as_bytes());

    assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
}

//! What a page, its visitors and other sites try at the listener for pages.

use crate::given::{Client, Service};
use crate::pages::path_of;

/// What a browser says of a request that a page's own script sends.
fn script(client: Client) -> Client {
    client.with("Sec-Fetch-Site", "same-origin").with("Sec-Fetch-Mode", "cors").with("Sec-Fetch-Dest", "empty")
}

/// The proof that stands in a page's text.
fn proof(service: &Service, page: &str) -> String {
    let shown = service.session(page).get(&format!("/p/{page}")).text;
    shown.split("data-proof=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a page has a proof").to_owned()
}

#[test]
fn a_forged_or_foreign_cookie_is_no_session() {
    let service = Service::new();
    let (id, other) = (service.page("authed"), service.page("authed"));
    let (own, stolen) = (service.cookie(&id), service.cookie(&other));
    let (name, value) = own.split_once('=').expect("a cookie has a value");
    let (expires, seal) = value.split_once('.').expect("a value has a seal");
    let later = expires.parse::<i64>().expect("an end is a number") + 1;
    let forged = [
        format!("{name}={later}.{seal}"),
        format!("{name}={expires}.{}", "0".repeat(64)),
        format!("{name}={expires}.{}", &seal[..63]),
        format!("{name}={expires}."),
        format!("{name}="),
        format!("{name}={value}{}", "0".repeat(5000)),
        format!("{name}={}", stolen.split_once('=').expect("a cookie has a value").1),
        format!("swarm_page_={value}"),
        format!("__Host-{name}={value}"),
        format!("x{name}={value}"),
        format!("{}={value}", name.to_uppercase()),
        "swarm_page_\u{e4}=1.2".to_owned(),
    ];

    for cookie in forged {
        let browser = service.browser().with("Cookie", &cookie);
        assert_eq!(browser.get("/@swarm/api/kv").status, 401, "{cookie}");
        assert_eq!(browser.get(&format!("/p/{id}")).status, 401, "{cookie}");
    }
    assert_eq!(service.browser().with("Cookie", &format!("{name}=junk; a; {own}")).get("/@swarm/api/kv").status, 200);
}

#[test]
fn the_key_of_the_api_opens_no_page_and_a_cookie_no_api() {
    let service = Service::new();
    let id = service.page("authed");
    let key = format!("Bearer {}", service.server.api_key());

    let operator = service.browser().with("Authorization", &key).with("X-Page-Id", &id).with("X-Agent-ID", "a");
    assert_eq!((operator.get("/@swarm/api/kv").status, operator.get(&format!("/p/{id}")).status), (401, 401));
    let cookie = service.anonymous().with("Cookie", &service.cookie(&id)).with("X-Swarm-Page", &id);
    for path in ["/api/kv/k", "/api/pages", "/api/namespaces", "/metrics"] {
        assert_eq!(cookie.get(path).status, 401, "{path}");
    }
}

#[test]
fn nothing_of_the_api_is_at_the_listener_for_pages_and_no_page_at_that_of_the_api() {
    let service = Service::new();
    let id = service.page("authed");
    let key = format!("Bearer {}", service.server.api_key());
    let operator = service.session(&id).with("Authorization", &key);
    let others =
        ["/", "/api/kv/k", "/api/pages", "/mcp", "/metrics", "/healthz", "/openapi.json", "/docs", "/p", "/@swarm"];

    for path in others {
        assert_eq!(operator.get(path).status, 404, "{path}");
    }
    for path in [
        "/@swarm/api/tokens",
        "/@swarm/api/pages",
        "/@swarm/api/namespaces",
        "/@swarm/api/snapshots",
        "/@swarm/api/agents",
    ] {
        assert_eq!((operator.get(path).status, operator.post(path, "{}").status), (404, 404), "{path}");
    }
    for path in [format!("/p/{id}"), "/@swarm/sdk.js".to_owned(), "/@swarm/api/kv/k".to_owned()] {
        assert_eq!(service.operator().get(&path).status, 404, "{path}");
    }
}

#[test]
fn tricks_in_a_path_lead_to_no_other_namespace_and_no_other_door() {
    let service = Service::new();
    let (id, other) = (service.page("authed"), service.page("authed"));
    service.session(&other).set("/@swarm/api/kv/k", "\"theirs\"");
    let cookie = service.cookie(&id);
    let address = service.server.pages_url().expect("pages are served").trim_start_matches("http://").to_owned();
    let tricks = [
        format!("/@swarm/api/kv/_/task:page:{other}/k"),
        format!("/@swarm/api/kv/_/task%3Apage%3A{other}/k"),
        format!("/@swarm/api/kv/../kv/_/task:page:{other}/k"),
        format!("/@swarm/api/kv/%2e%2e/_/task:page:{other}/k"),
        format!("/@swarm/api/../api/kv/_/task:page:{other}/k"),
        format!("/@swarm/../api/kv/_/task:page:{other}/k"),
        format!("/@swarm/api/kv//_/task:page:{other}/k"),
        format!("/@swarm/api//kv/_/task:page:{other}/k"),
        format!("/@swarm//api/kv/_/task:page:{other}/k"),
        format!("/@swarm/api/kv/_%2Ftask:page:{other}%2Fk"),
        format!("/%40swarm/api/kv/_/task:page:{other}/k"),
        "/@swarm/api/kv/../tokens".to_owned(),
        "/@swarm/api/kv/..%2ftokens".to_owned(),
        "/@swarm/api/kv/_/\u{1f}threads/k".replace('\u{1f}', "%1F"),
        "/p/../@swarm/api/kv/k".to_owned(),
        format!("/p/{id}/../{other}"),
        format!("/p/{other}?code={id}"),
        format!("/p/%2e%2e/{other}"),
        "/p/".to_owned(),
    ];

    for path in tricks {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
        let answer = service.raw_at(&address, head.as_bytes());
        let status = answer.split(' ').nth(1).unwrap_or("none");
        assert!(matches!(status, "400" | "403" | "404"), "{path}: {answer}");
        assert!(!answer.contains("theirs"), "{path}: {answer}");
    }
}

#[test]
fn of_several_cookies_a_header_chooses_and_without_one_none_counts() {
    let service = Service::new();
    let (a, b) = (service.page("authed"), service.page("authed"));
    let both = service.session(&a).with("Cookie", &service.cookie(&b));

    assert_eq!((both.get("/@swarm/api/kv").status, both.get("/@swarm/api/kv").code()), (400, "invalid"));
    for id in [&a, &b] {
        let chosen = both.clone().with("X-Swarm-Page", id);
        assert_eq!(chosen.set("/@swarm/api/kv/k", "1").body["namespace"], format!("task:page:{id}"));
    }
    assert_eq!(service.session(&a).with("X-Swarm-Page", &b).get("/@swarm/api/kv").status, 401);
    assert_eq!(both.with("X-Swarm-Page", &a).with("X-Swarm-Page", &b).get("/@swarm/api/kv").status, 400);
}

#[test]
fn a_script_without_the_proof_of_the_page_that_it_names_is_refused() {
    let service = Service::new();
    let (a, b) = (service.page("authed"), service.page("authed"));
    let (proof_of_a, proof_of_b) = (proof(&service, &a), proof(&service, &b));
    let both = script(service.session(&a).with("Cookie", &service.cookie(&b)));
    let status = |page: &str, proof: &str| {
        both.clone().with("X-Swarm-Page", page).with("X-Swarm-Proof", proof).get("/@swarm/api/kv").status
    };

    assert_eq!((status(&a, &proof_of_a), status(&b, &proof_of_b)), (200, 200));
    assert_eq!((status(&b, &proof_of_a), status(&a, &proof_of_b), status(&b, "")), (401, 401, 401));
    assert_eq!(script(service.session(&a)).get("/@swarm/api/kv").status, 401);
}

#[test]
fn a_page_goes_to_a_tab_and_never_to_a_script_or_a_frame() {
    let service = Service::new();
    let id = service.page("authed");
    let path = format!("/p/{id}");

    for dest in ["empty", "iframe", "frame", "object", "embed", "script", "image"] {
        let shown = service.session(&id).with("Sec-Fetch-Dest", dest).get(&path);
        assert_eq!((shown.status, shown.text.contains("data-proof")), (403, false), "{dest}");
    }
    let launched = service.operator().post(&format!("/api/pages/{id}/launch"), "");
    assert_eq!(service.browser().with("Sec-Fetch-Dest", "empty").get(&path_of(&launched)).status, 403);
    assert_eq!(service.browser().with("Sec-Fetch-Dest", "document").get(&path_of(&launched)).status, 303);
}

#[test]
fn a_write_from_elsewhere_is_refused() {
    let service = Service::new();
    let id = service.page("authed");
    let own = service.server.pages_url().expect("pages are served").to_owned();
    let browser = || service.browser().with("Cookie", &service.cookie(&id));
    let api = service.server.url();

    assert_eq!(browser().set("/@swarm/api/kv/k", "1").status, 403);
    for origin in
        ["null", "https://evil.example", &api, &format!("{own}.evil.example"), &own.replace("http:", "https:"), ""]
    {
        assert_eq!(browser().with("Origin", origin).set("/@swarm/api/kv/k", "1").status, 403, "{origin}");
        let as_own = browser().with("Origin", origin).with("Sec-Fetch-Site", "same-origin");
        assert_eq!(as_own.delete("/@swarm/api/kv/k").status, 403, "{origin}");
    }
    for site in ["cross-site", "same-site", "none", "x"] {
        let foreign = browser().with("Origin", &own).with("Sec-Fetch-Site", site);
        assert_eq!(
            (foreign.set("/@swarm/api/kv/k", "1").status, foreign.get("/@swarm/api/kv").status),
            (403, 403),
            "{site}"
        );
    }
    assert_eq!(browser().with("Origin", &own).set("/@swarm/api/kv/k", "1").status, 200);
    assert_eq!(browser().with("Sec-Fetch-Site", "same-origin").post("/@swarm/api/kv/k2/incr", "").status, 200);
}

#[test]
fn no_other_origin_is_let_in_by_cors() {
    let service = Service::new();
    let id = service.page("authed");
    let foreign = service.session(&id).with("Access-Control-Request-Method", "PUT");

    for path in ["/@swarm/api/kv/k", "/@swarm/api/kv", &format!("/p/{id}")] {
        let asked = foreign.send("OPTIONS", path, "");
        assert_eq!((asked.status, asked.header("access-control-allow-origin")), (405, None), "{path}");
    }
}

#[test]
fn a_password_is_guessed_five_times_a_minute_at_most() {
    let service = Service::new();
    let (id, other) = (service.page("password"), service.page("password"));
    let own = service.server.pages_url().expect("pages are served").to_owned();
    let form = "application/x-www-form-urlencoded";
    let guess = |page: &str, password: &str| {
        let browser = service.browser().with("Origin", &own).with("Content-Type", form);
        browser.post(&format!("/p/{page}"), &format!("password={password}"))
    };

    for try_ in 0..5 {
        assert_eq!(guess(&id, &format!("guess{try_}")).status, 403);
    }
    let sixth = guess(&id, "open+sesame");
    assert_eq!((sixth.status, sixth.header("set-cookie")), (429, None));
    assert!(sixth.header("retry-after").is_some());
    assert_eq!(guess(&other, "open+sesame").status, 303);
    service.clock.advance(std::time::Duration::from_secs(12));
    assert_eq!((guess(&id, "open+sesame").status, guess(&id, "open+sesame").status), (303, 429));
}

#[test]
fn a_password_is_taken_from_the_form_of_this_origin_alone() {
    let service = Service::new();
    let id = service.page("password");
    let own = service.server.pages_url().expect("pages are served").to_owned();
    let path = format!("/p/{id}");
    let send = |browser: Client| browser.post(&path, "password=open+sesame").status;

    assert_eq!(send(service.browser()), 403);
    assert_eq!(send(service.browser().with("Origin", "https://evil.example")), 403);
    assert_eq!(send(script(service.browser().with("Origin", &own))), 403);
    assert_eq!(service.browser().with("Origin", &own).post(&path, &"x".repeat(9000)).status, 413);
    assert_eq!(
        service.browser().with("Origin", &own).post(&format!("/p/{}", service.page("authed")), "password=").status,
        405
    );
    assert_eq!(send(service.browser().with("Origin", &own)), 303);
}

#[test]
fn a_page_asks_fifty_times_a_second_at_most() {
    let service = Service::new();
    let (id, other) = (service.page("authed"), service.page("authed"));
    let session = service.session(&id);

    for _ in 0..50 {
        assert_eq!(session.get("/@swarm/api/kv").status, 200);
    }
    assert_eq!(
        (session.get("/@swarm/api/kv").status, session.get("/@swarm/api/kv").code()),
        (429, "too_many_requests")
    );
    assert_eq!(service.session(&other).get("/@swarm/api/kv").status, 200);
}

#[test]
fn every_text_keeps_its_scripts_to_this_origin_and_out_of_frames() {
    let service = Service::new();
    let (public, password) = (service.page("public"), service.page("password"));

    for path in [format!("/p/{public}"), format!("/p/{password}"), "/p/none".to_owned()] {
        let shown = service.browser().get(&path);
        let policy = shown.header("content-security-policy").unwrap_or("");
        assert!(
            policy.starts_with("default-src 'none'") && policy.ends_with("frame-ancestors 'none'"),
            "{path} {policy}"
        );
        assert!(!policy.contains("http") && !policy.contains("unsafe-eval"), "{path} {policy}");
        assert_eq!(shown.header("cross-origin-opener-policy"), Some("noopener-allow-popups"), "{path}");
        assert_eq!(shown.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(shown.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
}

#[test]
fn another_name_of_the_listener_is_misdirected() {
    let service =
        Service::with("memory", |options| options.pages_url = Some("http://pages.example.org:8485".to_owned()));
    let id = service.page("public");
    let address = service.server.pages_address().expect("pages are served").to_string();
    let status = |host: &str| {
        let head = format!("GET /p/{id} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        service.raw_at(&address, head.as_bytes()).split(' ').nth(1).unwrap_or("none").to_owned()
    };

    assert_eq!((&*status("pages.example.org:8485"), &*status("127.0.0.1")), ("200", "200"));
    assert_eq!((&*status("evil.example"), &*status("api.example.org")), ("421", "421"));
}

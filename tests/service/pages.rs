//! Pages over HTTP: who makes them, who sees them, and what a page's session may do.

use serde_json::json;

use crate::given::{Answer, Client, ENGINES, START, Service};
use crate::watch::watch;

impl Service {
    /// Makes a page, and returns its id.
    pub(crate) fn page(&self, mode: &str) -> String {
        let password = if mode == "password" { json!("open sesame") } else { json!(null) };
        let mut page = json!({"html": "<h1>hi</h1>", "title": "Votes", "authMode": mode, "password": password});
        page.as_object_mut().expect("a page is an object").retain(|_, value| !value.is_null());
        let made = self.agent("maker").post("/api/pages", &page.to_string());
        made.body["id"].as_str().expect("a page has an id").to_owned()
    }

    /// A client of the listener for pages.
    pub(crate) fn browser(&self) -> Client {
        self.anonymous().at(self.server.pages_url().expect("pages are served"))
    }

    /// The cookie of a page's session.
    pub(crate) fn cookie(&self, page: &str) -> String {
        cookie_of(&self.operator().post(&format!("/api/pages/{page}/launch"), ""))
    }

    /// A client with a session of a page, which is no browser.
    pub(crate) fn session(&self, page: &str) -> Client {
        let own = self.server.pages_url().expect("pages are served").to_owned();
        self.browser().with("Cookie", &self.cookie(page)).with("Origin", &own)
    }
}

pub(crate) fn cookie_of(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie").expect("a session begins with a cookie");
    cookie.split(';').next().unwrap_or_default().to_owned()
}

/// The path of a launch's URL, with its code.
pub(crate) fn path_of(launched: &Answer) -> String {
    let url = launched.body["url"].as_str().expect("a launch has a URL");
    url[url.find("/p/").expect("the URL is of a page")..].to_owned()
}

#[test]
fn an_agent_makes_pages_sees_its_own_and_removes_them() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let maker = service.token("maker", &["read", "write"]);

        let made = maker.post("/api/pages", r#"{"html":"<p>","title":"Votes","authMode":"authed"}"#);
        let id = made.body["id"].as_str().expect("a page has an id").to_owned();
        let listed = maker.get("/api/pages");

        assert_eq!((made.status, id.len()), (201, 32), "{engine}");
        let url = format!("{}/p/{id}", service.server.pages_url().expect("pages are served"));
        let page = json!({"id": id, "title": "Votes", "authMode": "authed", "agentId": "maker", "createdAt": START, "url": url});
        assert_eq!(listed.body, json!({"pages": [page], "nextCursor": null}), "{engine}");
        assert_eq!(
            service.token("other", &["read"]).get("/api/pages").body,
            json!({"pages": [], "nextCursor": null}),
            "{engine}"
        );
        assert_eq!(maker.delete(&format!("/api/pages/{id}")).status, 204, "{engine}");
        assert_eq!(maker.delete(&format!("/api/pages/{id}")).status, 404, "{engine}");
        assert_eq!(service.operator().get("/api/pages").body, json!({"pages": [], "nextCursor": null}), "{engine}");
    }
}

#[test]
fn only_who_made_a_page_leads_and_admins_launch_and_remove_it() {
    let service = Service::new();
    service.operator().post("/api/agents", r#"{"id":"boss","lead":true}"#);
    let id = service.page("authed");
    let launch = format!("/api/pages/{id}/launch");

    let other = service.token("other", &["read", "write"]);
    assert_eq!([other.post(&launch, "").status, other.delete(&format!("/api/pages/{id}")).status], [403, 403]);
    assert_eq!(service.token("maker", &["read"]).post(&launch, "").status, 403);
    for may in [service.token("maker", &["write"]), service.token("boss", &["write"]), service.token("x", &["admin"])] {
        assert_eq!(may.post(&launch, "").status, 200);
    }
    assert_eq!(service.token("boss", &["write"]).delete(&format!("/api/pages/{id}")).status, 204);
}

#[test]
fn what_is_wrong_makes_no_page() {
    let service = Service::new();
    let long = format!(r#"{{"html":"","authMode":"public","title":"{}"}}"#, "x".repeat(513));
    let wrong = [
        "{}",
        r#"{"html":"x"}"#,
        r#"{"html":1,"authMode":"public"}"#,
        r#"{"html":"x","authMode":"open"}"#,
        r#"{"html":"x","authMode":"password"}"#,
        r#"{"html":"x","authMode":"password","password":""}"#,
        r#"{"html":"x","authMode":"authed","password":"p"}"#,
        &long,
    ];

    for body in wrong {
        assert_eq!(service.operator().post("/api/pages", body).status, 400, "{body}");
    }
    let huge = json!({"html": "x".repeat((2 << 20) + 1), "authMode": "public"}).to_string();
    assert_eq!(service.operator().post("/api/pages", &huge).status, 413);
    assert_eq!(service.operator().get("/api/pages").body, json!({"pages": [], "nextCursor": null}));
}

#[test]
fn a_page_of_two_mebibytes_is_served_whole() {
    let service = Service::on("sqlite");
    let html = "x".repeat(2 << 20);
    let made = service.operator().post("/api/pages", &json!({"html": html, "authMode": "public"}).to_string());

    let shown = service.browser().get(&format!("/p/{}", made.body["id"].as_str().expect("a page has an id")));

    assert_eq!((made.status, shown.status), (201, 200));
    assert!(shown.text.ends_with(&html));
}

#[test]
fn a_code_lets_one_browser_in_once_within_a_minute() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let id = service.page("authed");
        let launch = format!("/api/pages/{id}/launch");
        let (first, late) = (service.operator().post(&launch, ""), service.operator().post(&launch, ""));

        let entered = service.browser().get(&path_of(&first));
        let again = service.browser().get(&path_of(&first));
        let shown = service.browser().with("Cookie", &cookie_of(&entered)).get(&format!("/p/{id}"));
        service.clock.advance(std::time::Duration::from_secs(60));

        assert_eq!((entered.status, entered.header("location")), (303, Some(&*format!("/p/{id}"))), "{engine}");
        assert_eq!((again.status, again.header("set-cookie")), (403, None), "{engine}");
        assert_eq!(shown.status, 200, "{engine}");
        assert!(shown.text.contains("/@swarm/sdk.js") && shown.text.ends_with("<h1>hi</h1>"), "{}", shown.text);
        assert_eq!(service.browser().get(&path_of(&late)).status, 403, "{engine}");
    }
}

#[test]
fn who_only_looks_uses_no_code_up() {
    let service = Service::new();
    let id = service.page("authed");
    let path = path_of(&service.operator().post(&format!("/api/pages/{id}/launch"), ""));

    assert_eq!(service.browser().send("HEAD", &path, "").status, 401);
    assert_eq!(service.browser().get(&path).status, 303);
}

#[test]
fn a_session_ends_after_an_hour_and_with_its_page() {
    let service = Service::new();
    let (id, other) = (service.page("authed"), service.page("authed"));
    let (session, gone) = (service.session(&id), service.session(&other));
    assert_eq!(session.set("/@swarm/api/kv/k", "1").status, 200);
    assert_eq!(gone.set("/@swarm/api/kv/k", "1").status, 200);

    service.operator().delete(&format!("/api/pages/{other}"));
    assert_eq!((gone.get("/@swarm/api/kv/k").status, gone.get(&format!("/p/{other}")).status), (401, 404));
    service.clock.advance(std::time::Duration::from_secs(3599));
    assert_eq!(session.get("/@swarm/api/kv/k").status, 200);
    service.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!((session.get("/@swarm/api/kv/k").status, session.get(&format!("/p/{id}")).status), (401, 401));
}

#[test]
fn a_page_that_goes_takes_along_what_it_remembered() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let (id, other) = (service.page("authed"), service.page("authed"));
        service.session(&id).set("/@swarm/api/kv/k", "1");
        service.session(&other).set("/@swarm/api/kv/k", "2");

        service.operator().delete(&format!("/api/pages/{id}"));

        assert_eq!(service.operator().get(&format!("/api/kv/_/task:page:{id}/k")).status, 404, "{engine}");
        assert_eq!(service.operator().get(&format!("/api/kv/_/task:page:{other}/k")).value(), 2, "{engine}");
    }
}

#[test]
fn a_session_has_every_operation_on_keys_in_the_namespace_of_its_page() {
    let service = Service::new();
    let id = service.page("authed");
    let session = service.session(&id);
    let namespace = format!("task:page:{id}");

    let put = session.put("/@swarm/api/kv/a/b", r#"{"value":"x","valueType":"string","expiresInSec":5}"#);
    let counted = session.post("/@swarm/api/kv/_/task:page:other/clicks/incr", r#"{"by":2}"#);
    let claimed = session.post("/@swarm/api/kv/turn/claim", r#"{"seconds":5}"#);
    let batch = session.post("/@swarm/api/kv/_/page", r#"{"operations":[{"op":"incr","key":"clicks"}]}"#);
    let stale = session.clone().with("If-Match", "\"1\"").set("/@swarm/api/kv/clicks", "0");

    assert_eq!(put.body["namespace"], namespace);
    assert_eq!((counted.value(), &counted.body["namespace"]), (&json!(2), &json!(namespace)));
    assert_eq!(claimed.body["claimed"], true);
    assert_eq!(batch.body["entries"][0]["value"], 3);
    assert_eq!((stale.status, stale.code()), (412, "conflict"));
    assert_eq!(session.get("/@swarm/api/kv").keys(), ["a/b", "clicks", "turn"]);
    assert_eq!(session.get("/@swarm/api/kv?prefix=cl").keys(), ["clicks"]);
    assert_eq!(session.delete("/@swarm/api/kv/turn").status, 204);
    assert_eq!(service.operator().get("/api/namespaces").body["namespaces"], json!([namespace]));
}

#[test]
fn no_agent_writes_where_a_page_remembers_and_everyone_reads_it() {
    let service = Service::new();
    service.operator().post("/api/agents", r#"{"id":"boss","lead":true}"#);
    let id = service.page("authed");
    service.session(&id).set("/@swarm/api/kv/k", "1");
    let path = format!("/api/kv/_/task:page:{id}/k");

    for client in [service.operator(), service.agent("boss"), service.token("maker", &["read", "write", "admin"])] {
        assert_eq!(client.clone().with("X-Page-Id", &id).set(&path, "2").status, 403);
        assert_eq!(client.get(&path).value(), 1);
    }
}

#[test]
fn a_public_page_is_shown_to_everyone_and_has_no_session() {
    let service = Service::new();
    let id = service.page("public");
    let launched = service.operator().post(&format!("/api/pages/{id}/launch"), "");

    let shown = service.browser().get(&format!("/p/{id}"));

    assert_eq!((launched.status, launched.header("set-cookie")), (200, None));
    assert!(path_of(&launched).ends_with(&id));
    assert_eq!((shown.status, shown.header("set-cookie")), (200, None));
    assert!(!shown.text.contains("data-proof"), "{}", shown.text);
    assert_eq!(service.browser().get("/@swarm/api/kv/k").status, 401);
}

#[test]
fn a_password_lets_in_and_is_kept_and_shown_nowhere() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let id = service.page("password");
        let own = service.server.pages_url().expect("pages are served").to_owned();
        let typed = service.browser().with("Origin", &own).with("Content-Type", "application/x-www-form-urlencoded");

        let form = service.browser().get(&format!("/p/{id}"));
        let wrong = typed.post(&format!("/p/{id}"), "password=close+sesame");
        let right = typed.post(&format!("/p/{id}"), "password=open+sesame");
        let shown = service.browser().with("Cookie", &cookie_of(&right)).get(&format!("/p/{id}"));

        assert_eq!((form.status, form.text.contains("<h1>Votes</h1>")), (401, true), "{}", form.text);
        assert!(!form.text.contains("<h1>hi</h1>"), "{engine}");
        assert_eq!((wrong.status, wrong.header("set-cookie")), (403, None), "{engine}");
        assert_eq!((right.status, shown.status), (303, 200), "{engine}");
        assert!(!service.operator().get("/api/pages").text.contains("argon2"), "{engine}");
    }
}

#[test]
fn the_cookie_is_for_this_host_and_its_server_alone_and_over_tls_says_so() {
    let plain = Service::new();
    let tls = Service::with("memory", |options| options.pages_url = Some("https://pages.example.org/".to_owned()));
    let cookie = |service: &Service| {
        let launched = service.operator().post(&format!("/api/pages/{}/launch", service.page("authed")), "");
        (launched.header("set-cookie").expect("a cookie is given").to_owned(), path_of(&launched), launched)
    };

    let ((plain, ..), (secure, _, launched)) = (cookie(&plain), cookie(&tls));

    assert!(
        plain.starts_with("swarm_page_") && plain.ends_with("; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"),
        "{plain}"
    );
    assert!(secure.starts_with("__Host-swarm_page_") && secure.ends_with("; SameSite=Lax; Secure"), "{secure}");
    assert!(launched.body["url"].as_str().is_some_and(|url| url.starts_with("https://pages.example.org/p/")));
}

#[test]
fn a_server_without_a_listener_for_pages_makes_none() {
    let service = Service::with("memory", |options| options.pages_port = None);

    let made = service.operator().post("/api/pages", r#"{"html":"","authMode":"public"}"#);

    assert_eq!((made.status, made.code(), service.server.pages_url()), (501, "unsupported", None));
}

#[test]
fn two_servers_on_one_registry_take_each_others_sessions() {
    let service = Service::on("redis");
    let id = service.page("authed");
    let second = service.beside();

    let there = service.anonymous().at(second.pages_url().expect("pages are served"));
    let session = there.with("Cookie", &service.cookie(&id));

    assert_eq!(session.get("/@swarm/api/kv").status, 200);
    service.operator().delete(&format!("/api/pages/{id}"));
    assert_eq!(session.get("/@swarm/api/kv").status, 401);
}

#[test]
fn requests_of_pages_are_counted() {
    let service = Service::new();
    let id = service.page("public");
    service.browser().get(&format!("/p/{id}"));
    service.browser().get("/@swarm/sdk.js");
    service.browser().get("/@swarm/api/kv/secret");

    let counted = service.operator().get("/metrics").text;

    for line in
        ["page\",status=\"200\"} 1", "sdk\",status=\"200\"} 1", "get\",status=\"401\"} 1", "pages\",status=\"201\"} 1"]
    {
        assert!(counted.contains(&format!("{{operation=\"{line}")), "{line}: {counted}");
    }
    assert!(!counted.contains(&id) && !counted.contains("secret"), "{counted}");
}

#[test]
fn a_session_watches_its_own_keys_until_it_ends() {
    let service = Service::new();
    let (id, other) = (service.page("authed"), service.page("authed"));
    let session = service.session(&id);
    let mut watch = watch(&session, "/@swarm/api/kv/_/task:page:other?watch=true&prefix=v");

    service.session(&other).set("/@swarm/api/kv/v1", "1");
    session.set("/@swarm/api/kv/v2", "2");
    session.set("/@swarm/api/kv/w", "3");
    session.delete("/@swarm/api/kv/v2");
    let told = watch.changes(2);
    service.clock.advance(std::time::Duration::from_secs(3600));

    let told: Vec<_> = told.iter().map(|(name, key, _)| (&**name, &**key)).collect();
    assert_eq!(told, [("set", "v2"), ("delete", "v2")]);
    assert_eq!(watch.next(), None);
}

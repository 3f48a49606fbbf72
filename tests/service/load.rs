//! Many at once, and the end of a server.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use swarmstate::service::{ServeOptions, Server};
use swarmstate::{Error, Memory, StoreExt};

use crate::given::{ENGINES, Service};

#[test]
fn no_increment_is_lost_however_many_count() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let client = service.operator();

        thread::scope(|scope| {
            for worker in 0..16 {
                let (client, service) = (client.clone(), &service);
                scope.spawn(move || {
                    for _ in 0..25 {
                        match worker % 4 {
                            0 => assert!(service.store.increment("n", "k", 1).is_ok()),
                            _ => assert_eq!(client.post("/api/kv/_/n/k/incr", "").status, 200),
                        }
                    }
                });
            }
        });

        assert_eq!(client.get("/api/kv/_/n/k").value(), 400, "{engine}");
    }
}

#[test]
fn counting_near_the_limit_stops_exactly_there() {
    let service = Service::new();
    let client = service.operator();
    client.put("/api/kv/_/n/k", r#"{"value":9007199254740951,"valueType":"integer"}"#);

    let taken: usize = thread::scope(|scope| {
        let count = || (0..20).filter(|_| client.post("/api/kv/_/n/k/incr", "").status == 200).count();
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker ends")).sum()
    });

    assert_eq!(taken, 40);
    assert_eq!(client.get("/api/kv/_/n/k").value(), 9_007_199_254_740_991_i64);
}

#[test]
fn one_of_many_claims() {
    for engine in ENGINES {
        let service = Service::on(engine);
        let client = service.operator();
        let claim = || client.post("/api/kv/_/jobs/k/claim", r#"{"seconds":60}"#).body["claimed"] == true;

        let claims = thread::scope(|scope| {
            let workers: Vec<_> = (0..8).map(|_| scope.spawn(claim)).collect();
            workers.into_iter().filter_map(|worker| worker.join().ok()).filter(|claimed| *claimed).count()
        });

        assert_eq!(claims, 1, "{engine}");
    }
}

#[test]
fn a_server_that_stopped_listens_no_more_and_leaves_the_store_open() {
    let service = Service::new();
    let address = service.server.address();

    service.server.stop();
    service.server.stop();

    assert!(std::net::TcpStream::connect(address).is_err());
    assert_eq!(service.store.increment("n", "k", 1), Ok(1));
}

#[test]
fn a_port_in_use_is_told_with_what_to_do() {
    let service = Service::new();
    let options = ServeOptions { port: service.server.address().port(), ..ServeOptions::default() };

    let refused = Server::start(Arc::new(Memory::new()), Arc::new(Memory::new()), options).err();

    assert!(matches!(&refused, Some(Error::Invalid { what }) if what.contains("--port")), "{refused:?}");
}

#[test]
fn a_public_name_is_served_and_no_other() {
    let options = ServeOptions { public_url: Some("https://kv.example.org/x".to_owned()), ..ServeOptions::default() };
    let server = Server::start(Arc::new(Memory::new()), Arc::new(Memory::new()), options).expect("there is a port");
    let status = |host: &str| {
        let response = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        response
            .get(format!("{}/healthz", server.url()))
            .header("Host", host)
            .call()
            .map(|response| response.status().as_u16())
    };

    assert_eq!(status("kv.example.org").ok(), Some(200));
    assert_eq!(status("KV.example.org:443").ok(), Some(200));
    assert_eq!(status("kv.example.com").ok(), Some(421));
}

#[test]
fn each_caller_asks_so_often_and_the_others_are_not_held_up() {
    let service = Service::with("memory", |options| options.rate_limit = NonZeroU32::new(3));
    let (operator, bob) = (service.operator(), service.token("bob", &["read"]));

    let asked: Vec<_> = (0..3).map(|_| operator.get("/api/kv/_/n")).collect();
    let other = bob.get("/api/kv/_/n").status;
    service.clock.advance(Duration::from_millis(400));
    let later = [(); 2].map(|()| operator.get("/api/kv/_/n").status);

    // Making the token was the first of three.
    assert_eq!(asked.iter().map(|answer| answer.status).collect::<Vec<_>>(), [200, 200, 429]);
    assert_eq!((asked[2].code(), asked[2].header("retry-after")), ("too_many_requests", Some("1")));
    assert_eq!((other, later), (200, [200, 429]));
}

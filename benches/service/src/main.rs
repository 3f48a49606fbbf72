//! What the service is measured against: one axum route that checks the bearer as the service does, and answers an entry as long
//! as the service's, with the same headers, out of nothing.
//!
//! `bare-route KEY` listens on a free port of this machine, and prints it.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const ENTRY: &str = r#"{"namespace":"bench","key":"small-0","value":{"n":42,"state":"ready"},"valueType":"json","revision":1700000000000001,"expiresAt":null,"createdAt":1700000000000,"updatedAt":1700000000000}"#;

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

async fn answer(State(key): State<Arc<[u8; 32]>>, headers: HeaderMap) -> Response {
    let given = headers.get(header::AUTHORIZATION).and_then(|given| given.to_str().ok()?.strip_prefix("Bearer "));
    match given.is_some_and(|given| digest(given).ct_eq(&*key).into()) {
        true => (
            [
                (header::CONTENT_TYPE, "application/json"),
                (header::ETAG, "\"1700000000000001\""),
                (header::CACHE_CONTROL, "private, no-cache"),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ],
            ENTRY,
        )
            .into_response(),
        false => StatusCode::UNAUTHORIZED.into_response(),
    }
}

fn main() -> std::io::Result<()> {
    let key = std::env::args().nth(1).expect("give the key");
    let router = Router::new()
        .route("/api/kv/_/{namespace}/{key}", get(answer))
        .with_state(Arc::new(digest(&key)));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("{}", listener.local_addr()?.port());
        axum::serve(listener, router).await
    })
}

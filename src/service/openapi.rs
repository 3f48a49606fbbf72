//! The OpenAPI 3.1 document and the page `/docs`, both made from the table of operations.

use std::fmt::Write;
use std::sync::LazyLock;

use axum::http::Method;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ArrayBuilder, Components, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Info, OpenApiBuilder, Paths, Ref, RefOr, Required, ResponseBuilder};

use super::context::MAX_NAME;
use super::members::MAX_SAFE_INTEGER;
use super::operations::{Described, all};
use super::ops::MAX_BATCH;
use super::pages::MAX_TITLE;
use super::password::MAX_PASSWORD;

/// The document as JSON.
pub(super) static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let mut paths = Paths::new();
    for described in all() {
        paths.add_path_operation(described.path, vec![method(&described.method)], operation(&described));
    }
    let mut components = schemas();
    components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    let document = OpenApiBuilder::new()
        .info(Info::new("swarmstate", env!("CARGO_PKG_VERSION")))
        .paths(paths)
        .components(Some(components))
        .security(Some([SecurityRequirement::new("bearer", [""; 0])]))
        .build();
    document.to_json().expect("a document of texts is JSON")
});

/// The page as HTML.
pub(super) static PAGE: LazyLock<String> = LazyLock::new(|| {
    let mut rows = String::new();
    for Described { method, path, summary, more, takes, .. } in all() {
        let _ = write!(rows, "<tr><td>{method}<td><code>{path}</code><td>{summary}. {more}<td>{}", takes.join(", "));
    }
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>swarmstate</title><style>body{{font:16px/1.5 \
         system-ui;margin:2rem auto;max-width:70rem;padding:0 1rem}}td,th{{padding:.3rem .8rem;text-align:left;\
         border-bottom:1px solid #ccc}}table{{border-collapse:collapse}}</style><h1>swarmstate {}</h1><p>Every request \
         carries <code>Authorization: Bearer</code> with the operator's key or a token. All of it for programs: <a \
         href=/openapi.json>/openapi.json</a>.<table><tr><th>Method<th>Path<th>What it does<th>Headers and \
         query{rows}</table></html>",
        env!("CARGO_PKG_VERSION")
    )
});

/// Refusals that every request has.
const ALWAYS: [u16; 7] = [400, 401, 403, 421, 429, 500, 503];

fn method(method: &Method) -> HttpMethod {
    match *method {
        Method::PUT => HttpMethod::Put,
        Method::POST => HttpMethod::Post,
        Method::DELETE => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

fn operation(described: &Described) -> OperationBuilder {
    let mut operation = OperationBuilder::new().operation_id(Some(described.id)).summary(Some(described.summary));
    if !described.more.is_empty() {
        operation = operation.description(Some(described.more));
    }
    for part in described.path.split(['{', '}']).skip(1).step_by(2) {
        operation = operation.parameter(path_parameter(part, described.path));
    }
    for name in &described.takes {
        operation = operation.parameter(parameter(name));
    }
    if let Some((schema, is_required)) = described.body {
        let required = if is_required { Required::True } else { Required::False };
        let body = RequestBodyBuilder::new().required(Some(required));
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema)));
        operation = operation.request_body(Some(body.content("application/json", content.build()).build()));
    }
    let mut success = ResponseBuilder::new().description("Done");
    if let Some(schema) = described.answer {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema)));
        success = success.content("application/json", content.build());
    }
    if !described.more.is_empty() {
        let content = ContentBuilder::new().schema(Some(Schema::from(text())));
        success = success.content("text/event-stream", content.build());
    }
    operation = operation.response(described.status.to_string(), success.build());
    for status in ALWAYS.iter().chain(described.refusals) {
        operation = operation.response(status.to_string(), refusal(*status));
    }
    operation
}

fn refusal(status: u16) -> utoipa::openapi::Response {
    if status == 304 {
        return ResponseBuilder::new().description("The client has this entry").build();
    }
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem")));
    ResponseBuilder::new().description("Refused").content("application/problem+json", content.build()).build()
}

fn path_parameter(name: &str, path: &str) -> Parameter {
    let schema: Schema = match name {
        "id" if path.contains("snapshots") => integer(0, i64::MAX).into(),
        "id" => pattern("^[a-zA-Z0-9._/-]+$").into(),
        _ => pattern("^[a-zA-Z0-9._:/-]+$").into(),
    };
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True);
    parameter.schema(Some(schema)).build()
}

fn pattern(pattern: &str) -> ObjectBuilder {
    text().pattern(Some(pattern)).min_length(Some(1)).max_length(Some(MAX_NAME))
}

/// A header or a parameter of the query.
fn parameter(name: &str) -> Parameter {
    let (place, schema) = match name {
        "prefix" | "cursor" => (ParameterIn::Query, text()),
        "limit" => (ParameterIn::Query, integer(1, 1000)),
        "offset" | "snapshot" => (ParameterIn::Query, integer(0, i64::MAX)),
        "base" => (ParameterIn::Query, text().pattern(Some("^([0-9]+|now)$"))),
        "namespace" | "key" | "thread" | "checkpoint" | "graph" => (ParameterIn::Query, text()),
        "keysOnly" => (ParameterIn::Query, ObjectBuilder::new().schema_type(Type::Boolean)),
        "If-Match" => (ParameterIn::Header, text().pattern(Some(r#"^(\*|"[0-9]+"(, "[0-9]+")*)$"#))),
        "If-None-Match" => (ParameterIn::Header, text().pattern(Some(r"^\*$"))),
        _ => (ParameterIn::Header, pattern("^[a-zA-Z0-9._/-]+$")),
    };
    let is_required = matches!(name, "base" | "namespace" | "key" | "thread" | "checkpoint");
    let required = if is_required { Required::True } else { Required::False };
    let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(required);
    parameter.schema(Some(Schema::from(schema))).build()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn flag() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Boolean)
}

fn integer(least: i64, most: i64) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least)).maximum(Some(most))
}

fn any() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue)
}

fn nullable(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([kind, Type::Null]))
}

fn list(items: impl Into<RefOr<Schema>>) -> ArrayBuilder {
    ArrayBuilder::new().items(items.into())
}

fn of(name: &str) -> RefOr<Schema> {
    Ref::from_schema_name(name).into()
}

/// An object of which all members but the optional ones are there.
fn object<const N: usize>(members: [(&str, RefOr<Schema>); N], optional: &[&str]) -> ObjectBuilder {
    members.into_iter().fold(ObjectBuilder::new(), |object, (name, schema)| {
        let object = object.property(name, schema);
        if optional.contains(&name) { object } else { object.required(name) }
    })
}

fn schema(schema: impl Into<Schema>) -> RefOr<Schema> {
    RefOr::T(schema.into())
}

fn schemas() -> Components {
    let components = Components::builder()
        .schema("Entry", entry())
        .schema("Problem", problem())
        .schema(
            "Put",
            object(
                [("value", schema(any())), ("valueType", value_type()), ("expiresInSec", seconds())],
                &["valueType", "expiresInSec"],
            ),
        )
        .schema("Increment", object([("by", schema(safe()))], &["by"]))
        .schema(
            "Claim",
            object(
                [("seconds", seconds()), ("value", schema(any())), ("valueType", value_type())],
                &["value", "valueType"],
            ),
        )
        .schema("Claimed", object([("claimed", schema(flag())), ("entry", of("Entry"))], &[]))
        .schema("Listed", object([("namespace", schema(text())), ("key", schema(text()))], &[]))
        .schema(
            "Page",
            object(
                [
                    ("entries", schema(list(of("Listed")))),
                    ("total", schema(nullable(Type::Integer))),
                    ("namespace", schema(text())),
                    ("nextCursor", schema(nullable(Type::String))),
                ],
                &[],
            ),
        )
        .schema(
            "Namespaces",
            object([("namespaces", schema(list(schema(text())))), ("nextCursor", schema(nullable(Type::String)))], &[]),
        )
        .schema("Step", step())
        .schema(
            "Batch",
            object([("operations", schema(list(of("Step")).min_items(Some(1)).max_items(Some(MAX_BATCH))))], &[]),
        )
        .schema("Batched", object([("entries", schema(list(schema(any())))), ("namespace", schema(text()))], &[]));
    inspection_schemas(snapshot_schemas(page_schemas(registry_schemas(components)))).build()
}

fn registry_schemas(
    components: utoipa::openapi::schema::ComponentsBuilder,
) -> utoipa::openapi::schema::ComponentsBuilder {
    let id = || schema(pattern("^[a-zA-Z0-9._/-]+$"));
    let scopes = || schema(list(schema(text().enum_values(Some(["read", "write", "admin"])))).min_items(Some(1)));
    let rows = |name, row| object([(name, schema(list(of(row)))), ("nextCursor", schema(nullable(Type::String)))], &[]);
    components
        .schema(
            "Agent",
            object(
                [("id", id()), ("lead", schema(flag())), ("capabilities", schema(any()))],
                &["lead", "capabilities"],
            ),
        )
        .schema("Agents", rows("agents", "Agent"))
        .schema(
            "NewTask",
            object(
                [("id", id()), ("contextKey", schema(pattern("^[a-zA-Z0-9._:/-]+$"))), ("agentId", id())],
                &["id", "contextKey", "agentId"],
            ),
        )
        .schema(
            "Task",
            object(
                [
                    ("id", id()),
                    ("contextKey", schema(nullable(Type::String))),
                    ("agentId", schema(nullable(Type::String))),
                ],
                &[],
            ),
        )
        .schema("Tasks", rows("tasks", "Task"))
        .schema(
            "NewToken",
            object([("agentId", id()), ("scopes", scopes()), ("expiresInSec", seconds())], &["expiresInSec"]),
        )
        .schema(
            "Token",
            object(
                [
                    ("id", id()),
                    ("agentId", id()),
                    ("scopes", scopes()),
                    ("expiresAt", schema(nullable(Type::Integer))),
                    ("token", schema(text())),
                ],
                &["token"],
            ),
        )
        .schema("Tokens", rows("tokens", "Token"))
}

fn page_schemas(components: utoipa::openapi::schema::ComponentsBuilder) -> utoipa::openapi::schema::ComponentsBuilder {
    let mode = || schema(text().enum_values(Some(["public", "authed", "password"])));
    let short = || text().max_length(Some(MAX_TITLE));
    let password = || text().min_length(Some(1)).max_length(Some(MAX_PASSWORD));
    components
        .schema(
            "NewPage",
            object(
                [
                    ("html", schema(text())),
                    ("title", schema(short())),
                    ("authMode", mode()),
                    ("password", schema(password())),
                ],
                &["title", "password"],
            ),
        )
        .schema(
            "WebPage",
            object(
                [
                    ("id", schema(text())),
                    ("title", schema(text())),
                    ("authMode", mode()),
                    ("agentId", schema(nullable(Type::String))),
                    ("createdAt", schema(integer(0, i64::MAX))),
                    ("url", schema(nullable(Type::String))),
                ],
                &[],
            ),
        )
        .schema(
            "WebPages",
            object([("pages", schema(list(of("WebPage")))), ("nextCursor", schema(nullable(Type::String)))], &[]),
        )
        .schema("Launch", object([("url", schema(text()))], &[]))
}

fn snapshot_schemas(
    components: utoipa::openapi::schema::ComponentsBuilder,
) -> utoipa::openapi::schema::ComponentsBuilder {
    let number = || schema(integer(0, i64::MAX));
    let kinds = text().enum_values(Some(["added", "removed", "changed"]));
    let change = object([("change", schema(kinds)), ("namespace", schema(text())), ("key", schema(text()))], &[]);
    components
        .schema(
            "Snapshot",
            object(
                [
                    ("id", number()),
                    ("takenAt", number()),
                    ("parent", schema(nullable(Type::Integer))),
                    ("entries", number()),
                    ("sizeBytes", number()),
                ],
                &[],
            ),
        )
        .schema("Snapshots", object([("snapshots", schema(list(of("Snapshot"))))], &[]))
        .schema(
            "Diff",
            object(
                [
                    ("changes", schema(list(schema(change)))),
                    ("total", number()),
                    ("hidden", number()),
                    ("nextCursor", schema(nullable(Type::String))),
                ],
                &[],
            ),
        )
        .schema("Restored", object([("restored", number())], &[]))
}

fn inspection_schemas(
    components: utoipa::openapi::schema::ComponentsBuilder,
) -> utoipa::openapi::schema::ComponentsBuilder {
    let number = || schema(integer(0, i64::MAX));
    let optional = || schema(nullable(Type::String));
    let page = |name, row| object([(name, schema(list(of(row)))), ("nextCursor", optional())], &[]);
    let store = [
        ("version", schema(text())),
        ("engine", schema(text())),
        ("readOnly", schema(flag())),
        ("entries", number()),
        ("sizeBytes", number()),
        ("now", number()),
    ];
    let namespace =
        [("namespace", schema(text())), ("entries", number()), ("sizeBytes", number()), ("revision", number())];
    let rows = [
        ("entries", schema(list(of("Row")))),
        ("total", schema(nullable(Type::Integer))),
        ("namespace", schema(text())),
        ("nextCursor", optional()),
    ];
    let inspected = [("namespace", schema(text())), ("value", schema(any())), ("exact", schema(flag()))];
    let inspected = inspected.into_iter().fold(row(), |row, (name, schema)| row.property(name, schema).required(name));
    components
        .schema("Store", object(store, &[]))
        .schema("InspectedNamespace", object(namespace, &[]))
        .schema("InspectedNamespaces", page("namespaces", "InspectedNamespace"))
        .schema("Row", row().property("preview", schema(text())).required("preview"))
        .schema("Rows", object(rows, &[]))
        .schema("Inspected", inspected)
        .schema("Thread", thread())
        .schema("Threads", page("threads", "Thread"))
        .schema("CheckpointRow", checkpoint())
        .schema("Checkpoints", page("checkpoints", "CheckpointRow").property("threadId", schema(text())))
        .schema(
            "Checkpoint",
            checkpoint()
                .property("threadId", schema(text()))
                .property("channels", schema(list(schema(any()))))
                .property("writes", schema(list(schema(any())))),
        )
}

/// An entry without its value.
fn row() -> ObjectBuilder {
    let number = || schema(integer(0, i64::MAX));
    let members = [
        ("key", schema(text())),
        ("valueType", schema(text().enum_values(Some(["json", "string", "integer", "bytes"])))),
        ("revision", number()),
        ("sizeBytes", number()),
        ("expiresAt", schema(nullable(Type::Integer))),
        ("createdAt", number()),
        ("updatedAt", number()),
    ];
    object(members, &[])
}

fn thread() -> ObjectBuilder {
    let number = || schema(integer(0, i64::MAX));
    let latest = schema(nullable(Type::String));
    object([("threadId", schema(text())), ("latest", latest), ("putAt", number()), ("checkpoints", number())], &[])
}

fn checkpoint() -> ObjectBuilder {
    let members = [
        ("checkpointId", schema(text())),
        ("graph", schema(text())),
        ("parentId", schema(nullable(Type::String))),
        ("metadata", schema(any())),
        ("checkpoint", schema(any())),
    ];
    object(members, &[])
}

fn entry() -> ObjectBuilder {
    let number = || schema(ObjectBuilder::new().schema_type(Type::Integer));
    object(
        [
            ("namespace", schema(text())),
            ("key", schema(text())),
            ("value", schema(any())),
            ("encoding", schema(text().enum_values(Some(["base64", "msgpack+base64"])))),
            ("valueType", schema(text().enum_values(Some(["json", "string", "integer", "bytes"])))),
            ("revision", number()),
            ("expiresAt", schema(nullable(Type::Integer))),
            ("createdAt", number()),
            ("updatedAt", number()),
        ],
        &["encoding"],
    )
}

fn problem() -> ObjectBuilder {
    let number = || schema(ObjectBuilder::new().schema_type(Type::Integer));
    object(
        [
            ("type", schema(text())),
            ("title", schema(text())),
            ("status", number()),
            ("code", schema(text())),
            ("detail", schema(text())),
            ("error", schema(text())),
            ("namespace", schema(text())),
            ("operation", number()),
            ("revision", number()),
        ],
        &["namespace", "operation", "revision"],
    )
}

fn step() -> ObjectBuilder {
    let revision = || schema(integer(0, MAX_SAFE_INTEGER));
    object(
        [
            ("op", schema(text().enum_values(Some(["check", "set", "delete", "incr"])))),
            ("key", schema(pattern("^[a-zA-Z0-9._:/-]+$"))),
            ("revision", revision()),
            ("ifRevision", revision()),
            ("value", schema(any())),
            ("valueType", value_type()),
            ("expiresInSec", seconds()),
            ("by", schema(safe())),
        ],
        &["revision", "ifRevision", "value", "valueType", "expiresInSec", "by"],
    )
}

fn value_type() -> RefOr<Schema> {
    schema(text().enum_values(Some(["json", "string", "integer"])))
}

/// Seconds from now on.
fn seconds() -> RefOr<Schema> {
    schema(ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)))
}

fn safe() -> ObjectBuilder {
    integer(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
}

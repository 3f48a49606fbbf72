//! The service: one store opened to agents in any language, over REST and MCP.
//!
//! [`ops`] holds each operation once, [`auth`] who calls and what a caller may do, [`context`] which namespace a call means; the
//! doors decode, call and encode. [`pages`] are HTML that agents wrote, on a listener of their own. [`Server`] runs all of it
//! beside whatever else the process does.

mod administration;
mod answer;
mod app;
pub mod auth;
mod body;
mod changes;
pub mod context;
mod headers;
pub mod history;
mod host;
mod inspection;
mod inspector;
mod json;
mod mcp;
mod measure;
pub mod members;
mod metrics;
mod openapi;
mod operations;
pub mod ops;
pub mod pages;
pub mod password;
mod problem;
mod publish;
mod rate;
mod readable;
pub mod refusal;
mod rest;
mod route;
mod server;
pub mod session;
mod site;
mod site_text;
mod snapshots;
mod sweeper;
mod threads;
mod unread;
mod watch;

pub use mcp::stdio::{StdioOptions, serve_stdio};
pub use server::{ServeOptions, Server, default_capabilities};

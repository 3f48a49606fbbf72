//! The service over HTTP, from outside: a real server on a free port, real clients.
//!
//! What holds for every engine runs on every engine; the rest runs in memory, where nothing else can fail.

#![cfg(feature = "service")]

#[path = "../contract/servers.rs"]
mod servers;

mod attacks;
mod batches;
mod conditions;
mod given;
mod history;
mod inspection;
mod lists;
mod load;
mod metrics;
mod openapi;
mod page_attacks;
mod pages;
mod recipes;
mod refusals;
mod registry;
mod resolution;
mod rules;
mod tools;
mod values;
mod watch;

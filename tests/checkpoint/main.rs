//! LangGraph's threads on a store.

#[path = "../contract/engines.rs"]
#[allow(dead_code, reason = "the contract's cases move the clock, these do not")]
mod engines;
mod given;
mod interleaving;
mod marks;
mod meeting;
mod threads;
mod values;

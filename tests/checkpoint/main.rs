//! LangGraph's threads on a store.

mod engines;
mod given;
mod interleaving;
mod marks;
mod threads;
mod values;

//! LangGraph's threads on a store.

mod given;
mod interleaving;
mod marks;
mod threads;
mod values;

//! LangGraph's threads on a store.

mod engines;
mod given;
mod interleaving;
mod marks;
mod moving;
mod threads;
mod values;

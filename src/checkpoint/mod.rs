//! LangGraph's threads as store operations.

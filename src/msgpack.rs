//! Checks, walks and splits msgpack bytes.

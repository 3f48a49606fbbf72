//! What only the inside of the engine shows.

//! The ordered persistent map.

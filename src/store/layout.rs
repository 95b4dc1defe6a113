//! Which key holds what.

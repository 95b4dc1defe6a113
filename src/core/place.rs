//! Which machine a unit goes to.

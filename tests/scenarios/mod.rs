//! The simulator: seeded clock, seeded faults, hosts made of values.

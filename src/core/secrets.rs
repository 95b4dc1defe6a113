//! The variables of the environment that hold secrets. Programs that muster starts for a user do not get them.

/// The names of the variables.
pub const SECRET_VARIABLES: [&str; 1] = ["MUSTER_ETCD_PASSWORD"];

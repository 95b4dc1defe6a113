//! The variables of the environment that hold secrets. Programs that muster starts for a user do not get them.

/// The password for etcd.
pub const ETCD_PASSWORD: &str = "MUSTER_ETCD_PASSWORD";

/// The access token for the API of a controller.
pub const API_TOKEN: &str = "MUSTER_API_TOKEN";

/// The names of all these variables.
pub const SECRET_VARIABLES: [&str; 2] = [ETCD_PASSWORD, API_TOKEN];

//! HTTP for whatever muster serves or asks: connections with bounds, TLS, and the checks of where a request comes from. It
//! knows no resource, and reads nothing of a request but its head.

pub mod client;
pub mod connections;
pub mod origin;
pub mod rate;
pub mod tls;
pub mod unix_socket;

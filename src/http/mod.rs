//! HTTP for whatever muster serves: connections with bounds, and the checks of where a request comes from. It knows no
//! resource, and reads nothing of a request but its head.

pub mod connections;
pub mod origin;
pub mod unix_socket;

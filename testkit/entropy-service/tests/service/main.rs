//! The service as a client meets it: each interface and each fault, byte by byte on the wire.

mod administration;
mod apis;
mod client;
mod connections;
mod content;
mod http;
mod program;
mod tls;

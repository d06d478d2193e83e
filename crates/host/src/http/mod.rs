//! HTTP on the way in: connections, routing, bounds, and the answers the host gives itself.

pub mod admission;
pub mod body;
pub mod dispatch;
pub mod headers;
pub mod problem;
pub mod serve;

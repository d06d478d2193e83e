//! The gateway.
mod bindings;
use spin_sdk::http::{IntoResponse, Request};
use spin_sdk::http_service;

#[http_service]
async fn handle(_req: Request) -> impl IntoResponse {
    let d = bindings::connector::describe();
    let p = bindings::directory::profile("madrid".into()).await;
    format!("{} {:?}", d.title, p.is_ok())
}

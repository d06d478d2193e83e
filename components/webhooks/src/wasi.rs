//! The edge to WASI and to the store.

use channel_sdk::types::Header;
use service_sdk::edge::{self, Inbound, Outbound};
use spin_sdk::wasip3::http::types::{self as http, ErrorCode};

use crate::bindings::feed::{self, Batch, Command, DestinationState, Queue, Settlement, Start};
use crate::bindings::log::StoreError;
use crate::ports::{Key, Ports};
use crate::serve;

struct Webhooks;
spin_sdk::wasip3::http::service::export!(Webhooks);

impl spin_sdk::wasip3::exports::http::handler::Guest for Webhooks {
    async fn handle(request: http::Request) -> Result<http::Response, ErrorCode> {
        let method = edge::method_name(&request.get_method()).to_ascii_uppercase();
        let target = request.get_path_with_query().unwrap_or_else(|| "/".into());
        let headers: Vec<Header> = request
            .get_headers()
            .copy_all()
            .into_iter()
            .map(|(name, value)| Header { name: name.to_ascii_lowercase(), value })
            .collect();
        let answer = serve::serve(&Wasi, &method, &target, &headers).await;
        edge::respond(answer, method == "HEAD")
    }
}

struct Wasi;

impl Ports for Wasi {
    async fn queues(&self, now: i64) -> Result<Vec<Queue>, StoreError> {
        feed::queues(now).await
    }

    async fn claim(
        &self,
        key: &Key,
        start: Start,
        now: i64,
        until: i64,
        limit: u32,
    ) -> Result<Option<Batch>, StoreError> {
        feed::claim(key.0.clone(), key.1.clone(), start, now, until, limit).await
    }

    async fn settle(&self, key: &Key, lease: &str, at: i64, settlement: Settlement) -> Result<bool, StoreError> {
        feed::settle(key.0.clone(), key.1.clone(), lease.to_owned(), at, settlement).await
    }

    async fn states(&self, tenant: &str) -> Result<Vec<DestinationState>, StoreError> {
        feed::states(tenant.to_owned()).await
    }

    async fn control(
        &self,
        key: &Key,
        command: Command,
        author: &str,
        at: i64,
    ) -> Result<Option<DestinationState>, StoreError> {
        feed::control(key.0.clone(), key.1.clone(), command, author.to_owned(), at).await
    }

    async fn variable(&self, name: &str) -> String {
        spin_sdk::variables::get(name).await.unwrap_or_default()
    }

    async fn send(&self, request: Outbound) -> Result<Inbound, String> {
        edge::send(request).await
    }

    fn now(&self) -> i64 {
        edge::now()
    }

    fn log(&self, line: &str) {
        eprintln!("{line}");
    }
}

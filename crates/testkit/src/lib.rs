//! What proves a connector or a store: suites that are written once and instantiated by one line.
//!
//! ```ignore
//! testkit::connector_suite!(Twilio);
//! ```
//!
//! in a connector's `lib.rs` gives it every test of [`connector_suite`]. Connectors depend on this crate for their
//! tests only.
//!
//! # Golden cases
//!
//! A case is a folder, `testdata/<story>/`, named for what happened (`missed-call`, `resent-delivery`), never by number:
//!
//! | file | what | who writes it |
//! |---|---|---|
//! | `request.http` | the request as the provider sent it, redacted, and signed anew with a secret of `secrets.json` | a person |
//! | `expected.json` | the events, or the handshake's answer | `BLESS=1` |
//! | `error.txt` | instead of `expected.json`: `reason: detail` of the refusal | `BLESS=1` |
//! | `answer.http` | what the provider is answered | `BLESS=1` |
//! | `context.json` | optional: members that replace those of the shared one | a person |
//! | `receipts.json` | optional: the receipts the store gave, instead of the suite's | a person |
//! | `found.json` | optional: the public cases a look-up finds | a person |
//! | `fetched/*.http` | optional: answers to what the connector asks to be fetched | a person |
//!
//! `BLESS=1 cargo test --release -p <connector>` rewrites what `BLESS=1` writes; the reviewer reads the diff.
//! A story whose name begins with `resent-` is another story's delivery over again: its idempotency keys must be known ones.
//! Keys of all other stories are distinct.
//!
//! ## `request.http`
//!
//! ```text
//! POST /voice?language=ca HTTP/1.1
//! content-type: application/x-www-form-urlencoded
//! x-twilio-signature: 0123456789abcdef0123456789a=
//!
//! CallSid=CA0123&From=%2B34600111222
//! ```
//!
//! The target is the suffix after the tenant, with the query, byte for byte; `/` alone is the suffix `/`, and a target that begins with
//! `?` or is `-` has none. A target that begins with the path of `public_url` has that removed. Head lines may end with LF or CRLF; after the
//! empty line comes the body. One newline at the end of the file is the editor's, not the body's, unless `content-length`
//! counts it. Anything may be bytes that are not UTF-8. The signed URL is `public_url` with the target appended.
//!
//! ## `testdata/context.json` and `testdata/secrets.json`
//!
//! ```json
//! {
//!   "tenant": "madrid",
//!   "public_url": "https://city.example/telephony/twilio/madrid",
//!   "received_at": "2026-11-21T10:00:00Z",
//!   "settings": {"language": "es"},
//!   "secrets": ["auth_token"],
//!   "profile": {"tenant": "madrid", "name": "Madrid", "languages": ["es"]}
//! }
//! ```
//!
//! `secrets` are the names present; absent, it is those of `secrets.json`: `{"auth_token": "fake-…"}`, or a list of strings
//! for a key being rotated. They are test secrets: the suite fails if one is shown in any output.
//!
//! ## `expected.json`
//!
//! `{"events": [...]}` and, when the translation is degraded, `"degraded": "why"`. An event is the public JSON of `channel_sdk::json`
//! with what only the store sees: `"sender_scheme"`, `"claimed"`, `"threading": {"key": "CA0123"}` (or `{"existing": …}`, `{"correspondence": {…}}`;
//! absent is detached), `"department"`, `"task"`, `"asks_about"`. A handshake is `{"handshake": {…}}`: its checks, and its answer is `answer.http`.
//! A public question is `{"lookup": {…}}`.
//!
//! ## `fetched/*.http`
//!
//! An HTTP response; `x-url:` in its head says which request of the connector it answers, and is not handed on.
//!
//! # The suite's store
//!
//! `answer.http` is the acknowledgement of `accepted` with receipts as a fresh store gives them: every event that has a case is in
//! `482-109-3726`, an `asks-about` is answered by an open case, unless `receipts.json` says otherwise.

#![expect(clippy::panic, clippy::indexing_slicing, reason = "an aid of tests: its panics are failed tests")]

pub mod connector_suite;
pub mod fuzz;
pub mod store_suite;

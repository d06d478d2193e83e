//! OTLP's messages, as far as spans need them (`opentelemetry/proto/trace/v1/trace.proto` and what it stands on). The published crate of all of
//! them brings a gRPC stack and an SDK; these are their fields by their numbers. `tests/traces` reads them with the official schema.

use super::trace::{Finished, Span, Value};
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct ExportRequest {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<ProtoSpan>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct ProtoSpan {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    trace_state: String,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "13")]
    links: Vec<Link>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Link {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(fixed32, tag = "6")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Any", tags = "1, 3")]
    value: Option<Any>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Any {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Number(i64),
}

/// `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK` and `SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`.
const REMOTE_KNOWN: u32 = 0x100;
const REMOTE: u32 = 0x200;
/// The W3C flag in their lowest byte.
const SAMPLED: u32 = 1;
/// `STATUS_CODE_ERROR`.
const ERROR: i32 = 2;

/// An `ExportTraceServiceRequest`.
pub(super) fn encode(batch: &[Finished], resource: &[(String, String)]) -> Vec<u8> {
    let spans = batch.iter().flat_map(|of| of.spans.iter().map(move |span| proto(of, span))).collect();
    let attributes = resource.iter().map(|(key, value)| pair(key, Any::Text(value.clone()))).collect();
    let scope = Scope { name: "ventanilla".into(), version: env!("CARGO_PKG_VERSION").into() };
    let of_resource = ResourceSpans {
        resource: Some(Resource { attributes }),
        scope_spans: vec![ScopeSpans { scope: Some(scope), spans }],
    };
    ExportRequest { resource_spans: vec![of_resource] }.encode_to_vec()
}

fn proto(of: &Finished, span: &Span) -> ProtoSpan {
    let is_server = span.id == of.server;
    let link = of.link.filter(|_| is_server).map(|(trace, span)| Link {
        trace_id: trace.0.to_vec(),
        span_id: span.0.to_vec(),
        flags: REMOTE_KNOWN | REMOTE,
    });
    ProtoSpan {
        trace_id: of.trace.0.to_vec(),
        span_id: span.id.0.to_vec(),
        trace_state: of.state.clone(),
        parent_span_id: span.parent.map(|parent| parent.0.to_vec()).unwrap_or_default(),
        name: span.name.clone().into_owned(),
        kind: span.kind as i32,
        start_time_unix_nano: span.start,
        end_time_unix_nano: span.end,
        attributes: span.attributes.iter().map(|(key, value)| pair(key, any(value))).collect(),
        links: link.into_iter().collect(),
        status: span.failed.then_some(Status { code: ERROR }),
        flags: SAMPLED | REMOTE_KNOWN | if is_server && of.remote { REMOTE } else { 0 },
    }
}

fn any(value: &Value) -> Any {
    match value {
        Value::Word(word) => Any::Text(word.clone().into_owned()),
        Value::Number(number) => Any::Number(*number),
    }
}

fn pair(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

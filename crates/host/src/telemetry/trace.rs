//! One request's trace: the server's span, a span for each time a component is given the request, what the component says it is doing, and
//! what it asks of databases and other servers.
//!
//! A trace belongs to a request and not to an instance, which serves many. It travels with the task; when the last part of the request
//! lets go of it, its spans leave together.
//!
//! **Nothing of a request gets into a span.** [`Value`] has no place for it: words of this program, names from the operator's
//! configuration, numbers. Names a component gives are checked against what a phase and a tenant are called.

use super::{
    context::{self, Incoming, SpanId, TraceId},
    export::Queue,
};
use http::HeaderMap;
use std::{
    borrow::Cow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// Of one request, what is asked of databases and other servers; what is more is counted as dropped.
const SPANS: usize = 128;
/// Steps of components have places of their own: the request that finds an empty database makes a hundred tables before its steps end.
const STEPS: usize = 64;
/// Phases open inside each other.
const DEPTH: usize = 16;
/// A component at work on a request.
const RUN: &str = "run component";
/// Letters of a phase's name, and of a tenant's.
const NAME: usize = 64;

/// What an attribute can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// A word of this program's, or of its configuration: a route, a component, a tenant, a database.
    Word(Cow<'static, str>),
    /// A status.
    Number(i64),
}

impl From<&'static str> for Value {
    fn from(word: &'static str) -> Self {
        Self::Word(Cow::Borrowed(word))
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl Value {
    /// A name from the manifest or from settings; never one from a request.
    pub(crate) fn configured(name: &str) -> Self {
        Self::Word(Cow::Owned(name.to_owned()))
    }
}

/// As OTLP numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Internal = 1,
    Server = 2,
    Client = 3,
}

/// A span that is over.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) name: Cow<'static, str>,
    pub(super) kind: Kind,
    /// Nanoseconds since 1970.
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) attributes: Vec<(&'static str, Value)>,
    pub(super) failed: bool,
}

/// All spans of one request.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) trace: TraceId,
    pub(super) state: String,
    /// Whose request it was, if nobody vouches for it.
    pub(super) link: Option<(TraceId, SpanId)>,
    /// The span the link belongs to.
    pub(super) server: SpanId,
    /// The server's parent is in another program.
    pub(super) remote: bool,
    pub(super) spans: Vec<Span>,
    pub(super) dropped: usize,
}

/// See the module.
pub(crate) struct Trace {
    id: TraceId,
    state: String,
    sampled: bool,
    parent: Option<SpanId>,
    link: Option<(TraceId, SpanId)>,
    server: SpanId,
    start: (u64, Instant),
    spans: Mutex<Spans>,
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Spans {
    /// Begun by a component, or around it; the innermost last.
    open: Vec<Span>,
    done: Vec<Span>,
    /// Of those, steps, and what was asked of others.
    steps: usize,
    asked: usize,
    dropped: usize,
    tenant: Option<Value>,
}

impl Spans {
    fn add(&mut self, span: Span) {
        // Without these two the others hang in the air; there are few of them.
        let bears = span.kind == Kind::Server || span.name == RUN;
        let (count, most) = match span.kind {
            Kind::Internal => (&mut self.steps, STEPS),
            Kind::Server | Kind::Client => (&mut self.asked, SPANS),
        };
        if bears {
            self.done.push(span);
        } else if *count < most {
            *count += 1;
            self.done.push(span);
        } else {
            self.dropped += 1;
        }
    }
}

impl Trace {
    pub(super) fn new(queue: &Arc<Queue>, incoming: Option<Incoming>) -> Arc<Self> {
        let settings = &queue.settings;
        let (id, parent, link, state, told) = match incoming {
            Some(of) if settings.trust => (of.trace, Some(of.span), None, of.state, Some(of.sampled)),
            Some(of) => (TraceId::random(), None, Some((of.trace, of.span)), String::new(), None),
            None => (TraceId::random(), None, None, String::new(), None),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Arc::new(Self {
            id,
            state,
            sampled: settings.sampler.samples(id, told),
            parent,
            link,
            server: SpanId::random(),
            start: (u64::try_from(now.as_nanos()).unwrap_or(u64::MAX), Instant::now()),
            spans: Mutex::default(),
            queue: Arc::clone(queue),
        })
    }

    /// Whether it is recorded. If not, its ids are still told to others, and to the log.
    pub(crate) fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// For a line of the log: the trace and the innermost span.
    pub(crate) fn ids(&self) -> (TraceId, SpanId) {
        (self.id, self.innermost())
    }

    fn innermost(&self) -> SpanId {
        if self.sampled { self.lock().open.last().map_or(self.server, |span| span.id) } else { self.server }
    }

    fn now(&self) -> u64 {
        let (unix, since) = self.start;
        unix.saturating_add(u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn begin(&self, name: Cow<'static, str>, kind: Kind) -> Span {
        let (start, parent) = (self.now(), Some(self.innermost()));
        Span { id: SpanId::random(), parent, name, kind, start, end: start, attributes: Vec::new(), failed: false }
    }

    fn lock(&self) -> MutexGuard<'_, Spans> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an open span out, and what was begun inside it and not ended.
    fn close(&self, found: impl Fn(&Span) -> bool, failure: Option<&'static str>, keep_inner: bool) {
        let now = self.now();
        let mut spans = self.lock();
        let Some(at) = spans.open.iter().rposition(found) else { return };
        let last = if keep_inner { at + 1 } else { spans.open.len() };
        let closed: Vec<Span> = spans.open.drain(at..last).collect();
        for mut span in closed {
            span.end = now;
            if let Some(failure) = failure {
                fail(&mut span, failure);
            }
            spans.add(span);
        }
    }

    /// What a component says of itself: `+phase`, `-phase`, `=tenant`. Anything else is nothing.
    pub(crate) fn mark(&self, mark: &str) {
        if !self.sampled {
            return;
        }
        let Some((sign, name)) = mark.split_at_checked(1) else { return };
        match sign {
            "+" if is_phase(name) => {
                let span = self.begin(Cow::Owned(name.to_owned()), Kind::Internal);
                let mut spans = self.lock();
                // The first one is the host's own, around the component.
                if (1..DEPTH).contains(&spans.open.len()) {
                    spans.open.push(span);
                }
            }
            "-" if is_phase(name) => self.close(|span| span.name == name && span.kind == Kind::Internal, None, true),
            "=" if is_tenant(name) => self.lock().tenant = Some(Value::configured(name)),
            _ => {}
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let now = self.now();
        let spans = self.spans.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !self.sampled {
            return;
        }
        for mut span in std::mem::take(&mut spans.open) {
            span.end = now;
            fail(&mut span, "abandoned");
            spans.add(span);
        }
        self.queue.put(Finished {
            trace: self.id,
            state: std::mem::take(&mut self.state),
            link: self.link,
            server: self.server,
            remote: self.parent.is_some(),
            spans: std::mem::take(&mut spans.done),
            dropped: spans.dropped,
        });
    }
}

fn fail(span: &mut Span, why: &'static str) {
    span.failed = true;
    span.attributes.push(("error.type", why.into()));
}

/// Words alone: what a component says could be anything.
fn is_phase(name: &str) -> bool {
    (1..=NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// The gateway names a tenant only after it was found in its settings. A number is no tenant's code, whoever says so.
fn is_tenant(name: &str) -> bool {
    (1..=NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && name.bytes().filter(u8::is_ascii_digit).count() < 7
}

tokio::task_local! {
    static CURRENT: Arc<Trace>;
}

/// The trace of the request this task works for.
pub(crate) fn current() -> Option<Arc<Trace>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// As [`current`], if it is recorded.
fn recorded() -> Option<Arc<Trace>> {
    CURRENT.try_with(|trace| trace.is_sampled().then(|| Arc::clone(trace))).ok().flatten()
}

/// Runs a future as part of a trace. Box large ones: the way of a request that is not traced shall not be longer for this one.
pub(crate) fn within<F: Future>(trace: Arc<Trace>, future: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(trace, future)
}

/// What a component printed, if it is no line for people.
pub(crate) fn marked(mark: &str) {
    // A trace that is not recorded asked for none; one of a request that is over changes nothing.
    _ = CURRENT.try_with(|trace| trace.mark(mark));
}

/// The span of the request as its sender sees it.
pub(crate) struct Server {
    trace: Arc<Trace>,
    name: Cow<'static, str>,
    attributes: Vec<(&'static str, Value)>,
    status: Option<u16>,
}

impl Server {
    /// `route` and `component` are the manifest's.
    pub(crate) fn new(trace: Arc<Trace>, method: &http::Method, route: &str, component: Option<&str>) -> Self {
        let mut attributes = Vec::new();
        let mut name = Cow::Borrowed("");
        if trace.sampled {
            let method = self::method(method);
            name = format!("{method} {route}").into();
            attributes.push(("http.request.method", if method == "HTTP" { "_OTHER" } else { method }.into()));
            attributes.push(("http.route", Value::configured(route)));
            attributes.extend(component.map(|id| ("ventanilla.component", Value::configured(id))));
        }
        Self { trace, name, attributes, status: None }
    }

    /// What it was answered.
    pub(crate) fn answered(mut self, status: u16) {
        self.status = Some(status);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let trace = &self.trace;
        if !trace.sampled {
            return;
        }
        let mut span = Span {
            id: trace.server,
            parent: trace.parent,
            name: std::mem::take(&mut self.name),
            kind: Kind::Server,
            start: trace.start.0,
            end: trace.now(),
            attributes: std::mem::take(&mut self.attributes),
            failed: false,
        };
        match self.status {
            Some(status) => {
                span.attributes.push(("http.response.status_code", status.into()));
                if status >= 500 {
                    span.failed = true;
                    span.attributes.push(("error.type", Value::Word(status.to_string().into())));
                }
            }
            // The client hung up before there was an answer.
            None => fail(&mut span, "cancelled"),
        }
        let mut spans = trace.lock();
        span.attributes.extend(spans.tenant.clone().map(|tenant| ("ventanilla.tenant", tenant)));
        spans.add(span);
    }
}

/// A component at work on a request.
pub(crate) struct Work(Option<(Arc<Trace>, SpanId)>);

impl Work {
    /// `mode`: why it is not given the request as usual.
    pub(crate) fn begin(component: &str, mode: Option<&'static str>) -> Self {
        Self(recorded().map(|trace| {
            let mut span = trace.begin(RUN.into(), Kind::Internal);
            span.attributes.push(("ventanilla.component", Value::configured(component)));
            span.attributes.extend(mode.map(|mode| ("ventanilla.mode", mode.into())));
            let id = span.id;
            trace.lock().open.push(span);
            (trace, id)
        }))
    }

    /// It did not come to its end: nor did what it had begun.
    pub(crate) fn failed(&self, why: &'static str) {
        if let Some((trace, id)) = &self.0 {
            trace.close(|span| span.id == *id, Some(why), false);
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some((trace, id)) = &self.0 {
            trace.close(|span| span.id == *id, None, false);
        }
    }
}

/// A time in which the host waits for something on behalf of a component, or has it wait.
pub(crate) struct Wait(Option<(Arc<Trace>, Span)>);

impl Wait {
    /// Begins one.
    pub(crate) fn begin(name: &'static str, kind: Kind) -> Self {
        Self(recorded().map(|trace| {
            let span = trace.begin(name.into(), kind);
            (trace, span)
        }))
    }

    /// A call of something that keeps data: `system` as OpenTelemetry's conventions call it.
    pub(crate) fn database(name: &'static str, system: &'static str, statement: Option<&str>) -> Self {
        let mut wait = Self::begin(name, Kind::Client);
        wait.attribute("db.system.name", || system.into());
        if let Some((_, span)) = &mut wait.0
            && let Some(operation) = statement.and_then(operation)
        {
            span.name = format!("{operation} {name}").into();
            span.attributes.push(("db.operation.name", operation.into()));
        }
        wait
    }

    /// More about it.
    pub(crate) fn attribute(&mut self, name: &'static str, value: impl FnOnce() -> Value) {
        if let Some((_, span)) = &mut self.0 {
            span.attributes.push((name, value()));
        }
    }

    /// It failed.
    pub(crate) fn failed(&mut self, why: &'static str) {
        if let Some((_, span)) = &mut self.0 {
            fail(span, why);
        }
    }

    /// As if it had not been.
    pub(crate) fn forget(&mut self) {
        self.0 = None;
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some((trace, mut span)) = self.0.take() {
            span.end = trace.now();
            trace.lock().add(span);
        }
    }
}

/// Tells whoever is called which trace it is part of.
pub(crate) fn inject(headers: &mut HeaderMap, wait: &Wait) {
    if let Some(trace) = current() {
        let span = wait.0.as_ref().map_or(trace.server, |(_, span)| span.id);
        context::inject(headers, trace.id, span, trace.sampled, &trace.state);
    }
}

/// A method's name; `HTTP` for one that is made up.
pub(crate) fn method(method: &http::Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    known.into_iter().find(|known| method.as_str() == *known).unwrap_or("HTTP")
}

/// The kind of a statement. Nothing else of it: a component could have written values into it.
fn operation(statement: &str) -> Option<&'static str> {
    let start = statement.trim_start();
    let known = [
        "SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "CALL", "CREATE", "ALTER", "DROP", "BEGIN", "COMMIT",
        "ROLLBACK", "PRAGMA", "EXPLAIN",
    ];
    known.into_iter().find(|word| {
        start.get(..word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word))
            && !start.as_bytes().get(word.len()).is_some_and(u8::is_ascii_alphanumeric)
    })
}

#[cfg(test)]
mod tests;

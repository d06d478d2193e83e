//! Traces without a collector: the queue is read instead of sent.

use super::super::{config::Settings, export::Job};
use super::*;
use crate::metrics::Metrics;
use http::{HeaderValue, Method};
use tokio::sync::mpsc::UnboundedReceiver;

const THEIRS: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

struct World {
    queue: Arc<Queue>,
    waiting: UnboundedReceiver<Job>,
    metrics: Arc<Metrics>,
}

fn world(variables: &[(&str, &str)], trust: bool) -> World {
    let settings = Settings::read(|name| {
        let known = variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        known.or_else(|| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| "http://collector".into()))
    });
    let settings = Settings { trust, ..settings.unwrap().unwrap() };
    let metrics = Arc::new(Metrics::new([]));
    let (queue, waiting) = Queue::new(settings, &metrics);
    World { queue, waiting, metrics }
}

impl World {
    fn finished(&mut self) -> Option<Finished> {
        match self.waiting.try_recv() {
            Ok(Job::Trace(finished)) => Some(finished),
            _ => None,
        }
    }
}

fn theirs() -> Option<Incoming> {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", HeaderValue::from_static(THEIRS));
    headers.insert("tracestate", HeaderValue::from_static("their=state"));
    Incoming::of(&headers)
}

fn server(trace: &Arc<Trace>) -> Server {
    Server::new(Arc::clone(trace), &Method::POST, "/telephony/acme/...", Some("telephony-acme"))
}

/// Runs what an instance does as part of a request, and gives the spans.
fn run(world: &mut World, work: impl FnOnce()) -> Finished {
    let trace = Trace::new(&world.queue, None);
    let server = server(&trace);
    futures::executor::block_on(within(Arc::clone(&trace), async { work() }));
    server.answered(200);
    drop(trace);
    world.finished().unwrap()
}

fn named<'a>(finished: &'a Finished, name: &str) -> &'a Span {
    finished.spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name} in {finished:?}"))
}

fn attribute<'a>(span: &'a Span, name: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
}

#[test]
fn steps_and_statements_are_where_they_happened() {
    let mut world = world(&[], false);
    let finished = run(&mut world, || {
        let _work = Work::begin("telephony-acme", None);
        marked("=madrid");
        marked("+authenticate");
        marked("-authenticate");
        marked("+record");
        drop(Wait::database("sqlite", "sqlite", Some("insert INTO t VALUES ('Anna')")));
        marked("-record");
    });
    let (server, work) = (named(&finished, "POST /telephony/acme/..."), named(&finished, "run component"));
    let (step, statement) = (named(&finished, "record"), named(&finished, "INSERT sqlite"));
    assert_eq!((server.parent, server.kind), (None, Kind::Server));
    assert_eq!(work.parent, Some(server.id));
    assert_eq!(named(&finished, "authenticate").parent, Some(work.id));
    assert_eq!(step.parent, Some(work.id));
    assert_eq!((statement.parent, statement.kind), (Some(step.id), Kind::Client));
    assert_eq!(attribute(server, "ventanilla.tenant"), Some(&Value::configured("madrid")));
    assert_eq!(attribute(server, "http.response.status_code"), Some(&Value::Number(200)));
    assert!(finished.spans.iter().all(|span| !span.failed && span.start <= span.end), "{finished:?}");
    assert!(!format!("{finished:?}").contains("Anna"), "{finished:?}");
}

#[test]
fn what_a_component_was_doing_when_it_trapped_is_closed_as_an_error() {
    let mut world = world(&[], false);
    let finished = run(&mut world, || {
        let work = Work::begin("telephony-acme", None);
        marked("+authenticate");
        marked("-authenticate");
        marked("+translate");
        work.failed("trap");
        drop(work);
        let _again = Work::begin("telephony-acme", Some("quarantine"));
        marked("+record");
        marked("-record");
    });
    for (name, failed) in [("authenticate", false), ("translate", true), ("record", false)] {
        let span = named(&finished, name);
        assert_eq!(span.failed, failed, "{name}");
        assert_eq!(attribute(span, "error.type").is_some(), failed, "{name}");
    }
    let runs: Vec<_> = finished.spans.iter().filter(|span| span.name == "run component").collect();
    let [first, second] = runs[..] else { panic!("{runs:?}") };
    assert_eq!((first.failed, attribute(first, "error.type")), (true, Some(&"trap".into())));
    assert_eq!((second.failed, attribute(second, "ventanilla.mode")), (false, Some(&"quarantine".into())));
    assert_eq!(first.parent, second.parent);
    assert_eq!(named(&finished, "record").parent, Some(second.id));
}

#[test]
fn what_is_no_step_s_name_does_not_get_into_a_trace() {
    let mut world = world(&[], false);
    let finished = run(&mut world, || {
        let _work = Work::begin("telephony-acme", None);
        for mark in [
            "+Anna",
            "+a b",
            "+34600111222",
            "+",
            "+anna@city.example",
            "=+34600111222",
            "=34600111222",
            "=Anna Garc\u{ed}a",
            "=a@b",
            "",
            "\u{f1}",
            "*x",
            "-run component",
        ] {
            marked(mark);
        }
        marked(&format!("+{}", "x".repeat(65)));
    });
    let names: Vec<_> = finished.spans.iter().map(|span| span.name.as_ref()).collect();
    assert_eq!(names, ["run component", "POST /telephony/acme/..."]);
    assert!(finished.spans.iter().all(|span| attribute(span, "ventanilla.tenant").is_none()), "{finished:?}");
}

#[test]
fn a_stranger_s_trace_is_linked_to_and_a_proxy_s_is_continued() {
    let mut world = world(&[], false);
    let trace = Trace::new(&world.queue, theirs());
    server(&trace).answered(200);
    drop(trace);
    let finished = world.finished().unwrap();
    assert_ne!(finished.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
    let (of, span) = finished.link.unwrap();
    assert_eq!(
        (of.to_string(), span.to_string()),
        ("0af7651916cd43dd8448eb211c80319c".into(), "b7ad6b7169203331".into())
    );
    assert_eq!((finished.state.as_str(), finished.spans[0].parent), ("", None), "nothing that a stranger wrote");

    let mut world = self::world(&[], true);
    let trace = Trace::new(&world.queue, theirs());
    server(&trace).answered(200);
    drop(trace);
    let finished = world.finished().unwrap();
    assert_eq!(finished.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(finished.spans[0].parent.unwrap().to_string(), "b7ad6b7169203331");
    assert_eq!((finished.state.as_str(), finished.link), ("their=state", None));
}

#[test]
fn a_stranger_can_not_have_a_request_recorded_and_a_proxy_can() {
    let off = [("OTEL_TRACES_SAMPLER", "parentbased_always_off")];
    assert!(!Trace::new(&world(&off, false).queue, theirs()).is_sampled());
    assert!(Trace::new(&world(&off, true).queue, theirs()).is_sampled());
}

#[test]
fn a_trace_that_is_not_recorded_sends_nothing_and_still_has_ids_to_tell() {
    let mut world = world(&[("OTEL_TRACES_SAMPLER", "always_off")], false);
    let trace = Trace::new(&world.queue, None);
    let server = server(&trace);
    let mut headers = HeaderMap::new();
    futures::executor::block_on(within(Arc::clone(&trace), async {
        let _work = Work::begin("telephony-acme", None);
        marked("+record");
        inject(&mut headers, &Wait::begin("POST", Kind::Client));
    }));
    server.answered(200);
    let sent = headers.get("traceparent").unwrap().to_str().unwrap();
    assert!(sent.starts_with(&format!("00-{}-", trace.ids().0)) && sent.ends_with("-00"), "{sent}");
    drop(trace);
    assert!(world.finished().is_none());
}

#[test]
fn a_client_that_hangs_up_leaves_no_span_open() {
    let mut world = world(&[], false);
    let trace = Trace::new(&world.queue, None);
    let server = server(&trace);
    let work = futures::executor::block_on(within(Arc::clone(&trace), async { Work::begin("a", None) }));
    drop(server);
    trace.mark("+record");
    drop((work, trace));
    let finished = world.finished().unwrap();
    assert_eq!(attribute(named(&finished, "POST /telephony/acme/..."), "error.type"), Some(&"cancelled".into()));
    // What it had begun went on, and came to its end with the component.
    assert_eq!(finished.spans.len(), 3);
}

#[test]
fn a_queue_that_is_full_costs_spans_and_a_number() {
    let world = world(&[("OTEL_BSP_MAX_QUEUE_SIZE", "2")], false);
    for _ in 0..5 {
        let trace = Trace::new(&world.queue, None);
        server(&trace).answered(200);
    }
    let text = world.metrics.render();
    assert!(text.contains("ventanilla_trace_spans_total{result=\"dropped\"} 3\n"), "{text}");
}

#[test]
fn one_request_has_so_many_spans_and_no_more() {
    let mut world = world(&[], false);
    let finished = run(&mut world, || (0..500).for_each(|_| drop(Wait::begin("POST", Kind::Client))));
    assert_eq!((finished.spans.len(), finished.dropped), (SPANS + 1, 372));
    named(&finished, "POST /telephony/acme/...");
    assert!(world.metrics.render().contains("result=\"dropped\"} 372\n"));
    // What a component does is not crowded out by what it asks for, and has an end, too.
    let finished = run(&mut world, || {
        let work = Work::begin("telephony-acme", None);
        (0..500).for_each(|_| drop(Wait::begin("POST", Kind::Client)));
        for step in ["+translate", "-translate"].repeat(200) {
            marked(step);
        }
        drop(work);
    });
    let steps = finished.spans.iter().filter(|span| span.name == "translate").count();
    assert_eq!((steps, finished.spans.len(), finished.dropped), (STEPS, SPANS + STEPS + 2, 372 + 200 - STEPS));
}

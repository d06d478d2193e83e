"""Traces: what leaves the host is read here with the official schema of OpenTelemetry (PyPI `opentelemetry-proto`), from a collector that is played."""

import http.server
import json
import os
import re
import subprocess
import signal
import ssl
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import certificates, checks, peer_server, peers, profile, server, sites, spin, twilio  # noqa: E402

peers.inside_python(peers.OPENTELEMETRY_PYPI)

from support import collector as collectors  # noqa: E402
from support.collector import CLIENT, INTERNAL, SERVER, VOICE, WAIT, Collector, figures, named, place, route, started  # noqa: E402

THEIR_TRACE, THEIR_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
THEIRS = f"00-{THEIR_TRACE}-{THEIR_SPAN}-01"
COURIER = "fake-courier-token"
KEY = "fake-key-of-the-hostile-connector"


def finish():
    collectors.clean()
    server.clean()


def test_a_webhook_is_one_trace_of_host_gateway_connector_and_store():
    server.only_our_own("Spin's own spans are tried below")
    collector = Collector()
    one = started(collector, OTEL_SERVICE_NAME="window", OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=rehearsal", OTEL_EXPORTER_OTLP_HEADERS="x-key=of%20theirs")
    one.with_profile()
    place(one, 1)
    spans = collector.trace(route(VOICE), "of the call")
    host = named(spans, f"POST {VOICE}")
    checks.equal((host.parent, host.links, host.failed), ("", [], False))
    wanted = {"http.request.method": "POST", "http.route": VOICE, "http.response.status_code": 200, "ventanilla.component": "telephony-twilio", "ventanilla.tenant": "madrid"}
    checks.equal(host.attributes, wanted)
    checks.equal((host.resource["service.name"], host.resource["deployment.environment.name"]), ("window", "rehearsal"))
    run = named(spans, "run component")
    checks.equal((run.parent, run.attributes), (host.id, {"ventanilla.component": "telephony-twilio"}))
    steps = [named(spans, name) for name in ("authenticate", "translate", "record", "acknowledge")]
    for step, after in zip(steps, [*steps[1:], None]):
        checks.equal((step.parent, step.kind, step.failed), (run.id, INTERNAL, False), step.name)
        checks.holds(host.start <= run.start <= step.start <= step.end <= run.end, f"{step.name} is within its component")
        checks.holds(after is None or step.end <= after.start, f"{step.name} comes before what follows")
    statements = [span for span in spans if span.kind == CLIENT and span.parent == steps[2].id and span.name != "postgresql connection"]
    checks.equal(len(statements), 1, "one statement an intake")
    # tests/traces-stores has more of PostgreSQL.
    database = ("postgresql", "data_") if profile.POSTGRES else ("sqlite", "default")
    checks.equal(statements[0].attributes["db.system.name"], database[0])
    checks.holds(statements[0].attributes["db.namespace"].startswith(database[1]), statements)
    path, headers = collector.requests[0]
    checks.equal((path, headers["content-type"], headers["x-key"]), ("/v1/traces", "application/x-protobuf", "of theirs"))
    checks.equal(len({span.id for span in collector.seen()}), len(collector.seen()), "ids are used once")
    # Whoever asks again and again whether there is anything to do would fill the traces.
    one.send("GET", "/readyz")
    place(one, 2)
    collector.trace(lambda span: route(VOICE)(span) and span.trace != host.trace, "of the second call")
    checks.equal({span.attributes["http.route"] for span in collector.seen() if span.kind == SERVER}, {VOICE, "/api/..."})
    checks.equal(one.stop(), 0)


def test_what_is_not_sent_yet_is_sent_when_the_process_is_told_to_stop():
    server.only_our_own("about our own exporter")
    collector = Collector()
    one = started(collector, OTEL_BSP_SCHEDULE_DELAY="3600000")
    place(one, 1)
    checks.equal(collector.seen(), [])
    checks.equal(one.stop(), 0)
    collector.trace(route(VOICE), "of the call", 5)


def test_a_stranger_s_context_decides_nothing_and_is_linked_to():
    server.only_our_own("Spin continues whatever trace comes in")
    collector = Collector()
    one = started(collector, OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG="1.0")
    place(one, 1, headers=[("traceparent", THEIRS), ("tracestate", "anna=600111222")])
    spans = collector.trace(route(VOICE), "of the call")
    host = named(spans, f"POST {VOICE}")
    checks.equal((host.parent, host.links, host.state), ("", [(THEIR_TRACE, THEIR_SPAN)], ""))
    checks.holds(host.trace != THEIR_TRACE, "a trace of our own")
    place(one, 2, headers=[("traceparent", "00-not-a-trace-01")])
    place(one, 3, headers=[("traceparent", THEIRS[:-2] + "00")])
    # A flag that says "not" does not hide a request either.
    checks.eventually(lambda: sum(route(VOICE)(span) for span in collector.seen()) == 3, WAIT, "three calls")
    never = Collector()
    off = started(never, OTEL_TRACES_SAMPLER="parentbased_always_off")
    place(off, 1, headers=[("traceparent", THEIRS)])
    checks.equal(off.stop(), 0)
    checks.equal(never.raw, [])


def test_behind_a_proxy_that_is_trusted_its_trace_goes_on():
    server.only_our_own("an option of our own program")
    collector = Collector()
    one = started(collector, ["--trust-trace-context"], OTEL_TRACES_SAMPLER="parentbased_always_off")
    place(one, 1)
    place(one, 2, headers=[("traceparent", THEIRS), ("tracestate", "proxy=1")])
    host = named(collector.trace(route(VOICE), "of the call"), f"POST {VOICE}")
    checks.equal((host.trace, host.parent, host.links, host.state), (THEIR_TRACE, THEIR_SPAN, [], "proxy=1"))
    checks.equal(one.stop(), 0)
    checks.equal({span.trace for span in collector.seen()}, {THEIR_TRACE})


def test_who_is_called_is_told_the_trace():
    server.only_our_own("Spin's outbound requests are Spin's")
    collector, heard = Collector(), []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append({name.lower(): value for name, value in self.headers.items()})
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    receiver = peer_server.start(Receiver)
    crm = {"name": "crm", "url": f"http://127.0.0.1:{receiver.server_address[1]}/in?who=anna", "secret": "whsec_" + "a2" * 16 + "a2U=", "allow_private": True}
    variables = server.environment(
        SPIN_VARIABLE_WEBHOOKS=json.dumps({"madrid": [crm]}), SPIN_VARIABLE_WEBHOOKS_PRIVATE="http://127.0.0.1:*", SPIN_VARIABLE_COURIER_TOKEN=COURIER,
    )
    one = started(collector, ["--deliver-every", "100ms"], variables=variables)

    def begun():
        state = one.api("/webhooks/madrid").json["destinations"][0]
        return state["condition"] != "new"

    checks.eventually(begun, WAIT, "the destination is looked at")
    place(one, 1)
    checks.eventually(lambda: heard, WAIT, "the receiver is told")
    version, trace, span, flags = heard[0]["traceparent"].split("-")
    checks.equal((version, flags), ("00", "01"))
    call = checks.eventually(lambda: [one for one in collector.seen() if (one.trace, one.id) == (trace, span)], WAIT, "the span it was told")[0]
    checks.equal((call.name, call.kind), ("POST", CLIENT))
    # Whose address it is stands in no configuration of the host's: it is not said.
    checks.equal(call.attributes, {"http.response.status_code": 204})
    receiver.shutdown()


def test_without_a_collector_calls_go_on_and_what_is_lost_is_counted():
    server.only_our_own("about our own exporter")
    collector = Collector()
    collector.kill()
    one = started(collector, OTEL_BSP_MAX_QUEUE_SIZE="40", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="10")
    for number in range(1, 31):
        place(one, number)
    counted = checks.eventually(lambda: figures(one).get("dropped", 0) > 0 and figures(one), WAIT, "dropped spans are counted")
    checks.holds(counted.get("sent", 0) == 0, counted)
    checks.eventually(lambda: "does not take traces" in one.errors(), WAIT, "it is said")
    collector.start(collector.port)
    checks.eventually(lambda: place(one, 1) and figures(one).get("sent", 0) > 0, 60, "traces are sent again")
    checks.eventually(lambda: "takes traces again" in one.errors(), WAIT, "that is said too")
    lines = one.errors().splitlines()
    checks.equal(sum("does not take traces" in line for line in lines), 1, "once, not for each")
    checks.equal(one.stop(), 0)


def test_a_collector_that_never_answers_delays_nobody():
    server.only_our_own("about our own exporter")
    collector = Collector()
    collector.hang.set()
    one = started(collector, OTEL_BSP_MAX_QUEUE_SIZE="40", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="10", OTEL_EXPORTER_OTLP_TIMEOUT="600000")
    begun = time.monotonic()
    for number in range(1, 31):
        place(one, number)
    checks.holds(time.monotonic() - begun < 30, "thirty calls")
    checks.holds(figures(one).get("dropped", 0) > 0, figures(one))
    checks.equal(one.stop(), 0)


def test_so_many_requests_are_traced_as_the_sampler_says():
    server.only_our_own("about our own sampler")
    collector = Collector()
    one = started(collector, OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0.25")
    for number in range(1, 121):
        place(one, number)
    checks.equal(one.stop(), 0)
    calls = [span for span in collector.seen() if route(VOICE)(span)]
    # Thirty of 120 are expected; that it is none, or more than 60, is less likely than one in a thousand million.
    checks.holds(1 <= len(calls) <= 60, len(calls))
    checks.equal(len([span for span in collector.seen() if span.name == "record"]), len(calls), "all of a request or nothing")


# What must not be seen, in every form in which a request can have it.
PERSONAL = ["34600111222", "600111222", "Anna", "García", "Garc%C3%ADa", "anna@", "Farola", "sesame", twilio.sid(77), "203.0.113"]


def test_no_personal_data_gets_into_traces_or_logs():
    collector = Collector()
    arguments = [] if spin.ON else ["--trust-trace-context"]
    if spin.ON:
        raise checks.OurHostOnly("Spin's own spans have path, query and address: the collector of infra/kubernetes takes them out")
    one = started(collector, arguments, OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test")
    one.with_profile()
    account = one.twilio()
    call = twilio.call(twilio.sid(77), CallerName="Anna García", SpeechResult="Farola rota, soy Anna", FromCity="Anna")
    headers = [("user-agent", "Anna"), ("x-forwarded-for", "203.0.113.9"), ("baggage", "user=Anna"), ("referer", "https://x/?q=34600111222"), ("cookie", "Anna=sesame")]
    checks.equal(account.send("/voice?who=Anna&tel=%2B34600111222", call, headers=headers).status, 200)
    checks.equal(account.send("/voice", call, method="GET", headers=headers).status in (200, 405), True)
    requests = [
        ("POST", "/telephony/twilio/34600111222/voice?tel=34600111222", b"From=34600111222"),
        ("POST", "/telephony/twilio/Anna-600111222/voice", b"Anna"),
        ("POST", "/telephony/twilio/madrid/Anna%20Garc%C3%ADa?Anna", b"Anna"),
        ("ANNA", "/telephony/twilio/madrid/Anna", b"Anna"),
        ("GET", "/api/madrid/cases?q=Anna&after=34600111222", b""),
        ("GET", "/api/madrid/cases/600111222", b""),
        ("GET", "/Anna/34600111222", b""),
        ("POST", "/forms/html/Anna/600111222", b"name=Anna"),
        ("POST", "/email/mime/madrid?to=anna@city.example", b"From: anna@example.org\r\n\r\nAnna"),
        ("POST", "/messaging/telegram/madrid", b'{"message": {"text": "Farola"}}'),
    ]
    tokens = [("authorization", "Bearer " + server.API_TOKEN), ("x-telegram-bot-api-secret-token", "sesame")]
    for method, target, body in requests:
        one.send(method, target, body, [*headers, *tokens, ("traceparent", "00-" + "34600111222".rjust(32, "a") + "-aaaaaaaaaaaaaaaa-01x")])
    checks.equal(one.api("/api/madrid/cases?q=Anna").status, 200)
    reference = one.cases()[0]["reference"]
    checks.equal(one.api(f"/api/madrid/cases/{reference}", "PATCH", {"status": "open", "assignee": "Anna"}).status, 200)
    one.api(f"/api/madrid/cases/{reference}")
    checks.equal(one.stop(), 0)
    checks.holds(len([span for span in collector.seen() if span.kind == SERVER]) > len(requests), collector.seen())
    secrets = [*PERSONAL, reference, reference.replace("-", ""), server.API_TOKEN, twilio.TOKEN, "127.0.0.1"]
    everything = b"".join(collector.raw)
    checks.equal([word for word in secrets if word.encode() in everything], [], "in what was sent to the collector")
    known = {
        "http.request.method", "http.route", "http.response.status_code", "error.type", "db.system.name", "db.namespace", "db.operation.name", "server.address",
        "ventanilla.component", "ventanilla.tenant", "ventanilla.mode",
    }
    checks.equal({name for span in collector.seen() for name in span.attributes} - known, set(), "attributes nobody has thought about")
    log = one.errors()
    checks.equal([word for word in secrets[:-1] if word in log], [], f"in the log:\n{log}")


def test_every_line_of_the_log_about_a_request_names_its_trace():
    server.only_our_own("about our own log")
    collector = Collector()
    one = started(collector)
    answer = one.send("POST", "/telephony/twilio/madrid/voice", b"From=1", [("content-type", "application/x-www-form-urlencoded")])
    checks.holds(answer.status in (401, 403), answer)
    host = named(collector.trace(route(VOICE), "of the refused call"), f"POST {VOICE}")
    lines = [json.loads(line) for line in one.errors().splitlines() if line.startswith("{")]
    about = [line for line in lines if "refused" in line.get("message", "")]
    checks.equal([line["trace_id"] for line in about], [host.trace], lines)
    spans = {span.id for span in collector.seen() if span.trace == host.trace}
    checks.holds(about[0]["span_id"] in spans, about)
    checks.equal(about[0]["component"], "telephony-twilio")


STANZA = """
[[trigger.http]]
route = "/tests/hostile/..."
component = "tests-hostile"

[component.tests-hostile]
source = "target/components/gateway.wasm"
allowed_outbound_hosts = []
sqlite_databases = ["default"]
[component.tests-hostile.variables]
settings = "{{ tests_hostile }}"
api_tokens = "{{ api_tokens }}"
[component.tests-hostile.dependencies]
"ventanilla:channel/connector@1.0.0" = { path = "target/components/tests-hostile.wasm" }
"ventanilla:store@1.0.0" = { path = "target/components/store-sqlite.wasm", inherit_configuration = ["sqlite_databases"] }
"""


def test_what_a_component_was_doing_when_it_trapped_is_closed_as_an_error():
    server.only_our_own("nobody closes them on Spin")
    remaining = signal.alarm(0)  # Compiling is not what is tried.
    build = ["cargo", "build", "--quiet", "--package", "hostile", "--profile", "component", "--target", "wasm32-unknown-unknown"]
    built = subprocess.run(build, cwd=server.ROOT, capture_output=True, text=True)
    signal.alarm(remaining)
    checks.equal(built.returncode, 0, built.stderr[-2000:])
    with open(os.path.join(server.ROOT, "target", "wasm32-unknown-unknown", "component", "hostile.wasm"), "rb") as file:
        module = file.read()
    site = sites.site(lambda text: text.replace("[variables]", '[variables]\ntests_hostile = { default = "{}", secret = true }') + STANZA, {"tests-hostile.wasm": module})
    collector = Collector()
    settings = {"madrid": {"public_url": "https://city.example/tests/hostile/madrid", "key": KEY}}
    one = started(collector, cwd=site, variables=server.environment(SPIN_VARIABLE_TESTS_HOSTILE=json.dumps(settings)))
    for deed, step, why in (("translate-panic", "translate", "trap"), ("authenticate-panic", "authenticate", "trap"), ("translate-greed", "translate", "memory")):
        seen = {span.trace for span in collector.seen()}
        answer = one.send("POST", f"/tests/hostile/madrid/{deed}", deed.encode(), [("x-key", KEY)], timeout=40)
        kept = step == "translate"
        checks.equal(answer.status, 200 if kept else 500, answer.text)
        spans = collector.trace(lambda span: route("/tests/hostile/...")(span) and span.trace not in seen, f"of {deed}")
        runs = sorted((span for span in spans if span.name == "run component"), key=lambda span: span.start)
        checks.equal([run.attributes.get("ventanilla.mode") for run in runs], [None, "quarantine"], deed)
        checks.equal([run.attributes.get("error.type") for run in runs], [why, None if kept else why], deed)
        broken = [span for span in spans if span.name == step and span.failed]
        checks.equal([(span.parent, span.attributes["error.type"]) for span in broken[:1]], [(runs[0].id, why)], deed)
        host = named(spans, "POST /tests/hostile/...")
        checks.equal(host.failed, not kept, deed)
        if kept:
            checks.equal((named(spans, "record").parent, named(spans, "record").failed), (runs[1].id, False))
    # The instances that serve the next request have nothing of it.
    answer = one.send("POST", "/tests/hostile/madrid/well", b"well", [("x-key", KEY)])
    checks.equal(answer.status, 200, answer.text)
    spans = collector.trace(lambda span: route("/tests/hostile/...", 200)(span) and span.trace not in seen and not any(other.failed for other in collector.seen() if other.trace == span.trace), "of a good one")
    checks.equal([span.attributes.get("ventanilla.mode") for span in spans if span.name == "run component"], [None])


def test_a_request_to_the_api_or_to_webhooks_is_a_trace_with_its_statements():
    server.only_our_own("Spin 4.1 has no spans of databases")
    collector = Collector()
    one = started(collector).with_profile()
    place(one, 1)
    reference = one.cases()[0]["reference"]
    # A tenant without destinations is not found, which the store is asked for first.
    for method, target, body, component in (
        ("GET", f"/api/madrid/cases/{reference}", None, "api"), ("PATCH", f"/api/madrid/cases/{reference}", {"status": "open"}, "api"), ("GET", "/webhooks/madrid", None, "webhooks"),
    ):
        seen = {span.trace for span in collector.seen()}
        one.api(target, method, body)
        path = f"/{component}/..."
        # Not the program's own question for its tenants, at the start, which is of none of them.
        name, tenant = f"{method} {path}", "madrid" if component == "api" else None
        spans = collector.trace(
            lambda span: span.name == name and span.trace not in seen and span.attributes.get("ventanilla.tenant") == tenant, f"of {method} {target}"
        )
        host, run = named(spans, name), named(spans, "run component")
        checks.equal((run.parent, run.attributes), (host.id, {"ventanilla.component": component}))
        asked = [span for span in spans if span.kind == CLIENT]
        checks.holds(asked and all(span.parent == run.id for span in asked), f"{method} {target}: {spans}")
        system = "postgresql" if profile.POSTGRES else "sqlite"
        checks.equal({span.attributes["db.system.name"] for span in asked}, {system})
        checks.holds(any("db.operation.name" in span.attributes for span in asked), asked)
    checks.holds(reference.encode() not in b"".join(collector.raw), "the case's reference is in no span")


TRUST = "OTEL_EXPORTER_OTLP_CERTIFICATE"
CLIENT_CERTIFICATE, CLIENT_KEY = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_KEY"


def test_a_collector_is_believed_by_its_own_authority_and_told_who_sends():
    server.only_our_own("about our own exporter")
    ours = certificates.Authority(server.folder(), "authority")
    collector = Collector(tls=ours.context("collector", ["DNS:localhost"], clients=ours))
    certificate, key = ours.issue("window", ["DNS:window.example"])
    one = started(collector, **{TRUST: ours.pem, CLIENT_CERTIFICATE: certificate, CLIENT_KEY: key})
    place(one, 1)
    collector.trace(route(VOICE), "of the call, encrypted")
    checks.equal(collector.senders[0]["subject"], ((("commonName", "window"),),))
    checks.equal(one.stop(), 0)
    checks.holds("does not take traces" not in one.errors(), one.errors())


def test_a_certificate_that_is_not_believed_costs_spans_and_no_call_and_is_said_once_with_what_to_do():
    server.only_our_own("about our own exporter")
    ours, other = certificates.Authority(server.folder(), "authority"), certificates.Authority(server.folder(), "other")
    for_localhost = ours.context("collector", ["DNS:localhost"])
    asking = ours.context("strict", ["DNS:localhost"], clients=ours)
    # TLS 1.3 refuses after the handshake, when the client has begun to send: then the connection's end may be all that it hears.
    asking.maximum_version = ssl.TLSVersion.TLSv1_2
    strict = Collector(tls=asking)
    plain = Collector()
    plain.url = plain.url.replace("http:", "https:")
    cleartext = Collector(tls=for_localhost)
    cleartext.url = cleartext.url.replace("https:", "http:")
    cases = [
        # Nobody's authority; another one's; another name; no TLS there; TLS there; a collector that wants to know who sends.
        (Collector(tls=for_localhost), {}, TRUST),
        (Collector(tls=for_localhost), {TRUST: other.pem}, TRUST),
        (Collector(tls=ours.context("elsewhere", ["DNS:collector.example"])), {TRUST: ours.pem}, "the name that its certificate is for"),
        (plain, {TRUST: ours.pem}, "write http://"),
        (cleartext, {}, "https://"),
        (strict, {TRUST: ours.pem}, CLIENT_CERTIFICATE),
    ]
    running = [(started(collector, **more), collector, remedy) for collector, more, remedy in cases]
    for one, _, _ in running:
        place(one, 1)
    for one, collector, remedy in running:
        # Given up: four tries were made.
        checks.eventually(lambda: figures(one).get("failed", 0) > 0, WAIT, f"spans are given up: {remedy}")
        place(one, 2)
        said = [json.loads(line) for line in one.errors().splitlines() if "does not take traces" in line]
        checks.equal([line["level"] for line in said], ["WARN"], one.errors())
        checks.contains(said[0]["message"], remedy)
        checks.equal((collector.raw, figures(one).get("sent", 0)), ([], 0))
        checks.equal(len(one.cases()), 2)


def test_files_of_certificates_that_can_not_be_used_end_the_start_and_are_named():
    server.only_our_own("our own program's start")
    ours, folder = certificates.Authority(server.folder(), "authority"), server.folder()
    certificate, key = ours.issue("window", ["DNS:window.example"])
    note = os.path.join(folder, "note.txt")
    with open(note, "w") as file:
        file.write("the certificate is with the colleague\n")
    for variables, named_ in (
        ({TRUST: note}, TRUST), ({TRUST: os.path.join(folder, "none.pem")}, TRUST), ({TRUST: ours.key}, TRUST), ({CLIENT_CERTIFICATE: certificate}, CLIENT_KEY),
        ({CLIENT_CERTIFICATE: certificate, CLIENT_KEY: certificate}, CLIENT_KEY), ({CLIENT_CERTIFICATE: certificate, CLIENT_KEY: ours.key}, CLIENT_KEY),
    ):
        env = server.environment(**{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://localhost:9", **variables})
        status, out, err = server.command("up", "--listen", "127.0.0.1:0", "--data", server.folder(), env=env)
        checks.equal(status, 1, f"{variables}: {out}")
        checks.contains(err, named_)
        with open(ours.key) as file:
            checks.holds(file.read().splitlines()[1] not in err, "the key is in the error")


def test_a_setting_that_can_not_be_meant_ends_the_start_and_is_named():
    server.only_our_own("our own program's start")
    for name, wrong in (("OTEL_TRACES_SAMPLER", "sometimes"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")):
        env = server.environment(**{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", name: wrong})
        status, out, err = server.command("up", "--listen", "127.0.0.1:0", "--data", server.folder(), env=env)
        checks.equal(status, 1, out)
        checks.contains(err, name)


def test_on_spin_a_trace_goes_on_from_the_caller_to_the_component():
    if not spin.ON:
        raise checks.OurHostOnly("for --on spin")
    collector = Collector()
    one = started(collector, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf")
    place(one, 1, headers=[("traceparent", THEIRS), ("x-forwarded-for", "203.0.113.9")])

    def complete():
        spans = [span for span in collector.seen() if span.trace == THEIR_TRACE]
        return spans if any(span.kind == SERVER for span in spans) else None

    spans = checks.eventually(complete, WAIT, "the trace of the call")
    host = [span for span in spans if span.kind == SERVER][0]
    checks.equal(host.parent, THEIR_SPAN)
    # Spin 4.1 has no span around what a component asks of it by WASI 0.3: databases are not in the trace.
    checks.equal([span.parent for span in spans if "telephony-twilio" in span.name], [host.id], spans)


def test_what_spin_s_spans_say_of_citizens_is_taken_out_by_the_collector():
    if not spin.ON:
        raise checks.OurHostOnly("for --on spin")
    with open(os.path.join(server.ROOT, "infra", "kubernetes", "components", "telemetry", "collector-config.yaml")) as file:
        removed = set(re.findall(r"- key: (\S+)\n +action: delete", file.read()))
    collector = Collector()
    one = started(collector, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf")
    call = twilio.call(twilio.sid(77), CallerName="Anna García")
    answer = one.twilio().send("/voice?who=Anna&tel=%2B34600111222", call, headers=[("x-forwarded-for", "203.0.113.9"), ("user-agent", "Anna"), ("traceparent", THEIRS)])
    checks.equal(answer.status, 200, answer.text)
    checks.eventually(lambda: [span for span in collector.seen() if span.trace == THEIR_TRACE and span.kind == SERVER], WAIT, "the trace of the call")
    personal = [*PERSONAL, "127.0.0.1"]
    found = {name for span in collector.seen() for name, said in span.attributes.items() if any(word in str(said) for word in personal)}
    checks.holds("url.query" in found, found)
    checks.equal(found - removed, set(), "attributes that no collector of ours takes out")
    checks.equal([span.name for span in collector.seen() if any(word in span.name for word in personal)], [])


if __name__ == "__main__":
    checks.main(globals(), limit=240)

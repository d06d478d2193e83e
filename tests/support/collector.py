"""A collector of traces that is played: OTLP over HTTP, read with the official schema of OpenTelemetry. Call `peers.inside_python(PYPI)` before importing it."""

import http.server
import re
import threading
import time

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from . import checks, peer_server, server, twilio

WAIT = 30
SERVER, CLIENT, INTERNAL = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_INTERNAL
VOICE = "/telephony/twilio/..."
_RUNNING = []


def value(of):
    return getattr(of, of.WhichOneof("value"))


class Collector:
    """Takes OTLP over HTTP, as the specification has it."""

    def __init__(self, status=200, tls=None):
        """`tls`: an `ssl.SSLContext`, of a server."""
        self.status, self.tls, self.spans, self.raw, self.requests, self.lock = status, tls, [], [], [], threading.Lock()
        # Who sent, by certificate; why a client hung up during the handshake.
        self.senders, self.broken = [], []
        self.hang = threading.Event()
        self.start(0)
        _RUNNING.append(self)

    def start(self, port):
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                if collector.tls:
                    try:
                        self.request = collector.tls.wrap_socket(self.request, server_side=True)
                    except OSError as error:
                        collector.broken.append(getattr(error, "reason", None) or str(error))
                        raise ConnectionAbortedError from None
                    collector.senders.append(self.request.getpeercert())
                super().setup()

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if collector.hang.is_set():
                    time.sleep(60)
                if collector.status == 200:
                    collector.take(dict(self.headers.items()), self.path, body)
                try:
                    self.send_response(collector.status)
                    self.send_header("content-length", "0")
                    self.end_headers()
                except OSError:
                    pass

            def log_message(self, *_):
                pass

        self.server = peer_server.start(Handler, port)
        self.port = self.server.server_address[1]
        self.url = f"https://localhost:{self.port}" if self.tls else f"http://127.0.0.1:{self.port}"

    def take(self, headers, path, body):
        request = ExportTraceServiceRequest.FromString(body) if path.endswith("/v1/traces") else ExportTraceServiceRequest()
        with self.lock:
            self.raw.append(body)
            self.requests.append((path, headers))
            for of in request.resource_spans:
                resource = {pair.key: value(pair.value) for pair in of.resource.attributes}
                self.spans += [One(span, resource) for scoped in of.scope_spans for span in scoped.spans]

    def kill(self):
        self.server.shutdown()
        self.server.server_close()

    def seen(self):
        with self.lock:
            return list(self.spans)

    def trace(self, found, what, seconds=WAIT):
        """All spans of the trace whose server's span fits. A request's spans leave together."""
        def look():
            for one in self.seen():
                if one.kind == SERVER and found(one):
                    return [other for other in self.seen() if other.trace == one.trace]
            return None
        return checks.eventually(look, seconds, f"a trace {what}; there are {[one.name for one in self.seen()]}")


class One:
    """A span."""

    def __init__(self, span, resource):
        self.trace, self.id, self.parent = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
        self.name, self.kind, self.state = span.name, span.kind, span.trace_state
        self.start, self.end, self.failed = span.start_time_unix_nano, span.end_time_unix_nano, span.status.code == 2
        self.attributes = {pair.key: value(pair.value) for pair in span.attributes}
        self.links = [(link.trace_id.hex(), link.span_id.hex()) for link in span.links]
        self.resource = resource

    def __repr__(self):
        return f"{self.name} {self.attributes}"


def named(spans, name):
    found = [span for span in spans if span.name == name]
    checks.equal(len(found), 1, f"spans named {name} of {spans}")
    return found[0]


def route(text, status=None):
    return lambda span: span.attributes.get("http.route") == text and (status is None or span.attributes.get("http.response.status_code") == status)


def started(collector, arguments=(), cwd=server.ROOT, ready=True, variables=None, **more):
    """A server that sends its traces there, soon."""
    env = variables or server.environment()
    env.update({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100", **more})
    one = server.Server(env=env, arguments=arguments, cwd=cwd, ready=ready)
    _RUNNING.append(one)
    return one


def place(one, number, **more):
    """A call."""
    answer = one.twilio().send("/voice", twilio.call(twilio.sid(number)), **more)
    checks.equal(answer.status, 200, answer.text)
    return answer


def figures(one):
    """How many spans went where."""
    text = one.send("GET", "/metrics").text
    return {result: int(count) for result, count in re.findall(r'ventanilla_trace_spans_total\{result="(\w+)"\} (\d+)', text)}


def clean():
    """Ends every server and collector."""
    while _RUNNING:
        try:
            _RUNNING.pop().kill()
        except OSError:
            pass

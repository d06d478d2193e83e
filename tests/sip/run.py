#!/usr/bin/env python3
"""Real SIP calls: SIPp -> Kamailio (infra/sip/kamailio.cfg) -> Ventanilla -> routing answer -> SIPp.

Every story is played twice: against the real program (`ventanilla up`, which has to store what the proxy reports), and against a
stub that plays Ventanilla, which proves the proxy's configuration alone and can be slow at will. Ventanilla stopped is the
story of an address where nobody listens. Words as arguments choose stories. Prints one JSON line per story; fails if one fails or
none ran. Needs what debian.txt lists.
"""
import json, os, pathlib, shutil, socket, subprocess, sys, tempfile, time, urllib.request
from http.server import BaseHTTPRequestHandler

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import peer_server, server  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SECRET = "test-only-secret"


def free_port(kind=socket.SOCK_DGRAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Stub:
    """Plays Ventanilla: keeps every report, routes every call to the department."""

    def __init__(self, department_port, ring_ms):
        stub = self
        self.reports, self.refused, self.delay_s = [], 0, 0

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                time.sleep(stub.delay_s)
                if self.headers["x-ventanilla-secret"] != SECRET or self.headers["content-type"] != "application/json":
                    stub.refused += 1
                    return self.answer(403, {})
                report = json.loads(body)
                stub.reports.append(report)
                route = {"uri": f"sip:desk@127.0.0.1:{department_port}", "fr_inv_timer": ring_ms,
                         "headers": {"extra": "X-Case-Reference: 482-109-3726\r\n"}}
                self.answer(200, {"version": "1.0", "routing": "serial", "routes": [route]} if report["event"] == "invite" else {"ok": True})

            def answer(self, status, value):
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = peer_server.start(Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/telephony/sip/demo"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def kinds(self, call):
        return [report["event"] for report in self.reports if report["call_id"].startswith(call + "-")]


class Real:
    """Asks the API what was stored."""

    KINDS = {"call.started": "invite", "status": "answered", "call.ended": "bye", "message": "message"}

    def __init__(self, url, events, token):
        self.url, self.events, self.token = url, events, token

    def kinds(self, call):
        found, after = [], ""
        while True:
            request = urllib.request.Request(f"{self.events}?connector=telephony/sip&limit=200&after={after}",
                                             headers={"authorization": f"Bearer {self.token}"})
            page = json.load(urllib.request.urlopen(request, timeout=10))
            found += [event for event in page["events"] if event.get("call_id", "").startswith(call + "-")]
            after = page.get("next")
            if not after:
                return [self.KINDS.get(event["kind"], event.get("status")) for event in found]

    def stop(self):
        pass


class Proxy:
    """One Kamailio."""

    def __init__(self, url, secret, fallback=""):
        self.port = free_port()
        self.folder = tempfile.mkdtemp(prefix="kamailio-")
        self.log = open(os.path.join(self.folder, "log"), "wb+")
        environment = dict(os.environ, VENTANILLA_URL=url, VENTANILLA_SECRET=secret, FALLBACK_URI=fallback)
        self.process = subprocess.Popen(
            ["kamailio", "-f", str(ROOT / "infra/sip/kamailio.cfg"), "-DD", "-E", "-Y", self.folder, "-w", self.folder, "-P", os.path.join(self.folder, "pid"),
             "-l", f"udp:127.0.0.1:{self.port}", "-m", "64", "-M", "8"],
            env=environment, stdout=self.log, stderr=self.log)
        options = (f"OPTIONS sip:127.0.0.1:{self.port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bK1\r\n"
                   "From: <sip:probe@127.0.0.1>;tag=1\r\nTo: <sip:probe@127.0.0.1>\r\nCall-ID: probe\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            probe.settimeout(0.3)
            for _ in range(60):
                if self.process.poll() is not None:
                    break
                try:
                    probe.sendto((options % probe.getsockname()[1]).encode(), ("127.0.0.1", self.port))
                    if probe.recv(2048).startswith(b"SIP/2.0 200"):
                        return
                except OSError:
                    time.sleep(0.1)
        raise SystemExit("kamailio did not start:\n" + self.tail())

    def tail(self):
        self.log.flush()
        return pathlib.Path(self.log.name).read_text(errors="replace")[-3000:]

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def sipp(scenario, call, port, target=None, code=None, folder="."):
    text = (HERE / "scenarios" / f"{scenario}.xml").read_text()
    path = pathlib.Path(folder) / f"{call}-{scenario}.xml"
    path.write_text(text.replace('response="CODE"', f'response="{code}"'))
    command = ["sipp", "-sf", str(path), "-i", "127.0.0.1", "-p", str(port), "-m", "1", "-nostdin", "-timeout", "25", "-timeout_error",
               "-cid_str", f"{call}-%u-%p@%s", "-trace_err", "-error_file", str(path) + ".err"]
    if target:
        command += ["-s", "010", f"127.0.0.1:{target}"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), path


def play(name, proxy, department, department_port, caller, code, expected, sink, wait_s=6):
    """One call: plays both sides, then waits for the reports."""
    call = f"{name}-{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        sides = []
        if department:
            sides.append((department, *sipp(department, call, department_port, folder=folder)))
            time.sleep(0.4)
        sides.append((caller, *sipp(caller, call, free_port(), proxy.port, code, folder)))
        problems = []
        for side, process, path in sides:
            if process.wait() != 0:
                error = pathlib.Path(str(path) + ".err")
                problems.append(f"{side}: sipp ended with {process.returncode}: {error.read_text(errors='replace')[-600:] if error.exists() else ''}")
    if sink:
        until = time.time() + wait_s
        while sink.kinds(call) != expected and time.time() < until:
            time.sleep(0.1)
        # What comes too much, comes soon.
        time.sleep(0.5)
        kinds = sink.kinds(call)
        if sorted(map(str, kinds)) != sorted(expected):
            problems.append(f"reports were {kinds}, expected {expected}")
    print(json.dumps({"story": name, "ok": not problems, **({"problems": problems, "log": proxy.tail()} if problems else {})}), flush=True)
    return not problems


def main():
    words = sys.argv[1:]
    for program in ("kamailio", "sipp"):
        if not shutil.which(program):
            packages = [line.split()[-1] for line in (HERE / "debian.txt").read_text().splitlines() if not line.startswith("#")]
            raise SystemExit(f"{program} is missing: apt-get install {' '.join(packages)}")
    desk = free_port()
    results = []

    def story(name, *arguments, **keywords):
        if not words or any(word in name for word in words):
            results.append(play(name, *arguments, **keywords))

    def calls(prefix, sink):
        proxy = Proxy(sink.url, SECRET)
        try:
            story(f"{prefix}-answered", proxy, "department-answers", desk, "caller-answered", None, ["invite", "answered", "bye"], sink)
            story(f"{prefix}-cancelled", proxy, "department-rings", desk, "caller-cancels", None, ["invite", "cancel"], sink)
            story(f"{prefix}-unanswered", proxy, "department-rings", desk, "caller-refused", 408, ["invite", "no-answer"], sink)
            story(f"{prefix}-busy", proxy, "department-busy", desk, "caller-refused", 486, ["invite", "busy"], sink)
            story(f"{prefix}-refused", proxy, "department-declines", desk, "caller-refused", 603, ["invite", "refused"], sink)
            story(f"{prefix}-message", proxy, None, desk, "sender", 202, ["message"], sink)
        finally:
            proxy.stop()

    with real(desk) as running:
        sink = Real(f"{running.url}/telephony/sip/madrid", f"{running.url}/api/madrid/events", server.API_TOKEN)
        calls("real", sink)
        if not words:
            results.append(missed_calls_are_cases(running))
    server.clean()

    sink = Stub(desk, 3000)
    calls("stub", sink)

    # Ventanilla stopped: nobody listens there.
    dead = f"http://127.0.0.1:{free_port(socket.SOCK_STREAM)}/telephony/sip/demo"
    for fallback, name, arguments in (
        (f"sip:switchboard@127.0.0.1:{desk}", "stopped-fallback-answers", ("department-answers", desk, "caller-answered", None, [])),
        ("", "stopped-no-fallback", (None, desk, "caller-refused", 503, [])),
    ):
        proxy = Proxy(dead, SECRET, fallback)
        try:
            story(name, proxy, *arguments, None)
            if not fallback:
                story("stopped-message", proxy, None, desk, "sender", 503, [], None)
        finally:
            proxy.stop()

    # Ventanilla slow: the caller has the fallback in time. And back again: what waited is delivered.
    if not words or any(word in "slow-fallback-answers" for word in words):
        sink.delay_s = 5
        proxy = Proxy(sink.url, SECRET, f"sip:switchboard@127.0.0.1:{desk}")
        try:
            began = time.time()
            story("slow-fallback-answers", proxy, "department-answers", desk, "caller-answered", None, [], None)
            took = time.time() - began
            sink.delay_s = 0
            until = time.time() + 20
            wanted = {"invite", "answered", "bye"}
            delivered = lambda: {kind for kind in sink.kinds(f"slow-fallback-answers-{os.getpid()}")}
            while not wanted <= delivered() and time.time() < until:
                time.sleep(0.2)
            ok = wanted <= delivered() and took < 8
            results.append(ok)
            print(json.dumps({"story": "delivered-when-back", "ok": ok, "delivered": sorted(delivered()), "took_s": round(took, 1)}), flush=True)
        finally:
            proxy.stop()
    sink.stop()
    if not results or not all(results):
        sys.exit(1)


def real(desk):
    """`ventanilla up` whose tenant routes the number 010 to the department's telephone."""
    settings = {"madrid": {"public_url": "https://city.example/telephony/sip/madrid", "shared_secret": SECRET,
                           "numbers": {"010": "desk"}, "ring_timeout_s": 3}}
    running = server.Server(env=server.environment(SPIN_VARIABLE_TELEPHONY_SIP=json.dumps(settings)))
    department = {"code": "desk", "name": [{"language": "es", "text": "Centralita"}], "sip": f"sip:desk@127.0.0.1:{desk}"}
    return running.with_profile(dict(server.PROFILE, departments=[department]))


def missed_calls_are_cases(running):
    """Cancelled, unanswered, busy and refused: each of them a case of its own with somebody to call back."""
    cases = running.cases()
    tasks = [task["task"] for case in cases for task in running.case(case["reference"]).get("tasks", [])]
    missed = [event for event in running.events() if event["kind"] == "call.missed"]
    ok = len(missed) == 4 and tasks.count("call_back") == 4 and len({event["case"]["reference"] for event in missed}) == 4
    print(json.dumps({"story": "real-missed-calls-are-cases", "ok": ok, "missed": len(missed), "tasks": tasks}), flush=True)
    return ok


if __name__ == "__main__":
    main()

"""Webhooks to the administration's own systems. The receivers verify and parse with the official libraries of Standard Webhooks and of
CloudEvents, from PyPI and npm."""

import base64
import http.client
import http.server
import json
import os
import socket
import sqlite3
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, peer_server, peers, postgres, profile, server, spin, twilio  # noqa: E402

PYPI = {"twilio": peers.TWILIO_PYPI, "standardwebhooks": "1.0.1", "cloudevents": "1.12.0"}
NPM = {"standardwebhooks": "1.0.0", "cloudevents": "10.0.0"}
peers.inside_python(PYPI)

from cloudevents.http import from_http  # noqa: E402
from standardwebhooks.webhooks import Webhook, WebhookVerificationError  # noqa: E402

COURIER = "fake-courier-token"
SOURCE = "https://desk.example"
RUNNING = []
TIMES = "the component is the same, and each start of Spin compiles everything: the others show that it runs there"


def secret(letter):
    """A secret of 32 bytes."""
    return "whsec_" + base64.b64encode((letter * 32).encode()).decode()


class Receiver:
    """A system of the administration: it takes what it can verify and parse, and answers as it is told to."""

    def __init__(self, key="k", port=0):
        self.secret, self.port = secret(key), port
        self.took, self.refused, self.raw, self.answers, self.times = [], [], [], [], []
        self.hold, self.lock = 0, threading.Lock()
        self.start()
        RUNNING.append(self)

    def start(self):
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, more = receiver.answer(headers, body, self.path)
                try:
                    self.send_response(status)
                    for name, value in {"content-length": "0", **more}.items():
                        self.send_header(name, value)
                    self.end_headers()
                except OSError:
                    pass  # Who asked is dead, or has lost patience.

            do_GET = do_POST

            def log_message(self, *_):
                pass

        self.server = peer_server.start(Handler, self.port)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/in"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    kill = stop

    def answer(self, headers, body, path):
        with self.lock:
            self.raw.append((headers, body))
            self.times.append(time.monotonic())
            status, more = self.answers.pop(0) if self.answers else (204, {})
        time.sleep(self.hold)
        if status // 100 != 2:
            return status, more
        try:
            Webhook(self.secret).verify(body, headers)
            event = from_http(headers, body)
        except Exception as error:  # Whatever the libraries do not take.
            self.refused.append(f"{type(error).__name__}: {error}")
            return 401, {}
        with self.lock:
            self.took.append((headers["webhook-id"], path, event))
        return status, more

    def ids(self):
        return [event["id"] for _, _, event in list(self.took)]

    def data(self):
        return [event.data for _, _, event in list(self.took)]

    def has(self, number, seconds=20):
        checks.eventually(lambda: len(self.took) >= number, seconds, f"{number} taken, not {len(self.took)}; refused: {self.refused[:1]}")


def destination(receiver, name="crm", **more):
    return {"name": name, "url": receiver.url, "secret": receiver.secret, "allow_private": True, "source": SOURCE, **more}


def environment(webhooks, private="http://127.0.0.1:*"):
    variable = webhooks if isinstance(webhooks, str) else json.dumps(webhooks)
    return server.environment(SPIN_VARIABLE_WEBHOOKS=variable, SPIN_VARIABLE_WEBHOOKS_PRIVATE=private, SPIN_VARIABLE_COURIER_TOKEN=COURIER)


def started(webhooks, data=None, every="100ms", private="http://127.0.0.1:*"):
    if isinstance(webhooks, list):
        webhooks = {"madrid": webhooks}
    # On Spin nothing has a timer.
    arguments = [] if spin.ON else ["--deliver-every", every]
    one = server.Server(data=data, env=environment(webhooks, private), arguments=arguments)
    RUNNING.append(one)
    if every != "0":
        drive(one)
        # They begin with what is stored from their first look on.
        tenants = {"madrid": server.API_TOKEN, "sevilla": server.OTHER_TOKEN}
        checks.eventually(lambda: all("new" != d["condition"] for t in webhooks for d in states(one, t, tenants[t]).values()), 20, "all have begun")
    return one


def drive(one):
    """Spin has no timer: somebody else's drives it there."""
    if not spin.ON:
        return

    def run():
        while one.process.poll() is None:
            try:
                one.api("/webhooks/-/deliver", "POST", token=COURIER)
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.1)

    for _ in range(2):
        threading.Thread(target=run, daemon=True).start()


def deliver(one, *arguments, timeout=60):
    env = {**environment("{}"), "VENTANILLA_COURIER_TOKEN": COURIER}
    try:
        return server.command("--url", one.url, "deliver", *arguments, env=env, timeout=timeout)
    except server.subprocess.TimeoutExpired:
        return None


def states(one, tenant="madrid", token=server.API_TOKEN):
    answer = one.api(f"/webhooks/{tenant}", token=token)
    checks.equal(answer.status, 200, answer.text)
    return {state["name"]: state for state in answer.json["destinations"]}


def calls(one, numbers):
    account = one.twilio()
    for number in numbers:
        answer = account.send("/voice", twilio.call(twilio.sid(number)))
        checks.equal(answer.status, 200, answer.text)


def finish():
    for one in RUNNING:
        try:
            one.kill()
        except OSError:
            pass
    server.clean()


def test_every_event_and_every_change_is_told_as_a_signed_cloudevent_in_order():
    crm = Receiver()
    one = started([destination(crm)])
    calls(one, [1, 2])
    reference = one.events()[0]["case"]["reference"]
    answer = one.api(f"/api/madrid/cases/{reference}", "PATCH", {"status": "open", "assignee": "ana"})
    checks.equal(answer.status, 200, answer.text)
    calls(one, [3])
    crm.has(5)
    checks.equal(crm.refused, [])
    events = [event for _, _, event in crm.took]
    checks.equal([event["kind"] for event in events], ["call.started", "call.started", "case.updated", "case.updated", "call.started"])
    stored = one.events()
    checks.equal([event.data for event in events if event["type"] == "dev.ventanilla.event.received"], stored)
    checks.equal([event["id"] for event in events if event["kind"] != "case.updated"], [event["id"] for event in stored])
    history = one.case(reference)["history"]
    changes = [event.data for event in events if event["type"] == "dev.ventanilla.case.updated"]
    checks.equal([{name: value for name, value in change.items() if name not in ("tenant", "case")} for change in changes], history)
    checks.equal({(change["case"]["reference"], change["tenant"]) for change in changes}, {(reference, "madrid")})
    for webhook, path, event in crm.took:
        checks.equal((webhook, path), (event["id"], "/in"))
        checks.equal((event["specversion"], event["datacontenttype"]), ("1.0", "application/json"))
        checks.holds(event["subject"] == event.data["case"]["reference"], "subject")
        place = "/api/madrid/cases" if event["kind"] == "case.updated" else "/telephony/twilio/madrid"
        checks.equal(event["source"], SOURCE + place)
    sequence = [event["sequence"] for event in events]
    checks.equal((sequence, len(set(sequence))), (sorted(sequence), 5))
    checks.equal(len({event["id"] for event in events}), 5)
    headers, _ = crm.raw[0]
    checks.equal(headers["content-type"].split(";")[0], "application/cloudevents+json")
    shown = states(one)["crm"]
    checks.equal((shown["condition"], shown["delivered"], shown["waiting"], shown["host"]), ("running", 5, 0, f"127.0.0.1:{crm.port}"))


def test_npm_s_libraries_take_the_same_and_an_altered_one_is_refused_by_both():
    crm, node = Receiver(), peers.Node(os.path.join(os.path.dirname(os.path.abspath(__file__)), "receiver.mjs"), NPM)
    try:
        gis = {"name": "gis", "url": node.ask("begin", secret=secret("n"))["url"], "secret": secret("n"), "allow_private": True, "source": SOURCE}
        one = started([destination(crm), gis])
        calls(one, [1, 2, 3])
        crm.has(3)
        checks.eventually(lambda: len(node.ask("took")["took"]) == 3, 20, "npm's receiver has three")
        told = node.ask("took")
        checks.equal(told["refused"], [])
        checks.equal([event["id"] for event in told["took"]], crm.ids())
        checks.equal([event["data"] for event in told["took"]], crm.data())
        checks.equal([event["sequence"] for event in told["took"]], [event["sequence"] for _, _, event in crm.took])
        headers, body = crm.raw[0]
        signed = {name: headers[name] for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}

        def verdicts(body, headers, key=crm.secret):
            try:
                Webhook(key).verify(body, headers)
                python = True
            except WebhookVerificationError:
                python = False
            return python, node.ask("verify", body=body.decode(), headers=headers, secret=key)["verified"]

        checks.equal(verdicts(body, signed), (True, True), "as it was sent")
        later = {**signed, "webhook-timestamp": str(int(signed["webhook-timestamp"]) + 1)}
        for what, altered in {
            "a byte of the body": (body.replace(b"madrid", b"madrit", 1), signed),
            "the id": (body, {**signed, "webhook-id": signed["webhook-id"] + "0"}),
            "the time": (body, later),
            "the signature": (body, {**signed, "webhook-signature": "v1," + base64.b64encode(bytes(32)).decode()}),
        }.items():
            checks.equal(verdicts(*altered), (False, False), what)
        checks.equal(verdicts(body, signed, secret("x")), (False, False), "another secret")
    finally:
        node.close()


def test_while_a_secret_is_changed_both_the_old_and_the_new_one_verify():
    server.only_our_own(TIMES)
    old, new = Receiver("o"), Receiver("n")
    both = [old.secret, new.secret]
    one = started([destination(old, "old", secret=both), destination(new, "new", secret=both)])
    calls(one, [1])
    old.has(1)
    new.has(1)
    checks.equal((old.refused, new.refused), ([], []))
    checks.equal(len(old.raw[0][0]["webhook-signature"].split()), 2)


def test_a_receiver_that_fails_is_tried_again_with_the_same_id_and_nothing_overtakes():
    crm = Receiver()
    one = started([destination(crm)])
    crm.answers = [(500, {}), (429, {"retry-after": "1"}), (503, {"retry-after": "1"})]
    calls(one, [1, 2, 3])
    checks.eventually(lambda: "reason" in states(one)["crm"], 10, "it says that it fails")
    failing = states(one)["crm"]
    checks.contains(failing["reason"], "500")
    checks.holds(failing["waiting"] == 3 and failing["attempts"] == 1 and failing["failing_since"] and failing["due_at"], failing)
    crm.has(3, 30)
    checks.equal(crm.ids(), [event["id"] for event in one.events()])
    tried = [headers["webhook-id"] for headers, _ in crm.raw]
    checks.equal(tried, [tried[0]] * 4 + crm.ids()[1:])
    checks.equal(len({body for headers, body in crm.raw if headers["webhook-id"] == tried[0]}), 1, "the same bytes")
    pauses = [later - earlier for earlier, later in zip(crm.times, crm.times[1:])]
    checks.holds(pauses[0] >= 4.9, f"5 s after a 500: {pauses}")
    checks.holds(0.9 <= pauses[1] < 4 and 0.9 <= pauses[2] < 4, f"1 s, as it asked for: {pauses}")
    checks.holds("reason" not in states(one)["crm"], "it is well again")


def test_who_is_down_or_hangs_does_not_delay_the_others():
    up, hanging = Receiver("u"), Receiver("h")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}/"
    hanging.hold = 30
    down = {**destination(up, "down"), "url": nobody}
    one = started([down, destination(hanging, "hanging"), destination(up, "up")])
    begun = time.monotonic()
    for number in range(1, 6):
        calls(one, [number])
        up.has(number, 5)
    checks.holds(time.monotonic() - begun < 8, "the one that is up is told at once")
    checks.equal(len(hanging.raw), 1, "asked once, and leased")
    shown = states(one)
    checks.equal((shown["up"]["delivered"], shown["down"]["delivered"], shown["hanging"]["delivered"]), (5, 0, 0))
    checks.contains(checks.eventually(lambda: states(one)["down"].get("reason"), 10, "a reason"), "not reached")
    # Whoever gives up first says why: the component, or what sends for it.
    reason = checks.eventually(lambda: states(one)["hanging"].get("reason"), 20, "a reason")
    checks.holds("no complete answer in time" in reason or "there was no answer" in reason, reason)


def test_a_redirect_is_not_followed():
    server.only_our_own(TIMES)
    crm, elsewhere = Receiver(), Receiver()
    crm.answers = [(status, {"location": elsewhere.url}) for status in (302, 307)]
    one = started([destination(crm)])
    calls(one, [1])
    checks.contains(checks.eventually(lambda: states(one)["crm"].get("reason"), 10, "a reason"), "302", "not followed")
    checks.equal(len(elsewhere.raw), 0)
    answer = one.api("/webhooks/madrid/crm/resume", "POST")
    checks.equal((answer.status, answer.json["condition"]), (200, "running"))
    checks.eventually(lambda: len(crm.raw) == 2, 10, "tried at once when it is resumed")
    checks.equal(len(elsewhere.raw), 0)


def test_410_stops_it_and_resume_goes_on_where_it_was():
    crm = Receiver()
    one = started([destination(crm)])
    calls(one, [1])
    crm.has(1)
    crm.answers = [(410, {})]
    calls(one, [2, 3])
    checks.eventually(lambda: states(one)["crm"]["condition"] == "stopped", 10, "stopped")
    calls(one, [4])
    time.sleep(0.5)
    checks.equal((len(crm.raw), states(one)["crm"]["waiting"]), (2, 3))
    status, out, err = server.command("--url", one.url, "--token", server.API_TOKEN, "--tenant", "madrid", "config", "check", env=environment("{}"))
    checks.holds(status == 1 and "destination crm is stopped" in out, out + err)
    checks.equal(one.api("/webhooks/madrid/crm/resume", "POST").status, 200)
    crm.has(4)
    checks.equal(crm.ids(), [event["id"] for event in one.events()])


def test_paused_is_paused_and_strangers_pause_nothing():
    server.only_our_own(TIMES)
    crm = Receiver()
    one = started([destination(crm)])
    for token in (None, server.OTHER_TOKEN, COURIER):
        checks.equal(one.api("/webhooks/madrid/crm/pause", "POST", token=token).status, 401)
        checks.equal(one.api("/webhooks/madrid", token=token).status, 401)
    checks.equal(one.api("/webhooks/madrid/crm/pause", "POST").json["condition"], "paused")
    calls(one, [1, 2])
    time.sleep(0.5)
    checks.equal((len(crm.raw), states(one)["crm"]["waiting"]), (0, 2))
    checks.equal(one.api("/webhooks/madrid/crm/resume", "POST").status, 200)
    crm.has(2)
    for path, method in (("/webhooks/madrid/nobody/pause", "POST"), ("/webhooks/", "GET"), ("/webhooks/-/other", "POST")):
        checks.equal(one.api(path, method).status, 404, path)
    checks.equal(one.api("/webhooks/-/deliver", "POST").status, 401, "an API token is not the courier's")


def test_killed_in_between_everything_is_told_at_least_once_with_the_same_ids_in_order():
    crm, data = Receiver(), server.folder()
    crm.hold = 0.02
    one = started([destination(crm)], data=data)
    number, told = 1, 0
    for _ in range(4):
        calls(one, range(number, number + 12))
        number += 12
        checks.eventually(lambda: len(crm.took) > told + 3, 20, "some are told")
        one.kill()
        told = len(crm.took)
        # What was out when it died is leased for a minute: here a person does not wait.
        release(data)
        one = started([destination(crm)], data=data)
    wanted = [event["id"] for event in one.events()]
    checks.equal(len(wanted), number - 1)
    checks.eventually(lambda: set(crm.ids()) >= set(wanted), 60, "everything is told")
    first = list(dict.fromkeys(crm.ids()))
    checks.equal(first, wanted, "each for the first time in order")
    repeated = len(crm.took) - len(wanted)
    checks.holds(repeated <= 4 * 60, f"{repeated} repeated")
    bodies = {}
    for headers, body in crm.raw:
        checks.equal(bodies.setdefault(headers["webhook-id"], body), body, "a repetition is the same, byte for byte")


def release(data):
    """Ends the leases of a server that is dead."""
    profile.only_sqlite("changes the store's file")
    released = 0
    for path, _, names in os.walk(data):
        for name in names:
            if name.endswith((".db", ".sqlite", ".sqlite3")):
                with sqlite3.connect(os.path.join(path, name)) as database:
                    # The spool has a file of its own.
                    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'destinations'").fetchone():
                        continue
                    released += database.execute("UPDATE destinations SET leased_until = NULL").rowcount
    checks.holds(released, "there is no destination in any database")


def test_a_destination_is_told_what_it_wants_from_now_on_or_from_the_beginning():
    server.only_our_own(TIMES)
    data, late, early, some = server.folder(), Receiver("l"), Receiver("e"), Receiver("s")
    one = started([], data=data)
    calls(one, [1, 2])
    one.stop()
    three = [destination(late, "late"), destination(early, "early", start="beginning"), destination(some, "some", events=["case.updated", "message"])]
    one = started(three, data=data)
    calls(one, [3])
    reference = one.events()[0]["case"]["reference"]
    checks.equal(one.api(f"/api/madrid/cases/{reference}", "PATCH", {"status": "closed"}).status, 200)
    early.has(4)
    late.has(2)
    some.has(1)
    time.sleep(0.3)
    checks.equal((len(late.took), len(some.took)), (2, 1))
    checks.equal(early.ids()[2:], late.ids())
    checks.equal(some.ids(), late.ids()[1:])


def test_a_tenant_s_systems_are_told_nothing_of_another_s_and_no_secret_leaves():
    server.only_our_own(TIMES)
    crm, other = Receiver("c"), Receiver("o")
    one = started({"madrid": [destination(crm)], "sevilla": [destination(other)]})
    calls(one, [1])
    account = twilio.Account(one.url, token=server.SETTINGS["sevilla"]["auth_token"], public_url=server.SETTINGS["sevilla"]["public_url"], path="/telephony/twilio/sevilla")
    checks.equal(account.send("/voice", twilio.call(twilio.sid(2))).status, 200)
    crm.has(1)
    other.has(1)
    time.sleep(0.3)
    checks.equal(({event.data["tenant"] for _, _, event in crm.took}, len(crm.took)), ({"madrid"}, 1))
    checks.equal(({event.data["tenant"] for _, _, event in other.took}, len(other.took)), ({"sevilla"}, 1))
    sent = b"".join(body + json.dumps(headers).encode() for headers, body in crm.raw + other.raw).decode()
    said = one.errors() + one.api("/webhooks/madrid").text
    for hidden in (twilio.TOKEN, server.API_TOKEN, COURIER, crm.secret, other.secret):
        checks.holds(hidden not in sent and hidden not in said, "a secret is shown")
    checks.holds("+34600111222" not in one.errors(), "a citizen's number is in the log")


def test_a_private_address_takes_the_operator_s_word_twice():
    crm = Receiver()
    careless = {**destination(crm, "careless"), "allow_private": False}
    careless["url"] = careless["url"].replace("http://", "https://")
    one = started([careless, destination(crm)], private="https://nobody.invalid", every="100ms")
    calls(one, [1])
    checks.contains(checks.eventually(lambda: states(one)["crm"].get("reason"), 10, "a reason"), "allowed_outbound_hosts")
    checks.equal(len(crm.raw), 0)
    faults = one.api("/webhooks/madrid").json["faults"]
    checks.equal([fault["destination"] for fault in faults], ["careless"])
    checks.contains(faults[0]["fault"], "private network", "allow_private")


def test_what_is_misspelt_is_named_with_what_was_meant_and_never_shown():
    server.only_our_own(TIMES)
    crm = Receiver()
    wrong = [
        {"name": "crm", "url": crm.url, "secert": crm.secret, "allow_private": True},
        {"name": "GIS", "url": "https://gis.example/hidden-path", "secret": "whsec_c2hvcnQ="},
        destination(crm, "bi", events=["call.mised"]),
        destination(crm, "good"),
    ]
    one = started(wrong)
    check = lambda: server.command("--url", one.url, "--token", server.API_TOKEN, "--tenant", "madrid", "config", "check", env=environment("{}"))  # noqa: E731
    status, out, err = check()
    checks.equal(status, 1, out + err)
    checks.contains(out, "did you mean `secret`?", "`secret` is missing", "did you mean `call.missed`?", "24 to 64 random bytes", "`name` must be", "SPIN_VARIABLE_WEBHOOKS")
    checks.holds(crm.secret not in out + err and "hidden-path" not in out + err and "c2hvcnQ" not in out + err, "a secret is shown")
    calls(one, [1])
    crm.has(1)
    one.stop()
    for broken in ("[", "[]", '{"madrid": 7}'):
        one = server.Server(env=environment(broken))
        RUNNING.append(one)
        status, out, err = server.command("--url", one.url, "--token", server.API_TOKEN, "--tenant", "madrid", "config", "check", env=environment("{}"))
        checks.holds(status == 1 and "variable `webhooks`" in out, out + err)
        calls(one, [1])
        one.kill()


def test_without_a_timer_ventanilla_deliver_drives_it():
    crm = Receiver()
    one = started([destination(crm)], every="0")
    checks.equal(deliver(one)[0], 0, "it begins now")
    calls(one, range(1, 31))
    checks.equal(len(crm.raw), 0)
    status, out, err = deliver(one, "--json")
    checks.equal(status, 0, out + err)
    checks.equal(json.loads(out), {"connector": "webhooks", "sent": 30, "retry": 0, "stopped": 0})
    checks.equal(crm.ids(), [event["id"] for event in one.events()])
    checks.equal(deliver(one, "--json")[1], "", "nothing more")


def test_two_processes_on_one_postgresql_tell_everything_once_and_in_order():
    server.only_our_own(TIMES)
    database, crm = postgres.Postgres(), Receiver()
    RUNNING.append(database)
    database.kill = database.close
    database.sql(f"CREATE ROLE app LOGIN PASSWORD '{postgres.PASSWORD}'")
    status, out, err = server.command("migrate", "--database-url", database.url("owner"), "--admit", "app")
    checks.equal(status, 0, out + err)
    env = {
        **environment({"madrid": [destination(crm, start="beginning")]}),
        "SPIN_VARIABLE_POSTGRES_URL": database.url(), "SPIN_VARIABLE_POSTGRES_HOST": f"postgres://127.0.0.1:{database.port}",
    }
    both = [server.Server(env=env, arguments=["--profile", "postgres", "--deliver-every", "100ms"]) for _ in range(2)]
    RUNNING.extend(both)
    # Rows of several connections get their numbers before they are committed: none may be skipped for that.
    threads = [threading.Thread(target=calls, args=(both[n % 2], range(n * 20 + 1, n * 20 + 21))) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reference = both[0].events()[0]["case"]["reference"]
    checks.equal(both[1].api(f"/api/madrid/cases/{reference}", "PATCH", {"status": "closed"}).status, 200)
    crm.has(121, 60)
    time.sleep(1)
    checks.equal((len(crm.took), len(set(crm.ids())), crm.refused), (121, 121, []))
    checks.equal(set(crm.ids()) >= {event["id"] for event in both[0].events()}, True)
    sequence = [event["sequence"] for _, _, event in crm.took]
    checks.equal(sequence, sorted(sequence))
    checks.equal(crm.took[-1][2]["kind"], "case.updated")


if __name__ == "__main__":
    checks.main(globals(), limit=300)

"""What a trace says of PostgreSQL and of the spool: statements, the wait for a connection, a store that is away. Read from a collector that is played."""

import json
import os
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, peers, postgres, server, twilio  # noqa: E402

peers.inside_python(peers.OPENTELEMETRY_PYPI)

from support import collector as collectors  # noqa: E402
from support.collector import CLIENT, VOICE, WAIT, Collector, named, place, route, started  # noqa: E402

COURIER = "fake-courier-token"
DATABASE = "citizens_desk"
POSTGRESQL = {"db.system.name": "postgresql", "db.namespace": DATABASE}
CONNECTION = "postgresql connection"
API = "/api/..."
_shared = []


def finish():
    collectors.clean()
    for database in _shared:
        database.close()
    server.clean()


def database():
    """One for all tests, migrated."""
    if not _shared:
        found = postgres.Postgres()
        _shared.append(found)
        found.sql(f"CREATE ROLE app LOGIN PASSWORD '{postgres.PASSWORD}'")
        found.sql(f"CREATE DATABASE {DATABASE}")
        status, output, errors = server.migrate(found.url("owner", DATABASE))
        checks.equal(status, 0, output + errors)
    return _shared[0]


def on_postgres(collector, *arguments):
    """Without a timer: nothing happens but what a test does."""
    server.only_our_own("Spin 4.1 has no spans of databases")
    found = database()
    variables = server.environment(
        SPIN_VARIABLE_POSTGRES_URL=found.url(database=DATABASE),
        SPIN_VARIABLE_POSTGRES_HOST=f"postgres://127.0.0.1:{found.port}",
        SPIN_VARIABLE_COURIER_TOKEN=COURIER,
    )
    return started(collector, ["--profile", "postgres", "--deliver-every", "0", *arguments], variables=variables)


def below(spans, parent):
    return sorted((span for span in spans if span.parent == parent.id), key=lambda span: span.start)


def without_citizens(collector, one, secrets):
    """Neither what was sent nor the log has any of it, nor what the database is reached by."""
    secrets = [*secrets, "600111222", postgres.PASSWORD, "127.0.0.1", str(database().port), server.API_TOKEN, COURIER]
    everything = b"".join(collector.raw)
    checks.equal([secret for secret in secrets if secret.encode() in everything], [], "in what was sent to the collector")
    # The log may say which server can't be reached.
    private = [secret for secret in secrets if secret not in ("127.0.0.1", str(database().port))]
    checks.equal([secret for secret in private if secret in one.errors()], [], "in the log")


def test_statements_of_a_call_and_of_the_desk_are_in_their_traces_without_what_they_are_about():
    collector = Collector()
    one = on_postgres(collector).with_profile()
    call = twilio.call(twilio.sid(1), CallerName="Anna García")
    checks.equal(one.twilio().send("/voice", call).status, 200)
    spans = collector.trace(route(VOICE), "of the call")
    record = named(spans, "record")
    wait, statement = below(spans, record)
    checks.equal((wait.name, wait.kind, wait.failed, wait.attributes), (CONNECTION, CLIENT, False, POSTGRESQL))
    checks.equal((statement.name, statement.kind, statement.failed), ("CALL postgresql", CLIENT, False))
    checks.equal(statement.attributes, {**POSTGRESQL, "db.operation.name": "CALL"})
    checks.holds(record.start <= wait.start <= wait.end <= statement.start <= statement.end <= record.end, "one after the other")

    reference = one.cases()[0]["reference"]
    asked = [("GET", "/api/madrid/cases?q=Anna", None, 200), ("GET", f"/api/madrid/cases/{reference}", None, 200),
             ("PATCH", f"/api/madrid/cases/{reference}", {"status": "open", "assignee": "Anna"}, 200), ("GET", "/api/madrid/cases/600111222", None, 400)]
    for method, target, body, status in asked:
        seen = {span.trace for span in collector.seen()}
        checks.equal(one.api(target, method, body).status, status, target)
        spans = collector.trace(lambda span: route(API, status)(span) and span.trace not in seen, f"of {method} {target}")
        host, run = named(spans, f"{method} {API}"), named(spans, "run component")
        checks.equal((run.parent, run.attributes), (host.id, {"ventanilla.component": "api"}))
        found = below(spans, run)
        # A reference that fails its check digit is not looked for.
        checks.holds(found if status == 200 else not found, f"{method} {target}: {found}")
        for wait, statement in zip(found[::2], found[1::2]):
            checks.equal((wait.name, wait.attributes), (CONNECTION, POSTGRESQL))
            word = statement.attributes["db.operation.name"]
            checks.equal((statement.name, statement.attributes), (f"{word} postgresql", {**POSTGRESQL, "db.operation.name": word}))
    checks.equal(one.stop(), 0)
    without_citizens(collector, one, ["Anna", "García", twilio.sid(1), reference, reference.replace("-", "")])


def test_who_waits_for_a_connection_is_seen_to_wait():
    collector = Collector()
    one = on_postgres(collector, "--postgres-connections", "1").with_profile()
    place(one, 101)
    collector.trace(route(VOICE), "of a call that nobody delays")
    quick = {span.trace for span in collector.seen()}
    locker = subprocess.Popen(
        ["psql", database().url("owner", DATABASE), "-X", "-q", "-A", "-t"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    callers = [threading.Thread(target=place, args=(one, number)) for number in (102, 103)]
    try:
        locker.stdin.write("BEGIN; LOCK TABLE ventanilla.envelopes IN ACCESS EXCLUSIVE MODE; SELECT 'locked';\n")
        locker.stdin.flush()
        checks.equal(locker.stdout.readline().strip(), "locked")
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(WAIT)
    finally:
        locker.stdin.write("COMMIT;\n")
        locker.stdin.close()
        locker.wait(10)
        locker.stdout.close()

    def both():
        calls = [span for span in collector.seen() if route(VOICE)(span) and span.trace not in quick]
        return len(calls) == 2 and [span for span in collector.seen() if span.trace in {call.trace for call in calls}]

    spans = checks.eventually(both, WAIT, "traces of both calls")
    # The gateway gives the store two seconds of a caller's patience; both are spooled then, and neither span is shorter.
    slow = [span for span in spans if span.kind == CLIENT and span.end - span.start > 1e9]
    checks.equal(sorted(span.name for span in slow), ["CALL postgresql", CONNECTION], f"one waits for the lock, one for the connection: {spans}")
    checks.holds(slow[0].trace != slow[1].trace, "two calls")
    checks.equal(one.stop(), 0)


def test_a_store_that_is_away_and_its_spool_are_seen_and_so_is_the_drain():
    collector = Collector()
    one = on_postgres(collector).with_profile()
    place(one, 201)
    collector.trace(route(VOICE), "of a call that is stored")
    database().stop()
    try:
        before = {span.trace for span in collector.seen()}
        call = twilio.call(twilio.sid(202), CallerName="Anna García")
        checks.equal(one.twilio().send("/voice", call).status, 200)
        spans = collector.trace(lambda span: route(VOICE, 200)(span) and span.trace not in before, "of a call that is spooled")
        failed = below(spans, named(spans, "record"))
        checks.holds(failed, "the store is asked first")
        for span in failed:
            checks.equal((span.name, span.failed, span.attributes), (CONNECTION, True, {**POSTGRESQL, "error.type": "connection_failed"}))
        kept = below(spans, named(spans, "keep"))
        checks.equal([(span.name, span.kind, span.failed, span.attributes) for span in kept], [("key-value set", CLIENT, False, {"db.system.name": "sqlite"})])
        checks.holds(named(spans, "record").end <= named(spans, "keep").start <= named(spans, "keep").end <= named(spans, "acknowledge").start, "then the spool, then the answer")
    finally:
        database().start()

    def drained():
        before = {span.trace for span in collector.seen()}
        answer = one.api("/telephony/twilio/-/spool", "POST", token=COURIER)
        checks.equal(answer.status, 200, answer.text)
        return json.loads(answer.text)["recorded"] == 1 and before

    before = checks.eventually(drained, WAIT, "the spool is drained")
    spans = collector.trace(lambda span: span.name == f"POST {VOICE}" and span.trace not in before, "of the drain")
    names = {span.name for span in spans}
    checks.holds({"key-value keys", "key-value get", "key-value delete", "translate", "record", "CALL postgresql"} <= names, names)
    done = [span for span in spans if span.name == "key-value delete"]
    checks.equal([span.failed for span in spans], [False] * len(spans), spans)
    checks.holds(named(spans, "record").end <= done[0].start, "out of the spool only when it is stored")
    checks.equal(one.stop(), 0)
    without_citizens(collector, one, ["Anna", "García", twilio.sid(202)])


if __name__ == "__main__":
    checks.main(globals(), limit=180)

"""The store goes away and comes back: what was acknowledged meanwhile waited in the spool, and is stored once, in order, as of when it came."""

import json
import os
import sqlite3
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import callers, checks, disks, http, peers, postgres, profile, server, spin, twilio  # noqa: E402

peers.inside_python()

COURIER = "fake-courier-token"
# One language: the first thing a caller hears is the greeting with the name.
PROFILE = {**server.PROFILE, "languages": ["es"]}
DATABASES = []


def finish():
    for database in DATABASES:
        database.close()
    server.clean()


def environment(**more):
    """On Spin the operator has to say that the key-value store is on a disk: in these tests it is."""
    more = {"SPIN_VARIABLE_COURIER_TOKEN": COURIER, "VENTANILLA_COURIER_TOKEN": COURIER, **more}
    if spin.ON:
        more["SPIN_VARIABLE_SPOOL"] = "on"
    return server.environment(**more)


def drain(one, method="POST"):
    answer = one.api("/telephony/twilio/-/spool", method, token=COURIER)
    checks.equal(answer.status, 200, answer.text)
    return answer.json


def waiting(one):
    """How many envelopes are in the spool."""
    return sum(depth["envelopes"] for depth in drain(one, "GET")["spool"])


def deliver(one):
    """What `ventanilla deliver` says of the spool."""
    status, output, errors = server.command("--url", one.url, "deliver", "--json", env=environment())
    checks.equal(status, 0, output + errors)
    found = [json.loads(line) for line in output.splitlines() if '"spool"' in line]
    return {line["connector"]: line["spool"] for line in found}


def metric(one, name):
    lines = [line for line in one.send("GET", "/metrics").text.splitlines() if line.startswith(name + " ")]
    checks.equal(len(lines), 1, f"{name} in the metrics")
    return int(lines[0].split()[1])


class Load(callers.Callers):
    """Goes on until the server is gone."""

    def _work(self, base):
        try:
            super()._work(base)
        except (OSError, http.http.client.HTTPException):
            pass


class Locks:
    """Another program holds the write lock of files."""

    def __init__(self, *files):
        self.connections = []
        for file in files:
            checks.holds(os.path.exists(file), f"{file} does not exist: {os.listdir(os.path.dirname(file))}")
            connection = sqlite3.connect(file, timeout=30, isolation_level=None)
            connection.execute("BEGIN IMMEDIATE")
            self.connections.append(connection)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for connection in self.connections:
            connection.execute("ROLLBACK")
            connection.close()


def store_file(data):
    profile.only_sqlite("locks the store's file")
    return spin.database(data) if spin.ON else os.path.join(data, "default.sqlite")


def spool_file(data):
    return os.path.join(data, "sqlite_key_value.db" if spin.ON else "spool.db")


def without_a_timer():
    one = server.Server(env=environment(), arguments=() if spin.ON else ("--deliver-every", "0"))
    one.with_profile(PROFILE)
    drain(one)
    return one


def call(one, number, timeout=40, **more):
    start = time.monotonic()
    answer = one.twilio().send("/voice", twilio.call(twilio.sid(number), **more), timeout=timeout)
    return answer, time.monotonic() - start


def migrate(database):
    status, output, errors = server.command("migrate", "--database-url", database.url("owner"), "--admit", "app")
    checks.equal(status, 0, output + errors)


def migrated():
    """A PostgreSQL server of the test's own, which it may stop and change."""
    database = postgres.Postgres()
    DATABASES.append(database)
    database.sql(f"CREATE ROLE app LOGIN PASSWORD '{postgres.PASSWORD}'")
    migrate(database)
    return database


def on(database, every, **more):
    """A server on that database; its timer, where it has one, goes off so often."""
    env = environment(SPIN_VARIABLE_POSTGRES_URL=database.url(), SPIN_VARIABLE_POSTGRES_HOST=f"postgres://127.0.0.1:{database.port}")
    timer = () if spin.ON else ("--deliver-every", every)
    return server.Server(env=env, arguments=("--profile", "postgres", *timer), **more)


def test_a_database_that_goes_away_under_load_loses_nothing_and_doubles_nothing_through_two_kills():
    database = migrated()
    data = server.folder()

    def started():
        return on(database, "100ms", data=data)

    acknowledged = set()
    with started() as one:
        one.with_profile(PROFILE)
        drain(one)
        load = Load([one.url], 1)
        checks.eventually(lambda: len(load.acknowledged) > 10, 30, "calls are acknowledged")
        database.stop()
        checks.eventually(lambda: waiting(one) > 60, 60, "envelopes wait")
        ready = one.send("GET", "/readyz")
        checks.equal((ready.status, ready.json["status"]), (200, "spooling"), ready.text)
        checks.equal(metric(one, "ventanilla_store_up"), 0)
        checks.equal(metric(one, "ventanilla_spool_up"), 1)
        checks.holds(metric(one, "ventanilla_spool_oldest_age_seconds") < 600, "an age in seconds")
        checks.contains(one.send("GET", "/metrics").text, 'ventanilla_spool_envelopes{tenant="madrid",connector="telephony/twilio"}')
        one.kill()
        load.stop()
        acknowledged |= load.acknowledged
    with started() as one:
        # Nothing in this process has ever seen the store: the tenant's words are from the spool.
        answer, _ = call(one, 9_000_000)
        checks.equal(answer.status, 200, answer.text)
        checks.contains(answer.text, "Ayuntamiento de Prueba", "<Gather")
        in_order = [twilio.sid(number) for number in range(9_000_001, 9_000_011)]
        for number in range(9_000_001, 9_000_011):
            # Each of them comes twice: the provider did not hear the first answer.
            for _ in range(2):
                answer, _ = call(one, number)
                checks.equal(answer.status, 200, answer.text)
        acknowledged |= {twilio.sid(9_000_000), *in_order}
        spooled = waiting(one)
        away_until = time.time()
        database.start()
        if spin.ON:
            drain(one)
        checks.eventually(lambda: database.sql("SELECT count(*) > 20 FROM ventanilla.events") == "t", 60, "some are stored")
        one.kill()
    with started() as one:
        checks.eventually(lambda: spin.ON and deliver(one) and None or waiting(one) == 0, 60, "the spool is empty")
        callers.check_exactly_once(one, acknowledged)
        events = one.events()
        found = [event["call_id"] for event in events if event["call_id"] in in_order]
        checks.equal(found, in_order, "the order in which they came")
        late = [event for event in events if event["call_id"] in in_order and seconds(event["received_at"]) > away_until]
        checks.equal(late, [], "received when they came, not when they were drained")
        checks.equal(len(one.cases()), len(set(event["call_id"] for event in events)), "cases and calls")
        checks.equal(metric(one, "ventanilla_spool_set_aside"), 0)
        checks.equal(one.send("GET", "/readyz").json["status"], "ready")
        print(f"        {len(acknowledged)} acknowledged, {spooled} of the deliveries spooled", flush=True)


def test_with_an_older_schema_than_the_components_want_calls_wait_in_the_spool_and_deliver_says_why():
    database = migrated()
    with on(database, "0") as one:
        one.with_profile(PROFILE)
        drain(one)
        # As before the newest migration: its version is not there, and what an intake calls has another name.
        database.sql("DELETE FROM ventanilla.migrations WHERE version = (SELECT max(version) FROM ventanilla.migrations)")
        database.sql("ALTER PROCEDURE ventanilla.intake_2 RENAME TO intake_of_tomorrow")
        answer, _ = call(one, 1)
        checks.equal((answer.status, waiting(one)), (200, 1), answer.text)
        status, _, errors = server.command("--url", one.url, "deliver", env=environment())
        checks.equal(status, 0, errors)
        checks.contains(errors, "telephony/twilio: 1 wait in the spool", "older than this program", "run ventanilla migrate")
        database.sql("ALTER PROCEDURE ventanilla.intake_of_tomorrow RENAME TO intake_2")
        migrate(database)
        counts = checks.eventually(lambda: deliver(one), 30, "the spool is drained")
        checks.equal(counts, {"telephony/twilio": {"recorded": 1, "quarantined": 0, "set_aside": 0}})
        checks.equal(callers.stored(one), [twilio.sid(1)])


def seconds(instant):
    return time.mktime(time.strptime(instant[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone


def test_a_locked_database_holds_up_one_call_and_ventanilla_deliver_drains_when_it_is_free():
    with without_a_timer() as one:
        with Locks(store_file(one.data)):
            answers = [call(one, number) for number in range(1, 6)]
            for answer, took in answers:
                checks.equal(answer.status, 200, answer.text)
                checks.contains(answer.text, "Ayuntamiento de Prueba")
                checks.holds(took < 15, f"the caller heard silence for {took:.1f} s")
            # The first finds out; a store that is known not to answer is not waited for.
            waits = sum(took for _, took in answers[1:])
            checks.holds(waits < 4 * answers[0][1] + 4, f"the first waited {answers[0][1]:.1f} s, four others {waits:.1f} s in all")
            checks.equal(waiting(one), 5)
            counts = deliver(one)["telephony/twilio"]
            checks.holds(counts.pop("store"), "it says why the store does not take them")
            checks.equal(counts, {"recorded": 0, "quarantined": 0, "set_aside": 0, "left": 5}, "nothing is recorded while it is locked")
        # A statement that nobody waited for any more may have been carried out meanwhile: the same events, once.
        counts = checks.eventually(lambda: deliver(one), 30, "the spool is drained")
        checks.equal(counts, {"telephony/twilio": {"recorded": 5, "quarantined": 0, "set_aside": 0}})
        checks.equal(waiting(one), 0)
        checks.equal(callers.stored(one), [twilio.sid(number) for number in range(1, 6)])


def test_when_the_spool_fails_too_the_provider_comes_again_and_the_caller_hears_a_static_document():
    with without_a_timer() as one:
        with Locks(store_file(one.data), spool_file(one.data)):
            answer, took = call(one, 1)
            checks.equal(answer.status, 503, answer.text)
            checks.holds(answer.header("retry-after"), "Retry-After is missing")
            checks.contains(answer.text, "<Say", "<Hangup")
            checks.holds(took < 15, f"the caller heard silence for {took:.1f} s")
        answer = checks.eventually(lambda: (lambda a: a if a.status == 200 else None)(call(one, 1)[0]), 30, "it is taken again")
        checks.contains(answer.text, "<Gather")
        checks.eventually(lambda: deliver(one) is not None and waiting(one) == 0, 30, "nothing waits")
        checks.equal(callers.stored(one), [twilio.sid(1)])


def test_a_full_disk_is_503_and_what_was_acknowledged_before_is_there_afterwards():
    server.only_our_own("Spin's databases have no limit to their log, so that its folder can't be filled to the last byte")
    profile.only_sqlite("fills the disk that the store's file is on")
    with disks.small("64m") as disk:
        data = os.path.join(disk, "data")
        os.makedirs(data)
        with server.Server(data=data, env=environment(), arguments=("--deliver-every", "100ms")) as one:
            ballast = disks.fill(disk, leave=300_000)
            acknowledged, refused = [], []
            for number in range(1, 400):
                answer, _ = call(one, number, CallerName="x" * 20_000)
                (acknowledged if answer.status == 200 else refused).append(twilio.sid(number))
                if refused:
                    checks.equal(answer.status, 503, answer.text)
                    checks.holds(answer.header("retry-after"), "Retry-After is missing")
                    checks.contains(answer.text, "<Say")
                if len(refused) == 3:
                    break
            checks.equal(len(refused), 3, "the disk never filled: the test is wrong")
            os.remove(ballast)
            for number in (int(sid[2:], 16) for sid in refused):
                answer, _ = call(one, number, CallerName="x" * 20_000)
                checks.equal(answer.status, 200, answer.text)
            checks.eventually(lambda: waiting(one) == 0, 60, "nothing waits")
            checks.equal(callers.stored(one), sorted(acknowledged + refused))


if __name__ == "__main__":
    checks.main(globals(), limit=240)

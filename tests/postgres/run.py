"""The profile `postgres`: migrated, served by several processes, and nothing acknowledged is lost when connections or the server go."""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import callers, checks, peers, postgres, server, spin, twilio  # noqa: E402

peers.inside_python()

DATABASE = postgres.Postgres()
DATABASE.sql(f"CREATE ROLE app LOGIN PASSWORD '{postgres.PASSWORD}'")
ON_POSTGRES = ("--profile", "postgres")


def finish():
    DATABASE.close()
    server.clean()


def environment(database="postgres"):
    """What our program and Spin are given."""
    return server.environment(
        SPIN_VARIABLE_POSTGRES_URL=DATABASE.url(database=database),
        SPIN_VARIABLE_POSTGRES_HOST=f"postgres://127.0.0.1:{DATABASE.port}",
        # Without a spool, what the store can't take comes again. With one: tests/spool.
        SPIN_VARIABLE_SPOOL="off",
    )


def migrate(*arguments, database="postgres"):
    return server.command("migrate", "--database-url", DATABASE.url("owner", database), *arguments)


def started():
    """A server on the migrated database."""
    status, output, errors = migrate("--admit", "app")
    checks.equal(status, 0, output + errors)
    return server.Server(env=environment(), arguments=ON_POSTGRES)


def test_without_an_address_or_a_profile_of_that_name_nothing_starts():
    server.only_our_own("our program's messages")
    environment_without = server.environment()
    for arguments in (("migrate",), ("up", "--profile", "postgres", "--listen", "127.0.0.1:0")):
        status, output, errors = server.command(*arguments, env=environment_without)
        checks.equal(status, 1, f"{arguments}: {output}{errors}")
        checks.contains(errors, "where the database is", "SPIN_VARIABLE_POSTGRES_URL")
    status, _, errors = server.command("migrate", "--database-url", DATABASE.url("nobody"))
    checks.equal(status, 1)
    checks.contains(errors, "authentication failed")
    checks.holds(postgres.PASSWORD not in errors, errors)


def test_before_the_schema_is_there_nothing_is_ready_and_afterwards_it_is():
    DATABASE.sql("CREATE DATABASE empty")
    with server.Server(env=environment("empty"), arguments=ON_POSTGRES) as running:
        answer = running.send("GET", "/readyz")
        checks.equal(answer.status, 503, answer.text)
        status, output, errors = migrate("--admit", "app", "--json", database="empty")
        checks.equal(status, 0, errors)
        checks.contains(output, '"before":0', "0001_tables")
        checks.eventually(lambda: running.send("GET", "/readyz").status == 200, 10, "ready")
    status, output, errors = migrate("--admit", "app", database="empty")
    checks.equal((status, output.startswith("nothing to do")), (0, True), output + errors)
    status, _, errors = migrate("--admit", "nobody", database="empty")
    checks.equal(status, 1)
    checks.contains(errors, "nobody", "does not exist")


def test_a_server_with_a_certificate_of_its_own_authority_is_trusted_once_the_authority_is_named():
    authority = DATABASE.encrypt()
    DATABASE.sql("CREATE DATABASE encrypted")
    url = {user: DATABASE.url(user, "encrypted").replace("127.0.0.1", "localhost").replace("sslmode=disable", "sslmode=require") for user in ("owner", "app")}
    host = f"postgres://localhost:{DATABASE.port}"
    strange = {**environment(), "SPIN_VARIABLE_POSTGRES_URL": url["app"], "SPIN_VARIABLE_POSTGRES_HOST": host}
    known = {**strange, "SPIN_VARIABLE_POSTGRES_CA": authority}
    if not spin.ON:
        for env, status in ((strange, 1), (known, 0)):
            done, output, errors = server.command("migrate", "--admit", "app", env={**env, "SPIN_VARIABLE_POSTGRES_URL": url["owner"]})
            checks.equal(done, status, output + errors)
            checks.holds(status == 0 or "certificate" in errors, errors)
    status, output, errors = migrate("--admit", "app", database="encrypted")
    checks.equal(status, 0, output + errors)
    with server.Server(env=strange, arguments=ON_POSTGRES) as running:
        checks.equal(running.send("GET", "/readyz").status, 503)
    with server.Server(env=known, arguments=ON_POSTGRES) as running:
        checks.equal(running.send("GET", "/readyz").status, 200)
        running.with_profile()
        checks.equal(running.twilio().send("/voice", twilio.call(twilio.sid(990))).status, 200)
        encrypted = DATABASE.sql("SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE s.ssl AND a.usename = 'app'")
        checks.holds(int(encrypted) > 0, "no connection of the store is encrypted")


def test_two_servers_share_what_is_stored_and_a_redelivery_to_the_other_is_no_second_case():
    with started() as one, started() as two:
        one.with_profile()
        call = twilio.call(twilio.sid(1))
        first, again = one.twilio().send("/voice", call), two.twilio().send("/voice", call)
        checks.equal((first.status, again.status), (200, 200), first.text + again.text)
        checks.equal(len(two.cases()), 1)
        checks.equal(one.cases(), two.cases())
        reference = one.cases()[0]["reference"]
        checks.equal(one.case(reference)["events"], two.case(reference)["events"])
        if not spin.ON:
            checks.equal([name for name in os.listdir(one.data) if "sqlite" in name], [], "files of the other store")
            metrics = one.send("GET", "/metrics").text
            checks.contains(metrics, "ventanilla_postgres_opened_total ", "ventanilla_postgres_waiting 0")
        one.kill()
        checks.equal(two.case(reference)["reference"], reference, "after kill -9 of the other")


def test_connections_cut_under_load_lose_and_double_nothing():
    with started() as one, started() as two:
        load = callers.Callers([one.url, two.url], 1_000)
        end = time.monotonic() + 6
        while time.monotonic() < end:
            time.sleep(0.3)
            DATABASE.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'app'")
        time.sleep(1)
        load.stop()
        checks.holds(len(load.acknowledged) > 20, f"{len(load.acknowledged)} acknowledged")
        callers.check_exactly_once(one, load.acknowledged)
        idle = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state LIKE 'idle in transaction%'"
        checks.equal(DATABASE.sql(idle), "0")
        print(f"        {len(load.acknowledged)} acknowledged, {len(load.refused)} told to come again", flush=True)


def test_a_crash_of_the_server_is_answered_in_time_and_everything_acknowledged_is_there_afterwards():
    with started() as running:
        load = callers.Callers([running.url], 2_000_000)
        checks.eventually(lambda: len(load.acknowledged) > 10, 20, "calls are acknowledged")
        DATABASE.stop()
        time.sleep(2)
        while_down = time.monotonic()
        answer = running.twilio().send("/voice", twilio.call(twilio.sid(3_000_000)))
        took = time.monotonic() - while_down
        checks.holds(took < 3, f"the telephone waited {took:.1f} s")
        checks.holds(b"<Gather" not in answer.body, "nothing is acknowledged that is not stored")
        checks.equal(running.send("GET", "/readyz").status, 503)
        DATABASE.start()
        before = len(load.acknowledged)
        checks.eventually(lambda: len(load.acknowledged) > before + 10, 30, "calls are acknowledged again")
        load.stop()
        callers.check_exactly_once(running, load.acknowledged)
        checks.holds(load.refused, "some came while the server was away")


if __name__ == "__main__":
    checks.main(globals(), limit=240)

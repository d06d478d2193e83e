"""Back up and restore, with the commands of docs/operators.md: of a SQLite file while it is written, and of PostgreSQL by a dump."""

import os
import shutil
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, peers, postgres, server, twilio  # noqa: E402

peers.inside_python()
DATABASES = []
# Calls that are in the back-up.
BEFORE = range(1, 6)


def finish():
    for database in DATABASES:
        database.close()
    server.clean()


def shell(command, **variables):
    """As an operator types it."""
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], env={**os.environ, **variables}, capture_output=True, text=True)
    checks.equal(done.returncode, 0, f"{command}\n{done.stdout}{done.stderr}")
    return done.stdout


def call(running, number):
    """A call from a number of its own, which is answered with a menu. In which words depends on when the profile is in force."""
    caller = f"+346{number:08d}"
    answer = running.twilio().send("/voice", twilio.call(twilio.sid(number), From=caller, Caller=caller))
    checks.equal(answer.status, 200, answer.text)
    checks.contains(answer.text, "<Gather")


def everything(running):
    """What a restore has to bring back."""
    cases = {case["reference"]: running.case(case["reference"]) for case in running.cases()}
    return cases, running.events(), running.all("/api/madrid/envelopes", "envelopes")


def check_restored(running, kept):
    checks.equal(everything(running), kept, "cases, events and envelopes")
    for number in BEFORE:
        call(running, number)
    checks.equal(everything(running)[:2], kept[:2], "the provider delivers again what is in the back-up: no new case or event")
    last = kept[1][-1]["id"]
    call(running, 9_000)
    events = running.events()
    checks.equal(events[: len(kept[1])], kept[1], "readers of the feed go on where they were")
    checks.holds(events[-1]["id"] != last and len(events) > len(kept[1]), "a new call is stored behind them")


def test_a_sqlite_store_is_copied_while_calls_come_in_and_restored():
    server.only_our_own("commands of our own program")
    backup = os.path.join(server.folder(), "ventanilla-backup.db")
    over, failed = threading.Event(), []

    with server.Server() as running:
        running.with_profile()
        for number in BEFORE:
            call(running, number)
        kept = everything(running)

        def keep_calling():
            number = 1_000
            while not over.is_set():
                number += 1
                try:
                    call(running, number)
                except Exception as error:  # Told below, in the test's own thread.
                    failed.append(error)
                    return

        caller = threading.Thread(target=keep_calling, daemon=True)
        caller.start()
        shell('sqlite3 -cmd ".timeout 10000" "$DATA/default.sqlite" ".backup \'$BACKUP\'"', DATA=running.data, BACKUP=backup)
        over.set()
        caller.join(30)
        checks.equal(failed, [], "calls during the back-up")
        running.kill()
        shutil.rmtree(running.data)
    checks.equal(shell('sqlite3 "$BACKUP" "PRAGMA integrity_check"', BACKUP=backup).strip(), "ok")
    data = server.folder()
    shell('install -m 0600 "$BACKUP" "$DATA/default.sqlite"', DATA=data, BACKUP=backup)
    with server.Server(data=data) as running:
        cases, events, _ = everything(running)
        checks.equal({reference: cases.get(reference) for reference in kept[0]}, kept[0], "cases from before the back-up")
        checks.equal(events[: len(kept[1])], kept[1], "events from before the back-up")
        check_restored(running, everything(running))


def test_a_postgresql_store_is_dumped_and_restored_into_an_empty_database():
    server.only_our_own("commands of our own program")
    database = postgres.Postgres()
    DATABASES.append(database)
    for statement in (
        f"CREATE ROLE ventanilla_app LOGIN PASSWORD '{postgres.PASSWORD}'",
        f"CREATE ROLE ventanilla_backup LOGIN BYPASSRLS PASSWORD '{postgres.PASSWORD}'",
        "GRANT pg_read_all_data TO ventanilla_backup",
        "CREATE DATABASE restored",
    ):
        database.sql(statement)
    dump = os.path.join(server.folder(), "ventanilla.dump")

    def migrate(name):
        status, output, errors = server.command(
            "migrate", "--database-url", database.url("owner", name), "--admit", "ventanilla_app")
        checks.equal(status, 0, output + errors)
        return output

    def serve(name):
        variables = server.environment(SPIN_VARIABLE_POSTGRES_URL=database.url("ventanilla_app", name))
        return server.Server(env=variables, arguments=("--profile", "postgres"))

    migrate("postgres")
    with serve("postgres") as running:
        running.with_profile()
        for number in BEFORE:
            call(running, number)
        kept = everything(running)
        # While it serves.
        shell('pg_dump --schema=ventanilla --format=custom --file="$DUMP" "$BACKUP_URL"', DUMP=dump, BACKUP_URL=database.url("ventanilla_backup"))
        call(running, 8_000)
    shell('pg_restore --exit-on-error --no-owner --no-privileges --dbname="$OWNER_URL" "$DUMP"', DUMP=dump, OWNER_URL=database.url("owner", "restored"))
    checks.contains(migrate("restored"), "nothing to do")
    with serve("restored") as running:
        check_restored(running, kept)


def test_a_dump_by_a_role_that_may_not_see_every_row_fails_and_is_not_half_of_the_store():
    database = DATABASES[0] if DATABASES else None
    if database is None:
        raise checks.OurHostOnly("goes on from the dump")
    done = subprocess.run(["pg_dump", "--schema=ventanilla", "--format=custom", f"--file={os.path.join(server.folder(), 'x')}", database.url("ventanilla_app")],
                          capture_output=True, text=True)
    checks.holds(done.returncode != 0, "it would have to be a dump without rows")


if __name__ == "__main__":
    checks.main(globals(), limit=90)

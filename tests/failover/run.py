"""What happens to a database in a bad night: its primary dies and a replica takes over, its disk fills, its connections run out, its
rows are locked. Afterwards everything that was acknowledged is stored, once."""

import contextlib
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import callers, checks, disks, peers, postgres, server, twilio  # noqa: E402

peers.inside_python()

STARTED = []


def started(*arguments, settings=(), parent=None, more=None):
    """A migrated primary, what follows it, and a server on them."""
    primary = postgres.Postgres(parent=parent, settings=settings)
    STARTED.append(primary)
    primary.sql(f"CREATE ROLE app LOGIN PASSWORD '{postgres.PASSWORD}'")
    status, output, errors = server.command("migrate", "--database-url", primary.url("owner"), "--admit", "app")
    checks.equal(status, 0, output + errors)
    others = more(primary) if more else []
    STARTED.extend(others)
    environment = server.environment(
        SPIN_VARIABLE_POSTGRES_URL=primary.url(more=others), SPIN_VARIABLE_POSTGRES_HOST="postgres://127.0.0.1:*",
        # What the store alone does; with a spool: tests/spool.
        SPIN_VARIABLE_SPOOL="off",
    )
    return primary, others, server.Server(env=environment, arguments=("--profile", "postgres", *arguments))


def close():
    while STARTED:
        STARTED.pop().close()


def finish():
    close()
    server.clean()


def acknowledged_soon(load, count=10, seconds=60):
    before = len(load.acknowledged)
    checks.eventually(lambda: len(load.acknowledged) > before + count, seconds, "calls are acknowledged")


def all_there(running, load):
    """What was put aside while the database was away may still be on its way into it."""
    def missing():
        return load.acknowledged - set(callers.stored(running))

    checks.eventually(lambda: not missing(), 60, f"what was acknowledged is stored; {len(missing())} are missing")
    callers.check_exactly_once(running, load.acknowledged)
    print(f"        {len(load.acknowledged)} acknowledged, {len(load.refused)} told to come again", flush=True)


def test_a_replica_takes_over_with_everything_that_was_acknowledged():
    def replica(primary):
        follower = postgres.Postgres(replica_of=primary)
        # From now on the primary answers a commit only when the replica has it on its disk, too.
        primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.sql("SELECT pg_reload_conf()")
        return [follower]

    primary, (follower,), running = started(more=replica)
    with running:
        checks.eventually(lambda: primary.sql("SELECT sync_state FROM pg_stat_replication") == "sync", 20, "a synchronous replica")
        load = callers.Callers([running.url], 1_000)
        acknowledged_soon(load)
        primary.stop("immediate")
        follower.promote()
        acknowledged_soon(load)
        load.stop()
        all_there(running, load)


def test_a_full_disk_of_the_database_loses_nothing():
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(disks.small("96m"))
        stack.callback(close)
        primary, _, running = started(parent=disk, settings=("max_wal_size=4MB", "min_wal_size=2MB"))
        with running:
            load = callers.Callers([running.url], 1_000)
            acknowledged_soon(load)
            ballast = disks.fill_up(disk)
            checks.eventually(lambda: running.send("GET", "/readyz").status == 503, 60, "not ready")
            before = time.monotonic()
            answer = running.twilio().send("/voice", twilio.call(twilio.sid(3_000_000)))
            took = time.monotonic() - before
            checks.holds(took < 3, f"the telephone waited {took:.1f} s: {answer.text[:100]}")
            os.remove(ballast)
            # Without room for its log the server stops; an operator makes room and starts it.
            primary.stop_if_running()
            primary.start()
            acknowledged_soon(load)
            load.stop()
            all_there(running, load)


def test_one_connection_for_everybody_delays_and_loses_nothing():
    primary, _, running = started("--postgres-connections", "1")
    with running:
        load = callers.Callers([running.url], 1_000, count=12)
        acknowledged_soon(load, 100)
        used = primary.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'")
        checks.holds(int(used) <= 2, f"{used} connections; one is for cancelling")
        load.stop()
        all_there(running, load)


def test_locked_rows_and_deadlocks_are_waited_for_or_tried_again():
    primary, _, running = started()
    with running:
        running.with_profile()
        load = callers.Callers([running.url], 1_000)
        acknowledged_soon(load)

        def disturb(statement):
            # Fails when it is the one that the server sacrifices for a deadlock: as good.
            subprocess.run(["psql", primary.url("owner"), "-X", "-q", "-c", statement], capture_output=True)

        lock = "BEGIN; LOCK TABLE ventanilla.{} IN SHARE ROW EXCLUSIVE MODE; SELECT pg_sleep({}); LOCK TABLE ventanilla.{} IN SHARE ROW EXCLUSIVE MODE; COMMIT"
        for _ in range(3):
            threads = [
                threading.Thread(target=disturb, args=(lock.format("cases", 0.3, "events"),)),
                threading.Thread(target=disturb, args=(lock.format("events", 0.3, "cases"),)),
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            acknowledged_soon(load)
        load.stop()
        all_there(running, load)


if __name__ == "__main__":
    checks.main(globals(), limit=280)

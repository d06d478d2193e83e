"""What one call costs on this machine: processor time of the server and of PostgreSQL, and what connections are in use.

    python3 infra/sizing/measure.py [callers] [seconds]

Calls are signed, each from a number of its own, each a new case. The callers are threads of this program and take processor time themselves, so
calls a second are those of the machine with the callers on it; milliseconds of processor time a call are what to calculate with.
`VENTANILLA_ON=spin VENTANILLA_SPIN=/path/to/spin` measures Spin.
"""

import http.client
import os
import subprocess
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests"))

from support import peers, postgres, server, twilio  # noqa: E402

peers.inside_python()

CALLERS = int(sys.argv[1]) if len(sys.argv) > 1 else 8
SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 10


def children(process):
    listed = subprocess.run(["ps", "--ppid", str(process), "-o", "pid="], capture_output=True, text=True).stdout
    return [process, *map(int, listed.split())]


def processor_time(processes):
    """Seconds, of those that still run."""
    ticks = 0
    for process in processes:
        try:
            with open(f"/proc/{process}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


class Callers:
    """Threads that call, one call after another on a kept connection."""

    def __init__(self, running):
        self.running, self.took, self.refused, self.next = running, [], 0, 0
        self.lock, self.over = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self._call, daemon=True) for _ in range(CALLERS)]
        for thread in self.threads:
            thread.start()

    def _call(self):
        parts, account = urllib.parse.urlsplit(self.running.url), twilio.Account(self.running.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        while not self.over.is_set():
            with self.lock:
                self.next += 1
                number = self.next
            caller = f"+346{number:08d}"
            method, target, body, headers = account.request("/voice", twilio.call(twilio.sid(number), From=caller, Caller=caller))
            start = time.monotonic()
            connection.request(method, target, body, dict(headers))
            answer = connection.getresponse()
            stored = b"<Gather" in answer.read() and answer.status == 200
            self.took.append(time.monotonic() - start)
            self.refused += not stored


def main():
    database = postgres.Postgres()
    try:
        database.sql(f"CREATE ROLE app LOGIN PASSWORD '{postgres.PASSWORD}'")
        status, output, errors = server.command("migrate", "--database-url", database.url("owner"), "--admit", "app")
        if status:
            sys.exit(output + errors)
        variables = server.environment(
            SPIN_VARIABLE_POSTGRES_URL=database.url(), SPIN_VARIABLE_POSTGRES_HOST=f"postgres://127.0.0.1:{database.port}"
        )
        with open(os.path.join(database.data, "postmaster.pid")) as file:
            postmaster = int(file.readline())
        with server.Server(env=variables, arguments=("--profile", "postgres")) as running:
            running.with_profile()
            callers = Callers(running)
            time.sleep(3)
            before = processor_time(children(running.process.pid)), processor_time(children(postmaster))
            size = int(database.sql("SELECT pg_database_size(current_database())"))
            callers.took.clear()
            start = time.monotonic()
            time.sleep(SECONDS)
            took, calls = time.monotonic() - start, len(callers.took)
            after = processor_time(children(running.process.pid)), processor_time(children(postmaster))
            connections = database.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'")
            size = int(database.sql("SELECT pg_database_size(current_database())")) - size
            callers.over.set()
            for thread in callers.threads:
                thread.join(30)
            times = sorted(callers.took)
            print(f"calls a second               {calls / took:8.0f}   ({CALLERS} callers, {callers.refused} not stored)")
            print(f"answer, p50 and p99          {times[len(times) // 2] * 1000:8.1f} {times[len(times) * 99 // 100] * 1000:8.1f} ms")
            print(f"processor time, server       {(after[0] - before[0]) / calls * 1000:8.2f} ms a call")
            print(f"processor time, PostgreSQL   {(after[1] - before[1]) / calls * 1000:8.2f} ms a call")
            print(f"connections to PostgreSQL    {connections:>8}")
            print(f"disk, PostgreSQL             {size / calls / 1024:8.1f} KiB a call, each a new case of a new person")
    finally:
        database.close()
        server.clean()


if __name__ == "__main__":
    main()

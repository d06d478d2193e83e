"""A PostgreSQL server of the test's own: its data in a temporary folder, on the loopback address."""

import glob
import os
import shutil
import socket
import subprocess
import tempfile

from . import checks

PASSWORD = "fake-password-of-tests"


def _programs():
    """Debian keeps the server's programs out of PATH."""
    versions = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: float(path.split("/")[-2]))
    found = [path for path in versions if os.path.exists(os.path.join(path, "initdb"))]
    if found:
        return found[-1]
    program = shutil.which("initdb")
    if program is None:
        raise checks.Failure("PostgreSQL is not installed: `cargo xtask test` installs it, or: apt-get install postgresql")
    return os.path.dirname(program)


class Postgres:
    """Running after construction. The administrator is `owner`, who owns the schema; `app` is what components connect as."""

    def __init__(self):
        self.programs = _programs()
        # The server refuses to run as root.
        self.prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self.folder = self._as("mktemp", "-d", os.path.join(tempfile.gettempdir(), "ventanilla-postgres-XXXXXX")).strip()
        self.data = os.path.join(self.folder, "data")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        try:
            self._as("sh", "-c", f"printf %s {PASSWORD} > {self.folder}/password")
            self._as(f"{self.programs}/initdb", "-D", self.data, "-U", "owner", "-A", "scram-sha-256",
                     f"--pwfile={self.folder}/password", "-E", "UTF8", "--locale=C", "--no-sync")
            self.start()
        except BaseException:
            self.close()
            raise

    def _as(self, *command, check=True):
        done = subprocess.run([*self.prefix, *command], cwd="/", capture_output=True, text=True)
        if check and done.returncode:
            raise checks.Failure(f"{command[0]}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self):
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=80"
        # Its output goes to a file: a pipe would be held open by the server.
        self._as("sh", "-c", f"{self.programs}/pg_ctl -D {self.data} -s -w -l {self.folder}/log -o '{options}' start >/dev/null 2>&1")

    def stop(self, mode="immediate"):
        """`immediate` is a crash: nothing is written that was not on the disk."""
        self._as(f"{self.programs}/pg_ctl", "-D", self.data, "-s", "-m", mode, "stop")

    def close(self):
        self._as(f"{self.programs}/pg_ctl", "-D", self.data, "-s", "-m", "immediate", "stop", check=False)
        self._as("rm", "-rf", self.folder)

    def url(self, user="app", database="postgres"):
        return f"postgres://{user}:{PASSWORD}@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def sql(self, statement):
        """As the administrator; rows as text."""
        done = subprocess.run(
            ["psql", self.url("owner"), "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement],
            capture_output=True, text=True,
        )
        if done.returncode:
            raise checks.Failure(done.stderr)
        return done.stdout.strip()

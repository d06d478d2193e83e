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

    def __init__(self, parent=None, settings=(), replica_of=None, connections=80):
        """`parent` is the folder for its data; `settings` are `name=value`; a replica follows another of these."""
        self.programs, self.settings = _programs(), [f"max_connections={connections}", *settings]
        # The server refuses to run as root.
        self.prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self.folder = self._as("mktemp", "-d", os.path.join(parent or tempfile.gettempdir(), "ventanilla-postgres-XXXXXX")).strip()
        self.data = os.path.join(self.folder, "data")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        try:
            self._as("sh", "-c", f"printf %s {PASSWORD} > {self.folder}/password")
            if replica_of is None:
                self._as(f"{self.programs}/initdb", "-D", self.data, "-U", "owner", "-A", "scram-sha-256", "--wal-segsize=1",
                         f"--pwfile={self.folder}/password", "-E", "UTF8", "--locale=C", "--no-sync")
            else:
                self._as(f"{self.programs}/pg_basebackup", "-D", self.data, "-R", "-X", "stream", "-c", "fast", "--no-sync",
                         "-d", replica_of.url("owner"))
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
        """Waits until it takes connections."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        options += "".join(f" -c {setting}" for setting in self.settings)
        # Its output goes to a file: a pipe would be held open by the server.
        self._as("sh", "-c", f"{self.programs}/pg_ctl -D {self.data} -s -w -l {self.folder}/log -o '{options}' start >/dev/null 2>&1")

    def stop(self, mode="immediate"):
        """`immediate` is a crash: nothing is written that was not on the disk."""
        self._as(f"{self.programs}/pg_ctl", "-D", self.data, "-s", "-m", mode, "stop")

    def stop_if_running(self):
        """After a fault of which one can't know whether it stopped the server."""
        self._as(f"{self.programs}/pg_ctl", "-D", self.data, "-s", "-m", "immediate", "stop", check=False)

    def promote(self):
        """Makes a replica the primary."""
        self._as(f"{self.programs}/pg_ctl", "-D", self.data, "-s", "-w", "promote")

    def close(self):
        self.stop_if_running()
        self._as("rm", "-rf", self.folder)

    def encrypt(self):
        """Switches TLS on, for `localhost`, with a certificate by an authority of the test's own. Gives the authority's (PEM)."""
        script = f"""cd {self.data} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=tests-ca -keyout ca.key -out ca.pem
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout server.key -out server.csr
            printf 'subjectAltName=DNS:localhost\\n' > server.ext
            openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext -out server.crt"""
        self._as("sh", "-ec", script)
        self.sql("ALTER SYSTEM SET ssl = on")
        self.sql("SELECT pg_reload_conf()")
        checks.eventually(lambda: self.sql("SHOW ssl") == "on", 10, "TLS")
        return self._as("cat", f"{self.data}/ca.pem")

    def url(self, user="app", database="postgres", more=()):
        """For a client; with `more` servers, whichever of all of them takes writes."""
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in (self, *more))
        return f"postgres://{user}:{PASSWORD}@{hosts}/{database}?sslmode=disable" + ("&target_session_attrs=read-write" if more else "")

    def sql(self, statement):
        """As the administrator; rows as text."""
        done = subprocess.run(
            ["psql", self.url("owner"), "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement],
            capture_output=True, text=True,
        )
        if done.returncode:
            raise checks.Failure(done.stderr)
        return done.stdout.strip()

"""The real program, started as its users start it."""

import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

from . import checks, http, peers, profile, spin, twilio

ROOT = peers.ROOT
BINARY = os.path.abspath(os.environ.get("VENTANILLA_BIN", os.path.join(ROOT, "target", "release", "ventanilla")))
CACHE = os.path.join(peers.PEERS, "compiled")
API_TOKEN = "fake-api-token-of-madrid"
OTHER_TOKEN = "fake-api-token-of-sevilla"

SETTINGS = {
    "madrid": {"public_url": twilio.PUBLIC_URL, "auth_token": twilio.TOKEN},
    "sevilla": {"public_url": "https://city.example/telephony/twilio/sevilla", "auth_token": "another-" + twilio.TOKEN},
}
TOKENS = {"madrid": [API_TOKEN], "sevilla": [OTHER_TOKEN]}

PROFILE = {
    "tenant": "madrid",
    "name": "Ayuntamiento de Prueba",
    "languages": ["es", "ca", "gl", "eu", "en"],
    "departments": [
        {"code": "waste", "name": [{"language": "es", "text": "Limpieza y residuos"}], "digit": "1",
         "keywords": [{"language": "es", "text": "basura"}]},
        {"code": "taxes", "name": [{"language": "es", "text": "Tributos"}], "digit": "2", "phone": "+34910000002"},
    ],
    "time_zone": "CET-1CEST,M3.5.0,M10.5.0/3",
}

_folders = []


def folder():
    """A fresh folder, removed at the end."""
    path = tempfile.mkdtemp(prefix="ventanilla-test-")
    _folders.append(path)
    return path


def clean():
    """Removes what `folder` made, and ends the database's server."""
    profile.clean()
    while _folders:
        shutil.rmtree(_folders.pop(), ignore_errors=True)


def environment(settings=None, tokens=None, **more):
    """The variables of a server with two tenants."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("SPIN_VARIABLE_")}
    variables["SPIN_VARIABLE_TELEPHONY_TWILIO"] = json.dumps(SETTINGS if settings is None else settings)
    variables["SPIN_VARIABLE_API_TOKENS"] = json.dumps(TOKENS if tokens is None else tokens)
    variables.update(more)
    return variables


def only_our_own(why):
    """For a test that looks at our own program."""
    if spin.ON:
        raise checks.OurHostOnly(why)


def command(*arguments, env=None, cwd=ROOT, timeout=60, stdin=None):
    """Runs the program to its end: status, standard output, standard error."""
    if not os.path.exists(BINARY):
        raise checks.Failure(f"{BINARY} does not exist; build it with `cargo xtask build`, or name it in VENTANILLA_BIN")
    done = subprocess.run(
        [BINARY, *arguments], env=env or environment(), cwd=cwd, timeout=timeout, input=stdin, capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


def migrate(url):
    """Brings a database to this version's schema and lets the components' role in."""
    return command("migrate", "--database-url", url, "--admit", "app")


class Server:
    """`ventanilla up` on a free port of the loopback address."""

    def __init__(self, data=None, env=None, arguments=(), cwd=ROOT, listen="127.0.0.1:0", wait=None, ready=True):
        if not os.path.exists(BINARY):
            raise checks.Failure(f"{BINARY} does not exist; build it with `cargo xtask build`, or name it in VENTANILLA_BIN")
        self.data = data or folder()
        env = env or environment()
        arguments, env = profile.arguments(self.data, env, cwd, arguments, migrate)
        if spin.ON:
            return self._start_on_spin(env, arguments, cwd, listen, ready)
        # Compiling is not what is tried here: all servers share what is compiled.
        if not os.path.lexists(os.path.join(self.data, "cache")):
            os.makedirs(CACHE, mode=0o700, exist_ok=True)
            os.symlink(CACHE, os.path.join(self.data, "cache"))
        remaining = signal.alarm(0) if wait is None else 0
        self.log = open(os.path.join(folder(), "stderr"), "w+b")
        self.process = subprocess.Popen(
            [BINARY, "up", "--json", "--listen", listen, "--data", self.data, *arguments],
            env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=self.log, start_new_session=True,
        )
        self.url = None
        self.output = b""
        try:
            if ready:
                self._await_ready(wait or 300)
        finally:
            # The first start on a machine compiles every component: that time is not the test's.
            if remaining:
                signal.alarm(remaining)

    def _start_on_spin(self, env, arguments, cwd, listen, ready):
        if not ready:
            raise checks.OurHostOnly("looks at how our own program does not start")
        self.log = open(os.path.join(folder(), "stderr"), "w+b")
        self.output = b""
        remaining = signal.alarm(0)
        self.process, self.url = spin.start(self.data, env, cwd, self.log, listen, arguments)
        signal.alarm(remaining)
        self.said = {"ready": True, "url": self.url}
        if self.url is None:
            self.kill()
            raise checks.Failure(f"Spin does not serve:\n{self.errors()}")

    def signal(self, number):
        """Sends it to everything that was started."""
        if not spin.ON:
            self.process.send_signal(number)
            return
        # `spin up` runs the trigger in a process of its own.
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def _await_ready(self, wait):
        end = time.monotonic() + wait
        while b"\n" not in self.output or self.url is None:
            left = end - time.monotonic()
            if left <= 0 or self.process.poll() is not None:
                self._drain()
                state = f"ended with {self.process.poll()}" if self.process.poll() is not None else f"said nothing for {wait} s"
                self.kill()
                raise checks.Failure(f"the server {state}:\n{self.output.decode(errors='replace')}{self.errors()}")
            if select.select([self.process.stdout], [], [], min(left, 0.2))[0]:
                self.output += os.read(self.process.stdout.fileno(), 65536)
            for line in self.output.splitlines():
                try:
                    said = json.loads(line)
                except ValueError:
                    continue
                if isinstance(said, dict) and said.get("ready") is True:
                    self.url, self.said = said["url"].rstrip("/"), said

    def _drain(self):
        while select.select([self.process.stdout], [], [], 0)[0]:
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                return
            self.output += piece

    def errors(self):
        """Standard error so far."""
        self.log.flush()
        with open(self.log.name, "rb") as file:
            return file.read().decode(errors="replace")

    def kill(self):
        """SIGKILL: no destructor, no flush, no goodbye."""
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
        self.process.wait(20)
        self.process.stdout.close()

    def stop(self, wait=20):
        """SIGTERM; gives the exit status."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            return self.process.wait(wait)
        except subprocess.TimeoutExpired:
            self.kill()
            raise checks.Failure(f"SIGTERM did not end the server within {wait} s") from None
        finally:
            self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def send(self, method, target, body=b"", headers=(), **options):
        return http.send(self.url, method, target, body, headers, **options)

    def twilio(self, sdk=None, **options):
        return twilio.Account(self.url, sdk, **options)

    def api(self, target, method="GET", body=None, token=API_TOKEN, headers=()):
        """A request to the JSON API."""
        headers = list(headers)
        if token is not None:
            headers.append(("authorization", f"Bearer {token}"))
        data = b""
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers.append(("content-type", "application/json"))
        return self.send(method, target, data, headers)

    def all(self, target, member, token=API_TOKEN, limit=500):
        """Every element of a list, page by page."""
        found, after = [], None
        while True:
            query = f"limit={limit}" + (f"&after={after}" if after else "")
            answer = self.api(f"{target}{'&' if '?' in target else '?'}{query}", token=token)
            checks.equal(answer.status, 200, f"{target}: {answer.text}")
            page = answer.json
            found += page[member]
            after = page.get("next")
            if not after:
                return found

    def events(self, tenant="madrid", token=API_TOKEN):
        return self.all(f"/api/{tenant}/events", "events", token)

    def cases(self, tenant="madrid", token=API_TOKEN):
        return self.all(f"/api/{tenant}/cases", "cases", token)

    def case(self, reference, tenant="madrid", token=API_TOKEN):
        answer = self.api(f"/api/{tenant}/cases/{reference}", token=token)
        checks.equal(answer.status, 200, answer.text)
        return answer.json

    def with_profile(self, profile=None, token=API_TOKEN):
        """Gives madrid its profile through the API."""
        answer = self.api("/api/madrid/profile", "PUT", profile or PROFILE, token=token)
        checks.holds(answer.status in (200, 201, 204), f"profile: {answer}")
        return self

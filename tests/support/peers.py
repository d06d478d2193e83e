"""Real peers, got from where their users get them: PyPI, npm, Debian. Kept in `target/peers`, pinned, got once."""

import json
import os
import shutil
import signal
import subprocess
import sys

from . import checks

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PEERS = os.path.join(ROOT, "target", "peers")
TWILIO_PYPI = "9.13.0"
TWILIO_NPM = "6.2.0"
# What OpenTelemetry's exporters send.
OPENTELEMETRY_PYPI = {"twilio": TWILIO_PYPI, "opentelemetry-proto": "1.45.2"}
# Clients of GeoReport v2: one that files, one that reads.
OPEN311_PYPI = {"three": "0.8.0", "georeport": "0.3.1"}


def _run(command, **options):
    # What is got once is not the test's time.
    remaining = signal.alarm(0)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    signal.alarm(remaining)
    if done.returncode:
        raise checks.Failure(f"{' '.join(command)} failed; is the registry reachable?\n{done.stdout[-2000:]}")
    return done.stdout


def inside_python(packages=None):
    """Makes this process run with packages of PyPI, name to version; `twilio` if none are named. Call it before anything else."""
    folder = os.path.join(PEERS, "python")
    python = os.path.join(folder, "bin", "python")
    wanted = {"twilio": TWILIO_PYPI} if packages is None else packages
    marks = {f"{name}=={version}": os.path.join(folder, f"{name}-{version}") for name, version in wanted.items()}
    missing = [requirement for requirement, mark in marks.items() if not os.path.exists(mark)]
    if missing:
        print(f"getting {', '.join(missing)} from PyPI into target/peers/python", flush=True)
        if not os.path.exists(python):
            _run([sys.executable, "-m", "venv", folder])
        _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *missing])
        for requirement in missing:
            open(marks[requirement], "w").close()
    if os.path.realpath(sys.prefix) != os.path.realpath(folder):
        os.execv(python, [python, *sys.argv])


def node(packages=None):
    """The folder with packages of npm, name to version; `twilio` if none are named."""
    if not shutil.which("npm"):
        raise checks.Skip("npm is not on PATH; install Node 20 or newer")
    folder = os.path.join(PEERS, "node")
    wanted = {"twilio": TWILIO_NPM} if packages is None else packages
    marks = {f"{name}@{version}": os.path.join(folder, f"{name.replace('/', '+')}-{version}") for name, version in wanted.items()}
    missing = [requirement for requirement, mark in marks.items() if not os.path.exists(mark)]
    if missing:
        print(f"getting {', '.join(missing)} from npm into target/peers/node", flush=True)
        os.makedirs(folder, exist_ok=True)
        if not os.path.exists(os.path.join(folder, "package.json")):
            with open(os.path.join(folder, "package.json"), "w") as file:
                file.write('{"private": true}\n')
        _run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--save-exact", *missing], cwd=folder)
        for requirement in missing:
            open(marks[requirement], "w").close()
    return folder


class Node:
    """A program of Node beside a test: a line of JSON in, a line of JSON out."""

    def __init__(self, program, packages):
        folder = node({**packages})
        # Beside the packages, or it would not find them.
        copy = os.path.join(folder, f"{os.path.basename(os.path.dirname(program))}-{os.path.basename(program)}")
        shutil.copyfile(program, copy)
        self._process = subprocess.Popen(["node", copy], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, does, **about):
        self._process.stdin.write(json.dumps({"does": does, **about}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        checks.holds(line, f"the program of Node ended at {does}")
        answer = json.loads(line)
        checks.holds(not (isinstance(answer, dict) and "error" in answer), f"{does}: {answer}")
        return answer

    def close(self):
        self._process.stdin.close()
        self._process.wait(10)


def nginx():
    """The program `nginx`: from PATH, or Debian's package unpacked without installing it."""
    found = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found:
        return found
    folder = os.path.join(PEERS, "nginx")
    program = os.path.join(folder, "usr", "sbin", "nginx")
    if not os.path.exists(program):
        if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
            raise checks.Skip("nginx is not on PATH, and this is no Debian to get it from")
        print("getting nginx from Debian into target/peers/nginx", flush=True)
        os.makedirs(folder, exist_ok=True)
        _run(["apt-get", "download", "nginx"], cwd=folder)
        package = next(name for name in sorted(os.listdir(folder)) if name.endswith(".deb"))
        _run(["dpkg-deb", "-x", package, "."], cwd=folder)
    return program

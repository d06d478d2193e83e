"""Real peers, got from where their users get them: PyPI, npm, Debian. Kept in `target/peers`, pinned, got once."""

import os
import shutil
import subprocess
import sys

from . import checks

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PEERS = os.path.join(ROOT, "target", "peers")
TWILIO_PYPI = "9.13.0"
TWILIO_NPM = "6.2.0"
# Clients of GeoReport v2: one that files, one that reads.
OPEN311_PYPI = {"three": "0.8.0", "georeport": "0.3.1"}


def _run(command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
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


def node():
    """The folder with npm's `twilio`."""
    if not shutil.which("npm"):
        raise checks.Skip("npm is not on PATH; install Node 18 or newer")
    folder = os.path.join(PEERS, "node")
    mark = os.path.join(folder, f"twilio-{TWILIO_NPM}")
    if not os.path.exists(mark):
        print(f"getting twilio {TWILIO_NPM} from npm into target/peers/node", flush=True)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "package.json"), "w") as file:
            file.write('{"private": true}\n')
        _run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", f"twilio@{TWILIO_NPM}"], cwd=folder)
        open(mark, "w").close()
    return folder


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

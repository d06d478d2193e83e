"""A connector written by `new-connector` builds and keeps the contract; `check` tells a good component from a bad one; the page of
channels is what the connectors say."""

import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, peers, server  # noqa: E402

peers.inside_python()

COMPONENTS = os.path.join(server.ROOT, "target", "components")
RELEASE = os.path.join(server.ROOT, "target", "wasm32-unknown-unknown", "component")
MADE = {}


def finish():
    server.clean()


def build(package, cwd):
    """The core module of a package; as for the host, that is component enough."""
    done = subprocess.run(
        ["cargo", "build", "--quiet", "--offline", "--package", package, "--profile", "component", "--target", "wasm32-unknown-unknown"],
        cwd=cwd, capture_output=True, text=True, env={**os.environ, "CARGO_TARGET_DIR": os.path.join(server.ROOT, "target")},
    )
    checks.equal(done.returncode, 0, done.stderr[-2000:])
    return os.path.join(RELEASE, package.replace("-", "_") + ".wasm")


def clone():
    """A copy of the sources, without what was built."""
    if "root" not in MADE:
        MADE["root"] = os.path.join(server.folder(), "clone")
        ignored = shutil.ignore_patterns("target", ".git", ".ventanilla", "node_modules", "__pycache__")
        shutil.copytree(server.ROOT, MADE["root"], ignore=ignored)
    return MADE["root"]


def files(root):
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, root)] = file.read()
    return found


def created():
    """messaging/parlante in the copy, and what was there before."""
    if "before" not in MADE:
        before = files(clone())
        status, output, errors = server.command("new-connector", "messaging", "parlante", cwd=os.path.join(clone(), "wit"))
        checks.equal(status, 0, errors)
        checks.contains(output, "components/messaging/parlante", "spin.toml", "cargo test --release -p messaging-parlante")
        MADE["before"] = before
    return MADE["before"]


def check(*arguments, ok, env=None):
    """`ventanilla check`, for people and as JSON."""
    variables = server.environment()
    variables.update(env or {})
    status, output, errors = server.command("check", *arguments, env=variables, timeout=110)
    checks.equal(status, 0 if ok else 1, f"{output}{errors}")
    checks.holds("panicked" not in output + errors, errors)
    return output, errors


def rules(*arguments, ok):
    output, _ = check(*arguments, "--json", ok=ok)
    said = json.loads(output)
    checks.equal(said["ok"], ok)
    return said, {rule["rule"]: rule for rule in said["rules"]}


def test_a_new_connector_is_a_folder_and_a_stanza_and_is_formatted():
    server.only_our_own("no server is asked")
    before = created()
    after = files(clone())
    folder = os.path.join("components", "messaging", "parlante")
    changed = sorted(name for name in after if after[name] != before.get(name) and not name.startswith(folder))
    checks.equal(changed, ["spin.toml"])
    sources = [os.path.join(clone(), name) for name in after if name.startswith(folder) and name.endswith(".rs")]
    checks.equal(len(sources), 6)
    if not shutil.which("rustfmt"):
        print("(rustfmt is not installed: the format is not checked)")
        return
    done = subprocess.run(
        ["rustfmt", "--edition", "2024", "--check", *sources], cwd=clone(), capture_output=True, text=True
    )
    checks.equal(done.returncode, 0, done.stdout[-2000:] + done.stderr[-2000:])


def test_a_new_connector_builds_and_keeps_the_whole_contract_at_once():
    server.only_our_own("no server is asked")
    created()
    component = build("messaging-parlante", clone())
    cases = os.path.join(clone(), "components", "messaging", "parlante", "testdata")
    said, found = rules(component, "--cases", cases, ok=True)
    checks.equal(said["connector"], "messaging/parlante")
    checks.holds(len(found) >= 12, f"only {len(found)} rules were tried")
    checks.equal({rule["result"] for rule in found.values()}, {"ok"})
    # And the suite can fail: another text in the golden case, and the connector no longer gives what its folder says.
    story = os.path.join(cases, "message-from-a-citizen", "expected.json")
    with open(story) as file:
        text = file.read()
    with open(story, "w") as file:
        file.write(text.replace("farola", "fuente"))
    output, errors = check(component, "--cases", cases, ok=False)
    checks.contains(output, "FAILED", "every golden case gives what its folder says", "message-from-a-citizen", "what to do:")
    checks.contains(errors, "does not keep the contract", "1 rule(s) broken")


def test_a_second_one_of_the_same_name_or_a_bad_name_is_refused_and_changes_nothing():
    server.only_our_own("no server is asked")
    created()
    before = files(clone())
    for arguments, pieces in (
        (("messaging", "parlante"), ["exists already", "choose another name"]),
        (("fax", "parlante"), ["not a channel", "telephony, email"]),
        (("email", "../x"), ["can't be a vendor's name"]),
        (("email", "Ñandú"), ["can't be a vendor's name"]),
    ):
        status, output, errors = server.command("new-connector", *arguments, cwd=clone())
        checks.equal(status, 1, f"{arguments}: {output}{errors}")
        checks.contains(errors, *pieces)
    status, _, errors = server.command("new-connector", "email", "parlante", cwd=server.folder())
    checks.equal(status, 1)
    checks.contains(errors, "not in a checkout", "clone")
    checks.equal(files(clone()) == before, True, "nothing is changed")


def test_check_finds_a_good_component_good_with_and_without_its_cases():
    server.only_our_own("no server is asked")
    component = os.path.join(COMPONENTS, "messaging-telegram.wasm")
    # In the repository its own cases are found.
    said, found = rules(component, ok=True)
    checks.contains(said["cases"], "testdata")
    checks.equal({rule["result"] for rule in found.values()}, {"ok"})
    status, output, errors = server.command("check", component, cwd=server.folder(), timeout=110)
    checks.equal(status, 0, f"{output}{errors}")
    checks.contains(output, "messaging/telegram", "not tried", "--cases", "0 broken")


def test_check_names_what_a_hostile_component_does_and_with_which_request():
    server.only_our_own("no server is asked")
    component = build("hostile", server.ROOT)
    cases = os.path.join(server.folder(), "cases")
    for story in ("a-request-it-likes", "a-request-that-makes-it-panic"):
        os.makedirs(os.path.join(cases, story))
    for name, text in (
        ("context.json", json.dumps({"tenant": "t", "public_url": "https://city.example/tests/hostile/t",
                                     "profile": {"tenant": "t", "name": "T", "languages": ["es"]}})),
        ("secrets.json", json.dumps({"key": "fake-key"})),
        ("a-request-it-likes/request.http", "POST /in HTTP/1.1\nx-key: fake-key\n\nbon dia"),
        ("a-request-that-makes-it-panic/request.http", "POST /translate-panic HTTP/1.1\nx-key: fake-key\n\nhola"),
    ):
        with open(os.path.join(cases, name), "w") as file:
            file.write(text)
    output, _ = check(component, "--cases", cases, ok=False)
    checks.contains(output, "tests/hostile", "FAILED", "a-request-that-makes-it-panic", "trapped", "Retry-After", "what to do:")
    _, found = rules(component, "--cases", cases, ok=False)
    for rule in ("changed requests give a value or a typed error, never a trap", "every outcome is acknowledged so that a provider understands it"):
        checks.equal(found[rule]["result"], "failed", rule)
        checks.holds(found[rule]["detail"] and found[rule]["remedy"], f"{rule}: without detail or remedy")


def test_check_names_imports_that_are_not_ours():
    server.only_our_own("no server is asked")
    _, found = rules(os.path.join(COMPONENTS, "gateway.wasm"), ok=False)
    rule = found["it imports our types and nothing else"]
    checks.equal(rule["result"], "failed")
    checks.contains(rule["detail"], "wasi:http/", "ventanilla:store/")
    checks.contains(rule["remedy"], "wasm32-unknown-unknown")


def test_check_says_of_what_is_no_component_that_it_is_none():
    server.only_our_own("no server is asked")
    for name, content in (("text.wasm", b"hello"), ("empty.wasm", b""), ("cut.wasm", b"\0asm\r\0\1\0")):
        file = os.path.join(server.folder(), name)
        with open(file, "wb") as out:
            out.write(content)
        output, errors = check(file, ok=False)
        checks.contains(output, "FAILED", "what to do:")
        checks.contains(errors, name)
    _, errors = check("no-such-file.wasm", ok=False)
    checks.contains(errors, "no-such-file.wasm", "cargo xtask build")
    _, errors = check(os.path.join(COMPONENTS, "messaging-telegram.wasm"), "--cases", "no-such-folder", ok=False)
    checks.contains(errors, "no-such-folder", "context.json")


def test_the_page_of_channels_is_what_the_connectors_say():
    server.only_our_own("no server is asked")
    status, output, errors = server.command("channels", timeout=110)
    checks.equal(status, 0, errors)
    with open(os.path.join(server.ROOT, "docs", "channels.md")) as file:
        checks.holds(file.read() == output, "docs/channels.md is stale; write it with `cargo xtask channels`")
    status, output, errors = server.command("channels", "--json", timeout=110)
    checks.equal(status, 0, errors)
    names = {f"{said['channel']}/{said['vendor']}" for said in json.loads(output)["connectors"]}
    folders = {
        f"{channel}/{vendor}"
        for channel in os.listdir(os.path.join(server.ROOT, "components"))
        for vendor in os.listdir(os.path.join(server.ROOT, "components", channel))
        if channel != "store" and os.path.isfile(os.path.join(server.ROOT, "components", channel, vendor, "Cargo.toml"))
    }
    checks.equal(names, folders)


if __name__ == "__main__":
    checks.main(globals(), limit=420)

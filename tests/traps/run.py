"""A connector that panics, loops, hoards or recurses: its envelope is kept, nobody else hurt.

Our host gives a request in which a component stopped to a fresh instance, so its provider is acknowledged and its envelope `quarantined`.
Spin answers such a request with 500 itself. The gateway has journalled the envelope before it called the connector there, so it is
found as `pending` and replayed like the others. The steps are authenticate, journal (there), translate, record, acknowledge; a connector is tried that
stops in each of its own, between two of the store's, and with `--profile postgres` on connections that the next request is given. Nothing stops a loop on Spin, which has no limit of time for a component.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, peers, server, sites, spin, twilio  # noqa: E402

peers.inside_python()

KEY = "fake-key-of-the-hostile-connector"
RUNNING = {}
STANZA = """
[[trigger.http]]
route = "/tests/hostile/..."
component = "tests-hostile"

[component.tests-hostile]
source = "target/components/gateway.wasm"
allowed_outbound_hosts = ["{{ postgres_host }}"]
sqlite_databases = ["default"]
[component.tests-hostile.variables]
settings = "{{ tests_hostile }}"
api_tokens = "{{ api_tokens }}"
postgres_url = "{{ postgres_url }}"
[component.tests-hostile.dependencies]
"ventanilla:channel/connector@1.0.0" = { path = "target/components/tests-hostile.wasm" }
"ventanilla:store@1.0.0" = { path = "target/components/store-sqlite.wasm", inherit_configuration = ["sqlite_databases"] }
[component.tests-hostile.profile.postgres.dependencies]
"ventanilla:store@1.0.0" = { path = "target/components/store-postgres.wasm", inherit_configuration = ["allowed_outbound_hosts", "variables"] }
"""


def site():
    if "site" not in RUNNING:
        remaining = signal.alarm(0)  # Compiling is not what is tried.
        # A core module is enough: the host, like Spin, makes a component of it.
        built = subprocess.run(
            ["cargo", "build", "--quiet", "--package", "hostile", "--profile", "component", "--target", "wasm32-unknown-unknown"],
            cwd=server.ROOT, capture_output=True, text=True,
        )
        signal.alarm(remaining)
        checks.equal(built.returncode, 0, built.stderr[-2000:])
        with open(os.path.join(server.ROOT, "target", "wasm32-unknown-unknown", "component", "hostile.wasm"), "rb") as file:
            module = file.read()
        RUNNING["site"] = sites.site(
            lambda text: text.replace("[variables]", '[variables]\ntests_hostile = { default = "{}", secret = true }') + STANZA,
            {"tests-hostile.wasm": module},
        )
    return RUNNING["site"]


def environment(**more):
    settings = {"madrid": {"public_url": "https://city.example/tests/hostile/madrid", "key": KEY, **more}}
    return server.environment(SPIN_VARIABLE_TESTS_HOSTILE=json.dumps(settings))


def running():
    if "server" not in RUNNING:
        RUNNING["data"] = server.folder()
        RUNNING["server"] = server.Server(data=RUNNING["data"], env=environment(), cwd=site())
    return RUNNING["server"]


def finish():
    if "server" in RUNNING:
        RUNNING["server"].kill()
    server.clean()


def deliver(one, deed, body, timeout=40):
    return one.send("POST", f"/tests/hostile/madrid/{deed}", body.encode(), [("x-key", KEY)], timeout=timeout)


def held_back(one):
    """What waits for somebody to look at it and replay it, newest first."""
    disposition = "pending" if spin.ON else "quarantined"
    return one.all(f"/api/madrid/envelopes?disposition={disposition}", "envelopes")


def hurts_itself_only(deed, body):
    """The bad request among 24 good ones: it is kept to be looked at, all others are accepted."""
    one = running()
    before = len(held_back(one))
    good, bad = [], []

    def call(number):
        good.append(one.twilio().send("/voice", twilio.call(twilio.sid(number)), timeout=40).status)

    base = abs(hash((deed, body))) % 10**9 * 100
    threads = [threading.Thread(target=call, args=(base + number,)) for number in range(24)]
    took = []

    def trap():
        start = time.monotonic()
        bad.append(deliver(one, deed, body))
        took.append(time.monotonic() - start)

    threads.insert(12, threading.Thread(target=trap))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    checks.equal(good, [200] * 24, "innocent requests")
    if spin.ON:
        checks.equal(bad[0].status, 500)
    else:
        checks.equal((bad[0].status, bad[0].text), (200, "quarantined"))
        # What a caller on the telephone would wait for.
        checks.holds(took[0] < 3, f"the answer took {took[0]:.1f} s")
    held = held_back(one)
    checks.equal(len(held), before + 1, f"envelopes held back: {held[:3]}")
    checks.equal(held[0]["connector"], "tests/hostile")
    whole = one.api(f"/api/madrid/envelopes/{held[0]['id']}")
    checks.equal(whole.status, 200, whole.text)
    checks.holds(KEY not in whole.text and KEY not in one.errors(), "the credential is stored or logged")
    return held[0]


def test_a_good_delivery_is_accepted():
    answer = deliver(running(), "good", "a good one")
    checks.equal((answer.status, answer.text), (200, "accepted"))
    checks.equal([event["text"] for event in running().events() if event["connector"] == "tests/hostile"], ["a good one"])


def test_a_panic_in_translate_is_quarantined():
    hurts_itself_only("translate-panic", "panic")


def test_an_endless_loop_in_translate_is_quarantined():
    server.only_our_own("nothing stops a loop on Spin")
    hurts_itself_only("translate-loop", "loop")


def test_a_hoard_of_memory_in_translate_is_quarantined():
    hurts_itself_only("translate-greed", "greed")


def test_an_endless_recursion_in_translate_is_quarantined():
    hurts_itself_only("translate-recursion", "recursion")


def test_a_trap_before_the_request_is_verified_stores_nothing():
    # Anybody can send what makes it trap: an unverified request must not fill the store.
    before = len(running().all("/api/madrid/envelopes", "envelopes"))
    for deed in ("authenticate-panic", "authenticate-recursion"):
        checks.equal(deliver(running(), deed, deed).status, 500, deed)
    checks.equal(len(running().all("/api/madrid/envelopes", "envelopes")), before)


def test_who_does_not_have_the_key_can_not_make_translate_trap():
    answer = running().send("POST", "/tests/hostile/madrid/translate-panic", b"x", [("x-key", "wrong")])
    checks.equal(answer.status, 403, answer.text)


def test_a_trap_in_acknowledge_does_not_forget_and_does_not_double():
    for _ in range(3):
        deliver(running(), "acknowledge-panic", "told twice")
    stored = [event for event in running().events() if event.get("text") == "told twice"]
    checks.equal(len(stored), 1, "stored once, however often it came")


def test_a_client_can_not_put_its_request_into_quarantine_itself():
    answer = running().send("POST", "/tests/hostile/madrid/good", b"not in quarantine",
                            [("x-key", KEY), ("ventanilla-quarantine", "trap"), ("Ventanilla-Quarantine", "timeout")])
    checks.equal((answer.status, answer.text), (200, "accepted"))


def test_what_was_quarantined_is_replayed_once_the_connector_is_repaired():
    running().stop()
    held = None
    with server.Server(data=RUNNING["data"], env=environment(repaired="yes"), cwd=site()) as one:
        RUNNING["server"] = one
        held = [envelope for envelope in held_back(one) if envelope["connector"] == "tests/hostile"]
        deeds = ("panic", "greed", "recursion") if spin.ON else ("panic", "loop", "greed", "recursion")
        checks.holds(len(held) >= len(deeds), f"what was held back survived the restart: {held}")
        for envelope in held:
            replay = f"/tests/hostile/madrid/-/replay/{envelope['id']}"
            checks.equal(one.api(replay, "POST", token="wrong").status, 401)
            answer = one.api(replay, "POST")
            checks.equal(answer.status, 200, answer.text)
            checks.equal(one.api(replay, "POST").status, 200, "replaying again does no harm")
        texts = [event["text"] for event in one.events() if event["connector"] == "tests/hostile"]
        for body in deeds:
            checks.equal(texts.count(body), 1, f"{body} in {texts}")
        left = [envelope for envelope in held_back(one) if envelope["connector"] == "tests/hostile"]
        checks.equal(left, [], "nothing is held back any more")


if __name__ == "__main__":
    checks.main(globals(), limit=150)

"""kill -9 under load, many times: what was acknowledged is stored exactly once, and all of it sent again gives no double."""

import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, http, peers, server, spin, twilio  # noqa: E402

peers.inside_python()

ROUNDS = int(os.environ.get("VENTANILLA_KILLS", "8"))
CALLERS = 16
# Twilio has no nonce: each round's calls are new, and each is sent with all that happens in it.
SEED = int(os.environ.get("VENTANILLA_SEED", str(random.SystemRandom().randrange(1 << 32))))


def finish():
    server.clean()


def deliveries(number):
    """What Twilio sends about one call."""
    call = twilio.sid(number)
    yield f"{call}/started", "/voice", twilio.call(call)
    if number % 2:
        yield f"{call}/missed", "/status", twilio.call(call, CallStatus="no-answer", CallDuration="0")


class Load:
    """Callers that do not stop until the server is gone."""

    def __init__(self, base, first):
        self.account = twilio.Account(base)
        self.lock = threading.Lock()
        self.next = first
        self.sent, self.acknowledged, self.other = {}, {}, []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(CALLERS)]
        for thread in self.threads:
            thread.start()

    def work(self):
        while not self.over.is_set():
            with self.lock:
                number = self.next
                self.next += 1
            for name, suffix, pairs in deliveries(number):
                request = self.account.request(suffix, pairs)
                with self.lock:
                    self.sent[name] = request
                try:
                    answer = http.send(self.account.base, *request, timeout=10)
                except (OSError, http.http.client.HTTPException):
                    if self.over.is_set():
                        return
                    time.sleep(0.01)
                    continue
                with self.lock:
                    if 200 <= answer.status < 300:
                        self.acknowledged[name] = twilio.sid(number)
                    else:
                        self.other.append((name, answer))

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(15)


def count(running):
    """How often each call.started and call.missed of a call is stored."""
    found = {}
    for event in running.events():
        kind = event["kind"].split(".")[1]
        name = f"{event['call_id']}/{kind}"
        found[name] = found.get(name, 0) + 1
    return found


def check(running, acknowledged, sent):
    stored = count(running)
    lost = [name for name in acknowledged if name not in stored]
    checks.holds(not lost, f"{len(lost)} of {len(acknowledged)} acknowledged are lost, e.g. {lost[:3]} (seed {SEED})")
    double = [name for name, times in stored.items() if times != 1]
    checks.holds(not double, f"{len(double)} are stored more than once, e.g. {double[:3]} (seed {SEED})")
    strange = [name for name in stored if name not in sent]
    checks.holds(not strange, f"{len(strange)} were never sent, e.g. {strange[:3]}")
    references = {}
    for case in running.cases():
        checks.holds(case["reference"] not in references, f"two cases have the reference {case['reference']}")
        references[case["reference"]] = case
    calls = {}
    for event in running.events():
        calls.setdefault(event["call_id"], set()).add(event["case"]["reference"])
    torn = [call for call, cases in calls.items() if len(cases) != 1]
    checks.holds(not torn, f"{len(torn)} calls are in more than one case, e.g. {torn[:3]}")
    checks.equal(len(references), len(calls), "cases and calls")
    return stored


def test_every_acknowledged_call_survives_kill_9_exactly_once():
    chance = random.Random(SEED)
    data = server.folder()
    acknowledged, sent = {}, {}
    for turn in range(ROUNDS):
        running = server.Server(data=data)
        load = Load(running.url, 1 + turn * 1_000_000)
        checks.eventually(lambda: load.acknowledged, 20, "a first call is acknowledged")
        time.sleep(chance.uniform(0.05, 1.5))
        running.signal(9)
        load.stop()
        running.kill()
        checks.holds(load.acknowledged, f"round {turn}: nothing was acknowledged before the kill: {load.other[:2]}")
        acknowledged.update(load.acknowledged)
        sent.update(load.sent)
        # Spin's SQLite makes writers wait for one another: what it does not take in time it refuses politely.
        other = [(name, answer) for name, answer in load.other if not (spin.ON and answer.status == 503)]
        checks.holds(not other, f"round {turn}: {len(other)} were answered otherwise, e.g. {other[:2]}")
    print(f"        {ROUNDS} kills, {len(sent)} sent, {len(acknowledged)} acknowledged, seed {SEED}", flush=True)
    with server.Server(data=data) as running:
        before = check(running, acknowledged, sent)
        again = list(sent.items())
        chance.shuffle(again)
        lock, failed = threading.Lock(), []

        def redeliver():
            while True:
                with lock:
                    if not again:
                        return
                    name, request = again.pop()
                answer = http.send(running.url, *request)
                # A provider comes again after a 503. Our host must not need it.
                for _ in range(20 if spin.ON else 0):
                    if answer.status != 503:
                        break
                    time.sleep(0.1)
                    answer = http.send(running.url, *request)
                if not 200 <= answer.status < 300:
                    failed.append((name, answer))

        threads = [threading.Thread(target=redeliver) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        checks.holds(not failed, f"{len(failed)} redeliveries failed, e.g. {failed[:2]}")
        after = check(running, {name: "" for name in sent}, sent)
        checks.equal(len(after), len(sent), "after everything was sent again, everything is stored once")
        checks.holds(len(before) <= len(after), "something was lost")
        running.stop()


def test_a_graceful_stop_under_load_loses_nothing_and_answers_what_it_took():
    data = server.folder()
    running = server.Server(data=data)
    load = Load(running.url, 900_000_000)
    checks.eventually(lambda: load.acknowledged, 20, "a first call is acknowledged")
    time.sleep(1)
    running.process.terminate()
    time.sleep(0.2)
    load.over.set()
    checks.equal(running.stop(), 0, "exit status after SIGTERM")
    load.stop()
    with server.Server(data=data) as running:
        check(running, load.acknowledged, load.sent)


if __name__ == "__main__":
    checks.main(globals(), limit=180)

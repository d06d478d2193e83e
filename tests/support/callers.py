"""Callers under load: what was acknowledged to them must be in the store, once."""

import threading

from . import checks, http, twilio


class Callers:
    """Calls until told to stop; which were acknowledged."""

    def __init__(self, bases, first, count=6):
        self.acknowledged, self.refused, self.over = set(), [], threading.Event()
        self.lock, self.next = threading.Lock(), first
        self.threads = [threading.Thread(target=self._work, args=(bases[n % len(bases)],), daemon=True) for n in range(count)]
        for thread in self.threads:
            thread.start()

    def _work(self, base):
        account = twilio.Account(base)
        while not self.over.is_set():
            with self.lock:
                call = twilio.sid(self.next)
                self.next += 1
            request = account.request("/voice", twilio.call(call))
            answer = http.send(base, *request, timeout=30)
            with self.lock:
                if answer.status == 200 and b"<Gather" in answer.body:
                    self.acknowledged.add(call)
                else:
                    self.refused.append((answer.status, dict(answer.headers), answer.body))

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(40)


def stored(running):
    """Keys of events, as often as they are stored."""
    return sorted(event["call_id"] for event in running.events() if event["kind"] == "call.started")


def check_exactly_once(running, acknowledged):
    found = stored(running)
    checks.equal(len(found), len(set(found)), "no call is stored twice")
    checks.equal(sorted(acknowledged - set(found)), [], "acknowledged and not stored")

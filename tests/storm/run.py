"""A storm: calls and messages at ten times a bad day's rate, and the store goes away in the middle. What was acknowledged is stored, once; what was
not was told so politely, in the provider's terms; and whoever comes again is taken."""

import json
import os
import sqlite3
import sys
import time
import xml.etree.ElementTree

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, peers, postgres, server, storm, twilio  # noqa: E402

peers.inside_python()

# A bad day: so many a second of each. Steps: how many times as many, for how many seconds.
VOICE, MESSAGES = 80, 100
STEPS = ((1, 5), (2, 4), (10, 3), (1, 2))
# In the middle of the second one.
AWAY_AT = 6.5
# What the operator has said one administration may send: above the bad day, below ten times that, so that there is a "beyond" on every machine.
RATE = 120
COURIER = "fake-courier-token"
MESSAGE_PATH = "/messaging/twilio/madrid"
MESSAGE_URL = "https://city.example" + MESSAGE_PATH
DATABASES = []


def finish():
    for database in DATABASES:
        database.close()
    server.clean()


def started(*arguments, **variables):
    server.only_our_own("who is let in first is decided by our own program; before Spin an ingress does it")
    settings = {"madrid": {"public_url": MESSAGE_URL, "auth_token": twilio.TOKEN}}
    env = server.environment(SPIN_VARIABLE_MESSAGING_TWILIO=json.dumps(settings), SPIN_VARIABLE_COURIER_TOKEN=COURIER,
                             VENTANILLA_COURIER_TOKEN=COURIER, **variables)
    return server.Server(env=env, arguments=("--tenant-rate", str(RATE), "--deliver-every", "100ms", *arguments))


class Provider:
    """Signs deliveries, and knows each by its key."""

    def __init__(self, one):
        self.load, self.requests, self.number = storm.Load(one.url), {}, 0
        sdk = twilio.PythonSdk()
        self.voice = twilio.Account(one.url, sdk)
        self.text = twilio.Account(one.url, sdk, public_url=MESSAGE_URL, path=MESSAGE_PATH)

    def call(self):
        self.number += 1
        key = twilio.sid(self.number)
        self._keep(key, self.voice.request("/voice", twilio.call(key, From=f"+346{self.number:08}")))
        return key

    def message(self):
        self.number += 1
        key = f"SM{self.number:032x}"
        form = {"MessageSid": key, "SmsMessageSid": key, "SmsSid": key, "AccountSid": "AC00000000000000000000000000000000",
                "From": f"+347{self.number:08}", "To": "+34930000100", "Body": "The street lamp is out", "NumMedia": "0", "NumSegments": "1",
                "SmsStatus": "received", "ApiVersion": "2010-04-01"}
        self._keep(key, self.text.request("/message", form))
        return key

    def _keep(self, key, request):
        self.requests[key] = storm.wire(self.load.netloc, *request)

    def send(self, plan, during=()):
        return self.load.run([(due, key, self.requests[key]) for due, key in plan], during)


def planned(provider):
    """When each delivery is due."""
    plan, begin, steps = [], 0.0, []
    for times, seconds in STEPS:
        for rate, make in ((VOICE * times, provider.call), (MESSAGES * times, provider.message)):
            plan += [(begin + index / rate, make()) for index in range(rate * seconds)]
        steps.append((times, begin, begin + seconds))
        begin += seconds
    return plan, steps


def is_call(answer):
    return answer.key.startswith("CA")


def acknowledged(answer):
    if is_call(answer):
        return answer.status == 200 and b"<Gather" in answer.body
    return answer.status in (200, 204)


def heard(answer):
    """Whether a caller who was refused heard the connector's words: a document of the provider's, which says something and hangs up."""
    if "xml" not in answer.headers.get("content-type", ""):
        return False
    document = xml.etree.ElementTree.fromstring(answer.body)
    checks.holds(document.tag == "Response" and document.find(".//Say") is not None, f"{answer}")
    return True


def check_polite(answer):
    """429 or 503 that says when to come again, in the provider's terms or, where there is not even a place for that, in a problem document."""
    checks.holds(answer.status in (429, 503), f"{answer}")
    checks.holds(int(answer.headers.get("retry-after", "0")) > 0, f"no Retry-After: {answer}")
    if not (is_call(answer) and heard(answer)):
        checks.holds(answer.body == b"" or "problem+json" in answer.headers.get("content-type", ""), f"{answer}")


def tell(answers, plan, steps):
    """One line per step: how many of what, and how long voice took."""
    due = {key: at for at, key in plan}
    for times, begin, end in steps:
        those = [answer for answer in answers if begin <= due[answer.key] < end]
        if not those:
            print(f"        ×{times}: none could be sent", flush=True)
            continue
        good = sorted(answer.seconds for answer in those if is_call(answer) and acknowledged(answer))
        p99 = good[int((len(good) - 1) * 0.99)] * 1000 if good else float("nan")
        taken, longest = sum(map(acknowledged, those)), max(answer.seconds for answer in those)
        print(f"        ×{times}: {len(those)} sent, {taken} acknowledged, {len(those) - taken} told to come again; "
              f"voice p99 {p99:.0f} ms, longest of all {longest:.1f} s", flush=True)


def waiting(one):
    answer = one.api("/telephony/twilio/-/spool", token=COURIER)
    checks.equal(answer.status, 200, answer.text)
    return sum(depth["envelopes"] for depth in answer.json["spool"])


def stored(one):
    """Keys of what opened a case, as often as they are stored."""
    events = one.events()
    keys = [event["call_id"] if event["channel"] == "telephony" else event["message_id"] for event in events
            if event["kind"] in ("call.started", "message")]
    checks.equal(len(keys), len(events), "nothing else is stored")
    return keys


def weather(one, away):
    """The storm; `away` has the store go away and come back."""
    one.with_profile()
    provider = Provider(one)
    plan, steps = planned(provider)
    # A tenant's name has no queue of its own before it has been answered once.
    first = provider.send([(0, provider.call()), (0.1, provider.message())])
    checks.holds(all(map(acknowledged, first)), f"before the storm: {first}")
    answers = provider.send(plan, [(AWAY_AT, away)])
    tell(answers, plan, steps)
    checks.holds(len(answers) > len(plan) / 10, f"only {len(answers)} of {len(plan)} could be sent: that was no storm")
    good = {answer.key for answer in first + answers if acknowledged(answer)}
    refused = [answer for answer in answers if not acknowledged(answer)]
    for answer in refused:
        check_polite(answer)
    callers = [answer for answer in refused if is_call(answer)]
    voiced = [answer for answer in callers if heard(answer)]
    # A machine that can't send more than the rate has nobody to refuse: tests/admission does it with certainty.
    checks.holds(voiced or len(callers) < 20, f"none of {len(callers)} callers that were refused heard the connector's words")
    early = {key for at, key in plan if at < steps[0][2]}
    calm = [answer for answer in answers if answer.key in early]
    # Not all: a machine that stands still for a second sends what was due together, and that may be beyond the rate.
    checks.holds(sum(map(acknowledged, calm)) > len(calm) / 2, f"refused on a bad day: {[one for answer in calm if not acknowledged(answer)][:3]}")

    checks.eventually(lambda: waiting(one) == 0, 60, "the spool is drained")
    found = stored(one)
    checks.equal(one.all("/api/madrid/envelopes?disposition=quarantined", "envelopes"), [], "nothing waits for a person")
    checks.equal(len(found), len(set(found)), "nothing is stored twice")
    checks.equal(sorted(good - set(found))[:5], [], "acknowledged and not stored")
    # Not acknowledged and stored all the same: whoever did not wait for the answer. They come again, and it is once.
    again = [answer.key for answer in refused[:: max(1, len(refused) // 60)]] + sorted(good)[:20]
    second = provider.send([(index / 20, key) for index, key in enumerate(again)])
    checks.holds(all(map(acknowledged, second)), f"they came again: {[answer for answer in second if not acknowledged(answer)][:3]}")
    checks.eventually(lambda: waiting(one) == 0, 60, "the spool is drained")
    found = stored(one)
    checks.equal(len(found), len(set(found)), "nothing is stored twice")
    checks.equal(sorted((good | set(again)) - set(found))[:5], [], "acknowledged and not stored")
    print(f"        {len(good)} acknowledged, {len(refused)} told to come again, {len(voiced)} of {len(callers)} callers heard it", flush=True)


def test_postgresql_restarts_in_the_middle_of_a_storm_and_everything_acknowledged_is_stored_once():
    database = postgres.Postgres()
    DATABASES.append(database)
    database.sql(f"CREATE ROLE app LOGIN PASSWORD '{postgres.PASSWORD}'")
    status, output, errors = server.command("migrate", "--database-url", database.url("owner"), "--admit", "app")
    checks.equal(status, 0, output + errors)
    host = f"postgres://127.0.0.1:{database.port}"
    times = []

    def away():
        database.stop("immediate")
        database.start()
        times.append(database.sql("SELECT pg_postmaster_start_time()"))

    with started("--profile", "postgres", SPIN_VARIABLE_POSTGRES_URL=database.url(), SPIN_VARIABLE_POSTGRES_HOST=host) as one:
        weather(one, away)
    checks.equal(len(times), 1, "restarts")


def test_another_program_locks_the_sqlite_file_in_the_middle_of_a_storm_and_everything_acknowledged_is_stored_once():
    with started() as one:
        file = os.path.join(one.data, "default.sqlite")
        times = []

        def away():
            connection = sqlite3.connect(file, timeout=30, isolation_level=None)
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(2)
            connection.execute("ROLLBACK")
            connection.close()
            times.append(file)

        weather(one, away)
    checks.equal(len(times), 1, "locks")


if __name__ == "__main__":
    checks.main(globals(), limit=240)

"""Requests that are genuine but late, early, or here for a second time: refused where they would mean something else, harmless where not.

The provider is one that signs a time and a single-use token and not the content: whoever catches a signature could put it under words of
their own. The clock is the server's (`--clock`), so that no test waits."""

import datetime
import hashlib
import hmac
import json
import os
import sys
import threading
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, server  # noqa: E402

NOW = datetime.datetime(2026, 11, 21, 10, 0, 0, tzinfo=datetime.timezone.utc)
KEY = "fake-signing-key-of-the-mail-service"
TARGET = "/email/mailgun/madrid"
SETTINGS = {"madrid": {
    "public_url": "https://city.example" + TARGET, "signing_key": KEY, "addresses": ["info@city.example"], "from": "info@city.example",
}}
# The window that the connector asks for.
WINDOW = 900
RUNNING = {}


def start(data, now):
    return server.Server(
        data=data,
        env=server.environment(SPIN_VARIABLE_EMAIL_MAILGUN=json.dumps(SETTINGS)),
        arguments=["--clock", now.strftime("%Y-%m-%dT%H:%M:%SZ")],
    )


def running():
    if "server" not in RUNNING:
        RUNNING["data"] = server.folder()
        RUNNING["server"] = start(RUNNING["data"], NOW)
        RUNNING["number"] = 0
    return RUNNING["server"]


def finish():
    if "server" in RUNNING:
        RUNNING["server"].kill()
    server.clean()


def mail(seconds=0, token=None, text="La farola está rota.", key=KEY, **more):
    """A delivery signed `seconds` after the server's start, and its message id."""
    running()
    RUNNING["number"] += 1
    number = RUNNING["number"]
    token = token or f"{number:050x}"
    stamp = str(int(NOW.timestamp()) + seconds)
    message = more.get("message", f"<{number}@mail.example>")
    fields = {
        "recipient": "info@city.example", "sender": "ana@example.org", "from": "Ana <ana@example.org>", "subject": "Farola",
        "message-headers": json.dumps([["From", "Ana <ana@example.org>"], ["To", "info@city.example"], ["Message-Id", message]]),
        "body-plain": text, "stripped-text": text, "timestamp": stamp, "token": token,
        "signature": hmac.new(key.encode(), (stamp + token).encode(), hashlib.sha256).hexdigest(),
    }
    return urllib.parse.urlencode(fields).encode(), message


def deliver(body, one=None):
    return (one or running()).send("POST", TARGET, body, [("content-type", "application/x-www-form-urlencoded")])


def stored(message, one=None):
    return [event for event in (one or running()).events() if event.get("message_id") == message]


def refused(body, message):
    answer = deliver(body)
    # 406 is this provider's "never again": what is late stays late.
    checks.equal(answer.status, 406, answer.text)
    checks.equal(stored(message), [], "a refused one is stored")


def accepted(body, message):
    answer = deliver(body)
    checks.equal(answer.status, 200, answer.text)
    checks.equal(len(stored(message)), 1, "stored")


def test_a_delivery_of_now_is_accepted():
    accepted(*mail())


def test_a_stale_delivery_is_refused_and_not_stored():
    for seconds in (-WINDOW - 60, -86_400, -10 * 365 * 86_400):
        refused(*mail(seconds))


def test_a_delivery_from_the_future_is_refused_and_not_stored():
    for seconds in (WINDOW + 120, 86_400):
        refused(*mail(seconds))


def test_a_delivery_at_the_edge_of_the_window_is_accepted():
    # Queues and clocks are not exact; a minute inside on either side.
    accepted(*mail(-WINDOW + 60))
    accepted(*mail(WINDOW - 60))


def test_another_time_under_the_old_signature_is_refused():
    body, message = mail(-86_400)
    fields = dict(urllib.parse.parse_qsl(body.decode()))
    fields["timestamp"] = str(int(NOW.timestamp()))
    refused(urllib.parse.urlencode(fields).encode(), message)


def test_a_single_use_token_with_other_words_is_a_replay_and_is_refused():
    token = "a" * 50
    accepted(*mail(token=token))
    body, message = mail(token=token, text="Borren mi expediente.")
    refused(body, message)


def test_the_same_delivery_again_is_a_success_and_one_event():
    body, message = mail()
    first = deliver(body)
    second = deliver(body)
    checks.equal((first.status, second.status), (200, 200))
    checks.equal(len(stored(message)), 1)


def test_a_token_of_a_refused_delivery_is_not_used_up():
    # Otherwise anybody who guessed a token could have the real delivery refused.
    token = "b" * 50
    refused(*mail(token=token, key="not-the-key"))
    accepted(*mail(token=token))


def test_one_token_under_many_words_at_once_is_taken_once():
    token = "c" * 50
    deliveries = [mail(token=token, text=f"Texto {number}") for number in range(16)]
    answers = []
    threads = [threading.Thread(target=lambda body=body: answers.append(deliver(body).status)) for body, _ in deliveries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    checks.equal(sorted(answers), [200] + [406] * 15)
    checks.equal(sum(len(stored(message)) for _, message in deliveries), 1, "stored")


def test_a_restart_forgets_no_token():
    token = "d" * 50
    body, message = mail(token=token)
    accepted(body, message)
    running().kill()
    RUNNING["server"] = start(RUNNING["data"], NOW)
    refused(*mail(token=token, text="Otra cosa."))
    checks.equal(deliver(body).status, 200, "the same again")
    checks.equal(len(stored(message)), 1)


def test_what_was_signed_in_time_is_stale_when_the_clock_has_moved_on():
    body, message = mail()
    running().kill()
    RUNNING["server"] = start(RUNNING["data"], NOW + datetime.timedelta(hours=1))
    refused(body, message)


if __name__ == "__main__":
    checks.main(globals())

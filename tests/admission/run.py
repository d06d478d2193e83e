"""One administration's flood: it is told to come again in its provider's own words, nobody else feels it, and nothing acknowledged is lost."""

import os
import sys
import threading
import xml.etree.ElementTree

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import callers, checks, http, peers, server, twilio  # noqa: E402

peers.inside_python()


def limited(*arguments):
    server.only_our_own("who is let in first is decided by our own program; before Spin an ingress does it")
    return server.Server(arguments=arguments)


def finish():
    server.clean()


def call(running, tenant, number):
    settings = server.SETTINGS[tenant]
    account = twilio.Account(running.url, None, settings["auth_token"], settings["public_url"], f"/telephony/twilio/{tenant}")
    return http.send(running.url, *account.request("/voice", twilio.call(twilio.sid(number))), timeout=30)


def counted(running, name):
    lines = running.send("GET", "/metrics").text.splitlines()
    return sum(int(line.split()[-1]) for line in lines if line.startswith(name + " "))


def test_a_caller_beyond_the_rate_hears_it_and_the_provider_is_told_when_to_come_again():
    with limited("--tenant-rate", "5") as running:
        answers = [call(running, "madrid", number) for number in range(40)]
        refused = [answer for answer in answers if answer.status != 200]
        checks.holds(len(refused) > 20, f"{len(refused)} refused")
        for answer in refused:
            if answer.status == 503:
                said = xml.etree.ElementTree.fromstring(answer.body)
                checks.holds(said.tag == "Response" and said.find(".//Say") is not None, answer.text)
            else:
                # Not even a place for saying so.
                checks.equal((answer.status, answer.header("content-type")), (429, "application/problem+json"))
            checks.holds(int(answer.header("retry-after") or 0) > 0, answer.headers)
        checks.holds(any(answer.status == 503 for answer in refused), "nobody heard the connector's words")
        checks.holds(counted(running, "ventanilla_requests_limited_total") >= len(refused), "counted")
        stored = callers.stored(running)
        checks.equal(len(stored), len(answers) - len(refused), "stored as many as were acknowledged")
        # Whoever was refused is welcome again.
        checks.eventually(lambda: call(running, "madrid", 99).status == 200, 30, "the next second's calls")


def test_one_tenant_s_rate_is_not_another_s():
    with limited("--tenant-rate", "10") as running:
        for tenant in ("madrid", "sevilla"):
            checks.equal(call(running, tenant, 1).status, 200, tenant)
        over, statuses = threading.Event(), []

        def flood(first):
            number = first
            while not over.is_set():
                statuses.append(call(running, "madrid", number).status)
                number += 1

        threads = [threading.Thread(target=flood, args=(10_000 * n,), daemon=True) for n in range(1, 9)]
        for thread in threads:
            thread.start()
        checks.eventually(lambda: any(status != 200 for status in statuses), 30, "a flood beyond the rate")
        quiet = [call(running, "sevilla", number).status for number in range(100, 108)]
        over.set()
        for thread in threads:
            thread.join(60)
        checks.equal(quiet, [200] * len(quiet))
        checks.holds(any(status != 200 for status in statuses), "the flood was no flood")


if __name__ == "__main__":
    checks.main(globals(), limit=120)

"""`ventanilla doctor` beside servers that are well and servers that are not."""

import hashlib
import json
import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, peers, server, twilio  # noqa: E402

peers.inside_python()


def finish():
    server.clean()


def doctor(url, data, *arguments, token=server.API_TOKEN, env=None):
    environment = dict(env or server.environment({}))
    environment.update(VENTANILLA_URL=url, VENTANILLA_TENANT="madrid", VENTANILLA_TOKEN=token, VENTANILLA_DATA=data)
    status, output, errors = server.command("doctor", *arguments, env=environment)
    checks.holds("panicked" not in errors and twilio.TOKEN not in output + errors, output + errors)
    return status, output, errors


def test_a_server_that_is_well_is_told_so():
    with server.Server() as one:
        call = one.twilio().send("/voice", twilio.call(twilio.sid(1)))
        checks.equal(call.status, 200, call.text)
        status, output, errors = doctor(one.url, one.data)
        checks.equal(status, 0, output + errors)
        checks.contains(output, "the server answers", "is ready", "clock agrees", "adds up: 1 envelopes", "connectors are ready")
        checks.holds("FAULT" not in output, output)
        status, output, _ = doctor(one.url, one.data, "--json")
        told = json.loads(output)
        checks.equal((status, told["faults"]), (0, 0))
        checks.equal({finding["level"] for finding in told["findings"]}, {"ok"}, output)


def test_what_is_in_quarantine_is_a_warning_with_the_way_out():
    with server.Server() as one:
        # Signed, and no form: kept, not understood.
        body = json.dumps({"CallSid": twilio.sid(1)}).encode()
        suffix = f"/voice?bodySHA256={hashlib.sha256(body).hexdigest()}"
        signature = one.twilio().sdk.sign(twilio.TOKEN, twilio.PUBLIC_URL + suffix, {})
        headers = [("content-type", "application/json"), ("x-twilio-signature", signature)]
        checks.equal(one.send("POST", twilio.PATH + suffix, body, headers).status, 200)
        status, output, errors = doctor(one.url, one.data)
        checks.equal(status, 0, output + errors)
        checks.contains(output, "warning", "1 envelopes of madrid are in quarantine", "ventanilla replay")


def test_a_wrong_token_and_a_misspelt_setting_are_faults():
    settings = {"madrid": {"public_url": twilio.PUBLIC_URL, "auth_tokne": "x"}}
    with server.Server(env=server.environment(settings)) as one:
        status, output, errors = doctor(one.url, one.data)
        checks.equal(status, 1, output + errors)
        checks.contains(output, "FAULT", "auth_tokne", "did you mean auth_token?")
        status, output, errors = doctor(one.url, one.data, token="not-a-token")
        checks.equal(status, 1, output + errors)
        checks.contains(output, "FAULT", "--token")


def test_where_nobody_answers_it_says_what_to_start():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    status, output, errors = doctor(url, server.folder())
    checks.equal(status, 1, output + errors)
    checks.contains(output, "FAULT", "no answer from", "ventanilla up")


if __name__ == "__main__":
    checks.main(globals(), limit=120)

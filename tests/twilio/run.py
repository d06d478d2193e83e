"""Twilio's webhooks, signed by Twilio's official SDKs, against the real program."""

import os
import re
import subprocess
import sys
import xml.dom.minidom

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, http, peers, server, twilio  # noqa: E402

peers.inside_python()

RUNNING = {}


def running():
    """One server for all tests of this file."""
    if "server" not in RUNNING:
        RUNNING["server"] = server.Server().with_profile()
        RUNNING["number"] = 0
    return RUNNING["server"]


def fresh():
    """A call id nobody has used."""
    running()
    RUNNING["number"] += 1
    return twilio.sid(RUNNING["number"])


def finish():
    if "server" in RUNNING:
        RUNNING["server"].kill()
    server.clean()


def of_call(call):
    return [event for event in running().events() if event.get("call_id") == call]


def twiml(answer):
    checks.equal(answer.status, 200, answer.text)
    checks.contains(answer.header("content-type") or "", "xml")
    document = xml.dom.minidom.parseString(answer.body)
    checks.equal(document.documentElement.tagName, "Response")
    return document


def accepted_from(sdk):
    call = fresh()
    account = running().twilio(sdk)
    twiml(account.send("/voice", twilio.call(call)))
    (event,) = of_call(call)
    wanted = {
        "tenant": "madrid", "channel": "telephony", "connector": "telephony/twilio", "kind": "call.started",
        "sender": "+34600111222", "recipient": "+34910000000", "call_id": call,
    }
    checks.equal({name: event.get(name) for name in wanted}, wanted)
    for member in ("id", "idempotency_key", "received_at"):
        checks.holds(isinstance(event.get(member), str) and event[member], f"{member} is missing: {event}")
    checks.holds(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", event["received_at"]), event["received_at"])
    checks.holds(None not in event.values(), f"absent members are omitted: {event}")
    reference = event["case"]["reference"]
    checks.holds(re.fullmatch(r"\d{3}-\d{3}-\d{4}", reference), reference)
    case = running().case(reference)
    checks.equal(case["reference"], reference)
    checks.equal([stored["id"] for stored in case["events"]], [event["id"]])
    checks.holds(reference in [case["reference"] for case in running().cases()], "the case is not listed")


def test_a_request_signed_by_the_PyPI_sdk_becomes_a_case():
    accepted_from(twilio.PythonSdk())


def test_a_request_signed_by_the_npm_sdk_becomes_a_case():
    sdk = twilio.NodeSdk()
    try:
        accepted_from(sdk)
    finally:
        sdk.close()


def test_both_sdks_make_the_same_signature():
    node = twilio.NodeSdk()
    try:
        for parameters in ({}, {"A": "1", "a": "2", "B": ""}, {"A": ["2", "1", "2"]}, {"ñ": "á€😀", "x": " a+b&c=d "}):
            url = twilio.PUBLIC_URL + "/voice?x=%2F%2f+y"
            checks.equal(node.sign("t", url, parameters), twilio.PythonSdk().sign("t", url, parameters), str(parameters))
    finally:
        node.close()


def refused(method, target, body, headers, statuses=(401, 403)):
    before = len(running().events())
    answer = running().send(method, target, body, headers)
    checks.holds(answer.status in statuses, f"expected {statuses}, found {answer}")
    checks.equal(len(running().events()), before, "something was stored")


def test_an_altered_parameter_is_refused_and_nothing_is_stored():
    method, target, body, headers = running().twilio().request("/voice", twilio.call(fresh()))
    refused(method, target, body.replace(b"600111222", b"600111223"), headers)


def test_an_added_parameter_is_refused():
    method, target, body, headers = running().twilio().request("/voice", twilio.call(fresh()))
    refused(method, target, body + b"&Extra=1", headers)


def test_an_altered_url_is_refused():
    method, target, body, headers = running().twilio().request("/voice?step=1", twilio.call(fresh()))
    refused(method, target.replace("step=1", "step=2"), body, headers)
    refused(method, target.replace("/voice", "/status"), body, headers)
    refused(method, target + "&x=1", body, headers)


def test_an_altered_signature_is_refused():
    method, target, body, headers = running().twilio().request("/voice", twilio.call(fresh()))
    (tag,) = [value for name, value in headers if name == "x-twilio-signature"]
    kind = [header for header in headers if header[0] == "content-type"]
    other = ("B" if tag[0] == "A" else "A") + tag[1:]
    for wrong in (other, tag[:-2], tag + "=", tag.lower(), "", "!", "A" * 10_000):
        refused(method, target, body, [*kind, ("x-twilio-signature", wrong)])


def test_a_request_without_or_with_two_signatures_is_refused():
    method, target, body, headers = running().twilio().request("/voice", twilio.call(fresh()))
    kind = [header for header in headers if header[0] == "content-type"]
    tag = [header for header in headers if header[0] == "x-twilio-signature"]
    refused(method, target, body, kind)
    refused(method, target, body, [*kind, *tag, *tag])


def test_another_tenants_token_and_another_tenants_url_are_refused():
    call = twilio.call(fresh())
    method, target, body, headers = running().twilio(token=server.SETTINGS["sevilla"]["auth_token"]).request("/voice", call)
    refused(method, target, body, headers)
    method, target, body, headers = running().twilio().request("/voice", call)
    refused(method, target.replace("madrid", "sevilla"), body, headers)
    checks.equal(running().events("sevilla", server.OTHER_TOKEN), [])


def test_a_request_signed_for_the_host_header_is_refused():
    # Who can choose Host or X-Forwarded-* must not choose what a signature is checked against.
    account = running().twilio(public_url="https://evil.example/telephony/twilio/madrid")
    method, target, body, headers = account.request("/voice", twilio.call(fresh()))
    forwarded = [("host", "evil.example"), ("x-forwarded-host", "evil.example"), ("x-forwarded-proto", "https"),
                 ("spin-full-url", "https://evil.example" + target), ("forwarded", "host=evil.example;proto=https")]
    refused(method, target, body, [*headers, *forwarded])


def test_a_signature_over_the_url_with_the_standard_port_is_accepted():
    # Twilio's own back end is inconsistent here, so its SDKs try both.
    account = running().twilio(public_url=twilio.PUBLIC_URL.replace("city.example", "city.example:443"))
    twiml(account.send("/voice", twilio.call(fresh())))


def test_a_get_with_everything_in_the_query_is_accepted():
    call = fresh()
    twiml(running().twilio().send("/voice", twilio.call(call), method="GET"))
    checks.equal([event["kind"] for event in of_call(call)], ["call.started"])


def test_an_altered_get_is_refused():
    method, target, body, headers = running().twilio().request("/voice", twilio.call(fresh()), method="GET")
    refused(method, target.replace("600111222", "600111223"), body, headers)


def test_repeated_and_empty_and_strange_parameters_are_signed_over_as_they_came():
    for sdk in (twilio.PythonSdk(), twilio.NodeSdk()):
        call = fresh()
        pairs = [*twilio.call(call).items(), ("Again", "b"), ("Again", "a"), ("Again", "b"), ("Empty", ""),
                 ("CallerName", " María & <José> + \U0001f600 "), ("NewSinceYesterday", "x=y&z%20")]
        twiml(running().twilio(sdk).send("/voice", pairs))
        checks.equal(len(of_call(call)), 1)
        sdk.close()


def test_the_same_delivery_again_gives_one_event_and_the_same_answer():
    call = fresh()
    first = running().twilio().send("/voice", twilio.call(call))
    for _ in range(3):
        again = running().twilio().send("/voice", twilio.call(call), headers=[("i-twilio-idempotency-token", "t")])
        checks.equal((again.status, again.body), (first.status, first.body))
    checks.equal(len(of_call(call)), 1)


def walk(call, document, **pairs):
    """Answers the first `<Gather>` of a document."""
    gather = document.getElementsByTagName("Gather")
    checks.holds(gather, f"no Gather: {document.toxml()[:600]}")
    action = gather[0].getAttribute("action")
    checks.holds(action, "the Gather has no action")
    suffix = action.split("/telephony/twilio/madrid", 1)[-1] if "/telephony/" in action else action
    return twiml(running().twilio().send(suffix, twilio.call(call, CallStatus="in-progress", **pairs)))


def test_digits_and_speech_of_a_gather_become_inputs_of_the_same_case():
    call = fresh()
    document = twiml(running().twilio().send("/voice", twilio.call(call)))
    document = walk(call, document, Digits="1")
    if document.getElementsByTagName("Gather"):
        walk(call, document, SpeechResult="Hay basura en la calle", Confidence="0.91")
    events = of_call(call)
    checks.equal(events[0]["kind"], "call.started")
    checks.equal(events[1]["kind"], "call.input")
    checks.equal(events[1]["dtmf"], "1")
    checks.equal(len({event["case"]["reference"] for event in events}), 1, "one call is one case")
    spoken = [event for event in events if event.get("text_source") == "speech"]
    for event in spoken:
        checks.equal((event["text"], event["confidence"]), ("Hay basura en la calle", 0.91))


def said(document):
    return " ".join(node.firstChild.data for node in document.getElementsByTagName("Say") if node.firstChild)


def asks_for_a_reference(call):
    """A call that has come as far as the question for the case's reference."""
    document = twiml(running().twilio().send("/voice", twilio.call(call)))
    document = walk(call, document, Digits="1")
    document = walk(call, document, SpeechResult="estado de mi expediente", Confidence="0.9")
    checks.contains(said(document), "los diez dígitos de su número de expediente")
    return document


def test_a_mistyped_reference_is_told_and_asked_again_until_it_is_right():
    owner = fresh()
    twiml(running().twilio().send("/voice", twilio.call(owner)))
    reference = of_call(owner)[0]["case"]["reference"]
    digits = reference.replace("-", "")
    call = fresh()
    document = asks_for_a_reference(call)
    # One wrong digit, two swapped, one missing: what fingers do.
    at = next(at for at in range(9) if digits[at] != digits[at + 1])
    swapped = digits[:at] + digits[at + 1] + digits[at] + digits[at + 2:]
    for mistyped in (str((int(digits[0]) + 1) % 10) + digits[1:], swapped):
        document = walk(call, document, Digits=mistyped)
        checks.contains(said(document), "Ese número no es correcto", "los diez dígitos de su número de expediente")
        checks.holds("registrado y pendiente" not in said(document), f"a state is told: {said(document)}")
    document = walk(call, document, Digits=digits)
    checks.contains(said(document), "Su expediente está registrado y pendiente de revisión")
    events = of_call(call)
    checks.equal(events[-1].get("dtmf"), digits, "what was keyed is stored")
    own = {event["case"]["reference"] for event in events if event.get("case")}
    checks.holds(reference not in own, "asking about a case does not put the call into it")
    checks.equal([event["kind"] for event in running().case(reference)["events"]], ["call.started"], "the case asked about")


def test_a_reference_that_stays_wrong_brings_the_caller_back_to_the_menu():
    call = fresh()
    document = asks_for_a_reference(call)
    for _ in range(6):
        document = walk(call, document, Digits="0000000001")
        if "los diez dígitos" not in said(document):
            break
    checks.holds("los diez dígitos" not in said(document), "it is asked without end")
    checks.holds(document.getElementsByTagName("Gather") or document.getElementsByTagName("Record"), "another way")


def test_status_recording_and_transcription_join_the_case_of_the_call():
    call = fresh()
    account = running().twilio()
    twiml(account.send("/voice", twilio.call(call)))
    recording = {"RecordingSid": "RE" + "1" * 32, "RecordingUrl": "https://api.twilio.com/RE1", "RecordingStatus": "completed",
                 "RecordingDuration": "7", "RecordingChannels": "1", "RecordingSource": "RecordVerb"}
    base = {name: twilio.call(call)[name] for name in ("CallSid", "AccountSid")}
    for suffix, pairs in (
        ("/recording", {**base, **recording}),
        ("/transcription", {**base, "TranscriptionSid": "TR" + "1" * 32, "TranscriptionText": "Hello", "TranscriptionStatus": "completed",
                            "RecordingSid": recording["RecordingSid"], "RecordingUrl": recording["RecordingUrl"]}),
        ("/status", twilio.call(call, CallStatus="completed", CallDuration="42", Timestamp="Sat, 21 Nov 2026 10:00:00 +0000", SequenceNumber="3")),
    ):
        answer = account.send(suffix, pairs)
        checks.holds(200 <= answer.status < 300, f"{suffix}: {answer}")
    events = of_call(call)
    kinds = {event["kind"]: event for event in events}
    checks.holds({"call.started", "call.recording", "call.transcript", "call.ended"} <= set(kinds), f"kinds: {sorted(kinds)}")
    checks.equal(len({event["case"]["reference"] for event in events}), 1, "one call is one case")
    checks.equal(kinds["call.recording"]["recording_id"], recording["RecordingSid"])
    checks.equal(kinds["call.recording"]["duration_s"], 7)
    checks.equal(kinds["call.recording"]["attachments"][0]["url"], recording["RecordingUrl"])
    checks.equal(kinds["call.transcript"]["text"], "Hello")
    checks.equal(kinds["call.ended"]["duration_s"], 42)
    checks.equal(kinds["call.ended"]["timestamp"], "2026-11-21T10:00:00Z")


def test_an_unanswered_call_is_a_missed_call_with_a_case_and_a_call_back_task():
    for status in ("no-answer", "busy", "failed", "canceled"):
        call = fresh()
        answer = running().twilio().send("/status", twilio.call(call, CallStatus=status, CallDuration="0"))
        checks.holds(200 <= answer.status < 300, f"{status}: {answer}")
        missed = [event for event in of_call(call) if event["kind"] == "call.missed"]
        checks.equal(len(missed), 1, f"{status}: {of_call(call)}")
        case = running().case(missed[0]["case"]["reference"])
        checks.contains(str(case), "call_back")


def test_a_call_abandoned_at_the_menu_is_a_missed_call_with_a_call_back_task():
    call = fresh()
    account = running().twilio()
    twiml(account.send("/voice", twilio.call(call)))
    account.send("/status", twilio.call(call, CallStatus="completed", CallDuration="3"))
    missed = [event for event in of_call(call) if event["kind"] == "call.missed"]
    checks.equal(len(missed), 1, str(of_call(call)))
    checks.contains(str(missed[0].get("flags")), "abandoned")
    checks.contains(str(running().case(missed[0]["case"]["reference"])), "call_back")


def test_withheld_numbers_are_fine():
    for sender in ("anonymous", "Restricted", "", "+266696687", "unknown"):
        call = fresh()
        twiml(running().twilio().send("/voice", twilio.call(call, From=sender, Caller=sender)))
        (event,) = of_call(call)
        checks.holds("sender" not in event, f"{sender!r} gave a sender: {event}")


def test_a_proxy_that_changes_scheme_host_and_port_changes_nothing():
    nginx = peers.nginx()
    folder = server.folder()
    key, certificate = os.path.join(folder, "key.pem"), os.path.join(folder, "cert.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
                    "-days", "2", "-subj", "/CN=city.example"], check=True, capture_output=True)
    os.makedirs(os.path.join(folder, "tmp"))
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    configuration = os.path.join(folder, "nginx.conf")
    temporary = "\n".join(f"    {kind}_temp_path {folder}/tmp/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    with open(configuration, "w") as file:
        file.write(f"""daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log off;
{temporary}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        location / {{
            proxy_pass {running().url};
            proxy_set_header Host backend.internal;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto http;
        }}
    }}
}}
""")
    process = subprocess.Popen([nginx, "-e", f"{folder}/error.log", "-p", folder, "-c", configuration], stderr=subprocess.PIPE)
    try:
        base = f"https://127.0.0.1:{port}"

        def up():
            try:
                return http.send(base, "GET", "/healthz").status == 200
            except OSError:
                return False

        checks.eventually(up, 10, "nginx serves")
        call = fresh()
        account = twilio.Account(base)
        twiml(account.send("/voice?lang=es&x=%2F%2f", twilio.call(call)))
        checks.equal(len(of_call(call)), 1)
        method, target, body, headers = account.request("/voice", twilio.call(fresh()))
        answer = http.send(base, method, target, body + b"&x=1", headers)
        checks.equal(answer.status, 403, answer.text)
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    checks.main(globals(), limit=120)

"""SMS by Twilio: signed by both official SDKs, refused where they refuse, and a reply is the request that the official client sends."""

import http.server
import json
import os
import sys
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, peer_server, peers, server, twilio  # noqa: E402

peers.inside_python()

from twilio.http.http_client import TwilioHttpClient  # noqa: E402
from twilio.http.response import Response  # noqa: E402
from twilio.request_validator import RequestValidator  # noqa: E402
from twilio.rest import Client  # noqa: E402

ACCOUNT = "AC00000000000000000000000000000001"
PATH = "/messaging/twilio/madrid"
PUBLIC_URL = "https://city.example" + PATH
OURS, THEIRS = "+34930000100", "+34600111222"
RUNNING = {}


class World:
    """Twilio's REST API: it keeps what it is asked."""

    def __init__(self):
        world = self
        self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                world.asked.append((self.path, self.headers["authorization"], urllib.parse.parse_qsl(body.decode(), keep_blank_values=True)))
                data = json.dumps({"sid": f"SMout{len(world.asked)}", "status": "queued"}).encode()
                self.send_response(201)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = peer_server.start(Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


def running():
    server.only_our_own("every other host is played by one proxy (--outbound-via)")
    if "server" not in RUNNING:
        RUNNING["world"], RUNNING["number"] = World(), 0
        tenant = {"public_url": PUBLIC_URL, "auth_token": twilio.TOKEN, "account_sid": ACCOUNT, "from": OURS}
        env = server.environment(SPIN_VARIABLE_MESSAGING_TWILIO=json.dumps({"madrid": tenant}))
        RUNNING["server"] = server.Server(env=env, arguments=["--outbound-via", RUNNING["world"].url, "--deliver-every", "100ms"]).with_profile()
    return RUNNING["server"]


def finish():
    if "server" in RUNNING:
        RUNNING["server"].kill()
    server.clean()


def account(sdk=None, token=twilio.TOKEN):
    return twilio.Account(running().url, sdk, token, PUBLIC_URL, PATH)


def sms(text, **more):
    running()
    RUNNING["number"] += 1
    sid = f"SM{RUNNING['number']:032x}"
    return {"MessageSid": sid, "SmsSid": sid, "SmsMessageSid": sid, "AccountSid": ACCOUNT, "From": THEIRS, "To": OURS, "Body": text, "NumMedia": "0", "NumSegments": "1",
            "FromCountry": "ES", "ApiVersion": "2010-04-01", **more}


def event_of(message, kind="message"):
    found = [event for event in running().events() if event.get("message_id") == message["MessageSid"] and event["kind"] == kind]
    checks.equal(len(found), 1, f"events of {message['MessageSid']}")
    return found[0]


def test_an_SMS_signed_by_either_sdk_becomes_a_case():
    for sdk in (twilio.PythonSdk(), twilio.NodeSdk()):
        message = sms("La farola 🏮 de «Mayor 14» no luce & gotea + ñ = 100 %\r\n ")
        answer = account(sdk).send("/sms", message)
        checks.equal((answer.status, answer.header("content-type").split(";")[0]), (200, "text/xml"), answer.text)
        event = event_of(message)
        wanted = {"channel": "messaging", "connector": "messaging/twilio", "kind": "message", "sender": THEIRS, "recipient": OURS, "text": message["Body"]}
        checks.equal({name: event.get(name) for name in wanted}, wanted)
        checks.holds(event["case"]["reference"], "no case")
        sdk.close()


def test_an_MMS_with_files_and_a_GET_are_taken_as_signed():
    message = sms("", NumMedia="2", MediaUrl0="https://api.twilio.com/m/1", MediaContentType0="image/jpeg", MediaUrl1="https://api.twilio.com/m/2", MediaContentType1="video/3gpp")
    checks.equal(account().send("/sms", message).status, 200)
    checks.equal([(file["url"], file["content_type"]) for file in event_of(message)["attachments"]],
                 [("https://api.twilio.com/m/1", "image/jpeg"), ("https://api.twilio.com/m/2", "video/3gpp")])
    message = sms("por GET ñ +")
    checks.equal(account().send("/sms", message, method="GET").status, 200)
    checks.equal(event_of(message)["text"], "por GET ñ +")


def test_what_the_sdk_refuses_is_refused_and_not_stored():
    validator = RequestValidator(twilio.TOKEN)
    message = sms("hola")
    method, target, body, headers = account().request("/sms", message)
    (tag,) = [value for name, value in headers if name == "x-twilio-signature"]
    kind = [header for header in headers if header[0] == "content-type"]
    cases = {
        "an altered text": ("/sms", {**message, "Body": "hula"}, tag), "a parameter more": ("/sms", {**message, "X": "1"}, tag),
        "a parameter less": ("/sms", {name: value for name, value in message.items() if name != "NumMedia"}, tag),
        "another sender": ("/sms", {**message, "From": "+34600999888"}, tag), "another path": ("/status", message, tag), "a query": ("/sms?x=1", message, tag),
        "another signature": ("/sms", message, ("B" if tag[0] == "A" else "A") + tag[1:]), "half a signature": ("/sms", message, tag[:12]), "an empty signature": ("/sms", message, ""),
        "another account's token": ("/sms", message, RequestValidator("another").compute_signature(PUBLIC_URL + "/sms", message)),
    }
    for name, (suffix, pairs, signature) in cases.items():
        checks.equal(validator.validate(PUBLIC_URL + suffix, pairs, signature), False, f"the SDK takes {name}")
        answer = running().send("POST", PATH + suffix, twilio.form(pairs), [*kind, ("x-twilio-signature", signature)])
        checks.holds(answer.status in (401, 403), f"{name}: {answer}")
    for signatures in ((), (tag, tag)):
        answer = running().send(method, target, body, [*kind, *(("x-twilio-signature", one) for one in signatures)])
        checks.holds(answer.status in (401, 403), f"{len(signatures)} signatures: {answer}")
    checks.equal([event for event in running().events() if event.get("message_id") == message["MessageSid"]], [], "something was stored")
    checks.equal(validator.validate(PUBLIC_URL + "/sms", message, tag), True)
    checks.equal([running().send(method, target, body, headers).status for _ in range(3)], [200] * 3, "as it was signed, and again")
    event_of(message)


class Caught(TwilioHttpClient):
    """Keeps what the client would send."""

    def request(self, method, url, params=None, data=None, headers=None, auth=None, timeout=None, allow_redirects=False):
        import requests

        prepared = requests.Request(method, url, headers={"content-type": "application/x-www-form-urlencoded"}, data=data, auth=auth).prepare()
        self.sent = (prepared.url, prepared.headers["Authorization"], urllib.parse.parse_qsl(prepared.body, keep_blank_values=True))
        return Response(201, json.dumps({"sid": "SMx", "status": "queued"}))


def test_a_reply_is_what_the_official_client_sends_and_its_status_comes_back():
    message = sms("¿Cuándo?")
    checks.equal(account().send("/sms", message).status, 200)
    reference = event_of(message)["case"]["reference"]
    text = "Mañana ✓ & a las 9 + media"
    checks.equal(running().api(f"/api/madrid/cases/{reference}/replies", "POST", {"text": text, "author": "marta"}).status, 202)
    checks.eventually(lambda: RUNNING["world"].asked, 10, "the reply")
    path, credential, pairs = RUNNING["world"].asked[-1]
    caught = Caught()
    Client(ACCOUNT, twilio.TOKEN, http_client=caught).messages.create(to=THEIRS, from_=OURS, body=text, status_callback=PUBLIC_URL + "/status")
    checks.equal((path, credential, sorted(pairs)), (caught.sent[0], caught.sent[1], sorted(caught.sent[2])))
    checks.eventually(lambda: [one for one in running().case(reference)["replies"] if one["state"] == "sent"], 10, "settled")
    for status in ("sent", "delivered"):
        report = {"MessageSid": "SMout1", "SmsSid": "SMout1", "AccountSid": ACCOUNT, "From": OURS, "To": THEIRS, "MessageStatus": status, "SmsStatus": status, "ApiVersion": "2010-04-01"}
        checks.holds(account().send("/status", report).status in (200, 204), status)
    (entry,) = running().case(reference)["replies"]
    checks.equal(entry["delivery"]["status"], "delivered", str(entry))


if __name__ == "__main__":
    checks.main(globals())

"""Mailgun with libraries somebody else wrote: npm `@octokit/webhooks-methods` signs, Django packs the forms, and the same bytes go to the webhook view of
PyPI `django-anymail`, which checks and reads them as its users' sites do. Our replies are compared with what anymail's backend sends."""

import base64
import email.message
import email.policy
import hashlib
import http.server
import json
import os
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, peer_server, peers, server  # noqa: E402

peers.inside_python({"django-anymail": "15.2", "Django": "5.2.19", "requests": "2.34.2"})

import django  # noqa: E402
from django.conf import settings  # noqa: E402

KEY = "fake-webhook-signing-key-0123456789"
settings.configure(
    ALLOWED_HOSTS=["*"], INSTALLED_APPS=["anymail"], DATA_UPLOAD_MAX_NUMBER_FIELDS=None, USE_TZ=True, EMAIL_BACKEND="anymail.backends.mailgun.EmailBackend",
    ANYMAIL={"MAILGUN_WEBHOOK_SIGNING_KEY": KEY, "MAILGUN_API_KEY": "fake-api-key", "MAILGUN_SENDER_DOMAIN": "city.example"},
)
django.setup()

import anymail.signals  # noqa: E402
import requests.adapters  # noqa: E402
from anymail.exceptions import AnymailWebhookValidationFailure  # noqa: E402
from anymail.message import AnymailMessage  # noqa: E402
from anymail.webhooks.mailgun import MailgunInboundWebhookView, MailgunTrackingWebhookView  # noqa: E402
from django.core.files.uploadedfile import SimpleUploadedFile  # noqa: E402
from django.test.client import BOUNDARY, MULTIPART_CONTENT, RequestFactory, encode_multipart  # noqa: E402

NPM = {"@octokit/webhooks-methods": "6.0.0"}
TARGET = "/email/mailgun/madrid"
FORM = "application/x-www-form-urlencoded"
RUNNING = {}


class World:
    """Mailgun's own API: it keeps what it is asked."""

    def __init__(self):
        world = self
        self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                world.asked.append((self.path, self.headers["authorization"], urllib.parse.parse_qsl(body.decode(), keep_blank_values=True)))
                data = b'{"id": "<out@city.example>", "message": "Queued. Thank you."}'
                self.send_response(200)
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
        RUNNING["node"] = peers.Node(os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer.mjs"), NPM)
        RUNNING["world"], RUNNING["number"], RUNNING["read"] = World(), 0, []
        tenant = {"public_url": "https://city.example" + TARGET, "signing_key": KEY, "addresses": ["info@city.example"], "from": "info@city.example",
                  "domain": "city.example", "api_key": "fake-api-key"}
        env = server.environment(SPIN_VARIABLE_EMAIL_MAILGUN=json.dumps({"madrid": tenant}))
        RUNNING["server"] = server.Server(env=env, arguments=["--outbound-via", RUNNING["world"].url, "--deliver-every", "100ms"]).with_profile()
        RUNNING["keep"] = lambda sender, event, esp_name, **_: RUNNING["read"].append(event)
        anymail.signals.inbound.connect(RUNNING["keep"])
        anymail.signals.tracking.connect(RUNNING["keep"])
    return RUNNING["server"]


def finish():
    if "server" in RUNNING:
        RUNNING["server"].kill()
    if "node" in RUNNING:
        RUNNING["node"].close()
    server.clean()


def number():
    running()
    RUNNING["number"] += 1
    return RUNNING["number"]


def signed(key=KEY, at=None, token=None):
    stamp, token = str(int(at or time.time())), token or f"{number():050x}"
    signature = RUNNING["node"].ask("sign", secret=key, text=stamp + token)["signature"]
    return {"timestamp": stamp, "token": token, "signature": signature.removeprefix("sha256=")}


def fields(message, **more):
    """A message as Mailgun forwards it, without its files."""
    headers = [[name, str(value)] for name, value in message.items()]
    form = {
        "recipient": "info@city.example", "sender": "ana@example.org", "from": str(message["From"]), "subject": str(message["Subject"]),
        "body-plain": message.get_body(("plain",)).get_content(), "message-headers": json.dumps(headers), **signed(),
    }
    return {**form, **more}


def letter(text="La farola de «Mayor 14» está rota 🏮\n", subject="Farola ñ"):
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"], message["Subject"] = "Ana García <ana@example.org>", "info@city.example", subject
    message["Message-ID"], message["Date"] = f"<{number()}@mail.example>", "Sat, 21 Nov 2026 10:58:12 +0100"
    message.set_content(text)
    return message


def anymails(body, kind, view=MailgunInboundWebhookView):
    """What anymail says: its status, and what it read."""
    running()
    RUNNING["read"].clear()
    request = RequestFactory().generic("POST", "/anymail/mailgun/inbound/", body, content_type=kind)
    try:
        status = view.as_view()(request).status_code
    except AnymailWebhookValidationFailure:
        status = 400
    return status, list(RUNNING["read"])


def post(body, kind, suffix=""):
    return running().send("POST", TARGET + suffix, body, [("content-type", kind)])


def stored(message):
    return [event for event in running().events() if event.get("message_id") == message["Message-ID"]]


def both(body, kind, message, suffix=""):
    status, read = anymails(body, kind)
    checks.equal((status, len(read)), (200, 1), "anymail")
    answer = post(body, kind, suffix)
    checks.equal(answer.status, 200, answer.text)
    found = stored(message)
    checks.equal(len(found), 1, "events")
    return found[0], read[0].message


def same(event, theirs):
    wanted = {
        "channel": "email", "connector": "email/mailgun", "kind": "message", "sender": theirs.from_email.addr_spec, "sender_name": theirs.from_email.display_name,
        "subject": theirs.subject, "recipient": theirs.envelope_recipient, "message_id": theirs["Message-ID"], "timestamp": "2026-11-21T09:58:12Z",
    }
    checks.equal({name: event.get(name) for name in wanted}, wanted)
    checks.equal(event["text"].strip(), theirs.text.replace("\r\n", "\n").strip())
    theirs_files = [(file.get_filename(), file.get_content_type(), hashlib.sha256(file.get_content_bytes()).hexdigest()) for file in theirs.attachments + theirs.inlines]
    ours = [(file.get("name"), file["content_type"], file["sha256"]) for file in event.get("attachments", [])]
    checks.equal(sorted(ours, key=str), sorted(theirs_files, key=str))
    checks.holds(event["case"]["reference"], "no case")


def test_a_mail_becomes_a_case_with_what_anymail_reads():
    message = letter()
    same(*both(urllib.parse.urlencode(fields(message)).encode(), FORM, message))


def test_a_mail_with_files_becomes_a_case_with_what_anymail_reads():
    message = letter()
    files = {"attachment-1": SimpleUploadedFile("bache ñ.jpg", b"\xff\xd8\xff\x00\r\n--x", "image/jpeg"), "attachment-2": SimpleUploadedFile("logo.png", b"\x89PNG", "image/png")}
    form = fields(message, **{"attachment-count": "2", "content-id-map": json.dumps({"<logo@x>": "attachment-2"})})
    event, theirs = both(encode_multipart(BOUNDARY, {**form, **files}), MULTIPART_CONTENT, message)
    same(event, theirs)
    checks.equal([(file.get("name"), file.get("content_id")) for file in event["attachments"]], [("bache ñ.jpg", None), ("logo.png", "logo@x")])


def test_a_mail_as_it_came_becomes_a_case_with_what_anymail_reads():
    message = letter()
    message.add_attachment(b"%PDF-1.4 \x00\xff", maintype="application", subtype="pdf", filename="factura ñ.pdf")
    form = {"recipient": "info@city.example", "sender": "ana@example.org", "from": "Ana", "subject": "Farola ñ", "body-mime": message.as_string(), **signed()}
    same(*both(urllib.parse.urlencode(form).encode(), FORM, message, "/mime"))


def test_a_tracking_webhook_is_read_as_anymail_reads_it():
    data = {"event": "failed", "id": f"ev{number()}", "timestamp": 1795255200.5, "severity": "permanent", "recipient": "ana@example.org", "reason": "bounce",
            "message": {"headers": {"message-id": "20261121.out@city.example"}}, "delivery-status": {"code": 550, "message": "No such user"}}
    body = json.dumps({"signature": signed(), "event-data": data}).encode()
    status, (read,) = anymails(body, "application/json", MailgunTrackingWebhookView)
    checks.equal((status, read.event_type), (200, "bounced"))
    checks.equal(post(body, "application/json", "/events").status, 200)
    (event,) = [event for event in running().events() if event.get("event_id") == data["id"]]
    checks.equal((event["kind"], event["status"], event["recipient"], event["fields"]["diagnostic"]), ("status", "failed", read.recipient, read.mta_response))
    checks.equal(event["in_reply_to"].strip("<>"), data["message"]["headers"]["message-id"])


def test_what_anymail_refuses_is_refused_for_good_and_not_stored():
    message = letter(text="no debe entrar")
    good = fields(message)
    tag = good["signature"]
    bad = {
        "another token": {"token": "f" * 50}, "another time": {"timestamp": str(int(good["timestamp"]) + 1)}, "another signature": {"signature": tag[:-1] + ("0" if tag[-1] != "0" else "1")},
        "half a signature": {"signature": tag[:32]}, "an empty signature": {"signature": ""}, "another key": signed(key="not-the-key"),
        "the prefix of others": {"signature": "sha256=" + tag}, "base64": {"signature": base64.b64encode(bytes.fromhex(tag)).decode()},
    }
    forms = {name: {**good, **change} for name, change in bad.items()}
    forms.update({f"no {name}": {key: value for key, value in good.items() if key != name} for name in ("token", "timestamp", "signature")})
    for name, form in forms.items():
        for body, kind in ((urllib.parse.urlencode(form).encode(), FORM), (encode_multipart(BOUNDARY, form), MULTIPART_CONTENT)):
            checks.equal(anymails(body, kind), (400, []), f"anymail takes {name}")
            answer = post(body, kind)
            # 406 ends Mailgun's tries.
            checks.equal(answer.status, 406, f"{name}: {answer.text}")
    checks.equal(stored(message), [], "something was stored")
    # Of two values the last counts, for both.
    twice = urllib.parse.urlencode([("signature", "0" * 64), *good.items()]).encode()
    both(twice, FORM, message)


def test_what_anymail_would_take_late_or_again_is_refused():
    # It knows neither a window nor used tokens; the signature covers no content, so we must.
    late = letter()
    body = urllib.parse.urlencode({**fields(late), **signed(at=time.time() - 3600)}).encode()
    checks.equal(anymails(body, FORM)[0], 200, "anymail")
    checks.equal(post(body, FORM).status, 406)
    checks.equal(stored(late), [])
    first, second = letter(), letter(text="Borren mi expediente.")
    proof = signed()
    checks.equal(post(urllib.parse.urlencode({**fields(first), **proof}).encode(), FORM).status, 200)
    body = urllib.parse.urlencode({**fields(second), **proof}).encode()
    checks.equal(anymails(body, FORM)[0], 200, "anymail")
    checks.equal(post(body, FORM).status, 406, "other words under a used token")
    checks.equal((len(stored(first)), stored(second)), (1, []))


def test_the_same_mail_again_is_one_event():
    message = letter()
    body = urllib.parse.urlencode(fields(message)).encode()
    anew = urllib.parse.urlencode(fields(message)).encode()
    checks.equal([post(one, FORM).status for one in (body, body, anew)], [200, 200, 200])
    checks.equal(len(stored(message)), 1)


class Caught(requests.adapters.BaseAdapter):
    """Keeps what anymail would send."""

    def __init__(self):
        super().__init__()
        self.sent = []

    def send(self, request, **_):
        self.sent.append(request)
        answer = requests.Response()
        answer.status_code, answer._content, answer.request, answer.url = 200, b'{"id": "<x@city.example>", "message": "Queued"}', request, request.url
        return answer

    def close(self):
        pass


def test_a_reply_is_what_anymail_sends():
    message = letter()
    body = urllib.parse.urlencode(fields(message)).encode()
    checks.equal(post(body, FORM).status, 200)
    reference = stored(message)[0]["case"]["reference"]
    text = "Ya está arreglada ✓"
    checks.equal(running().api(f"/api/madrid/cases/{reference}/replies", "POST", {"text": text, "author": "marta"}).status, 202)
    checks.eventually(lambda: RUNNING["world"].asked, 10, "the reply")
    path, credential, pairs = RUNNING["world"].asked[-1]
    ours = dict(pairs)
    checks.equal(len(ours), len(pairs), "a field twice")
    names = {name[2:]: value for name, value in ours.items() if name.startswith("h:")}
    checks.equal((names["In-Reply-To"], message["Message-ID"] in names["References"]), (message["Message-ID"], True))
    caught = Caught()
    mail = AnymailMessage(ours["subject"], text, ours["from"], [ours["to"]], headers=names)
    connection = mail.get_connection()
    connection.open()
    connection.session.mount("https://", caught)
    mail.connection = connection
    mail.send()
    (request,) = caught.sent
    theirs = dict(urllib.parse.parse_qsl(request.body if isinstance(request.body, str) else request.body.decode(), keep_blank_values=True))
    checks.equal((path, credential), (request.url, request.headers["Authorization"]))
    # Which name a header has is written in many ways, by them too.
    unquoted = lambda form: {name.lower(): value.replace('"', "") if name == "from" else value for name, value in form.items()}
    checks.equal(unquoted(ours), unquoted(theirs))


if __name__ == "__main__":
    checks.main(globals())

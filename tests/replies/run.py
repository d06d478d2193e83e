"""Replies out: what staff write leaves in the provider's own dialect, once, and staff see what became of it. A proxy answers for every provider."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, peer_server, peers, server, twilio  # noqa: E402

peers.inside_python()

BOT = "123456789:AAfakeBotToken"
APP_SECRET = "fake-app-secret"
ACCOUNT = "AC00000000000000000000000000000001"
COURIER = "fake-courier-token"
SUBMIT = "http://127.0.0.1:2580/"
SMS_URL = "https://city.example/messaging/twilio/madrid"
START = "2026-11-21T10:00:00Z"

VARIABLES = {
    "MESSAGING_TELEGRAM": {"public_url": "https://city.example/messaging/telegram/madrid", "secret_token": "fake-secret", "bot_token": BOT},
    "MESSAGING_WHATSAPP": {
        "public_url": "https://city.example/messaging/whatsapp/madrid", "app_secret": APP_SECRET, "verify_token": "fake-verify", "access_token": "EAAfake",
        "phone_number_id": "106540352242922",
    },
    "MESSAGING_TWILIO": {"public_url": SMS_URL, "auth_token": twilio.TOKEN, "account_sid": ACCOUNT, "from": "+34930000100"},
    "EMAIL_MIME": {
        "public_url": "https://city.example/email/mime/madrid", "token": "fake-mail", "addresses": ["info@city.example"], "from": "info@city.example",
        "submit_url": SUBMIT, "submit_token": "fake-submit", "thread_secret": "fake-thread-secret",
    },
}
LINKS = [{"rel": "status", "url": "https://city.example/status"}]
RUNNING = []


class Provider:
    """Whoever is asked: it records what came and answers as told, else with success."""

    def __init__(self):
        self.asked, self.answers, self.lock, self.hold = [], [], threading.Lock(), None
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                with provider.lock:
                    provider.asked.append((time.monotonic(), self.path, dict((k.lower(), v) for k, v in self.headers.items()), body))
                    status, headers, answer = provider.answers.pop(0) if provider.answers else (200, {}, None)
                    number = len(provider.asked)
                if provider.hold:
                    provider.hold()
                if answer is None:
                    answer = {"ok": True, "result": {"message_id": number}, "messages": [{"id": f"wamid.OUT{number}"}], "sid": f"SM{number}", "message_id": f"<out{number}@city.example>"}
                data = json.dumps(answer).encode()
                try:
                    self.send_response(status)
                    for name, value in {**headers, "content-type": "application/json", "content-length": str(len(data))}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:
                    pass  # Who asked is dead.

            def log_message(self, *_):
                pass

        self.server = peer_server.start(Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def of(self, piece):
        return [one for one in list(self.asked) if piece in one[3].decode("utf-8", "replace") or piece in urllib.parse.unquote_plus(one[3].decode("utf-8", "replace"))]


def started(provider, data=None, clock=START, acknowledge=False, every="100ms"):
    variables = {f"SPIN_VARIABLE_{name}": json.dumps({"madrid": settings}) for name, settings in VARIABLES.items()}
    environment = server.environment(SPIN_VARIABLE_COURIER_TOKEN=COURIER, **variables)
    one = server.Server(data=data, env=environment, arguments=["--outbound-via", provider.url, "--clock", clock, "--deliver-every", every])
    RUNNING.append(one)
    return one.with_profile({**server.PROFILE, "acknowledge": acknowledge, "links": LINKS})


def finish():
    for one in RUNNING:
        one.kill()
    server.clean()


def telegram(one, update, text, person=4503599627370497, language="ca"):
    """A message to the bot; gives the reference of its case."""
    body = {"update_id": update, "message": {
        "message_id": update, "from": {"id": person, "is_bot": False, "first_name": "Ana", "language_code": language}, "chat": {"id": person, "type": "private", "first_name": "Ana"},
        "date": 1795255170, "text": text,
    }}
    headers = [("content-type", "application/json"), ("x-telegram-bot-api-secret-token", "fake-secret")]
    answer = one.send("POST", "/messaging/telegram/madrid", json.dumps(body).encode(), headers)
    checks.equal(answer.status, 200, answer.text)
    return next(event["case"]["reference"] for event in one.events() if event.get("text") == text)


def whatsapp(one, value):
    body = json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": "messages", "value": {
        "messaging_product": "whatsapp", "metadata": {"display_phone_number": "34930000100", "phone_number_id": "106540352242922"}, **value,
    }}]}]}).encode()
    signature = "sha256=" + hmac.new(APP_SECRET.encode(), body, hashlib.sha256).hexdigest()
    answer = one.send("POST", "/messaging/whatsapp/madrid", body, [("content-type", "application/json"), ("x-hub-signature-256", signature)])
    checks.equal(answer.status, 200, answer.text)


def whatsapp_text(one, number, text):
    whatsapp(one, {
        "contacts": [{"profile": {"name": "Biel"}, "wa_id": "34600111222"}],
        "messages": [{"from": "34600111222", "id": f"wamid.IN{number}", "timestamp": "1795255170", "type": "text", "text": {"body": text}}],
    })
    return next(event["case"]["reference"] for event in one.events() if event.get("text") == text)


def mail(one, mark, header="", sender="ana@example.org", to="info@city.example", envelope=None):
    content = f"From: Ana <{sender}>\r\nTo: info@city.example\r\nSubject: {mark}\r\nMessage-ID: <{mark}@example.org>\r\n{header}\r\nText of {mark}\r\n"
    headers = [("content-type", "message/rfc822"), ("authorization", "Bearer fake-mail"), ("x-envelope-from", envelope or sender), ("x-envelope-to", to)]
    answer = one.send("POST", "/email/mime/madrid", content.encode(), headers)
    checks.holds(answer.status in (200, 202, 204), f"{answer}")
    return next(event["case"]["reference"] for event in one.events() if event.get("subject") == mark)


def reply(one, reference, text):
    answer = one.api(f"/api/madrid/cases/{reference}/replies", "POST", {"text": text, "author": "marta"})
    checks.equal(answer.status, 202, answer.text)
    return answer.json["id"]


def state(one, reference, index=-1):
    return one.case(reference)["replies"][index]


def settled(one, reference, wanted, seconds=20):
    def found():
        entry = state(one, reference)
        return entry if entry["state"] == wanted else None

    try:
        return checks.eventually(found, seconds, f"the reply is {wanted}")
    except checks.Failure as failure:
        raise checks.Failure(f"{failure}: {state(one, reference)} {one.errors()[-2000:]}") from None


def harmless(one):
    for secret in (BOT, "EAAfake", twilio.TOKEN, "fake-submit", COURIER, "34600111222"):
        checks.holds(secret not in one.errors(), f"{secret} is in the log: {one.errors()}")


def test_a_reply_leaves_in_the_dialect_of_each_provider_with_its_credential():
    provider = Provider()
    with started(provider) as one:
        reference = telegram(one, 1, "Un fanal trencat")
        reply(one, reference, "Ja està arreglat ✓")
        entry = settled(one, reference, "sent")
        checks.equal((entry["author"], entry["text"], entry["automatic"], entry["connector"]), ("marta", "Ja està arreglat ✓", False, "messaging/telegram"))
        _, path, headers, body = provider.of("arreglat")[0]
        checks.equal(path, f"https://api.telegram.org/bot{BOT}/sendMessage")
        checks.equal((json.loads(body)["chat_id"], json.loads(body)["text"]), (4503599627370497, "Ja està arreglat ✓"))
        checks.equal(entry["message_id"], "1")

        reference = whatsapp_text(one, 1, "Hola per WhatsApp")
        reply(one, reference, "Resposta dos")
        entry = settled(one, reference, "sent")
        _, path, headers, body = provider.of("Resposta dos")[0]
        checks.contains(path, "https://graph.facebook.com/", "/106540352242922/messages")
        checks.equal(headers["authorization"], "Bearer EAAfake")
        checks.equal((json.loads(body)["to"], json.loads(body)["text"]["body"]), ("34600111222", "Resposta dos"))

        account = twilio.Account(one.url, public_url=SMS_URL, path="/messaging/twilio/madrid")
        answer = account.send("/message", {"MessageSid": "SM" + "1" * 32, "SmsSid": "SM" + "1" * 32, "AccountSid": ACCOUNT, "From": "+34600111333", "To": "+34930000100", "Body": "Hola por SMS", "NumMedia": "0"})
        checks.equal(answer.status, 200, answer.text)
        reference = next(event["case"]["reference"] for event in one.events() if event.get("text") == "Hola por SMS")
        reply(one, reference, "Respuesta & más")
        settled(one, reference, "sent")
        _, path, headers, body = provider.of("Respuesta & más")[0]
        checks.equal(path, f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages.json")
        checks.equal(headers["authorization"], "Basic " + base64.b64encode(f"{ACCOUNT}:{twilio.TOKEN}".encode()).decode())
        form = dict(urllib.parse.parse_qsl(body.decode()))
        checks.equal((form["To"], form["From"], form["Body"]), ("+34600111333", "+34930000100", "Respuesta & más"))
        harmless(one)


def test_a_busy_provider_is_asked_again_when_it_said_and_the_reply_leaves_once():
    provider = Provider()
    provider.answers += [(429, {"Retry-After": "2"}, {"description": "Too Many Requests"}), (503, {"Retry-After": "1"}, {})]
    with started(provider) as one:
        reference = telegram(one, 1, "Hola")
        reply(one, reference, "a la tercera")
        entry = checks.eventually(lambda: state(one, reference).get("reason") and state(one, reference), 10, "the first try's reason is shown")
        checks.equal(entry["state"], "queued")
        checks.contains(entry["reason"], "429", "Too Many Requests")
        settled(one, reference, "sent")
        times = [at for at, *_ in provider.of("a la tercera")]
        checks.equal(len(times), 3, "tries")
        checks.holds(times[1] - times[0] >= 1.9 and times[2] - times[1] >= 0.9, f"asked too early: {times}")
        time.sleep(1.5)
        checks.equal(len(provider.of("a la tercera")), 3, "what was sent is not sent again")


def test_what_the_provider_refuses_is_shown_with_its_reason_and_without_numbers():
    provider = Provider()
    provider.answers.append((400, {}, {"error": {"message": "Recipient 34600111222 of 'no puede ser' is not valid, token EAAfake", "code": 131026}}))
    with started(provider) as one:
        reference = whatsapp_text(one, 1, "Hola")
        reply(one, reference, "no puede ser")
        entry = settled(one, reference, "failed")
        checks.contains(entry["reason"], "400", "131026", "is not valid")
        for secret in ("34600111222", "no puede ser", "EAAfake"):
            checks.holds(secret not in entry["reason"], entry["reason"])
        time.sleep(0.5)
        checks.equal(len(provider.asked), 1, "it is not tried again")
        status, output, errors = server.command("case", reference, "--url", one.url, "--tenant", "madrid", "--token", server.API_TOKEN)
        checks.equal(status, 0, errors)
        checks.contains(output, "Replies", "failed", "131026")
        harmless(one)


def test_the_provider_s_reports_come_back_to_the_reply():
    provider = Provider()
    with started(provider) as one:
        reference = whatsapp_text(one, 1, "Hola")
        reply(one, reference, "entregado")
        sent = settled(one, reference, "sent")["message_id"]
        for status in ("read", "sent", "delivered"):
            whatsapp(one, {"statuses": [{"id": sent, "status": status, "timestamp": "1795255180", "recipient_id": "34600111222"}]})
        checks.equal(state(one, reference)["delivery"]["status"], "read")
        kinds = [event["kind"] for event in one.case(reference)["events"]]
        checks.equal(kinds.count("status"), 3, f"they are in the case: {kinds}")


def test_a_closed_window_needs_another_channel():
    provider, data = Provider(), server.folder()
    with started(provider, data) as one:
        reference = whatsapp_text(one, 1, "Hola")
        one.stop()
    with started(provider, data, clock="2026-11-22T10:00:05Z") as one:
        reply(one, reference, "demasiado tarde")
        entry = settled(one, reference, "failed")
        checks.contains(entry["reason"], "needs another channel", "24 hours")
        checks.equal(provider.asked, [])


def test_after_kill_9_between_sending_and_settling_it_is_sent_again_and_then_no_more():
    provider, data = Provider(), server.folder()
    with started(provider, data) as one:
        reference = telegram(one, 1, "Hola")
        provider.hold = one.kill
        reply(one, reference, "al menos una vez")
        checks.eventually(lambda: provider.of("al menos una vez"), 10, "it is sent")
        checks.eventually(lambda: one.process.poll() is not None, 10, "the server is dead")
    provider.hold = None
    # The lease of the dead is a minute.
    with started(provider, data, clock="2026-11-21T10:02:00Z") as one:
        settled(one, reference, "sent")
        checks.equal(len(provider.of("al menos una vez")), 2, "deliveries")
    with started(provider, data, clock="2026-11-21T12:00:00Z") as one:
        time.sleep(1)
        checks.equal(len(provider.of("al menos una vez")), 2, "what is settled is never sent again")


def test_a_reply_under_way_is_finished_when_the_server_is_told_to_stop():
    provider, data = Provider(), server.folder()
    provider.hold = lambda: time.sleep(1.5)
    with started(provider, data) as one:
        reference = telegram(one, 1, "Hola")
        reply(one, reference, "despacio")
        checks.eventually(lambda: provider.of("despacio"), 10, "it is being sent")
        checks.equal(one.stop(), 0, "exit status")
    provider.hold = None
    with started(provider, data, clock="2026-11-21T10:05:00Z") as one:
        checks.equal(state(one, reference)["state"], "sent")
        checks.equal(len(provider.of("despacio")), 1)


def test_without_a_timer_the_deliver_command_sends():
    provider = Provider()
    with started(provider, every="0") as one:
        reference = telegram(one, 1, "Hola")
        target = ["--url", one.url, "--tenant", "madrid", "--token", server.API_TOKEN]
        status, output, errors = server.command("reply", reference, *target, "--author", "marta", stdin="por la tubería\n")
        checks.equal(status, 0, errors)
        status, output, errors = server.command("reply", reference, "y", "como", "palabras", *target)
        checks.equal(status, 0, errors)
        time.sleep(0.5)
        checks.equal((state(one, reference)["state"], provider.asked), ("queued", []), "nothing leaves by itself")
        status, output, errors = server.command("deliver", "--url", one.url)
        checks.equal(status, 1)
        checks.contains(errors, "courier", "VENTANILLA_COURIER_TOKEN")
        status, output, errors = server.command("deliver", "--url", one.url, "--courier-token", "wrong")
        checks.equal(status, 1)
        checks.contains(errors, "401", "hint:")
        status, output, errors = server.command("deliver", "--url", one.url, "--courier-token", COURIER)
        checks.equal((status, output), (0, "messaging/telegram: 2 sent, 0 to be tried again, 0 failed\n"), errors)
        checks.equal([entry["text"] for entry in one.case(reference)["replies"]], ["por la tubería", "y como palabras"])
        checks.equal([entry["state"] for entry in one.case(reference)["replies"]], ["sent", "sent"])


def test_a_reply_that_can_not_be_is_told_with_a_remedy():
    with started(Provider()) as one:
        target = ["--url", one.url, "--tenant", "madrid", "--token", server.API_TOKEN]
        reference = telegram(one, 1, "Hola")
        for arguments, stdin, piece in [
            ([reference], "  \n", "empty"), (["482-109-3727", "x"], None, "reference"), ([reference, "x", "--token", "wrong"], None, "401"),
        ]:
            status, output, errors = server.command("reply", *arguments, *[t for t in target if "--token" not in arguments or t not in ("--token", server.API_TOKEN)], stdin=stdin)
            checks.equal(status, 1, output)
            checks.contains(errors, piece, "hint:")


def test_who_writes_is_acknowledged_in_their_language_once_per_day():
    provider, data = Provider(), server.folder()
    with started(provider, data, acknowledge=True) as one:
        reference = telegram(one, 1, "Un fanal trencat")
        entry = settled(one, reference, "sent")
        checks.equal((entry["automatic"], "text" in entry), (True, False))
        text = json.loads(provider.asked[0][3])["text"]
        checks.contains(text, "Ayuntamiento de Prueba ha rebut", f"número d'expedient és {reference}", "https://city.example/status")
        telegram(one, 2, "Encara no")
        telegram(one, 3, "Una farola", person=77, language="es")
        checks.eventually(lambda: provider.of("ha recibido su mensaje"), 10, "another person, in Spanish")
        time.sleep(0.5)
        checks.equal(len(provider.asked), 2, "one per thread and day")
        checks.holds("first_response_at" not in one.case(reference), "a machine is no response")
        # By telephone the reference is said during the call.
        one.twilio().send("/voice", twilio.call("CA" + "1" * 32))
        time.sleep(0.5)
        checks.equal(len(provider.asked), 2)
        one.stop()
    with started(provider, data, clock="2026-11-22T10:00:01Z", acknowledge=True) as one:
        telegram(one, 4, "I avui tampoc")
        checks.eventually(lambda: len(provider.asked) == 3, 10, "a day later once more")


def test_no_machine_is_ever_acknowledged():
    provider = Provider()
    with started(provider, acknowledge=True) as one:
        for index, header in enumerate([
            "Auto-Submitted: auto-replied", "Precedence: bulk", "List-Id: <x.example>", "X-Auto-Response-Suppress: All", "X-Loop: info@city.example",
        ]):
            mail(one, f"machine{index}", header + "\r\n")
        mail(one, "machine-daemon", sender="MAILER-DAEMON@example.org")
        mail(one, "machine-null", envelope="<>")
        reference = mail(one, "person", "Content-Language: gl\r\n")
        settled(one, reference, "sent")
        time.sleep(0.5)
        checks.equal(len(provider.asked), 1, f"mails sent: {[body for *_, body in provider.asked]}")
        _, path, headers, body = provider.asked[0]
        checks.equal((path, headers["authorization"], headers["x-envelope-from"]), (SUBMIT, "Bearer fake-submit", "<>"))
        checks.contains(body.decode(), "Auto-Submitted: auto-replied", "In-Reply-To: <person@example.org>", reference)


def test_an_answer_to_our_mail_comes_back_to_its_case_by_the_token_alone():
    provider = Provider()
    with started(provider) as one:
        reference = mail(one, "farola")
        reply(one, reference, "Lo miramos")
        settled(one, reference, "sent")
        head = provider.of("Lo miramos")[0][3].decode()
        address = next(line.split(": ", 1)[1] for line in head.split("\r\n") if line.startswith("Reply-To: "))
        checks.contains(address, f"info+{reference.replace('-', '')}-", "@city.example")
        # From another of the person's addresses, and its program has dropped all headers.
        checks.equal(mail(one, "gracias", sender="ana@work.example", to=address), reference)
        forged = address.replace("+" + reference.replace("-", ""), "+4821093726")
        checks.holds(mail(one, "forged", sender="eve@example.org", to=forged) != reference, "a forged token joins nothing")


if __name__ == "__main__":
    checks.main(globals(), limit=300)

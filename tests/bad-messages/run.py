"""Bad messages, named, by every channel: nothing of them is taken for what it is not, what is good beside them is kept, and the next one is served.

docs/bad-input.md says which test stands for which. Signatures are made here in a few lines; that they are what the providers make is shown by tests/meta,
tests/telegram, tests/mailgun, tests/twilio and tests/twilio-sms."""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, peers, server, twilio  # noqa: E402

peers.inside_python()

SECRET = "fake-secret-0123456789abcdef"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
MIB = 1 << 20
# What each takes at most, in bytes.
LIMITS = {
    "telephony/twilio": 262_144, "telephony/sip": 131_072, "messaging/twilio": 65_536, "messaging/telegram": MIB, "messaging/whatsapp": 3 * MIB, "social/meta": 3 * MIB,
    "email/mime": 30 * MIB, "email/mailgun": 32 * MIB, "open311/georeport": 16 * MIB,
}
WAYS = [*LIMITS, "forms/html"]
CREDENTIALS = ("x-twilio-signature", "x-ventanilla-secret", "x-telegram-bot-api-secret-token", "x-hub-signature-256", "authorization")
RUNNING = {}


def text(value):
    return [{"language": "es", "text": value}]


PROFILE = dict(server.PROFILE, services=[{"code": "light", "name": text("Farola averiada"), "place_required": True}])


def running():
    if "server" not in RUNNING:
        secrets = {
            "telephony/sip": {"shared_secret": SECRET}, "messaging/twilio": {"auth_token": SECRET}, "messaging/telegram": {"secret_token": SECRET, "bot_token": "1:x"},
            "messaging/whatsapp": {"app_secret": SECRET, "verify_token": "v", "access_token": "x"}, "social/meta": {"app_secret": SECRET, "verify_token": "v", "access_token": "x"},
            "email/mime": {"token": SECRET, "addresses": ["info@city.example"]}, "email/mailgun": {"signing_key": SECRET, "addresses": ["info@city.example"], "from": "info@city.example"},
            "forms/html": {"form_secret": "fake-form-secret", "api_key": SECRET}, "open311/georeport": {"api_key": SECRET},
            "telephony/twilio": {"auth_token": SECRET},
        }
        env = server.environment(**{
            "SPIN_VARIABLE_" + way.upper().replace("/", "_"): json.dumps({"madrid": {"public_url": f"https://city.example/{way}/madrid", **settings}}) for way, settings in secrets.items()
        })
        RUNNING["server"] = server.Server(env=env).with_profile(PROFILE)
        RUNNING["number"] = 0
    return RUNNING["server"]


def finish():
    if "server" in RUNNING:
        RUNNING["server"].kill()
    server.clean()


def number():
    running()
    RUNNING["number"] += 1
    return RUNNING["number"]


def hub(body):
    return "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


def whatsapp(*messages, field="messages"):
    value = {"messaging_product": "whatsapp", "metadata": {"display_phone_number": "34930000100", "phone_number_id": "1"}, "messages": list(messages)}
    return json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": field, "value": value}]}]}).encode()


def whatsapp_text(words):
    return {"from": "34600111222", "id": f"wamid.{number()}", "timestamp": str(int(time.time())), "type": "text", "text": {"body": words}}


def page(*messaging):
    return json.dumps({"object": "page", "entry": [{"id": "102", "time": int(time.time() * 1000), "messaging": list(messaging)}]}).encode()


def page_text(words):
    return {"sender": {"id": "7234567890123456789"}, "recipient": {"id": "102"}, "timestamp": int(time.time() * 1000), "message": {"mid": f"m_{number()}", "text": words}}


def telegram(words):
    person = {"id": 4503599627370495, "is_bot": False, "first_name": "Ana"}
    message = {"message_id": number(), "from": person, "chat": {"id": person["id"], "type": "private"}, "date": int(time.time()), "text": words}
    return json.dumps({"update_id": number(), "message": message}).encode()


def letter(words):
    return f"From: Ana <ana@example.org>\r\nTo: info@city.example\r\nSubject: x\r\nMessage-ID: <{number()}@x>\r\n\r\n{words}\r\n".encode()


def mailgun(words, **more):
    stamp, token = str(int(time.time())), f"{number():050x}"
    signature = hmac.new(SECRET.encode(), (stamp + token).encode(), hashlib.sha256).hexdigest()
    headers = [["From", "Ana <ana@example.org>"], ["To", "info@city.example"], ["Message-Id", f"<{token}@x>"]]
    return {"recipient": "info@city.example", "sender": "ana@example.org", "from": "Ana <ana@example.org>", "body-plain": words, "message-headers": json.dumps(headers),
            "timestamp": stamp, "token": token, "signature": signature, **more}


def good(way, words, body=None, kind=None):
    """A genuine request of this way: body and headers. With `body`: a genuine request with that body."""
    target = f"/{way}/madrid"
    if way in ("telephony/twilio", "messaging/twilio"):
        fields = twilio.call(twilio.sid(number()), CallStatus="no-answer", CallerName=words) if way == "telephony/twilio" else {
            "MessageSid": f"SM{number():032x}", "AccountSid": "AC1", "From": "+34600111222", "To": "+34930000100", "Body": words, "NumMedia": "0"}
        suffix = "/status" if way == "telephony/twilio" else "/sms"
        if body is not None:
            fields = dict(urllib.parse.parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        tag = base64.b64encode(hmac.new(SECRET.encode(), (f"https://city.example{target}{suffix}" + "".join(name + fields[name] for name in sorted(fields))).encode(), hashlib.sha1).digest())
        return target + suffix, twilio.form(fields) if body is None else body, [("content-type", kind or FORM), ("x-twilio-signature", tag.decode())]
    if way == "email/mailgun":
        return target, urllib.parse.urlencode(mailgun(words)).encode() if body is None else body, [("content-type", kind or FORM)]
    if way == "open311/georeport":
        fields = {"api_key": SECRET, "service_code": "light", "lat": "40.4", "long": "-3.7", "description": words}
        body = urllib.parse.urlencode(fields).encode() if body is None else f"api_key={SECRET}&".encode() + body
        return target + "/requests.json", body, [("content-type", kind or FORM)]
    if way == "telephony/sip":
        event = {"event": "message", "call_id": f"m{number()}@x", "from": "sip:+34600111222@x", "to": "sip:010@city.example", "body": words, "cseq": "1", "time": int(time.time()), "source_ip": "192.0.2.1"}
        made, credential = json.dumps(event).encode(), ("x-ventanilla-secret", SECRET)
    elif way == "messaging/telegram":
        made, credential = telegram(words), ("x-telegram-bot-api-secret-token", SECRET)
    elif way == "messaging/whatsapp":
        made, credential = whatsapp(whatsapp_text(words)), None
    elif way == "social/meta":
        made, credential = page(page_text(words)), None
    elif way == "email/mime":
        made, credential = letter(words), ("authorization", f"Bearer {SECRET}")
    else:
        made, credential = json.dumps({"description": words, "service": "light", "lat": 40.4, "long": -3.7}).encode(), ("authorization", f"Bearer {SECRET}")
    made = made if body is None else body
    headers = [("content-type", kind or ("message/rfc822" if way == "email/mime" else JSON)), credential or ("x-hub-signature-256", hub(made))]
    if way == "forms/html":
        headers.append(("idempotency-key", f"web-{number()}"))
    if way == "email/mime":
        headers += [("x-envelope-from", "ana@example.org"), ("x-envelope-to", "info@city.example")]
    return target, made, headers


def send(request, timeout=60):
    return running().send("POST", *request, timeout=timeout)


def stored():
    """How many envelopes and events there are."""
    lines = running().api("/api/madrid/ledger").json
    lines = lines.get("ledger", lines) if isinstance(lines, dict) else lines
    lines = next(value for value in lines.values() if isinstance(value, list)) if isinstance(lines, dict) else lines
    return sum(line["envelopes"] for line in lines), sum(line["events"] for line in lines)


def serves(way):
    """A good message is taken and stored."""
    words = f"good {number()} {way}"
    before = stored()
    answer = send(good(way, words))
    checks.holds(200 <= answer.status < 300, f"{way}: a good one: {answer}")
    after = stored()
    checks.equal((after[0] - before[0], after[1] - before[1]), (1, 1), f"{way}: envelopes and events of a good one")


def test_every_way_takes_a_good_message():
    for way in WAYS:
        serves(way)


# ---------------------------------------------------------------- the foundation's list, by every channel


def test_an_unknown_tenant_is_404_by_every_channel():
    for way in WAYS:
        target, body, headers = good(way, "hola")
        answer = send((target.replace("/madrid", "/atlantis"), body, headers))
        checks.equal(answer.status, 404, f"{way}: {answer}")


def refused(way, request, what):
    before = stored()
    answer = send(request)
    checks.holds(answer.status in (401, 403, 406), f"{way}, {what}: {answer}")
    checks.equal(stored(), before, f"{way}, {what}: something was stored")
    checks.holds(SECRET not in answer.text, f"{way}: a secret is shown")


def test_unsigned_and_wrongly_signed_messages_are_refused_by_every_channel():
    for way in WAYS:
        target, body, headers = good(way, "hola")
        if way in ("email/mailgun", "open311/georeport"):
            name = "signature" if way == "email/mailgun" else "api_key"
            fields = dict(urllib.parse.parse_qsl(body.decode()))
            without = {key: value for key, value in fields.items() if key != name}
            refused(way, (target, urllib.parse.urlencode(without).encode(), headers), "unsigned")
            for wrong in ("", "0" * len(fields[name]), fields[name][:-1], fields[name] + "0", "\0", "ñ"):
                refused(way, (target, urllib.parse.urlencode({**fields, name: wrong}).encode(), headers), f"signed {wrong!r}")
            continue
        others = [(name, value) for name, value in headers if name not in CREDENTIALS]
        ((name, value),) = [header for header in headers if header[0] in CREDENTIALS]
        refused(way, (target, body, others), "unsigned")
        for wrong in ("", value[:-3], value + "x", value.swapcase(), "x" * 5000, "Bearer ", "sha256="):
            refused(way, (target, body, [*others, (name, wrong)]), f"signed {wrong[:40]!r}")
        refused(way, (target, body, [*others, (name, value), (name, value)]), "signed twice")
        if name in ("x-twilio-signature", "x-hub-signature-256"):
            refused(way, (target, body.replace(b"hola", b"hula"), headers), "altered")
        serves(way)


def test_a_message_over_the_limit_is_refused_at_once_by_every_channel():
    for way, limit in LIMITS.items():
        before = stored()
        answer = send(good(way, "a" * (limit + 1)))
        # In the provider's words: Mailgun tries anything but 406 again. (A host's own limit knows no words.)
        checks.holds(answer.status == 413 or (way == "email/mailgun" and answer.status == 406), f"{way}: {answer}")
        checks.equal(stored(), before, f"{way}: something was stored")
        serves(way)


ODD = {
    "nothing": b"", "NUL": b"\0" * 100, "no UTF-8": b"\xff\xfe\xc0\xaf", "half a letter": '{"a": "ñ'.encode()[:-1], "no end": b'{"entry": [', "a list": b"[]", "null": b"null", "a number": b"1e999",
    "deep": b"[" * 50_000, "deep objects": b'{"a":' * 20_000, "a lone surrogate": b'{"object": "\\ud800"}', "twice the same": b'{"update_id": 1, "update_id": 2}', "percent": b"%", "broken percent": b"a=%zz&%=%f",
    "NUL in a form": b"a=%00&%00=b", "only separators": b"&&==&&", "many names": b"a&" * 20_000, "a file without an end": b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n",
    "control characters": bytes(range(32)) * 10, "XML": b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "a page": b"<!doctype html><title>Log in</title>",
}


def test_odd_bodies_that_are_genuine_harm_nobody_by_any_channel():
    for way in WAYS:
        for name, body in ODD.items():
            for kind in (None, "multipart/form-data; boundary=x", "text/plain"):
                answer = send(good(way, "", body, kind))
                checks.holds(answer.status < 500, f"{way}, {name} as {kind}: {answer}")
        serves(way)
    kept = running().all("/api/madrid/envelopes?disposition=quarantined", "envelopes")
    harmed = [one for one in kept if any(word in one.get("reason", "") for word in ("trap", "timeout", "memory limit"))]
    checks.equal(harmed, [], "what harmed a component")


def test_a_wrong_content_type_is_refused_or_kept_by_every_channel():
    for way in WAYS:
        for kind in ("text/plain", "application/xml", "nonsense", "", "application/json; charset=utf-16", FORM + "; charset=ebcdic", "multipart/form-data", "x" * 5000):
            target, body, headers = good(way, "hola")
            headers = [(name, kind if name == "content-type" else value) for name, value in headers]
            before = stored()
            answer = send((target, body, headers))
            checks.holds(answer.status < 500, f"{way}, {kind[:40]}: {answer}")
            # Acknowledged is stored, and refused is not.
            checks.equal(stored()[0] - before[0], 1 if answer.status < 300 else 0, f"{way}, {kind[:40]}: {answer}")


def test_the_same_message_again_is_one_event_by_every_channel():
    for way in WAYS:
        request = good(way, f"again {number()}")
        before = stored()[1]
        statuses = {send(request).status for _ in range(3)}
        checks.holds(all(200 <= status < 300 for status in statuses), f"{way}: {statuses}")
        checks.equal(stored()[1] - before, 1, f"{way}: events")


def test_a_stale_message_is_refused_where_the_provider_signs_a_time():
    for seconds in (-86_400, 86_400):
        fields = mailgun("tarde")
        stamp = str(int(time.time()) + seconds)
        signature = hmac.new(SECRET.encode(), (stamp + fields["token"]).encode(), hashlib.sha256).hexdigest()
        refused("email/mailgun", ("/email/mailgun/madrid", urllib.parse.urlencode({**fields, "timestamp": stamp, "signature": signature}).encode(), [("content-type", FORM)]), f"{seconds} s")


# ---------------------------------------------------------------- what only some of them have


def signed(way, body):
    target = f"/{way}/madrid"
    return target, body, [("content-type", JSON), ("x-hub-signature-256", hub(body))]


def test_of_a_batch_with_one_bad_element_the_good_ones_are_kept():
    bad = ({}, {"id": 1}, None, 7, [], {"type": "text"}, "text", {"from": {"a": 1}, "id": [], "type": 0})
    for one in bad:
        before, kept = stored(), len(running().all("/api/madrid/envelopes?disposition=quarantined", "envelopes"))
        marks = [f"batch {number()}" for _ in range(2)]
        for way, body in (("messaging/whatsapp", whatsapp(whatsapp_text(marks[0]), one, whatsapp_text(marks[1]))), ("social/meta", page(page_text(marks[0]), one, page_text(marks[1])))):
            answer = send(signed(way, body))
            checks.equal(answer.status, 200, f"{way}, {one}: {answer}")
            found = [event["text"] for event in running().events() if event["connector"] == way and event.get("text") in marks]
            checks.equal(sorted(found), sorted(marks), f"{way}: the good ones beside {one}")
        after = stored()
        checks.equal(after[1] - before[1], 4, f"events beside {one}")
        # What was not understood is not forgotten: its envelope waits.
        checks.equal(len(running().all("/api/madrid/envelopes?disposition=quarantined", "envelopes")) - kept, 2, f"in quarantine for {one}")


def test_an_unknown_type_of_event_is_acknowledged_and_counted():
    proof = {name: value for name, value in mailgun("x").items() if name in ("timestamp", "token", "signature")}
    tomorrow = {
        "messaging/whatsapp": signed("messaging/whatsapp", whatsapp(whatsapp_text("x"), field="field_of_tomorrow")), "social/meta": signed("social/meta", page({**page_text("x"), "message": None, "tomorrow": {}})),
        "messaging/telegram": good("messaging/telegram", "", json.dumps({"update_id": number(), "update_of_tomorrow": {"id": 1}}).encode()),
        "email/mailgun": good("email/mailgun", "", json.dumps({"signature": proof, "event-data": {"event": "of-tomorrow"}}).encode(), JSON),
        "telephony/sip": good("telephony/sip", "", json.dumps({"event": "of-tomorrow", "call_id": "x@x", "time": int(time.time())}).encode()),
    }
    for way, request in tomorrow.items():
        before = stored()
        answer = send(request)
        checks.holds(200 <= answer.status < 300, f"{way}: {answer}")
        after = stored()
        checks.equal((after[0] - before[0], after[1] - before[1]), (1, 0), f"{way}: envelopes and events")
        serves(way)


def test_ids_beyond_2_to_the_53_keep_every_digit():
    person, update = 9007199254740993, 18014398509481985
    body = {"update_id": update, "message": {"message_id": 9007199254740995, "from": {"id": person, "is_bot": False, "first_name": "A"}, "chat": {"id": -person, "type": "group"}, "date": 1, "text": "big"}}
    checks.equal(send(good("messaging/telegram", "", json.dumps(body).encode())).status, 200)
    (event,) = [event for event in running().events() if event.get("text") == "big"]
    checks.equal((event["sender"], event["message_id"], str(update) in event["idempotency_key"]), (str(person), f"-{person}:9007199254740995", True))
    big = page_text("bigger")
    big["sender"]["id"] = 72345678901234567
    checks.equal(send(signed("social/meta", page(big))).status, 200)
    (event,) = [event for event in running().events() if event.get("text") == "bigger"]
    checks.equal(event["sender"], "72345678901234567")


def mail(content, timeout=60):
    start = time.monotonic()
    answer = send(good("email/mime", "", content), timeout)
    return answer, time.monotonic() - start


def test_a_mail_of_ten_thousand_parts_or_a_thousand_levels_is_stored_and_delays_nobody():
    head = b"From: ana@example.org\r\nSubject: %s\r\nMIME-Version: 1.0\r\n"
    many = head % b"many parts" + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"".join(b"--b\r\nContent-Type: text/plain; name=%d.txt\r\n\r\n%d\r\n" % (index, index) for index in range(10_000)) + b"--b--\r\n"
    deep = head % b"many levels" + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (index, index) for index in range(1_000)) + b"\r\nat the bottom\r\n"
    letters = head % b"letters in letters" + b"Content-Type: message/rfc822\r\n\r\n" * 1_000 + b"\r\nat the bottom\r\n"
    names = head % b"many headers" + b"X-A: b\r\n" * 50_000 + b"\r\nbody\r\n"
    words = head % (b"=?utf-8?q?" + b"a" * 200_000 + b"?=") + b"\r\nbody\r\n"
    for name, content in (("many parts", many), ("many levels", deep), ("letters in letters", letters), ("many headers", names), ("a long word", words)):
        before = stored()
        answer, took = mail(content)
        checks.holds(200 <= answer.status < 300, f"{name}: {answer}")
        checks.equal(stored()[0] - before[0], 1, f"{name}: envelopes")
        checks.holds(took < 10, f"{name} took {took:.1f} s")
        serves("email/mime")


def test_a_mail_with_an_attachment_of_30_MB_is_refused_at_once_and_one_of_20_MB_is_taken():
    for megabytes, taken in ((30, False), (20, True)):
        data = base64.encodebytes(os.urandom(1 << 10) * (megabytes << 10))
        content = b"From: ana@example.org\r\nSubject: large\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsee there\r\n--b\r\n" \
            b"Content-Type: video/mp4; name=v.mp4\r\nContent-Transfer-Encoding: base64\r\n\r\n" + data + b"\r\n--b--\r\n"
        before = stored()
        answer, took = mail(content, 120)
        if taken:
            checks.holds(200 <= answer.status < 300, f"{megabytes} MB: {answer}")
            (file,) = running().events()[-1]["attachments"]
            checks.equal((file["name"], file["size"]), ("v.mp4", megabytes << 20))
        else:
            checks.equal((answer.status, stored()), (413, before), f"{megabytes} MB")
        checks.holds(took < 20, f"{took:.1f} s")
        serves("email/mime")


def test_one_field_five_thousand_times_harms_nobody():
    for name in (b"description", b"attribute[x]", b"a", b"lat", b"media_url"):
        for way, body in (("forms/html", None), ("open311/georeport", b"service_code=light&lat=40.4&long=-3.7&" + (name + b"=1&") * 5_000), ("messaging/twilio", (name + b"=1&") * 5_000),
                          ("email/mailgun", urllib.parse.urlencode(mailgun("muchas")).encode() + (b"&" + name + b"=1") * 5_000)):
            if body is None:
                request = ("/forms/html/madrid", (name + b"=1&") * 5_000, [("content-type", FORM), ("authorization", f"Bearer {SECRET}"), ("idempotency-key", "x")])
            else:
                request = good(way, "", body)
            start, before = time.monotonic(), stored()
            answer = send(request)
            checks.holds(answer.status < 500, f"{way}, {name}: {answer}")
            checks.equal(stored()[0] - before[0], 1 if answer.status < 300 else 0, f"{way}, {name}: {answer}")
            checks.holds(time.monotonic() - start < 5, f"{way}: slow")
    for way in ("forms/html", "open311/georeport", "messaging/twilio", "email/mailgun"):
        serves(way)


def test_a_photo_that_is_none_is_no_photo_by_form_and_by_open311():
    def multipart(fields):
        out = b"".join(f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields.items())
        return out + b'--x\r\nContent-Disposition: form-data; name="%s"; filename="p.jpg"\r\nContent-Type: image/jpeg\r\n\r\n<svg onload=alert(1)>\r\n--x--\r\n'

    body = multipart({"api_key": SECRET, "service_code": "light", "lat": "40.4", "long": "-3.7", "description": "no photo"}) % b"media"
    answer = running().send("POST", "/open311/georeport/madrid/requests.json", body, [("content-type", "multipart/form-data; boundary=x")])
    checks.equal(answer.status, 200, answer.text)
    (event,) = [event for event in running().events() if event.get("text") == "no photo"]
    checks.equal([file.get("content_type", "").startswith("image/") for file in event.get("attachments", [])], [False], str(event.get("attachments")))
    before = stored()
    body = multipart({"description": "no photo either", "service": "light"}) % b"photo"
    answer = running().send("POST", "/forms/html/madrid", body, [("content-type", "multipart/form-data; boundary=x"), ("authorization", f"Bearer {SECRET}"), ("idempotency-key", f"web-{number()}")])
    checks.holds(400 <= answer.status < 500, answer)
    checks.equal(stored(), before)


def test_an_open311_request_for_an_unknown_service_is_404_and_not_stored():
    before = stored()
    for code in ("nothing", "Light", "../light", "\0", "x" * 5000):
        body = urllib.parse.urlencode({"service_code": code, "lat": "40.4", "long": "-3.7", "description": "x"}).encode()
        answer = send(good("open311/georeport", "", body))
        checks.holds(answer.status in (404, 400), f"{code[:20]!r}: {answer}")
        checks.equal(answer.json[0]["code"], answer.status, answer.text)
    checks.equal(stored(), before)


if __name__ == "__main__":
    checks.main(globals(), limit=300)

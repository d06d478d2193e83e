"""One history: the same person by many channels is one contact for staff, and what was joined by mistake is separated again.

A handle is not a person. The same telephone or the same address is one contact by itself; that two of them are one person's is said by staff,
and taken back by them. What a form claims beside its sender joins nothing: anybody can write anybody's number."""

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

SIP, FORM_KEY, MAIL, APP, REPORT_KEY, MAILGUN = "fake-sip-secret", "fake-key-of-the-website", "fake-mail-token", "fake-app-secret", "fake-open311-key", "fake-signing-key"
SMS_URL = "https://city.example/messaging/twilio/madrid"
RUNNING = {}


def text(value):
    return [{"language": "es", "text": value}]


PROFILE = dict(server.PROFILE, services=[{"code": "light", "name": text("Farola averiada"), "place_required": True}])


def running():
    if "server" not in RUNNING:
        url = "https://city.example/"
        variables = {
            "TELEPHONY_SIP": {"public_url": url + "telephony/sip/madrid", "shared_secret": SIP},
            "MESSAGING_TWILIO": {"public_url": SMS_URL, "auth_token": twilio.TOKEN},
            "MESSAGING_WHATSAPP": {"public_url": url + "messaging/whatsapp/madrid", "app_secret": APP, "verify_token": "fake", "access_token": "fake"},
            "EMAIL_MIME": {"public_url": url + "email/mime/madrid", "token": MAIL, "addresses": ["info@city.example"]},
            "EMAIL_MAILGUN": {"public_url": url + "email/mailgun/madrid", "signing_key": MAILGUN, "addresses": ["info@city.example"], "from": "info@city.example"},
            "FORMS_HTML": {"public_url": url + "forms/html/madrid", "form_secret": "fake-form-secret", "api_key": FORM_KEY},
            "OPEN311_GEOREPORT": {"public_url": url + "open311/georeport/madrid", "api_key": REPORT_KEY},
        }
        env = server.environment(**{f"SPIN_VARIABLE_{name}": json.dumps({"madrid": settings}) for name, settings in variables.items()})
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


# ---------------------------------------------------------------- ways to come; each gives the reference of the case


def arrived(answer, mark, of=lambda event: [event.get("text") or "", event.get("call_id") or "", event.get("subject") or ""]):
    checks.holds(answer.status in (200, 201, 202, 204), f"{mark}: {answer}")
    found = [event for event in running().events() if any(mark in one for one in of(event))]
    checks.holds(found, f"no event of {mark}")
    return found[-1]["case"]["reference"]


def call(phone):
    sid = twilio.sid(number())
    return arrived(running().twilio().send("/voice", twilio.call(sid, From=phone, Caller=phone)), sid)


def sip_call(phone, name):
    call_id = f"call{number()}@192.0.2.50"
    body = {"event": "invite", "call_id": call_id, "from": f"sip:{phone}@carrier.example;user=phone", "from_display": f'"{name}"', "pai": f"<sip:{phone}@carrier.example>",
            "to": "sip:010@city.example", "ruri": "sip:010@city.example", "source_ip": "192.0.2.10", "cseq": "1", "time": int(time.time())}
    return arrived(running().send("POST", "/telephony/sip/madrid", json.dumps(body).encode(), [("content-type", "application/json"), ("x-ventanilla-secret", SIP)]), call_id)


def sms(phone, words):
    sid = f"SM{number():032x}"
    fields = {"MessageSid": sid, "AccountSid": "AC1", "From": phone, "To": "+34930000100", "Body": words, "NumMedia": "0"}
    return arrived(twilio.Account(running().url, None, twilio.TOKEN, SMS_URL, "/messaging/twilio/madrid").send("/sms", fields), words)


def whatsapp(phone, words, name="Ana"):
    value = {"messaging_product": "whatsapp", "metadata": {"display_phone_number": "34930000100", "phone_number_id": "1"},
             "contacts": [{"profile": {"name": name}, "wa_id": phone[1:]}],
             "messages": [{"from": phone[1:], "id": f"wamid.{number()}", "timestamp": str(int(time.time())), "type": "text", "text": {"body": words}}]}
    body = json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}]}).encode()
    signature = "sha256=" + hmac.new(APP.encode(), body, hashlib.sha256).hexdigest()
    return arrived(running().send("POST", "/messaging/whatsapp/madrid", body, [("content-type", "application/json"), ("x-hub-signature-256", signature)]), words)


def mail(address, words, name="Ana García", answers=None):
    mark = f"<{number()}@mail.example>"
    head = f"From: {name} <{address}>\r\nTo: info@city.example\r\nSubject: {words}\r\nMessage-ID: {mark}\r\n" + (f"In-Reply-To: {answers}\r\n" if answers else "")
    headers = [("content-type", "message/rfc822"), ("authorization", f"Bearer {MAIL}"), ("x-envelope-from", address), ("x-envelope-to", "info@city.example")]
    reference = arrived(running().send("POST", "/email/mime/madrid", (head + "\r\n" + words + "\r\n").encode(), headers), words)
    return reference, mark


def mailgun(address, words):
    stamp, token = str(int(time.time())), f"{number():050x}"
    fields = {"recipient": "info@city.example", "sender": address, "from": f"Ana <{address}>", "subject": words, "body-plain": words, "timestamp": stamp, "token": token,
              "message-headers": json.dumps([["From", f"Ana <{address}>"], ["To", "info@city.example"], ["Message-Id", f"<{token}@x>"]]),
              "signature": hmac.new(MAILGUN.encode(), (stamp + token).encode(), hashlib.sha256).hexdigest()}
    return arrived(running().send("POST", "/email/mailgun/madrid", urllib.parse.urlencode(fields).encode(), [("content-type", "application/x-www-form-urlencoded")]), words)


def form(words, **fields):
    body = json.dumps({"description": words, "service": "light", "lat": 40.4, "long": -3.7, **fields}).encode()
    headers = [("content-type", "application/json"), ("authorization", f"Bearer {FORM_KEY}"), ("idempotency-key", f"web-{number()}")]
    return arrived(running().send("POST", "/forms/html/madrid", body, headers), words)


def report(words, **fields):
    body = urllib.parse.urlencode({"api_key": REPORT_KEY, "service_code": "light", "lat": "40.4", "long": "-3.7", "description": words, **fields}).encode()
    return arrived(running().send("POST", "/open311/georeport/madrid/requests.json", body, [("content-type", "application/x-www-form-urlencoded")]), words)


# ---------------------------------------------------------------- what staff see


def contact(reference):
    return running().case(reference)["contact"]


def history(person):
    """Every event of a contact, by way of its cases: what staff see of one person."""
    cases = [case for case in running().cases() if case.get("contact", {}).get("id") == person]
    return [event for case in cases for event in running().case(case["reference"])["events"]]


def one_person(references):
    """All these cases have one contact; which."""
    found = {json.dumps(contact(reference), sort_keys=True) for reference in references}
    checks.equal(len(found), 1, f"contacts: {found}")
    return json.loads(found.pop())


def ask(verb, into, other, status=200, tenant="madrid", token=server.API_TOKEN):
    answer = running().api(f"/api/{tenant}/contacts/{into}/{verb}", "POST", {"other": other, "author": "marta"}, token=token)
    checks.equal(answer.status, status, answer.text)
    return answer.json


def cases_by_command(words):
    status, output, errors = server.command("cases", "--url", running().url, "--tenant", "madrid", "--token", server.API_TOKEN, "--json", "--q", words)
    checks.equal(status, 0, errors)
    return [json.loads(line) for line in output.splitlines()]


def test_one_telephone_by_five_channels_is_one_contact_with_five_events():
    phone = "+34600111222"
    references = [
        call(phone), sip_call(phone, "Ana García"), sms(phone, "por SMS"), whatsapp(phone, "por WhatsApp"), report("por una aplicación", phone="+34 600 11 12 22", first_name="Ana"),
    ]
    checks.equal(len(set(references)), 5, "cases: nothing was joined that belongs apart")
    ana = one_person(references)
    checks.equal((ana["handles"], ana["schemes"], ana["name"]), ([phone], ["phone"], "Ana García"))
    events = history(ana["id"])
    checks.equal(sorted(event["channel"] for event in events), ["messaging", "messaging", "open311", "telephony", "telephony"])
    checks.equal({event["connector"] for event in events}, {"telephony/twilio", "telephony/sip", "messaging/twilio", "messaging/whatsapp", "open311/georeport"})
    checks.equal({event["sender"] for event in events}, {phone})
    # By the program staff have at hand, too.
    listed = cases_by_command(phone)
    checks.equal({case["reference"] for case in listed}, set(references))
    checks.equal({case["contact"]["id"] for case in listed}, {ana["id"]})
    for reference in references:
        status, output, errors = server.command("case", reference, "--url", running().url, "--tenant", "madrid", "--token", server.API_TOKEN)
        checks.equal(status, 0, errors)
        checks.contains(output, f"Case {reference}", "Ana García", "Events")


def test_one_address_by_four_channels_is_one_contact_however_it_is_typed():
    references = [
        mail("Eva.Roca@Example.ORG", "por correo")[0], mailgun("eva.roca@EXAMPLE.org", "por otro correo"), form("por el formulario", email="eva.roca@example.org", phone="+34600333444"),
        report("por otra aplicación", email="EVA.ROCA@example.org"),
    ]
    eva = one_person(references)
    checks.equal((eva["handles"], eva["schemes"]), (["eva.roca@example.org"], ["email"]))
    checks.equal(len(history(eva["id"])), 4)
    # As it was written, where it was written: an answer goes there.
    checks.equal(running().case(references[0])["events"][0]["sender"], "Eva.Roca@Example.ORG")
    # The number that the form claims is nobody's proof: whoever has it is another contact until staff say otherwise.
    caller = contact(call("+34600333444"))
    checks.holds(caller["id"] != eva["id"], "a claim has joined two people")
    checks.equal(running().case(references[2])["events"][0]["claimed"], [{"scheme": "phone", "value": "+34600333444"}], "but staff see it")


def test_staff_join_a_telephone_and_an_address_and_all_of_it_is_one_history():
    phone, address = "+34600555666", "joan@example.org"
    by_phone = [call(phone), sms(phone, "Joan por SMS"), whatsapp(phone, "Joan por WhatsApp", "Joan")]
    by_mail = [mail(address, "Joan por correo", "Joan")[0], form("Joan por formulario", email=address, phone=phone)]
    phones, mails = one_person(by_phone)["id"], one_person(by_mail)["id"]
    checks.holds(phones != mails, "joined by nobody")
    joined = ask("join", mails, phones)
    checks.equal((joined["id"], sorted(joined["handles"])), (mails, sorted([phone, address])))
    checks.equal(one_person(by_phone + by_mail)["id"], mails)
    events = history(mails)
    checks.equal((len(events), len({event["channel"] for event in events})), (5, 4), "events and channels")
    # And what comes later, by either.
    later = [call(phone), mail("JOAN@example.org", "Joan otra vez", "Joan")[0]]
    checks.equal(one_person(by_phone + by_mail + later)["id"], mails)
    checks.equal(len(history(mails)), 7)
    checks.equal({case["contact"]["id"] for case in cases_by_command("Joan")}, {mails})


def test_two_people_who_share_a_telephone_are_separated_again():
    phone = "+34910555777"
    home = [call(phone), sms(phone, "llamad a casa")]
    ana, mark = mail("ana@home.example", "Cosas de Ana", "Ana")
    other, other_mark = mail("ana@home.example", "Otras cosas de Ana", "Ana")
    luis, _ = mail("luis@home.example", "Cosas de Luis", "Luis")
    before = {reference: contact(reference) for reference in (*home, ana, other, luis)}
    shared = one_person(home)["id"]
    # Somebody takes the three for one person.
    ask("join", shared, before[ana]["id"])
    ask("join", shared, before[luis]["id"])
    checks.equal(sorted(one_person([*home, ana, other, luis])["handles"]), [phone, "ana@home.example", "luis@home.example"])
    # As long as that is so, Luis takes part in what Ana wrote.
    checks.equal(mail("luis@home.example", "Luis contesta", "Luis", answers=mark)[0], ana)
    # They are two.
    alone = ask("separate", shared, before[luis]["id"])
    checks.equal(sorted(alone["handles"]), [phone, "ana@home.example"])
    checks.equal(contact(luis), before[luis])
    checks.equal(one_person([*home, ana, other])["id"], shared)
    ask("separate", shared, before[ana]["id"])
    for reference, person in before.items():
        checks.equal({**contact(reference), "name": person.get("name")}, {**person, "name": person.get("name")}, reference)
    # Nothing was lost or moved: each has what they wrote, and the telephone what came by it.
    checks.equal([len(history(before[reference]["id"])) for reference in (home[0], luis)], [2, 1])
    checks.equal([event["sender"] for event in running().case(ana)["events"]], ["ana@home.example", "luis@home.example"])
    # And Luis takes part in nothing of Ana's but where he has written.
    apart, _ = mail("luis@home.example", "Luis contesta de nuevo", "Luis", answers=other_mark)
    checks.holds(apart not in (ana, other, *home), "a stranger's mail has joined a case")
    checks.equal(contact(apart)["id"], before[luis]["id"])


def test_joins_that_can_not_be_are_refused_with_a_remedy_and_change_nothing():
    one, other, third = (contact(sms(f"+3460077788{index}", f"prueba {index}"))["id"] for index in range(3))
    for into, with_whom in ((one, one), (one, "nobody"), ("nobody", one), (one, "")):
        checks.holds(ask("join", into, with_whom, 400)["detail"], "a remedy")
    ask("separate", one, other, 400)
    ask("join", one, other)
    for into, with_whom in ((one, other), (third, other), (other, third), (other, one)):
        checks.contains(ask("join", into, with_whom, 400)["detail"], "separate")
    ask("separate", third, other, 400)
    ask("join", one, other, 401, token=server.OTHER_TOKEN)
    ask("join", one, third, 400, tenant="sevilla", token=server.OTHER_TOKEN)
    ask("separate", one, other)
    checks.equal(len({one, other, third}), 3)


if __name__ == "__main__":
    checks.main(globals())

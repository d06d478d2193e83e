"""Meta's webhooks (WhatsApp, Messenger, Page) with libraries somebody else wrote: npm `@octokit/webhooks-methods` signs, and what PyPI `pywa`, npm
`whatsapp-api-js` and npm `@warriorteam/messenger-sdk` accept, refuse, read and send is compared with what we do, on the same bytes."""

import base64
import datetime
import http.server
import json
import logging
import os
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, peer_server, peers, server  # noqa: E402

peers.inside_python({"pywa": "4.5.0"})

import httpx  # noqa: E402
import pywa  # noqa: E402
import pywa.types  # noqa: E402

NPM = {"@octokit/webhooks-methods": "6.0.0", "whatsapp-api-js": "6.3.0", "@warriorteam/messenger-sdk": "1.5.8"}
SECRET, OLD_SECRET, VERIFY = "fake-app-secret-0123456789abcdef", "fake-app-secret-that-is-being-replaced", "fake word ñ & more"
LINE, PAGE = "106540352242922", "102938475610293"
WHATSAPP, META = "/messaging/whatsapp/madrid", "/social/meta/madrid"
# Somebody's id at Meta, beyond what a floating number can hold.
PERSON = "7234567890123456789"
NOW = int(time.time()) - 60
RUNNING = {}
# What pywa refuses here, it is meant to.
logging.getLogger("pywa").setLevel(logging.CRITICAL)


class World:
    """The Graph API: it keeps what it is asked and answers with success."""

    def __init__(self):
        world = self
        self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                world.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, json.loads(body)))
                data = json.dumps({"messages": [{"id": f"wamid.OUT{len(world.asked)}"}], "message_id": f"m_OUT{len(world.asked)}"}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = peer_server.start(Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


class Pywa:
    """`pywa` as a server of its own kind uses it."""

    def __init__(self):
        self.read = []
        self.sent = []

        def answer(request):
            self.sent.append((str(request.url), json.loads(request.content)))
            return httpx.Response(200, json={"messages": [{"id": "wamid.X"}], "contacts": [{"input": "x", "wa_id": "x"}]})

        session = httpx.Client(transport=httpx.MockTransport(answer), base_url="https://graph.facebook.com/v25.0")
        self.client = pywa.WhatsApp(
            phone_id=LINE, token="fake", session=session, server=None, verify_token=VERIFY, app_secret=SECRET, skip_duplicate_updates=False, api_version=25.0,
        )
        for handler in (pywa.handlers.MessageHandler, pywa.handlers.CallbackButtonHandler, pywa.handlers.CallbackSelectionHandler, pywa.handlers.MessageStatusHandler):
            self.client.add_handlers(handler(lambda _, update: self.read.append(update)))

    def takes(self, body, signature):
        return self.client.webhook_update_validator(body, signature) is None

    def reads(self, body):
        self.read.clear()
        checks.equal(self.client.webhook_update_handler(body), ("ok", 200), "pywa")
        checks.equal(len(self.read), 1, f"what pywa read of {body}")
        return self.read[0]


def running():
    server.only_our_own("every other host is played by one proxy (--outbound-via)")
    if "server" not in RUNNING:
        RUNNING["node"] = peers.Node(os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer.mjs"), NPM)
        RUNNING["world"], RUNNING["pywa"], RUNNING["number"] = World(), Pywa(), 0
        secrets = {"app_secret": [SECRET, OLD_SECRET], "verify_token": VERIFY, "access_token": "EAAfake"}
        env = server.environment(
            SPIN_VARIABLE_MESSAGING_WHATSAPP=json.dumps({"madrid": {"public_url": "https://city.example" + WHATSAPP, "phone_number_id": LINE, **secrets}}),
            SPIN_VARIABLE_SOCIAL_META=json.dumps({"madrid": {"public_url": "https://city.example" + META, **secrets}}),
        )
        RUNNING["server"] = server.Server(env=env, arguments=["--outbound-via", RUNNING["world"].url, "--deliver-every", "100ms"]).with_profile()
    return RUNNING["server"]


def node(does, **about):
    running()
    return RUNNING["node"].ask(does, **about)


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


def whatsapp_body(value):
    """A delivery as Meta writes it: what is not ASCII escaped, in lower case."""
    metadata = {"display_phone_number": "34930000100", "phone_number_id": LINE}
    contacts = [{"profile": {"name": "Ana Ferré"}, "wa_id": "34600111222", "user_id": "ES.13491208655302741918"}]
    value = {"messaging_product": "whatsapp", "metadata": metadata, "contacts": contacts, **value}
    return json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "102290129340398", "changes": [{"field": "messages", "value": value}]}]}).encode()


def whatsapp_message(kind, content, **more):
    message = {"from": "34600111222", "from_user_id": "ES.13491208655302741918", "id": f"wamid.IN{number()}", "timestamp": str(NOW), "type": kind, kind: content, **more}
    return whatsapp_body({"messages": [message]})


def page_body(*messaging, changes=()):
    entry = {"id": PAGE, "time": NOW * 1000}
    entry.update({"messaging": list(messaging)} if messaging else {"changes": list(changes)})
    return json.dumps({"object": "page", "entry": [entry]}).encode()


def said(**what):
    return {"sender": {"id": PERSON}, "recipient": {"id": PAGE}, "timestamp": NOW * 1000 + 456, **what}


def sign(body, secret=SECRET):
    return node("sign", secret=secret, body=body.decode())["signature"]


def post(target, body, *signatures):
    return running().send("POST", target, body, [("content-type", "application/json"), *(("x-hub-signature-256", one) for one in signatures)])


def event_of(key):
    found = [event for event in running().events() if event["idempotency_key"] == key]
    checks.equal(len(found), 1, f"events {key}")
    return found[0]


# ---------------------------------------------------------------- WhatsApp


def whatsapp_both(body):
    """The same bytes to us and to both libraries: our event, and what each read."""
    signature = sign(body)
    checks.holds(RUNNING["pywa"].takes(body, signature), "pywa refuses it")
    theirs = node("whatsappTakes", secret=SECRET, body=body.decode(), signature=signature)
    checks.equal(theirs["takes"], True, str(theirs))
    answer = post(WHATSAPP, body, signature)
    checks.equal(answer.status, 200, answer.text)
    read = RUNNING["pywa"].reads(body)
    return event_of(read.id), read, theirs["read"]


def same_message(event, read, other):
    wanted = {
        "channel": "messaging", "connector": "messaging/whatsapp", "message_id": read.id, "sender": "+" + read.from_user.wa_id, "sender_name": read.from_user.name,
        "recipient": "+" + read.metadata.display_phone_number, "timestamp": read.timestamp.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    checks.equal({name: event.get(name) for name in wanted}, wanted)
    checks.equal((other["phoneID"], other["message"]["id"], other["contact"]["wa_id"]), (read.metadata.phone_number_id, read.id, read.from_user.wa_id), "the libraries")
    checks.equal(event["conversation_id"], f"{other['phoneID']}:{other['contact']['user_id']}")
    checks.holds(event["case"]["reference"], "no case")


def test_a_WhatsApp_text_becomes_a_case_with_what_both_libraries_read():
    event, read, other = whatsapp_both(whatsapp_message("text", {"body": "El fanal 🏮 de «Major 14»\nestà trencat \\u00e9"}))
    same_message(event, read, other)
    checks.equal((event["kind"], event["text"], other["message"]["text"]["body"]), ("message", read.text, read.text))


def test_an_answer_to_our_WhatsApp_message_names_it():
    event, read, other = whatsapp_both(whatsapp_message("text", {"body": "Gràcies"}, context={"from": "34930000100", "id": "wamid.OUT5"}))
    same_message(event, read, other)
    checks.equal(event["in_reply_to"], read.reply_to_message.id)


def test_a_picture_and_a_place_of_WhatsApp_are_what_both_libraries_read():
    image = {"caption": "El fanal", "mime_type": "image/jpeg", "sha256": "SfInY0gGKTsJlUWbwxC1k+FAD0FZHvzwfpvO0zX0GUI=", "id": "1003383421387256"}
    event, read, other = whatsapp_both(whatsapp_message("image", image))
    same_message(event, read, other)
    (photo,) = event["attachments"]
    checks.equal((photo["media_id"], photo["content_type"]), (read.image.id, read.image.mime_type))
    checks.equal(photo["sha256"], base64.b64decode(read.image.sha256).hex())
    checks.equal(event["text"], read.caption)
    event, read, other = whatsapp_both(whatsapp_message("location", {"latitude": 41.2239, "longitude": 1.7256, "name": "Plaça", "address": "Plaça de la Vila 8"}))
    same_message(event, read, other)
    checks.equal((event["location"], event["address"]), ({"lat": read.location.latitude, "long": read.location.longitude}, read.location.address))


def test_a_button_and_a_list_of_WhatsApp_are_what_both_libraries_read():
    context = {"from": "34930000100", "id": "wamid.OUT2"}
    for reply, shown in (({"type": "button_reply", "button_reply": {"id": "waste", "title": "Residus"}}, "Residus"),
                         ({"type": "list_reply", "list_reply": {"id": "day-2", "title": "Dimarts", "description": "de 9 a 14 h"}}, "Dimarts")):
        event, read, other = whatsapp_both(whatsapp_message("interactive", reply, context=context))
        same_message(event, read, other)
        checks.equal((event["kind"], event["text"], event["fields"]["reply_id"]), ("callback", shown, read.data))
        checks.equal(read.title, shown)


def test_a_status_of_WhatsApp_is_what_both_libraries_read():
    status = {"id": "wamid.OUT9", "status": "delivered", "timestamp": str(NOW), "recipient_id": "34600111222", "recipient_user_id": "ES.13491208655302741918", "biz_opaque_callback_data": "0193"}
    body = whatsapp_body({"statuses": [status]})
    signature = sign(body)
    checks.equal(post(WHATSAPP, body, signature).status, 200)
    read, other = RUNNING["pywa"].reads(body), node("whatsappTakes", secret=SECRET, body=body.decode(), signature=signature)["read"]
    event = event_of("wamid.OUT9:delivered")
    checks.equal((event["kind"], event["message_id"], event["status"]), ("status", read.id, read.status.value))
    checks.equal((event["status"], event["recipient"]), (other["status"], "+" + other["recipient"]["phone"]))


def test_a_batch_of_which_the_libraries_read_the_first_is_stored_whole():
    people = [{"from": "34600111222", "id": f"wamid.IN{number()}", "timestamp": str(NOW), "type": "text", "text": {"body": str(index)}} for index in range(5)]
    body = whatsapp_body({"messages": people})
    checks.equal(post(WHATSAPP, body, sign(body)).status, 200)
    checks.equal(RUNNING["pywa"].reads(body).id, people[0]["id"], "which is why it is the provider's id that counts, and every element")
    checks.equal([event_of(one["id"])["text"] for one in people], list("01234"))


# ---------------------------------------------------------------- Messenger and Page


def page_both(body):
    signature = sign(body)
    checks.equal(node("messengerTakes", secret=SECRET, body=body.decode(), signature=signature), {"takes": True})
    answer = post(META, body, signature)
    checks.equal(answer.status, 200, answer.text)
    return node("messengerReads", body=body.decode())


def test_a_message_by_Messenger_becomes_a_case_with_what_the_library_reads():
    mid = f"m_{number()}"
    (read,) = page_both(page_body(said(message={"mid": mid, "text": "Bon dia 🏮 ñ", "reply_to": {"mid": "m_OUT1"}})))["messages"]
    event = event_of(mid)
    wanted = {"kind": "message", "text": read["text"], "sender": read["senderId"], "recipient": read["recipientId"], "message_id": read["messageId"], "in_reply_to": read["repliedToMessageId"]}
    checks.equal({name: event.get(name) for name in wanted}, wanted)
    checks.equal((read["senderId"], event["timestamp"][:19]), (PERSON, read["eventDate"][:19]))
    checks.holds(event["case"]["reference"], "no case")


def test_a_picture_a_quick_reply_and_a_postback_are_what_the_library_reads():
    mids = [f"m_{number()}" for _ in range(3)]
    picture = {"mid": mids[0], "attachments": [{"type": "image", "payload": {"url": "https://scontent.example/c.jpg"}}]}
    quick = {"mid": mids[1], "text": "Residus", "quick_reply": {"payload": "dept:waste"}}
    postback = {"mid": mids[2], "title": "Començar", "payload": "GET_STARTED", "referral": {"ref": "cartell", "source": "SHORTLINK", "type": "OPEN_THREAD"}}
    one, two, three = page_both(page_body(said(message=picture), said(message=quick), said(postback=postback)))["messages"]
    checks.equal([attachment["url"] for attachment in event_of(mids[0])["attachments"]], one["urls"])
    event = event_of(mids[1])
    checks.equal((event["kind"], event["text"], event["fields"]["payload"]), ("callback", two["text"], two["quickReplyPayload"]))
    event = event_of(mids[2])
    checks.equal((event["kind"], event["text"], event["fields"]["payload"], event["fields"]["referral"]),
                 ("callback", three["buttonTitle"], three["payload"], three["referralContext"]["ref"]))


def test_a_comment_on_the_page_is_what_the_library_reads():
    comment = f"998877665544_{number()}"
    value = {"from": {"id": PERSON, "name": "Ana Ferré"}, "message": "Quan l'arreglareu? 🔦", "post_id": PAGE + "_998877665544", "comment_id": comment,
             "created_time": NOW, "item": "comment", "parent_id": PAGE + "_998877665544", "verb": "add"}
    (read,) = page_both(page_body(changes=[{"field": "feed", "value": value}]))["feed"]
    event = event_of(f"{comment}:add")
    wanted = {"sender": read["sender"]["id"], "sender_name": read["sender"]["name"], "text": read["message"], "message_id": read["commentId"], "thread_id": read["postId"],
              "recipient": read["pageId"]}
    checks.equal({name: event.get(name) for name in wanted}, wanted)
    checks.holds(read["isComment"] and event["must_not_autorespond"], "in public no machine answers")


# ---------------------------------------------------------------- who may


def refusals(body):
    """Altered bytes and altered signatures, by name."""
    good = sign(body)
    text = body.decode()
    yield "one letter changed", text.replace("hola", "hula"), good
    yield "white space added", text.replace(": ", ":  ", 1), good
    yield "a byte more", text + " ", good
    yield "cut", text[:-1], good
    yield "re-serialised", json.dumps(json.loads(text), separators=(",", ":")), good
    yield "an entry more", text.replace('"entry": [', '"entry": [{}, '), good
    yield "no signature", text, None
    yield "an empty signature", text, ""
    yield "the prefix alone", text, "sha256="
    yield "without its prefix", text, good.removeprefix("sha256=")
    yield "half of it", text, good[:40]
    yield "another digit", text, good[:-1] + ("0" if good[-1] != "0" else "1")
    yield "no digits", text, "sha256=" + "z" * 64
    yield "another app's secret", text, sign(body, "another")
    yield "the verify token as secret", text, sign(body, VERIFY)
    yield "of another body", text, sign(body + b" ")
    yield "very long", text, "sha256=" + "a" * 5000


def test_what_the_libraries_refuse_is_refused_and_not_stored():
    for target, make in (
        (WHATSAPP, lambda: whatsapp_message("text", {"body": "hola"})), (META, lambda: page_body(said(message={"mid": f"m_{number()}", "text": "hola"}))),
    ):
        body = make()
        for name, altered, signature in refusals(body):
            before = len(running().events())
            if target == WHATSAPP:
                # pywa takes a signature without its prefix; we need not.
                if name != "without its prefix":
                    checks.holds(not RUNNING["pywa"].takes(altered.encode(), signature), f"pywa takes {name}")
                # whatsapp-api-js parses first, and gives what it can't parse another status.
                theirs = node("whatsappTakes", secret=SECRET, body=altered, signature=signature)
            else:
                theirs = node("messengerTakes", secret=SECRET, body=altered, signature=signature)
            checks.equal(theirs["takes"], False, f"the library takes {name}")
            answer = post(target, altered.encode(), *([] if signature is None else [signature]))
            checks.holds(answer.status in (401, 403), f"{target}, {name}: {answer}")
            checks.equal(len(running().events()), before, f"{name} was stored")
        # And untouched it is taken.
        checks.equal(post(target, body, sign(body)).status, 200, "the same, as it was signed")


def test_two_signatures_and_the_older_hash_alone_are_refused():
    body = whatsapp_message("text", {"body": "dues signatures"})
    good = sign(body)
    for signatures in ((good, good), (good, "sha256=" + "0" * 64), ("sha256=" + "0" * 64, good)):
        checks.holds(post(WHATSAPP, body, *signatures).status in (401, 403), f"{signatures}")
    for name in ("x-hub-signature", "x-hub-signature-512"):
        answer = running().send("POST", WHATSAPP, body, [("content-type", "application/json"), (name, good)])
        checks.holds(answer.status in (401, 403), f"{name}: {answer}")


def test_both_secrets_of_a_rotation_and_a_replay_are_taken_once():
    body = whatsapp_message("text", {"body": "tres vegades"})
    for secret in (SECRET, OLD_SECRET, SECRET):
        checks.equal(post(WHATSAPP, body, sign(body, secret)).status, 200)
    event_of(json.loads(body)["entry"][0]["changes"][0]["value"]["messages"][0]["id"])


def test_one_products_delivery_at_the_others_address_gives_no_event_and_is_kept():
    for target, body in ((META, whatsapp_message("text", {"body": "hola"})), (WHATSAPP, page_body(said(message={"mid": "m_astray", "text": "hola"})))):
        before = len(running().events())
        checks.equal(post(target, body, sign(body)).status, 200)
        checks.equal(len(running().events()), before)
    kept = running().all("/api/madrid/envelopes?disposition=quarantined", "envelopes")
    checks.equal(sorted(one["connector"] for one in kept), ["messaging/whatsapp", "social/meta"])


def test_the_challenge_is_answered_as_the_libraries_answer_it():
    running()
    for token, mode, taken in ((VERIFY, "subscribe", True), (VERIFY + "x", "subscribe", False), ("", "subscribe", False), (VERIFY.upper(), "subscribe", False)):
        query = {"hub.mode": mode, "hub.challenge": "1158201444", "hub.verify_token": token}
        ours = [running().send("GET", f"{target}?{urllib.parse.urlencode(query)}") for target in (WHATSAPP, META)]
        theirs = [node("whatsappAnswers", token=VERIFY, query=query)["answer"], node("messengerAnswers", token=VERIFY, query=query)["answer"]]
        pywas = RUNNING["pywa"].client.webhook_challenge_handler(token, "1158201444")
        if taken:
            checks.equal([(answer.status, answer.text) for answer in ours], [pywas[::-1]] * 2)
            checks.equal(theirs, ["1158201444"] * 2)
        else:
            checks.equal([answer.status in (400, 401, 403) for answer in ours] + [pywas[1]] + theirs, [True, True, 403, None, None], str(query))
            checks.holds(all("1158201444" not in answer.text for answer in ours), "echoed")


# ---------------------------------------------------------------- what goes out


def replied(event, text):
    reference = event["case"]["reference"]
    before = len(RUNNING["world"].asked)
    checks.equal(running().api(f"/api/madrid/cases/{reference}/replies", "POST", {"text": text, "author": "marta"}).status, 202)
    checks.eventually(lambda: len(RUNNING["world"].asked) > before, 10, f"sent: {running().case(reference)['replies']}")
    return RUNNING["world"].asked[-1]


def test_a_reply_by_WhatsApp_is_what_both_libraries_send():
    running()
    body = whatsapp_message("text", {"body": "Hola"}, **{"from": "34600999888"})
    value = json.loads(body)["entry"][0]["changes"][0]["value"]
    value["contacts"], value["messages"][0] = [{"profile": {"name": "Biel"}, "wa_id": "34600999888"}], {k: v for k, v in value["messages"][0].items() if k != "from_user_id"}
    body = whatsapp_body(value)
    checks.equal(post(WHATSAPP, body, sign(body)).status, 200)
    event = event_of(value["messages"][0]["id"])
    text = "Ja ho mirem ✓ https://city.example/x"
    path, headers, ours = replied(event, text)
    tracker = ours.pop("biz_opaque_callback_data")
    sdk = node("whatsappSends", line=LINE, to={"phone": "34600999888"}, text=text, context=event["message_id"], ours=tracker)
    checks.equal((path, headers["authorization"]), (sdk["url"], "Bearer EAAfake"))
    sdk["body"].pop("biz_opaque_callback_data")
    # That library writes an object of a message as text, and leaves a preview that nobody wants unsaid.
    theirs = {name: json.loads(value) if name in ("text", "context") and isinstance(value, str) else value for name, value in sdk["body"].items()}
    theirs["text"].setdefault("preview_url", False)
    checks.equal(ours, theirs)
    RUNNING["pywa"].client.send_message("34600999888", text, reply_to_message_id=event["message_id"], preview_url=False)
    url, theirs = RUNNING["pywa"].sent[-1]
    checks.equal((path, ours), (url, theirs), "pywa")


def test_a_reply_by_Messenger_is_what_the_library_sends():
    mid = f"m_{number()}"
    page_both(page_body(said(message={"mid": mid, "text": "Hola"})))
    event = event_of(mid)
    path, headers, ours = replied(event, "Ja ho mirem ✓")
    checks.equal(ours.pop("reply_to"), {"mid": mid}, "which message; the library has no word for that")
    sdk = node("messengerSends", person=PERSON, text="Ja ho mirem ✓")
    checks.equal(ours, sdk["body"])
    # The library says `me` and puts the token into the address, where logs are.
    checks.equal(path, sdk["url"].split("?")[0].replace("/me/", f"/{PAGE}/"))
    checks.equal(headers["authorization"], "Bearer EAAfake")


if __name__ == "__main__":
    checks.main(globals())

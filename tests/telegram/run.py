"""Telegram with libraries somebody else wrote: updates are objects of PyPI `aiogram`, what they mean is said by PyPI `python-telegram-bot`, whose
own webhook server gets the same bytes, and our replies go to a Bot API server (npm `telegram-test-api`)."""

import asyncio
import datetime
import http.server
import json
import os
import queue
import socket
import sys
import threading
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, http as client, peer_server, peers, server  # noqa: E402

peers.inside_python({"aiogram": "3.31.0", "python-telegram-bot": "22.8", "tornado": "6.5.2"})

import aiogram.methods  # noqa: E402
import aiogram.types as made  # noqa: E402
import telegram  # noqa: E402
import telegram.ext  # noqa: E402

BOT = "123456789:AAfakeBotToken"
SECRET, OLD_SECRET = "fake-secret_of-the-webhook-0123456789", "fake-secret_that-is-being-replaced"
TARGET = "/messaging/telegram/madrid"
NPM = {"telegram-test-api": "4.2.1"}
# The largest id of a person there is: 52 bits.
PERSON, GROUP = 4503599627370495, -1009007199254740
NOW = datetime.datetime(2026, 11, 21, 10, 0, 0, tzinfo=datetime.timezone.utc)
RUNNING = {}


class Forward:
    """Every other host there is: the Bot API's methods go to the server of Node, and are kept."""

    def __init__(self, to):
        forward = self
        self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                path = self.path.split("api.telegram.org", 1)[1]
                own = {"/getMe": {"id": 123456789, "is_bot": True, "first_name": "Bot", "username": "bot"}, "/setWebhook": True, "/deleteWebhook": True}
                method = path[path.rindex("/"):]
                if method in own:
                    # What python-telegram-bot asks as it starts, and the server of Node does not quite know.
                    data = json.dumps({"ok": True, "result": own[method]}).encode()
                else:
                    forward.asked.append((self.path, body))
                    request = urllib.request.Request(to + path, body, {"content-type": self.headers["content-type"]})
                    with urllib.request.urlopen(request, timeout=10) as answer:
                        data = answer.read()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = peer_server.start(Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


class Reader:
    """`python-telegram-bot` as its users run it, with `start_webhook`: it checks the secret and reads the update."""

    def __init__(self, world):
        self.read = queue.Queue()
        ready = threading.Event()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

        async def serve():
            updates = asyncio.Queue()
            bot = telegram.Bot(BOT, base_url=f"{world}/api.telegram.org/bot")
            updater = telegram.ext.Updater(bot, updates)
            async with updater:
                await updater.start_webhook("127.0.0.1", port, "hook", webhook_url="https://elsewhere.example/hook", secret_token=SECRET)
                ready.set()
                while True:
                    self.read.put(await updates.get())

        threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
        checks.holds(ready.wait(20), "python-telegram-bot does not serve")

    def give(self, body, headers):
        return client.send(self.url, "POST", "/hook", body, headers).status


def running():
    server.only_our_own("every other host is played by one proxy (--outbound-via)")
    if "server" not in RUNNING:
        RUNNING["node"] = peers.Node(os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer.mjs"), NPM)
        api = RUNNING["node"].ask("url")["url"]
        RUNNING["world"] = Forward(api)
        RUNNING["reader"] = Reader(RUNNING["world"].url)
        settings = {"madrid": {"public_url": "https://city.example" + TARGET, "secret_token": [SECRET, OLD_SECRET], "bot_token": BOT}}
        env = server.environment(SPIN_VARIABLE_MESSAGING_TELEGRAM=json.dumps(settings))
        RUNNING["server"] = server.Server(env=env, arguments=["--outbound-via", RUNNING["world"].url, "--deliver-every", "100ms"]).with_profile()
        RUNNING["number"] = 0
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


ANA = made.User(id=PERSON, is_bot=False, first_name="Ana", last_name="Ferré", language_code="ca")
PRIVATE = made.Chat(id=PERSON, type="private", first_name="Ana", last_name="Ferré")


def message(**content):
    content = {"message_id": number(), "date": NOW, "chat": PRIVATE, "from_user": ANA, **content}
    return made.Message(**content)


def update(**content):
    """An update as aiogram writes it: number, bytes."""
    one = made.Update(update_id=880000000 + number(), **content)
    return one.update_id, one.model_dump_json(exclude_none=True, by_alias=True).encode()


def headers(*secrets, kind="application/json"):
    return [("content-type", kind), *(("x-telegram-bot-api-secret-token", secret) for secret in secrets)]


def event_of(update_id):
    found = [event for event in running().events() if event["idempotency_key"].split(":")[-1] == str(update_id)]
    checks.equal(len(found), 1, f"events of update {update_id}")
    return found[0]


def both(**content):
    """Gives the same bytes to both: what we stored, and what python-telegram-bot read."""
    update_id, body = update(**content)
    answer = running().send("POST", TARGET, body, headers(SECRET))
    checks.equal(answer.status, 200, answer.text)
    checks.equal(RUNNING["reader"].give(body, headers(SECRET)), 200, "python-telegram-bot")
    theirs = RUNNING["reader"].read.get(timeout=5)
    checks.equal(theirs.update_id, update_id)
    return event_of(update_id), theirs


def same_message(event, theirs):
    """What every message has."""
    wanted = {
        "channel": "messaging", "connector": "messaging/telegram", "sender": str(theirs.from_user.id), "sender_name": theirs.from_user.full_name,
        "message_id": f"{theirs.chat.id}:{theirs.message_id}", "timestamp": (theirs.edit_date or theirs.date).strftime("%Y-%m-%dT%H:%M:%SZ"), "language": theirs.from_user.language_code,
    }
    checks.equal({name: event.get(name) for name in wanted}, wanted)
    checks.equal(event.get("text"), theirs.text if theirs.text is not None else theirs.caption)
    if theirs.chat.type == "private":
        checks.equal(event["conversation_id"], str(theirs.chat.id))
    checks.holds(event["case"]["reference"], "no case")


# ---------------------------------------------------------------- what comes in


def test_a_text_becomes_a_case_with_what_the_library_reads():
    text = "La farola 🏮 de «Mayor 14» està trencada\n/ajuda https://x.example"
    event, theirs = both(message=message(text=text, entities=[made.MessageEntity(type="bot_command", offset=40, length=6)]))
    same_message(event, theirs.message)
    checks.equal((event["kind"], event["text"]), ("message", text))
    checks.equal(running().case(event["case"]["reference"])["contact"]["name"], "Ana Ferré")


def test_an_edit_joins_the_case_of_what_it_changes():
    first, theirs = both(message=message(text="Carrer Major 1"))
    again, changed = both(edited_message=message(message_id=theirs.message.message_id, text="Carrer Major 11", edit_date=1795255300))
    same_message(again, changed.edited_message)
    checks.equal((again["kind"], again["case"], again["message_id"]), ("message.edited", first["case"], first["message_id"]))


def test_a_place_a_file_and_a_number_are_what_the_library_reads():
    event, theirs = both(message=message(location=made.Location(latitude=40.41678, longitude=-3.70379)))
    same_message(event, theirs.message)
    checks.equal(event["location"], {"lat": theirs.message.location.latitude, "long": theirs.message.location.longitude})
    sizes = [made.PhotoSize(file_id=f"f{width}", file_unique_id=f"u{width}", width=width, height=width, file_size=width * 10) for width in (90, 1280, 320)]
    event, theirs = both(message=message(photo=sizes, caption="El fanal"))
    same_message(event, theirs.message)
    (photo,) = event["attachments"]
    largest = max(theirs.message.photo, key=lambda size: size.width)
    checks.equal((photo["media_id"], photo["size"]), (largest.file_id, largest.file_size))
    document = made.Document(file_id="d1", file_unique_id="d", file_name="factura ñ.pdf", mime_type="application/pdf", file_size=5_000_000_000)
    event, theirs = both(message=message(document=document))
    (file,) = event["attachments"]
    read = theirs.message.document
    checks.equal((file["media_id"], file["name"], file["content_type"], file["size"]), (read.file_id, read.file_name, read.mime_type, read.file_size))
    event, theirs = both(message=message(contact=made.Contact(phone_number="34600111222", first_name="Ana", user_id=PERSON)))
    checks.contains(json.dumps(event, ensure_ascii=False), theirs.message.contact.phone_number)


def test_a_button_a_group_and_a_channel_are_what_the_library_reads():
    first, asked = both(message=message(text="Quin departament?"))
    pressed = made.CallbackQuery(id="4382bfdwdsb323b2d9", from_user=ANA, chat_instance="x", data="dept:waste", message=message(message_id=asked.message.message_id, text="Quin?"))
    event, theirs = both(callback_query=pressed)
    checks.equal((event["kind"], event["text"], event["sender"]), ("callback", theirs.callback_query.data, str(theirs.callback_query.from_user.id)))
    group = made.Chat(id=GROUP, type="supergroup", title="Veïns")
    event, theirs = both(message=message(chat=group, text="A tothom"))
    same_message(event, theirs.message)
    checks.contains(event["conversation_id"], str(theirs.message.chat.id))
    checks.holds(event["must_not_autorespond"], "a group is not answered by a machine")
    channel = made.Chat(id=GROUP - 2, type="channel", title="Avisos")
    event, theirs = both(channel_post=made.Message(message_id=number(), date=NOW, chat=channel, sender_chat=channel, text="Tall d'aigua"))
    checks.equal((event["kind"], event["text"]), ("message", theirs.channel_post.text))


def test_what_the_library_knows_and_nobody_needs_is_taken_and_gives_no_event():
    before = len(running().events())
    update_id, body = update(inline_query=made.InlineQuery(id="1", from_user=ANA, query="farola", offset=""))
    checks.equal(running().send("POST", TARGET, body, headers(SECRET)).status, 200, str(update_id))
    checks.equal(RUNNING["reader"].give(body, headers(SECRET)), 200, "python-telegram-bot")
    RUNNING["reader"].read.get(timeout=5)
    checks.equal(len(running().events()), before)


def test_the_same_update_again_is_one_event():
    update_id, body = update(message=message(text="Dues vegades"))
    for _ in range(3):
        checks.equal(running().send("POST", TARGET, body, headers(SECRET)).status, 200)
    event_of(update_id)


# ---------------------------------------------------------------- who may


def test_what_the_library_refuses_is_refused_and_not_stored():
    running()
    for secrets in ((), ("",), (SECRET[:-1],), (SECRET + "x",), (SECRET.upper(),), (SECRET, SECRET), ("wrong", SECRET), (" ",), ("x" * 5000,), (BOT,)):
        before = len(running().events())
        _, body = update(message=message(text="forged"))
        checks.equal(RUNNING["reader"].give(body, headers(*secrets)), 403, f"python-telegram-bot: {secrets}")
        answer = running().send("POST", TARGET, body, headers(*secrets))
        checks.holds(answer.status in (401, 403), f"{secrets}: {answer}")
        checks.equal(len(running().events()), before, "something was stored")
    # Its query is no place for a secret.
    answer = running().send("POST", f"{TARGET}?secret_token={SECRET}", body, headers())
    checks.holds(answer.status in (401, 403), answer)


def test_the_older_secret_of_a_rotation_is_taken():
    update_id, body = update(message=message(text="amb el secret vell"))
    checks.equal(running().send("POST", TARGET, body, headers(OLD_SECRET)).status, 200)
    event_of(update_id)


def test_another_tenants_address_does_not_take_it():
    _, body = update(message=message(text="a un altre"))
    checks.equal(running().send("POST", TARGET.replace("madrid", "sevilla"), body, headers(SECRET)).status, 404)


# ---------------------------------------------------------------- what goes out


def test_a_person_writes_by_a_Bot_API_server_and_reads_our_reply_there():
    running()
    node = RUNNING["node"]
    (written,) = node.ask("write", token=BOT, text="Hola des d'un altre servidor", person=PERSON - 1)
    answer = running().send("POST", TARGET, json.dumps(written).encode(), headers(SECRET))
    checks.equal(answer.status, 200, answer.text)
    (event,) = [event for event in running().events() if event.get("text") == "Hola des d'un altre servidor"]
    reference = event["case"]["reference"]
    text = "Ja ho mirem ✓ <b>no és HTML</b> _ni Markdown_ 🏮"
    checks.equal(running().api(f"/api/madrid/cases/{reference}/replies", "POST", {"text": text, "author": "marta"}).status, 202)
    (seen,) = checks.eventually(lambda: node.ask("read", token=BOT, person=PERSON - 1), 10, "the person sees the reply")
    checks.equal((int(seen["message"]["chat_id"]), seen["message"]["text"]), (PERSON - 1, text))
    path, body = RUNNING["world"].asked[-1]
    checks.equal(path, f"https://api.telegram.org/bot{BOT}/sendMessage")
    # What aiogram's method of that name takes, and nothing it does not know.
    method = aiogram.methods.SendMessage.model_validate(json.loads(body))
    checks.equal(set(json.loads(body)) - set(aiogram.methods.SendMessage.model_fields), set(), "members aiogram does not know")
    checks.equal((method.chat_id, method.text, method.parse_mode if "parse_mode" in json.loads(body) else None), (PERSON - 1, text, None))
    (entry,) = checks.eventually(lambda: [one for one in running().case(reference)["replies"] if one["state"] == "sent"], 10, "the reply is sent")
    checks.equal(entry["message_id"], str(seen["messageId"]), "what the Bot API called it")


if __name__ == "__main__":
    checks.main(globals())

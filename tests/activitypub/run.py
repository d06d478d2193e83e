"""ActivityPub against the real program: two libraries somebody else wrote (npm `@fedify/fedify`, PyPI `bovine`) follow, mention, edit,
delete, and receive our answer. Every host of the Fediverse is played by one proxy (`up --outbound-via`)."""

import asyncio
import email.utils
import http.server
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, peer_server, peers, server  # noqa: E402

FEDIFY = "1.10.12"
BOVINE = "0.5.19"
US = "https://city.example/social/activitypub/madrid"
INBOX = "/social/activitypub/madrid/inbox"
ACTIVITY = "application/activity+json"
RUNNING = {}
MASTODON = "https://www.w3.org/ns/activitystreams"


def got(folder, mark, commands):
    """Runs the commands in a folder of target/peers once."""
    path = os.path.join(peers.PEERS, folder)
    mark = os.path.join(path, mark)
    if not os.path.exists(mark):
        print(f"getting {os.path.basename(mark)} into target/peers/{folder}", flush=True)
        os.makedirs(path, exist_ok=True)
        for command in commands:
            done = subprocess.run(command, cwd=path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            checks.equal(done.returncode, 0, f"{' '.join(command)} failed; is the registry reachable?\n{done.stdout[-2000:]}")
        open(mark, "w").close()
    return path


def inside_python():
    """Makes this process run with PyPI's `bovine`."""
    folder = os.path.join(peers.PEERS, "activitypub-python")
    if os.path.realpath(sys.prefix) != os.path.realpath(folder):
        install = [os.path.join(folder, "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"bovine=={BOVINE}"]
        got("activitypub-python", f"bovine-{BOVINE}", [[sys.executable, "-m", "venv", folder], install])
        python = os.path.join(folder, "bin", "python")
        os.execv(python, [python, *sys.argv])


inside_python()

from bovine.crypto import build_validate_http_signature_raw, generate_rsa_public_private_key  # noqa: E402
from bovine.crypto.helper import content_digest_sha256  # noqa: E402
from bovine.crypto.http_signature import build_signature  # noqa: E402
from bovine.crypto.types import CryptographicIdentifier, CryptographicSecret  # noqa: E402


class Fedify:
    """The Node program beside this file."""

    def __init__(self):
        if not shutil.which("npm"):
            raise checks.Skip("npm is not on PATH; install Node 20 or newer")
        folder = os.path.join(peers.PEERS, "activitypub-node")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "package.json"), "w") as file:
            file.write('{"private": true, "type": "module"}\n')
        # Fedify says Node 22; the one thing it lacks in 20 is added in peer.mjs.
        got("activitypub-node", f"fedify-{FEDIFY}", [["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", f"@fedify/fedify@{FEDIFY}"]])
        program = os.path.join(folder, "peer.mjs")
        shutil.copyfile(os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer.mjs"), program)
        self.process = subprocess.Popen(["node", program], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, does, **about):
        self.process.stdin.write(json.dumps({"does": does, **about}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        checks.holds("error" not in answer, f"Fedify, {does}: {answer.get('error')}")
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


class World:
    """Every other host there is: documents by URL, and what was delivered to it."""

    def __init__(self):
        world = self
        self.documents, self.asked, self.delivered = {}, [], []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, status, headers, body):
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                url = self.path.replace("http://", "https://", 1)
                headers = {name.lower(): value for name, value in self.headers.items()}
                world.asked.append((url, headers))
                document = world.documents.get(url, (404, {}, b""))
                self.answer(*(document(url, headers) if callable(document) else document))

            def do_POST(self):
                url = self.path.replace("http://", "https://", 1)
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                world.delivered.append((url, {name.lower(): value for name, value in self.headers.items()}, body))
                self.answer(202, {}, b"")

            def log_message(self, *_):
                pass

        self.server = peer_server.start(Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def put(self, url, document, kind=ACTIVITY, status=200, headers=None):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.documents[url] = (status, {"content-type": kind, **(headers or {})}, body)


def up():
    """One server, one world, one Fedify for all tests of this file."""
    if "server" not in RUNNING:
        RUNNING["world"] = World()
        RUNNING["key"] = generate_rsa_public_private_key()
        public, private = RUNNING["key"]
        settings = {
            tenant: {"public_url": f"https://city.example/social/activitypub/{tenant}", "public_key": public, "private_key": private}
            for tenant in ("madrid", "sevilla")
        }
        variables = server.environment(SPIN_VARIABLE_SOCIAL_ACTIVITYPUB=json.dumps(settings))
        RUNNING["server"] = server.Server(env=variables, arguments=["--outbound-via", RUNNING["world"].url]).with_profile()
        RUNNING["fedify"] = Fedify()
        RUNNING["fedify"].ask("use", base=RUNNING["server"].url)
        RUNNING["number"] = 9007199254740993
    return RUNNING["server"]


def world():
    up()
    return RUNNING["world"]


def fedify():
    up()
    return RUNNING["fedify"]


def number():
    """An id beyond 2^53."""
    up()
    RUNNING["number"] += 2
    return RUNNING["number"]


def finish():
    if "fedify" in RUNNING:
        RUNNING["fedify"].close()
    if "server" in RUNNING:
        RUNNING["server"].kill()
    server.clean()


class Actor:
    """Somebody on another server, with a key."""

    def __init__(self, name, host="social.example"):
        self.id = f"https://{host}/users/{name}-{number()}"
        self.name, self.key_id = name, f"{self.id}#main-key"
        self.public, self.private = generate_rsa_public_private_key()
        self.document = {
            "@context": [MASTODON, "https://w3id.org/security/v1"], "id": self.id, "type": "Person", "preferredUsername": name, "name": name.title(),
            "inbox": f"{self.id}/inbox", "publicKey": {"id": self.key_id, "owner": self.id, "publicKeyPem": self.public},
        }
        world().put(self.id, self.document)

    def activity(self, kind, note=None, **more):
        """An activity as Fedify writes it; its id, and its text."""
        note = note or f"{self.id}/statuses/{number()}"
        body = fedify().ask("activity", kind=kind, actor=self.id, id=note, us=US, text="<p>Hola <b>a todos</b><script>alert(1)</script></p>", **more)["body"]
        return note, body

    def by_fedify(self, body, spec="draft-cavage-http-signatures-12", to=US + "/inbox", **more):
        headers = fedify().ask("sign", to=to, body=body, key=self.private, keyId=self.key_id, spec=spec, **more)["headers"]
        return [(name, value) for name, value in headers if name != "host"] + [("host", "city.example")]

    def by_bovine(self, body, at=None, to=US + "/inbox"):
        date = email.utils.formatdate(at or time.time(), usegmt=True)
        digest = content_digest_sha256(body.encode())
        signature = build_signature("city.example", "post", urllib.parse.urlsplit(to).path)
        for name, value in (("date", date), ("digest", digest), ("content-type", ACTIVITY)):
            signature = signature.with_field(name, value)
        secret = CryptographicSecret.from_pem(self.key_id, self.private)
        return [("host", "city.example"), ("date", date), ("digest", digest), ("content-type", ACTIVITY),
                ("signature", signature.sign_for_http_draft(secret))]

    def events(self):
        return [event for event in up().events() if event.get("sender") == self.id]


def post(body, headers, target=INBOX):
    return up().send("POST", target, body.encode(), headers)


def accepted(body, headers):
    answer = post(body, headers)
    checks.equal(answer.status, 202, answer.text)


def refused(body, headers, target=INBOX, tenant="madrid", token=server.API_TOKEN):
    before = len(up().events(tenant, token))
    answer = post(body, headers, target)
    checks.equal(answer.status, 401, answer.text)
    checks.equal(len(up().events(tenant, token)), before, "something was stored")
    return answer


# ---------------------------------------------------------------- who we are


def test_Fedify_finds_the_administration_by_its_name_and_reads_who_it_is():
    found = fedify().ask("lookup", resource="acct:madrid@city.example")
    checks.equal(found, {"self": US, "type": "Organization", "name": "madrid", "inbox": US + "/inbox", "key": US + "#main-key"})
    other = fedify().ask("lookup", resource="acct:sevilla@city.example")
    checks.equal(other["self"], US.replace("madrid", "sevilla"))
    checks.equal(fedify().ask("lookup", resource="acct:nobody@city.example"), {})


def test_WebFinger_NodeInfo_and_actor_are_served_as_what_they_are():
    answer = up().send("GET", "/.well-known/webfinger?resource=acct%3AMadrid%40City.Example")
    checks.equal((answer.status, answer.header("content-type"), answer.header("access-control-allow-origin")), (200, "application/jrd+json", "*"))
    checks.equal(up().send("GET", "/.well-known/webfinger?resource=acct:x@evil.example").status, 404)
    checks.equal(up().send("GET", "/.well-known/webfinger").status, 400)
    answer = up().send("GET", "/social/activitypub/madrid", headers=[("accept", ACTIVITY)])
    checks.equal((answer.status, answer.header("content-type")), (200, ACTIVITY))
    checks.equal(answer.json["name"], server.PROFILE["name"])
    checks.holds("PRIVATE" not in answer.text, "the private key is shown")
    info = fedify().ask("nodeinfo")["info"]
    checks.equal((info["software"]["name"], info["protocols"]), ("ventanilla", ["activitypub"]))
    checks.equal(up().send("GET", INBOX).status, 405)


# ---------------------------------------------------------------- what comes in


def mentions(spec):
    marta = Actor("marta")
    note, body = marta.activity("create")
    accepted(body, marta.by_fedify(body, spec))
    (event,) = marta.events()
    wanted = {"kind": "mention", "connector": "social/activitypub", "message_id": note, "text": "Hola a todos", "text_source": "html",
              "sender_name": "Marta", "conversation_id": marta.id + "/inbox", "must_not_autorespond": True}
    checks.equal({name: event.get(name) for name in wanted}, wanted)
    checks.contains(json.dumps(event["fields"]), "public")
    checks.holds(event["case"]["reference"], "no case")
    # The same again, signed anew, by the library of somebody else.
    accepted(body, marta.by_bovine(body))
    checks.equal(len(marta.events()), 1, "a redelivery is one event")


def test_a_mention_signed_by_Fedify_as_draft_cavage_says_becomes_a_case():
    mentions("draft-cavage-http-signatures-12")


def test_a_mention_signed_by_Fedify_as_RFC_9421_says_becomes_a_case():
    mentions("rfc9421")


def test_a_message_signed_by_bovine_is_a_message_of_one_person_to_us():
    marta = Actor("marta")
    note, body = marta.activity("create", direct=True)
    accepted(body, marta.by_bovine(body))
    (event,) = marta.events()
    checks.equal((event["kind"], event["message_id"]), ("message", note))
    checks.contains(json.dumps(event["fields"]), "direct")


def test_an_edit_and_a_deletion_join_the_case_of_what_they_change():
    marta = Actor("marta")
    note, body = marta.activity("create")
    accepted(body, marta.by_fedify(body))
    for kind in ("update", "delete"):
        _, body = marta.activity(kind, note=note)
        accepted(body, marta.by_bovine(body))
    events = marta.events()
    checks.equal([event["kind"] for event in events], ["mention", "message.edited", "message.deleted"])
    checks.equal(len({event["case"]["reference"] for event in events}), 1, "one case")
    checks.equal({event["message_id"] for event in events}, {note})


def test_a_deletion_by_another_server_changes_nothing():
    marta, mallory = Actor("marta"), Actor("mallory", "evil.example")
    note, body = marta.activity("create")
    accepted(body, marta.by_fedify(body))
    _, body = mallory.activity("delete", note=note)
    refused(body, mallory.by_fedify(body))  # The activity's id is under the note's.
    body = json.dumps({**json.loads(body), "id": mallory.id + "#delete"})
    accepted(body, mallory.by_fedify(body))
    checks.equal(mallory.events(), [])


def test_following_and_no_longer_following_are_events():
    marta = Actor("marta")
    follow, body = marta.activity("follow")
    accepted(body, marta.by_fedify(body))
    _, undo = marta.activity("unfollow", note=follow)
    accepted(undo, marta.by_fedify(undo, "rfc9421"))
    events = marta.events()
    checks.equal([(event["kind"], event.get("status")) for event in events], [("follow", None), ("lifecycle", "unfollowed")])
    checks.equal(events[0]["message_id"], follow)


def test_what_nobody_needs_is_accepted_and_gives_no_event():
    marta = Actor("marta")
    for activity in ({"type": "Whatever", "object": US}, {"type": "Like", "object": "https://social.example/notes/1"},
                     {"type": "Create", "object": {"type": "Note", "id": marta.id + "/n", "content": "not for us"}}):
        body = json.dumps({"@context": MASTODON, "id": f"{marta.id}#{number()}", "actor": marta.id, **activity})
        accepted(body, marta.by_bovine(body))
    checks.equal(marta.events(), [])


def test_an_account_that_is_gone_with_its_key_is_let_go():
    marta = Actor("marta")
    world().put(marta.id, b"", status=410)
    body = json.dumps({"@context": MASTODON, "id": marta.id + "#delete", "type": "Delete", "actor": marta.id, "object": marta.id})
    accepted(body, marta.by_bovine(body))
    checks.equal(marta.events(), [])
    body = body.replace(f'"object": "{marta.id}"', f'"object": "{marta.id}/notes/1"')
    refused(body, marta.by_bovine(body))


def test_a_server_that_shows_nothing_to_strangers_is_asked_with_our_signature():
    marta = Actor("marta")
    public = RUNNING["key"][0]
    page = json.dumps(marta.document).encode()

    def secured(url, headers):
        async def key(key_id):
            checks.equal(key_id, US + "#main-key")
            return CryptographicIdentifier.from_pem(public, US)

        validate = build_validate_http_signature_raw(key)
        owner = asyncio.run(validate("get", url, headers, None)) if "signature" in headers else None
        return (200, {"content-type": ACTIVITY}, page) if owner == US else (401, {}, b"")

    world().documents[marta.id] = secured
    _, body = marta.activity("create")
    accepted(body, marta.by_fedify(body))
    checks.equal(len(marta.events()), 1)


# ---------------------------------------------------------------- what does not


def test_forged_altered_and_unsigned_deliveries_are_refused():
    marta, mallory = Actor("marta"), Actor("mallory")
    _, body = marta.activity("create", direct=True)
    mallory.key_id = marta.key_id
    for spec in ("draft-cavage-http-signatures-12", "rfc9421"):
        refused(body, mallory.by_fedify(body, spec))
        headers = marta.by_fedify(body, spec)
        refused(body.replace("Hola", "Hole"), headers)
        refused(body, [(name, value) for name, value in headers if name != "signature"])
        for name in ("date", "digest", "content-digest", "signature-input"):
            altered = [(key, value.replace("a", "b", 1) if key == name else value) for key, value in headers]
            if altered != headers:
                refused(body, altered)


def test_a_delivery_recorded_elsewhere_or_long_ago_is_refused():
    marta = Actor("marta")
    _, body = marta.activity("create", direct=True)
    # Signed for madrid, delivered to sevilla.
    refused(body, marta.by_fedify(body), INBOX.replace("madrid", "sevilla"), "sevilla", server.OTHER_TOKEN)
    for hours in (-13, 13):
        refused(body, marta.by_bovine(body, at=time.time() + hours * 3600))
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + hours * 3600))
        refused(body, marta.by_fedify(body, "rfc9421", at=at))
    # A recording played again in time is the same delivery: one event. With another body it is none.
    headers = marta.by_fedify(body)
    accepted(body, headers)
    accepted(body, headers)
    refused(body.replace("Hola", "Hole"), headers)
    checks.equal(len(marta.events()), 1)


def test_a_key_proves_nothing_but_its_owners_activities():
    marta, mallory = Actor("marta"), Actor("mallory")
    _, body = marta.activity("create", direct=True)
    refused(body, mallory.by_bovine(body))
    elsewhere = Actor("marta", "evil.example")
    before = len(world().asked)
    refused(body, elsewhere.by_bovine(body))
    checks.equal(world().asked[before:], [], "a key of another host was fetched")


def test_an_actor_document_that_can_not_be_believed_is_refused():
    marta, pere = Actor("marta"), Actor("pere")
    _, body = marta.activity("create", direct=True)
    good = marta.document

    def tried(document, **more):
        world().put(marta.id, document, **more)
        refused(body, marta.by_bovine(body))

    tried({**good, "id": "https://elsewhere.example/users/marta"})
    tried({**good, "id": pere.id})
    tried({**good, "publicKey": {**good["publicKey"], "owner": pere.id}})
    tried({**good, "publicKey": {**good["publicKey"], "id": pere.key_id}})
    tried({**good, "publicKey": {**good["publicKey"], "publicKeyPem": pere.public}})
    tried(b"<!doctype html><title>Marta</title>", kind="text/html")
    tried(good, kind="text/html")
    tried(good, kind="application/json")
    tried(b"{" * 1000)
    tried(b'{"id":' + b"[" * 1000 + b"]" * 1000 + b"}")
    tried(b"x" * 600_000)
    tried(b"", status=500)
    world().put(marta.id, good)
    accepted(body, marta.by_bovine(body))


def test_a_key_is_not_fetched_from_a_private_address_or_through_one():
    marta = Actor("marta")
    _, body = marta.activity("create", direct=True)
    for target in ("https://127.0.0.1/users/marta", "https://localhost/users/marta", "https://169.254.169.254/latest", "https://[::1]/",
                   "http://social.example/users/marta", "https://evil.example/users/marta"):
        world().put(target, marta.document)
        world().put(marta.id, b"", status=302, headers={"location": target})
        before = len(world().asked)
        refused(body, marta.by_bovine(body))
        reached = [url for url, _ in world().asked[before:]]
        checks.holds(target == "https://evil.example/users/marta" or reached == [marta.id], f"{target} was reached: {reached}")


def test_what_can_not_be_read_is_kept_to_be_looked_at():
    marta = Actor("marta")
    before = len(up().all("/api/madrid/envelopes?disposition=quarantined", "envelopes"))
    deep = '{"@context":"x","id":"%s#1","type":"Create","actor":"%s","object":%s}' % (marta.id, marta.id, "[" * 1000 + "]" * 1000)
    for body in ("<html>", deep, "null", "[]", '{"a":'):
        accepted(body, marta.by_bovine(body))
    checks.equal(len(up().all("/api/madrid/envelopes?disposition=quarantined", "envelopes")), before + 5)
    checks.equal(marta.events(), [])


# ---------------------------------------------------------------- what we answer


def delivered_to(actor, kind):
    def found():
        for url, headers, body in list(world().delivered):
            if url == actor.id + "/inbox" and json.loads(body)["type"] == kind:
                return headers, body.decode()
        return None

    return checks.eventually(found, 40, f"a {kind} in the inbox of {actor.id}; there were {[url for url, _, _ in world().delivered]}")


def received(actor, kind):
    """What Fedify and bovine make of our delivery, both having checked its signature and whose it is."""
    headers, body = delivered_to(actor, kind)
    headers["host"] = "social.example"
    kept = {name: value for name, value in headers.items() if name not in ("connection", "transfer-encoding", "content-length")}
    told = fedify().ask("receive", to=actor.id + "/inbox", headers=kept, body=body)
    checks.equal((told["verified"], told["owner"], told["owns"], told["type"], told["actor"]), (True, US, True, kind, US))

    async def key(_):
        return CryptographicIdentifier.from_pem(RUNNING["key"][0], US)

    async def content():
        return body.encode()

    validate = build_validate_http_signature_raw(key)
    checks.equal(asyncio.run(validate("post", actor.id + "/inbox", kept, content)), US, "bovine")
    checks.equal(asyncio.run(validate("post", actor.id + "/outbox", kept, content)), None, "bovine, for another inbox")
    return told["object"]


def test_our_answer_is_a_signed_note_to_its_author_and_the_answer_to_it_joins_the_case():
    marta = Actor("marta")
    note, body = marta.activity("create")
    accepted(body, marta.by_fedify(body))
    reference = marta.events()[0]["case"]["reference"]
    answer = up().api(f"/api/madrid/cases/{reference}/replies", "POST", {"text": "Mañana pasamos <b>sin falta</b>\nhttps://city.example/x", "author": "ana"})
    checks.holds(answer.status in (200, 201, 202), answer)
    ours = received(marta, "Create")
    checks.equal((ours["type"], ours["answers"], ours["to"]), ("Note", note, [marta.id]))
    checks.contains(ours["content"], "Mañana pasamos &lt;b&gt;sin falta&lt;/b&gt;<br>", 'href="https://city.example/x"')
    _, body = marta.activity("create", direct=True, answers=ours["id"])
    accepted(body, marta.by_fedify(body))
    checks.equal([event["case"]["reference"] for event in marta.events()], [reference, reference])
    # Somebody else who answers it is somebody else.
    pere = Actor("pere")
    _, body = pere.activity("create", answers=ours["id"])
    accepted(body, pere.by_bovine(body))
    checks.holds(pere.events()[0]["case"]["reference"] != reference, "a stranger joined the case")
    _, body = marta.activity("like", answers=ours["id"])
    accepted(body, marta.by_fedify(body))
    checks.equal((marta.events()[-1]["kind"], marta.events()[-1]["case"]["reference"]), ("reaction", reference))


def test_a_request_to_follow_is_accepted():
    marta = Actor("marta")
    follow, body = marta.activity("follow")
    accepted(body, marta.by_bovine(body))
    checks.equal(received(marta, "Accept")["id"], follow)
    _, body = delivered_to(marta, "Accept")
    checks.equal(json.loads(body)["object"], {"id": follow, "type": "Follow", "actor": marta.id, "object": US})


if __name__ == "__main__":
    checks.main(globals(), limit=300)

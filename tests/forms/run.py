#!/usr/bin/env python3
"""The form as people and others send it: Chromium by keyboard at two widths, looked at by axe-core; and raw requests.

Screenshots are left in `target/forms`, for whoever changes how it looks.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from support import checks, peers, server  # noqa: E402
from support.checks import contains, equal, holds  # noqa: E402

PLAYWRIGHT, AXE = "1.64.1", "4.14.1"
SHOTS = os.path.join(peers.ROOT, "target", "forms")
TOKEN = "fake-api-token-of-demo"
KEY = "fake-key-of-the-town-website"
PATH = "/forms/html/demo"
PHOTO = os.path.join(HERE, "photo.jpg")
TOWN = "https://www.villaclara.example"
_state = {}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def running():
    """One server with the demo municipality, for all tests of this file."""
    if "server" not in _state:
        port = free_port()
        settings = {
            "public_url": f"http://127.0.0.1:{port}{PATH}", "form_secret": ["fake-new-secret", "fake-old-secret"],
            "api_key": KEY, "origins": [TOWN], "frame_ancestors": TOWN, "min_seconds": "1",
        }
        busy = {**settings, "public_url": f"http://127.0.0.1:{port}/forms/html/busy", "work_bits": 10}
        env = server.environment(
            tokens={"demo": [TOKEN], "busy": [TOKEN]}, SPIN_VARIABLE_FORMS_HTML=json.dumps({"demo": settings, "busy": busy})
        )
        started = server.Server(env=env, listen=f"127.0.0.1:{port}")
        with open(os.path.join(peers.ROOT, "crates", "ventanilla", "demo", "profile.json"), encoding="utf-8") as file:
            profile = json.load(file)
        for tenant in ("demo", "busy"):
            body = json.dumps({**profile, "tenant": tenant}).encode()
            answer = started.api(f"/api/{tenant}/profile", "PUT", body, token=TOKEN)
            holds(answer.status in (200, 201, 204), f"profile: {answer}")
        _state["server"] = started
    return _state["server"]


def finish():
    if "server" in _state:
        _state["server"].kill()
    server.clean()


def modules():
    """The folder with npm's `playwright-core` and `axe-core`."""
    if not shutil.which("npm"):
        raise checks.Skip("npm is not on PATH; install Node 18 or newer")
    folder = os.path.join(peers.PEERS, "browser")
    mark = os.path.join(folder, f"playwright-core-{PLAYWRIGHT}-axe-core-{AXE}")
    if not os.path.exists(mark):
        print(f"getting playwright-core {PLAYWRIGHT} and axe-core {AXE} from npm into target/peers/browser", flush=True)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "package.json"), "w", encoding="utf-8") as file:
            file.write('{"private": true}\n')
        packages = [f"playwright-core@{PLAYWRIGHT}", f"axe-core@{AXE}"]
        peers._run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *packages], cwd=folder)
        open(mark, "w", encoding="utf-8").close()
    return folder


def browse(**options):
    chromium = shutil.which("chromium")
    if not chromium:
        raise checks.Skip("Chromium is not on PATH; apt-get install chromium")
    os.makedirs(SHOTS, exist_ok=True)
    given = {
        "url": f"{running().url}{PATH}?lang=es", "lang": "es-ES", "photo": PHOTO, "shots": SHOTS, "chromium": chromium,
        "service": "Farola", "email": "ana@example.org", **options,
    }
    done = subprocess.run(
        ["node", os.path.join(HERE, "browser.mjs"), modules(), json.dumps(given)], capture_output=True, text=True, timeout=200
    )
    holds(done.returncode == 0, f"the browser's script ended badly: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    said = json.loads(done.stdout)
    holds("failure" not in said, said.get("failure"))
    return said


def looked_well(said):
    equal(said["violations"], [], "axe-core")
    # The page with errors is a 422, and a script may be kept away: Chromium remarks upon both. A breach of the policy would be another remark.
    remarks = [remark for remark in said["console"] if "status of 422" not in remark and "ERR_FAILED" not in remark]
    equal(remarks, [], "what the browser complains of")
    equal(said["small"], [], "targets under 24 by 24 pixels")
    equal(said["wide"], [], "pages wider than the window")
    holds(said["errorTitle"].startswith("Error: "), said["errorTitle"])
    equal(said["focusAfterError"], "errors", "what has the focus on a page with errors")
    equal(said["focusAfterLink"], "service", "where a link of the summary leads")
    holds(said["outline"].startswith("solid") and int(said["outline"].split()[1].removesuffix("px")) >= 2, said["outline"])
    contains(said["body"], "<b>Huele</b> & mal.", said["service"])
    holds(re.fullmatch(r"\d{3}-\d{3}-\d{4}", said["reference"] or ""), said["reference"])


def case_of(said):
    listed = running().api("/api/demo/cases?limit=100", token=TOKEN).json["cases"]
    holds(any(case["reference"] == said["reference"] for case in listed), "the case is not in /api/demo/cases")
    case = running().case(said["reference"], "demo", TOKEN)
    equal(len(case["events"]), 1)
    return case, case["events"][0]


def test_a_form_is_filled_in_by_keyboard_at_320_pixels_and_the_place_comes_from_the_photo():
    said = browse(width=320)
    looked_well(said)
    case, event = case_of(said)
    equal((event["location"], event["flags"]), ({"lat": 39.4699, "long": -0.376}, ["location_from_photo"]))
    equal(event["sender"], "ana@example.org")
    attachment = event["attachments"][0]
    equal((attachment["name"], attachment["content_type"], attachment["size"]), ("photo.jpg", "image/jpeg", os.path.getsize(PHOTO)))
    holds(event["fields"]["photo_1_published_sha256"] != attachment["sha256"], "what is published is not what came")
    equal(event["service_code"], case["service_code"])


def test_a_form_is_filled_in_by_keyboard_at_1280_pixels_with_the_position_of_the_device():
    said = browse(width=1280, locate=True, email="bea@example.org", service="Recogida", question=True)
    looked_well(said)
    contains(said["located"], "39.500000", "Hemos añadido su posición.")
    _, event = case_of(said)
    equal((event["location"], event.get("flags", [])), ({"lat": 39.5, "long": -0.4}, []))
    equal((said["answer"], list(event["attributes"].values())), ("furniture", ["furniture"]), "the answer to the subject's question")


def test_a_form_works_without_scripts_and_in_the_dark():
    said = browse(width=640, script=False, dark=True, email="carla@example.org")
    looked_well(said)
    case_of(said)


def token(tenant="demo", headers=()):
    """A token as a page has it."""
    page = running().send("GET", f"/forms/html/{tenant}", headers=[("accept", "text/html"), *headers])
    equal(page.status, 200, page.text)
    return re.search(r'name="token" value="([^"]+)"', page.text).group(1)


def old_enough(**options):
    made = token(**options)
    time.sleep(1.05)
    return made


def fields(made, **more):
    return {"lang": "es", "token": made, "service": "-", "description": "Árbol caído", "address": "Calle Mayor 3", **more}


def post(pairs, headers=(), tenant="demo", kind="application/x-www-form-urlencoded"):
    body = pairs if isinstance(pairs, bytes) else urllib.parse.urlencode(pairs).encode()
    return running().send("POST", f"/forms/html/{tenant}", body, [("content-type", kind), *headers])


def multipart(pairs, files, boundary="xYzZy"):
    body = b""
    for name, value in pairs.items():
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    for name, content in files:
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="photo"; filename="{name}"\r\n\r\n'.encode() + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


def events():
    return running().events("demo", TOKEN)


def reference(answer):
    equal(answer.status, 200, answer.text)
    return re.search(r"\d{3}-\d{3}-\d{4}", answer.text).group(0)


def test_every_page_says_what_a_browser_may_do_with_it():
    for target in (PATH, f"{PATH}?lang=eu", f"{PATH}/style.css", f"{PATH}/form.js", f"{PATH}/nothing"):
        answer = running().send("GET", target)
        policy = answer.header("content-security-policy")
        contains(policy, "default-src 'none'", "script-src 'self'", f"frame-ancestors 'self' {TOWN}", "form-action 'self'")
        holds("unsafe" not in policy, policy)
        equal((answer.header("x-content-type-options"), answer.header("referrer-policy")), ("nosniff", "same-origin"))
    equal(running().send("GET", PATH).header("cache-control"), "no-store")
    page = running().send("GET", PATH, headers=[("accept-language", "fr, eu;q=0.8, es;q=0.5")])
    contains(page.text, '<html lang="eu">')
    holds("<script>" not in page.text and "style=" not in page.text, "nothing of it is inline")


def test_nothing_a_stranger_writes_becomes_markup():
    evil = "\"'><script>alert(1)</script>{}<mac>"
    answer = post(fields(old_enough(), description="", name=evil, address=evil, service=evil, **{evil: evil}))
    equal(answer.status, 422)
    holds("<script>alert" not in answer.text and "<mac>" not in answer.text, "escaped")
    contains(answer.text, "&lt;script&gt;alert(1)&lt;/script&gt;{}&lt;mac&gt;".replace("{}", "&#123;}"))
    answer = running().send("GET", f"{PATH}?lang={urllib.parse.quote(evil)}", headers=[("accept-language", evil)])
    holds("alert" not in answer.text, "a query is not echoed")


def test_the_same_form_twice_is_one_case_and_a_corrected_one_joins_it():
    made = old_enough()
    first = post(fields(made))
    again = post(multipart(fields(made), []), kind="multipart/form-data; boundary=xYzZy")
    equal(reference(again), reference(first), "the same content in another encoding")
    corrected = post(fields(made, description="Árbol caído, corta la calle"))
    equal(reference(corrected), reference(first))
    equal(len(running().case(reference(first), "demo", TOKEN)["events"]), 2)
    equal(reference(post(fields(old_enough()))) == reference(first), False, "another form is another case")


def test_a_forged_a_borrowed_and_an_old_token_store_nothing_and_lose_nothing():
    before = len(events())
    made = old_enough()
    forged = made[:-6] + ("AAAAAA" if not made.endswith("AAAAAA") else "BBBBBB")
    answer = post(fields(forged))
    equal(answer.status, 403, "forged")
    contains(answer.text, "Árbol caído", "No hemos podido comprobar")
    holds('name="token"' not in answer.text, "a page that is not verified has no token of its own")
    equal(post(fields(old_enough(tenant="busy"))).status, 403, "another tenant's token")
    old = made.split(".")
    old[0] = str(int(old[0]) - 25 * 3600 * 1000)
    answer = post(fields(".".join(old)))
    equal(answer.status, 422, "expired")
    contains(answer.text, "Árbol caído", 'name="token"')
    answer = post(fields(""))
    equal(answer.status, 422, "without a token")
    again = re.search(r'name="token" value="([^"]+)"', answer.text).group(1)
    equal(post(fields(again)).status, 422, "sooner than anybody writes")
    equal(len(events()), before)
    time.sleep(1.05)
    reference(post(fields(again)))


def test_pages_of_other_sites_can_not_send_peoples_browsers():
    before = len(events())
    made = old_enough()
    for headers in ([("origin", "https://evil.example")], [("origin", "null")], [("referer", "https://evil.example/x")],
                    [("sec-fetch-site", "cross-site")]):
        answer = post(fields(made), headers)
        equal(answer.status, 403, str(headers))
        contains(answer.text, "Árbol caído")
    equal(len(events()), before)
    reference(post(fields(made), [("origin", running().url)]))
    reference(post(fields(old_enough()), [("origin", TOWN)]))


def test_a_filled_honeypot_is_kept_for_a_person_and_opens_no_case():
    cases = len(running().cases("demo", TOKEN))
    answer = post(fields(old_enough(), homepage="https://spam.example", description="Buy now"))
    equal(answer.status, 200)
    holds(not re.search(r"\d{3}-\d{3}-\d{4}", answer.text), "no reference")
    equal(len(running().cases("demo", TOKEN)), cases)
    kept = [event for event in events() if event.get("text") == "Buy now"]
    equal([event["flags"] for event in kept], [["suspected_spam"]])
    quarantined = running().api("/api/demo/envelopes?disposition=quarantined", token=TOKEN).json["envelopes"]
    holds(any("nobody sees" in envelope.get("reason", "") for envelope in quarantined), f"quarantined: {quarantined}")


def test_who_does_the_work_is_not_held_up():
    import hashlib
    made = old_enough(tenant="busy")
    challenge = made.rsplit(".", 1)[0]
    answers = (str(number) for number in range(1_000_000))
    work = next(a for a in answers if int.from_bytes(hashlib.sha256(f"{challenge}.{a}".encode()).digest()[:4], "big") >> 22 == 0)
    done = reference(post(fields(made, work=work), tenant="busy"))
    undone = reference(post(fields(old_enough(tenant="busy"), work="0"), tenant="busy"))
    flags = [running().case(number, "busy", TOKEN)["events"][0].get("flags", []) for number in (done, undone)]
    equal(flags, [[], ["unproven"]])


def test_bad_input_gives_a_page_and_stores_nothing():
    before = len(events())
    made = old_enough()
    many = urllib.parse.urlencode(fields(made)).encode() + b"&x=y" * 5000
    equal(post(many).status, 400, "one field 5,000 times")
    long = post(fields(made, description="ñ" * 50_000))
    equal(long.status, 422, "50,000 letters")
    contains(long.text, "El texto tiene 50000 caracteres", "ñ" * 30_000)
    kind = "multipart/form-data; boundary=xYzZy"
    wrong = post(multipart(fields(made), [("foto.jpg", b"MZ\x90\x00 no photo")]), kind=kind)
    equal(wrong.status, 422, "a photo that is none")
    contains(wrong.text, 'href="#photo"', "«foto.jpg»", 'aria-invalid="true"')
    with open(PHOTO, "rb") as file:
        photo = file.read()
    equal(post(multipart(fields(made), [(f"{n}.jpg", photo) for n in range(6)]), kind=kind).status, 422, "six photos")
    equal(post(multipart(fields(made), []), kind="multipart/form-data; boundary=other").status, 400, "another boundary")
    equal(post(multipart(fields(made), []), kind="multipart/form-data").status, 400, "no boundary")
    equal(post(b"\x00\xff" * 500, kind="application/octet-stream").status, 415)
    equal(post(b"{", kind="application/json").status, 400)
    equal(post(b"", kind="").status, 415)
    equal(post(multipart(fields(made), [("big.jpg", b"\xff\xd8\xff" + bytes(21 << 20))]), kind=kind).status, 413, "21 MB")
    equal(len(events()), before)
    page = running().send("GET", PATH)
    equal(page.status, 200, "and goes on")


def test_what_is_not_utf_8_is_kept_and_marked():
    body = urllib.parse.urlencode(fields(old_enough(), description="")).encode().replace(b"description=&", b"description=caf%e9%00+fin&")
    case = running().case(reference(post(body)), "demo", TOKEN)
    event = case["events"][0]
    equal((event["text"], event["flags"]), ("caf\ufffd\ufffd fin", ["text_repaired"]))


def test_another_sites_form_posts_json_with_a_token_or_a_key():
    got = running().send("GET", PATH, headers=[("accept", "application/json"), ("origin", TOWN)])
    equal((got.status, got.header("access-control-allow-origin")), (200, TOWN))
    time.sleep(1.05)
    body = json.dumps({"token": got.json["token"], "description": "Farola rota", "address": "Rambla 3", "service": "street-light"})
    taken = post(body.encode(), [("origin", TOWN)], kind="application/json")
    equal((taken.status, taken.header("access-control-allow-origin"), taken.json["duplicate"]), (200, TOWN, False))
    equal(running().case(taken.json["reference"], "demo", TOKEN)["service_code"], "street-light")
    equal(post(body.encode(), [("origin", "https://evil.example")], kind="application/json").status, 403)

    keyed = [("authorization", f"Bearer {KEY}"), ("idempotency-key", "town-1")]
    first = post(b'{"description": "Banco roto"}', keyed, kind="application/json")
    second = post(b'{"description": "Banco roto"}', keyed, kind="application/json")
    equal((first.status, second.json), (200, {"reference": first.json["reference"], "duplicate": True}))
    equal(post(b'{"description": "x"}', [("authorization", "Bearer wrong"), ("idempotency-key", "2")], kind="application/json").status, 403)
    equal(post(b'{"description": "x"}', [("authorization", f"Bearer {KEY}")], kind="application/json").status, 400)
    faulty = post(b'{"email": "no"}', keyed, kind="application/json")
    equal((faulty.status, [error["field"] for error in faulty.json["errors"]]), (422, ["description", "email"]))
    equal(faulty.header("content-type"), "application/problem+json")
    equal(running().send("OPTIONS", PATH, headers=[("origin", "https://evil.example")]).status, 403)
    equal(running().send("OPTIONS", PATH, headers=[("origin", TOWN)]).header("access-control-allow-headers"), "content-type")


if __name__ == "__main__":
    checks.main(globals(), limit=600)

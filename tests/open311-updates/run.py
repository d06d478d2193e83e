"""Something added to an Open311 request: the extension's POST servicerequestupdates, by plain HTTP in the parameters FixMyStreet sends."""

import concurrent.futures
import json
import os
import sys
import urllib.parse
import xml.dom.minidom

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, peers, server, twilio  # noqa: E402

# Signs the telephone call.
peers.inside_python(peers.OPEN311_PYPI)

KEY, OLD_KEY = "fake-open311-key-new", "fake-open311-key-old"
PATH = "/open311/georeport/madrid"
SETTINGS = {"madrid": {"public_url": "https://city.example" + PATH, "api_key": [KEY, OLD_KEY], "jurisdiction_id": "city.example"}}
PROFILE = dict(server.PROFILE, services=[{"code": "light", "name": [{"language": "es", "text": "Farola averiada"}], "place_required": False}])
FORM = ("content-type", "application/x-www-form-urlencoded")
RUNNING = {}


def running():
    """One server for all tests of this file."""
    if "server" not in RUNNING:
        env = server.environment(SPIN_VARIABLE_OPEN311_GEOREPORT=json.dumps(SETTINGS))
        RUNNING["server"] = server.Server(env=env).with_profile(PROFILE)
        RUNNING["number"] = 0
    return RUNNING["server"]


def finish():
    if "server" in RUNNING:
        RUNNING["server"].kill()
    server.clean()


def post(fields, target, headers=(FORM,)):
    body = fields if isinstance(fields, bytes) else urllib.parse.urlencode(fields).encode()
    return running().send("POST", PATH + target, body, headers)


def get(target):
    return running().send("GET", PATH + target)


def filed():
    """A new request."""
    running()
    RUNNING["number"] += 1
    answer = post({"api_key": KEY, "service_code": "light", "description": f"Report number {RUNNING['number']}"}, "/requests.json")
    checks.equal(answer.status, 200, answer.text)
    return answer.json[0]["service_request_id"]


def errors(answer, status, json_wanted=True):
    """The standard's error document, in the format asked for."""
    checks.equal(answer.status, status, answer.text)
    if json_wanted:
        return " ".join(error["description"] for error in answer.json)
    document = xml.dom.minidom.parseString(answer.body).documentElement
    checks.equal(document.tagName, "errors")
    return " ".join(one(error, "description") for error in document.getElementsByTagName("error"))


def one(element, name):
    (child,) = element.getElementsByTagName(name)
    return "".join(node.data for node in child.childNodes)


def staff_set(reference, status):
    answer = running().api(f"/api/madrid/cases/{reference}", "PATCH", {"status": status})
    checks.equal(answer.status, 200, answer.text)


def added(reference, number, **more):
    """What FixMyStreet sends of a comment on a report."""
    return dict({"jurisdiction_id": "city.example", "api_key": KEY, "service_request_id": reference, "update_id": str(number), "status": "CLOSED",
                 "updated_datetime": "2026-11-21T10:58:12+01:00", "description": "It is dark here, too: 600 333 444", "email": "eva.secret@example.org",
                 "first_name": "Evasecret", "last_name": "Lopezsecret", "title": "MS", "media_url": "https://media.example/9.jpg",
                 "public_anonymity_required": "FALSE"}, **more)


def add(fields, ending="json", **options):
    answer = post(fields, f"/servicerequestupdates.{ending}", **options)
    checks.equal(answer.status, 200, answer.text)
    if ending == "xml":
        document = xml.dom.minidom.parseString(answer.body).documentElement
        checks.equal((document.tagName, document.firstChild.tagName), ("service_request_updates", "request_update"))
        return one(document, "update_id")
    (update,) = answer.json
    return update["update_id"]


def added_to_nothing(fields):
    """Told as if nothing had the id, in both formats; the answer's text."""
    answer = post(fields, "/servicerequestupdates.json")
    errors(answer, 404)
    errors(post(fields, "/servicerequestupdates.xml"), 404, json_wanted=False)
    return answer.text


def test_an_update_is_an_event_of_its_request_and_changes_nothing_of_it():
    reference = filed()
    first = add(added(reference, 1))
    event = running().case(reference)["events"][-1]
    wanted = {"kind": "message", "text": "It is dark here, too: 600 333 444", "sender": "eva.secret@example.org", "sender_name": "Evasecret Lopezsecret",
              "status": "CLOSED", "event_id": "1", "timestamp": "2026-11-21T09:58:12Z", "id": first}
    checks.equal({name: event.get(name) for name in wanted}, wanted)
    checks.equal(event["attachments"][0]["url"], "https://media.example/9.jpg")
    checks.equal(event["fields"], {"public_anonymity_required": "FALSE", "title": "MS"})
    case = running().case(reference)
    checks.equal((case["status"], len(case["events"])), ("new", 2))
    checks.holds("contact" not in case, "who adds to a case of nobody is its contact")
    checks.equal([task["task"] for task in case["tasks"]], ["review"])
    # Staff close it; what is added then is kept with it, and it stays closed.
    staff_set(reference, "closed")
    second = add(added(reference, 2, status="OPEN", description="Still dark"), ending="xml")
    case = running().case(reference)
    checks.equal((case["status"], [event["id"] for event in case["events"][1:]]), ("closed", [first, second]))
    (shown,) = get(f"/requests/{reference}.json").json
    checks.equal(shown["status"], "closed")


def test_the_same_update_sent_again_and_at_once_is_one_update():
    reference = filed()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda number: add(added(reference, 7, status=("OPEN", "CLOSED")[number % 2]), ending=("json", "xml")[number % 2]), range(16)))
    checks.equal(len(found), 1, "updates")
    # Another client counts its own updates; another request has its own, too.
    checks.holds(add(added(reference, 7, api_key=OLD_KEY)) not in found, "another client's update was taken for it")
    checks.holds(add(added(filed(), 7)) not in found, "another request's update was taken for it")
    checks.equal(len(running().case(reference)["events"]), 3)


def test_a_photo_can_be_added():
    reference = filed()
    fields = {"api_key": KEY, "service_request_id": reference.replace("-", ""), "update_id_ext": "9007199254740993"}
    parts = "".join(f'--x7MA4\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items())
    parts += '--x7MA4\r\nContent-Disposition: form-data; name="media"; filename="after.png"\r\nContent-Type: image/png\r\n\r\n'
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
    add(parts.encode() + png + b"\r\n--x7MA4--\r\n", headers=[("content-type", "multipart/form-data; boundary=x7MA4")])
    event = running().case(reference)["events"][-1]
    (photo,) = event["attachments"]
    checks.equal((photo["name"], photo["content_type"], event["event_id"]), ("after.png", "image/png", "9007199254740993"))


def test_nothing_of_an_update_leaves():
    reference = filed()
    add(added(reference, "secret-update-id"))
    staff_set(reference, "resolved")
    answers = []
    for ending in ("xml", "json"):
        for target in ("requests", f"requests/{reference}", "servicerequestupdates"):
            answers.append(get(f"/{target}.{ending}").text)
        answers.append(get(f"/servicerequestupdates.{ending}?service_request_id={reference}").text)
    everything = "\n".join(answers)
    checks.contains(everything, reference)
    for secret in ("eva.secret", "Evasecret", "Lopezsecret", "600 333 444", "It is dark here, too", "media.example/9", "secret-update-id", KEY):
        checks.holds(secret not in everything, f"{secret} leaves by the public interface")


def test_an_update_reaches_no_case_that_is_not_public_and_nothing_tells_that_there_is_one():
    before = {case["reference"] for case in running().cases()}
    answer = running().twilio().send("/voice", twilio.call(twilio.sid(2)))
    checks.equal(answer.status, 200, answer.text)
    (private,) = {case["reference"] for case in running().cases()} - before
    said = {added_to_nothing(added(private, 1))}
    # A reference with a right check digit that nothing has, and one that can't be.
    unknown = "100-000-0005" if private != "100-000-0005" else "100-000-0018"
    for reference in (unknown, private[:-1] + str((int(private[-1]) + 1) % 10), "x", "1" * 400):
        said.add(added_to_nothing(added(reference, 1)))
    checks.equal(len(said), 1, said)
    case = running().case(private)
    checks.equal([event["channel"] for event in case["events"]], ["telephony"])
    # Kept once each, without a case, although it was sent twice; and no case was opened for it.
    kept = [event for event in running().events() if event["channel"] == "open311" and "case" not in event]
    checks.equal([event["text"] for event in kept if event["event_id"] == "1"][:1], ["It is dark here, too: 600 333 444"])
    checks.equal(len({event["idempotency_key"] for event in kept}), len(kept))
    checks.equal({case["reference"] for case in running().cases()} - before, {private})


def test_an_update_needs_the_key_and_all_that_is_wrong_with_it_is_named():
    reference = filed()
    before = len(running().events())

    def refused_update(code, **more):
        fields = {name: value for name, value in added(reference, 1, **more).items() if value is not None}
        errors(post(fields, "/servicerequestupdates.xml"), code, json_wanted=False)
        return errors(post(fields, "/servicerequestupdates.json"), code)

    for key in (None, "", "wrong", KEY.upper()):
        checks.contains(refused_update(403, api_key=key), "api_key")
    checks.contains(refused_update(400, service_request_id=None), "service_request_id")
    checks.contains(refused_update(400, update_id=None, description="x" * 4001, media_url="javascript:alert(1)"), "update_id", "description", "media_url")
    checks.contains(refused_update(400, description="", status="", media_url=""), "says nothing")
    checks.contains(refused_update(404, jurisdiction_id="sevilla"), "jurisdiction_id")
    for body, kind in ((b"{}", ("content-type", "application/json")), (b"--y\r\n\r\n", ("content-type", "multipart/form-data; boundary=x"))):
        errors(post(body, "/servicerequestupdates.json", headers=[kind]), 400)
    checks.equal(len(running().events()), before, "something was stored")


if __name__ == "__main__":
    checks.main(globals(), limit=180)

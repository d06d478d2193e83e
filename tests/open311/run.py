"""Open311 GeoReport v2 with clients somebody else wrote (PyPI: `three` files and follows, `georeport` reads), and by hand what they can't."""

import concurrent.futures
import datetime
import itertools
import json
import os
import re
import struct
import sys
import urllib.parse
import xml.dom.minidom
import zlib

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, peers, server  # noqa: E402

peers.inside_python(peers.OPEN311_PYPI)

# `three` 0.8.0 is of Python 2's time, and this is all that it misses in Python 3.
itertools.ifilter = filter

import georeport  # noqa: E402
import three  # noqa: E402

KEY, OLD_KEY = "fake-open311-key-new", "fake-open311-key-old"
PATH = "/open311/georeport/madrid"
PUBLIC_URL = "https://city.example" + PATH
SETTINGS = {
    "madrid": {"public_url": PUBLIC_URL, "api_key": [KEY, OLD_KEY], "jurisdiction_id": "city.example", "contact": "opendata@city.example"},
    "sevilla": {"public_url": "https://city.example/open311/georeport/sevilla"},
}
FORM = ("content-type", "application/x-www-form-urlencoded")
ANA = {"email": "ana.secret@example.org", "phone": "+34600111222", "first_name": "Anasecret", "last_name": "Garciasecret", "device_id": "device-secret-1",
       "account_id": "account-secret-1"}
RUNNING = {}


def text(value):
    return [{"language": "es", "text": value}]


PROFILE = dict(server.PROFILE, services=[
    {"code": "light", "name": text("Farola averiada"), "description": text("No luce"), "group": "calle", "keywords": ["farola"],
     "department": "waste", "place_required": True},
    {"code": "bulky", "name": text("Recogida de muebles"), "place_required": True, "attributes": [
        {"code": "kind", "datatype": "singlevaluelist", "required": True, "description": text("Qué"),
         "values": [{"key": "sofa", "name": "Sofá"}, {"key": "bed", "name": "Cama"}]},
        {"code": "pieces", "datatype": "number", "required": False, "description": text("Cuántos")}]},
])


def running():
    """One server for all tests of this file."""
    if "server" not in RUNNING:
        env = server.environment(SPIN_VARIABLE_OPEN311_GEOREPORT=json.dumps(SETTINGS))
        RUNNING["server"] = server.Server(env=env).with_profile(PROFILE)
        RUNNING["number"] = 0
    return RUNNING["server"]


def finish():
    for name in ("server", "demo"):
        if name in RUNNING:
            RUNNING[name].kill()
    server.clean()


def words():
    """A description nobody has used: what is filed twice is one request."""
    running()
    RUNNING["number"] += 1
    return f"Report number {RUNNING['number']}"


def form(**more):
    return dict({"api_key": KEY, "service_code": "light", "lat": "40.41678", "long": "-3.70379", "description": words()}, **more)


def post(fields, target="/requests.json", headers=(FORM,)):
    body = fields if isinstance(fields, bytes) else urllib.parse.urlencode(fields).encode()
    return running().send("POST", PATH + target, body, headers)


def get(target, headers=()):
    return running().send("GET", PATH + target, headers=headers)


def filed(fields=None, **options):
    answer = post(fields or form(), **options)
    checks.equal(answer.status, 200, answer.text)
    (request,) = answer.json
    return request["service_request_id"]


def reader(**options):
    return georeport.GeoReport(running().url + PATH, jurisdiction="city.example", **options)


def errors(answer, status, json_wanted=True):
    """The standard's error document, in the format asked for."""
    checks.equal(answer.status, status, answer.text)
    if json_wanted:
        checks.equal(answer.header("content-type"), "application/json; charset=utf-8")
        found = [(error["code"], error["description"]) for error in answer.json]
    else:
        checks.equal(answer.header("content-type"), "text/xml; charset=utf-8")
        document = xml.dom.minidom.parseString(answer.body).documentElement
        checks.equal(document.tagName, "errors")
        found = [(int(one(error, "code")), one(error, "description")) for error in document.getElementsByTagName("error")]
    checks.holds(found and all(isinstance(code, int) and description for code, description in found), answer.text)
    return " ".join(description for _, description in found)


def one(element, name):
    (child,) = element.getElementsByTagName(name)
    return "".join(node.data for node in child.childNodes)


def refused(fields, status, **options):
    """Refused in both formats, and nothing is stored."""
    before = len(running().events())
    said = errors(post(fields, **options), status)
    errors(post(fields, target="/requests.xml", **options), status, json_wanted=False)
    checks.equal(len(running().events()), before, "something was stored")
    return said


def multipart(fields, files, boundary="x7MA4YWxk"):
    out = b""
    for name, value in fields.items():
        out += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    for name, file_name, content_type, data in files:
        out += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{file_name}"\r\nContent-Type: {content_type}\r\n\r\n'.encode()
        out += data + b"\r\n"
    return out + f"--{boundary}--\r\n".encode(), ("content-type", f"multipart/form-data; boundary={boundary}")


def png():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(b"\0\x80")) + chunk(b"IEND", b"")


def staff_set(reference, status):
    answer = running().api(f"/api/madrid/cases/{reference}", "PATCH", {"status": status})
    checks.equal(answer.status, 200, answer.text)


def event_of(reference):
    return running().case(reference)["events"][0]


# ---------------------------------------------------------------- clients somebody else wrote


def test_a_client_files_in_the_demo_tenant_and_staff_see_the_case_with_its_place():
    server.only_our_own("needs the demo tenant, which our own program makes")
    env = {name: value for name, value in os.environ.items() if not name.startswith("SPIN_VARIABLE_")}
    demo = RUNNING["demo"] = server.Server(env=env)
    with open(os.path.join(demo.data, "demo.json")) as file:
        state = json.load(file)
    settings = state["settings"]["open311_georeport"]
    client = three.Three(demo.url + "/open311/georeport/demo", api_key=settings["api_key"], jurisdiction="demo")
    codes = [service["service_code"] for service in client.services()]
    checks.holds({"street-light", "bulky-waste"} <= set(codes), codes)
    (answer,) = client.post("street-light", lat="40.41678", long="-3.70379", address="Calle Mayor 14", description="No luce", name="Ana García")
    reference = answer["service_request_id"]
    checks.holds(re.fullmatch(r"\d{3}-\d{3}-\d{4}", reference), reference)
    listed = demo.api("/api/demo/cases", token=state["token"]).json["cases"]
    checks.equal([case["reference"] for case in listed], [reference])
    case = demo.api(f"/api/demo/cases/{reference}", token=state["token"]).json
    checks.equal((case["channel"], case["service_code"], case["department"]), ("open311", "street-light", "streets"))
    (event,) = case["events"]
    wanted = {"kind": "request", "location": {"lat": 40.41678, "long": -3.70379}, "address": "Calle Mayor 14", "text": "No luce", "sender_name": "Ana García",
              "service_code": "street-light"}
    checks.equal({name: event.get(name) for name in wanted}, wanted)
    checks.equal(client.request(reference)[0]["status"], "open")
    demo.kill()


def test_a_client_finds_its_way_from_discovery_to_a_definition():
    for client in (three.Three(running().url + PATH), three.Three(running().url + PATH, jurisdiction="city.example")):
        found = client.discovery()
        (endpoint,) = found["endpoints"]
        checks.equal((endpoint["url"], endpoint["specification"]), (PUBLIC_URL, "http://wiki.open311.org/GeoReport_v2"))
        checks.equal(set(endpoint["formats"]), {"text/xml", "application/json"})
        checks.equal({service["service_code"]: service["metadata"] for service in client.services()}, {"light": False, "bulky": True})
        definition = client.services("bulky")
        checks.equal([attribute["code"] for attribute in definition["attributes"]], ["kind", "pieces"])
        checks.equal(definition["attributes"][0]["values"][1], {"key": "bed", "name": "Cama"})


def test_a_client_files_and_follows_a_request_until_it_is_closed():
    client = three.Three(running().url + PATH, api_key=KEY, jurisdiction="city.example")
    start = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=1)
    description = words()
    (answer,) = client.post("bulky", lat="40.4", long="-3.7", description=description, **{"attribute[kind]": "sofa", "attribute[pieces]": "3"}, **ANA)
    reference = answer["service_request_id"]
    checks.equal(set(answer), {"service_request_id", "service_notice", "account_id"})
    checks.equal(event_of(reference)["attributes"], {"kind": "sofa", "pieces": "3"})
    (request,) = client.request(reference)
    wanted = {"service_request_id": reference, "status": "open", "service_code": "bulky", "service_name": "Recogida de muebles", "description": description,
              "lat": 40.4, "long": -3.7}
    checks.equal({name: request[name] for name in wanted}, wanted)
    checks.holds(reference in [request["service_request_id"] for request in client.requests("bulky", status="open")], "not listed as open")
    (token,) = client.token(reference)
    checks.equal(token, {"service_request_id": reference, "token": reference})
    staff_set(reference, "pending")
    staff_set(reference, "resolved")
    (request,) = client.request(reference)
    checks.equal(request["status"], "closed")
    checks.holds(request["updated_datetime"] >= request["requested_datetime"], request)
    checks.equal([r["service_request_id"] for r in client.requests(service_request_id=reference)], [reference])
    checks.holds(reference not in [r["service_request_id"] for r in client.requests(status="open")], "listed as open")
    updates = client.get("servicerequestupdates", start_date=start.strftime("%Y-%m-%dT%H:%M:%SZ"))
    ours = [update for update in updates if update["service_request_id"] == reference]
    checks.equal([(update["status"], update["external_status_code"]) for update in ours], [("open", "pending"), ("closed", "resolved")])
    checks.equal(len({update["update_id"] for update in updates}), len(updates))


def test_a_client_uploads_a_photo():
    client = three.Three(running().url + PATH, api_key=OLD_KEY)
    path = os.path.join(server.folder(), "farola ñ.png")
    with open(path, "wb") as file:
        file.write(png())
    with open(path, "rb") as file:
        (answer,) = client.post("light", address="Plaza de España", description=words(), media=file)
    (photo,) = event_of(answer["service_request_id"])["attachments"]
    checks.equal((photo["name"], photo["content_type"], photo["size"]), ("farola ñ.png", "image/png", len(png())))


def test_another_client_reads_the_same_in_both_formats():
    reference = filed(form(media_url="https://media.example/1.jpg", address_string="Calle Mayor 14"))
    for output in ("json", "xml"):
        client = reader(output_format=output)
        checks.equal([service["service_name"] for service in client.get_service_list()], ["Farola averiada", "Recogida de muebles"])
        definition = client.get_service_definition("bulky")
        attributes = definition["attributes"] if output == "json" else definition["attributes"]["attribute"]
        checks.equal([attribute["datatype"] for attribute in attributes], ["singlevaluelist", "number"])
        request = client.get_service_request(reference)
        wanted = {"service_request_id": reference, "status": "open", "service_name": "Farola averiada", "media_url": "https://media.example/1.jpg",
                  "address": "Calle Mayor 14", "agency_responsible": "Limpieza y residuos", "status_notes": None, "zipcode": None}
        checks.equal({name: request[name] for name in wanted}, wanted)
        checks.equal(str(request["lat"]), "40.41678")
        listed = client.get_service_requests(service_code="light,bulky", status="open,closed")
        checks.holds(reference in [request["service_request_id"] for request in listed], "not listed")
        found = client.get_service_requests(service_request_id=f"{reference},000-000-0000")
        found = found if isinstance(found, list) else [found]
        checks.equal([request["service_request_id"] for request in found], [reference])


# ---------------------------------------------------------------- nothing of who filed it


def test_no_answer_has_anything_of_the_reporter():
    description = words() + ", call me at 600 111 222 or +34600111222, ana.secret@example.org"
    answer = post(form(description=description, **ANA))
    reference = answer.json[0]["service_request_id"]
    event = event_of(reference)
    checks.equal((event["sender"], event["sender_name"]), (ANA["email"], "Anasecret Garciasecret"))
    staff_set(reference, "resolved")
    answers = [answer.text]
    for ending in ("xml", "json"):
        for target in ("requests", f"requests/{reference}", f"tokens/{reference}", "servicerequestupdates", "services", "discovery"):
            answers.append(get(f"/{target}.{ending}").text)
        answers.append(get(f"/requests.{ending}?service_request_id={reference}").text)
    everything = "\n".join(answers)
    checks.contains(everything, reference, description[:15])
    for secret in [*ANA.values(), "600 111 222", "600111222", "Garciasecret", KEY, OLD_KEY]:
        checks.holds(secret not in everything, f"{secret} leaves by the public interface")


def test_cases_of_other_channels_are_not_there():
    from support import twilio

    answer = running().twilio().send("/voice", twilio.call(twilio.sid(1)))
    checks.equal(answer.status, 200, answer.text)
    (call,) = [case for case in running().cases() if case["channel"] == "telephony"]
    reference = call["reference"]
    checks.holds(reference not in get("/requests.json").text, "a call is listed")
    errors(get(f"/requests/{reference}.json"), 404)
    errors(get(f"/requests.json?service_request_id={reference}"), 404)
    errors(get(f"/tokens/{reference}.json"), 404)


def test_another_tenant_sees_nothing_of_this_one():
    reference = filed()
    answer = running().send("GET", f"/open311/georeport/sevilla/requests/{reference}.json")
    checks.equal(answer.status, 404, answer.text)
    answer = running().send("GET", "/open311/georeport/sevilla/requests.json")
    checks.equal((answer.status, answer.json), (200, []), answer.text)


# ---------------------------------------------------------------- who may file


def test_filing_needs_a_key_and_both_keys_of_a_rotation_are_taken():
    for key in ("", "wrong", KEY + "x", KEY.upper(), "x" * 5000, "ñ\0"):
        checks.contains(refused(form(api_key=key), 403), "api_key")
    without = form()
    del without["api_key"]
    refused(without, 403)
    filed(form(api_key=OLD_KEY))
    # In the query, as some clients send it.
    checks.equal(post(without, target=f"/requests.json?api_key={KEY}").status, 200)


def test_a_tenant_without_a_key_takes_nothing():
    before = len(running().events("sevilla", server.OTHER_TOKEN))
    body = urllib.parse.urlencode({"api_key": KEY, "service_code": "light", "lat": 1, "long": 1}).encode()
    answer = running().send("POST", "/open311/georeport/sevilla/requests.json", body, [FORM])
    checks.holds(answer.status in (403, 404), answer)
    checks.equal(len(running().events("sevilla", server.OTHER_TOKEN)), before)


def test_the_key_is_nowhere_in_what_staff_see():
    reference = filed()
    checks.holds(KEY not in json.dumps(running().case(reference)), "the key is in the case")
    checks.holds(KEY not in running().errors(), "the key is in the log")


# ---------------------------------------------------------------- sent again, and again


def test_the_same_request_sent_again_is_one_request():
    fields = form(**ANA)
    first = filed(fields)
    checks.equal(filed(dict(reversed(fields.items()))), first, "in another order")
    checks.equal(one(xml.dom.minidom.parseString(post(fields, target="/requests.xml").body), "service_request_id"), first)
    # A second event, if ten minutes have just ended between the two.
    checks.holds(len(running().case(first)["events"]) <= 2, "too many events")
    checks.equal(len([case for case in running().cases() if case["reference"] == first]), 1)


def test_the_same_request_sent_by_many_at_once_is_one_case():
    fields = form(**ANA)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: filed(fields), range(16)))
    checks.equal(len(found), 1, "cases")
    checks.holds(len(running().case(found.pop())["events"]) <= 2, "too many events")


def test_distinct_requests_are_distinct_cases():
    fields = form(**ANA)
    variants = [fields, dict(fields, phone="+34600111223"), dict(fields, lat="40.41679"), dict(fields, description=words()),
                dict(fields, media_url="https://media.example/2.jpg")]
    checks.equal(len({filed(variant) for variant in variants}), len(variants))


def test_what_is_filed_again_after_its_case_was_closed_is_not_forgotten():
    fields = form()
    first = filed(fields, headers=[FORM, ("idempotency-key", "1")])
    staff_set(first, "closed")
    checks.equal(filed(fields, headers=[FORM, ("idempotency-key", "1")]), first, "the client says it is the same")
    second = filed(fields, headers=[FORM, ("idempotency-key", "2")])
    checks.holds(second != first, "a later request was taken for the closed one")
    # While it is open, the same words are the same case.
    checks.equal(filed(fields, headers=[FORM, ("idempotency-key", "3")]), second)
    checks.equal(len(running().case(second)["events"]), 2)


# ---------------------------------------------------------------- wrong in every way


def test_unknown_things_are_404():
    checks.contains(refused(form(service_code="ufo"), 404), "service_code")
    checks.contains(refused(form(jurisdiction_id="sevilla"), 404), "jurisdiction_id")
    for ending in ("json", "xml"):
        for target in ("services/ufo", "requests/000-000-0000", "requests/482-109-3725", "requests/x", "requests/%00%ff", "tokens/x", "nothing", "requests/1/2"):
            errors(get(f"/{target}.{ending}"), 404, json_wanted=ending == "json")
        errors(get(f"/requests.{ending}?service_code=ufo"), 404, json_wanted=ending == "json")
        errors(get(f"/services.{ending}?jurisdiction_id=sevilla"), 404, json_wanted=ending == "json")
    for target in ("", "/", "/requests", "/services.html", "/.xml"):
        errors(get(target), 404, json_wanted=False)


def test_other_methods_are_405():
    for method in ("PUT", "DELETE", "PATCH"):
        answer = running().send(method, PATH + "/requests.json", b"", [FORM])
        errors(answer, 405)
        checks.contains(answer.header("allow") or "", "GET", "POST")
    errors(running().send("POST", PATH + "/services.json", b"", [FORM]), 405)
    answer = running().send("PUT", PATH + "/servicerequestupdates.json", b"api_key=" + KEY.encode(), [FORM])
    errors(answer, 405)
    checks.contains(answer.header("allow") or "", "GET", "POST")


def test_what_is_missing_or_wrong_is_named():
    without = form()
    del without["service_code"]
    checks.contains(refused(without, 400), "service_code")
    checks.contains(refused(form(lat="", long=""), 400), "place")
    for place in ({"lat": ""}, {"long": ""}, {"lat": "91"}, {"long": "181"}, {"lat": "NaN"}, {"lat": "inf"}, {"lat": "1e400"}, {"lat": "40,4"}, {"lat": "north"}):
        checks.contains(refused(form(**place), 400), *place)
    bulky = {"service_code": "bulky"}
    checks.contains(refused(form(**bulky), 400), "attribute[kind]")
    checks.contains(refused(form(**bulky, **{"attribute[kind]": ""}), 400), "attribute[kind]")
    said = refused(form(**bulky, **{"attribute[kind]": "rocket", "attribute[pieces]": "many"}), 400)
    checks.contains(said, "attribute[kind]", "attribute[pieces]")
    checks.contains(refused(form(description="x" * 50_000), 400), "description")
    filed(form(description="ñ" * 4000))
    for url in ("javascript:alert(1)", "data:text/html,x", "//evil", "https://a b", "file:///etc/passwd"):
        checks.contains(refused(form(media_url=url), 400), "media_url")


def test_broken_bodies_are_400():
    json_type, xml_type = ("content-type", "application/json"), ("content-type", "text/xml")
    for body, kind in [
        (b'{"service_code":', json_type), (b'{"service_code": "light"}', json_type), (b"[" * 10_000, json_type), (b"<request><service_code>", xml_type),
        (b"\xff\xfe", ("content-type", "text/plain")), (b"--y\r\n\r\n", ("content-type", "multipart/form-data; boundary=x")),
        (b"--x\r\n", ("content-type", "multipart/form-data")), (b"--x\r\nA: " + b"b" * 20_000, ("content-type", "multipart/form-data; boundary=x")),
    ]:
        refused(body, 400, headers=[kind])
    field = b"a=1&" * 5000
    checks.contains(refused(field + urllib.parse.urlencode(form()).encode(), 400), "1000 fields")
    body, kind = multipart({}, [("media", "a.png", "image/png", b"x")] * 1500)
    refused(body, 400, headers=[kind])
    # A form cut anywhere is another form, or an error; never a 5xx.
    whole = urllib.parse.urlencode(form(description="cut short")).encode()
    for length in range(0, len(whole), 7):
        checks.holds(post(whole[:length]).status in (200, 400, 403, 404), whole[:length])


def test_a_body_beyond_the_limit_is_413():
    answer = post(b"a=" + b"x" * (17 << 20))
    errors(answer, 413)


def test_a_large_photo_is_taken():
    body, kind = multipart(form(), [("media", "large.png", "image/png", png() + b"\r\n--x" * (3 << 20))])
    checks.holds(len(body) > 15_000_000, "not large")
    (photo,) = event_of(filed(body, headers=[kind]))["attachments"]
    checks.equal((photo["content_type"], photo["size"]), ("image/png", len(png()) + 5 * (3 << 20)))


def test_a_photo_that_is_none_is_kept_and_not_called_one():
    body, kind = multipart(form(), [("media", "../../photo.jpg", "image/jpeg", b"<script>alert(1)</script>"), ("media", "", "application/octet-stream", b"")])
    event = event_of(filed(body, headers=[kind]))
    (file,) = event["attachments"]
    checks.equal(file["name"], "photo.jpg")
    checks.holds("content_type" not in file, file)
    checks.contains(event["flags"], "not_a_picture")


def test_odd_ids_and_words_stay_exact():
    odd = "9007199254740993"
    reference = filed(form(address_id=odd, description="<b>&amp;\u2028\u202e\U0001f600]]>", title="'); DROP TABLE cases;--"))
    event = event_of(reference)
    checks.equal(event["fields"], {"address_id": odd, "title": "'); DROP TABLE cases;--"})
    checks.equal(reader().get_service_request(reference)["description"], "<b>&amp;\u2028\u202e\U0001f600]]>")
    checks.equal(reader(output_format="xml").get_service_request(reference)["description"], "<b>&amp;\u2028\u202e\U0001f600]]>")


# ---------------------------------------------------------------- lists


def test_pages_cover_the_list_once_and_name_the_next_one():
    mine = [filed() for _ in range(5)]
    whole = [request["service_request_id"] for request in get("/requests.json").json]
    checks.equal(whole[:5], mine[::-1], "newest first")
    seen, target, pages = [], "/requests.json?page_size=3&status=open,closed", 0
    while target and pages < 400:
        answer = get(target)
        checks.equal(answer.status, 200, answer.text)
        checks.holds(len(answer.json) <= 3, "more than a page")
        seen += [request["service_request_id"] for request in answer.json]
        link = re.fullmatch(r'<(.*)>; rel="next"', answer.header("link") or "")
        checks.holds(link is None or link.group(1).startswith(PUBLIC_URL), answer.header("link"))
        target = link.group(1)[len(PUBLIC_URL):] if link else None
        pages += 1
    checks.equal(seen, whole)
    checks.equal(get("/requests.json?page=1000&page_size=1").json, [])
    for query in ("page=0", "page=-1", "page=x", "page_size=0", "page_size=1001", "page=99999999999", "page=21&page_size=50", "status=lost"):
        errors(get(f"/requests.json?{query}"), 400)


def test_dates_select_and_wrong_ones_are_errors():
    reference = filed()
    opened = reader().get_service_request(reference)["requested_datetime"]
    checks.holds(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", opened), opened)
    at = datetime.datetime.strptime(opened, "%Y-%m-%dT%H:%M:%SZ")

    def listed(**query):
        answer = get("/requests.json?" + urllib.parse.urlencode(query))
        checks.equal(answer.status, 200, f"{query}: {answer.text}")
        return reference in [request["service_request_id"] for request in answer.json]

    def moved(**by):
        return (at + datetime.timedelta(**by)).strftime("%Y-%m-%dT%H:%M:%SZ")

    checks.holds(listed(), "not in the last 90 days")
    checks.holds(listed(start_date=opened, end_date=opened), "its own second is not between itself and itself")
    checks.holds(listed(start_date=opened) and listed(end_date=opened), "one end open")
    checks.holds(not listed(start_date=moved(seconds=1)) and not listed(end_date=moved(seconds=-1)), "found outside")
    checks.holds(listed(start_date=(at + datetime.timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S+02:00")), "an offset counts")
    checks.holds(listed(start_date=at.strftime("%Y-%m-%d")), "a date alone is midnight UTC")
    checks.holds(listed(updated_after=opened) and not listed(updated_before=moved(days=-1)), "by change")
    checks.holds(listed(start_date=moved(days=-90), end_date=opened), "90 days")
    for query in ({"start_date": moved(days=-91), "end_date": opened}, {"start_date": opened, "end_date": moved(days=-1)}, {"start_date": "yesterday"},
                  {"end_date": "2026-02-30T00:00:00Z"}, {"start_date": "2026-11-21T10:00:00"}, {"updated_after": "x"}):
        errors(get("/requests.json?" + urllib.parse.urlencode(query)), 400)
    for query in ({"start_date": "x"}, {"start_date": opened, "end_date": moved(days=-1)}):
        errors(get("/servicerequestupdates.json?" + urllib.parse.urlencode(query)), 400)
    staff_set(reference, "pending")
    early = get("/servicerequestupdates.json?" + urllib.parse.urlencode({"start_date": moved(days=-2), "end_date": moved(days=-1)}))
    checks.equal(early.json, [])
    (update,) = get(f"/servicerequestupdates.json?service_request_id={reference}").json
    checks.equal((update["service_request_id"], update["status"]), (reference, "open"))


def test_a_list_too_long_for_one_answer_says_where_it_goes_on():
    long = "&" * 3900
    mine = {filed(form(description=f"{number}{long}", service_code="bulky", **{"attribute[kind]": "bed"})) for number in range(60)}
    seen, target = [], "/requests.xml?service_code=bulky"
    for _ in range(20):
        answer = get(target)
        checks.equal(answer.status, 200, answer.text)
        document = xml.dom.minidom.parseString(answer.body)
        seen += [one(request, "service_request_id") for request in document.getElementsByTagName("request")]
        link = re.fullmatch(r'<(.*)>; rel="next"', answer.header("link") or "")
        if not link:
            break
        target = link.group(1)[len(PUBLIC_URL):]
    checks.equal(len(seen), len(set(seen)))
    checks.holds(mine <= set(seen), f"{len(mine - set(seen))} of 60 are left out")
    errors(get("/requests.xml?service_code=bulky&page_size=1000"), 400, json_wanted=False)


def test_every_answer_is_the_format_asked_for():
    reference = filed()
    roots = {"services": "services", "services/bulky": "service_definition", "discovery": "discovery", "requests": "service_requests",
             f"requests/{reference}": "service_requests", f"tokens/{reference}": "service_requests", "servicerequestupdates": "service_request_updates"}
    for target, root in roots.items():
        answer = get(f"/{target}.xml", [("accept", "application/json")])
        checks.equal((answer.status, answer.header("content-type")), (200, "text/xml; charset=utf-8"), target)
        checks.holds(answer.text.startswith('<?xml version="1.0" encoding="UTF-8"?>'), answer.text[:60])
        checks.equal(xml.dom.minidom.parseString(answer.body).documentElement.tagName, root)
        answer = get(f"/{target}.json")
        checks.equal((answer.status, answer.header("content-type")), (200, "application/json; charset=utf-8"), target)
        checks.holds(isinstance(answer.json, dict if root in ("service_definition", "discovery") else list), target)
        checks.equal(answer.header("access-control-allow-origin"), "*")


if __name__ == "__main__":
    checks.main(globals(), limit=180)

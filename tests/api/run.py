"""The JSON API: as its OpenAPI document says, page by page, and each tenant to itself."""

import datetime
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, peers, server, twilio  # noqa: E402

peers.inside_python()

RUNNING = {}
CALLS = 23


def running():
    if "server" not in RUNNING:
        RUNNING["server"] = one = server.Server().with_profile()
        account = one.twilio()
        # One after another: of two at the same moment, neither is older.
        answers = [account.send("/voice", twilio.call(twilio.sid(number))) for number in range(1, CALLS + 1)]
        checks.equal({answer.status for answer in answers}, {200})
    return RUNNING["server"]


def finish():
    if "server" in RUNNING:
        RUNNING["server"].kill()
    server.clean()


def openapi():
    answer = running().api("/api/openapi.json", token=None)
    checks.equal(answer.status, 200, answer.text)
    return answer.json


def test_the_openapi_document_is_served_to_anybody_and_is_3_1():
    document = openapi()
    checks.holds(document["openapi"].startswith("3.1"), document["openapi"])
    checks.holds({"/api/{tenant}/cases", "/api/{tenant}/events", "/api/{tenant}/envelopes", "/healthz", "/readyz"} <= set(document["paths"]), sorted(document["paths"]))


def resolve(document, schema):
    while isinstance(schema, dict) and "$ref" in schema:
        found = document
        for name in schema["$ref"].lstrip("#/").split("/"):
            found = found[name.replace("~1", "/").replace("~0", "~")]
        schema = found
    return schema


def conforms(document, schema, value, path="answer"):
    """As much of JSON Schema as the document uses; an unknown keyword is a failure, so that nothing is passed over."""
    schema = resolve(document, schema)
    known = {"type", "properties", "required", "items", "enum", "const", "format", "description", "pattern", "minimum", "maximum", "examples", "example",
             "title", "additionalProperties", "oneOf", "anyOf", "allOf", "default", "minLength", "maxLength", "minItems", "maxItems", "$comment",
             "contentMediaType", "contentEncoding", "writeOnly", "readOnly", "deprecated", "propertyNames", "uniqueItems", "unevaluatedProperties"}
    checks.holds(set(schema) <= known, f"{path}: the check does not know {set(schema) - known}")
    for part in schema.get("allOf", []):
        conforms(document, part, value, path)
    for word in ("oneOf", "anyOf"):
        if word in schema:
            good = 0
            for part in schema[word]:
                try:
                    conforms(document, part, value, path)
                    good += 1
                except checks.Failure:
                    pass
            checks.holds(good == 1 if word == "oneOf" else good, f"{path}: {good} of {word} fit {value!r}")
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float), "null": type(None)}
    if "type" in schema:
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        fits = any(isinstance(value, kinds[name]) and not (isinstance(value, bool) and name in ("integer", "number")) for name in names)
        checks.holds(fits, f"{path}: {value!r} is no {names}")
    if "enum" in schema:
        checks.holds(value in schema["enum"], f"{path}: {value!r} is none of {schema['enum']}")
    if isinstance(value, dict):
        for name in schema.get("required", []):
            checks.holds(name in value, f"{path}: {name} is missing")
        properties = schema.get("properties", {})
        for name, member in value.items():
            if name in properties:
                conforms(document, properties[name], member, f"{path}.{name}")
            elif schema.get("additionalProperties") is False or (properties and "allOf" not in schema and "additionalProperties" not in schema and "oneOf" not in schema):
                raise checks.Failure(f"{path}: {name} is not in the document")
            elif isinstance(schema.get("additionalProperties"), dict):
                conforms(document, schema["additionalProperties"], member, f"{path}.{name}")
    if isinstance(value, list) and "items" in schema:
        for index, element in enumerate(value):
            conforms(document, schema["items"], element, f"{path}[{index}]")


def test_every_get_answers_as_the_document_says():
    document = openapi()
    reference = running().cases()[0]["reference"]
    envelope = running().all("/api/madrid/envelopes", "envelopes")[0]["id"]
    tried = 0
    for template, methods in document["paths"].items():
        if "get" not in methods:
            continue
        target = template.replace("{tenant}", "madrid").replace("{reference}", reference).replace("{envelope}", envelope)
        checks.holds("{" not in target, f"the test does not know how to fill {target}")
        answer = running().api(target)
        checks.equal(answer.status, 200, f"{target}: {answer.text}")
        response = resolve(document, methods["get"]["responses"]["200"])
        (kind, media), = response["content"].items()
        checks.equal((answer.header("content-type") or "").split(";")[0], kind, target)
        if kind == "application/json" and template != "/api/openapi.json":
            conforms(document, media["schema"], answer.json, target)
        tried += 1
    checks.holds(tried >= 8, f"only {tried} tried")


def test_paths_and_methods_beyond_the_document_are_refused():
    checks.equal(running().api("/api/madrid/nothing").status, 404)
    answer = running().api("/api/madrid/cases", "DELETE")
    checks.equal(answer.status, 405, answer.text)
    checks.holds(answer.header("allow"), "Allow is missing")
    answer = running().api("/api/madrid/cases?colour=red")
    checks.equal(answer.status, 400, answer.text)
    checks.contains(answer.text, "colour")


def test_pages_give_every_element_once_and_in_order():
    for target, member, key in (("events", "events", "id"), ("cases", "cases", "reference"), ("envelopes", "envelopes", "id")):
        whole = [element[key] for element in running().all(f"/api/madrid/{target}", member)]
        checks.equal(len(whole), CALLS, target)
        checks.equal(len(set(whole)), CALLS, target)
        for limit in (1, 7, CALLS):
            paged = [element[key] for element in running().all(f"/api/madrid/{target}", member, limit=limit)]
            checks.equal(paged, whole, f"{target} by {limit}")
    # As times, not as texts: a whole second has no fraction.
    times = [datetime.datetime.fromisoformat(event["received_at"].replace("Z", "+00:00")) for event in running().events()]
    checks.equal(times, sorted(times), "events are oldest first")


def test_a_cursor_or_limit_that_is_none_is_400():
    for query in ("limit=0", "limit=-1", "limit=501", "limit=x", "limit=99999999999999999999", "after=nonsense", "after=%00", "status=lost"):
        answer = running().api(f"/api/madrid/cases?{query}")
        checks.equal(answer.status, 400, f"{query}: {answer}")
        checks.equal(answer.header("content-type"), "application/problem+json")


def test_without_a_token_nothing_is_told():
    for token in (None, "", "wrong", server.API_TOKEN + "x", server.API_TOKEN[:-1], server.OTHER_TOKEN):
        for target in ("/api/madrid/cases", "/api/madrid/events", "/api/madrid/envelopes", "/api/madrid/profile", "/api/madrid/ledger"):
            answer = running().api(target, token=token)
            checks.holds(answer.status in (401, 403), f"{token!r} {target}: {answer}")
            checks.contains(answer.header("content-type"), "problem+json")
            checks.holds(server.API_TOKEN not in answer.text, "a token is shown")


def test_one_tenant_does_not_see_another():
    reference = running().cases()[0]["reference"]
    envelope = running().all("/api/madrid/envelopes", "envelopes")[0]["id"]
    checks.equal(running().events("sevilla", server.OTHER_TOKEN), [])
    checks.equal(running().cases("sevilla", server.OTHER_TOKEN), [])
    for target in (f"/api/sevilla/cases/{reference}", f"/api/sevilla/envelopes/{envelope}"):
        checks.equal(running().api(target, token=server.OTHER_TOKEN).status, 404, target)
    answer = running().api(f"/api/sevilla/cases/{reference}", "PATCH", {"status": "closed"}, token=server.OTHER_TOKEN)
    checks.equal(answer.status, 404, answer.text)
    answer = running().api("/telephony/twilio/madrid/-/describe", token=server.OTHER_TOKEN)
    checks.equal(answer.status, 401, answer.text)


def test_a_case_is_changed_noted_and_its_history_kept():
    reference = running().cases()[-1]["reference"]
    answer = running().api(f"/api/madrid/cases/{reference}", "PATCH", {"status": "open", "department": "waste"})
    checks.equal(answer.status, 200, answer.text)
    answer = running().api(f"/api/madrid/cases/{reference}/notes", "POST", {"text": "Llamado: <b>no</b> contesta"})
    checks.holds(answer.status in (200, 201), answer)
    case = running().case(reference)
    checks.equal((case["status"], case["department"]), ("open", "waste"))
    checks.contains(str(case), "Llamado: <b>no</b> contesta")
    found = [case["reference"] for case in running().all("/api/madrid/cases?status=open", "cases")]
    checks.equal(found, [reference])


def test_bodies_that_are_no_json_or_not_asked_for_are_400():
    reference = running().cases()[0]["reference"]
    for body in (b"", b"{", b"[]", b'{"status": "lost"}', b'{"colour": "red"}', b'{"status": 1}', b"\xff", b"[" * 100_000):
        answer = running().api(f"/api/madrid/cases/{reference}", "PATCH", body)
        checks.holds(400 <= answer.status < 500, f"{body[:30]!r}: {answer}")


def test_the_ledger_counts_what_was_stored_and_metrics_agree():
    ledger = running().api("/api/madrid/ledger").json
    checks.contains(str(ledger), "telephony/twilio", str(CALLS))
    metrics = running().api("/metrics", token=None).text
    checks.holds("600111222" not in metrics and server.API_TOKEN not in metrics, "personal data in metrics")


def made(*words):
    """What `ventanilla token` makes: the token, and what the server is to know of it."""
    said = subprocess.run([server.BINARY, "token", "--json", *words], capture_output=True, text=True, timeout=20, check=True)
    answer = json.loads(said.stdout)
    checks.holds(answer["token"] not in json.dumps(answer["entry"]), "the entry has the token in it")
    return answer["token"], answer["entry"]


def test_a_token_is_good_for_its_scopes_its_tenant_and_its_time():
    reader, read = made("--name", "crm", "--scope", "read", "--days", "30")
    desk, work = made("--scope", "read", "--scope", "write")
    everything, all_scopes = made()
    gone, over = made("--days", "1")
    over["expires"] = "2026-11-21T00:00:00Z"
    tokens = {"madrid": [read, work, all_scopes, over], "sevilla": [server.OTHER_TOKEN]}
    one = server.Server(env=server.environment(tokens=tokens)).with_profile(token=everything)
    answer = one.twilio().send("/voice", twilio.call(twilio.sid(900)))
    checks.equal(answer.status, 200, answer.text)
    reference = one.api("/api/madrid/cases", token=reader).json["cases"][0]["reference"]
    notes, describe = f"/api/madrid/cases/{reference}/notes", "/telephony/twilio/madrid/-/describe"
    for target, method, body, token, status in (
        ("/api/madrid/cases", "GET", None, desk, 200),
        (notes, "POST", {"text": "visto"}, reader, 403),
        (notes, "POST", {"text": "visto"}, desk, 201),
        ("/api/madrid/profile", "PUT", server.PROFILE, desk, 403),
        ("/api/madrid/profile", "PUT", server.PROFILE, everything, 200),
        (describe, "GET", None, desk, 403),
        (describe, "GET", None, everything, 200),
        ("/api/sevilla/cases", "GET", None, everything, 401),
        ("/api/madrid/cases", "GET", None, gone, 401),
        ("/api/madrid/cases", "GET", None, read["sha256"], 401),
    ):
        answer = one.api(target, method, body, token=token)
        same = answer.status == status or {answer.status, status} <= {200, 201, 204}
        checks.holds(same, f"{method} {target}: {answer.status}, not {status}: {answer.text}")
        if status == 403:
            checks.contains(answer.text, "scope")
            checks.contains(dict(answer.headers).get("www-authenticate", ""), "insufficient_scope")
    checks.contains(one.api("/api/madrid/cases", token=gone).text, "expired")
    one.kill()


def test_a_mistyped_token_entry_is_named_and_never_shown():
    token, entry = made("--scope", "read")
    entry["scope"] = entry.pop("scopes")
    server.only_our_own("looks at how our own program does not start")
    try:
        server.Server(env=server.environment(tokens={"madrid": [token, entry]})).kill()
    except checks.Failure as refused:
        said = str(refused)
    else:
        raise checks.Failure("the server starts with an entry that opens nothing")
    checks.contains(said, "entry 2", "did you mean", "scopes")
    checks.holds(entry["sha256"] not in said and token not in said, said)


def test_what_is_logged_is_about_nobody():
    errors = running().errors()
    for private in ("600111222", server.API_TOKEN, twilio.TOKEN, twilio.sid(1)):
        checks.holds(private not in errors, f"{private} is in the log")


if __name__ == "__main__":
    checks.main(globals(), limit=60)

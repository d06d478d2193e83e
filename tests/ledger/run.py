"""The ledger: what was sent is what was received, stored and answered, also after kill -9 under load; and whoever changes what was stored is named.

The chain is made a second time here, in another language, from what docs/ledger.md says. Tampering is done to the SQLite file itself, as
somebody with a shell would do it."""

import datetime
import hashlib
import json
import os
import random
import shutil
import sqlite3
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, http, peers, profile, server, spin, twilio  # noqa: E402

peers.inside_python()

SEED = int(os.environ.get("VENTANILLA_SEED", str(random.SystemRandom().randrange(1 << 32))))
COUNTS = ("received", "stored", "accepted", "quarantined", "pending", "repeated", "answered", "events", "duplicates")
COURIER = "fake-courier-token-of-tests"
SEALED = {}


def finish():
    if "server" in SEALED:
        SEALED["server"].kill()
    server.clean()


def ledger(one, *arguments, tenant="madrid", token=server.API_TOKEN):
    """`ventanilla ledger`: exit status, output and errors."""
    environment = server.environment(VENTANILLA_URL=one.url, VENTANILLA_TENANT=tenant, VENTANILLA_TOKEN=token, VENTANILLA_DATA=one.data)
    return server.command("ledger", *arguments, env=environment)


def document(one, *arguments, status=0):
    """What it says as JSON."""
    found, output, errors = ledger(one, "--json", *arguments)
    checks.equal(found, status, f"{output}{errors}")
    return json.loads(output)


def adds_up(said):
    """The equations of docs/ledger.md."""
    for line in [*said["periods"], said["sum"]]:
        checks.equal(line["received"], line["stored"] + line["repeated"], str(line))
        checks.equal(line["stored"], line["accepted"] + line["quarantined"] + line["pending"], str(line))
        checks.equal(line["answered"], line["received"] - line["pending"], str(line))
    for name in COUNTS:
        checks.equal(sum(line[name] for line in said["periods"]), said["sum"][name], name)
    checks.equal(said["stored"], said["sealed"] + said["waiting"], "stored, sealed and waiting")
    checks.equal(said["counted"], said["head"]["number"] + said["unsealed"], "counted, sealed and waiting in all")
    checks.equal(said["adds_up"], True)


def digest(envelope, tenant="madrid"):
    """docs/ledger.md, from `GET /api/{tenant}/envelopes/{id}`."""
    import base64
    from datetime import datetime, timezone

    def value(member, name):
        return base64.b64decode(member[name + "_base64"]) if name + "_base64" in member else member[name].encode()

    received = datetime.fromisoformat(envelope["received_at"].replace("Z", "+00:00")) - datetime(1970, 1, 1, tzinfo=timezone.utc)
    millis = received.days * 86_400_000 + received.seconds * 1000 + received.microseconds // 1000
    parts = ["ventanilla-envelope-1", envelope["id"], tenant, envelope["connector"], envelope["method"], envelope["target"], str(millis),
             envelope["verified_by"], str(len(envelope["headers"]))]
    parts = [part.encode() for part in parts]
    for header in envelope["headers"]:
        parts += [header["name"].encode(), value(header, "value")]
    parts.append(value(envelope, "body"))
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()


# ---------------------------------------------------------------- the numbers


def test_every_delivery_is_counted_once_by_what_became_of_it():
    with server.Server() as one:
        account = one.twilio()
        one.with_profile()
        said = document(one)
        adds_up(said)
        checks.equal((said["stored"], said["periods"]), (0, []), "an empty ledger")
        for number in range(1, 6):
            checks.equal(account.send("/voice", twilio.call(twilio.sid(number))).status, 200)
        for _ in range(3):
            checks.equal(account.send("/voice", twilio.call(twilio.sid(1))).status, 200, "a redelivery is a success")
        forged = twilio.Account(one.url, token="not-the-token").send("/voice", twilio.call(twilio.sid(9)))
        checks.holds(forged.status in (401, 403), str(forged))
        said = document(one)
        adds_up(said)
        line, = said["periods"]
        wanted = {"connector": "telephony/twilio", "received": 8, "accepted": 8, "answered": 8, "events": 5, "duplicates": 3, "repeated": 0,
                  "pending": 0, "quarantined": 0}
        checks.equal({name: line[name] for name in wanted}, wanted)
        checks.equal(said["time_zone"], server.PROFILE["time_zone"])
        checks.equal(said.get("spooled"), 0, "nothing waits for the store")
        # A period is a part of it, and the parts are the whole.
        for by in ("day", "hour"):
            parts = document(one, "--by", by)
            adds_up(parts)
            checks.equal(parts["sum"]["received"], 8, by)
            if by == "day":
                checks.holds(all(line["local_from"].endswith("T00:00") for line in parts["periods"]), "days are the tenant's")
        checks.equal(document(one, "--to", "2020-01-01")["periods"], [])
        checks.equal(document(one, "--connector", "email/mime")["sum"]["received"], 0)
        # Nobody sees another tenant's.
        checks.equal(one.api("/api/sevilla/ledger").status, 401)
        checks.equal(one.api("/api/sevilla/ledger", token=server.OTHER_TOKEN).json["stored"], 0)
        status, output, errors = ledger(one)
        checks.equal(status, 0, errors)
        checks.contains(output, "RECEIVED", "telephony/twilio", "8 envelopes are stored", "it adds up", "head 8:")
        status, _, errors = ledger(one, "--connector", "telephony/twilo")
        checks.equal(status, 0)
        checks.contains(errors, "nothing ever came in by telephony/twilo")


def test_what_is_no_period_or_no_head_is_a_problem_that_names_it():
    with server.Server(env=server.environment(SPIN_VARIABLE_COURIER_TOKEN=COURIER)) as one:
        for target, field in [
            ("ledger?from=yesterday", "from"), ("ledger?to=2026-02-30", "to"), ("ledger?from=2026-11-22&to=2026-11-21", "to"),
            ("ledger?by=week", "by"), ("ledger?by=hour&from=2020-01-01", "by"), ("ledger?connector=twilio", "connector"),
            ("ledger/verify?after=x", "after"), ("ledger/verify?head=12", "head"), ("ledger/verify?limit=0", "limit"),
            ("envelopes?from=now", "from"),
        ]:
            answer = one.api(f"/api/madrid/{target}")
            checks.equal((answer.status, answer.json.get("field")), (400, field), target)
            checks.equal(answer.header("content-type"), "application/problem+json")
        checks.equal(one.send("POST", "/api/-/seal").status, 401)
        checks.equal(one.api("/api/-/seal", "POST").status, 401, "a tenant's token is not the courier's")
        one.twilio().send("/voice", twilio.call(twilio.sid(1)))
        sealed = one.api("/api/-/seal", "POST", token=COURIER)
        checks.equal((sealed.status, sealed.json["more"]), (200, False), sealed.text)
        checks.equal(one.api("/api/madrid/ledger").json["sealed"], 1)
        status, _, errors = ledger(one, "--from", "yesterday")
        checks.equal(status, 1)
        checks.contains(errors, "from must be a date like", "correct the value named")


def test_what_was_acknowledged_is_received_and_sealed_after_kill_9_under_load():
    chance = random.Random(SEED)
    data = server.folder()
    sent, acknowledged = 0, 0
    for turn in range(3):
        one = server.Server(data=data, arguments=[] if spin.ON else ["--deliver-every", "50ms"])
        account = one.twilio()
        lock, over, counts = threading.Lock(), threading.Event(), {"sent": 0, "acknowledged": 0}

        def work(first):
            number = first
            while not over.is_set():
                number += 1
                request = account.request("/voice", twilio.call(twilio.sid(number)))
                with lock:
                    counts["sent"] += 1
                try:
                    answer = http.send(one.url, *request, timeout=10)
                except (OSError, http.http.client.HTTPException):
                    continue
                with lock:
                    counts["acknowledged"] += answer.status == 200

        threads = [threading.Thread(target=work, args=(turn * 10**9 + n * 10**7,), daemon=True) for n in range(8)]
        for thread in threads:
            thread.start()
        checks.eventually(lambda: counts["acknowledged"] > 20, 30, "calls are acknowledged")
        time.sleep(chance.uniform(0.05, 0.8))
        one.signal(9)
        over.set()
        for thread in threads:
            thread.join(15)
        one.kill()
        sent, acknowledged = sent + counts["sent"], acknowledged + counts["acknowledged"]
    with server.Server(data=data) as one:
        said = document(one, "--verify")
        adds_up(said)
        print(f"        {sent} sent, {said['sum']['received']} received, {acknowledged} acknowledged, seed {SEED}", flush=True)
        checks.holds(acknowledged <= said["sum"]["answered"] <= sent, f"{acknowledged} acknowledged, {said['sum']}, {sent} sent")
        checks.equal(said["verified"], {"examined": said["stored"], "erased": 0, "findings": []})
        checks.equal(said["waiting"], 0, "everything is sealed when it is looked at")
        checks.equal(said["sum"]["events"], len(one.events()), "events")


# ---------------------------------------------------------------- the chain


def sealed():
    """A server's data with twelve sealed calls, and the head that somebody kept: the server has ended."""
    server.only_our_own("changes the file of our own program")
    if "data" not in SEALED:
        data = server.folder()
        with server.Server(data=data) as one:
            account = one.twilio()
            for number in range(1, 13):
                checks.equal(account.send("/voice", twilio.call(twilio.sid(number))).status, 200)
            said = document(one, "--verify")
            SEALED.update(data=data, head=f"{said['head']['number']}:{said['head']['link']}")
            SEALED["ids"] = [envelope["id"] for envelope in reversed(one.all("/api/madrid/envelopes", "envelopes"))]
            checks.equal(one.stop(), 0)
    return SEALED["data"]


def test_the_chain_can_be_made_again_from_what_is_documented():
    data = server.folder()
    with server.Server(data=data) as one:
        for number in range(1, 8):
            one.twilio().send("/voice", twilio.call(twilio.sid(number), CallerName="Ñandú 🦙"))
        said = document(one, "--verify")
        checks.equal(said["verified"], {"examined": 7, "erased": 0, "findings": []})
        link = bytes(32)
        for number, summary in enumerate(reversed(one.all("/api/madrid/envelopes", "envelopes")), 1):
            whole = one.api(f"/api/madrid/envelopes/{summary['id']}").json
            link = hashlib.sha256(link + digest(whole) + number.to_bytes(8, "big")).digest()
        checks.equal(said["head"], {"number": 7, "link": link.hex()})
        kept = f"7:{link.hex()}"
        one.twilio().send("/voice", twilio.call(twilio.sid(8)))
        checks.equal(document(one, "--head", kept)["verified"], {"head": "holds", "examined": 8, "erased": 0, "findings": []})
        wrong = f"7:{'0' * 64}"
        checks.equal(document(one, "--head", wrong, status=1)["verified"]["head"], "differs")
        checks.equal(document(one, "--head", f"9:{link.hex()}", status=1)["verified"]["head"], "gone")


def test_what_came_in_is_sealed_by_the_timer_without_anybody_looking():
    server.only_our_own("has a timer")
    data = server.folder()
    with server.Server(data=data, arguments=["--deliver-every", "100ms"]) as one:
        for number in range(1, 4):
            one.twilio().send("/voice", twilio.call(twilio.sid(number)))

        def seals():
            with sqlite3.connect(f"file:{database(data)}?mode=ro", uri=True) as there:
                return there.execute("SELECT count(*) FROM seals").fetchone()[0] == 3

        checks.eventually(seals, 30, "three seals")


def database(data):
    """The store's file."""
    profile.only_sqlite("looks into the store's file")
    found = [os.path.join(folder, name) for folder, _, names in os.walk(data) for name in names if name.endswith((".db", ".sqlite"))]
    for path in found:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as there:
            if there.execute("SELECT count(*) FROM sqlite_master WHERE name = 'envelopes'").fetchone()[0]:
                return path
    raise checks.Failure(f"no file of {found} has envelopes")


def tampered(*statements):
    """A server on a copy of the sealed data in which somebody has done this."""
    data = os.path.join(server.folder(), "data")
    shutil.copytree(sealed(), data, symlinks=True)
    there = sqlite3.connect(database(data))
    for statement in statements:
        changed = there.execute(statement, {name: value for name, value in zip(("a", "b"), (SEALED["ids"][3], SEALED["ids"][7])) if f":{name}" in statement})
        checks.holds(changed.rowcount != 0, f"nothing was changed by {statement}")
    there.commit()
    there.close()
    return server.Server(data=data)


def found(statements, findings, sentence, does_add_up):
    """What --verify says after tampering, to programs and to people."""
    with tampered(*statements) as one:
        said = document(one, "--verify", status=1)
        checks.equal([(finding["fault"], finding["number"]) for finding in said["verified"]["findings"]], findings)
        checks.equal(said["adds_up"], does_add_up, "whether it adds up without looking at any hash")
        status, output, errors = ledger(one, "--verify")
        checks.equal(status, 1)
        checks.contains(output, sentence)
        checks.contains(errors, "error: ", "hint: ", "docs/ledger.md")


def test_an_envelope_that_was_deleted_is_named():
    found(["DELETE FROM envelopes WHERE id = :a"], [("missing", 4)], f"number 4: envelope {sealed() and SEALED['ids'][3]} is gone", False)


def test_what_is_gone_is_missed_in_its_period_also_when_its_seal_is_gone_too():
    def moment(millis):
        return datetime.datetime.fromtimestamp(millis / 1000, datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    for statements in (["DELETE FROM envelopes WHERE id = :a"], ["DELETE FROM seals WHERE envelope = :a", "DELETE FROM envelopes WHERE id = :a"]):
        with tampered(*statements) as one:
            # An id begins with the time of receipt (RFC 9562, UUIDv7).
            first, fourth = (int(SEALED["ids"][number].replace("-", "")[:12], 16) for number in (0, 3))
            said = document(one, "--from", moment(fourth), "--to", moment(fourth + 1), status=1)
            checks.equal((said["sealed"] - said["stored"], said["adds_up"]), (1, False), statements)
            checks.equal(document(one, status=1)["adds_up"], False, "of all time")
            before = document(one, "--to", moment(first))
            checks.equal((before["stored"], before["sealed"], before["counted"], before["adds_up"]), (0, 0, 12, True), "of another time")


def test_a_changed_byte_of_a_body_is_named():
    statement = "UPDATE envelopes SET body = CAST(replace(CAST(body AS TEXT), '600111222', '600111223') AS BLOB) WHERE id = :a"
    found([statement], [("changed", 4)], "is not what was sealed", True)


def test_a_changed_header_time_or_connector_is_named():
    for change in ("headers = replace(headers, 'twilio', 'twilia')", "received_at = received_at + 1", "verified_by = 'nobody'"):
        found([f"UPDATE envelopes SET {change} WHERE id = :a"], [("changed", 4)], "number 4", True)


def test_two_envelopes_that_were_swapped_are_named():
    swap = ["UPDATE envelopes SET id = 'x' WHERE id = :a", "UPDATE envelopes SET id = :a WHERE id = :b", "UPDATE envelopes SET id = :b WHERE id = 'x'"]
    found(swap, [("changed", 4), ("changed", 8)], "number 8", True)


def test_an_end_that_was_cut_off_is_not_hidden_by_cutting_its_seals_too():
    cut = ["DELETE FROM envelopes WHERE id IN (SELECT envelope FROM seals WHERE n > 9)", "DELETE FROM seals WHERE n > 9"]
    # The counters know.
    with tampered(*cut) as one:
        said = document(one, "--verify", status=1)
        checks.equal((said["stored"], said["counted"], said["adds_up"], said["verified"]["findings"]), (9, 12, False, []))
    # Whoever changes them too is found by who has kept a head.
    with tampered(*cut, "UPDATE ledger SET envelopes = envelopes - 3") as one:
        said = document(one, "--verify")
        checks.equal(said["adds_up"], True, "only the head can know")
        said = document(one, "--head", SEALED["head"], status=1)
        checks.equal(said["verified"]["head"], "gone")
        status, output, errors = ledger(one, "--head", SEALED["head"])
        checks.equal(status, 1)
        checks.contains(errors, "the end was cut off")


def test_a_seal_that_was_deleted_and_a_forged_one_are_named():
    found(["DELETE FROM seals WHERE n = 5"], [("added", 4), ("gap", 5)], "number 5: its seal is gone", True)
    found(["UPDATE seals SET digest = replace(digest, substr(digest, 1, 4), 'ffff') WHERE n = 5"], [("broken", 5), ("changed", 5)], "does not follow", True)


def test_an_envelope_that_was_put_in_later_is_named():
    names = "tenant, id, connector, method, target, received_at, verified_by, disposition, events, body_bytes, headers, body"
    insert = [
        "UPDATE envelopes SET seq = seq + 100 WHERE seq > 6",
        "UPDATE seals SET place = place + 100 WHERE place > 6",
        f"INSERT INTO envelopes (seq, {names}) SELECT 50, {names.replace('id,', 'id || 1,', 1)} FROM envelopes WHERE id = :a",
    ]
    found(insert, [("added", 6)], "was put in later", False)


def test_a_chain_that_was_made_anew_is_found_by_the_head_that_was_kept():
    with tampered("UPDATE envelopes SET body = 'CallSid=x', digest = NULL WHERE id = :a", "DELETE FROM seals") as one:
        checks.equal(document(one, "--verify")["verified"]["findings"], [], "it looks whole")
        checks.equal(document(one, "--head", SEALED["head"], status=1)["verified"]["head"], "differs")


# ---------------------------------------------------------------- replay


def test_a_replay_of_a_whole_period_opens_no_case_and_gives_the_first_receipts():
    with server.Server() as one:
        account = one.twilio()
        for number in range(1, 11):
            account.send("/voice", twilio.call(twilio.sid(number)))
            account.send("/status", twilio.call(twilio.sid(number), CallStatus="no-answer", CallDuration="0"))
        events, cases, before = one.events(), one.cases(), document(one)
        environment = server.environment(VENTANILLA_URL=one.url, VENTANILLA_TENANT="madrid", VENTANILLA_TOKEN=server.API_TOKEN, VENTANILLA_DATA=one.data)
        day = events[0]["received_at"][:10]
        status, output, errors = server.command("replay", "--from", "2020-01-01", env=environment)
        checks.equal(status, 0, errors)
        checks.contains(output, "20 replayed: ", " 0 new; 0 new cases")
        status, output, errors = server.command("replay", "--from", day, "--json", env=environment)
        checks.equal(status, 0, errors)
        *lines, last = [json.loads(line) for line in output.splitlines()]
        checks.equal((len(lines), last["failed"], last["new_events"], last["new_cases"]), (20, 0, 0, 0))
        first = {event["idempotency_key"]: (event["id"], event["case"]["reference"]) for event in events}
        for line in lines:
            for event in line["answer"]["events"]:
                checks.equal((event["id"], event["case"]["reference"]), first[event["idempotency_key"]], "the first receipt")
        checks.equal(one.events(), events, "events")
        checks.equal([case["reference"] for case in one.cases()], [case["reference"] for case in cases], "cases")
        after = document(one, "--verify")
        adds_up(after)
        checks.equal(after["sum"], before["sum"], "a replay is no delivery")
        status, output, errors = server.command("replay", "--to", "2020-01-01", env=environment)
        checks.equal(status, 0, errors)
        checks.contains(errors, "no envelope was received then")


if __name__ == "__main__":
    checks.main(globals(), limit=300)

"""Privacy: what is erased is nowhere any more, neither in an answer nor in the database's files; the neighbour, the ledger and the audit stay.

With `--profile postgres` the same on PostgreSQL, where a dump takes the place of the files."""

import glob
import os
import sqlite3
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, http, peers, postgres, profile, server, twilio  # noqa: E402

peers.inside_python()

COURIER = "fake-courier-token-of-tests"
MAIL_TOKEN = "fake-mail-token"
# In everything that is personal in these tests, and nowhere else.
SECRET = "zarzaparrilla"
PHONE = "+34600987654"
OTHER_PHONE = "+34600123123"
ADDRESS = f"{SECRET}@example.org"


def finish():
    server.clean()


def start(data):
    mail = {name: {"public_url": f"https://city.example/email/mime/{name}", "token": MAIL_TOKEN, "addresses": ["info@city.example"]}
            for name in ("madrid", "sevilla")}
    import json
    env = server.environment(SPIN_VARIABLE_COURIER_TOKEN=COURIER, SPIN_VARIABLE_EMAIL_MIME=json.dumps(mail))
    return server.Server(data=data, env=env, arguments=["--deliver-every", "1h"])


def ventanilla(one, *arguments, tenant="madrid", token=server.API_TOKEN, status=0):
    env = server.environment(VENTANILLA_URL=one.url, VENTANILLA_TENANT=tenant, VENTANILLA_TOKEN=token, VENTANILLA_DATA=one.data)
    found, output, errors = server.command(*arguments, env=env)
    checks.equal(found, status, f"{arguments}: {output}{errors}")
    return output + errors


def letter(one, number, answers="", tenant="madrid"):
    """A letter with personal data in every part."""
    body = (f"From: Ana {SECRET} <{ADDRESS}>\r\nTo: info@city.example\r\nSubject: about {SECRET} {answers}\r\n"
            f"Message-ID: <{SECRET}-{number}@example.org>\r\nDate: Sat, 21 Nov 2026 10:58:12 +0100\r\n"
            f"Content-Type: text/plain; charset=utf-8\r\n\r\nI am {SECRET}, call me at {PHONE}.\r\n").encode()
    headers = [("authorization", f"Bearer {MAIL_TOKEN}"), ("content-type", "message/rfc822"), ("x-envelope-from", ADDRESS),
               ("x-envelope-to", "info@city.example")]
    answer = http.send(one.url, "POST", f"/email/mime/{tenant}", body, headers)
    checks.holds(answer.status < 300, f"{answer.status} {answer.text}")


def call(one, number, phone=PHONE):
    name = {"CallerName": SECRET} if phone == PHONE else {}
    pairs = twilio.call(twilio.sid(number), From=phone, Caller=phone, **name)
    checks.equal(one.twilio().send("/voice", pairs).status, 200)


def retain(one):
    """The timer's turn, until nothing is left."""
    for _ in range(100):
        answer = one.api("/api/-/retain", "POST", token=COURIER)
        checks.equal(answer.status, 200, answer.text)
        if not answer.json["more"]:
            return
    raise checks.Failure("retention does not come to an end")


def close(one, reference):
    checks.equal(one.api(f"/api/madrid/cases/{reference}", "PATCH", {"status": "closed"}).status, 200)


def answers(one, tenant="madrid", token=server.API_TOKEN):
    """Everything the API tells of a tenant, as text."""
    texts = []
    for case in one.all(f"/api/{tenant}/cases", "cases", token=token):
        texts.append(one.api(f"/api/{tenant}/cases/{case['reference']}", token=token).text)
    for envelope in one.all(f"/api/{tenant}/envelopes", "envelopes", token=token):
        texts.append(str(envelope) + one.api(f"/api/{tenant}/envelopes/{envelope['id']}", token=token).text)
    for path in ("events?limit=500", "cases?limit=500", "audit?limit=500"):
        texts.append(one.api(f"/api/{tenant}/{path}", token=token).text)
    return "\n".join(texts)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def database_files(data):
    return [os.path.join(folder, name) for folder, _, names in os.walk(data) for name in names if ".db" in name or ".sqlite" in name]


def stored(data):
    """What is on the disk: the files, or a dump of the database."""
    if profile.POSTGRES:
        database = profile._databases[data]
        program = os.path.join(postgres._programs(), "pg_dump")
        url = profile._server.url("owner", database)
        return subprocess.run([program, "--inserts", url], capture_output=True, check=True).stdout
    files = database_files(data)
    checks.holds(files, "a database")
    return b"".join(read(path) for path in files)


def nothing_left(data, *secrets):
    if not profile.POSTGRES:
        # SQLite leaves copies in unused parts of pages when it rearranges them (docs/privacy.md).
        for path in database_files(data):
            if path.endswith((".db", ".sqlite")):
                with sqlite3.connect(path) as database:
                    database.execute("VACUUM")
                database.close()
    there = stored(data)
    for secret in secrets:
        # bytea is hexadecimal in a dump.
        for form in (secret.encode(), secret.encode().hex().encode()):
            at = there.lower().find(form.lower())
            checks.holds(at < 0, f"{secret} is on the disk: {there[max(0, at - 80):at + 80]!r}")


def test_who_is_erased_is_in_no_answer_and_not_on_the_disk():
    data = server.folder()
    with start(data) as one:
        one.with_profile()
        letter(one, 1)
        letter(one, 1)
        letter(one, 2)
        call(one, 1)
        call(one, 2, OTHER_PHONE)
        letter(one, 3, tenant="sevilla")
        mailed = next(case for case in one.cases() if case["channel"] == "email")
        called = next(case for case in one.cases() if PHONE in str(case))
        one.api(f"/api/madrid/cases/{mailed['reference']}/notes", "POST", {"text": f"{SECRET} was here"})
        one.api(f"/api/madrid/cases/{mailed['reference']}/replies", "POST", {"text": f"Dear {SECRET}"})
        contacts = [one.case(case["reference"])["contact"]["id"] for case in (mailed, called)]
        joined = one.api(f"/api/madrid/contacts/{contacts[0]}/join", "POST", {"other": contacts[1]})
        checks.equal(joined.status, 200, joined.text)
        neighbour = answers(one, "sevilla", server.OTHER_TOKEN)
        checks.contains(neighbour, SECRET)

        ventanilla(one, "hold", called["reference"], "--reason", "court")
        refused = ventanilla(one, "erase", "--contact", ADDRESS, "--reason", "asked", status=1)
        checks.contains(refused, "on hold", called["reference"])
        ventanilla(one, "hold", called["reference"], "--release")
        dry = ventanilla(one, "erase", "--contact", ADDRESS, "--reason", "asked", "--dry-run")
        checks.contains(dry, "would erase", mailed["reference"], called["reference"])
        checks.contains(answers(one), SECRET)
        done = ventanilla(one, "erase", "--contact", f"email:{ADDRESS}", "--reason", "asked for it in writing")
        checks.contains(done, "erased", mailed["reference"], called["reference"], "audit entry")

        left = answers(one)
        for secret in (SECRET, PHONE[1:]):
            checks.holds(secret not in left, f"{secret} is told still")
        checks.holds(OTHER_PHONE in left, "somebody else is there")
        checks.equal(answers(one, "sevilla", server.OTHER_TOKEN), neighbour)
        envelope = next(entry for entry in one.all("/api/madrid/envelopes", "envelopes") if entry["connector"] == "email/mime")
        gone = one.api(f"/api/madrid/envelopes/{envelope['id']}")
        checks.equal((gone.status, gone.json["type"].rsplit("/", 1)[-1]), (410, "erased"))
        replay = one.send("POST", f"/email/mime/madrid/-/replay/{envelope['id']}", headers=[("authorization", f"Bearer {server.API_TOKEN}")])
        checks.equal(replay.status, 410, replay.text)
        whole = ventanilla(one, "ledger", "--verify")
        checks.contains(whole, "it adds up", "all as they were sealed", "4 of them were erased")
        trail = ventanilla(one, "audit")
        checks.contains(trail, "erase", "asked for it in writing", "hold", "release")

        # The same letter again is known; a new one, with the old case's number in it, is a new case.
        before = len(one.cases())
        letter(one, 2)
        checks.equal(len(one.cases()), before, "a redelivery is known")
        letter(one, 9, f"[{mailed['reference']}]")
        checks.equal(len(one.cases()), before + 1, "a new letter is a new case")
        checks.equal(len(one.case(mailed["reference"])["events"]), 1, "nothing joined what was erased")
        new = next(case for case in one.cases() if SECRET in str(case))
        ventanilla(one, "erase", "--case", new["reference"], "--reason", "again")
        # What came again was stored again as a request, and waits for the rule.
        ventanilla(one, "retention", "set", "envelopes=0")
        retain(one)
        ventanilla(one, "erase", "--contact", "+34999", "--reason", "nobody", status=1)
        removed = ventanilla(one, "tenant", "remove", "sevilla", "--confirm", "sevilla", "--reason", "over", tenant="sevilla", token=server.OTHER_TOKEN)
        checks.contains(removed, "last head", "removed sevilla")
    nothing_left(data, SECRET, PHONE[1:])
    checks.holds(OTHER_PHONE.encode() in stored(data), "somebody else's number is there")


def test_a_forged_erasure_is_found():
    profile.only_sqlite("changes the store's file")
    data = server.folder()
    with start(data) as one:
        for number in range(1, 5):
            call(one, number, f"+3460000000{number}")
        ventanilla(one, "ledger", "--verify")
        first, second = (case["reference"] for case in one.cases()[:2])
        ventanilla(one, "erase", "--case", first, "--reason", "asked")
        checks.contains(ventanilla(one, "ledger", "--verify"), "1 of them were erased")
    path = next(path for path in database_files(data) if b"envelopes_by_erasure" in read(path))
    for entry in ("'00000000-0000-7000-8000-000000000000'", "(SELECT id FROM audit WHERE action = 'erase')"):
        copy = server.folder()
        for file in glob.glob(f"{path}*"):
            there = os.path.join(copy, os.path.relpath(file, data))
            os.makedirs(os.path.dirname(there), exist_ok=True)
            with open(there, "wb") as target:
                target.write(read(file))
        with sqlite3.connect(os.path.join(copy, os.path.relpath(path, data))) as database:
            database.execute(f"UPDATE envelopes SET body = x'', headers = '[]', target = '', erased = {entry} WHERE erased IS NULL "
                             "AND seq = (SELECT min(seq) FROM envelopes WHERE erased IS NULL)")
        database.close()
        with start(copy) as one:
            found = ventanilla(one, "ledger", "--verify", status=1)
            checks.contains(found, "marked as erased", "FINDINGS")


def killed_during(one, request):
    """Asks, and kills the server meanwhile."""
    def ask():
        try:
            request()
        except (OSError, checks.Failure, ValueError):
            pass

    asking = threading.Thread(target=ask)
    asking.start()
    one.kill()
    asking.join()


def test_retention_and_removal_are_complete_after_kill_9():
    data = server.folder()
    one = start(data)
    try:
        one.with_profile()
        for number in range(1, 121):
            call(one, number, f"+3461111{number:04}")
        for case in one.cases():
            close(one, case["reference"])
        ventanilla(one, "retention", "set", "cases=0")
        killed_during(one, lambda: one.api("/api/-/retain", "POST", token=COURIER))
        one = start(data)
        retain(one)
        checks.holds("+3461111" not in answers(one), "retention took everybody")
        checks.contains(ventanilla(one, "ledger", "--verify"), "120 of them were erased", "it adds up")

        body = {"confirm": "madrid", "reason": "over"}
        checks.equal(one.api("/api/madrid/removal", "POST", {"confirm": "sevilla", "reason": "over"}).status, 400)
        checks.contains(ventanilla(one, "tenant", "remove", "madrid", "--reason", "over", status=1), "--confirm madrid")
        killed_during(one, lambda: one.api("/api/madrid/removal", "POST", body))
        one = start(data)
        ventanilla(one, "tenant", "remove", "madrid", "--confirm", "madrid", "--reason", "over")
        pairs = twilio.call(twilio.sid(999))
        # A gateway may know the profile for some seconds; nothing is stored meanwhile.
        checks.eventually(lambda: one.twilio().send("/voice", pairs).status == 404, 120, "nobody is served for it any more")
        said = one.api("/api/madrid/audit?limit=500").json["entries"]
        checks.equal([entry["action"] for entry in said[:2]], ["removed", "remove"])
        checks.contains(said[1]["reason"], "last head of the ledger: 120:")
        checks.equal(one.api("/api/madrid/cases").json["cases"], [])
        one.with_profile()
        call(one, 1000)
        checks.equal(len(one.cases()), 1, "a profile makes it a tenant again")
    finally:
        one.kill()


def test_nothing_is_erased_by_whoever_may_only_write():
    import hashlib
    limited = {"madrid": [server.API_TOKEN, {"sha256": hashlib.sha256(b"fake-desk-token").hexdigest(), "scopes": ["read", "write"], "name": "desk"}]}
    with server.Server(env=server.environment(tokens=limited)) as one:
        for method, path, body in [("POST", "erasures", {"handle": "x", "reason": "y"}), ("PUT", "retention", {"days": {}}),
                                   ("POST", "removal", {"confirm": "madrid", "reason": "y"}),
                                   ("PUT", "cases/482-109-3726/hold", {"reason": "y"})]:
            answer = one.api(f"/api/madrid/{path}", method, body, token="fake-desk-token")
            checks.equal(answer.status, 403, f"{path}: {answer.text}")
        checks.equal(one.api("/api/madrid/audit", token="fake-desk-token").status, 200)


if __name__ == "__main__":
    checks.main(globals(), limit=240)

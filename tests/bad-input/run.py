"""Bad input, named: each gives the right status and a message with a remedy, loses nothing, and the server still serves."""

import os
import socket
import sqlite3
import sys
import time
import urllib.parse
import xml.dom.minidom

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, disks, http, peers, profile, server, sites, twilio  # noqa: E402

peers.inside_python()

RUNNING = {}
VOICE = "/telephony/twilio/madrid/voice"
KIND = ("content-type", "application/x-www-form-urlencoded")


def running():
    if "server" not in RUNNING:
        RUNNING["server"] = server.Server().with_profile()
        RUNNING["number"] = 0
    return RUNNING["server"]


# What the store alone does when it fails; with a spool: tests/spool.
WITHOUT_SPOOL = server.environment(SPIN_VARIABLE_SPOOL="off")


def finish():
    if "server" in RUNNING:
        RUNNING["server"].kill()
    server.clean()


def fresh():
    running()
    RUNNING["number"] += 1
    return twilio.sid(RUNNING["number"])


def still_serves(other=None):
    """A good call is accepted and stored."""
    one = other or running()
    number = RUNNING["number"] = RUNNING.get("number", 0) + 1
    call = twilio.sid(number + 5_000_000)
    answer = one.twilio().send("/voice", twilio.call(call))
    checks.equal(answer.status, 200, f"a good call after the bad one: {answer}")
    checks.holds(any(event.get("call_id") == call for event in one.events()), "the good call is not stored")


def problem(answer, status, *pieces):
    """An RFC 9457 document with this status and these words."""
    checks.equal(answer.status, status, answer.text)
    checks.contains(answer.header("content-type") or "", "application/problem+json")
    document = answer.json
    checks.equal(document.get("status"), status)
    for member in ("type", "title", "detail"):
        checks.holds(document.get(member), f"{member} is missing: {document}")
    checks.contains(document["detail"], *pieces)


def stored_nothing(act):
    before = len(running().events())
    act()
    checks.equal(len(running().events()), before, "something was stored")
    still_serves()


# ---------------------------------------------------------------- where


def test_an_unknown_tenant_is_404_with_the_remedy():
    stored_nothing(lambda: problem(running().send("POST", "/telephony/twilio/atlantis/voice", b"a=b", [KIND]), 404, "settings"))


def test_an_unknown_connector_is_404():
    problem(running().send("POST", "/telephony/nobody/madrid/voice", b"a=b", [KIND]), 404, "/{channel}/{vendor}/{tenant}")


def test_an_unknown_route_is_404():
    for target in ("/", "/nothing", "/telephony", "/telephony/", "/api", "/%00", "/telephony/twilio"):
        answer = running().send("GET", target)
        checks.equal(answer.status, 404, f"{target}: {answer}")
    still_serves()


def test_a_path_that_is_no_tenant_is_404():
    for tenant in ("../madrid", "%2e%2e", "Madrid", "mad rid".replace(" ", "%20"), "a" * 5_000, "madrid%00", "-", ""):
        answer = running().send("POST", f"/telephony/twilio/{tenant}/voice", b"a=b", [KIND])
        checks.holds(answer.status in (400, 404, 414, 431), f"{tenant[:40]!r}: {answer}")
    still_serves()


# ---------------------------------------------------------------- who


def test_an_unsigned_request_is_refused_and_not_stored():
    def act():
        answer = running().send("POST", VOICE, twilio.form(twilio.call(fresh())), [KIND])
        checks.holds(answer.status in (401, 403), answer)

    stored_nothing(act)


def test_a_wrongly_signed_request_is_refused_and_not_stored():
    def act():
        answer = running().twilio(token="not-the-token").send("/voice", twilio.call(fresh()))
        checks.equal(answer.status, 403, answer.text)

    stored_nothing(act)


def test_an_answer_to_a_refused_request_tells_nothing():
    answer = running().twilio(token="not-the-token").send("/voice", twilio.call(fresh()))
    for secret in (twilio.TOKEN, server.API_TOKEN, "not-the-token", "600111222"):
        checks.holds(secret not in answer.text + str(answer.headers), "a secret or a number is shown")


# ---------------------------------------------------------------- what


def test_a_body_over_the_limit_is_413_and_not_stored():
    def act():
        answer = running().send("POST", VOICE, b"a=" + b"x" * 300_000, [KIND, ("x-twilio-signature", "A" * 27 + "=")])
        checks.equal(answer.status, 413, answer.text)

    stored_nothing(act)


def test_a_body_over_the_hosts_limit_is_413():
    # Announced, not sent: nobody should have to receive it to refuse it.
    head = f"POST {VOICE} HTTP/1.1\r\nhost: x\r\ncontent-type: {KIND[1]}\r\ncontent-length: 99999999999\r\n\r\n".encode()
    received = http.raw(running().url, head, shut=False)
    checks.contains(received.split(b"\r\n")[0].decode(), "413")
    still_serves()


def test_a_body_that_never_ends_is_cut_off():
    parts = urllib.parse.urlsplit(running().url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(f"POST {VOICE} HTTP/1.1\r\nhost: x\r\ncontent-type: {KIND[1]}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        chunk = b"10000\r\n" + b"a=b&" * 16384 + b"\r\n"
        sent, refused = 0, b""
        connection.settimeout(5)
        try:
            for _ in range(2_000):
                connection.sendall(chunk)
                sent += len(chunk)
        except (BrokenPipeError, ConnectionResetError, socket.timeout):
            pass
        try:
            refused = connection.recv(65536)
        except OSError:
            pass
    checks.holds(sent < 100_000_000, f"{sent} bytes were taken")
    if refused:
        checks.contains(refused.split(b"\r\n")[0].decode(), "413")
    still_serves()


def test_a_body_that_never_comes_delays_nobody():
    parts = urllib.parse.urlsplit(running().url)
    slow = []
    try:
        for _ in range(200):
            connection = socket.create_connection((parts.hostname, parts.port), timeout=5)
            connection.sendall(f"POST {VOICE} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nCall".encode())
            slow.append(connection)
        start = time.monotonic()
        still_serves()
        checks.holds(time.monotonic() - start < 3, "200 slow senders delayed a good call")
    finally:
        for connection in slow:
            connection.close()


def test_a_wrong_content_type_is_refused():
    for kind in ("text/plain", "application/json", "multipart/form-data; boundary=x", "application/xml", "nonsense", ""):
        method, target, body, headers = running().twilio().request("/voice", twilio.call(fresh()))
        headers = [("content-type", kind) if name == "content-type" else (name, value) for name, value in headers]
        before = len(running().events())
        answer = running().send(method, target, body, headers)
        checks.holds(400 <= answer.status < 500, f"{kind}: {answer}")
        checks.equal(len(running().events()), before, kind)
    still_serves()


def test_broken_form_encoding_is_no_fault_of_ours():
    for body in (b"%", b"%z", b"CallSid=%zz&From=%", b"&&&===&", b"=", b"a" * 60_000, b"a&" * 30_000, b"\xff\xfe=\x00", b"%00=%00", b"%c0%af=1"):
        for signed in (None, twilio.PythonSdk().sign(twilio.TOKEN, twilio.PUBLIC_URL + "/voice", dict(urllib.parse.parse_qsl(body.decode("latin-1"))))):
            headers = [KIND] + ([("x-twilio-signature", signed)] if signed else [])
            answer = running().send("POST", VOICE, body, headers)
            checks.holds(answer.status < 500, f"{body[:40]!r}: {answer}")
    still_serves()


def test_nul_and_control_characters_are_kept_and_shown():
    call = fresh()
    said = "a\x00b\x01\x1b[31m\x7f\u202e\ufffe\U0010ffff"
    answer = running().twilio().send("/status", twilio.call(call, CallStatus="no-answer", CallerName=said))
    checks.holds(200 <= answer.status < 300, answer)
    event = next(event for event in running().events() if event.get("call_id") == call)
    # PostgreSQL's text can't hold NUL, so no store does; the envelope has it.
    checks.equal(event["sender_name"], said.replace("\x00", "\ufffd"))
    still_serves()


def test_invalid_utf8_that_is_signed_is_not_forgotten():
    # Twilio signs decoded text, so what it would sign here is unknown: refused or stored, but never a fault, never both.
    call = fresh()
    body = twilio.form(twilio.call(call)) + b"&CallerName=%ff%fe"
    parameters = {**twilio.call(call), "CallerName": b"\xff\xfe".decode("utf-8", "replace")}
    tag = twilio.PythonSdk().sign(twilio.TOKEN, twilio.PUBLIC_URL + "/voice", parameters)
    answer = running().send("POST", VOICE, body, [KIND, ("x-twilio-signature", tag)])
    stored = [event for event in running().events() if event.get("call_id") == call]
    checks.holds((answer.status == 200) == (len(stored) == 1) and answer.status < 500, f"{answer}, stored {stored}")
    still_serves()


def test_headers_that_are_not_utf8_reach_the_refusal_and_no_fault():
    server.only_our_own("Spin answers such a request itself, with 500")
    head = b"POST " + VOICE.encode() + b" HTTP/1.1\r\nhost: x\r\nx-odd: \xff\xfe\r\nx-twilio-signature: \xff\r\ncontent-type: application/x-www-form-urlencoded\r\nconnection: close\r\ncontent-length: 3\r\n\r\na=b"
    status = http.raw(running().url, head, shut=False).split(b"\r\n")[0].decode()
    checks.holds(" 4" in status, status)
    still_serves()


def test_bytes_that_are_no_http_are_answered_or_dropped():
    for data in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"\x00" * 1000, b"GET / HTTP/9.9\r\n\r\n",
                 b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
                 b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
                 b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
                 b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x: y\r\n" * 20_000 + b"\r\n"):
        try:
            http.raw(running().url, data)
        except OSError:
            pass
    still_serves()


def test_a_sentence_of_50_kB_is_stored_whole_and_answered_with_well_formed_xml():
    call = fresh()
    account = running().twilio()
    first = account.send("/voice", twilio.call(call))
    document = xml.dom.minidom.parseString(first.body)
    action = document.getElementsByTagName("Gather")[0].getAttribute("action").split("/telephony/twilio/madrid", 1)[-1]
    said = ("Hay <ratas> & \"cucarachas\" ]]> en la calle ñ 😀. " * 1_100)[:50_000].strip()
    answer = account.send(action, twilio.call(call, CallStatus="in-progress", SpeechResult=said, Confidence="0.5"))
    checks.equal(answer.status, 200, answer.text[:300])
    xml.dom.minidom.parseString(answer.body)
    (event,) = [event for event in running().events() if event.get("call_id") == call and event["kind"] == "call.input"]
    checks.equal((len(event["text"]), event["text"] == said), (len(said), True), "length, and whether it is the same")
    still_serves()


def test_a_mistyped_case_reference_is_refused_and_not_mistaken():
    call = fresh()
    running().twilio().send("/voice", twilio.call(call))
    (event,) = [event for event in running().events() if event.get("call_id") == call]
    reference = event["case"]["reference"]
    digits = reference.replace("-", "")
    checks.equal(running().api(f"/api/madrid/cases/{digits}").status, 200, "without separators")
    wrong = [digits[:at] + str((int(digits[at]) + 1) % 10) + digits[at + 1:] for at in range(10)]
    wrong += [digits[:at] + digits[at + 1] + digits[at] + digits[at + 2:] for at in range(9) if digits[at] != digits[at + 1]]
    for mistyped in wrong:
        answer = running().api(f"/api/madrid/cases/{mistyped}")
        problem(answer, 400)
        checks.contains(answer.json["detail"].lower(), "check")
    for mistyped in ("", "abc", "1", digits + "0", "%00", "9" * 5_000):
        answer = running().api(f"/api/madrid/cases/{mistyped}")
        checks.holds(400 <= answer.status < 500, f"{mistyped[:20]!r}: {answer}")


# ---------------------------------------------------------------- configuration


def test_a_missing_setting_is_named_and_the_other_tenants_are_served():
    settings = {"madrid": server.SETTINGS["madrid"], "sevilla": {"public_url": server.SETTINGS["sevilla"]["public_url"]}}
    with server.Server(env=server.environment(settings)) as one:
        still_serves(one)
        answer = one.send("POST", "/telephony/twilio/sevilla/voice", b"a=b", [KIND])
        checks.holds(answer.status >= 500, answer)
        described = one.api("/telephony/twilio/sevilla/-/describe", token=server.OTHER_TOKEN)
        checks.contains(described.text, "auth_token")
        checks.holds(twilio.TOKEN not in described.text, "a secret is shown")


def test_a_misspelt_setting_is_named_with_what_was_meant():
    madrid = {"public_url": twilio.PUBLIC_URL, "auth_tokne": twilio.TOKEN}
    with server.Server(env=server.environment({"madrid": madrid})) as one:
        answer = one.twilio().send("/voice", twilio.call(twilio.sid(1)))
        checks.holds(answer.status >= 500, answer)
        described = one.api("/telephony/twilio/madrid/-/describe")
        checks.contains(described.text, "auth_tokne", "auth_token")
        checks.holds(twilio.TOKEN not in described.text + one.errors() + answer.text, "a secret is shown")


def test_settings_that_are_no_json_are_named_and_the_rest_serves():
    for text in ("{", "[]", "null", '{"madrid": 1}', twilio.TOKEN):
        with server.Server(env=server.environment(SPIN_VARIABLE_TELEPHONY_TWILIO=text)) as one:
            answer = one.twilio().send("/voice", twilio.call(twilio.sid(1)))
            checks.holds(answer.status >= 404, f"{text}: {answer}")
            checks.equal(one.send("GET", "/healthz").status, 200)
            checks.holds(twilio.TOKEN not in answer.text + one.errors(), "a secret is shown")


def test_a_manifest_with_a_missing_component_names_it_and_the_remedy():
    path = sites.site(lambda text: text.replace("target/components/telephony-twilio.wasm", "target/components/telephony-missing.wasm"))
    status, output, errors = server.command("up", "--listen", "127.0.0.1:0", "--data", server.folder(), cwd=path)
    checks.holds(status != 0, "it started")
    checks.contains(output + errors, "telephony-missing.wasm", "cargo xtask build")


def test_a_manifest_with_an_unknown_field_names_it():
    path = sites.site(lambda text: text.replace("allowed_outbound_hosts", "alowed_outbound_hosts", 1))
    status, output, errors = server.command("up", "--listen", "127.0.0.1:0", "--data", server.folder(), cwd=path)
    checks.holds(status != 0, "it started")
    checks.contains(output + errors, "alowed_outbound_hosts")


def test_a_connector_that_is_given_the_store_is_refused_by_name():
    # A connector that imports more than it inherits must not start, whatever the manifest's author thought.
    path = sites.site(lambda text: text.replace(
        '{ path = "target/components/telephony-twilio.wasm" }', '{ path = "target/components/api.wasm" }'))
    data = server.folder()
    # The other components need not be compiled for this.
    os.makedirs(server.CACHE, mode=0o700, exist_ok=True)
    os.symlink(server.CACHE, os.path.join(data, "cache"))
    status, output, errors = server.command("up", "--listen", "127.0.0.1:0", "--data", data, cwd=path)
    checks.holds(status != 0, "it started")
    checks.contains(output + errors, "api.wasm")


def test_no_manifest_is_a_message_and_no_trace():
    status, output, errors = server.command("up", "--listen", "127.0.0.1:0", "--data", server.folder(), cwd=server.folder())
    checks.holds(status != 0, "it started")
    checks.contains(output + errors, "spin.toml")
    checks.holds("panicked" not in errors, errors)


def test_a_port_in_use_is_named_with_a_remedy():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        status, output, errors = server.command("up", "--listen", address, "--data", server.folder())
    checks.holds(status != 0, "it started")
    checks.contains(output + errors, address, "--listen")
    checks.holds("panicked" not in errors, errors)


# ---------------------------------------------------------------- the database


def databases(data):
    profile.only_sqlite("about the store's file")
    found = []
    for path, _, names in os.walk(data):
        found += [os.path.join(path, name) for name in names if name.endswith((".db", ".sqlite", ".sqlite3"))]
    checks.holds(found, f"no database below {data}: {os.listdir(data)}")
    return found


def test_a_corrupt_database_file_is_named_and_nothing_is_acknowledged():
    data = server.folder()
    with server.Server(data=data, env=WITHOUT_SPOOL) as one:
        still_serves(one)
        one.stop()
    for database in databases(data):
        for tail in ("-wal", "-shm"):
            if os.path.exists(database + tail):
                os.remove(database + tail)
        with open(database, "r+b") as file:
            file.write(b"this is no database" * 400)
    one = server.Server(data=data, env=WITHOUT_SPOOL, ready=False)
    try:
        one._await_ready(60)
    except checks.Failure:
        errors = one.errors() + one.output.decode(errors="replace")
        checks.contains(errors.lower(), "database")
        checks.holds("panicked" not in errors, errors)
        return
    try:
        answer = one.twilio().send("/voice", twilio.call(twilio.sid(1)))
        checks.equal(answer.status, 503, answer.text)
        checks.holds(answer.header("retry-after"), "Retry-After is missing")
        checks.equal(one.send("GET", "/readyz").status, 503)
        checks.contains(one.errors().lower(), "not a database")
    finally:
        one.kill()


def test_a_locked_database_is_503_with_retry_after_and_served_again_afterwards():
    data = server.folder()
    with server.Server(data=data, env=WITHOUT_SPOOL) as one:
        still_serves(one)
        locks = []
        for database in databases(data):
            lock = sqlite3.connect(database, timeout=5, isolation_level=None)
            lock.execute("BEGIN IMMEDIATE")
            locks.append(lock)
        call = twilio.sid(77)
        request = one.twilio().request("/voice", twilio.call(call))
        start = time.monotonic()
        answer = http.send(one.url, *request, timeout=40)
        took = time.monotonic() - start
        checks.equal(answer.status, 503, answer.text)
        checks.holds(answer.header("retry-after"), "Retry-After is missing")
        # The caller hears silence meanwhile.
        checks.holds(took < 3, f"the answer took {took:.1f} s")
        for lock in locks:
            lock.execute("ROLLBACK")
            lock.close()
        answer = http.send(one.url, *request)
        checks.equal(answer.status, 200, answer.text)
        checks.equal(len([event for event in one.events() if event["call_id"] == call]), 1)


def test_a_full_disk_is_503_and_loses_nothing():
    profile.only_sqlite("about the disk of the store's file")
    server.only_our_own("how much room a disk has is asked by our own program; a component on Spin can't know")
    with disks.small("80m") as disk:
        one = None
        try:
            data = os.path.join(disk, "data")
            os.makedirs(data)
            one = server.Server(data=data, env=WITHOUT_SPOOL)
            checks.equal(one.send("GET", "/readyz").status, 200, "ready while there is room")
            acknowledged, refused = [], None
            # Leave some room, so that the database fills it and not the ballast.
            ballast = disks.fill(disk, leave=400_000)
            big = "x" * 20_000
            for number in range(1, 400):
                call = twilio.sid(number)
                answer = one.twilio().send("/status", twilio.call(call, CallStatus="no-answer", CallerName=big))
                if 200 <= answer.status < 300:
                    acknowledged.append(call)
                else:
                    refused = refused or (call, answer)
                    if number > 20 and refused:
                        break
            checks.holds(refused, "the disk never filled: the test is wrong")
            checks.equal(refused[1].status, 503, refused[1].text)
            checks.holds(refused[1].header("retry-after"), "Retry-After is missing")
            checks.equal(one.send("GET", "/healthz").status, 200, "alive")
            # To the last byte: what is left may be enough for a small write.
            disks.fill_up(disk)
            # The log may have room that was used before, so that a small delivery is taken; a large one would not be.
            ready = one.send("GET", "/readyz")
            checks.equal(ready.status, 503, ready.text)
            checks.contains(ready.text, "disk")
            small = one.twilio().send("/status", twilio.call(twilio.sid(5_000), CallStatus="no-answer"))
            if 200 <= small.status < 300:
                acknowledged.append(twilio.sid(5_000))
            else:
                checks.equal(small.status, 503, small.text)
            os.remove(ballast)
            checks.equal(one.send("GET", "/readyz").status, 200, "ready again once there is room")
            answer = one.twilio().send("/status", twilio.call(refused[0], CallStatus="no-answer", CallerName=big))
            checks.holds(200 <= answer.status < 300, f"after making room: {answer}")
            acknowledged.append(refused[0])

            def all_there(one):
                stored = [event["call_id"] for event in one.events() if event["kind"] == "call.missed"]
                checks.equal(sorted(set(acknowledged) - set(stored)), [], "lost")
                checks.equal(len(stored), len(set(stored)), "doubled")

            all_there(one)
            one.kill()
            one = server.Server(data=data, env=WITHOUT_SPOOL)
            all_there(one)
        finally:
            if one:
                one.kill()


def test_a_read_only_data_folder_is_named():
    path = os.path.join(server.folder(), "file")
    with open(path, "w") as file:
        file.write("not a folder")
    status, output, errors = server.command("up", "--listen", "127.0.0.1:0", "--data", os.path.join(path, "data"))
    checks.holds(status != 0, "it started")
    checks.contains(output + errors, path)
    checks.holds("panicked" not in errors, errors)


if __name__ == "__main__":
    checks.main(globals(), limit=200)

"""The two commands that show a first case, and what else the program says."""

import hashlib
import json
import os
import re
import socket
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, peers, server, twilio  # noqa: E402

peers.inside_python()


def finish():
    server.clean()


def test_call_then_cases_shows_the_call_against_the_demo_tenant():
    server.only_our_own("makes the demo tenant, which our own program does")
    data = server.folder()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SPIN_VARIABLE_")}
    with server.Server(data=data, env=environment) as one:
        checks.contains(str(one.said.get("tenants")), "demo")
        status, output, errors = server.command("call", "--help", env=environment)
        checks.equal(status, 0, errors)
        status, output, errors = server.command("call", "--press", "1", "--hang-up", "--url", one.url, "--data", data, env=environment)
        checks.equal(status, 0, f"{output}{errors}")
        spoken = re.findall(r"\d{3}-\d{3}-\d{4}", output)
        status, cases, errors = server.command("cases", "--url", one.url, "--data", data, env=environment)
        checks.equal(status, 0, f"{cases}{errors}")
        listed = re.findall(r"\d{3}-\d{3}-\d{4}", cases)
        checks.holds(listed, f"no case is listed: {cases}")
        if spoken:
            checks.holds(spoken[0] in listed, f"{spoken[0]} is not listed: {cases}")
        status, case, errors = server.command("case", listed[0], "--url", one.url, "--data", data, env=environment)
        checks.equal(status, 0, f"{case}{errors}")
        checks.contains(case, listed[0], "call.started")
        status, output, errors = server.command("cases", "--json", "--url", one.url, "--data", data, env=environment)
        checks.equal(status, 0, errors)
        checks.contains(json.dumps(json.loads(output.splitlines()[0] if output.count("\n") > 1 and output[0] == "{" else output)), listed[0])


def test_a_second_server_in_the_same_folder_is_refused_and_the_first_goes_on():
    server.only_our_own("looks at how our own program does not start")
    data = server.folder()
    with server.Server(data=data) as one:
        status, output, errors = server.command("up", "--listen", "127.0.0.1:0", "--data", data)
        checks.equal((status, output), (1, ""), errors)
        checks.contains(errors, "another `ventanilla up`", data, "--data")
        # The other commands find the first one still.
        checks.contains(server.command("doctor", "--data", data)[1], one.url)
    with server.Server(data=data) as again:
        checks.holds(again.url, "a folder is free once its server has ended")


def test_help_names_every_command_and_exits_0():
    status, output, errors = server.command("--help")
    checks.equal(status, 0, errors)
    checks.contains(output, "up", "cases", "call", "reply", "deliver", "replay", "config", "tenant")


def test_who_has_read_enough_of_the_output_sees_no_panic():
    # `ventanilla … | head -1`: the other end of the pipe is closed before anything is written.
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([server.BINARY, "channels", "--json"], cwd=server.ROOT, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    checks.equal((done.returncode, done.stderr), (141, ""))


def test_an_unknown_command_is_refused_with_help():
    status, output, errors = server.command("fly")
    checks.equal(status, 2)
    checks.contains(errors, "fly", "--help")


def test_a_server_that_is_not_there_is_named_with_a_remedy():
    status, output, errors = server.command("cases", "--url", "http://127.0.0.1:9")
    checks.holds(status not in (0, 101), f"status {status}")
    checks.contains(errors, "127.0.0.1:9")


def test_up_says_what_it_is_doing_and_its_ready_line_is_json():
    server.only_our_own("looks at the lines our own program prints")
    with server.Server() as one:
        for member in ("ready", "url", "tenants"):
            checks.holds(member in one.said, f"{member} is missing: {one.said}")
        checks.equal(one.stop(), 0, "exit status after SIGTERM")


# ---------------------------------------------------------------- config check


def madrid(one, *arguments, env=None, **options):
    """The program as the staff of madrid run it, beside a server."""
    environment = env or server.environment()
    environment.update(VENTANILLA_URL=one.url, VENTANILLA_TENANT="madrid", VENTANILLA_TOKEN=server.API_TOKEN, VENTANILLA_DATA=one.data)
    status, output, errors = server.command(*arguments, env=environment, **options)
    for secret in (twilio.TOKEN, "another-" + twilio.TOKEN, server.API_TOKEN):
        checks.holds(secret not in output + errors, "a secret is shown")
    checks.holds("panicked" not in errors, errors)
    return status, output, errors


def settings(**telephone):
    """Settings of madrid whose provider calls this very server, so that the self-test reaches it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    public = f"http://127.0.0.1:{port}{twilio.PATH}"
    return f"127.0.0.1:{port}", {"madrid": {"public_url": public, **telephone}}


def test_config_check_says_which_url_to_give_and_tries_it():
    listen, good = settings(auth_token=twilio.TOKEN)
    env = server.environment(good)
    with server.Server(env=env, listen=listen) as one:
        status, output, errors = madrid(one, "config", "check", env=env)
        checks.equal(status, 0, f"{output}{errors}")
        line = next(line for line in output.splitlines() if "telephony/twilio" in line)
        checks.contains(line, "ready")
        checks.contains(output, good["madrid"]["public_url"] + "/voice", "wrong signature: 403")
        # What is not set up is no fault, and the way to it is told.
        checks.contains(output, "not configured", "SPIN_VARIABLE_TELEPHONY_SIP")
        checks.equal(one.cases(), [], "the self-test opens no case")
        status, output, errors = madrid(one, "config", "check", "--json", env=env)
        checks.equal((status, json.loads(output)["faults"]), (0, 0), errors)


def test_config_check_names_a_misspelt_and_a_missing_key_with_the_remedy():
    listen, bad = settings(auth_tokne=twilio.TOKEN)
    env = server.environment(bad)
    with server.Server(env=env, listen=listen) as one:
        status, output, errors = madrid(one, "config", "check", env=env)
        checks.holds(status not in (0, 101), f"{status}: {output}")
        checks.contains(output, "auth_tokne", "did you mean auth_token?", "auth_token is missing", "SPIN_VARIABLE_TELEPHONY_TWILIO")
        checks.contains(errors, "fault")
        status, output, errors = madrid(one, "config", "check", "--json", env=env)
        checks.holds(status != 0 and json.loads(output)["faults"] >= 2, f"{status}: {output}")


def test_config_check_notices_that_the_public_url_is_not_what_the_provider_calls():
    # The server is told one URL, whoever calls it uses another: every signature would be wrong.
    listen, ours = settings(auth_token=twilio.TOKEN)
    theirs = {"madrid": {**ours["madrid"], "public_url": ours["madrid"]["public_url"].replace("127.0.0.1", "localhost")}}
    with server.Server(env=server.environment(ours), listen=listen) as one:
        status, output, _ = madrid(one, "config", "check", env=server.environment(theirs))
        checks.holds(status not in (0, 101), f"{status}: {output}")
        checks.contains(output, "right signature was answered 403", "public_url")


def test_config_check_with_a_wrong_token_says_which_option_to_give():
    with server.Server() as one:
        env = server.environment()
        env.update(VENTANILLA_TOKEN="not-a-token", VENTANILLA_TENANT="madrid", VENTANILLA_URL=one.url, VENTANILLA_DATA=one.data)
        status, output, errors = server.command("config", "check", env=env)
        checks.holds(status not in (0, 101), output)
        checks.contains(errors, "--token")


# ---------------------------------------------------------------- tenant apply


def applied(one, profile, expect=0):
    file = os.path.join(server.folder(), "profile.json")
    with open(file, "w") as out:
        out.write(profile if isinstance(profile, str) else json.dumps(profile))
    status, output, errors = madrid(one, "tenant", "apply", file)
    checks.equal(status == 0, expect == 0, f"{profile}: {status}: {output}{errors}")
    checks.holds(status != 101, errors)
    return errors if expect else output, file


def test_a_profile_that_is_applied_is_what_callers_hear():
    with server.Server() as one:
        profile = {**server.PROFILE, "greeting": [{"language": "es", "text": "Bienvenida a la villa"}], "languages": ["es"]}
        output, _ = applied(one, profile)
        checks.contains(output, "madrid")
        answer = one.twilio().send("/voice", twilio.call(twilio.sid(1)))
        checks.contains(answer.text, "Bienvenida a la villa", "Limpieza y residuos")
        status, exported, errors = madrid(one, "tenant", "export")
        checks.equal(status, 0, errors)
        checks.equal(json.loads(exported)["greeting"], profile["greeting"])
        # What was exported can be applied as it is.
        applied(one, exported)


def test_a_profile_with_a_misspelt_or_missing_key_is_refused_with_its_place_and_changes_nothing():
    with server.Server().with_profile() as one:
        before = one.api("/api/madrid/profile").json
        good = server.PROFILE
        department = good["departments"][0]
        for broken, pieces in (
            ({**good, "langauges": ["es"]}, ["langauges"]),
            ({**good, "departments": [{**department, "keywrods": []}]}, ["departments[0]", "keywrods"]),
            ({name: value for name, value in good.items() if name != "languages"}, ["languages"]),
            ({name: value for name, value in good.items() if name != "tenant"}, ["tenant"]),
            ({**good, "departments": [{name: value for name, value in department.items() if name != "code"}]}, ["departments[0]", "code"]),
            ({**good, "languages": "es"}, ["languages"]),
            ({**good, "time_zone": "Europe/Madrid"}, ["time_zone"]),
            ("{", ["JSON"]),
            ("", ["JSON"]),
        ):
            errors, file = applied(one, broken, expect=1)
            checks.contains(errors, file, *pieces)
        checks.equal(one.api("/api/madrid/profile").json, before, "the profile")


def test_the_example_of_a_profile_is_one_for_the_tenant_named():
    status, output, errors = server.command("tenant", "export", "--example", "--tenant", "vilanova")
    checks.equal(status, 0, errors)
    checks.equal(json.loads(output)["tenant"], "vilanova")
    with server.Server() as one:
        example = output.replace('"vilanova"', '"madrid"')
        status, output, errors = server.command("tenant", "apply", "-", "--url", one.url, "--token", server.API_TOKEN, stdin=example)
        checks.equal(status, 0, output + errors)


def test_typical_mistakes_are_told_with_what_to_do():
    with server.Server() as one:
        here = ("--url", one.url, "--tenant", "madrid")
        status, output, errors = server.command("token", "--tenant", "madrid", "--scope", "read", "--json")
        reader = json.loads(output)
        for arguments, said in (
            (("cases", "--url", one.url.replace("http:", "https:"), "--tenant", "madrid"), ("does not speak TLS", "write http://")),
            (("cases", *here), ("401", "VENTANILLA_TOKEN")),
            (("cases", *here, "--token", reader["token"]), ("401", "--token")),
            (("case", "123-456-7890", *here, "--token", server.API_TOKEN), ("check digit",)),
            (("ledger", "--from", "yesterday", *here, "--token", server.API_TOKEN), ("2026-11-21", "yesterday")),
        ):
            status, output, errors = server.command(*arguments)
            checks.equal(status, 1, f"{arguments}: {output}")
            checks.contains(errors, *said)
    with server.Server(env=server.environment(tokens={"madrid": [reader["entry"]]})) as one:
        status, output, errors = server.command("tenant", "apply", "-", "--url", one.url, "--token", reader["token"], stdin=json.dumps(server.PROFILE))
        checks.equal(status, 1, output)
        checks.contains(errors, "403", "--scope")
    empty = server.folder()
    with open(os.path.join(server.ROOT, "spin.toml")) as manifest, open(os.path.join(empty, "spin.toml"), "w") as copy:
        copy.write(manifest.read())
    status, output, errors = server.command("up", "--listen", "127.0.0.1:0", "--data", server.folder(), cwd=empty)
    checks.equal((status, errors.count("gateway.wasm")), (1, 1), errors)
    checks.contains(errors, "cargo xtask build")
    status, output, errors = server.command("migrate", "--database-url", "postgres://owner:fake@127.0.0.1:1/desk?sslmode=disable")
    checks.equal(status, 1, output)
    checks.contains(errors, "127.0.0.1:1", "is PostgreSQL running there")


def test_a_profile_of_another_tenant_is_not_applied_with_this_ones_token():
    with server.Server() as one:
        errors, _ = applied(one, {**server.PROFILE, "tenant": "sevilla"}, expect=1)
        checks.contains(errors, "sevilla")
        checks.equal(one.api("/api/sevilla/profile", token=server.OTHER_TOKEN).status, 404, "sevilla has no profile")


def test_a_profile_that_is_not_there_is_named():
    status, output, errors = server.command("tenant", "apply", "no-such-profile.json")
    checks.holds(status not in (0, 101), output)
    checks.contains(errors, "no-such-profile.json")


# ---------------------------------------------------------------- replay


def test_replay_tries_again_what_is_in_quarantine_and_says_what_came_of_it():
    with server.Server() as one:
        status, output, errors = madrid(one, "replay")
        checks.equal(status, 0, errors)
        checks.contains(errors, "nothing to replay")
        # Signed, and no form: kept, not understood.
        body = json.dumps({"CallSid": twilio.sid(1)}).encode()
        account = one.twilio()
        digest = hashlib.sha256(body).hexdigest()
        suffix = f"/voice?bodySHA256={digest}"
        signature = account.sdk.sign(twilio.TOKEN, twilio.PUBLIC_URL + suffix, {})
        answer = one.send("POST", twilio.PATH + suffix, body, [("content-type", "application/json"), ("x-twilio-signature", signature)])
        checks.equal(answer.status, 200, answer.text)
        status, output, errors = madrid(one, "envelopes", "--disposition", "quarantined", "--json")
        checks.equal(status, 0, errors)
        (held,) = one.all("/api/madrid/envelopes?disposition=quarantined", "envelopes")
        checks.contains(output, held["id"])
        # The connector has not changed: it says so, fails, and keeps it.
        for arguments in ((), (held["id"],)):
            status, output, errors = madrid(one, "replay", *arguments)
            checks.holds(status not in (0, 101), f"{status}: {output}{errors}")
            checks.contains(output, held["id"], "telephony/twilio", "quarantined")
            checks.contains(errors, "1 of 1", "replay again")
        checks.equal([left["id"] for left in one.all("/api/madrid/envelopes?disposition=quarantined", "envelopes")], [held["id"]])
        # An id that is none is named.
        status, output, errors = madrid(one, "replay", "no-such-envelope")
        checks.holds(status not in (0, 101), output)
        checks.contains(errors, "no-such-envelope")


if __name__ == "__main__":
    checks.main(globals(), limit=120)

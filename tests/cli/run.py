"""The two commands that show a first case, and what else the program says."""

import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, server  # noqa: E402


def finish():
    server.clean()


def test_call_then_cases_shows_the_call_against_the_demo_tenant():
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


def test_help_names_every_command_and_exits_0():
    status, output, errors = server.command("--help")
    checks.equal(status, 0, errors)
    checks.contains(output, "up", "cases", "call", "reply", "deliver", "replay", "config", "tenant")


def test_an_unknown_command_is_refused_with_help():
    status, output, errors = server.command("fly")
    checks.equal(status, 2)
    checks.contains(errors, "fly", "--help")


def test_a_server_that_is_not_there_is_named_with_a_remedy():
    status, output, errors = server.command("cases", "--url", "http://127.0.0.1:9")
    checks.holds(status not in (0, 101), f"status {status}")
    checks.contains(errors, "127.0.0.1:9")


def test_up_says_what_it_is_doing_and_its_ready_line_is_json():
    with server.Server() as one:
        for member in ("ready", "url", "tenants"):
            checks.holds(member in one.said, f"{member} is missing: {one.said}")
        checks.equal(one.stop(), 0, "exit status after SIGTERM")


if __name__ == "__main__":
    checks.main(globals(), limit=60)

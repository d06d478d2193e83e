"""`infra/observability`: alert rules tried by Prometheus' own tool, and every figure that rules, dashboard and autoscaler ask for told by a running
server."""

import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, peers, server  # noqa: E402

peers.inside_python()

FOLDER = os.path.join(peers.ROOT, "infra", "observability")
# What a name of a series may end with beyond its metric's.
SUFFIXES = r"(_bucket|_sum|_count)$"


def finish():
    server.clean()


def promtool(*arguments, cwd=FOLDER):
    if not shutil.which("promtool"):
        raise checks.Skip("promtool is not on PATH: apt-get install prometheus")
    done = subprocess.run(["promtool", *arguments], cwd=cwd, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def text(*path):
    with open(os.path.join(*path)) as file:
        return file.read()


def panels():
    return [panel for panel in json.loads(text(FOLDER, "dashboard.json"))["panels"] if panel["type"] != "row"]


def queries():
    """Of the dashboard, with Grafana's variables filled in."""
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [query.replace("$__rate_interval", "5m").replace("$tenant", ".*") for query in found]


def test_rules_and_the_configuration_are_valid_and_each_alert_fires_when_it_should():
    for arguments in (("check", "config", "prometheus.yaml"), ("check", "rules", "rules.yaml"), ("test", "rules", "rules_test.yaml", "rules_week_test.yaml")):
        status, output = promtool(*arguments)
        checks.equal(status, 0, f"promtool {' '.join(arguments)}: {output}")
    alerts = set(re.findall(r"- alert: (\w+)", text(FOLDER, "rules.yaml")))
    # Those that are seen firing: a time with an alert expected.
    tests = text(FOLDER, "rules_test.yaml") + text(FOLDER, "rules_week_test.yaml")
    fired = set(re.findall(r"alertname: (\w+)\n +exp_alerts:\n", tests))
    checks.equal(sorted(alerts - fired), [], "alerts that no test has seen fire")


def test_an_alert_that_does_not_fire_is_found():
    copy = server.folder()
    for name in ("rules.yaml", "rules_test.yaml"):
        with open(os.path.join(copy, name), "w") as file:
            file.write(text(FOLDER, name).replace('disposition="quarantined"}) > 0\n        for: 15m', 'disposition="quarantined"}) > 0\n        for: 50m'))
    status, output = promtool("test", "rules", "rules_test.yaml", cwd=copy)
    checks.holds(status != 0 and "VentanillaQuarantine" in output, output)


def test_every_query_of_the_dashboard_is_promql_and_no_two_panels_overlap():
    found = queries()
    checks.holds(len(found) > 20, found)
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(found)]
    folder = server.folder()
    with open(os.path.join(folder, "queries.yaml"), "w") as file:
        json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
    status, output = promtool("check", "rules", "queries.yaml", cwd=folder)
    checks.equal(status, 0, output)
    taken, numbers = set(), set()
    for panel in json.loads(text(FOLDER, "dashboard.json"))["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        checks.holds(place["x"] + place["w"] <= 24 and not cells & taken, f"{panel['title']} overlaps")
        checks.holds(panel["id"] not in numbers, f"{panel['title']}: its number is taken")
        taken |= cells
        numbers.add(panel["id"])


def test_every_figure_that_is_asked_for_is_told_by_a_running_server_and_explained():
    server.only_our_own("our own host's metrics")
    keda = text(peers.ROOT, "infra", "kubernetes", "components", "keda", "scaledobject.yaml")
    asked = set(re.findall(r"\bventanilla_[a-z0-9_]+", "\n".join([text(FOLDER, "rules.yaml"), keda, *queries()])))
    checks.holds(len(asked) > 10, asked)
    with server.Server() as running:
        running.with_profile()
        answer = running.twilio().send("/voice", {"CallSid": "CA" + "0" * 32, "From": "+34600111222", "To": "+34910000000",
                                                  "CallStatus": "ringing", "Direction": "inbound", "AccountSid": "AC" + "0" * 32})
        checks.equal(answer.status, 200, answer.text)
        forged = running.send("POST", "/telephony/twilio/madrid/voice", b"CallSid=CA0", [("content-type", "application/x-www-form-urlencoded")])
        checks.holds(forged.status in (401, 403), forged.text)
        told = running.send("GET", "/metrics").text
    there = set(re.findall(r"^# TYPE (\S+)", told, re.MULTILINE))
    checks.equal(sorted(name for name in asked if name not in there and re.sub(SUFFIXES, "", name) not in there), [], "asked for and told by nobody")
    explained = set(re.findall(r"^\| `(ventanilla_\w+)", text(FOLDER, "README.md"), re.MULTILINE))
    checks.equal(sorted(there - explained), [], "told and not explained in README.md")
    checks.equal(sorted(explained - there), [], "explained in README.md and told by nobody")
    # A label that is asked for and never there makes a query that is always empty.
    labels = set(re.findall(r"([a-z_]+)(?:=~|!~|!=|=)\"", "\n".join([text(FOLDER, "rules.yaml"), *queries()]))) - {"job", "instance"}
    given = set(re.findall(r"[{,]([a-z_]+)=\"", told)) | {"result", "kind"}  # Of requests sent and failures, of which there are none here.
    checks.equal(sorted(labels - given), [])


def test_what_an_alert_tells_to_read_is_there():
    for page, heading in re.findall(r'action: "(docs/[\w.-]+)(?:, ([^"]+))?"', text(FOLDER, "rules.yaml")):
        found = text(peers.ROOT, page)
        checks.holds(not heading or re.search(rf"^#+ {re.escape(heading)}$", found, re.MULTILINE), f"{page} has no heading {heading!r}")


if __name__ == "__main__":
    checks.main(globals())

"""One municipality replaces one connector by a component of its own: a route and a stanza, and nothing else changes for it or for its neighbours."""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, peers, server, sites, twilio  # noqa: E402

peers.inside_python()

FILE = "telephony-twilio.wasm"
# What its component says otherwise than everybody's.
USUAL, OWN = b"To hear these options again", b"To hear the festive options"
STANZA = """
[[trigger.http]]
route = "/telephony/twilio/madrid/..."
component = "telephony-twilio-madrid"

[component.telephony-twilio-madrid]
source = "target/components/gateway.wasm"
allowed_outbound_hosts = ["https://api.twilio.com", "{{ postgres_host }}"]
sqlite_databases = ["default"]
key_value_stores = ["default"]
[component.telephony-twilio-madrid.variables]
settings = "{{ telephony_twilio_madrid }}"
api_tokens = "{{ api_tokens }}"
courier_token = "{{ courier_token }}"
postgres_url = "{{ postgres_url }}"
postgres_ca = "{{ postgres_ca }}"
spool = "{{ spool }}"
[component.telephony-twilio-madrid.dependencies]
"ventanilla:channel/connector@1.0.0" = { path = "target/components/own.wasm" }
"ventanilla:store@1.0.0" = { path = "target/components/store-sqlite.wasm", inherit_configuration = ["sqlite_databases"] }
[component.telephony-twilio-madrid.profile.postgres.dependencies]
"ventanilla:store@1.0.0" = { path = "target/components/store-postgres.wasm", inherit_configuration = ["allowed_outbound_hosts", "variables"] }
"""


def finish():
    server.clean()


def own():
    """The usual connector with a sentence of its own: another file, as a municipality's developer would hand it over."""
    with open(os.path.join(server.ROOT, "target", "components", FILE), "rb") as file:
        component = file.read()
    checks.equal((component.count(USUAL), len(USUAL)), (1, len(OWN)), "the sentence is there once, and as long as the other")
    return component.replace(USUAL, OWN)


def with_its_own():
    folder = sites.site(
        lambda text: text.replace("[variables]", '[variables]\ntelephony_twilio_madrid = { default = "{}", secret = true }') + STANZA,
        {"own.wasm": own()},
    )
    # Its secrets are its component's alone, and everybody else's are not.
    theirs, others = ({"madrid": server.SETTINGS["madrid"]}, {"sevilla": server.SETTINGS["sevilla"]})
    env = server.environment(others, SPIN_VARIABLE_TELEPHONY_TWILIO_MADRID=json.dumps(theirs))
    return server.Server(env=env, cwd=folder)


def account(running, tenant):
    settings = server.SETTINGS[tenant]
    return twilio.Account(running.url, None, settings["auth_token"], settings["public_url"], f"/telephony/twilio/{tenant}")


def test_its_citizens_hear_its_own_component_and_the_neighbours_hear_theirs():
    with with_its_own() as running:
        said = {tenant: account(running, tenant).send("/voice", twilio.call(twilio.sid(1))) for tenant in ("madrid", "sevilla")}
        checks.equal([answer.status for answer in said.values()], [200, 200], said["madrid"].text + said["sevilla"].text)
        for tenant, ours, not_ours in (("madrid", OWN, USUAL), ("sevilla", USUAL, OWN)):
            checks.contains(said[tenant].text, ours.decode())
            checks.holds(not_ours.decode() not in said[tenant].text, tenant)


def test_what_comes_through_it_is_in_the_same_desk_and_ledger_under_the_same_name():
    with with_its_own() as running:
        for number in (1, 2):
            checks.equal(account(running, "madrid").send("/voice", twilio.call(twilio.sid(number))).status, 200)
        again = account(running, "madrid").send("/voice", twilio.call(twilio.sid(2)))
        checks.equal(again.status, 200)
        cases = running.cases()
        checks.equal([len(cases), {case["channel"] for case in cases}], [2, {"telephony"}])
        checks.equal({event["connector"] for event in running.events()}, {"telephony/twilio"})
        ledger = running.api("/api/madrid/ledger").json
        checks.equal([line["connector"] for line in ledger["ledger"]], ["telephony/twilio"])
        checks.equal(running.cases("sevilla", server.OTHER_TOKEN), [])


def test_a_signature_of_the_neighbour_opens_nothing_of_it():
    with with_its_own() as running:
        settings = server.SETTINGS["sevilla"]
        forged = twilio.Account(running.url, None, settings["auth_token"], server.SETTINGS["madrid"]["public_url"], "/telephony/twilio/madrid")
        checks.equal(forged.send("/voice", twilio.call(twilio.sid(3))).status, 403)
        checks.equal(running.cases(), [])


def test_without_its_stanza_everybody_has_the_usual_one():
    with server.Server() as running:
        checks.contains(account(running, "madrid").send("/voice", twilio.call(twilio.sid(1))).text, USUAL.decode())


if __name__ == "__main__":
    checks.main(globals(), limit=200)

"""A Twilio account that signs with Twilio's own SDKs."""

import json
import subprocess
import urllib.parse

from . import http, peers

TOKEN = "fake-auth-token-0123456789abcdef"
PUBLIC_URL = "https://city.example/telephony/twilio/madrid"
PATH = "/telephony/twilio/madrid"

_NODE = """
const twilio = require('twilio');
require('readline').createInterface({input: process.stdin}).on('line', line => {
  const {token, url, parameters} = JSON.parse(line);
  console.log(twilio.getExpectedTwilioSignature(token, url, parameters));
});
"""


class _Several(dict):
    """The SDK asks frameworks' dictionaries for all values of a name by this method."""

    def getlist(self, name):
        value = self[name]
        return value if isinstance(value, list) else [value]


class PythonSdk:
    """PyPI `twilio`: `RequestValidator.compute_signature`."""

    name = "PyPI"

    def __init__(self):
        from twilio.request_validator import RequestValidator

        self._validator = RequestValidator

    def sign(self, token, url, parameters):
        return self._validator(token).compute_signature(url, _Several(parameters))

    def close(self):
        pass


class NodeSdk:
    """npm `twilio`: `getExpectedTwilioSignature`."""

    name = "npm"

    def __init__(self):
        self._process = subprocess.Popen(
            ["node", "-e", _NODE], cwd=peers.node(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def sign(self, token, url, parameters):
        self._process.stdin.write(json.dumps({"token": token, "url": url, "parameters": parameters}) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def close(self):
        self._process.stdin.close()
        self._process.wait(10)


def form(pairs):
    """Twilio's form encoding of pairs."""
    return urllib.parse.urlencode(pairs).encode()


class Account:
    """Calls a server the way Twilio does."""

    def __init__(self, base, sdk=None, token=TOKEN, public_url=PUBLIC_URL, path=PATH):
        self.base, self.sdk, self.token, self.public_url, self.path = base, sdk or PythonSdk(), token, public_url, path

    def request(self, suffix, pairs, method="POST", headers=()):
        """Method, target, body and headers of a signed webhook. `pairs`: a dict, or a list of name and value."""
        pairs = list(pairs.items()) if isinstance(pairs, dict) else list(pairs)
        if method == "GET":
            query = urllib.parse.urlencode(pairs)
            suffix += ("&" if "?" in suffix else "?") + query if query else ""
            signature = self.sdk.sign(self.token, self.public_url + suffix, {})
            return method, self.path + suffix, b"", [("x-twilio-signature", signature), *headers]
        parameters = {}
        for name, value in pairs:
            parameters.setdefault(name, []).append(value)
        parameters = {name: values[0] if len(values) == 1 else values for name, values in parameters.items()}
        signature = self.sdk.sign(self.token, self.public_url + suffix, parameters)
        kind = ("content-type", "application/x-www-form-urlencoded; charset=UTF-8")
        return method, self.path + suffix, form(pairs), [kind, ("x-twilio-signature", signature), *headers]

    def send(self, suffix, pairs, method="POST", headers=(), **options):
        method, target, body, headers = self.request(suffix, pairs, method, headers)
        return http.send(self.base, method, target, body, headers, **options)


def call(sid, **more):
    """The parameters of an incoming call."""
    pairs = {
        "CallSid": sid,
        "AccountSid": "AC00000000000000000000000000000000",
        "From": "+34600111222",
        "Caller": "+34600111222",
        "To": "+34910000000",
        "Called": "+34910000000",
        "CallStatus": "ringing",
        "Direction": "inbound",
        "ApiVersion": "2010-04-01",
        "FromCountry": "ES",
    }
    pairs.update(more)
    return pairs


def sid(number):
    """A call's id."""
    return f"CA{number:032x}"

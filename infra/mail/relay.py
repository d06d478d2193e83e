#!/usr/bin/env python3
"""Takes finished messages by HTTP and submits them to the local mail server: the way replies leave.

Needs Python 3.9 and nothing else. Configuration by environment:

  RELAY_LISTEN      address:port, 127.0.0.1:2580 if absent. Put TLS before it, or keep it on a private network.
  RELAY_TOKEN_FILE  file with the tenants' `submit_token`s, one in each line
  RELAY_DOMAINS     domains that may send, separated by spaces: this is no open relay
  RELAY_STATE       SQLite file that knows what has been sent, so that an id leaves once; :memory: if absent
  RELAY_SENDMAIL    the submission command, /usr/sbin/sendmail if absent

POST, any path; body: the message. X-Envelope-From (`<>` for automatic ones), X-Envelope-To, Idempotency-Key.
Answers 200 {"message_id": "<…>"} once the mail server has it, 4xx when it never will, 503 when it may later.
"""

import email.parser
import email.policy
import hmac
import http.server
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
import threading

MAX_BYTES = 30 << 20
EX_TEMPFAIL = 75
# One mailbox: nothing that a shell, an option parser or a header could take for something else.
ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.][A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{1,63}")
MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,900}>")


class Fault(Exception):
    """An answer that is no success."""

    def __init__(self, status, reason):
        super().__init__(reason)
        self.status, self.reason = status, reason


class Relay:
    """What may be sent, and what has been."""

    def __init__(self, environment):
        with open(environment["RELAY_TOKEN_FILE"], encoding="utf-8") as file:
            self.tokens = [line.strip().encode() for line in file if line.strip()]
        self.domains = {domain.lower() for domain in environment.get("RELAY_DOMAINS", "").split()}
        self.sendmail = shlex.split(environment.get("RELAY_SENDMAIL", "/usr/sbin/sendmail"))
        self.lock = threading.Lock()
        self.sent = sqlite3.connect(environment.get("RELAY_STATE", ":memory:"), check_same_thread=False)
        self.sent.execute("CREATE TABLE IF NOT EXISTS sent (key TEXT PRIMARY KEY, message_id TEXT NOT NULL, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)")
        if not self.tokens or not self.domains:
            sys.exit("relay: RELAY_TOKEN_FILE holds no token or RELAY_DOMAINS is empty: nobody could send anything")

    def allows(self, authorization):
        """Whether the credential is one of ours; all are compared, so that time tells nothing."""
        scheme, _, token = authorization.partition(" ")
        found = [hmac.compare_digest(known, token.strip().encode()) for known in self.tokens]
        return scheme.lower() == "bearer" and any(found)

    def submit(self, sender, recipient, key, message):
        """Hands a message to the mail server, once for each key; gives its Message-ID."""
        if sender != "<>" and not ADDRESS.fullmatch(sender) or not ADDRESS.fullmatch(recipient):
            raise Fault(400, "an envelope address is missing or is none")
        header = email.parser.BytesHeaderParser(policy=email.policy.default).parsebytes(message)
        message_id = str(header.get("Message-ID", "")).strip()
        author = re.findall(r"[^\s<>@]+@([^\s<>]+)", str(header.get("From", "")))
        senders = author + ([] if sender == "<>" else [sender.rpartition("@")[2]])
        if not author or any(domain.lower() not in self.domains for domain in senders):
            raise Fault(403, "this domain may not send here; see RELAY_DOMAINS")
        if not MESSAGE_ID.fullmatch(message_id):
            raise Fault(400, "the message has no Message-ID")
        key = key or f"{message_id} {recipient}"
        with self.lock:
            known = self.sent.execute("SELECT message_id FROM sent WHERE key = ?", (key,)).fetchone()
            if known:
                return known[0]
            command = [*self.sendmail, "-i", "-f", "" if sender == "<>" else sender, "--", recipient]
            # `-i`: a line that is only a dot is content. Line ends as Unix programs have them.
            done = subprocess.run(command, input=message.replace(b"\r\n", b"\n"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
            if done.returncode == EX_TEMPFAIL or done.returncode < 0:
                raise Fault(503, "the mail server can not take it now")
            if done.returncode != 0:
                raise Fault(502, f"the mail server's submission program ended with {done.returncode}")
            self.sent.execute("INSERT INTO sent (key, message_id) VALUES (?, ?)", (key, message_id))
            self.sent.commit()
        return message_id


class Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    relay = None
    timeout = 60
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        """Submits."""
        try:
            if not self.relay.allows(self.headers.get("Authorization", "")):
                raise Fault(401, "the token is missing or wrong")
            length = self.headers.get("Content-Length", "")
            if not length.isdigit():
                raise Fault(411, "the length is missing")
            if int(length) > MAX_BYTES:
                raise Fault(413, "the message is larger than 30 MiB")
            message = self.rfile.read(int(length))
            if len(message) != int(length):
                raise Fault(400, "the message was cut short")
            message_id = self.relay.submit(
                self.headers.get("X-Envelope-From", ""), self.headers.get("X-Envelope-To", ""), self.headers.get("Idempotency-Key", ""), message
            )
            self.answer(200, {"message_id": message_id})
        except Fault as fault:
            self.close_connection = True
            self.answer(fault.status, {"error": fault.reason})
        except (OSError, subprocess.SubprocessError, sqlite3.Error) as error:
            self.close_connection = True
            self.answer(503, {"error": f"not now: {type(error).__name__}"})

    def answer(self, status, content):
        """Writes JSON."""
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 503:
            self.send_header("Retry-After", "60")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):  # noqa: A002 (the base class names it so)
        """Status only: addresses and content are nobody's business in a log."""
        sys.stderr.write(f"relay: {args[1] if len(args) > 1 else '-'}\n")


def main():
    """Serves until it is ended."""
    Handler.relay = Relay(os.environ)
    host, _, port = os.environ.get("RELAY_LISTEN", "127.0.0.1:2580").rpartition(":")
    http.server.ThreadingHTTPServer((host, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()

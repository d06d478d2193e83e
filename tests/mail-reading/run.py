"""What our reading of mail and Python's say about the same messages: text, people, subject, files. Messages are made with many charsets,
encodings and structures; what both must agree on is what any mail library would.

Needs the example program: cargo build --release -p channel-sdk --features mail --example mail (built if absent).
"""

import email
import email.header
import email.mime.application
import email.mime.image
import email.mime.message
import email.mime.multipart
import email.mime.text
import email.policy
import email.utils
import hashlib
import json
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import checks  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.abspath(os.environ.get("MAIL_EXAMPLE", os.path.join(ROOT, "target", "release", "examples", "mail")))
COUNT = int(os.environ.get("MAIL_COUNT", "2000"))

WORDS = {
    "utf-8": "ñandú año €uro çedilla 日本語 Привет γειά 🙂 naïve œuvre",
    "iso-8859-1": "año niño señal ¿qué? çà Ä ö ü ß",
    "iso-8859-15": "5 € año œuvre Š",
    "windows-1252": "“comillas” — 5 € ñ",
    "iso-8859-2": "Łódź žluťoučký kůň",
    "windows-1251": "Привет мир улица",
    "koi8-r": "Привет мир",
    "iso-8859-7": "Γειά σου Κόσμε",
    "windows-1254": "İstanbul ağaç şeker",
    "iso-8859-9": "İstanbul ağaç şeker",
    "shift_jis": "街灯が壊れています テスト",
    "euc-jp": "街灯が壊れています テスト",
    "iso-2022-jp": "街灯が壊れています テスト",
    "gb2312": "路灯坏了 你好",
    "gbk": "路灯坏了 你好",
    "gb18030": "路灯坏了 你好",
    "big5": "路燈壞了 你好",
    "euc-kr": "안녕하세요 세계",
    "utf-16": "año 日本",
    "utf-7": "año 日本",
    "us-ascii": "plain old text with = and . and ?",
}


def text(rng, charset, lines):
    words = WORDS[charset].split()
    return "\n".join(" ".join(rng.choice(words) for _ in range(rng.randint(0, 14))) for _ in range(lines)) + "\n"


def encoded(rng, content, charset, subtype):
    part = email.mime.text.MIMEText("", subtype, "us-ascii")
    del part["Content-Transfer-Encoding"]
    part.set_param("charset", charset)
    data = content.encode(charset)
    way = rng.choice(["base64", "quoted-printable", "8bit"])
    if charset in ("utf-16",):
        way = "base64"
    if way == "base64":
        part.set_payload(__import__("base64").encodebytes(data).decode())
    elif way == "quoted-printable":
        part.set_payload(__import__("quopri").encodestring(data).decode("latin-1"))
    else:
        part.set_payload(data.decode("ascii", "surrogateescape"))
    part["Content-Transfer-Encoding"] = way
    return part


def name_of(rng):
    charset = rng.choice(["utf-8", "iso-8859-1", "us-ascii", "shift_jis", "koi8-r", "iso-2022-jp", "gb2312"])
    words = WORDS[charset].split()
    value = " ".join(rng.choice(words).strip(".,=?“”") or "x" for _ in range(rng.randint(1, 12)))
    return value, charset


def attachment(rng):
    data = rng.randbytes(rng.randint(0, 300))
    name, charset = name_of(rng)
    name = name.replace(" ", "_").replace("?", "").replace("¿", "") + ".bin"
    kind = rng.choice(["application", "image", "message", "text"])
    if kind == "image":
        part = email.mime.image.MIMEImage(data, "png")
    elif kind == "message":
        inner = email.mime.text.MIMEText("inner text\n")
        inner["Subject"] = "inner"
        inner["Message-ID"] = "<inner@example.org>"
        part = email.mime.message.MIMEMessage(inner)
    elif kind == "text":
        part = email.mime.text.MIMEText(data.hex() + "\n", "csv")
    else:
        part = email.mime.application.MIMEApplication(data, "pdf")
    if rng.random() < 0.2:
        part.add_header("Content-Disposition", rng.choice(["attachment", "inline"]))
        if kind == "text":
            part.replace_header("Content-Disposition", "attachment")
    else:
        part.add_header("Content-Disposition", rng.choice(["attachment", "inline"]), filename=("utf-8", "", name) if not name.isascii() or rng.random() < 0.3 else name)
    if rng.random() < 0.2:
        part.add_header("Content-ID", f"<{rng.randrange(10**6)}@x>")
    return part


def html(rng, charset):
    words = text(rng, charset, 1).replace("<", "").replace("&", "").strip() or "x"
    return f"<html><body><p>{words}</p></body></html>\n"


def message(rng, number):
    charset = rng.choice(list(WORDS))
    plain = encoded(rng, text(rng, charset, rng.randint(1, 6)) + "end\n", charset, "plain")
    shape = rng.choice(["plain", "alternative", "mixed", "related", "nested", "signed"])
    if shape == "plain":
        top = plain
    else:
        top = email.mime.multipart.MIMEMultipart("mixed")
        if shape in ("alternative", "nested", "related"):
            body = email.mime.multipart.MIMEMultipart("alternative")
            body.attach(plain)
            other = encoded(rng, html(rng, "utf-8"), "utf-8", "html")
            if shape == "related":
                related = email.mime.multipart.MIMEMultipart("related")
                related.attach(other)
                image = email.mime.image.MIMEImage(rng.randbytes(40), "png")
                image["Content-ID"] = "<logo@x>"
                related.attach(image)
                other = related
            body.attach(other)
            if shape == "alternative":
                top = body
            else:
                top.attach(body)
        elif shape == "signed":
            top = email.mime.multipart.MIMEMultipart("signed", protocol="application/pgp-signature")
            top.attach(plain)
            top.attach(email.mime.application.MIMEApplication(b"sig", "pgp-signature"))
        else:
            top.attach(plain)
        if shape in ("mixed", "nested", "related"):
            for _ in range(rng.randint(0, 4)):
                top.attach(attachment(rng))
    name, name_charset = name_of(rng)
    # Through encoded words, or as it is: quoted.
    shown = str(email.header.Header(name, name_charset, maxlinelen=70)) if not name.isascii() else name
    shown = email.header.Header(name, name_charset, maxlinelen=70).encode() if not name.isascii() else f'"{name}"'
    top["From"] = f"{shown} <user{number}@example.org>"
    top["To"] = ", ".join(f"u{index}@city.example" for index in range(rng.randint(1, 3)))
    subject, subject_charset = name_of(rng)
    top["Subject"] = email.header.Header(subject, subject_charset, maxlinelen=60).encode()
    top["Message-ID"] = f"<{number}@example.org>"
    top["Date"] = email.utils.formatdate(1_795_255_200 + number)
    if rng.random() < 0.3:
        top["References"] = " ".join(f"<r{index}@x>" for index in range(rng.randint(1, 30)))
    raw = top.as_bytes(policy=email.policy.compat32.clone(max_line_length=78))
    return (raw.replace(b"\n", b"\r\n") if rng.random() < 0.5 else raw), subject, name


def squeezed(value):
    return " ".join((value or "").split())


def of_python(raw):
    """The oracle: Python's `email` with its modern policy."""
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    body = parsed.get_body(preferencelist=("plain", "html"))
    payload = body.get_payload(decode=True)
    charset = body.get_param("charset")
    said = {"utf-7": "utf-7"}.get(charset, charset)
    files = []
    for part in parsed.walk():
        if part is body or part.get_content_maintype() == "multipart" or part.get_content_type() == "text/html":
            continue
        files.append(part)
    return parsed, payload.decode(said).replace("\r\n", "\n"), files


def leaf_files(raw):
    """Files in order: name, type and hash; an attached message is one file."""
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    body = parsed.get_body(preferencelist=("plain",))
    found = []

    def visit(part):
        if part.get_content_maintype() == "multipart":
            for child in part.iter_parts():
                visit(child)
        elif part is not body and not (part.get_content_type() == "text/html" and not part.is_attachment()):
            if part.get_content_maintype() == "message":
                found.append((part.get_filename(), part.get_content_type(), None))
            else:
                found.append((part.get_filename(), part.get_content_type(), hashlib.sha256(part.get_payload(decode=True)).hexdigest()))

    visit(parsed)
    return found


RUNNING = {}


def compared():
    """All messages, with what both say."""
    if "pairs" not in RUNNING:
        if not os.path.exists(PROGRAM):
            subprocess.run(["cargo", "build", "--release", "-p", "channel-sdk", "--features", "mail", "--example", "mail"], cwd=ROOT, check=True)
        rng = random.Random(20261121)
        made = [message(rng, number) for number in range(COUNT)]
        given = b"".join(str(len(raw)).encode() + b"\n" + raw for raw, _, _ in made)
        lines = subprocess.run([PROGRAM], input=given, stdout=subprocess.PIPE, check=True).stdout.splitlines()
        checks.equal(len(lines), COUNT, "answers")
        RUNNING["pairs"] = [(raw, subject, name, json.loads(line)) for (raw, subject, name), line in zip(made, lines)]
    return RUNNING["pairs"]


def all_equal(what, function):
    """Every message, and the first three that differ."""
    wrong = []
    for raw, subject, name, said in compared():
        ours, theirs = function(raw, subject, name, said["events"][0])
        if ours != theirs:
            wrong.append(f"ours {ours!r}, expected {theirs!r}\n{raw[:900].decode('latin-1')}")
    checks.holds(not wrong, f"{len(wrong)} of {COUNT} differ in {what}:\n" + "\n----\n".join(wrong[:3]))


def test_every_message_is_read_completely():
    checks.equal([said["degraded"] for *_, said in compared() if said["degraded"]], [])
    checks.holds(COUNT >= 100, "enough messages")


def test_the_text_is_the_same():
    def texts(raw, _subject, _name, event):
        theirs = of_python(raw)[1]
        return event.get("text", "").rstrip("\n"), theirs.rstrip("\n")

    all_equal("text", texts)


def test_subjects_and_names_are_what_was_written():
    all_equal("subject", lambda raw, subject, name, event: (squeezed(event.get("subject")), squeezed(subject)))
    all_equal("name", lambda raw, subject, name, event: (squeezed(event.get("sender_name")), squeezed(name)))


def test_addresses_ids_and_dates_are_the_same():
    def people(raw, _subject, _name, event):
        parsed = email.message_from_bytes(raw, policy=email.policy.default)
        ours = (event.get("sender"), dict(map(tuple, event["fields"].items())).get("to") if isinstance(event.get("fields"), dict) else None, event.get("message_id"), event.get("references", []), event.get("timestamp"))
        theirs = (
            parsed["From"].addresses[0].addr_spec, ", ".join(address.addr_spec for address in parsed["To"].addresses), parsed["Message-ID"].strip(),
            (parsed["References"] or "").split(), email.utils.parsedate_to_datetime(parsed["Date"]).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        return ours, theirs

    all_equal("addresses, ids or date", people)


def test_files_have_the_same_names_types_and_hashes():
    def files(raw, _subject, _name, event):
        ours = [(one.get("name"), one.get("content_type"), None if one.get("content_type", "").startswith("message/") else one.get("sha256")) for one in event.get("attachments", [])]
        return ours, leaf_files(raw)

    all_equal("files", files)


if __name__ == "__main__":
    checks.main(globals(), limit=240)

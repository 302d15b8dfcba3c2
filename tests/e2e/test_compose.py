"""Messages that src/compose builds, read back by strict readers of others: Python's email (which raises at any defect),
Perl's MIME::Parser and npm's mailparser; signatures checked by dkimpy and Mail::DKIM."""
# SPDX-License-Identifier: ISC
import base64
import email
import email.errors
import email.header
import email.message
import email.policy
import email.utils
import itertools
import json
import os
import random
import re
import struct
import subprocess
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAMS = os.path.join(ROOT, os.environ.get("COMPOSE_PROGRAMS", "build/release/tests/compose"))
HERE = os.path.join(ROOT, "tests/compose")
STRICT = email.policy.default.clone(raise_on_defect=True)

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
EXE_TYPE = "application/vnd.microsoft.portable-executable"


def windows_program():
    """The start of one, as far as it takes to be recognised."""
    start = bytearray(128)
    start[:2] = b"MZ"
    struct.pack_into("<H", start, 0x18, 0x40)
    struct.pack_into("<I", start, 0x3C, 0x80)
    return bytes(start) + b"PE\0\0" + struct.pack("<HHIIIHH", 0x14C, 3, 0, 0, 0, 0xE0, 0x102) + struct.pack("<H", 0x10B) + bytes(66) + struct.pack("<H", 2) + bytes(400)


EXE = windows_program()
RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю.\n\nСтрока с № и табуляцией:\tвот.\n"
RUSSIAN_PLAIN = RUSSIAN.replace("№", "N")  # KOI8-R has no №
HTML = '<html><body><h1>Привет!</h1><p>Это <b>письмо</b> с <a href="https://example.org/путь">ссылкой</a>.</p><img src="cid:лого.png" alt="лого"></body></html>\n'


class Built:
    def __init__(self, result):
        self.code, self.bytes = result.returncode, result.stdout
        error = result.stderr.decode("utf-8", "replace").strip()
        self.facts = json.loads(error) if self.code == 0 else None
        self.error = error if self.code else ""


@pytest.fixture
def build(tmp_path):
    numbers = itertools.count()

    def write(content, name=None):
        path = tmp_path / f"{next(numbers)}" / (name or "file")
        path.parent.mkdir()
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def run(expect=0, environment={}, stdout=subprocess.PIPE, **options):
        options = {"from": "Иван Петров <ivan@example.org>", "to": ["bill@example.org"], "subject": "Привет", "hostname": "host.example.org", **options}
        for name in ("text", "html"):
            if name in options:
                options[name + "_file"] = write(options.pop(name))
        for name in ("attachments", "inlines"):
            options[name] = [{"path": write(a[1], a[0])} if isinstance(a, tuple) else a for a in options.get(name, [])]
        result = subprocess.run([PROGRAMS + "/write_message"], input=json.dumps(options).encode(), stdout=stdout, stderr=subprocess.PIPE,
                                env={**os.environ, "LC_ALL": "C.UTF-8", **environment}, timeout=120)
        built = Built(result)
        assert built.code == expect, (built.code, built.error)
        if expect == 0 and stdout == subprocess.PIPE:
            check_form(built)
        return built

    run.write = write
    return run


def lines_of(data):
    return data.split(b"\r\n")


def check_form(built):
    """What must hold of every message, whatever is in it."""
    data, body = built.bytes, built.facts["body"]
    assert built.facts["bytes"] == len(data) and data.endswith(b"\r\n")
    header, _, _ = data.partition(b"\r\n\r\n")
    assert b"\0" not in header and (built.facts["utf8"] or header.isascii())
    for line in lines_of(header):
        assert len(line) <= 998 and line.strip(), line
        assert re.match(rb"[ \t]|[!-9;-~]+:", line), line
        assert b"=?" not in line or len(line) <= 76, line  # RFC 2047 2
    if body != "binary":
        assert not re.search(rb"(?<!\r)\n|\r(?!\n)", data) and b"\0" not in data
        assert max(map(len, lines_of(data))) <= 998
    if body == "7bit" and not built.facts["utf8"]:
        assert data.isascii()
    check_python(data, built.facts["utf8"])


def check_python(data, utf8=False):
    """Nothing is a defect to Python, in no header of no part, and encodings are what they say."""
    # its parser of bytes knows no UTF-8 in headers, that of text does
    message = email.message_from_string(data.decode(), policy=STRICT) if utf8 else email.message_from_bytes(data, policy=STRICT)
    for part in message.walk():
        for name, value in part.items():
            defects = [d for d in value.defects if not (utf8 and isinstance(d, email.errors.NonASCIILocalPartDefect))]
            assert not defects, (name, defects)
            assert "\r" not in value and "\n" not in value
        if part.is_multipart():
            assert part["Content-Transfer-Encoding"] in (None, "7bit", "8bit", "binary")
            assert not part.preamble and not (part.epilogue or "").strip()
        else:
            part.get_content()
        assert not part.defects
    return message


def python_leaves(data):
    message = check_python(data)
    found = []
    for part in message.walk():
        if part.is_multipart() and part.get_content_type() != "message/rfc822":
            continue
        content = part.get_payload(decode=True)
        if part.get_content_type() == "message/rfc822":
            content = part.get_payload(0).as_bytes(policy=email.policy.SMTP)
        found.append({"type": part.get_content_type(), "charset": (part.get_content_charset() or ""), "name": part.get_filename(),
                      "disposition": part.get_content_disposition() or "", "id": part["Content-Id"] or "", "content": content})
    return {"subject": message["subject"], "from": people(message["from"]), "to": people(message["to"]), "leaves": found, "type": message.get_content_type()}


def people(field):
    return [[a.display_name, a.addr_spec] for a in field.addresses] if field else []


def reader(command, data):
    result = subprocess.run(command, input=data, capture_output=True, timeout=60)
    assert result.returncode == 0, result.stderr.decode()
    return json.loads(result.stdout)


def perl_leaves(data):
    found = reader(["perl", HERE + "/read_message.pl"], data)
    assert not found["complaints"]
    for leaf in found["leaves"]:
        leaf["content"] = base64.b64decode(leaf["content"])
        if leaf["name"]:
            leaf["name"] = decode_words(leaf["name"])
        leaf["id"] = leaf["id"].strip()
    return found


def decode_words(text):
    """MIME::Parser gives names of RFC 2231 as encoded words of RFC 2047."""
    return str(email.header.make_header(email.header.decode_header(text)))


def mailparser(data):
    module = os.path.join(ROOT, "build/node_modules")
    if not os.path.isdir(module + "/mailparser"):
        pytest.skip("npm's mailparser is not there; ./dev test installs it into build/node_modules where npm reaches its registry")
    return reader(["node", HERE + "/read_message.js", module], data)


def newlines(content):
    text = content.decode("utf-8") if isinstance(content, bytes) else content
    return text.replace("\r\n", "\n")


# ---- all readers, all structures, sets and encodings ----

STRUCTURES = {
    "text": {"text"},
    "html": {"html"},
    "both": {"text", "html"},
    "picture": {"html", "inlines"},
    "attached": {"text", "attachments"},
    "only-attached": {"attachments"},
    "all": {"text", "html", "inlines", "attachments"},
}
ATTACHED = [("отчёт за год.txt", RUSSIAN.encode()), ("data.bin", b"\x93\xa7\xc5\xee" + bytes(range(256)) * 20), ("empty.dat", b""), ("лого.png", PNG)]


def parts_of(structure, text):
    html = HTML if "inlines" in STRUCTURES[structure] else HTML.replace('<img src="cid:лого.png" alt="лого">', "")
    everything = {"text": text, "html": html, "inlines": [("лого.png", PNG)], "attachments": ATTACHED}
    return {name: everything[name] for name in STRUCTURES[structure]}


def expected_structure(structure):
    has = STRUCTURES[structure]
    related = ["text/html"] + (["image/png"] if "inlines" in has else [])
    leaves = (["text/plain"] if {"text", "html"} & has else []) + (related if "html" in has else [])
    return leaves + (["text/plain", "application/octet-stream", "application/octet-stream", "image/png"] if "attachments" in has else [])


def check_leaves(found, structure, text, charset):
    leaves = found["leaves"]
    assert [leaf["type"] for leaf in leaves] == expected_structure(structure)
    assert found["subject"] == "Привет" and found["from"] == [["Иван Петров", "ivan@example.org"]]
    own = [leaf for leaf in leaves if leaf["disposition"] == ""]
    for leaf in own:
        assert leaf["charset"] == charset
        read = leaf["content"].decode(charset).replace("\r\n", "\n")
        if leaf["type"] == "text/html":
            assert read.partition("<img")[0] == HTML.partition("<img")[0] or "<img" not in read
        elif "text" in STRUCTURES[structure]:
            assert read == text
        else:
            assert "Привет!\n=======\n" in read and "ссылкой <https://example.org/путь>." in read
    if "attachments" in STRUCTURES[structure]:
        sent = [(leaf["name"], leaf["content"]) for leaf in leaves if leaf["disposition"] == "attachment"]
        assert sent == ATTACHED
    if "inlines" in STRUCTURES[structure]:
        picture = next(leaf for leaf in leaves if leaf["disposition"] == "inline")
        page = next(leaf for leaf in leaves if leaf["type"] == "text/html")
        assert picture["name"] == "лого.png" and picture["content"] == PNG
        assert f'src="cid:{picture["id"].strip("<>")}"' in page["content"].decode(charset)


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "binary"])
@pytest.mark.parametrize("charset", [None, "koi8-r", "windows-1251", "iso-8859-5", "ibm866"])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_python_reads_all_structures(build, structure, charset, encoding):
    text = RUSSIAN_PLAIN if charset in ("koi8-r", "ibm866") else RUSSIAN
    built = build(encoding=encoding, **({"charset": charset} if charset else {}), **parts_of(structure, text))
    check_leaves(python_leaves(built.bytes), structure, text, charset or "utf-8")
    if encoding == "7bit" or structure == "only-attached":
        assert built.facts["body"] == ("binary" if encoding == "binary" else "7bit")


@pytest.mark.parametrize("structure, charset, encoding", [
    ("text", "utf-8", "7bit"), ("text", "koi8-r", "8bit"), ("html", "windows-1251", "7bit"), ("both", "utf-8", "8bit"),
    ("picture", "koi8-r", "7bit"), ("attached", "windows-1251", "8bit"), ("only-attached", "koi8-r", "7bit"),
    ("all", "utf-8", "7bit"), ("all", "koi8-r", "8bit"), ("all", "windows-1251", "7bit")])
def test_perl_and_node_read_all_structures(build, structure, charset, encoding):
    text = RUSSIAN_PLAIN
    built = build(encoding=encoding, charset=charset, **parts_of(structure, text))
    check_leaves(perl_leaves(built.bytes), structure, text, charset)

    node, has = mailparser(built.bytes), STRUCTURES[structure]
    assert node["subject"] == "Привет" and node["from"] == [["Иван Петров", "ivan@example.org"]]
    if "text" in has:
        assert newlines(node["text"]) == text
    if "html" in has:
        assert node["html"].startswith("<html><body><h1>Привет!</h1>")
    attached = [(a["name"], base64.b64decode(a["content"])) for a in node["attachments"] if a["disposition"] == "attachment"]
    assert attached == (ATTACHED if "attachments" in has else [])
    pictures = [a for a in node["attachments"] if a["related"]]
    assert len(pictures) == ("inlines" in has)
    for picture in pictures:
        assert base64.b64decode(picture["content"]) == PNG and f"cid:{picture['cid']}" in node["html"]


# ---- texts ----

@pytest.mark.parametrize("encoding", ["7bit", "8bit", "binary"])
@pytest.mark.parametrize("text", [
    "x\n", "no end", "\n", "\n\n\nx\n\n\n", "From me\nFrom\n>From x\n", ".\n..\n.x\n", "trailing \nblanks\t\n-- \nBill\n", "a" * 5000 + "\n",
    "word " * 3000 + "\n", "ж" * 3000 + "\n", "=20 =\n=?utf-8?Q?x?=\n", "\ttabs\t\t\n", "esc\x1b[31m \x7f \x01\n", "ж" * 78 + "\n", "--=_x\n--\n",
    "".join(chr(c) for c in range(0x20, 0x3000) if c not in range(0x7F, 0xA0)) + "\n", "😀 👨‍👩‍👧 \u202e\n"])
def test_texts_come_back_exactly(build, text, encoding):
    built = build(text=text, encoding=encoding)
    want = text if text.endswith("\n") else text + "\n"
    assert newlines(python_leaves(built.bytes)["leaves"][0]["content"]) == want
    with_file = build(text=text, encoding=encoding, attachments=[("a.bin", b"\r\n--=_x--\r\n\0" * 10)])
    leaves = python_leaves(with_file.bytes)["leaves"]
    assert newlines(leaves[0]["content"]) == want and leaves[1]["content"] == b"\r\n--=_x--\r\n\0" * 10


@pytest.mark.parametrize("text", ["From me\n.\ntrailing \n" + "a" * 3000 + "\n", RUSSIAN * 20, "mostly ASCII, and Jörg = 1\n" * 30])
def test_perl_and_node_read_odd_texts(build, text):
    built = build(text=text)
    assert newlines(perl_leaves(built.bytes)["leaves"][0]["content"]) == text
    assert newlines(mailparser(built.bytes)["text"]) == text


def test_no_relay_has_to_touch_a_text(build):
    """No line over 78, no blank at the end of one, no From at its start: in 7bit and 8bit alike."""
    for text, encoding in itertools.product(["word " * 100, "From me\n", "-- \n", RUSSIAN * 3, "ж" * 100], ["7bit", "8bit"]):
        built = build(text=text, encoding=encoding)
        for line in lines_of(built.bytes.partition(b"\r\n\r\n")[2]):
            assert len(line.decode()) <= 78 and not line.endswith((b" ", b"\t")) and not line.startswith(b"From ")


def test_ascii_says_so_unless_told_otherwise(build):
    assert b"charset=us-ascii\r\n" in build(text="hello\n", subject="hi", **{"from": "a@example.org"}).bytes
    assert b"charset=utf-8\r\n" in build(text="hello\n", subject="при", **{"from": "a@example.org"}).bytes
    assert b"charset=koi8-r\r\n" in build(text="hello\n", subject="hi", charset="KOI8-R", **{"from": "a@example.org"}).bytes


@pytest.mark.parametrize("charset, codec", [("koi8-r", "koi8-r"), ("cp1251", "cp1251"), ("win-1251", "cp1251"), ("KOI8R", "koi8-r"), ("866", "cp866"), ("utf8", "utf-8")])
def test_texts_in_other_sets_are_read(build, charset, codec):
    built = build(text=RUSSIAN_PLAIN.encode(codec), input_charset=charset)
    assert newlines(python_leaves(built.bytes)["leaves"][0]["content"]) == RUSSIAN_PLAIN
    same = build(text=RUSSIAN_PLAIN.encode(codec), input_charset=charset, charset=charset)
    leaf = python_leaves(same.bytes)["leaves"][0]
    assert leaf["content"].decode(codec).replace("\r\n", "\n") == RUSSIAN_PLAIN


def test_what_does_not_fit_is_named(build):
    cases = [
        ({"text": "Раз\nдва — €5\n", "charset": "koi8-r"}, ["the text, line 2, column 5", "koi8-r has no — U+2014", "windows-1251 has all"]),
        ({"text": "x\n", "subject": "ждём €", "charset": "koi8-r"}, ["Subject, character 6", "€ U+20AC", "windows-1251"]),
        ({"text": "x\n", "subject": "漢字", "charset": "koi8-r"}, ["漢 U+6F22", "utf-8 has every character"]),
        ({"text": "x\n", "to": ["José <a@b.example>"], "charset": "windows-1251"}, ["To, character 4", "é U+00E9"]),
        ({"html": "<p>\n\u200b", "charset": "koi8-r", "text": "x"}, ["the HTML, line 2, column 1", "koi8-r has no U+200B"]),
        ({"html": "<p>Раз<p>5 &euro;", "charset": "koi8-r"}, ["the text made of the HTML, line 3, column 3", "€ U+20AC"]),
        ({"text": "x\n", "headers": ["X-Mood: 😀"], "charset": "iso-8859-1", "subject": "", "from": "a@b.example"}, ["X-Mood, character 1", "U+1F600"]),
        ({"text": "x\n", "attachments": [("№1.txt", "x")], "charset": "koi8-r"}, ["№1.txt, character 1", "№ U+2116"]),
    ]
    for options, words in cases:
        error = build(expect=65, **options).error
        assert all(word in error for word in words), error
        found = python_leaves(build(charset_auto=True, **options).bytes)
        assert found["leaves"][0]["charset"] == "utf-8"


def test_charset_auto_keeps_what_fits(build):
    built = build(text=RUSSIAN_PLAIN, charset="koi8-r", charset_auto=True)
    assert python_leaves(built.bytes)["leaves"][0]["charset"] == "koi8-r"


@pytest.mark.parametrize("options, code, words", [
    ({"text": b"\xf0\xd2\xc9\n"}, 65, ["not UTF-8", "0xF0", "line 1, column 1", "koi8-r"]),
    ({"text": b"ok\nab\xff"}, 65, ["line 2, column 3"]),
    ({"text": b"a\n\x98", "input_charset": "cp1251"}, 65, ["0x98", "windows-1251", "line 2, column 1"]),
    ({"text": "x", "input_charset": "klingon"}, 64, ["klingon", "koi8-r, windows-1251"]),
    ({"text": "x", "charset": "utf-16"}, 64, ["utf-16", "utf-8"]),
    ({"text": "x", "charset": "koi8-r//IGNORE"}, 64, ["koi8-r//IGNORE"]),
    ({"text": b"a\nb\0"}, 65, ["NUL", "line 2, column 2", "attach"]),
    ({"html": b"<p>\0"}, 65, ["the HTML", "NUL"]),
])
def test_texts_that_are_none(build, options, code, words):
    error = build(expect=code, **options).error
    assert all(word in error for word in words), error


# ---- header fields ----

@pytest.mark.parametrize("charset", ["utf-8", "koi8-r", "iso-2022-jp", "gb18030"])
@pytest.mark.parametrize("subject", ["short", "Тема " * 200, "a" * 3000, "two  blanks", " lead", "trail ", "a\tb", "=?utf-8?Q?not?= encoded", "x" * 900 + " Жук", "\"quoted\" \\ (x)"])
def test_subjects_come_back_exactly(build, subject, charset):
    if charset == "iso-2022-jp" and "Т" in subject:
        subject = "日本語 " * 100
    built = build(text="x", subject=subject, charset=charset, **{"from": "a@example.org"})
    assert python_leaves(built.bytes)["subject"] == subject
    if charset in ("utf-8", "koi8-r") and "\t" not in subject:
        assert perl_leaves(built.bytes)["subject"] == subject
        assert mailparser(built.bytes)["subject"].strip() == subject.strip()


def test_addresses_come_back(build):
    to = ['"Smith, Bill" <bill@example.org>', "Жук Жучка <жук@пример.рф>, plain@example.org", '"b ill"@example.org (The Bill)', "Иванов И.И. <i@xn--e1afmkfd.xn--p1ai>",
          "друзья: a@example.org, Bill <bill@example.org>;"]
    built = build(text="x", to=to, cc=["a@example.org", "Only Cc <cc@example.org>"])
    assert built.facts["utf8"] and built.facts["sender"] == "ivan@example.org"
    assert built.facts["recipients"] == ["bill@example.org", "жук@xn--e1afmkfd.xn--p1ai", "plain@example.org", '"b ill"@example.org', "i@xn--e1afmkfd.xn--p1ai",
                                         "a@example.org", "cc@example.org"]
    message = check_python(built.bytes, utf8=True)
    assert people(message["to"])[:2] == [["Smith, Bill", "bill@example.org"], ["Жук Жучка", "жук@xn--e1afmkfd.xn--p1ai"]]
    assert people(message["to"])[3:5] == [["The Bill", '"b ill"@example.org'], ["Иванов И.И.", "i@xn--e1afmkfd.xn--p1ai"]]
    assert [g.display_name for g in message["to"].groups if g.display_name] == ["друзья"] or len(message["to"].groups) == 6
    ascii_only = build(text="x", to=[to[0], to[3]])
    assert not ascii_only.facts["utf8"]
    for read, domain in ((python_leaves, "xn--e1afmkfd.xn--p1ai"), (perl_leaves, "xn--e1afmkfd.xn--p1ai"), (mailparser, "пример.рф")):
        assert read(ascii_only.bytes)["to"] == [["Smith, Bill", "bill@example.org"], ["Иванов И.И.", "i@" + domain]]


def test_many_recipients(build):
    to = [f"Получатель Номер {i} <r{i}@example.org>" for i in range(400)]
    built = build(text="x", to=to)
    assert built.facts["recipients"] == [f"r{i}@example.org" for i in range(400)]
    assert [name for name, _ in python_leaves(built.bytes)["to"]] == [f"Получатель Номер {i}" for i in range(400)]


def test_the_fields_of_a_message(build):
    before = time.time()
    built = build(text="x", sender="Секретарь <s@example.org>", **{"from": "a@example.org, Б <b@example.org>"}, reply_to=["r@example.org"], to=[],
                  headers=["X-Priority: 1", "In-Reply-To:  <a@b>", "References: <a@b>  <c@d>", "List-Unsubscribe: <https://example.org/?a=1>,  <mailto:x@example.org>", "X-Name: Жук"])
    message = check_python(built.bytes)
    names = [name for name, _ in message.items()]
    assert names == ["Date", "From", "Sender", "Reply-To", "To", "Subject", "Message-ID", "X-Priority", "In-Reply-To", "References", "List-Unsubscribe", "X-Name",
                     "MIME-Version", "Content-Type", "Content-Transfer-Encoding"]
    assert before - 2 <= message["date"].datetime.timestamp() <= time.time() + 2
    assert re.fullmatch(r"<[0-9a-z]{26}@host\.example\.org>", message["message-id"])
    assert message["references"] == "<a@b> <c@d>" and message["x-name"] == "Жук" and message["to"] == "undisclosed-recipients:;"
    assert message["list-unsubscribe"] == "<https://example.org/?a=1>, <mailto:x@example.org>"
    assert built.facts["recipients"] == [] and message["sender"].address.display_name == "Секретарь"
    again = build(text="x")
    assert check_python(again.bytes)["message-id"] != message["message-id"]


@pytest.mark.parametrize("zone, offset", [("UTC", "+0000"), ("Europe/Moscow", "+0300"), ("Asia/Kolkata", "+0530"), ("Etc/GMT+9", "-0900"), ("America/Caracas", "-0400")])
def test_date_is_the_clock_on_the_wall(build, zone, offset):
    date = check_python(build(text="x", environment={"TZ": zone}).bytes)["date"]
    assert date.endswith(offset) and abs(date.datetime.timestamp() - time.time()) < 5


def test_own_date_and_message_id(build):
    message = check_python(build(text="x", headers=["date: Fri, 27 Nov 2026 12:00:00 +0300", "Message-id: <mine@example.org>"]).bytes)
    assert message.get_all("date") == ["Fri, 27 Nov 2026 12:00:00 +0300"] and message.get_all("message-id") == ["<mine@example.org>"]


INJECTIONS = ["a\r\nBcc: evil@example.org", "a\nX: y", "a\rX: y", "a\0b", "a\x1bb", "a\x7fb", "a\u0085b"]


@pytest.mark.parametrize("evil", INJECTIONS)
@pytest.mark.parametrize("where", ["subject", "from", "to", "cc", "reply_to", "sender", "headers", "name", "id"])
def test_nothing_is_smuggled_into_a_header(build, where, evil):
    options = {
        "subject": {"subject": evil}, "headers": {"headers": ["X-A: " + evil]},
        "from": {"from": f"{evil} <a@example.org>"}, "sender": {"sender": f"<a@example.org> ({evil})"},
        **{name: {name: [f"{evil} <a@example.org>"]} for name in ("to", "cc", "reply_to")},
        "name": {"attachments": [{"path": build.write("x"), "name": evil}]},
        "id": {"html": "<p>", "inlines": [{"path": build.write(PNG), "id": evil}]},
    }[where]
    if "\0" in evil and where in ("name", "id"):
        return  # a C string ends there; JSON cannot hand it over
    assert build(expect=65, text="x", **options).error


@pytest.mark.parametrize("options, code, words", [
    ({"from": ""}, 64, ["From", "who is the message from"]),
    ({"from": "a@example.org, b@example.org"}, 64, ["Sender"]),
    ({"from": "us: a@example.org;"}, 65, ["no groups"]),
    ({"from": "Bill"}, 65, ["From", "@"]),
    ({"to": ["Smith, Bill <bill@example.org>"]}, 65, ["To", "quotes"]),
    ({"to": ["bill@example..org"]}, 65, ["To", "bill@example..org"]),
    ({"to": ["a@example.org; b@example.org"]}, 65, ["commas"]),
    ({"headers": ["nonsense"]}, 64, ["Name: value"]),
    ({"headers": ["A B: x"]}, 64, ["Name: value"]),
    ({"headers": ["Subject: x"]}, 64, ["Subject", "option"]),
    ({"headers": ["bcc: a@example.org"]}, 64, ["everybody"]),
    ({"headers": ["Content-Type: text/html"]}, 64, ["Content-Type"]),
    ({"headers": ["MIME-Version: 1.0"]}, 64, ["MIME-Version"]),
    ({"headers": ["Received: x"]}, 64, ["Received"]),
    ({"headers": ["Date: yesterday"]}, 65, ["Date", "looks like"]),
    ({"headers": ["Message-ID: x"]}, 65, ["<letters@example.org>"]),
    ({"headers": ["In-Reply-To: Жук"]}, 65, ["<letters@example.org>"]),
    ({"headers": ["Date: Fri, 27 Nov 2026 12:00:00 +0300", "date: Fri, 27 Nov 2026 12:00:00 +0300"]}, 64, ["once"]),
    ({"headers": ["X: y"] * 201}, 64, ["200"]),
    ({"subject": "x" * 70000}, 65, ["Subject", "65536"]),
])
def test_fields_that_are_wrong(build, options, code, words):
    error = build(expect=code, text="x", **options).error
    assert all(word in error for word in words), error


# ---- files ----

NAMES = ["plain.txt", "имя с пробелами.txt", "ж" * 120 + ".txt", 'a"b\\c;d=e%20.txt', "'single'*.txt", "no-extension", ".hidden", "a" * 200 + ".txt", "😀.txt", "tab\u00a0nbsp.txt",
         "UTF-8''x.txt", "=?utf-8?Q?x?=.txt", "dots...txt"]


@pytest.mark.parametrize("charset", ["utf-8", "koi8-r", "windows-1251"])
def test_names_of_files_come_back(build, charset):
    names = [name for name in NAMES if encodes(name, charset)]
    built = build(text="x", attachments=[(name, "x") for name in names], charset=charset)
    assert [leaf["name"] for leaf in python_leaves(built.bytes)["leaves"][1:]] == names
    told = [a["name"] for a in mailparser(built.bytes)["attachments"]]
    assert len(told) == len(names) and all(a == b for a, b in zip(told, names) if "=?" not in b)  # it decodes these once more
    plain = [name for name in names if "=?" not in name]  # MIME::Parser cannot tell these from its own
    assert [leaf["name"] for leaf in perl_leaves(built.bytes)["leaves"][1:] if "=?" not in leaf["name"] and leaf["name"] != "x.txt"] == [n for n in plain if n != "x.txt"]


def encodes(text, charset):
    try:
        return bool(text.encode(charset))
    except UnicodeEncodeError:
        return False


def test_another_name_and_type(build):
    built = build(text="x", attachments=[{"path": build.write(PNG, "x"), "name": "Очень " * 60 + ".png", "type": "image/x-own"}])
    leaf = python_leaves(built.bytes)["leaves"][1]
    assert leaf["name"] == "Очень " * 60 + ".png" and leaf["type"] == "image/x-own"
    assert mailparser(built.bytes)["attachments"][0]["name"] == "Очень " * 60 + ".png"


@pytest.mark.parametrize("name, content, type, charset", [
    ("a.png", PNG, "image/png", ""), ("a.txt", PNG, "image/png", ""), ("photo.png", EXE, EXE_TYPE, ""), ("a.csv", "a,b\n1,2\n", "text/csv", "us-ascii"),
    ("a.txt", RUSSIAN, "text/plain", "utf-8"), ("a.txt", RUSSIAN_PLAIN.encode("koi8-r"), "text/plain", ""), ("a.txt", "hello\n", "text/plain", "us-ascii"),
    ("a.html", "<!DOCTYPE html><html><body>x</body></html>", "text/html", "us-ascii"), ("a", b"", "application/octet-stream", ""),
    ("a.txt", RUSSIAN.encode("utf-16"), "application/octet-stream", ""), ("a.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\3\3\0\0\0\0\0\0\0\0\0", "application/gzip", ""),
    ("a.txt", "From: a@b\nSubject: x\n\nx\n", "text/plain", "us-ascii"), ("a.js", "var x = 1;\n", "application/javascript text/javascript", "us-ascii"),
])
def test_types_are_what_files_are(build, name, content, type, charset):
    leaf = python_leaves(build(text="x", attachments=[(name, content)]).bytes)["leaves"][1]
    assert leaf["type"] in type.split() and leaf["charset"] == charset
    assert leaf["content"] == (content if isinstance(content, bytes) else content.encode())


EML = b"From: a@example.org\nTo: b@example.org\nSubject: inner\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"x\"\n\n--x\n\nhello\n--x--\n"


@pytest.mark.parametrize("content, encoding, type", [
    (EML, "7bit", "message/rfc822"), (EML.replace(b"\n", b"\r\n"), "7bit", "message/rfc822"), (EML, "binary", "message/rfc822"),
    (EML.replace(b"hello", "привет".encode()), "7bit", "application/octet-stream"), (EML.replace(b"hello", "привет".encode()), "8bit", "message/rfc822"),
    (EML.replace(b"hello", b"x" * 2000), "8bit", "application/octet-stream"), (EML.replace(b"hello", b"a\0b"), "8bit", "application/octet-stream"), (b"no message\n", "7bit", "application/octet-stream"),
])
def test_messages_are_never_base64(build, content, encoding, type):
    """RFC 2046 5.2.1."""
    built = build(text="x", attachments=[("m.eml", content)], encoding=encoding)
    leaf = python_leaves(built.bytes)["leaves"][1]
    assert leaf["type"] == type and leaf["name"] == "m.eml"
    if type == "message/rfc822":
        assert leaf["content"].replace(b"\r\n", b"\n") == content.replace(b"\r\n", b"\n")
        part = [p for p in check_python(built.bytes).walk()][2]
        assert part["content-transfer-encoding"] == ("8bit" if b"\xd0" in content else "7bit")
    else:
        assert leaf["content"] == content


def test_a_thousand_files_need_few_descriptors(build, tmp_path):
    for i in range(1000):
        (tmp_path / f"f{i}").write_bytes(b"%d" % i)
    files = [{"path": str(tmp_path / f"f{i}")} for i in range(1000)]
    path = build.write(json.dumps({"from": "a@example.org", "text_file": build.write("x"), "attachments": files}))
    result = subprocess.run(f"ulimit -n 20; exec {PROGRAMS}/write_message <{path}", shell=True, capture_output=True)
    assert result.returncode == 0, result.stderr
    assert [leaf["content"] for leaf in python_leaves(result.stdout)["leaves"][1:]] == [b"%d" % i for i in range(1000)]
    more = build(expect=64, text="x", attachments=files + files[:1])
    assert "1000" in more.error


@pytest.mark.parametrize("options, code, words", [
    ({"attachments": [{"path": "/nonexistent/x"}]}, 66, ["/nonexistent/x", "No such file"]),
    ({"attachments": [{"path": "/tmp"}]}, 66, ["/tmp", "folder"]),
    ({"attachments": [{"path": "/dev/zero"}]}, 66, ["/dev/zero", "read twice"]),
    ({"attachments": [("a.txt", "x", )], "part_bytes_max": 1, "all_bytes_max": 1}, 0, []),
    ({"attachments": [("big.txt", b"x" * 2048)], "part_bytes_max": 1024}, 65, ["big.txt", "2048 bytes (2.0 KiB)", "1024 bytes (1.0 KiB)"]),
    ({"attachments": [("a.txt", b"x" * 600), ("b.txt", b"y" * 600)], "all_bytes_max": 1024}, 65, ["b.txt", "1200 bytes", "1024 bytes"]),
    ({"attachments": [("evil.exe", EXE)], "extensions": ["png", "jpg"]}, 65, ["evil.exe", ".exe", "png, jpg"]),
    ({"attachments": [("evil", EXE)], "extensions": ["png"]}, 65, ["evil", "without an extension", "png"]),
    ({"attachments": [("good.PNG", PNG)], "extensions": [".png"], "types": ["image/*"]}, 0, []),
    ({"attachments": [("photo.png", EXE)], "extensions": ["png"], "types": ["image/*"]}, 65, ["photo.png", EXE_TYPE, "PE32 executable (GUI)", "image/*"]),
    ({"attachments": [("t.csv", "a,b\n")], "types": ["text/csv"]}, 0, []),
    ({"attachments": [("t.png", b"")], "types": ["image/*"]}, 65, ["t.png", "empty", "image/*"]),
    ({"inlines": [("photo.png", EXE)], "html": "<img src=cid:photo.png>", "types": ["image/*"]}, 65, ["photo.png", EXE_TYPE]),
    ({"inlines": [("a.png", PNG)]}, 64, ["HTML", "cid:NAME"]),
    ({"inlines": [("a.png", PNG), ("a.png", PNG)], "html": "<p>"}, 64, ["two pictures", "cid:a.png"]),
    ({"inlines": [("a.png", PNG)], "html": "<img src='cid:b.png'>"}, 65, ["cid:b.png", "a.png"]),
    ({"html": "<img src='cid:b.png'>"}, 65, ["cid:b.png", "no picture"]),
])
def test_limits_and_wrong_files(build, options, code, words):
    error = build(expect=code, text="x", **options).error
    assert all(word in error for word in words), error


@pytest.mark.parametrize("part, words", [
    ({"type": "image"}, ["image", "looks like image/png"]), ({"type": "a/b; x=y"}, ["looks like"]), ({"type": "multipart/mixed"}, ["multipart/mixed", "octet-stream"]),
    ({"type": "message/partial"}, ["message/partial"]), ({"name": ""}, ["1 to 1000"]), ({"name": "a/b"}, ["slash"]), ({"name": "x" * 1001}, ["1000"]),
])
def test_wrong_names_and_types(build, part, words):
    error = build(expect=65, text="x", attachments=[{"path": build.write("x"), **part}]).error
    assert all(word in error for word in words), error


def test_pictures_by_any_name(build):
    html = "<img src=\"cid:my logo.png\"><img src='cid:%D0%B6.png'><img src=cid:own@example.org><td style=\"background:url(cid:plain.png)\">"
    built = build(text="x", html=html, inlines=[("my logo.png", PNG), ("ж.png", PNG), {"path": build.write(PNG, "a.png"), "id": "own@example.org"}, ("plain.png", PNG)])
    node = mailparser(built.bytes)
    assert len(node["attachments"]) == 4 and all("cid:" + a["cid"] in node["html"] for a in node["attachments"])
    assert "own@example.org" in [a["cid"] for a in node["attachments"]]
    assert any(re.fullmatch(r"plain\.png\.[0-9a-z]{20}@host\.example\.org", a["cid"]) for a in node["attachments"])


# ---- large, slow, broken ----

def test_a_gibibyte_needs_little_memory(build, tmp_path):
    size = 1 << 30
    with open(tmp_path / "large.bin", "wb") as f:
        f.truncate(size)
    began = time.monotonic()
    built = build(text="x", attachments=[{"path": str(tmp_path / "large.bin")}], stdout=subprocess.DEVNULL)
    assert time.monotonic() - began < 60  # about 5 s on an idle machine
    lines = (size + 56) // 57
    assert abs(built.facts["bytes"] - ((size + 2) // 3 * 4 + 2 * lines)) < 2000
    assert built.facts["peak_kib"] < 30 * 1024, built.facts
    done, total, times = built.facts["progress"]
    assert times > 1000 and 0.999 < done / total <= 1


@pytest.mark.parametrize("encoding", ["7bit", "binary"])
def test_large_files_come_back(build, encoding):
    content = random.Random(1).randbytes(9 * 1024 * 1024 + 1)
    built = build(text="x", attachments=[("r.bin", content)], encoding=encoding)
    assert python_leaves(built.bytes)["leaves"][1]["content"] == content
    assert built.facts["body"] == ("7bit" if encoding == "7bit" else "binary")


def test_a_full_disk_and_giving_up(build):
    big = ("r.bin", bytes(4 << 20))
    with open("/dev/full", "wb") as full:
        assert "No space left" in build(expect=74, text="x", attachments=[big], stdout=full).error
    assert build(expect=75, text="x", attachments=[big], environment={"GIVE_UP": "1"}).error


def test_only_what_talks_to_others_links_glib():
    """A role that reads mail from the network has no MIME library that could be attacked with it; no `sendmail` loads one."""
    folder = os.path.join(ROOT, "build/libexec")
    programs = {name: f"{folder}/{name}" for name in os.listdir(folder)} | {"troika": os.path.join(ROOT, "build/troika")}
    assert len(programs) >= 9
    linked = {name: subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout for name, path in programs.items()}
    assert all("libc.so" in libraries for libraries in linked.values())
    with_mime = {name for name, libraries in linked.items() if re.search(r"lib(glib|gobject|gmime|gio|xml2|magic|curl)", libraries)}
    assert with_mime == {"outward"}, linked


# ---- DKIM ----

@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    """{kind: (path of the private key, text of the DNS record)}"""
    folder = tmp_path_factory.mktemp("dkim")
    made = {}
    for kind, options in {"rsa": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "rsa1024": ["RSA", "-pkeyopt", "rsa_keygen_bits:1024"], "ed25519": ["ED25519"]}.items():
        path = str(folder / kind)
        subprocess.run(["openssl", "genpkey", "-algorithm", *options, "-out", path], check=True, capture_output=True)
        der = subprocess.run(["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
        public = base64.b64encode(der[-32:] if kind == "ed25519" else der).decode()
        made[kind] = (path, f"v=DKIM1; k={'ed25519' if kind == 'ed25519' else 'rsa'}; p={public}")
    return made


def sign(keys, kind, message):
    result = subprocess.run([PROGRAMS + "/sign_message", keys[kind][0], "example.org", "s1"], input=message, capture_output=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith(message)
    for line in lines_of(result.stdout[:-len(message)]):
        assert len(line) <= 78
    return result.stdout


def dkimpy_verifies(record, message):
    import dkim
    return dkim.verify(message, dnsfunc=lambda name, timeout=5: record.encode())


def perl_verifies(record, message):
    """Mail::DKIM of Debian 12 knows RSA only."""
    result = subprocess.run(["perl", HERE + "/verify_dkim.pl", record], input=message, capture_output=True, text=False)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout.decode().strip() == "pass"


def check_signed(keys, kind, message):
    signed = sign(keys, kind, message)
    record = keys[kind][1]
    changed = re.sub(rb"(?i)(\nfrom ?:)", rb"\1 x", signed, count=1)
    assert changed != signed
    if b" :" not in message.partition(b"\r\n\r\n")[0]:  # which dkimpy does not parse
        assert dkimpy_verifies(record, signed) and not dkimpy_verifies(record, changed)
    if kind != "ed25519":
        assert perl_verifies(record, signed) and not perl_verifies(record, changed)
    return signed


HEADERS = {
    "plain": b"From: a@example.org\r\nTo: b@example.org\r\nSubject: x\r\nDate: Fri, 27 Nov 2026 12:00:00 +0300\r\n",
    "folded": b"From:\r\n\tIvan\r\n  <a@example.org>\r\nSubject: one\r\n two\r\n\t three  four\r\n\t\r\n five\r\nTo:   a@b.example ,\r\n   c@d.example   \r\n",
    "bare": b"From:a@example.org\r\n",
    "twice": b"Subject: first\r\nFrom: a@example.org\r\nSubject: second\r\nTo: a@b.example\r\nTo: c@d.example\r\nReceived: by x\r\nReceived: by y\r\n",
    "cases": b"FROM: a@example.org\r\nsubject: x\r\nMESSAGE-ID: <a@b>\r\n",
    "empty": b"From: a@example.org\r\nSubject:\r\nTo: \r\nCc:\t \r\n",
    "utf8": "From: жук@example.org\r\nSubject: Привет\r\n".encode(),
    "long": b"From: a@example.org\r\nReferences: " + b" ".join(b"<%d@example.org>" % i for i in range(50)) + b"\r\nX-Other: not signed\r\nList-Unsubscribe: <https://example.org>\r\n",
    "blank-before-colon": b"From : a@example.org\r\nSubject \t: x\r\n",
}
BODIES = {
    "none": b"", "one": b"x\r\n", "empty-line": b"\r\n", "empty-lines": b"\r\n\r\n\r\n", "trailing-lines": b"x\r\n\r\n\r\n\r\n", "no-end": b"x", "blanks": b"a  b \t c \r\n \t\r\n  d\r\n",
    "only-blanks": b" \t \r\n \r\n", "inner-lines": b"a\r\n\r\n\r\nb\r\n", "8bit": "привет\r\n".encode(), "long": b"x" * 70000 + b"\r\n" + b"y z\r\n" * 5000, "dots": b".\r\n..\r\nFrom x\r\n",
}


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
@pytest.mark.parametrize("body", BODIES)
def test_signed_bodies(keys, kind, body):
    check_signed(keys, kind, HEADERS["plain"] + b"\r\n" + BODIES[body])


@pytest.mark.parametrize("kind", ["rsa", "rsa1024", "ed25519"])
@pytest.mark.parametrize("header", HEADERS)
def test_signed_headers(keys, kind, header):
    check_signed(keys, kind, HEADERS[header] + b"\r\nhello\r\n")


def test_what_was_not_there_cannot_be_added(keys):
    signed = check_signed(keys, "rsa", HEADERS["plain"] + b"\r\nhello\r\n")
    for added in (b"Subject: evil\r\n", b"From: evil@example.org\r\n", b"Reply-To: evil@example.org\r\n", b"Cc: x@example.org\r\n", b"Content-Type: text/html\r\n"):
        for place in (signed.index(b"From:"), signed.index(b"\r\n\r\n") + 2):
            changed = signed[:place] + added + signed[place:]
            assert not dkimpy_verifies(keys["rsa"][1], changed) and not perl_verifies(keys["rsa"][1], changed)
    harmless = signed[:signed.index(b"From:")] + b"Received: by relay\r\n" + signed[signed.index(b"From:"):]
    assert dkimpy_verifies(keys["rsa"][1], harmless) and perl_verifies(keys["rsa"][1], harmless)


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
@pytest.mark.parametrize("structure", ["text", "all"])
@pytest.mark.parametrize("encoding", ["7bit", "8bit", "binary"])
def test_built_and_signed(build, keys, kind, structure, encoding):
    built = build(encoding=encoding, dkim={"key_file": keys[kind][0], "domain": "example.org", "selector": "s1"}, **parts_of(structure, RUSSIAN))
    assert built.facts["body"] == "7bit"  # whatever the server takes: no relay needs to change it
    assert dkimpy_verifies(keys[kind][1], built.bytes)
    assert kind == "ed25519" or perl_verifies(keys[kind][1], built.bytes)
    assert built.bytes.startswith(b"DKIM-Signature: ")
    check_leaves(python_leaves(built.bytes), structure, RUSSIAN, "utf-8")


def test_large_and_signed(build, keys):
    built = build(text="x", attachments=[("r.bin", bytes(5 << 20))], dkim={"key_file": keys["rsa"][0], "domain": "example.org", "selector": "s1"})
    assert dkimpy_verifies(keys["rsa"][1], built.bytes)
    done, total, times = built.facts["progress"]
    assert times >= 12 and 0.9 < done / total <= 1


def test_keys_that_are_none(build, keys):
    for key, words in ((build.write("hello"), ["no private key"]), (build.write(""), ["no private key"])):
        error = build(expect=65, text="x", dkim={"key_file": key, "domain": "example.org", "selector": "s1"}).error
        assert all(word in error for word in words), error

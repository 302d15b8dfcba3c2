"""troika send: what a person types, what arrives, and what is said when something is wrong."""
# SPDX-License-Identifier: ISC
import base64
import email
import email.policy
import hashlib
import json
import os
import re
import signal
import subprocess

import pytest
import troika
from certificates import Authority
from names import NameServer
from scripted import ScriptedPop3, ScriptedSmtp
from sinks import Sink
from troika import Troika, free_port, wait_for

NAME, PASSWORD = "mail.example.test", "correct horse 7"
FROM_TO = ("--from", "alice@example.test", "--to", "bob@example.test")


def send(*arguments, input=None, environment=None, timeout=60):
    """troika send, without any configuration: the whole result."""
    given = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
    return subprocess.run([troika.programs() + "/troika", "send", "-c", "/nonexistent", *map(str, arguments)], capture_output=True, text=True,
                          timeout=timeout, env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})}, **given)


def via(server, scheme="smtp"):
    return "--via", f"{scheme}://127.0.0.1:{server.port}"


def parsed(content):
    return email.message_from_bytes(content, policy=email.policy.default)


@pytest.fixture(scope="module")
def ca():
    with Authority() as a:
        yield a


@pytest.fixture
def sink():
    with ScriptedSmtp() as s:
        yield s


# ---- the message ----

def test_all_of_a_message(sink, tmp_path):
    (tmp_path / "Отчёт.txt").write_text("цифры\n")
    (tmp_path / "logo.png").write_bytes(base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="))
    result = send(*via(sink), "--from", "Алиса <alice@example.test>", "--to", "Bob <bob@example.test>, carol@example.test", "--cc", "dan@example.test",
                  "--bcc", "erin@example.test", "--bcc", "bob@example.test", "--reply-to", "answers@example.test", "--subject", "Привет, мир",
                  "--header", "X-Kind: проба", "--attach", tmp_path / "Отчёт.txt", "--attach", f"{tmp_path}/Отчёт.txt;name=second.bin;type=application/octet-stream",
                  "--inline", f"{tmp_path}/logo.png;id=logo", "--html", '<p>Здравствуй <img src="cid:logo"></p>', "Здравствуй")
    assert result.returncode == 0, result.stderr
    assert [line.split()[1] for line in sink.commands if line.startswith("RCPT")] == [f"TO:<{u}@example.test>" for u in ("bob", "carol", "dan", "erin")]
    m = parsed(sink.messages[0])
    assert m["Subject"] == "Привет, мир" and m["X-Kind"] == "проба" and m["Bcc"] is None
    assert m["From"].addresses[0].display_name == "Алиса" and m["To"].addresses[0].display_name == "Bob"
    assert [a.addr_spec for a in m["Cc"].addresses] == ["dan@example.test"] and m["Reply-To"].addresses[0].addr_spec == "answers@example.test"
    assert m.get_body(("plain",)).get_content().strip() == "Здравствуй" and "<p>Здравствуй" in m.get_body(("html",)).get_content()
    parts = {p.get_filename() or p.get("Content-ID"): p for p in m.walk() if not p.is_multipart()}
    assert parts["Отчёт.txt"].get_content().splitlines() == ["цифры"] and parts["second.bin"].get_content_type() == "application/octet-stream"
    image = next(p for p in parts.values() if p.get_content_type() == "image/png")
    assert f'src="cid:{image["Content-ID"].strip("<>")}"' in m.get_body(("html",)).get_content()


@pytest.mark.parametrize("source", ["arguments", "stdin", "file", "dash", "editor", "html"])
def test_where_the_text_comes_from(sink, tmp_path, source):
    file = tmp_path / "text"
    file.write_text("строка\n.\nконец\n")
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\ngrep -q "To: bob@example.test" "$2" || exit 3\ncat "$1" "$2" >"$2.new" && mv "$2.new" "$2"\n')
    editor.chmod(0o755)
    arguments, more = {"arguments": (["строка\n.\nконец"], {}), "stdin": ([], {"input": file.read_text()}), "file": (["--body-file", file], {}),
                       "dash": (["--body-file", "-"], {"input": file.read_text()}),
                       "editor": (["--edit"], {"environment": {"VISUAL": f"{editor} {file}", "TMPDIR": str(tmp_path)}}),
                       "html": (["--html", "@" + str(file)], {})}[source]
    result = send(*via(sink), *FROM_TO, *arguments, **more)
    assert result.returncode == 0, result.stderr
    body = parsed(sink.messages[0]).get_body(("plain",)).get_content()
    if source == "html":
        assert "строка" in body and "конец" in body
    else:
        assert body.replace("\r\n", "\n").rstrip("\n") == "строка\n.\nконец"
    assert not list(tmp_path.glob("troika-*"))


def test_the_text_of_an_editor_is_not_lost(tmp_path):
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\necho "an hour of work" >"$1"\n')
    editor.chmod(0o755)
    with ScriptedSmtp({"DOT": b"554 5.7.1 no\r\n"}) as sink:
        result = send(*via(sink), *FROM_TO, "--edit", environment={"VISUAL": "", "EDITOR": str(editor), "TMPDIR": str(tmp_path)})
        assert result.returncode == 69
        kept = re.search(r"--body-file (\S+)", result.stderr).group(1)
        assert open(kept).read() == "an hour of work\n"
        sink.answers.clear()
        assert send(*via(sink), *FROM_TO, "--body-file", kept).returncode == 0
        assert b"an hour of work" in sink.messages[-1] and b">8" not in sink.messages[-1]


@pytest.mark.parametrize("script, code, word", [("exit 1", 69, "ended with 1"), (': >"$1"', 66, "nothing was written")])
def test_an_editor_that_writes_nothing(sink, tmp_path, script, code, word):
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\n" + script + "\n")
    editor.chmod(0o755)
    result = send(*via(sink), *FROM_TO, "--edit", environment={"VISUAL": str(editor), "TMPDIR": str(tmp_path)})
    assert result.returncode == code and word in result.stderr and sink.sessions == 0
    assert not list(tmp_path.glob("troika-*"))


def test_letters(sink, tmp_path):
    koi = tmp_path / "koi"
    koi.write_bytes("Съешь ещё\n".encode("koi8-r"))
    assert send(*via(sink), *FROM_TO, "--input-charset", "koi8-r", "--charset", "windows-1251", "--subject", "Булки", "--body-file", koi).returncode == 0
    m = parsed(sink.messages[0])
    assert m.get_content_charset() == "windows-1251" and m.get_content().strip() == "Съешь ещё" and m["Subject"] == "Булки"
    assert b"=?windows-1251?" in sink.messages[0].lower()
    wrong = send(*via(sink), *FROM_TO, "--body-file", koi)
    assert wrong.returncode == 65 and "0xF3" in wrong.stderr and "--input-charset" in wrong.stderr
    unfit = send(*via(sink), *FROM_TO, "--charset", "koi8-r", "日本")
    assert unfit.returncode == 65 and "日" in unfit.stderr
    assert send(*via(sink), *FROM_TO, "--charset", "koi8-r,auto", "日本").returncode == 0
    assert parsed(sink.messages[-1]).get_content_charset() == "utf-8"
    assert send(*via(sink), *FROM_TO, "--input-charset", "klingon", "--body-file", koi).returncode == 64


def test_limits_of_attachments(sink, tmp_path):
    (tmp_path / "a.txt").write_text("x" * 2000)
    (tmp_path / "b.png").write_text("no image at all")
    for arguments, word in ((["--max-attachment", "1K", "--attach", tmp_path / "a.txt"], "a.txt"), (["--allow-extensions", "png,.jpg", "--attach", tmp_path / "a.txt"], "a.txt"),
                            (["--allow-types", "image/*", "--attach", tmp_path / "b.png"], "b.png"), (["--attach", tmp_path / "none"], "none")):
        result = send(*via(sink), *FROM_TO, *arguments, "x")
        assert result.returncode in (65, 66) and word in result.stderr, result
    assert sink.sessions == 0
    assert send(*via(sink), *FROM_TO, "--max-attachment", "2K", "--allow-extensions", "png,TXT", "--allow-types", "text/plain", "--attach", tmp_path / "a.txt", "x").returncode == 0


def test_dkim(sink, tmp_path):
    key = tmp_path / "key.pem"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    assert send(*via(sink), *FROM_TO, "--dkim-key", key, "--dkim-selector", "s1", "x").returncode == 0
    signature = parsed(sink.messages[0])["DKIM-Signature"]
    assert "d=example.test" in signature and "s=s1" in signature
    for arguments, code, word in ((["--dkim-key", key], 64, "--dkim-selector"), (["--dkim-selector", "s1"], 64, "--dkim-key"),
                                  (["--dkim-key", "/nonexistent", "--dkim-selector", "s1"], 66, "No such file"),
                                  (["--dkim-key", __file__, "--dkim-selector", "s1"], 65, "--dkim-key")):
        result = send(*via(sink), *FROM_TO, *arguments, "x")
        assert result.returncode == code and word in result.stderr, result


@pytest.mark.parametrize("offers, encoding, parameter", [((), "quoted-printable", ""), (("8BITMIME",), "8bit", "BODY=8BITMIME"), (("8BITMIME", "BINARYMIME"), "8bit", "BODY=8BITMIME")])
def test_what_the_server_takes_is_what_it_gets(offers, encoding, parameter):
    with ScriptedSmtp(offers=offers) as sink:
        assert send(*via(sink), *FROM_TO, "--subject", "x", "Привет, мир! Hello, world, in plain letters: most of it is.").returncode == 0
        m = parsed(sink.messages[0])
        assert m["Content-Transfer-Encoding"] in (encoding, "base64" if encoding != "8bit" else encoding)
        assert "Привет, мир!" in m.get_content()
        mail = next(c for c in sink.commands if c.startswith("MAIL"))
        assert ("BODY=" in mail) == bool(parameter) and parameter in mail
        assert all(byte < 128 for byte in sink.messages[0]) or encoding == "8bit"


def test_binary_where_it_is_taken(tmp_path):
    content = bytes(range(256)) * 1000
    (tmp_path / "bytes").write_bytes(content)
    with Troika() as t:
        troika.open_to_all(tmp_path)
        result = t.run("send", *FROM_TO, "-v", "--attach", str(tmp_path / "bytes"), "x", check=False)
        assert result.returncode == 0 and "BODY=BINARYMIME" in result.stderr and "BDAT" in result.stderr, result
        (mail,) = t.wait_mails("bob")
        parts = [p for p in parsed(mail).walk() if p.get_filename() == "bytes"]
        assert parts[0].get_content() == content


def test_dsn():
    with ScriptedSmtp(offers=("DSN",)) as sink:
        assert send(*via(sink), *FROM_TO, "--notify", "success,delay", "--return", "headers", "--envid", "order-7", "x").returncode == 0
        assert "RET=HDRS" in next(c for c in sink.commands if c.startswith("MAIL")) and "ENVID=order-7" in next(c for c in sink.commands if c.startswith("MAIL"))
        assert "NOTIFY=SUCCESS,DELAY" in next(c for c in sink.commands if c.startswith("RCPT"))
    with ScriptedSmtp(offers=()) as sink:
        result = send(*via(sink), *FROM_TO, "--notify", "success", "x")
        assert result.returncode == 0 and "sends no reports" in result.stderr
    for arguments, word in ((["--notify", "sometimes"], "success, failure, delay"), (["--return", "all"], "full or headers"), (["--envid", ""], "--envid")):
        result = send("--via", "smtp://127.0.0.1:1", *FROM_TO, *arguments, "x")
        assert result.returncode == 64 and word in result.stderr


# ---- what is said ----

@pytest.mark.parametrize("arguments, code, word", [
    (["--to", "bob@example.test", "--via", "smtp://me:secret@mail.test"], 64, "--password-file"),
    (["--to", "bob@example.test", "--via", "http://mail.test"], 64, "smtp://"),
    (["--to", "bob@example.test", "--via", "pop://mail.test"], 64, "smtp://"),
    (["--to", "bob@example.test", "--via", "smtp://mail.test:99999"], 64, "65535"),
    (["--via", "smtp://127.0.0.1:1"], 64, "--to"),
    (["--to", "not an address", "--via", "smtp://127.0.0.1:1"], 65, "--to"),
    (["--to", "bob@example.test", "--from", "nobody", "--via", "smtp://127.0.0.1:1"], 65, "--from"),
    (["--to", "bob@example.test", "--via", "smtp://127.0.0.1:1", "--direct"], 64, "only one of"),
    (["--to", "bob@example.test", "--direct", "--user", "me"], 64, "logs in"),
    (["--to", "bob@example.test", "--via", "smtp://127.0.0.1:1", "--password-env", "X"], 64, "whose password"),
    (["--to", "bob@example.test", "--via", "smtp://me@127.0.0.1:1", "--password-env", "NO_SUCH"], 64, "NO_SUCH"),
    (["--to", "bob@example.test", "--via", "smtp://me@127.0.0.1:1", "--password-env", "X", "--password-file", "y"], 64, "only one of"),
    (["--to", "bob@example.test", "--via", "smtp://me@127.0.0.1:1", "--user", "you"], 64, "which of them"),
    (["--to", "bob@example.test", "--via", "smtp://127.0.0.1:1", "--tls", "maybe"], 64, "verified"),
    (["--to", "bob@example.test", "--via", "smtp://127.0.0.1:1", "--tls", "required", "--roots", "/nonexistent"], 66, "/nonexistent"),
    (["--to", "bob@example.test", "--via", "smtp://127.0.0.1:1", "--pop-first"], 64, "--pop-first="),
    (["--to", "bob@example.test", "--via", "smtp://127.0.0.1:1", "--max-attachment", "much"], 64, "--max-attachment"),
    (["--to", "bob@example.test", "--via", "smtp://127.0.0.1:1", "--body-file", "/nonexistent"], 66, "/nonexistent"),
    (["--to", "bob@example.test", "--via", "smtp://127.0.0.1:1", "--header", "no colon"], 64, "no colon"),
    (["--to", "bob@example.test", "--via", "smtp://no.such.name.invalid"], 68, "no.such.name.invalid"),
    (["--to", "bob@example.test", "--via", "yandx"], 68, "troika providers"),
    (["--to", "bob@example.test", "--via", "yandex"], 64, "--from"),
])
def test_what_is_wrong_is_said(arguments, code, word):
    text = [] if "--body-file" in arguments else ["text"]
    result = send(*arguments, *text, environment={"RES_OPTIONS": "timeout:1 attempts:1"})
    assert (result.returncode == code or (code == 68 and result.returncode == 75)) and word in result.stderr, result
    assert result.stdout == ""


def test_nobody_listens():
    port = free_port()
    result = send("--via", f"smtp://127.0.0.1:{port}", *FROM_TO, "x")
    assert result.returncode == 69 and "cannot connect" in result.stderr and "refused" in result.stderr
    assert f"127.0.0.1:{port}" in result.stderr and "what to try" in result.stderr


def test_refused_recipients_are_exact():
    def rcpt(session, line):
        return {"carol": "550 5.1.1 no such user\r\n", "dan": "452 4.2.2 mailbox full\r\n"}.get(re.search("<(.*)@", line).group(1), "250 2.1.5 ok\r\n")

    with ScriptedSmtp({"RCPT": rcpt}) as sink:
        to = ["--to", "bob@example.test,carol@example.test,dan@example.test,carol2@example.test"]
        result = send(*via(sink), "--from", "alice@example.test", *to, "x")
        assert result.returncode == 75
        assert result.stdout.splitlines() == ["<bob@example.test> 250 2.0.0 taken", "<carol2@example.test> 250 2.0.0 taken"]
        assert "<carol@example.test> 550 5.1.1 no such user" in result.stderr and "<dan@example.test> 452 4.2.2 mailbox full" in result.stderr
        assert "RCPT TO" in result.stderr and "sent to 2 of 4 recipients" in result.stderr
        rows = [json.loads(line) for line in send(*via(sink), "--from", "alice@example.test", *to, "--json", "x").stdout.splitlines()]
        assert [(r["to"].split("@")[0], r["accepted"], r["code"], r["status"], r["text"]) for r in rows[:-1]] == [
            ("bob", True, 250, "2.0.0", "taken"), ("carol", False, 550, "5.1.1", "no such user"), ("dan", False, 452, "4.2.2", "mailbox full"), ("carol2", True, 250, "2.0.0", "taken")]
        assert {k: rows[-1][k] for k in ("accepted", "refused", "later", "exit")} == {"accepted": 2, "refused": 1, "later": 1, "exit": 75}
        only = send(*via(sink), "--from", "alice@example.test", "--to", "carol@example.test", "x")
        assert only.returncode == 69 and only.stdout == ""


@pytest.mark.parametrize("stage, code, word", [("greeting", 75, "the greeting"), ("EHLO", 75, "EHLO"), ("MAIL", 75, "MAIL FROM"), ("RCPT", 75, "RCPT TO"), ("DATA", 75, "DATA"),
                                               ("DOT", 75, "message")])
def test_a_server_that_hangs_up(stage, code, word):
    with ScriptedSmtp({stage: None}, offers=("8BITMIME",)) as sink:
        result = send(*via(sink), *FROM_TO, "x")
        assert result.returncode == code and word in result.stderr, result
        assert sink.sessions == 1 and result.stdout == ""


@pytest.mark.parametrize("stage, answer, code", [
    ("greeting", b"554 5.3.2 go away\r\n", 69), ("greeting", b"421 4.3.2 busy\r\n", 75), ("MAIL", b"550 5.7.1 not you\r\n", 69), ("DATA", b"451 4.3.0 later\r\n", 75),
    ("DOT", b"554 5.7.1 spam\r\n", 69), ("DOT", b"552 5.3.4 too big\r\n", 69), ("greeting", b"HTTP/1.1 400 Bad Request\r\n", 76), ("MAIL", b"\xff\xfe\x1b[2J\r\n", 76)])
def test_refusals_at_each_step(stage, answer, code):
    with ScriptedSmtp({stage: answer}, offers=("8BITMIME",)) as sink:
        result = send(*via(sink), *FROM_TO, "x")
        assert result.returncode == code, result
        assert "this means" in result.stderr and "\x1b" not in result.stderr


def test_verbose_shows_the_dialogue_with_times(sink):
    result = send(*via(sink), *FROM_TO, "-v", "x")
    assert re.search(r"^ +\d+\.\d{3} <<< 220 scripted.test", result.stderr, re.M) and re.search(r"^ +\d+\.\d{3} >>> MAIL FROM:<alice", result.stderr, re.M)


def test_what_servers_say_does_not_move_the_cursor():
    with ScriptedSmtp({"RCPT": "550 5.1.1 \x1b[31mred\x07\u202eевил\r\n".encode()}) as sink:
        for more in ([], ["-v"]):
            result = send(*via(sink), *FROM_TO, *more, "x")
            assert result.returncode == 69 and not re.search("[\x1b\x07\u202e]", result.stderr) and "евил" in result.stderr


def test_dry_run(tmp_path):
    result = send("--via", "smtps://me@mail.invalid", *FROM_TO, "--dry-run", "--subject", "x", "Привет")
    assert result.returncode == 0 and parsed(result.stdout.encode())["Subject"] == "x"
    assert "nothing was sent" in result.stderr and "smtps://mail.invalid:465" in result.stderr and "logged in as me" in result.stderr
    plan = json.loads(send("--via", "smtps://me@mail.invalid", *FROM_TO, "--dry-run", "--json", "x").stdout)
    assert plan["to"] == ["bob@example.test"] and plan["tls"] == "verified" and plan["login"] == "me"


def test_russian():
    """In a place where nobody has generated ru_RU."""
    port = free_port()
    result = send("--via", f"smtp://127.0.0.1:{port}", *FROM_TO, "x", environment={"LC_ALL": "ru_RU.UTF-8"})
    assert result.returncode == 69 and "что" in result.stderr and "this means" not in result.stderr
    row = json.loads(send("--via", f"smtp://127.0.0.1:{port}", *FROM_TO, "--json", "x", environment={"LC_ALL": "ru_RU.UTF-8"}).stdout.splitlines()[0])
    assert row["step"] == "connecting" and not re.search("[а-я]", row["text"])


def test_a_server_that_says_nothing(tmp_path):
    with ScriptedSmtp({"greeting": lambda session, line: session.line()}) as sink:
        running = Running(tmp_path, *via(sink), *FROM_TO, "x")
        wait_for(lambda: "smtps://" in running.err.read_text(), 30, "a hint")
        assert running.interrupt()[0] == 130


# ---- large ones, and Ctrl-C ----

def test_large_attachments_cost_no_memory(tmp_path):
    big = tmp_path / "big"
    with open(big, "wb") as f:
        f.truncate(400 << 20)
    with ScriptedSmtp(keeps=False) as sink:
        program = [troika.programs() + "/troika", "send", "-c", "/nonexistent", *via(sink), *FROM_TO, "--attach", str(big), "x"]
        code, _, peak_kib = troika.measured(*program, env={**os.environ, "TMPDIR": "/var/tmp"}, timeout=300)
        assert code == 0 and sink.byte_count > (400 << 20) * 4 // 3
        assert peak_kib < 30 * 1024


class Running:
    """troika send while it runs, its output in files."""

    def __init__(self, tmp_path, *arguments, environment=None):
        self.out, self.err = tmp_path / "out", tmp_path / "err"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen([troika.programs() + "/troika", "send", "-c", "/nonexistent", *map(str, arguments)], stdout=out, stderr=err,
                                            stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
                                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30), self.err.read_text(), self.out.read_text()


@pytest.mark.parametrize("stage, word", [("RCPT", ">: not sent"), ("DOT", "nobody knows")])
def test_ctrl_c_says_what_was_sent(tmp_path, stage, word):
    def silence(session, line):
        assert session.line() is None
        raise OSError

    with ScriptedSmtp({stage: silence}, offers=("8BITMIME",)) as sink:
        running = Running(tmp_path, *via(sink), *FROM_TO, "--json", "x")
        wait_for(lambda: sink.messages if stage == "DOT" else [c for c in sink.commands if c.startswith("RCPT")], 30, stage)
        code, err, out = running.interrupt()
        assert code == 130 and "interrupted" in err and word in err and "<bob@example.test>" in err
        rows = [json.loads(line) for line in out.splitlines()]
        assert rows[0]["accepted"] is False and rows[-1]["exit"] == 130 and len(rows) == 2


# ---- passwords ----

class Submission(Troika):
    """.starttls is as port 587, .implicit as 465, .plain has logins without TLS."""

    def __init__(self, ca, pem=None):
        self.starttls, self.implicit, self.plain = free_port(), free_port(), free_port()
        pem = pem or ca.make(NAME, san=f"DNS:{NAME},DNS:localhost,IP:127.0.0.1")
        listeners = ((self.starttls, "s", "tls = required  auth = required"), (self.implicit, "i", "tls = implicit  auth = required"),
                     (self.plain, "p", "tls = optional  auth = required  plain-auth = yes"))
        listeners = [(port, name, words + "  cram-md5 = yes") for port, name, words in listeners]
        super().__init__(config=f'tls {{ certificate = "{pem}"  key = "{pem}" }}\n' +
                         "".join(f'listen {name} {{ address = {{ "127.0.0.1:{port}" }}  {words} }}\n' for port, name, words in listeners),
                         users=("bob",), relay_for='"192.0.2.0/24"')
        self.run("user", "add", "alice@example.test", "--password-stdin", "--cram-md5", input=PASSWORD)


@pytest.fixture(scope="module")
def submission(ca):
    with Submission(ca) as t:
        yield t


def url(t, how, host="localhost"):
    return f"{'smtps' if how == 'implicit' else 'smtp'}://alice@example.test@{host}:{getattr(t, how)}"


def log_in(t, ca, how, *arguments, host="localhost", environment=None, roots=True, **more):
    return send("--via", url(t, how, host), *FROM_TO, *(["--roots", ca.roots] if roots else []), *arguments, "x",
                environment={"TROIKA_PASSWORD": PASSWORD} if environment is None else environment, **more)


@pytest.mark.parametrize("how", ["starttls", "implicit"])
@pytest.mark.parametrize("mechanism", ["", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN", "CRAM-MD5"])
def test_logins(submission, ca, how, mechanism):
    before = len(submission.mails("bob"))
    result = log_in(submission, ca, how, "-v", *(["--mechanism", mechanism] if mechanism else []))
    assert result.returncode == 0, result.stderr
    assert f"AUTH {mechanism or 'SCRAM-'}" in result.stderr and "verified" in result.stderr
    submission.wait_mails("bob", before + 1)
    for secret in (PASSWORD, base64.b64encode(PASSWORD.encode()).decode(), base64.b64encode(f"\0alice@example.test\0{PASSWORD}".encode()).decode()):
        assert secret not in result.stderr + result.stdout


@pytest.mark.parametrize("source", ["file", "env", "command", "stdin", "TROIKA_PASSWORD"])
def test_where_the_password_comes_from(submission, ca, tmp_path, source):
    file = tmp_path / "pw"
    file.write_text(PASSWORD + "\nsecond line\n")
    file.chmod(0o600)
    arguments, more = {"file": (["--password-file", file], {"environment": {}}), "env": (["--password-env", "MINE"], {"environment": {"MINE": PASSWORD}}),
                       "command": (["--password-command", f"cat {file}; test -z \"$TROIKA_PASSWORD\""], {"environment": {}}),
                       "stdin": (["--password-stdin"], {"environment": {}, "input": PASSWORD + "\nthe rest"}), "TROIKA_PASSWORD": ([], {})}[source]
    result = log_in(submission, ca, "implicit", *arguments, **more)
    assert result.returncode == 0 and "can be read by others" not in result.stderr, result.stderr


def test_behind_the_password_may_come_the_text(submission, ca):
    before = len(submission.mails("bob"))
    result = send("--via", url(submission, "implicit"), *FROM_TO, "--roots", ca.roots, "--password-stdin", input=PASSWORD + "\nthe text of it\n")
    assert result.returncode == 0, result.stderr
    mails = submission.wait_mails("bob", before + 1)
    assert any(b"\r\n\r\nthe text of it\r\n" in m.replace(b"\n", b"\r\n").replace(b"\r\r", b"\r") for m in mails)


@pytest.mark.parametrize("arguments, environment, code, word", [
    ([], {"TROIKA_PASSWORD": "wrong horse"}, 77, "535"), (["--password-command", "exit 3"], {}, 66, "ended with 3"), (["--password-command", "true"], {}, 66, "empty"),
    (["--password-file", "/nonexistent"], {}, 66, "No such file"), (["--mechanism", "EXTERNAL"], {"TROIKA_PASSWORD": PASSWORD}, 77, "log in")])
def test_logins_that_fail(submission, ca, arguments, environment, code, word):
    result = log_in(submission, ca, "starttls", *arguments, environment=environment)
    assert result.returncode == code and word in result.stderr, result
    assert "wrong horse" not in result.stderr + result.stdout and PASSWORD not in result.stderr + result.stdout
    if code == 77:
        assert "what to try" in result.stderr or "this means" in result.stderr


def test_a_password_file_that_others_may_read(submission, ca, tmp_path):
    (tmp_path / "pw").write_text(PASSWORD)
    (tmp_path / "pw").chmod(0o644)
    result = log_in(submission, ca, "implicit", "--password-file", tmp_path / "pw", environment={})
    assert result.returncode == 0 and "chmod 600" in result.stderr


def test_the_secret_is_nowhere(ca, tmp_path):
    """Not in the list of processes, not in the environment of what is started, not in what is said: while it waits for a server that is silent."""
    def silence(session, line):
        assert session.line() is None
        raise OSError

    with ScriptedSmtp({"MAIL": silence}, offers=("AUTH PLAIN",), tls=ca.context("localhost", san="DNS:localhost,IP:127.0.0.1")) as sink:
        running = Running(tmp_path, "--via", f"smtp://me@localhost:{sink.port}", "--roots", ca.roots, *FROM_TO, "-v", "x", environment={"TROIKA_PASSWORD": PASSWORD})
        wait_for(lambda: [c for c in sink.commands if c.startswith("MAIL")], 30, "MAIL")
        assert sink.logins == [("PLAIN", f"\0me\0{PASSWORD}")]
        with open(f"/proc/{running.process.pid}/cmdline") as f:
            assert PASSWORD not in f.read()
        code, err, out = running.interrupt()
        assert "AUTH PLAIN ***" in err
        for secret in (PASSWORD, base64.b64encode(f"\0me\0{PASSWORD}".encode()).decode()):
            assert secret not in err + out


@pytest.mark.parametrize("mechanism, said", [("XOAUTH2", "user=me@x.test\1auth=Bearer a-token\1\1"), ("OAUTHBEARER", "n,a=me@x.test,\1host=localhost\1port={port}\1auth=Bearer a-token\1\1")])
def test_oauth(ca, mechanism, said):
    with ScriptedSmtp(offers=(f"AUTH {mechanism}",), tls=ca.context("localhost", san="DNS:localhost"), implicit=True) as sink:
        result = send("--via", f"smtps://me%40x.test@localhost:{sink.port}", "--roots", ca.roots, *FROM_TO, "--token-command", "echo a-token; echo more", "-v", "x")
        assert result.returncode == 0, result.stderr
        assert sink.logins == [(mechanism, said.format(port=sink.port))]
        assert "a-token" not in result.stderr


# ---- certificates ----

@pytest.mark.parametrize("certificate, roots, word", [
    (dict(san="DNS:other.test"), True, "other.test"), (dict(san="DNS:localhost", expired=True), True, "expired"), (dict(san="DNS:localhost", signed=False), True, ""),
    (dict(san="DNS:localhost"), False, "")])
@pytest.mark.parametrize("implicit", [False, True])
def test_bad_certificates(ca, certificate, roots, word, implicit):
    with ScriptedSmtp(offers=("AUTH PLAIN",), tls=ca.context("cert.test", **certificate), implicit=implicit) as sink:
        where = ("--via", f"{'smtps' if implicit else 'smtp'}://me@localhost:{sink.port}", *FROM_TO, *(["--roots", ca.roots] if roots else []))
        result = send(*where, "x", environment={"TROIKA_PASSWORD": PASSWORD})
        assert result.returncode == 76 and word in result.stderr and "--insecure" in result.stderr, result
        assert sink.logins == [] and sink.messages == []
        assert send(*where, "--insecure", "x", environment={"TROIKA_PASSWORD": PASSWORD}).returncode == 0
        assert sink.logins and sink.messages


def test_no_password_without_tls():
    """Neither when STARTTLS was taken out on the way, nor when it is not wanted, unless that is said."""
    with ScriptedSmtp(offers=("AUTH PLAIN LOGIN",)) as sink:
        where = ("--via", f"smtp://me@localhost:{sink.port}", *FROM_TO)
        for more, code in (([], 76), (["--tls", "optional"], 77), (["--tls", "off"], 77)):
            result = send(*where, *more, "x", environment={"TROIKA_PASSWORD": PASSWORD})
            assert result.returncode == code and sink.logins == [], result
        assert send(*where, "--tls", "off", "--insecure", "x", environment={"TROIKA_PASSWORD": PASSWORD}).returncode == 0
        assert sink.logins == [("PLAIN", f"\0me\0{PASSWORD}")]


@pytest.mark.parametrize("scheme, implicit", [("smtps", False)])
def test_the_wrong_kind_of_port(ca, scheme, implicit):
    with ScriptedSmtp(tls=ca.context("localhost"), implicit=implicit) as sink:
        result = send("--via", f"{scheme}://localhost:{sink.port}", "--roots", ca.roots, *FROM_TO, "x")
        assert result.returncode == 76 and "smtp://" in result.stderr, result


# ---- POP before SMTP ----

def pop_send(sink, pop, *more, scheme="pop", environment=None):
    return send("--via", f"smtp://localhost:{sink.port}", f"--pop-first={scheme}://alice@localhost:{pop.port}", *FROM_TO, *more, "x",
                environment={"TROIKA_PASSWORD": PASSWORD} if environment is None else environment)


@pytest.mark.parametrize("implicit", [False, True])
def test_pop_before_smtp(sink, ca, implicit):
    with ScriptedPop3(PASSWORD, tls=ca.context("localhost", san="DNS:localhost"), implicit=implicit) as pop:
        result = pop_send(sink, pop, "--roots", ca.roots, "-v", scheme="pops" if implicit else "pop")
        assert result.returncode == 0, result.stderr
        assert pop.commands[-3:] == ["USER alice", "PASS " + PASSWORD, "QUIT"] and len(sink.messages) == 1
        assert "PASS ***" in result.stderr and PASSWORD not in result.stderr
        wrong = pop_send(sink, pop, "--roots", ca.roots, scheme="pops" if implicit else "pop", environment={"TROIKA_PASSWORD": "wrong horse"})
        assert wrong.returncode == 77 and len(sink.messages) == 1 and "wrong" in wrong.stderr and "wrong horse" not in wrong.stderr
        untrusted = pop_send(sink, pop, scheme="pops" if implicit else "pop")
        assert untrusted.returncode == 76 and len(sink.messages) == 1 and pop.commands.count("PASS " + PASSWORD) == 1


def test_pop_without_tls(sink):
    with ScriptedPop3(PASSWORD) as pop:
        assert pop_send(sink, pop).returncode == 76
        assert pop_send(sink, pop, "--tls", "off").returncode == 77
        assert not [c for c in pop.commands if c.startswith("PASS")]
        assert pop_send(sink, pop, "--tls", "off", "--insecure").returncode == 0


def test_apop(sink):
    stamp = "<1896.697170952@dbc.mtview.ca.us>"
    seen = []

    def apop(session, line):
        seen.append(line)
        return "+OK in\r\n"

    with ScriptedPop3(PASSWORD, {"APOP": apop, "CAPA": b"-ERR\r\n"}, timestamp=stamp) as pop:
        assert pop_send(sink, pop, "--tls", "optional").returncode == 0
        assert seen == ["APOP alice " + hashlib.md5((stamp + PASSWORD).encode()).hexdigest()] and len(sink.messages) == 1


@pytest.mark.parametrize("answers, code, word", [({"greeting": None}, 75, "closed"), ({"greeting": b"220 mail ESMTP\r\n"}, 76, "not POP3"), ({"PASS": b"-ERR [SYS/TEMP] later\r\n"}, 75, "later"),
                                                 ({"PASS": b"-ERR [IN-USE] locked\r\n"}, 0, ""), ({"USER": None}, 75, "closed"), ({"CAPA": b"+OK\r\n" + b"X\r\n" * 200}, 76, "not POP3")])
def test_pop_servers_that_fail(sink, answers, code, word):
    with ScriptedPop3(PASSWORD, answers) as pop:
        result = pop_send(sink, pop, "--tls", "off", "--insecure")
        assert result.returncode == code and word in result.stderr and (len(sink.messages) == 1) == (code == 0), result


# ---- straight to the MX ----

ZONE = """
ns A 127.0.0.1
mx1 A 127.0.1.1
mx2 A 127.0.1.2
dead A 127.0.1.9
one MX 20 mx2
one MX 10 mx1
deadfirst MX 10 dead
deadfirst MX 20 mx2
null MX 0 .
"""


@pytest.fixture(scope="module")
def names():
    with NameServer({"test": ZONE}) as ns:
        yield ns


@pytest.fixture
def internet(names, tmp_path):
    """(troika send, {host: its server})"""
    with Sink(host="127.0.1.1") as first:
        with Sink(host="127.0.1.2", port=first.port) as second:
            config = tmp_path / "troika.conf"
            config.write_text(f'hostname = "sender.test"\nstate = "{tmp_path}/state"\ndns {{ {names.dns} smtp-port = {first.port} }}\n')

            def direct(*to, more=("--allow-private",)):
                return subprocess.run([troika.programs() + "/troika", "send", "-c", config, "--direct", *more, "--from", "alice@sender.test", "--to", ",".join(to), "x"],
                                      capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C.UTF-8"})
            yield direct, first, second


def test_direct(internet):
    direct, first, second = internet
    result = direct("a@one.test", "b@deadfirst.test", "c@one.test")
    assert result.returncode == 0, result.stderr
    assert [m[1] for m in first.messages] == [["a@one.test", "c@one.test"]] and [m[1] for m in second.messages] == [["b@deadfirst.test"]]
    assert result.stdout.count("250 2.0.0 taken") == 3


def test_direct_to_where_nothing_is(internet):
    direct, first, second = internet
    result = direct("a@none.test")
    assert result.returncode == 68 and "none.test" in result.stderr, result
    result = direct("a@null.test", "b@one.test")
    assert result.returncode == 69 or result.returncode == 68, result
    assert "<b@one.test> 250" in result.stdout and "<a@null.test>" in result.stderr and "sent to 1 of 2" in result.stderr
    private = direct("a@one.test", more=())
    assert private.returncode != 0 and len(first.messages) == 1, private


def test_the_server_of_an_address_is_found(ca):
    """By SRV, RFC 6186; its name is in the certificate."""
    port = free_port()
    zone = f"ns A 127.0.0.1\nmx A 127.0.1.5\n_submission._tcp.corp SRV 0 0 {port} mx.test.\ncorp A 127.0.1.5\nempty A 127.0.1.6\n"
    with NameServer({"test": zone}) as ns, Sink(host="127.0.1.5", port=port, tls=ca.context("mx.test")) as sink:
        resolver = ("--resolver", re.search('"(.*)"', ns.dns).group(1), "--roots", ca.roots, "-v")
        result = send("--via", "me@corp.test", "--to", "bob@example.test", *resolver, "--insecure", "x", environment={"TROIKA_PASSWORD": PASSWORD})
        assert "found by SRV: mx.test" in result.stderr and result.returncode == 77, result  # it offers no login
        nowhere = send("--via", "me@empty.test", "--to", "bob@example.test", *resolver, "x", environment={"TROIKA_PASSWORD": PASSWORD})
        assert nowhere.returncode == 68 and "smtp://USER@HOST" in nowhere.stderr, nowhere
        assert sink.messages == []


# ---- our own server ----

def test_queue(submission):
    before = len(submission.mails("bob"))
    result = submission.run("send", "--queue", "--from", "alice@example.test", "--to", "bob@example.test", "by the queue", check=False)
    assert result.returncode == 0 and re.search(r"250 2\.0\.0 accepted, id", result.stdout), result
    submission.wait_mails("bob", before + 1)
    refused = submission.run("send", "--queue", "--to", "nobody@example.test", "x", check=False)
    assert refused.returncode == 69 and "550" in refused.stderr


def test_queue_while_the_server_is_down():
    t = Troika()
    with t:
        t.stop()
        result = t.run("send", "--queue", "--from", "alice@example.test", "--to", "bob@example.test", "--notify", "never", "left", check=False)
        assert result.returncode == 0 and "later" in result.stdout, result
        t.start()
        assert b"left" in t.wait_mails("bob", seconds=60)[0]


def test_our_own_server_with_attachments(tmp_path):
    with Troika() as t:
        os.chmod(t.folder, 0o755)
        with open(t.folder + "/file.txt", "w") as f:
            f.write("attached\n")
        out = t.run("send", *FROM_TO, "--attach", t.folder + "/file.txt", "Привет")
        assert "250 2.0.0 accepted" in out
        m = parsed(t.wait_mails("bob")[0])
        assert [p.get_filename() for p in m.iter_attachments()] == ["file.txt"]

"""troika probe --listen: what it takes, shows and judges, with senders that others wrote."""
# SPDX-License-Identifier: ISC
import email
import os
import re
import smtplib
import socket
import ssl
import subprocess

import pytest
from certificates import Authority
from listen import Listen
from names import NameServer
from peers import Postfix
from troika import Dialogue, free_port, programs, wait_for

DATE = email.utils.formatdate()
GOOD = (f"Date: {DATE}\r\nFrom: Alice <alice@example.test>\r\nTo: bob@example.net\r\nSubject: =?UTF-8?B?0J/RgNC40LLQtdGC?=\r\n"
        "Message-ID: <1@example.test>\r\n\r\nhello\r\n")


def run(*arguments, **more):
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60, **more)


def troika(*arguments, **more):
    return run(programs() + "/troika", "probe", *arguments, **more)


def talk(port, *turns):
    """Each turn is sent at once and answered once; returns the codes."""
    with Dialogue(port) as d:
        codes = [d.reply()[0]]
        for turn in turns:
            d.raw(turn.encode("latin-1") if isinstance(turn, str) else turn)
            codes.append(d.reply()[0])
        return codes


HELLO = "EHLO mx.sender.test\r\n"
ENVELOPE = ("MAIL FROM:<a@b.test>\r\n", "RCPT TO:<c@d.test>\r\n")


# ---- what is taken and shown ----

def test_a_good_sender_is_not_blamed(tmp_path):
    with Listen("--save", str(tmp_path / "mail"), "--offer", "PIPELINING, 8BITMIME") as s:
        assert talk(s.port, HELLO, *ENVELOPE, "DATA\r\n", GOOD + "..dot\r\n.\r\n", "QUIT\r\n") == [220, 250, 250, 250, 354, 250, 221]
        m = s.wait("message")[0]
        assert s.findings("bad") == [] and s.findings("note") == ["dkim-missing"]
    assert s.code == 0
    assert (m["from"], m["to"], m["accepted"], m["whole"], m["code"], m["by"], m["tls"], m["file"]) == \
        ("a@b.test", ["c@d.test"], True, True, 250, "DATA", False, "000001.eml")
    assert ["Subject", "Привет"] in m["headers"]
    assert m["parts"] == [{"depth": 0, "type": "text/plain", "charset": "", "encoding": "", "disposition": "", "filename": "", "size": 13}]
    assert (tmp_path / "mail" / "000001.eml").read_bytes() == (GOOD + ".dot\r\n").encode()
    assert m["size"] == len(GOOD) + 6


def test_parts_are_shown_with_names_and_sizes(tmp_path):
    script = """
      const t = require('nodemailer').createTransport({host: '127.0.0.1', port: %d, tls: {rejectUnauthorized: false}});
      t.sendMail({from: 'alice@example.test', to: 'bob@example.net', subject: 'Тема', text: 'Привет, мир', html: '<b>Привет</b>',
                  attachments: [{filename: 'отчёт.bin', content: Buffer.alloc(3000, 7)}]})
       .then(i => console.log(i.response), e => { console.error(e); process.exit(1); });
    """
    with Listen() as s:
        result = run("/usr/bin/node", "-e", script % s.port, env={**os.environ, "NODE_PATH": "/usr/share/nodejs"})
        assert result.returncode == 0, result.stderr
        m = s.wait("message")[0]
        assert m["tls"] and s.findings("error") == []
    assert [(p["depth"], p["type"]) for p in m["parts"]] == [
        (0, "multipart/mixed"), (1, "multipart/alternative"), (2, "text/plain"), (2, "text/html"), (1, "application/octet-stream")]
    assert m["parts"][4]["filename"] == "отчёт.bin" and m["parts"][4]["encoding"] == "base64" and m["parts"][4]["size"] > 4000
    assert ["Subject", "Тема"] in m["headers"]


def test_count_ends_it():
    with Listen("--count", "2") as s:
        for _ in range(2):
            with smtplib.SMTP("127.0.0.1", s.port, local_hostname="mx.sender.test") as c:
                c.sendmail("a@b.test", ["c@d.test"], GOOD)
        assert s.process.wait(15) == 0
        assert s.events("summary") == [{"event": "summary", "sessions": 2, "messages": 2, "errors": 0, "warnings": 2, "notes": 2}]


def test_lmtp_answers_for_each_recipient():
    with Listen("--lmtp", misbehave="dot/for:e@f.test=452:4.2.2 full") as s:
        with smtplib.LMTP("127.0.0.1", s.port, local_hostname="mx.sender.test") as c:
            assert c.ehlo()[0] == 250  # says LHLO
            assert c.mail("a@b.test")[0] == 250 and c.rcpt("c@d.test")[0] == 250 and c.rcpt("e@f.test")[0] == 250
            assert c.docmd("DATA")[0] == 354
            c.send(GOOD + ".\r\n")
            assert c.getreply() == (250, b"2.0.0 accepted, id sink") and c.getreply() == (452, b"4.2.2 full")
        assert s.wait("disconnected") and s.findings("error") == []
    assert s.events("listening")[0]["protocol"] == "LMTP"


def test_for_a_person(tmp_path):
    out = tmp_path / "out"
    port = free_port()
    with open(out, "w") as output:
        sink = subprocess.Popen([programs() + "/troika", "probe", f"--listen={port}", "--hostname", "sink.test", "--count", "1"], stdout=output, stderr=output,
                                env={**os.environ, "LC_ALL": "C.UTF-8"})
    try:
        wait_for(lambda: "Ctrl-C" in out.read_text(), what="the sink")
        talk(port, HELLO, *ENVELOPE, "DATA\r\n", "Subject: \x1b[31mred\r\n\r\nx\n.\r\n.\r\n", "QUIT\r\n")
        assert sink.wait(15) == 65
    finally:
        sink.kill()
        sink.wait()
    text = out.read_text()
    assert f"listening on 127.0.0.1:{port} (SMTP)\n" in text
    assert re.search(r"1 +\d\.\d{3} C: EHLO mx\.sender\.test\n", text) and "S: 354 " in text
    assert "ERROR: a line ends in LF alone: line 3 [bare-lf, RFC 5321 2.3.8]" in text
    assert "ERROR: it has no Date [date-missing, RFC 5322 3.6.1]" in text
    assert "Subject     ?[31mred" in text and "\x1b" not in text  # a sender does not colour the terminal
    assert re.search(r"^1 session, 1 message: \d errors, \d warnings?$", text, re.M)


def test_quiet_shows_what_is_wrong_only(tmp_path):
    with Listen("--offer", "none") as s:  # the same by --json has everything
        talk(s.port, HELLO, "QUIT\r\n")
        s.wait("disconnected")
    port = free_port()
    sink = subprocess.Popen([programs() + "/troika", "probe", f"--listen={port}", "--quiet", "--count", "1"], stdout=subprocess.PIPE, text=True,
                            env={**os.environ, "LC_ALL": "C.UTF-8"})
    try:
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, what="the sink")
        talk(port, HELLO, *ENVELOPE, "DATA\r\n", "From: a@b.test\r\n\r\n.\r\n", "QUIT\r\n")
        text = sink.communicate(timeout=20)[0]
    finally:
        sink.kill()
        sink.wait()
    assert "EHLO" not in text and "note" not in text
    assert "date-missing" in text and "message" in text.splitlines()[-1]


# ---- what is judged ----

JUDGED = {
    "early-talker": lambda port: early(port),
    "pipelining-not-offered": lambda port: talk(port, "HELO a.b.test\r\nMAIL FROM:<a@b.test>\r\n"),
    "command-bare-newline": lambda port: talk(port, "EHLO a.b.test\n"),
    "name-not-qualified": lambda port: talk(port, "EHLO localhost\r\n"),
    "name-literal-other": lambda port: talk(port, "EHLO [192.0.2.1]\r\n"),
    "quit-missing": lambda port: talk(port, HELLO),
    "cut-in-message": lambda port: talk(port, HELLO, *ENVELOPE, "DATA\r\n") and None,
    "starttls-unused": lambda port: talk(port, HELLO, *ENVELOPE),
    "password-in-clear": lambda port: talk(port, HELLO, "AUTH PLAIN AGJvYgBzZWNyZXQ=\r\n"),
    "false-end": lambda port: talk(port, HELLO, *ENVELOPE, "DATA\r\n", "a: b\r\n\r\nx\n.\r\ny\r\n.\r\n"),
    "dot-not-stuffed": lambda port: talk(port, HELLO, *ENVELOPE, "DATA\r\n", "a: b\r\n\r\n.x\r\n.\r\n"),
    "8bit-unsaid": lambda port: talk(port, HELLO, *ENVELOPE, "DATA\r\n", "a: b\r\n\r\n\xff\r\n.\r\n"),
    "line-long": lambda port: talk(port, HELLO, *ENVELOPE, "DATA\r\n", "a: b\r\n\r\n" + "x" * 999 + "\r\n.\r\n"),
    "size-false": lambda port: talk(port, HELLO, "MAIL FROM:<a@b.test> SIZE=3\r\n", ENVELOPE[1], "DATA\r\n", GOOD + ".\r\n"),
    "starttls-pipelined": lambda port: talk(port, HELLO, "STARTTLS\r\nEHLO again.test\r\n"),
}


def early(port):
    with Dialogue(port) as d:
        d.raw(HELLO.encode())
        assert d.reply()[0] == 220


@pytest.mark.parametrize("name", JUDGED)
def test_judged(name):
    with Listen() as s:
        JUDGED[name](s.port)
        s.wait("disconnected")
        f = s.finding(name)
        assert f and f["rfc"].startswith("RFC ") and f["text"], s.events("finding")
    assert s.code == (65 if s.findings("error") else 0)


def test_who_says_nothing_is_told_to_go():
    with Listen("--timeout", "1") as s, Dialogue(s.port) as d:
        d.reply()
        d.say("EHLO mx.sender.test")
        assert d.reply()[0] == 421 and d.ended()
        s.wait("disconnected")
        assert s.findings("bad") == ["silent"]


def test_the_name_is_looked_up():
    with NameServer({"test": "mx.right A 127.0.0.1\nmx.other A 192.0.2.7\n"}) as names, Listen("--resolver", f"127.0.0.1@{names.port}") as s:
        for number, (name, finding) in enumerate((("mx.right.test", "name-confirmed"), ("mx.other.test", "name-elsewhere"), ("mx.nowhere.test", "name-unresolved")), 1):
            talk(s.port, f"EHLO {name}\r\n", "QUIT\r\n")
            s.wait("disconnected", number)
            wait_for(lambda: s.finding(finding), what=finding)
            assert s.finding(finding)["detail"] == name


# ---- other people's senders ----

def test_swaks_with_tls_and_login():
    with Listen() as s:
        result = run("swaks", "--server", f"127.0.0.1:{s.port}", "--helo", "mx.sender.test", "--from", "a@b.test", "--to", "c@d.test", "--tls", "--auth", "LOGIN",
                     "--auth-user", "bob", "--auth-password", "geheim")
        assert result.returncode == 0, result.stdout
        m = s.wait("message")[0]
        assert m["login"] == "bob" and m["tls"] and s.findings("error") == []
        assert s.events("login")[0] == {**s.events("login")[0], "mechanism": "LOGIN", "user": "bob", "accepted": True}
        assert "auth-old" in s.findings("note")
        assert "geheim" not in s.text() and "Z2VoZWlt" not in s.text()
    assert s.code == 0


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"])
@pytest.mark.parametrize("password, accepted", [("geheim", True), ("falsch", False)])
def test_a_password_of_its_own(tmp_path, mechanism, password, accepted):
    (tmp_path / "password").write_text("geheim\n")
    message = tmp_path / "m"
    message.write_text(GOOD)
    with Listen("--password-file", str(tmp_path / "password")) as s:
        result = run("gsasl", "--smtp", "--connect", f"127.0.0.1:{s.port}", "--mechanism", mechanism, "--no-starttls", "--authentication-id", "bob",
                     "--authorization-id", "", "--password", password, "--hostname", "sink.test", "--service", "smtp", input="QUIT\r\n") if mechanism.startswith("SCRAM") else \
            run("swaks", "--server", f"127.0.0.1:{s.port}", "--helo", "mx.sender.test", "--from", "a@b.test", "--to", "c@d.test", "--auth", mechanism,
                "--auth-user", "bob", "--auth-password", password)
        login = s.wait("login")[0]
        assert (login["mechanism"], login["user"], login["accepted"]) == (mechanism, "bob", accepted), result.stdout + result.stderr
        assert ("password-in-clear" in s.findings("error")) == (mechanism in ("PLAIN", "LOGIN"))


def test_curl_by_implicit_tls():
    with Listen(tls=True) as s:
        result = run("curl", "-sS", "-k", "--url", f"smtps://127.0.0.1:{s.tls_port}/mx.sender.test", "--mail-from", "a@b.test", "--mail-rcpt", "c@d.test",
                     "--upload-file", "-", input=GOOD)
        assert result.returncode == 0, result.stderr
        m = s.wait("message")[0]
        assert m["tls"] and s.events("secured")[0]["tls"].startswith("TLSv1.3")
        assert s.findings("error") == []


def test_msmtp_checks_the_certificate(tmp_path):
    """It refuses one that nobody has signed, and takes one of an authority that it knows."""
    with Authority() as ca:
        pem = ca.make("localhost", san="DNS:localhost,IP:127.0.0.1")
        with Listen("--certificate", pem) as s, Listen() as bad:
            def send(port):
                return run("msmtp", "--host=localhost", f"--port={port}", "--tls=on", "--tls-starttls=on", f"--tls-trust-file={ca.roots}",
                           "--from=a@b.test", "--domain=mx.sender.test", "--", "c@d.test", input=GOOD)
            assert send(s.port).returncode == 0
            assert s.wait("message")[0]["tls"]
            assert s.events("secured")[0]["server-name"] == "localhost"
            assert send(bad.port).returncode != 0
            bad.wait("disconnected")
            assert not bad.events("message")
            assert "tls-failed" in bad.findings() or "certificate-not-checked" not in bad.findings()


def test_smtplib_is_judged_fairly():
    with Listen() as s, smtplib.SMTP("127.0.0.1", s.port, local_hostname="mx.sender.test") as c:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        c.starttls(context=context)
        m = email.message.EmailMessage()
        m["From"], m["To"], m["Subject"], m["Date"], m["Message-ID"] = "a@b.test", "c@d.test", "héllo", DATE, "<1@b.test>"
        m.set_content("héllo\n.\n")
        c.send_message(m)
        s.wait("message")
        assert s.findings("bad") == ["8bit-unsaid"]  # it is so: send_message() says BODY=8BITMIME only with SMTPUTF8
        assert s.finding("8bit-unsaid")["detail"] == "line 10"


def test_postfix_as_the_sender():
    with Listen() as s, Postfix(s.port, outgoing_tls="may") as p:
        with smtplib.SMTP("127.0.0.1", p.port) as c:
            c.sendmail("a@b.test", ["c@far.test"], GOOD)
        m = s.wait("message", seconds=60)[0]
        s.wait("disconnected", seconds=60)
        assert m["tls"] and m["accepted"] and m["headers"][0][0] == "Received"
        assert s.findings("error") == [], s.events("finding")


# ---- limits, and a person's mistakes ----

def test_too_many_sessions_are_turned_away():
    with Listen() as s:
        held = [socket.create_connection(("127.0.0.1", s.port)) for _ in range(100)]
        s.wait("connected", 100)
        with Dialogue(s.port) as d:
            assert d.reply()[0] == 421
        assert len(s.wait("refused")) == 1
        for one in held:
            one.close()
        s.wait("disconnected", 100)
        assert talk(s.port, HELLO, "QUIT\r\n") == [220, 250, 221]


def test_a_large_message_takes_no_memory():
    with Listen("--offer", "SIZE 1000000000") as s:
        with Dialogue(s.port) as d:
            d.reply()
            for line in ("EHLO mx.sender.test", "MAIL FROM:<a@b.test> SIZE=200000000", "RCPT TO:<c@d.test>", "DATA"):
                d.say(line)
            d.raw(GOOD.encode())
            for _ in range(1000):
                d.raw(b"x" * 70 + b"\r\n" + (b"y" * 76 + b"\r\n") * 1000)
            d.raw(b".\r\n")
            assert d.reply()[0] == 250
        assert s.wait("message")[0]["size"] > 78_000_000
        with open(f"/proc/{s.process.pid}/status") as f:
            peak = int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1))
        assert peak < 60_000, peak


@pytest.mark.parametrize("arguments, code, words", [
    (("--listen=nowhere",), 64, "give an address and a port"),
    (("--listen=192.0.2.1:25",), 69, "cannot listen on 192.0.2.1:25"),
    (("--listen", "--misbehave", "rcpt=nonsense"), 64, "what? a reply such as 452:4.2.2 full"),
    (("--listen", "--misbehave", "tls=450 x"), 64, "cannot be done at this step"),
    (("--listen", "--offer", "SIZE 10,!"), 64, "keywords of EHLO"),
    (("--listen", "--count", "many"), 64, "a number is wanted"),
    (("--listen", "--timeout", "long"), 64, "a number is wanted"),
    (("--listen", "--seed", "x", "--misbehave", "random"), 64, "a number is wanted"),
    (("--listen", "--certificate", "/nowhere.pem"), 66, "/nowhere.pem"),
    (("--listen", "--key", "/nowhere.pem"), 64, "--key without --certificate"),
    (("--listen", "--password-file", "/nowhere"), 66, "/nowhere"),
    (("--listen", "--save", "/proc/nowhere"), 73, "--save /proc/nowhere"),
    (("--listen", "--hostname", "a b"), 64, "that is no host name"),
])
def test_mistakes_of_a_person(arguments, code, words):
    result = troika(*arguments, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert result.returncode == code and words in result.stderr, result


def test_help_of_the_orders():
    result = troika("--listen", "--misbehave", "help")
    assert result.returncode == 0
    for word in ("banner", "starttls", "cut-after", "chance:10%", "endless"):
        assert word in result.stdout


def test_the_folder_is_never_written_over(tmp_path):
    (tmp_path / "000001.eml").write_text("mine")
    with Listen("--save", str(tmp_path), misbehave="dot/first:1=451:4.3.0 later") as s:
        for _ in range(2):
            talk(s.port, HELLO, *ENVELOPE, "DATA\r\n", GOOD + ".\r\n", "QUIT\r\n")
        s.wait("message", 2)
    assert (tmp_path / "000001.eml").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["000001.eml", "000003.eml"]  # 2 was refused


def test_the_page_names_every_finding():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with open(root + "/src/outward/listen/findings.def") as f:
        rows = re.findall(r'FINDING\(\w+, \w+, (\w+), "([^"]+)", "([^"]+)",\s+N_\("((?:[^"\\]|\\.)*)"\)\)', f.read())
    with open(root + "/docs/operating/testing-senders.md") as f:
        page = f.read()
    for severity, name, rfc, words in rows:
        assert f"| `{name}` | {severity.lower()} | {words} | {rfc} |" in page
    assert len(rows) > 80

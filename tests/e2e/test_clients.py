"""Mail from clients that others wrote arrives in the Maildir, whole."""
# SPDX-License-Identifier: ISC
import email
import email.policy
import os
import re
import subprocess

import pytest

TEXT = "Subject: from a client\r\nFrom: alice@example.test\r\nTo: bob@example.test\r\n\r\nfirst line\r\n.dot at the start\r\n..two\r\nlast line\r\n"
BODY = b"first line\n.dot at the start\n..two\nlast line\n"


def check_arrived(server, count=1):
    mails = server.wait_mails("bob", count)
    for mail in mails:
        assert b"\r" not in mail
        head, body = mail.split(b"\n\n", 1)
        assert body.rstrip(b"\n") == BODY.rstrip(b"\n")
        assert head.startswith(b"Return-Path: <alice@example.test>\nDelivered-To: bob@example.test\n")
        message = email.message_from_bytes(mail)
        assert re.search(r"by mail\.example\.test\b.*\bid [0-9a-z]{15}\b", message["Received"], re.S)
        assert message["Subject"] == "from a client" and message["Date"] and message["Message-ID"]
        assert not message.defects
    return mails


def test_smtplib(server):
    with server.smtp() as s:
        assert s.sendmail("alice@example.test", ["bob@example.test"], TEXT) == {}
    check_arrived(server)


def test_smtplib_many_messages_in_one_session(server):
    with server.smtp() as s:
        for _ in range(20):
            s.sendmail("alice@example.test", ["bob@example.test"], TEXT)
    check_arrived(server, 20)


def test_smtplib_several_recipients_one_refused(server):
    with server.smtp() as s:
        refused = s.sendmail("alice@example.test", ["bob@example.test", "nobody@example.test", "alice@example.test"], TEXT)
    assert list(refused) == ["nobody@example.test"] and refused["nobody@example.test"][0] == 550
    assert b"5.1.1" in refused["nobody@example.test"][1]
    check_arrived(server)
    assert len(server.wait_mails("alice")) == 1


def test_curl(server, tmp_path):
    (tmp_path / "m").write_bytes(TEXT.encode())
    subprocess.run(["curl", "-sS", "--url", f"smtp://127.0.0.1:{server.port}", "--mail-from", "alice@example.test", "--mail-rcpt",
                    "bob@example.test", "--upload-file", str(tmp_path / "m")], check=True, timeout=30)
    check_arrived(server)


@pytest.mark.parametrize("options", [[], ["--pipeline"], ["--protocol", "SMTP"]], ids=["plain", "pipelining", "helo"])
def test_swaks(server, options):
    result = subprocess.run(["swaks", "--server", f"127.0.0.1:{server.port}", "--from", "alice@example.test", "--to", "bob@example.test",
                             "--data", TEXT.replace("\r\n", "\n"), *options], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout
    check_arrived(server)


def test_msmtp(server):
    subprocess.run(["msmtp", "--host=127.0.0.1", f"--port={server.port}", "--from=alice@example.test", "--", "bob@example.test"],
                   input=TEXT.replace("\r\n", "\n").encode(), check=True, timeout=30)
    check_arrived(server)


def test_nodemailer(server, tmp_path):
    script = """
      const t = require('nodemailer').createTransport({host: '127.0.0.1', port: %d, ignoreTLS: true});
      t.sendMail({from: 'alice@example.test', to: 'bob@example.test', subject: 'héllo', text: 'Привет, мир\\n.\\n',
                  attachments: [{filename: 'a.bin', content: Buffer.alloc(200000, 7)}]})
       .then(i => { console.log(i.response); }, e => { console.error(e); process.exit(1); });
    """ % server.port
    result = subprocess.run(["/usr/bin/node", "-e", script], env={**os.environ, "NODE_PATH": "/usr/share/nodejs"}, capture_output=True,
                            text=True, timeout=60)
    assert result.returncode == 0 and "accepted, id" in result.stdout, result.stderr
    message = email.message_from_bytes(server.wait_mails("bob")[0])
    parts = [p for p in message.walk() if not p.is_multipart()]
    assert parts[0].get_payload(decode=True).decode().strip().startswith("Привет, мир")
    assert parts[1].get_payload(decode=True) == bytes([7]) * 200000


def test_troika_send(server):
    out = server.run("send", "--from", "alice@example.test", "--to", "bob@example.test", "--subject", "Тема письма, длинная и не ASCII: проверка",
                     input="Привет\n.\nконец\n")
    assert re.search(r"250 2\.0\.0 accepted, id [0-9a-z]{15}", out)
    message = email.message_from_bytes(server.wait_mails("bob")[0], policy=email.policy.default)
    assert message["Subject"] == "Тема письма, длинная и не ASCII: проверка"
    assert message.get_content().replace("\r\n", "\n") == "Привет\n.\nконец\n"  # in base64, because of the dot: lines end in CRLF
    assert message["To"].addresses[0].addr_spec == "bob@example.test" and message["From"].addresses[0].addr_spec == "alice@example.test"
    server.run("send", "--from", "alice@example.test", "--to", "alice@example.test, bob@example.test", "x")
    both = email.message_from_bytes(server.wait_mails("alice")[0], policy=email.policy.default)
    assert [str(a.addr_spec) for a in both["To"].addresses] == ["alice@example.test", "bob@example.test"]
    assert server.run("send", "--from", "alice@example.test", "--to", "nobody@example.test", "x", check=False).returncode == 69
    assert server.run("send", "--to", "not an address", "x", check=False).returncode == 65


@pytest.mark.parametrize("content", [b"", b".", b"\r\n", b".\r\n", b"..\r\n.\r\n", b"a" * 5000 + b"\r\n", b"x" * 998 + b"\r\n.y",
                                     bytes(c for c in range(256) if c not in (10, 13)) + b"\r\n"], ids=range(8))
def test_any_bytes_arrive_exactly(server, content):
    """Content as a client stuffs it, with lines over 998 bytes and all byte values."""
    import troika
    with troika.Dialogue(server.port) as d:
        d.reply()
        for line in ("EHLO c.test", "MAIL FROM:<alice@example.test> BODY=8BITMIME", "RCPT TO:<bob@example.test>", "DATA"):
            assert d.say(line)[0] in (250, 354)
        message = b"X: y\r\n\r\n" + content
        stuffed = b"\r\n".join((b"." + line if line.startswith(b".") else line) for line in message.split(b"\r\n"))
        d.raw(stuffed + (b"" if stuffed.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        assert d.reply()[0] == 250
    mail = server.wait_mails("bob")[0]
    got = mail.split(b"\n\n", 1)[1]
    want = content.replace(b"\r\n", b"\n")
    assert got == (want if want.endswith(b"\n") or not want else want + b"\n")


def test_a_person_types_slowly_in_any_case(server):
    import troika
    with troika.Dialogue(server.port) as d:
        code, words = d.reply()
        assert code == 220 and "mail.example.test" in words[0]
        for line, code, says in (("helo pc", 250, ""), ("mail from: alice@example.test", 250, "2.1.0"), ("RcPt  tO:  bob@example.test", 250, "2.1.5"),
                                 ("data", 354, "<CRLF>.<CRLF>")):
            for byte in line:
                d.raw(byte.encode())
            got, words = d.say("")
            assert got == code and says in words[0], (line, got, words)
        d.raw(b"Subject: typed\r\n\r\nhi\r\n.\r\n")
        assert d.reply()[0] == 250
        assert d.say("quit")[0] == 221
    assert b"Subject: typed\n\nhi\n" in server.wait_mails("bob")[0]


def test_unknown_commands_are_told_what_is_wrong(server):
    import troika
    with troika.Dialogue(server.port) as d:
        d.reply()
        assert d.say("HELLO you")[0] == 500
        code, words = d.say("HELP")
        assert code == 214 and any("MAIL" in line for line in words)
        code, words = d.say("HELP RCPT")
        assert code == 214 and any("RCPT TO:<" in line for line in words)
        code, words = d.say("HELP 5.7.1")
        assert code == 214 and any("relay-for" in line for line in words)
        d.say("EHLO c")
        assert d.say("RCPT TO:<bob@example.test>")[0] == 503
        assert d.say("MAIL FROM:alice@@example.test")[0] == 550
        assert d.say("VRFY bob") == (250, ["2.1.5 <bob@example.test>"])
        assert d.say("EXPN list")[0] == 550

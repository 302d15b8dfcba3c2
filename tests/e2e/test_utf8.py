"""SMTPUTF8 (RFC 6531) and domains in all letters: smtplib, aiosmtpd and Postfix on the other side, Python's email as the reader."""
# SPDX-License-Identifier: ISC
import email
import email.policy
import os
import smtplib
import subprocess

import pytest
from peers import Postfix
from sinks import Sink
from troika import Dialogue, Troika, free_port, open_to_all, wait_for

A_LABELS = "xn--e1afmkfd.xn--p1ai"  # пример.рф
BOX = "%d0%bf%d0%be%d1%87%d1%82%d0%b0"  # the folder of почта
HEADER = "From: Почта <почта@пример.рф>\r\nTo: почта@far.test\r\nSubject: Привет, мир\r\n\r\n"
MESSAGE = (HEADER + "Текст письма.\r\n").encode()


def send_utf8(port, sender, recipients, message=MESSAGE, options=("SMTPUTF8", "BODY=8BITMIME")):
    """By smtplib; returns the answers to RCPT and the one to DATA."""
    with smtplib.SMTP("127.0.0.1", port, local_hostname="client.test", timeout=60) as s:
        s.ehlo()
        s.command_encoding = "utf-8"
        assert s.has_extn("smtputf8") and s.has_extn("8bitmime")
        assert s.mail(sender, list(options))[0] == 250
        answers = [s.rcpt(one) for one in recipients]
        return answers, s.data(message) if any(code == 250 for code, _ in answers) else None


def reports(mail):
    """The parts of a report as Python's email sees them, and the text of each."""
    message = email.message_from_bytes(mail, policy=email.policy.SMTPUTF8)
    assert message.get_content_type() == "multipart/report" and message.is_multipart()
    assert not message.defects and not any(part.defects for part in message.walk())
    return message, message.get_payload()


def test_smtplib_sends_as_its_manual_says():
    """send_message finds by itself that it needs SMTPUTF8."""
    with Troika(config='domain "пример.рф" { accounts = yes }\n') as t:
        t.run("user", "add", "почта@пример.рф")
        message = email.message.EmailMessage(policy=email.policy.SMTPUTF8)
        message["From"] = "alice@example.test"
        message["To"] = "почта@пример.рф"
        message["Subject"] = "Привет"
        message.set_content("Текст\n")
        with t.smtp() as s:
            assert s.send_message(message) == {}
        (mail,) = t.wait_mails(BOX, domain=A_LABELS, seconds=60)
        got = email.message_from_bytes(mail, policy=email.policy.SMTPUTF8)
        assert got["Subject"] == "Привет" and got["To"] == "почта@пример.рф"
        assert "with UTF8SMTP id" in " ".join(got["Received"].split())
        assert got["Received"].isascii()


def test_a_domain_is_the_same_in_both_ways_of_writing():
    with Troika(config='domain "Пример.РФ" { accounts = yes }\n', users=()) as t:
        t.run("user", "add", f"bill@{A_LABELS}")
        assert "exists already" in t.run("user", "add", "bill@пример.рф", check=False).stderr
        t.run("user", "add", "и\u0306@пример.рф")  # и and a breve: NFC makes й of it
        assert "exists already" in t.run("user", "add", "й@пример.рф", check=False).stderr
        answers, stored = send_utf8(t.port, "alice@client.test", ["bill@ПРИМЕР.рф", f"bill@{A_LABELS}", "й@пример.рф", "и\u0306@пример.рф", "ж@пример.рф"])
        assert [code for code, _ in answers] == [250, 250, 250, 250, 550]
        assert answers[4][1].decode() == f"5.1.1 no such user here: <ж@{A_LABELS}>"
        assert stored[0] == 250
        assert len(t.wait_mails("bill", domain=A_LABELS, seconds=60)) == 1
        assert len(t.wait_mails("%d0%b9", domain=A_LABELS, seconds=60)) == 1
        with Dialogue(t.port) as d:  # and without SMTPUTF8 in A-labels
            d.reply()
            d.say("HELO x.test")
            d.say("MAIL FROM:<a@b.test>")
            assert d.say(f"RCPT TO:<bill@{A_LABELS}>")[0] == 250
            assert d.say("RCPT TO:<bill@пример.рф>".encode().decode("latin-1"))[1][0].startswith("5.6.7 ")


def test_unsafe_account_names():
    with Troika(config='domain "пример.рф" { accounts = yes }\n', users=()) as t:
        for bad in ("a\u202eb@пример.рф", "a\u0085@пример.рф", "\u200b@пример.рф", "п" * 33 + "@пример.рф", "a%b@пример.рф", "a@☃.рф"):
            result = t.run("user", "add", bad, check=False)
            assert result.returncode == 65, (bad, result)


def test_next_hop_with_smtputf8():
    with Sink(utf8=True) as sink, Troika(config=f'smarthost "127.0.0.1:{sink.port}" {{ }}\n') as t:
        answers, stored = send_utf8(t.port, "почта@пример.рф", ["кому@пример.рф", "bill@пример.рф"])
        assert all(code == 250 for code, _ in answers) and stored[0] == 250
        t.wait_empty(60)
        sender, recipients, content = sink.messages[0]
        assert sender == "почта@пример.рф"
        assert sorted(recipients) == sorted(["кому@пример.рф", f"bill@{A_LABELS}"])
        assert content.endswith(MESSAGE)
        assert "SMTPUTF8" in sink.mail_options[0]


def test_next_hop_without_smtputf8_gets_what_is_ascii():
    """A-labels and an ASCII header need nobody's help; all else comes back and is not sent."""
    with Sink() as sink, Troika(config=f'domain "пример.рф" {{ accounts = yes }}\nsmarthost "127.0.0.1:{sink.port}" {{ }}\n') as t:
        t.run("user", "add", "почта@пример.рф")
        plain = "Subject: plain\r\n\r\nТекст\r\n".encode()
        answers, stored = send_utf8(t.port, "alice@example.test", ["bill@far.рф", "кому@far.test"], plain)
        assert all(code == 250 for code, _ in answers) and stored[0] == 250
        (mail,) = t.wait_mails("alice", seconds=60)
        assert [recipients for _, recipients, _ in sink.messages] == [["bill@far.xn--p1ai"]]
        message, (words, fields, original) = reports(mail)
        assert fields.get_content_type() == "message/global-delivery-status"
        assert "Final-Recipient: utf-8; кому@far.test" in fields.as_bytes().decode()
        assert "Status: 5.6.7" in fields.as_bytes().decode()
        assert "кому@far.test" in words.get_content() and "550 5.6.7" in words.get_content()
        # the header is UTF-8: nobody gets it
        send_utf8(t.port, "alice@example.test", ["bill@far.test"])
        second = next(m for m in t.wait_mails("alice", 2, seconds=60) if m != mail)
        message, (words, fields, original) = reports(second)
        assert "the header has some" in " ".join(words.get_content().split())
        assert original.get_content_type() == "message/global-headers"
        assert "Subject: Привет, мир" in second.decode()
        # the sender is UTF-8
        send_utf8(t.port, "почта@пример.рф", ["bill@far.test"], plain)
        (mail,) = t.wait_mails(BOX, domain=A_LABELS, seconds=60)
        assert "the sender has some" in " ".join(reports(mail)[1][0].get_content().split())
        assert len(sink.messages) == 1


def test_a_report_to_an_address_outside_ascii():
    with Sink(answer=lambda what, about: "550 5.1.1 nobody" if what == "rcpt" else None, utf8=True) as sink, \
            Troika(config=f'domain "пример.рф" {{ accounts = yes }}\nsmarthost "127.0.0.1:{sink.port}" {{ }}\n', users=()) as t:
        t.run("user", "add", "почта@пример.рф")
        send_utf8(t.port, "почта@пример.рф", ["кому@far.test"])
        (mail,) = t.wait_mails(BOX, domain=A_LABELS, seconds=60)
        message, (words, fields, original) = reports(mail)
        assert message["To"] == "почта@пример.рф"
        text = fields.as_bytes().decode()
        assert fields.get_content_type() == "message/global-delivery-status" and "utf-8; кому@far.test" in text


def test_a_report_to_the_ascii_world(tmp_path):
    """An ASCII message whose recipient is an alias of somebody outside ASCII."""
    aliases = tmp_path / "aliases"
    aliases.write_text("list: кому@far.test\n")
    open_to_all(tmp_path)
    aliases.chmod(0o644)
    with Sink() as sink, Troika(config=f'domain "list.test" {{ aliases = "{aliases}" }}\nsmarthost "127.0.0.1:{sink.port}" {{ }}\n') as t:
        t.send(to="list@list.test")
        (mail,) = t.wait_mails("alice", seconds=60)
        message, (words, fields, original) = reports(mail)
        assert fields.get_content_type() == "message/delivery-status"
        block = fields.get_payload()[1]
        assert block["Final-Recipient"] == r"utf-8; \x{43A}\x{43E}\x{43C}\x{443}@far.test"
        assert block["Original-Recipient"].replace(" ", "") == "rfc822;list@list.test"
        assert "кому@far.test" in words.get_content()


def test_commands_show_letters():
    with Troika(config='domain "пример.рф" { accounts = yes }\nroute "далеко.рф" { via = "127.0.0.1:1" }\n') as t:
        t.run("user", "add", "почта@пример.рф")
        assert f"почта@{A_LABELS}" in t.run("user", "list")  # what a script reads
        shown = t.run("explain", "почта@ПРИМЕР.рф")
        assert "as <почта@пример.рф>" in shown and "domain пример.рф: account почта" in shown
        shown = t.run("explain", "кто@далеко.рф")
        assert "127.0.0.1:1, as <кто@далеко.рф>" in shown and "route далеко.рф" in shown
        send_utf8(t.port, "почта@пример.рф", ["кто@далеко.рф"])
        row = wait_for(lambda: (q := t.run("queue", "ls", "кто@далеко.рф")) and "127.0.0.1" in q and q, 60, "the recipient in the queue")
        assert "кто@далеко.рф" in row and "почта@пример.рф" in row
        assert "кто@далеко.рф" in t.run("queue", "ls", "@далеко.рф")
        assert "from=<почта@пример.рф>" in t.run("trace", "кто@далеко.рф")
        assert t.log().isascii()  # nothing of it reaches the log as it is


@pytest.mark.parametrize("server_is_up", [True, False])
def test_the_sendmail_command(server_is_up):
    config = 'domain "пример.рф" { accounts = yes }\n'
    t = Troika(config=config)
    with t:
        t.run("user", "add", "почта@пример.рф")
        if not server_is_up:
            t.stop()
        os.symlink(t.programs + "/troika", t.folder + "/sendmail")
        command = t.command("version")[:-4] + [t.folder + "/sendmail", "-f", "alice@example.test", "почта@пример.рф"]
        result = subprocess.run(command, input="Subject: Привет\n\nТекст\n".encode(), capture_output=True, timeout=60,
                                env={**os.environ, "TROIKA_CONF": t.config_file})
        assert result.returncode == 0, result
        if not server_is_up:
            t.start()
        (mail,) = t.wait_mails(BOX, domain=A_LABELS, seconds=60)
        assert "Subject: Привет" in mail.decode()


def test_troika_send():
    with Troika(config='domain "пример.рф" { accounts = yes }\n') as t:
        t.run("user", "add", "почта@пример.рф")
        t.run("send", "--from", "я@пример.рф", "--to", "почта@пример.рф,bob@example.test", "--subject", "Привет", "Текст")
        (mail,) = t.wait_mails(BOX, domain=A_LABELS, seconds=60)
        assert "with UTF8SMTP id" in " ".join(mail.decode().split())
        t.run("send", "--from", "alice@example.test", "--to", "bob@example.test", "--subject", "Привет", "Текст")
        mails = t.wait_mails("bob", 2, seconds=60)
        assert sum("with UTF8SMTP" in " ".join(m.decode().split()) for m in mails) == 1


@pytest.mark.parametrize("smtputf8", [True, False])
def test_postfix(smtputf8):
    """Postfix sends to us and takes from us; one without SMTPUTF8 is sent nothing that needs it."""
    port = free_port()
    with Postfix(port, smtputf8=smtputf8) as postfix:
        t = Troika(listen=f"127.0.0.1:{port}", config=f'domain "пример.рф" {{ accounts = yes }}\nroute "postfix.test" {{ via = "127.0.0.1:{postfix.port}" }}\n')
        t.port = port
        with t:
            t.run("user", "add", "почта@пример.рф")
            send_utf8(t.port, "почта@пример.рф", ["кто@postfix.test"])
            if not smtputf8:
                (mail,) = t.wait_mails(BOX, domain=A_LABELS, seconds=60)
                assert "550 5.6.7" in reports(mail)[1][0].get_content() and not postfix.mails()
                return
            (mail,) = wait_for(postfix.mails, 60, "our message at Postfix")
            got = mail.decode().replace("\r\n", "\n")
            assert got.endswith(MESSAGE.decode().replace("\r\n", "\n"))
            assert "Return-Path: <почта@пример.рф>" in got and "кто@postfix.test" in got
            answers, stored = send_utf8(postfix.port, "кто@postfix.test", ["почта@пример.рф", "нет@пример.рф"])
            assert all(code == 250 for code, _ in answers) and stored[0] == 250
            (mail,) = t.wait_mails(BOX, domain=A_LABELS, seconds=60)
            assert "Return-Path: <кто@postfix.test>" in mail.decode() and "with UTF8SMTP id" in " ".join(mail.decode().split())
            # what we refused comes back to its sender in Postfix's words and ours
            bounce = wait_for(lambda: [m for m in postfix.mails() if b"multipart/report" in m], 60, "the report of Postfix")[0]
            assert b"no such user here" in bounce  # it folds in the middle of characters

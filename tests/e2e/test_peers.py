"""Mail to and from servers that others wrote: smtp-sink and a real Postfix, both directions."""
# SPDX-License-Identifier: ISC
import smtplib

from peers import Postfix, SmtpSink
from troika import Troika, free_port, wait_for

BODY = "first line\r\n.dot\r\n..two dots\r\n" + "long " * 180 + "\r\nüöä\r\n\r\nend\r\n"


def message(subject):
    return f"From: alice@example.test\r\nTo: x@y.test\r\nSubject: {subject}\r\nDate: Fri, 20 Nov 2026 18:00:00 +0000\r\nMessage-ID: <{subject}@example.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{BODY}".encode()


def body_of(mail):
    return mail.replace(b"\r\n", b"\n").split(b"\n\n", 1)[1]


def test_to_smtp_sink():
    with SmtpSink() as sink, Troika(config=f'route "far.test" {{ via = "127.0.0.1:{sink.port}" }}\n') as t:
        for number in range(10):
            t.send(to=["a@far.test", "b@far.test"], text=message(f"sink{number}"))
        t.wait_empty()
        got = wait_for(lambda: (m := sink.messages()) and len(m) >= 10 and m, what="10 messages in the sink")
        assert len(got) == 10
        assert all(b"X-Rcpt-Args: <a@far.test>" in m and b"X-Rcpt-Args: <b@far.test>" in m for m in got)


def test_to_smtp_sink_without_pipelining_or_ehlo():
    for options in (["-p"], ["-e", "-p"][1:] + ["-f", "ehlo"]):
        with SmtpSink(*options) as sink, Troika(config=f'route "far.test" {{ via = "127.0.0.1:{sink.port}" }}\n') as t:
            t.send(to="a@far.test", text=message("plain"))
            t.wait_empty()
            assert len(wait_for(sink.messages, what="the message")) == 1


def test_postfix_both_directions():
    with Troika(config="") as t:
        with Postfix(relay_port=t.port) as postfix:
            # ours to theirs
            t.stop()
            t.configure(f'route "postfix.test" {{ via = "127.0.0.1:{postfix.port}" }}\n')
            t.start()
            ids = [t.send(to="anybody@postfix.test", text=message(f"out{n}")) for n in range(10)]
            got = wait_for(lambda: len(postfix.mails()) >= 10 and postfix.mails(), 60, "10 messages in Postfix's mailbox\n" + postfix.log()[-2000:])
            assert len(got) == 10
            for mail in got:
                assert body_of(mail) == BODY.encode().replace(b"\r\n", b"\n"), mail
            for id in ids:
                assert t.wait_event(id, "delivered")
            # theirs to ours
            with smtplib.SMTP("127.0.0.1", postfix.port, timeout=30) as s:
                for number in range(10):
                    s.sendmail("carol@postfix.test", ["bob@example.test"], message(f"in{number}"), mail_options=["BODY=8BITMIME"])
            for mail in t.wait_mails("bob", 10, 60):
                assert body_of(mail) == BODY.encode().replace(b"\r\n", b"\n"), mail
            assert len(t.mails("bob")) == 10
            # a user we do not have: Postfix tells its sender, in its own words and ours
            with smtplib.SMTP("127.0.0.1", postfix.port, timeout=30) as s:
                s.sendmail("carol@postfix.test", ["nobody@example.test"], message("refused"))
            bounce = wait_for(lambda: [m for m in postfix.mails() if b"Undelivered" in m], 60, "Postfix's bounce")[0]
            assert b"5.1.1" in bounce and b"no such user here" in bounce

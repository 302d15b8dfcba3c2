"""Mail to and from servers that others wrote: smtp-sink and a real Postfix, both directions."""
# SPDX-License-Identifier: ISC
import contextlib
import email
import re
import smtplib

import pytest
from peers import Exim, OpenSmtpd, Postfix, SmtpSink
from sinks import Sink
from troika import Troika, free_port, wait_for

CONTROLS = bytes(b for b in range(1, 32) if b not in b"\r\n")

# Bodies that mail systems have broken before.
BODIES = {
    "dots": b"first line\r\n.dot\r\n..two dots\r\n.\r\n..\r\n...\r\nend\r\n",
    "dot first": b".\r\n",
    "long line": b"long " * 180 + b"\r\nend\r\n",
    "line of 998": b"x" * 998 + b"\r\n",
    "line of 2000": b"x" * 2000 + b"\r\n",
    "line of 100000": b"x" * 100000 + b"\r\nend\r\n",
    "utf-8": "üöä €\r\n\r\nend\r\n".encode(),
    "all of 8 bits": bytes(range(128, 256)) + b"\r\n",
    "controls": b"a" + CONTROLS + b"b\x7f\r\n",
    "NUL": b"a\0b\r\n\0\r\nend\r\n",
    "empty": b"",
    "blank lines": b"\r\n\r\n\r\nx\r\n\r\n\r\n",
    "blanks at ends": b"  a  \r\n\t\r\n \r\n",
    "From line": b"From alice Fri Nov 20 2026\r\n>From bob\r\nFrom \r\n",
    "no final newline": b"the end comes here",
    "1 MiB": (b"." + b"0123456789abcdef" * 4 + b"\r\n") * 16384,
}


def with_body(name, body):
    return (f"From: alice@example.test\r\nTo: x@y.test\r\nSubject: {name}\r\nDate: Fri, 20 Nov 2026 18:00:00 +0000\r\nMessage-ID: <{name.replace(' ', '-')}@example.test>\r\n"
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n").encode() + body


def body_of(mail):
    return mail.replace(b"\r\n", b"\n").split(b"\n\n", 1)[1]


def test_to_smtp_sink():
    with SmtpSink() as sink, Troika(config=f'route "far.test" {{ via = "127.0.0.1:{sink.port}" }}\n') as t:
        for number in range(10):
            t.send(to=["a@far.test", "b@far.test"], text=with_body(f"sink{number}", BODIES["dots"]))
        t.wait_empty()
        got = wait_for(lambda: (m := sink.messages()) and len(m) >= 10 and m, what="10 messages in the sink")
        assert len(got) == 10
        assert all(b"X-Rcpt-Args: <a@far.test>" in m and b"X-Rcpt-Args: <b@far.test>" in m for m in got)


def test_to_smtp_sink_without_pipelining_or_ehlo():
    for options in (["-p"], ["-e", "-p"][1:] + ["-f", "ehlo"]):
        with SmtpSink(*options) as sink, Troika(config=f'route "far.test" {{ via = "127.0.0.1:{sink.port}" }}\n') as t:
            t.send(to="a@far.test", text=with_body("plain", BODIES["dots"]))
            t.wait_empty()
            assert len(wait_for(sink.messages, what="the message")) == 1


# What each peer changes, in both directions: OpenSMTPD ends a line at its first NUL.
CHANGED = {("opensmtpd", "NUL"): b"a\r\n\r\nend\r\n"}
# What each peer does not take, and its words: OpenSMTPD has room for 64 KiB in a line.
REFUSED = {("opensmtpd", "line of 100000"): "Line too long"}
# How its bounces come, if not as RFC 3462 says.
REPORTS = {"opensmtpd": "multipart/mixed"}


@pytest.fixture(scope="module", params=[Postfix, Exim, OpenSmtpd], ids=lambda peer: peer.name)
def met(request):
    """A peer, and a Troika that sends it what is for its domain and refuses.test elsewhere; each sends the rest to the other."""
    with contextlib.ExitStack() as stack:
        refuses = stack.enter_context(Sink(lambda what, about: "550 5.1.1 never heard of them" if what == "rcpt" else None))
        port = free_port()
        peer = stack.enter_context(request.param(relay_port=port))
        t = Troika(listen=f"127.0.0.1:{port}", config=f'route "{peer.domain}" {{ via = "127.0.0.1:{peer.port}" }}\nroute "refuses.test" {{ via = "127.0.0.1:{refuses.port}" }}\n')
        t.port = port
        yield peer, stack.enter_context(t)


def by_subject(mails):
    return {m.group(1).decode(): mail for mail in mails if (m := re.search(rb"^Subject: ([^\r\n]*)", mail, re.M))}


def as_stored(body):
    body = body.replace(b"\r\n", b"\n")
    return body if body.endswith(b"\n") or not body else body + b"\n"


def taken_by(peer):
    return {name for name in BODIES if (peer.name, name) not in REFUSED}


def compare(peer, mailbox):
    """Waits until all of them have come, as they were sent."""
    names = taken_by(peer)
    got = wait_for(lambda: (m := by_subject(mailbox())) and names <= set(m) and m, 30, f"{len(names)} messages\n{peer.log()[-3000:]}")
    wrong = [f"{name}: {body_of(got[name])[:300]}" for name in names if body_of(got[name]) != as_stored(CHANGED.get((peer.name, name), BODIES[name]))]
    assert not wrong, "\n".join(wrong)


def test_bodies_to_a_peer(met):
    peer, t = met
    ids = {name: t.send(to=[f"one@{peer.domain}", f"two@{peer.domain}"], text=with_body(name, body)) for name, body in BODIES.items()}
    compare(peer, peer.mails)
    for name, id in ids.items():
        refused = REFUSED.get((peer.name, name))
        events = t.wait_event(id, "bounced" if refused else "delivered")
        assert len(events) == 2 and (not refused or refused in events[0]["reply"]), events
    wait_for(lambda: len(peer.mails()) == 2 * len(taken_by(peer)), what="both copies of each")


def test_bodies_from_a_peer(met):
    peer, t = met
    with smtplib.SMTP("127.0.0.1", peer.port, timeout=30) as s:
        for name in taken_by(peer):
            s.sendmail(f"carol@{peer.domain}", ["bob@example.test"], with_body(name, BODIES[name]), mail_options=["BODY=8BITMIME"])
    compare(peer, lambda: t.mails("bob"))
    for name, body in BODIES.items():
        refused = REFUSED.get((peer.name, name))
        if refused:
            with smtplib.SMTP("127.0.0.1", peer.port, timeout=30) as s, pytest.raises(smtplib.SMTPResponseException, match=refused):
                s.sendmail(f"carol@{peer.domain}", ["bob@example.test"], with_body(name, body))


def test_our_bounce_is_taken_by_a_peer(met):
    peer, t = met
    t.send(to="x@refuses.test", sender=f"carol@{peer.domain}", text=with_body("refused", b"x\r\n"))
    bounce = wait_for(lambda: [m for m in peer.mails() if b"x@refuses.test" in m], what="our bounce")[0]
    report = email.message_from_bytes(bounce)
    assert report.get_content_type() == "multipart/report"
    assert "never heard of them" in report.get_payload()[0].get_payload()
    assert report.get_payload()[1].get_payload()[1]["Status"] == "5.1.1"
    t.wait_empty()


def test_the_bounce_of_a_peer_is_taken_by_us(met):
    """A user we do not have: the peer tells its sender, who lives here, in its own words and ours."""
    peer, t = met
    with smtplib.SMTP("127.0.0.1", peer.port, timeout=30) as s:
        s.sendmail("alice@example.test", ["nobody@example.test"], with_body("refused", b"x\r\n"))
    bounce = wait_for(lambda: [m for m in t.mails("alice") if b"nobody@example.test" in m], what="their bounce")[0]
    assert bounce.startswith(b"Return-Path: <>\n")
    assert b"no such user here" in bounce and b"550" in bounce
    assert email.message_from_bytes(bounce).get_content_type() == REPORTS.get(peer.name, "multipart/report")

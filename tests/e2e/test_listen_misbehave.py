"""A server that misbehaves on order: what a raw client sees, and what becomes of mail that Troika's relay brings to it."""
# SPDX-License-Identifier: ISC
import smtplib
import socket
import ssl
import subprocess
import time

import pytest
from listen import Listen
from troika import Dialogue, Troika, wait_for

ENVELOPE = ("EHLO mx.sender.test", "MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>", "DATA")
TEXT = b"Subject: x\r\nFrom: a@b.test\r\n\r\nhello\r\n.\r\n"


def open_context():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


# ---- what a client sees ----

def test_replies_are_ordered_by_step_count_and_address():
    with Listen(misbehave=["rcpt/for:full@d.test=452:4.2.2 full", "mail/every:2=450 later"]) as s, Dialogue(s.port) as d:
        d.reply()
        assert d.say("EHLO mx.sender.test")[0] == 250
        assert d.say("MAIL FROM:<a@b.test>") == (250, ["2.1.0 sender <a@b.test> ok"])
        assert d.say("RCPT TO:<full@d.test>") == (452, ["4.2.2 full"])
        assert d.say("RCPT TO:<c@d.test>")[0] == 250
        d.say("RSET")
        assert d.say("MAIL FROM:<a@b.test>") == (450, ["later"])


def test_slowness():
    with Listen(misbehave=["ehlo=delay:300ms", "mail=drip:10ms"]) as s, Dialogue(s.port) as d:
        d.reply()
        begin = time.monotonic()
        d.say("EHLO mx.sender.test")
        assert time.monotonic() - begin > 0.29
        begin = time.monotonic()
        code, words = d.say("MAIL FROM:<a@b.test>")
        assert code == 250 and time.monotonic() - begin > 0.01 * len("250 2.1.0 sender <a@b.test> ok\r\n") * 0.9


@pytest.mark.parametrize("rule, turns, last", [
    ("banner=cut", 0, b""), ("banner=554 go away", 0, b"554 go away\r\n"), ("ehlo=cut", 1, b""), ("mail=421:4.3.2 bye", 2, b"421 4.3.2 bye\r\n"),
    ("rcpt=half", 3, b"250 2.1.5 recipient <c@d.test> ok\r\n"), ("data=hang-up", 4, b"354 send the message, end with <CRLF>.<CRLF>\r\n"), ("dot=cut", 5, b""),
])
def test_the_connection_is_cut(rule, turns, last):
    with Listen("--offer", "none", misbehave=rule) as s, socket.create_connection(("127.0.0.1", s.port), timeout=20) as c:
        f = c.makefile("rb")
        for turn in ([None] + [line.encode() + b"\r\n" for line in ENVELOPE] + [TEXT])[:turns + 1]:
            if turn:
                assert answer.endswith(b"\r\n")
                c.sendall(turn)
            answer = f.readline()
            while answer[3:4] == b"-":
                answer = f.readline()
        if rule.endswith("=half"):
            assert last.startswith(answer) and 5 < len(answer) < len(last) - 5
        else:
            assert answer == last
        assert turns == 0 and rule.startswith("banner=554") or f.read() == b""


def test_the_connection_is_reset():
    with Listen(misbehave="mail=reset") as s, Dialogue(s.port) as d:
        d.reply()
        d.say("EHLO mx.sender.test")
        d.raw(b"MAIL FROM:<a@b.test>\r\n")
        with pytest.raises(ConnectionResetError):
            d.line()


def test_cut_after_so_many_bytes_of_content():
    with Listen(misbehave="content=cut-after:10") as s, Dialogue(s.port) as d:
        d.reply()
        for line in ENVELOPE:
            d.say(line)
        d.raw(TEXT)
        assert d.ended()
        m = s.wait("message")[0]
        assert not m["whole"] and not m["accepted"]
        assert s.findings("error") == []  # it was not the sender's fault


def test_monsters():
    with Listen(misbehave=["other=lines:1000", "rset=long:5000", "mail=endless"]) as s, Dialogue(s.port) as d:
        d.reply()
        d.say("EHLO mx.sender.test")
        code, lines = d.say("NOOP")
        assert code == 250 and len(lines) == 1000
        code, lines = d.say("RSET")
        assert code == 250 and len(lines[0]) + 4 == 4998 + 2
        d.raw(b"MAIL FROM:<a@b.test>\r\n")
        heard = 0
        while heard < 3_000_000:
            heard += len(d.socket.recv(65536))
        with open(f"/proc/{s.process.pid}/statm") as f:
            assert int(f.read().split()[1]) * 4 < 300_000  # KiB: what is not read is not made


def test_garbage_and_bare_lf():
    with Listen(misbehave=["ehlo=garbage", "helo=bare-lf"]) as s, socket.create_connection(("127.0.0.1", s.port), timeout=20) as c:
        f = c.makefile("rb")
        f.readline()
        c.sendall(b"EHLO x.test\r\n")
        assert b"this is no SMTP" in f.readline()
        f.readline()
        c.sendall(b"HELO x.test\r\n")
        assert f.readline() == b"250 sink.test\n"


def handshake(port, context):
    with smtplib.SMTP("127.0.0.1", port, local_hostname="mx.sender.test", timeout=20) as c:
        c.starttls(context=context)
        return c.sock.version(), c.sock.getpeercert(True)


@pytest.mark.parametrize("kind", ["expired", "wrong-name", "self-signed"])
def test_bad_certificates(kind):
    with Listen(misbehave=f"tls={kind}") as s:
        with pytest.raises(ssl.SSLCertVerificationError) as error:
            handshake(s.port, ssl.create_default_context())
        assert "self-signed certificate" in str(error.value).replace("self signed", "self-signed")  # that, too
        wait_for(lambda: s.finding("tls-failed"), what="the finding")
        assert "certificate" in s.finding("tls-failed")["detail"] or "unknown ca" in s.finding("tls-failed")["detail"]
        version, certificate = handshake(s.port, open_context())
        text = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-subject", "-checkend", "0"], input=certificate, capture_output=True).stdout.decode()
        assert ("will expire" in text) == (kind == "expired") and ("another-name.invalid" in text) == (kind == "wrong-name")


@pytest.mark.parametrize("kind", ["cut", "garbage", "reset", "old"])
def test_broken_handshakes(kind):
    with Listen(misbehave=f"tls={kind}") as s:
        with pytest.raises((ssl.SSLError, OSError)):
            handshake(s.port, open_context())
        s.wait("disconnected")
        if kind == "old":
            assert s.finding("tls-failed")


def test_an_old_protocol_for_who_takes_it():
    with Listen(misbehave="tls=old") as s:
        context = open_context()
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.set_ciphers("ALL:@SECLEVEL=0")
        assert handshake(s.port, context)[0] == "TLSv1.1"
        wait_for(lambda: s.finding("tls-old"), what="the finding")


def test_the_same_seed_is_the_same_run():
    def codes(seed):
        with Listen("--seed", seed, misbehave="any/chance:40%=451:4.3.0 later") as s, Dialogue(s.port) as d:
            return [d.reply()[0]] + [d.say("NOOP")[0] for _ in range(30)]

    first = codes("7")
    assert first == codes("7") != codes("8")
    assert 3 < first.count(451) < 28


def test_who_gives_up_early_is_told():
    with Listen(misbehave="mail=silence") as s:
        with Dialogue(s.port) as d:
            d.reply()
            d.say("EHLO mx.sender.test")
            d.raw(b"MAIL FROM:<a@b.test>\r\n")
            d.socket.settimeout(0.3)
            with pytest.raises(TimeoutError):
                d.line()
        s.wait("disconnected")
        assert s.finding("impatient")["detail"].startswith("mail: 0 s of 300")


# ---- Troika's relay meets it: no mail is lost, none is delivered by half ----

RELAY = [
    # what goes wrong, at first; how often the message may arrive
    (["rcpt/first:1=450:4.2.0 come later"], 1),
    (["dot/first:1=451:4.3.0 later"], 1),
    (["banner/first:1=421:4.3.2 not now"], 1),
    (["banner/first:1=cut"], 1),
    (["banner/first:1=garbage"], 1),
    (["ehlo/first:1=cut"], 1),
    (["mail/first:1=reset"], 1),
    (["data/first:1=cut"], 1),
    (["content/first:1=cut-after:20"], 1),
    (["dot/first:1=cut"], 1),
    (["dot/first:1=half"], 1),
    (["dot/first:1=garbage"], 1),
    (["quit=cut"], 1),
    (["ehlo=502:5.5.1 no"], 1),
    (["mail=lines:100"], 1),
    (["rcpt=bare-lf"], 1),
    (["starttls=454:4.7.0 not now"], 1),
    (["tls=cut"], 1),
    (["tls=expired"], 1),
    (["starttls=inject:250 injected"], 1),
    (["rcpt=drip:5ms"], 1),
]


@pytest.mark.parametrize("rules, copies", RELAY, ids=[" ".join(rules) for rules, _ in RELAY])
def test_the_relay_loses_nothing(rules, copies):
    with Listen(misbehave=rules) as s, Troika(config=f'retry = {{ 1s }}\nroute "far.test" {{ via = "127.0.0.1:{s.port}" }}\n') as t:
        number = t.send(to="a@far.test", text="Subject: one\r\n\r\nfirst line\r\n.dot\r\nlast line\r\n")
        t.wait_event(number, "delivered", 60)
        t.wait_empty()
        taken = s.messages()
        assert len(taken) == copies and all(m["whole"] for m in taken), s.events()
        assert taken[0]["to"] == ["a@far.test"]
        if any("first:1" in rule for rule in rules):
            assert t.trace(number) and [e for e in t.trace(number) if e["event"] == "deferred"], t.trace(number)
        errors = [e for e in s.events("finding") if e["severity"] == "error"]
        assert [e["id"] for e in errors if e["id"] not in ("date-missing", "from-missing")] == [], errors


@pytest.mark.parametrize("rule", ["rcpt=550:5.1.1 nobody", "dot=554:5.7.1 no", "mail=553:5.1.8 not you"])
def test_what_is_refused_for_good_comes_back(rule):
    with Listen(misbehave=rule) as s, Troika(config=f'retry = {{ 1s }}\nroute "far.test" {{ via = "127.0.0.1:{s.port}" }}\n') as t:
        number = t.send(to="a@far.test", sender="alice@example.test")
        event = t.wait_event(number, "bounced", 60)[0]
        assert rule.split(":")[-1].split(" ", 1)[1] in str(event)
        bounce = t.wait_mails("alice")[0]
        assert rule.split("=")[1][:3].encode() in bounce and not s.messages()


def test_random_trouble_in_the_end_delivers_everything():
    rules = ["any/chance:10%=421:4.3.2 not now", "any/chance:5%=cut", "dot/chance:20%=451:4.3.0 later"]
    with Listen("--seed", "3", misbehave=rules) as s, Troika(config=f'retry = {{ 1s }}\nroute "far.test" {{ via = "127.0.0.1:{s.port}" }}\n') as t:
        numbers = [t.send(to=f"user{i}@far.test") for i in range(20)]
        t.wait_empty(120)
        for number in numbers:
            assert [e["event"] for e in t.trace(number)][-1] == "delivered", t.trace(number)
        assert sorted(m["to"][0] for m in s.messages()) == sorted(f"user{i}@far.test" for i in range(20))

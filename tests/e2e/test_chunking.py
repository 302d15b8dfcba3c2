"""BDAT and binary mail (RFC 3030), in and out, and the limits that servers announce (RFC 9422)."""
# SPDX-License-Identifier: ISC
import contextlib
import email
import glob
import os
import re
import smtplib
import socketserver
import threading

import pytest
from peers import Exim, Postfix
from sinks import Sink
from troika import Dialogue, Troika, free_port, wait_for

HEADER = (b"From: alice@example.test\r\nTo: bob@example.test\r\nSubject: binary\r\nMessage-ID: <b1@example.test>\r\n"
          b"Date: Fri, 20 Nov 2026 18:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n"
          b"Content-Transfer-Encoding: binary\r\n\r\n")
EVERYTHING = bytes(range(256)) * 3 + b"\r\n.\r\n\r\r\n\n\r.\nQUIT\r\n\0"


class ChunkSink:
    """A next hop that speaks BDAT and nothing else: offers: lines of its EHLO; sessions: what each client said, messages:
    (MAIL line, [RCPT lines], content). With lmtp it speaks that, and refuses each recipient called "gone" behind the message."""

    def __init__(self, *offers, lmtp=False):
        self.offers, self.lmtp, self.sessions, self.messages = offers, lmtp, [], []

    def serve(self, file_in, say):
        said = []
        self.sessions.append(said)
        say("220 sink.test ESMTP")
        for line in iter(file_in.readline, b""):
            line = line.decode().strip()
            said.append(line)
            verb = line.split(" ")[0]
            if verb == ("LHLO" if self.lmtp else "EHLO"):
                say("\r\n".join(["250-sink.test"] + ["250-" + offer for offer in self.offers] + ["250 HELP"]))
            elif verb == "MAIL":
                mail, rcpts, content = line, [], b""
                say("250 2.1.0 ok")
            elif verb == "RCPT":
                rcpts.append(line)
                say("250 2.1.5 ok")
            elif verb == "BDAT":
                content += file_in.read(int(line.split(" ")[1]))
                answers = 1
                if line.endswith(" LAST"):
                    self.messages.append((mail, rcpts, content))
                    answers = len(rcpts) if self.lmtp else 1
                for rcpt in rcpts[:answers]:
                    say("550 5.1.1 gone" if self.lmtp and "<gone@" in rcpt else "250 2.0.0 taken")
            elif verb == "QUIT":
                return say("221 2.0.0 bye")
            else:
                say("250 2.0.0 ok" if verb == "RSET" else "502 5.5.1 what?")

    def __enter__(self):
        sink = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                with contextlib.suppress(ConnectionError):
                    sink.serve(self.rfile, lambda text: self.wfile.write(text.encode() + b"\r\n"))

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def begin(t, to="bob@example.test", body="BINARYMIME"):
    d = Dialogue(t.port)
    assert d.reply()[0] == 220
    code, offers = d.say("EHLO client.test")
    assert code == 250 and "CHUNKING" in offers and "BINARYMIME" in offers
    assert d.say(f"MAIL FROM:<alice@example.test> BODY={body}")[0] == 250
    for one in [to] if isinstance(to, str) else to:
        assert d.say(f"RCPT TO:<{one}>")[0] == 250
    return d


def chunk(d, content, last=False):
    d.raw(b"BDAT %d%s\r\n" % (len(content), b" LAST" if last else b"") + content)
    return d.reply()


def send(t, content, to="bob@example.test", body="BINARYMIME", size=None):
    """In chunks of size bytes, one behind the other without waiting. Returns the id."""
    size = size or len(content)
    with begin(t, to, body) as d:
        pieces = [content[i:i + size] for i in range(0, len(content), size)]
        d.raw(b"".join(b"BDAT %d\r\n" % len(piece) + piece for piece in pieces) + b"BDAT 0 LAST\r\n")
        for piece in pieces:
            assert d.reply() == (250, [f"2.0.0 {len(piece)} octets received"])
        code, words = d.reply()
        assert code == 250, words
        return re.search(r"id ([0-9a-z]{15})", words[0]).group(1)


@pytest.fixture(scope="module")
def t():
    with Troika(config='message-size = 300M\nroute "far.test" { via = "127.0.0.1:1" }\nhold = no\n') as t:
        yield t


def test_a_binary_message_is_stored_as_it_is():
    with Troika() as t:
        for size in (1, 7, 4096):
            send(t, HEADER + EVERYTHING, size=size)
        for mail in t.wait_mails("bob", 3):
            assert mail.endswith(b"\r\n" + HEADER + EVERYTHING), mail
            assert mail.startswith(b"Return-Path: <alice@example.test>\r\nDelivered-To: bob@example.test\r\nReceived: ")


def test_a_text_in_chunks_is_a_text():
    text = b"Subject: text\r\nDate: x\r\nMessage-ID: <x@y.test>\r\n\r\n.\r\n..\r\nbare\nend"
    with Troika() as t:
        send(t, text, body="8BITMIME", size=5)
        mail, = t.wait_mails("bob")
        assert mail.endswith(text.replace(b"\r\n", b"\n")), mail


def test_a_client_like_smtplib(t):
    """What smtplib's users write: docmd and send, one chunk at a time."""
    with t.smtp() as s:
        s.ehlo()
        assert s.has_extn("chunking") and s.has_extn("limits") and int(s.esmtp_features["x-rcptlimit"]) == 1000
        s.mail("alice@example.test")
        s.rcpt("alice@example.test")
        for content, last in ((b"Subject: one\r\n", ""), (b"\r\ntext\r\n", " LAST")):
            s.putcmd("BDAT", f"{len(content)}{last}")
            s.send(content)
            assert s.getreply()[0] == 250
    assert t.wait_mails("alice")[0].endswith(b"Subject: one\n\ntext\n")


def memory_kib(pid):
    """The most it ever had."""
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1))


def test_200_mb_pass_through_small_processes():
    piece = os.urandom(1 << 20)
    with Troika(users=("bob",), config="message-size = 300M\n") as t:
        with begin(t) as d:
            d.socket.settimeout(120)
            chunk(d, HEADER)
            for _ in range(100):
                assert chunk(d, piece)[0] == 250
            d.raw(b"BDAT %d LAST\r\n" % (100 << 20))
            for _ in range(100):
                d.raw(piece)
            assert d.reply()[0] == 250
        wait_for(lambda: not t.queue(), 120, "the delivery")
        folder = t.mailbox("bob") + "/new"
        name, = os.listdir(folder)
        with open(f"{folder}/{name}", "rb") as f:
            start = f.read(1 << 16)
            f.seek(start.index(HEADER) + len(HEADER))
            for number in range(200):
                assert f.read(1 << 20) == piece, number
            assert f.read() == b""
        for name, pid in t.workers().items():
            assert memory_kib(pid) < 64 * 1024, name


def test_killed_in_a_chunk_nothing_is_half_there():
    with Troika() as t:
        for large in (False, True):
            d = begin(t, body="8BITMIME")
            d.raw(b"BDAT 1000000 LAST\r\nSubject: half\r\n\r\n" + b"x" * (500000 if large else 10))
            if large:
                wait_for(lambda: glob.glob(t.state + "/*/large/new-*"), what="a file that is still arriving")
            t.kill()
            assert d.ended()
            d.close()
            t.start()
            t.wait_ready()
            assert t.queue() == [] and t.mails("bob") == []
        send(t, b"Subject: whole\r\n\r\nx\r\n", body="8BITMIME")
        mail, = t.wait_mails("bob")
        assert b"Subject: whole" in mail


def relay_to(port):
    return f'route "far.test" {{ via = "127.0.0.1:{port}" }}\nretry = {{ 1s }}\n'


def test_binary_goes_on_by_bdat():
    with ChunkSink("PIPELINING", "CHUNKING", "BINARYMIME", "SIZE") as sink, Troika(config=relay_to(sink.port)) as t:
        large = HEADER + os.urandom(3 << 20)
        send(t, HEADER + EVERYTHING, to="x@far.test")
        send(t, large, to=["x@far.test", "y@far.test"])
        t.wait_empty()
        small, big = sorted(sink.messages, key=lambda m: len(m[2]))
        assert small[2].endswith(b"\r\n" + HEADER + EVERYTHING) and small[0].endswith("BODY=BINARYMIME")
        assert big[2].endswith(b"\r\n" + large) and len(big[1]) == 2


def test_the_limits_of_the_next_hop():
    limits = "LIMITS RCPTMAX=2 MAILMAX=3"
    with ChunkSink("PIPELINING", "CHUNKING", "BINARYMIME", limits) as sink, Troika(config=relay_to(sink.port) + "destination-concurrency = 1\n") as t:
        send(t, HEADER + EVERYTHING, to=[f"r{i}@far.test" for i in range(5)])
        send(t, HEADER + b"2", to="r5@far.test")
        t.wait_empty()
        wait_for(lambda: all(said[-1:] == ["QUIT"] for said in sink.sessions[:1]), what="QUIT after MAILMAX")
        assert sorted(r for m in sink.messages for r in m[1]) == [f"RCPT TO:<r{i}@far.test>" for i in range(6)]
        assert all(len(m[1]) <= 2 for m in sink.messages)
        assert all(m[2].endswith((EVERYTHING, b"2")) for m in sink.messages)
        for said in sink.sessions:
            assert sum(line.startswith("MAIL") for line in said) <= 3


TREE = (HEADER.replace(b"application/octet-stream", b'multipart/mixed; boundary="one two"') + b"preamble\r\n--one two\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n.\r\n\xc3\xa4\r\n--one two\r\n"
        b"Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n" + EVERYTHING * 500 + b"\r\n--one two\r\n"
        b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        b"Subject: inside\r\nContent-Transfer-Encoding: binary\r\n\r\n\n\r\0\r\n--one two--\r\n")


def leaves(content):
    return [part.get_payload(decode=True) for part in email.message_from_bytes(content).walk() if not part.is_multipart()]


def has_the_parts(content):
    content = content.replace(b"\r\n", b"\n")
    assert b"binary" not in content.split(b"\n\n", 1)[1] and b"\0" not in content
    assert leaves(content) == [b".\n\xc3\xa4", EVERYTHING * 500, b"\n\r\0"]


def test_binary_is_put_into_base64_for_who_takes_none():
    with Sink() as sink, Troika(config=relay_to(sink.port)) as t:
        send(t, TREE, to="x@far.test")
        t.wait_empty()
        (sender, recipients, content), = sink.messages
        assert re.findall(b"^Content-Transfer-Encoding: (.*)\r$", content, re.M) == [b"8bit", b"8bit", b"base64", b"8bit", b"base64"]
        has_the_parts(content)


def test_binary_through_postfix():
    with Postfix(relay_port=1) as postfix, Troika(config=f'route "postfix.test" {{ via = "127.0.0.1:{postfix.port}" }}\n') as t:
        send(t, TREE, to="x@postfix.test")
        has_the_parts(wait_for(postfix.mails, 60, "the message")[0])


def test_what_cannot_be_converted_comes_back():
    signed = TREE.replace(b"multipart/mixed", b"multipart/signed")
    no_lines = HEADER.replace(b"binary\r\n\r\n", b"8bit\r\n\r\n") + b"a\nb" + EVERYTHING
    with Sink() as sink, Troika(config=relay_to(sink.port)) as t:
        for content in (signed, no_lines):
            send(t, content, to="x@far.test")
        for bounce in t.wait_mails("alice", 2, seconds=60):
            assert b"Status: 5.6.3" in bounce and b"\0" not in bounce and b"\r" not in bounce
            kinds = [part.get_content_type() for part in email.message_from_bytes(bounce).walk()]
            assert kinds == ["multipart/report", "text/plain", "message/delivery-status", "text/plain", "text/plain", "text/rfc822-headers"], kinds
        t.wait_empty()
        assert sink.messages == []


def test_exim_sends_by_bdat():
    port = free_port()
    t = Troika(listen=f"127.0.0.1:{port}")
    t.port = port
    with Exim(relay_port=port) as exim, t:
        body = b"line\r\n.\r\n..\r\n" * 100000
        with smtplib.SMTP("127.0.0.1", exim.port, timeout=60) as s:
            s.sendmail("carol@exim.test", ["bob@example.test"], b"Subject: by Exim\r\n\r\n" + body)
        mail, = t.wait_mails("bob", seconds=60)
        assert mail.split(b"\n\n", 1)[1] == body.replace(b"\r\n", b"\n")
        wait_for(lambda: re.search(r"=> bob@example.test .* K ", exim.log()), 30, "K, for BDAT, in Exim's log")


def test_everything_meets_in_lmtp():
    """In and out by LMTP: SMTPUTF8, BDAT, more recipients than a transaction may have, and an answer for each."""
    port = free_port()
    listen = f'listen lmtp {{ address = {{ "127.0.0.1:{port}" }} protocol = lmtp }}\n'
    offers = ("PIPELINING", "8BITMIME", "CHUNKING", "BINARYMIME", "SMTPUTF8", "LIMITS RCPTMAX=2")
    with ChunkSink(*offers, lmtp=True) as sink, Troika(config=f'{listen}route "far.test" {{ via = "127.0.0.1:{sink.port}" protocol = lmtp }}\n') as t:
        users = ["a", "почта", "gone", "b", "c"]
        with Dialogue(port) as d:
            assert d.reply()[0] == 220
            code, lines = d.say("LHLO client.test")
            assert code == 250 and {"CHUNKING", "BINARYMIME", "SMTPUTF8"} <= set(lines)
            assert d.say("MAIL FROM:<alice@example.test> BODY=BINARYMIME SMTPUTF8")[0] == 250
            for user in users:
                d.raw(f"RCPT TO:<{user}@far.test>\r\n".encode())
                assert d.reply()[0] == 250
            text = HEADER.replace(b"Subject: binary", "Subject: двоичное".encode())
            assert chunk(d, text)[0] == 250
            d.raw(b"BDAT %d LAST\r\n" % len(EVERYTHING) + EVERYTHING)
            answers = {tuple(d.reply()[1]) for _ in users}
            assert len(answers) == 1 and "accepted, id" in answers.pop()[0]
            assert d.say("QUIT")[0] == 221 and d.ended()
        report, = t.wait_mails("alice", seconds=60)
        assert b"gone@far.test" in report and b"5.1.1" in report
        t.wait_empty(60)
        assert sorted(rcpt for m in sink.messages for rcpt in m[1]) == sorted(f"RCPT TO:<{user}@far.test>" for user in users)
        for mail, rcpts, content in sink.messages:
            assert len(rcpts) <= 2 and content.endswith(b"\r\n" + text + EVERYTHING)
            assert "BODY=BINARYMIME" in mail and "SMTPUTF8" in mail and b"with UTF8LMTP id" in content

"""A listener of LMTP: other mail systems hand over mail by it, and hear an answer for each recipient."""
# SPDX-License-Identifier: ISC
import smtplib
import subprocess

import pytest
from peers import Exim, Postfix
from troika import Dialogue, Troika, free_port, wait_for

TEXT = "Subject: by LMTP\r\n\r\nfirst\r\n.dot\r\n"


class Lmtp(Troika):
    def __init__(self, config="", **more):
        self.lmtp_port = free_port()
        super().__init__(config=f'listen lmtp {{ address = {{ "127.0.0.1:{self.lmtp_port}" }} protocol = lmtp }}\n{config}', **more)


@pytest.fixture(scope="module")
def server():
    with Lmtp(relay_for="") as t:
        yield t


def wait_subject(t, user, words):
    return wait_for(lambda: [m for m in t.mails(user) if words in m], 60, f"{words} for {user}")[0]


def test_dialog(server):
    with Dialogue(server.lmtp_port) as d:
        code, words = d.reply()
        assert (code, words) == (220, ["mail.example.test LMTP Troika"])
        assert d.say("EHLO me.test")[0] == 500 and d.say("HELO me.test")[0] == 500
        assert d.say("MAIL FROM:<a@b.test>")[0] == 503
        code, words = d.say("LHLO me.test")
        assert code == 250 and {"PIPELINING", "ENHANCEDSTATUSCODES"} <= set(words)
        assert d.say("MAIL FROM:<a@b.test>")[0] == 250
        assert [d.say(f"RCPT TO:<{user}@example.test>")[0] for user in ("alice", "nobody", "bob", "alice")] == [250, 550, 250, 250]
        assert d.say("DATA")[0] == 354
        answers = [d.say("Subject: dialog\r\n\r\nx\r\n.")] + [d.reply() for _ in range(2)]
        assert [code for code, words in answers] == [250] * 3
        assert d.say("NOOP")[0] == 250  # and no answer more
        assert d.say("QUIT")[0] == 221 and d.ended()
    mail = wait_subject(server, "alice", b"Subject: dialog")
    assert b"with LMTP id" in mail
    wait_subject(server, "bob", b"Subject: dialog")
    with Dialogue(server.port) as d:
        assert d.reply()[0] == 220 and d.say("LHLO me.test")[0] == 500


def test_smtplib(server):
    with smtplib.LMTP("127.0.0.1", server.lmtp_port, local_hostname="client.test") as s:
        assert list(s.sendmail("a@b.test", ["bob@example.test", "nobody@example.test"], TEXT.replace("by LMTP", "smtplib"))) == ["nobody@example.test"]
    assert b"\n.dot\n" in wait_subject(server, "bob", b"Subject: smtplib")


@pytest.mark.parametrize("options", [[], ["--pipeline"]], ids=["plain", "pipelining"])
def test_swaks(server, options):
    subject = f"swaks {options}"
    result = subprocess.run(["swaks", "--protocol", "LMTP", "--server", f"127.0.0.1:{server.lmtp_port}", "--from", "a@b.test", "--to", "bob@example.test,alice@example.test",
                             "--header", f"Subject: {subject}", *options], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout
    assert result.stdout.count("accepted, id") == 2
    for user in ("bob", "alice"):
        wait_subject(server, user, subject.encode())


@pytest.mark.parametrize("peer", [Postfix, Exim], ids=["postfix", "exim"])
def test_from_a_peer(server, peer):
    with peer(relay_port=server.lmtp_port, transport="lmtp") as p:
        with smtplib.SMTP("127.0.0.1", p.port, timeout=60) as s:
            s.sendmail(f"carol@{p.domain}", ["bob@example.test", "alice@example.test", "nobody@example.test"], TEXT.replace("by LMTP", p.name))
        for user in ("bob", "alice"):
            mail = wait_subject(server, user, f"Subject: {p.name}".encode())
            assert b"with LMTP" in mail and b"\n.dot\n" in mail
        bounce = wait_for(lambda: [m for m in p.mails() if b"nobody@example.test" in m], 60, f"the bounce\n{p.log()[-3000:]}")
        assert b"5.1.1" in bounce[0]


def test_cut_at_every_byte(server):
    """The client is gone after any byte: a message is taken whole, or not at all."""
    said = b"LHLO me.test\r\nMAIL FROM:<cut@b.test>\r\nRCPT TO:<bob@example.test>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\nSubject: cut %d\r\n\r\nx\r\n.\r\n"
    length = len(said % 1000)
    for at in range(1, length + 1):
        with Dialogue(server.lmtp_port) as d:
            d.raw((said % (1000 + at))[:at])
            d.socket.shutdown(1)
            while d.line() is not None:
                pass
    whole = b"Subject: cut %d" % (1000 + length)
    wait_subject(server, "bob", whole)
    wait_subject(server, "alice", whole)
    server.wait_empty(60)
    for user in ("bob", "alice"):
        assert [m for m in server.mails(user) if b"Subject: cut" in m and whole not in m] == []


"""What old documents tell a person to type at telnet (../shared/reference/beginnings.md), typed as a person does: byte by byte, in any case."""
# SPDX-License-Identifier: ISC
import socket
import time

import pytest
from sinks import Sink
from troika import Dialogue, Troika, free_port, open_to_all, wait_for

CASES = {"as written": str, "lower": str.lower, "UPPER": str.upper}


class Typist(Dialogue):
    """Each byte is a packet of its own, and takes a while; commands are in the given case."""

    def __init__(self, port, case=str):
        super().__init__(port)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.case = case
        code, (words, *_) = self.reply()
        assert code == 220 and "ESMTP" in words

    def raw(self, data):
        for at in range(len(data)):
            super().raw(data[at:at + 1])
            time.sleep(0.001)  # it is the typing that is slow

    def types(self, command, argument=""):
        """A command in the case of this person; returns its code and all words of the reply."""
        code, lines = self.say(self.case(command) + argument)
        return code, "\n".join(lines)

    def message(self, *lines):
        """Headers, a blank line, the text and the dot."""
        self.raw("".join(line + "\r\n" for line in lines + (".",)).encode())
        code, lines = self.reply()
        return code, "\n".join(lines)


@pytest.fixture(scope="module")
def server():
    with Troika(config='errors = 100\nmessage-size = 20M\n') as t:
        yield t


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def typist(request, server):
    with Typist(server.port, request.param) as t:
        yield t


def starts(answer, code, words):
    assert answer[0] == code and answer[1].startswith(words), answer


def sends(typist, to="<bob@example.test>", sender="<alice@example.test>", text=("From: Somebody Else <else@elsewhere.test>", "Subject: typed", "", "text")):
    starts(typist.types("MAIL FROM: ", sender), 250, "2.1.0 ")
    starts(typist.types("RCPT TO: ", to), 250, "2.1.5 ")
    code, words = typist.types("DATA")
    assert code == 354 and words.endswith("end with <CRLF>.<CRLF>")
    starts(typist.message(*text), 250, "2.0.0 accepted, id ")


def test_1_plain_smtp(typist, server):
    before = len(server.mails("bob"))
    starts(typist.types("HELO ", "host"), 250, "mail.example.test")
    sends(typist)
    sends(typist, "bob@example.test", "alice@example.test", ("once more",))  # without brackets, without a header
    starts(typist.types("QUIT"), 221, "2.0.0 ")
    assert typist.ended()
    mails = server.wait_mails("bob", before + 2, seconds=60)
    assert any(b"From: Somebody Else" in m for m in mails) and any(m.endswith((b"\n\nonce more\n", b"\r\n\r\nonce more\r\n")) for m in mails)


@pytest.mark.parametrize("name", ["[91.198.212.5]", "client.example"])
def test_2_esmtp(typist, server, name):
    code, words = typist.types("EHLO ", name)
    assert code == 250
    assert {"SIZE 20971520", "8BITMIME", "PIPELINING", "ENHANCEDSTATUSCODES", "DSN", "HELP"} <= set(words.split("\n"))
    sends(typist)  # its header From is another than the sender
    starts(typist.types("QUIT"), 221, "2.0.0 ")


def test_2_silence_is_ended():
    with Troika(config="idle-timeout = 5s\n", users=()) as t, Typist(t.port) as typist:
        typist.types("EHLO ", "host.example")
        typist.socket.settimeout(60)
        starts((lambda code, lines: (code, lines[0]))(*typist.reply()), 421, "4.4.2 nothing heard for too long")
        assert typist.ended()


def test_3_ehlo_of_another_server(typist):
    code, words = typist.types("EHLO ", "host.example")
    assert code == 250 and {"ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "ETRN", "HELP"} <= set(words.split("\n"))
    starts(typist.types("ONEX"), 250, "2.0.0 ")
    starts(typist.types("XUSR"), 250, "2.0.0 ")
    starts(typist.types("ETRN ", "example.test"), 251, "2.0.0 ok, no messages waiting for node ")
    sends(typist)


def test_4_other_commands(typist):
    typist.types("HELO ", "host.example")
    for command in ("SEND", "SOML", "SAML"):
        starts(typist.types(command + " FROM:", "<alice@example.test>"), 502, "5.5.1 this server writes to mailboxes, not to terminals")
    starts(typist.types("TURN"), 502, "5.5.1 the roles stay as they are")
    starts(typist.types("VRFY ", "bob"), 250, "2.1.5 <bob@example.test>")
    starts(typist.types("EXPN ", "list"), 550, "5.1.1 no such user here: <list>")
    starts(typist.types("NOOP"), 250, "2.0.0 ")
    code, words = typist.types("HELP")
    assert code == 214 and all(command in words for command in ("SEND FROM", "SOML", "SAML", "TURN", "ETRN", "ONEX", "XUSR", "VRFY", "EXPN", "RSET"))
    starts(typist.types("HELP ", "mail"), 214, "2.0.0 MAIL FROM:<")
    typist.types("MAIL FROM:", "<alice@example.test>")
    starts(typist.types("RSET"), 250, "2.0.0 ")
    starts(typist.types("RCPT TO:", "<bob@example.test>"), 503, "5.5.1 say MAIL FROM first")


def test_5_forwarding_and_undeliverable_mail(tmp_path):
    """The receiver knows where the user is, and takes the message there (an alias); nobody else is told the address."""
    aliases = tmp_path / "aliases"
    aliases.write_text("carol: bob@example.test\nlost: nobody@gone.test\n")
    open_to_all(tmp_path)
    aliases.chmod(0o644)
    with Sink(lambda what, about: "550 5.1.1 moved away" if what == "rcpt" else None) as gone, \
            Troika(config=f'domain "old.test" {{ aliases = "{aliases}" }}\nroute "gone.test" {{ via = "127.0.0.1:{gone.port}" }}\n') as t, Typist(t.port) as typist:
        typist.types("HELO ", "host.example")
        sends(typist, "<carol@old.test>")
        t.wait_mails("bob", seconds=60)
        sends(typist, "<lost@old.test>")
        (report,) = t.wait_mails("alice", seconds=60)
        assert b"moved away" in report and b"Action: failed" in report
        starts(typist.types("MAIL FROM:", "<alice@example.test>"), 250, "2.1.0 ")
        starts(typist.types("RCPT TO:", "<nobody@old.test>"), 550, "5.1.1 no such user here: <nobody@old.test>")


def test_6_exchange(typist, server):
    """EHLO contoso.com … NOTIFY=success,failure: the confirmation comes."""
    before = len(server.mails("alice"))
    code, words = typist.types("EHLO ", "contoso.com")
    assert code == 250
    starts(typist.types("MAIL FROM:", "<alice@example.test>"), 250, "2.1.0 ")
    starts(typist.types("RCPT TO:", "<bob@example.test> NOTIFY=success,failure"), 250, "2.1.5 ")
    assert typist.types("DATA")[0] == 354
    starts(typist.message("Subject: Test message", "", "This is a test message."), 250, "2.0.0 ")
    starts(typist.types("QUIT"), 221, "2.0.0 ")
    report = server.wait_mails("alice", before + 1, seconds=60)[-1]
    assert b"Action: delivered" in report


def test_6_failures_that_a_person_understands(typist):
    for name in ("bad_name!", "a b", "<host>", ""):
        starts(typist.types("EHLO ", name), 501, "5.5.4 ")
    starts(typist.types("EHLO ", "contoso.com"), 250, "")
    for sender in ("<no-at-sign>", "<a@>", "<@b>", "a b@c"):
        starts(typist.types("MAIL FROM:", sender), 550, "5.1.7 ")
    starts(typist.types("MAIL FROM:", "<alice@example.test>"), 250, "2.1.0 ")
    starts(typist.types("RCPT TO:", "<nobody@example.test>"), 550, "5.1.1 no such user here: <nobody@example.test>")
    starts(typist.types("RCPT TO:", "<nobody>"), 501, "5.1.3 an address looks like bill@example.org")
    starts(typist.types("DATA"), 503, "5.5.1 say RCPT TO first")
    starts(typist.types("FOO"), 500, "5.5.1 unknown command, HELP lists them")
    for topic in ("550", "5.1.1", "501", "4.3.1"):
        assert typist.types("HELP ", topic)[0] == 214


def test_6_a_stranger_may_not_send_elsewhere():
    with Troika(relay_for='"192.0.2.0/24"') as t, Typist(t.port) as typist:
        typist.types("EHLO ", "contoso.com")
        starts(typist.types("MAIL FROM:", "<alice@example.test>"), 250, "2.1.0 ")
        starts(typist.types("RCPT TO:", "<somebody@elsewhere.test>"), 550, "5.7.1 relaying denied")


def test_6_cannot_connect(server):
    """Nobody listens there, or there is no such address: said in words."""
    result = server.run("send", "--server", f"127.0.0.1:{free_port()}", "--to", "bob@example.test", "text", check=False)
    assert result.returncode == 69 and "cannot connect" in result.stderr and "refused" in result.stderr
    result = server.run("send", "--server", "no.such.name:25", "--to", "bob@example.test", "text", check=False)
    assert result.returncode == 64 and "give an address and a port" in result.stderr


def test_6_disk_full_is_for_later():
    with Troika(config='free-floor = "1T"\n') as t, Typist(t.port) as typist:
        typist.types("EHLO ", "contoso.com")

        def refusal():
            answer = typist.types("MAIL FROM:", "<alice@example.test>")
            return answer if answer[0] != 250 else typist.types("RSET") and None

        starts(wait_for(refusal, 30, "a refusal"), 452, "4.3.1 no room to store mail, try again later")

"""An open relay is impossible by accident; nothing is smuggled, in either direction."""
# SPDX-License-Identifier: ISC
import pytest
from sinks import Sink
from troika import Dialogue, Troika, wait_for

OPEN_RELAY_TRIES = ["x@elsewhere.test", "x%elsewhere.test@example.test", "@example.test:x@elsewhere.test", '"x@elsewhere.test"@example.test',
                    "elsewhere.test!x@example.test", "elsewhere.test!x", '"x@elsewhere.test"', "x%elsewhere.test@[127.0.0.1]", "x@[127.0.0.2]",
                    "x@elsewhere.test@example.test", "bob%example.test@elsewhere.test", '"elsewhere.test!x"@mail.example.test']


@pytest.fixture(scope="module")
def strangers():
    """A server to which 127.0.0.1 is a stranger, though it has a smarthost."""
    with Sink() as rest:
        with Troika(config=f'smarthost "127.0.0.1:{rest.port}" {{ }}\n', relay_for='"192.0.2.0/24"') as t:
            t.sink = rest
            yield t


@pytest.mark.parametrize("address", OPEN_RELAY_TRIES)
def test_strangers_cannot_relay(strangers, address):
    with Dialogue(strangers.port) as d:
        d.reply()
        d.say("EHLO c.test")
        assert d.say("MAIL FROM:<a@b.test>")[0] == 250
        code, words = d.say(f"RCPT TO:<{address}>")
        assert 500 <= code < 600, (address, code, words)
    assert not strangers.sink.messages


# What is an address of elsewhere, a source route in front of it thrown away, our own clients may send to.
HONEST = ("x@elsewhere.test", "x@[127.0.0.2]", "@example.test:x@elsewhere.test")


@pytest.mark.parametrize("address", [a for a in OPEN_RELAY_TRIES if a not in HONEST])
def test_even_our_own_clients_cannot_route_inside_an_address(server, address):
    with Dialogue(server.port) as d:
        d.reply()
        d.say("EHLO c.test")
        d.say("MAIL FROM:<a@b.test>")
        assert 500 <= d.say(f"RCPT TO:<{address}>")[0] < 600


def test_strangers_reach_local_users_and_postmaster(strangers):
    with Dialogue(strangers.port) as d:
        d.reply()
        d.say("EHLO c.test")
        d.say("MAIL FROM:<a@b.test>")
        for address, code in (("bob@example.test", 250), ("BOB@Example.TEST", 250), ("nobody@example.test", 550), ("postmaster", 250),
                              ("PostMaster@example.test", 250), ("postmaster@mail.example.test", 250)):
            assert d.say(f"RCPT TO:<{address}>")[0] == code, address
        assert d.say("DATA")[0] == 354
        d.raw(b"Subject: x\r\n\r\ny\r\n.\r\n")
        assert d.reply()[0] == 250
    wait_for(lambda: len(strangers.mails("bob")) >= 1, what="mail of bob")
    import os
    wait_for(lambda: os.path.isdir(strangers.state + "/mail/postmaster/new") and os.listdir(strangers.state + "/mail/postmaster/new"), what="mail of postmaster")
    assert b"\nDate:" not in strangers.mails("bob")[0]  # a stranger's message is not mended


SMUGGLING = [b"\n.\n", b"\r.\r", b"\r\n.\n", b"\n.\r\n", b"\r.\r\n", b"\r\n.\r", b"\r\r\n.\r\r\n", b"\n\r\n.\n"]
SMUGGLED = b"MAIL FROM:<evil@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n"


@pytest.mark.parametrize("end", SMUGGLING, ids=repr)
def test_strangers_cannot_smuggle(strangers, end):
    with Dialogue(strangers.port) as d:
        d.reply()
        for line in ("EHLO c.test", "MAIL FROM:<a@b.test>", "RCPT TO:<alice@example.test>", "DATA"):
            d.say(line)
        d.raw(b"Subject: outer\r\n\r\nhello" + end + SMUGGLED)
        code, words = d.reply()
        assert (code, words[0][:5]) == (554, "5.6.0")
        assert d.say("NOOP")[0] == 250  # in step: what was "smuggled" was content
    assert not any(b"smuggled" in m for m in strangers.mails("bob") + strangers.mails("alice"))


@pytest.mark.parametrize("end", SMUGGLING, ids=repr)
def test_our_own_clients_are_normalised_never_split(end):
    with Sink() as far:
        with Troika(config=f'route "far.test" {{ via = "127.0.0.1:{far.port}" }}\n') as t:
            with Dialogue(t.port) as d:
                d.reply()
                for line in ("EHLO c.test", "MAIL FROM:<alice@example.test>", "RCPT TO:<a@far.test>", "DATA"):
                    d.say(line)
                d.raw(b"Subject: outer\r\n\r\nhello" + end + SMUGGLED)
                assert d.reply()[0] == 250
                assert d.say("NOOP")[0] == 250
            messages = wait_for(lambda: far.messages, what="the message")
            t.wait_empty()
            assert len(messages) == 1
            content = messages[0][2]
            assert b"smuggled" in content and content.replace(b"\r\n", b"").count(b"\n") == 0 and content.replace(b"\r\n", b"").count(b"\r") == 0


def test_a_bare_newline_in_a_command_is_told_at_once(server):
    for line in (b"EHLO c.test\n", b"EHLO c.test\r"):
        with Dialogue(server.port) as d:
            d.reply()
            d.raw(line + (b"x" if line.endswith(b"\r") else b""))
            code, words = d.reply()
            assert code == 500 and "CRLF" in words[0]

"""ETRN (RFC 1985): a server that was away comes back, and asks for what waits for it."""
# SPDX-License-Identifier: ISC
import smtplib

import pytest
from sinks import Sink
from troika import Dialogue, Troika, free_port, wait_for


class Waiting(Troika):
    """Mail for far.test, sub.far.test and other.test waits for an hour: nobody listened at .far, .sub and .other."""

    def __init__(self, config="", **more):
        self.far, self.sub, self.other, self.down = free_port(), free_port(), free_port(), set()
        super().__init__(config=f'route "far.test" {{ via = "127.0.0.1:{self.far}" }}\nroute ".far.test" {{ via = "127.0.0.1:{self.sub}" }}\n'
                         f'route "other.test" {{ via = "127.0.0.1:{self.other}" }}\nretry = {{ 1h }}\n{config}', **more)

    def defer(self, *recipients):
        """The first for a server is tried; then that is left alone, and what else is for it waits with it."""
        for to in recipients:
            id = self.send(to=to)
            server = to.split("@")[1]
            if server not in self.down:
                self.wait_event(id, "deferred")
            self.down.add(server)

    def etrn(self, node, source=None):
        with Dialogue(self.port, source=source) as d:
            d.reply()
            code, words = d.say("EHLO client.test")
            assert code == 250
            self.offered = "ETRN" in words
            return d.say(f"ETRN {node}")


@pytest.fixture(scope="module")
def server():
    with Waiting() as t:
        t.defer("a@far.test", "b@sub.far.test", "c@other.test")
        yield t


def test_a_domain_that_is_back(server):
    assert server.etrn("none.test") == (251, ["2.0.0 ok, no messages waiting for node none.test"])
    assert server.offered
    with Sink(port=server.far) as sink:
        assert server.etrn("FAR.test") == (253, ["2.0.0 ok, 1 pending message for node FAR.test started"])
        wait_for(lambda: [m for m in sink.messages if m[1] == ["a@far.test"]], 20, "the message")
        wait_for(lambda: len(server.queue()) == 2, 20, "an end of it")
        assert server.etrn("far.test")[0] == 251


def test_all_below_it(server):
    with Sink(port=server.sub) as sink:
        assert server.etrn("@far.test")[0] == 253
        wait_for(lambda: [m for m in sink.messages if m[1] == ["b@sub.far.test"]], 20, "the message")
        wait_for(lambda: len(server.queue()) == 1, 20, "an end of it")


def test_a_server(server):
    server.down.discard("other.test")
    with Sink(port=server.other) as sink:
        assert server.etrn(f"#127.0.0.1:{server.other}")[0] == 253
        wait_for(lambda: sink.messages, 20, "the message")
    server.wait_empty()


def test_it_is_told_in_the_trace(server):
    server.defer("d@other.test")
    assert server.etrn("other.test")[0] == 253
    (row,) = server.queue()
    events = server.trace(row["msg"])
    assert [e for e in events if e["event"] == "retry" and e["by"] == "etrn"], events


def test_syntax(server):
    for node in ("", "@", "#", "two words", "-.test"):
        code, words = server.etrn(node)
        assert code == 501 and words[0].startswith("5.5.4 "), node
    with Dialogue(server.port) as d:
        d.reply()
        assert d.say("ETRN far.test")[0] == 503
    with smtplib.SMTP("127.0.0.1", server.port, timeout=60) as s:
        s.ehlo("client.test")
        assert s.has_extn("etrn") and s.docmd("ETRN", "none.test")[0] == 251


def test_held_mail_stays(server):
    server.defer("held@other.test")
    server.run("queue", "hold", "held@other.test")
    before = server.etrn("other.test")[1][0]
    assert "1 pending message " in before, before  # only that of the test before


def test_strangers():
    with Waiting(relay_for='"192.0.2.0/24"') as t:
        assert t.etrn("far.test") == (459, ["4.7.1 node far.test not allowed: only for clients that have logged in or are our own"])
        assert not t.offered
    with Waiting(config="etrn = yes\n", relay_for='"192.0.2.0/24"') as t:
        assert t.etrn("far.test")[0] == 251 and t.offered
    with Waiting(config="etrn = no\n") as t:
        assert t.etrn("far.test")[0] == 502 and not t.offered

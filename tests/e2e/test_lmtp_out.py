"""Mail that leaves by LMTP: each recipient has an outcome of its own."""
# SPDX-License-Identifier: ISC
import re

import pytest
from aiosmtpd.lmtp import LMTP
from hosts import Cut, Hosts
from peers import Dovecot, SmtpSink
from sinks import Sink
from troika import Troika, wait_for

TEXT = "Subject: by LMTP\r\n\r\nfirst\r\n.dot\r\n"


def route(port, domain="far.test"):
    return f'route "{domain}" {{ via = "127.0.0.1:{port}" protocol = lmtp }}\nretry = {{ 1s }}\n'


class LmtpSink(Sink):
    """verdicts: a function of the number of the message and the recipients that gives a reply for each."""

    def __init__(self, verdicts):
        super().__init__()
        self.verdicts = verdicts

    async def handle_DATA(self, server, session, envelope):
        await super().handle_DATA(server, session, envelope)
        return "\r\n".join(self.verdicts(len(self.messages), envelope.rcpt_tos))

    def _factory(self):
        self.sessions += 1
        return LMTP(self, hostname="sink.test", data_size_limit=None)


def outcomes(t, id):
    """{user: [(event, status)…]}"""
    found = {}
    for e in t.trace(id):
        if e["event"] in ("delivered", "deferred", "bounced"):
            found.setdefault(e["to"].strip("<>").split("@")[0], []).append((e["event"], e["status"]))
    return found


def test_smtp_sink():
    with SmtpSink("-L") as sink, Troika(config=route(sink.port)) as t:
        id = t.send(to=["a@far.test", "b@far.test"], text=TEXT)
        t.wait_empty(60)
        assert len(wait_for(sink.messages, 60, "the message")) == 1
        assert outcomes(t, id) == {"a": [("delivered", "2.2.0")], "b": [("delivered", "2.2.0")]}


def test_each_recipient_has_its_verdict():
    def verdicts(message, recipients):
        first = {"a": "250 2.1.5 stored", "b": "452 4.2.2 full for now", "c": "550 5.2.1 gone", "d": "250 2.1.5 stored"}
        return [first[r[0]] if message == 1 else "250 2.0.0 stored later" for r in recipients]

    with LmtpSink(verdicts) as sink, Troika(config=route(sink.port)) as t:
        id = t.send(to=[f"{user}@far.test" for user in "abcd"], text=TEXT)
        t.wait_empty(60)
        assert outcomes(t, id) == {"a": [("delivered", "2.1.5")], "b": [("deferred", "4.2.2"), ("delivered", "2.0.0")], "c": [("bounced", "5.2.1")],
                                   "d": [("delivered", "2.1.5")]}
        assert [recipients for sender, recipients, content in sink.messages] == [[f"{user}@far.test" for user in "abcd"], ["b@far.test"]]
        assert b"5.2.1 gone" in t.wait_mails("alice", seconds=60)[0]


def test_the_connection_breaks_between_two_verdicts():
    """Who was answered for is done with; only the others get it again."""
    class Breaks(LmtpSink):
        async def handle_DATA(self, server, session, envelope):
            reply = await super().handle_DATA(server, session, envelope)
            if len(self.messages) == 1:
                await server.push("250 2.0.0 stored")
                server.transport.close()
            return reply

    with Breaks(lambda message, recipients: ["250 2.0.0 stored"] * len(recipients)) as sink, Troika(config=route(sink.port)) as t:
        id = t.send(to=["a@far.test", "b@far.test"], text=TEXT)
        t.wait_empty(60)
        found = outcomes(t, id)
        assert found["a"] == [("delivered", "2.0.0")]
        assert [event for event, status in found["b"]] == ["deferred", "delivered"]
        assert sink.messages[1][1] == ["b@far.test"]


def test_not_lmtp():
    """A server of SMTP does not get mail that is for LMTP: it waits."""
    with Sink() as sink, Troika(config=route(sink.port)) as t:
        id = t.send(to="a@far.test", text=TEXT)
        assert t.wait_event(id, "deferred", 60)
        assert sink.messages == []


def test_dovecot():
    with Dovecot(relay_port=0) as dovecot, Troika(config=route(dovecot.port, dovecot.domain)) as t:
        id = t.send(to=[f"{user}@{dovecot.domain}" for user in ("alice", "full", "nobody")], text=TEXT)
        mail = wait_for(dovecot.mails, 60, f"the message\n{dovecot.log()[-3000:]}")[0]
        assert b"\n.dot" in mail and re.search(rb"^Received: .*by mail.example.test", mail, re.S | re.M)
        wait_for(lambda: len(outcomes(t, id)) == 3, 60, "each outcome")
        found = outcomes(t, id)
        assert found["alice"][0][0] == "delivered"
        assert found["nobody"] == [("bounced", "5.1.1")]
        assert found["full"][0][1] in ("5.2.2", "4.2.2"), found


# ---- cut at every byte ----

@pytest.fixture(scope="module")
def cuttable():
    """(hosts, troika, where): a domain of LMTP for each address that `where` gives."""
    def where(i):
        return f"127.4.{i // 250}.{i % 250 + 1}"

    with Hosts() as hosts:
        routes = "".join(f'route "c{i}.test" {{ via = "{where(i)}:{hosts.port}" protocol = lmtp }}\n' for i in range(2000))
        with Troika(config=routes + "retry = { 1s }\ndestination-concurrency = 1\n") as t:
            yield hosts, t, where


def send_to(t, numbers):
    with t.smtp() as s:
        for i in numbers:
            s.sendmail("alice@example.test", [f"a@c{i}.test", f"b@c{i}.test"], TEXT)


def judge(host):
    """What is wrong with what this host was sent, or nothing."""
    whole = [m for m in host.messages if m.whole]
    told = [r for m in whole for r in m.told]
    if {r[0] for r in told} != {"a", "b"}:
        return f"told of {told}"
    if len(told) != 2 and not host.cut.reset:
        return f"sent again after they were told: {told}"
    if any(not m.content.endswith(TEXT.replace("\n.dot", "\n..dot").encode()) for m in whole):
        return "content"
    return None


def test_cut_at_every_byte(cuttable):
    """Nobody is lost, and who was answered for does not get it again."""
    hosts, t, where = cuttable
    first = hosts.add(where(0))
    send_to(t, [0])
    heard, said = wait_for(lambda: first.over, 60, "a whole dialog")[0]
    assert heard > 300 and said > 100
    cuts = [Cut(side, at, at % 4 == 0) for side, most in (("heard", heard), ("said", said)) for at in range(1, most + 1)]
    cases = [hosts.add(where(i), cut=cut) for i, cut in enumerate(cuts, 1)]
    send_to(t, range(1, len(cases) + 1))
    wait_for(lambda: all({r[0] for m in host.messages for r in m.told} == {"a", "b"} for host in cases), 100, "every recipient")
    t.wait_empty(60)
    wrong = [f"{host.cut.side} {host.cut.at}: {fault}" for host in cases if (fault := judge(host))]
    assert not wrong, "\n".join(wrong)
    assert not t.mails("alice")  # nothing was bounced
    between = [host for host in cases if any(len(m.told) == 1 for m in host.messages[:1])]
    assert len(between) > 10

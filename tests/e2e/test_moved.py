"""Users who have moved (RFC 5321 3.4): 251 forwards and says so, 551 says where they are and refuses."""
# SPDX-License-Identifier: ISC
import email
import json

import pytest
from sinks import Sink
from troika import Dialogue, Troika, wait_for

ALIASES = """bill: :forwarded: bill@far.test
renamed: :forwarded: alice
anna: :moved: anna@new.test
carl: :moved:
team: bill, anna, alice
"""


class Moved(Troika):
    def __init__(self, config="", aliases=ALIASES, **more):
        self.aliases_text = aliases
        super().__init__(config=config, **more)

    def configure(self, config):
        with open(self.folder + "/aliases", "w") as f:
            f.write(self.aliases_text)
        self.base = self.base.replace("accounts = yes", f'accounts = yes aliases = "{self.folder}/aliases"')
        super().configure(config)


@pytest.fixture(scope="module")
def server():
    with Sink() as sink, Moved(config=f'route "far.test" {{ via = "127.0.0.1:{sink.port}" }}\n') as t:
        t.sink = sink
        yield t


def said(t, *lines):
    with Dialogue(t.port) as d:
        d.reply()
        for line in ("EHLO client.test", "MAIL FROM:<bob@example.test>", *lines):
            answer = d.say(line)
        return answer[0], answer[1][0]


def test_rcpt(server):
    assert said(server, "RCPT TO:<bill@example.test>") == (251, "2.1.5 not here any more; mail is forwarded to <bill@far.test>")
    assert said(server, "RCPT TO:<bill+tag@example.test>")[0] == 251
    assert said(server, "RCPT TO:<renamed@example.test>") == (251, "2.1.5 not here any more; mail is forwarded to <alice@example.test>")
    assert said(server, "RCPT TO:<anna@example.test>") == (551, "5.1.6 not here any more; write to <anna@new.test>")
    assert said(server, "RCPT TO:<carl@example.test>") == (550, "5.1.6 <carl@example.test> has moved and left no address")


def test_vrfy_and_expn_agree(server):
    assert said(server, "VRFY bill") == (251, "2.1.5 not here any more; mail is forwarded to <bill@far.test>")
    assert said(server, "VRFY anna@example.test") == (551, "5.1.6 not here any more; write to <anna@new.test>")
    assert said(server, "VRFY carl") == (550, "5.1.6 <carl@example.test> has moved and left no address")
    assert said(server, "EXPN bill") == (250, "2.1.5 <bill@far.test>")
    assert said(server, "EXPN anna")[0] == 551


def test_it_arrives_and_the_trace_knows_why(server):
    with server.smtp() as s:
        refused = s.sendmail("bob@example.test", ["bill@example.test", "anna@example.test"], "Subject: moved\r\n\r\nx\r\n")
    assert {address: code for address, (code, words) in refused.items()} == {"anna@example.test": 551}
    (message,) = wait_for(lambda: [m for m in server.sink.messages if b"Subject: moved" in m[2]], 20, "the message")
    assert message[1] == ["bill@far.test"]
    assert "forwarded" in server.run("explain", "bill@example.test") or "alias bill of aliases:1" in server.run("explain", "bill@example.test")
    assert "anna@new.test" in server.run("explain", "anna@example.test", check=False).stdout
    assert "5.1.6" in server.run("trace", "anna@example.test")


def test_a_list_goes_to_those_who_are_there(server):
    before = len(server.mails("alice"))
    assert said(server, "RCPT TO:<team@example.test>")[0] == 250
    server.send(to="team@example.test", sender="bob@example.test")
    server.wait_mails("alice", before + 1)
    wait_for(lambda: "event=alias-target-failed" in server.log() and "anna has moved to anna@new.test" in server.log(), 20, "the line about anna")


def test_aliases_list_and_show(server):
    rows = {row["alias"]: row for row in map(json.loads, server.run("aliases", "list", "--json").splitlines())}
    assert {name: row["kind"] for name, row in rows.items()} == {"bill": "forwarded", "renamed": "forwarded", "anna": "moved", "carl": "moved", "team": "alias"}
    assert rows["carl"]["targets"] == []
    assert "anna: :moved: anna@new.test" in server.run("aliases", "show", "anna")


def test_others_who_say_so():
    """The 251 of a next hop is an acceptance, its 551 is in the report to the sender."""
    def answer(what, about):
        if what == "rcpt" and about.startswith("gone"):
            return "551 5.1.6 User not local; please try <gone@new.test>"
        return None

    class Forwards(Sink):
        async def handle_RCPT(self, server, session, envelope, address, options):
            reply = await super().handle_RCPT(server, session, envelope, address, options)
            return reply.replace("250 2.1.5 ok", "251 2.1.5 User not local; will forward to <x@new.test>")

    with Forwards(answer) as sink, Troika(config=f'route "far.test" {{ via = "127.0.0.1:{sink.port}" }}\n') as t:
        id = t.send(to=["here@far.test", "gone@far.test"])
        t.wait_event(id, "delivered")
        assert sink.messages[0][1] == ["here@far.test"]
        report = email.message_from_bytes(t.wait_mails("alice")[0])
        words, status, original = report.get_payload()
        assert "gone@new.test" in words.get_payload()
        assert status.get_payload()[1]["Status"] == "5.1.6" and status.get_payload()[1]["Diagnostic-Code"].startswith("smtp; 551")


def test_wrong_entries_are_told():
    t = Moved(aliases="bill: :moved: a, b\nanna: :forwarded:\ncarl: x, :moved: y\n")
    try:
        result = t.run("check", check=False)
        for words in ("has moved to more than one address", "is forwarded nowhere", "stands in front of one address"):
            assert words in result.stdout + result.stderr
    finally:
        t.__exit__(None, None, None)

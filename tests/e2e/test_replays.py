"""What next hops may say and do, one row each: the outcome of every recipient is a legal one, nothing is lost, nothing
comes twice that was confirmed, and no server gets more of our memory or time than it should."""
# SPDX-License-Identifier: ISC
import collections
import datetime
import email
import os
import subprocess

import pytest
from hosts import EHLO_PIPELINING, EHLO_PLAIN, deaf, drip, endless, late, silence, then_end
from net import Net
from troika import ROOT, open_to_all, wait_for

LIBRARY = os.path.join(ROOT, "tests/lib/hurried_clock.c")
TEXT = "Subject: replay\r\n\r\n.dot\r\nend\r\n"
MIB = 1 << 20

# Stages of the dialog: the code of the good answer, and the name of what is awaited.
STAGES = {"greeting": (220, "the greeting"), "EHLO": (250, "EHLO"), "MAIL": (250, "MAIL FROM"), "RCPT": (250, "RCPT TO"), "DATA": (354, "DATA"),
          "dot": (250, "the message")}

# first: what is told first of each recipient, event, status and words of it; all that is deferred is delivered later.
Case = collections.namedtuple("Case", "script first ehlo attempts text", defaults=(EHLO_PIPELINING, 1, TEXT))

DELIVERED = ("delivered", "2.0.0", "taken")


def everybody(event, status, words):
    return {"a": (event, status, words), "b": (event, status, words)}


def later(status, words):
    return everybody("deferred", status, words)


def never(status, words):
    return everybody("bounced", status, words)


def at_each_stage(name, answer, first, stages=STAGES, **more):
    """Rows for one answer: a function of the good code, at each stage of the dialog in turn."""
    return {f"{name} at {stage}": Case({stage: answer(STAGES[stage][0])}, first(STAGES[stage][1]), **more) for stage in stages}


def line(code, text):
    return b"%d %s\r\n" % (code, text)


ENVELOPE = ("MAIL", "RCPT", "DATA", "dot")

CASES = {
    "a good server": Case({}, everybody(*DELIVERED)),
    "without pipelining": Case({}, everybody(*DELIVERED), EHLO_PLAIN),
    "HELO only": Case({"EHLO": b"500 5.5.1 what?\r\n"}, everybody(*DELIVERED)),
    "many lines": Case({"greeting": b"220-a\r\n220-b\r\n220 c\r\n", "RCPT": b"250-a\r\n250 b\r\n", "dot": b"250-2.0.0 well\r\n250 2.0.0 taken\r\n"},
                       everybody("delivered", "2.0.0", "well")),
    "bare LF ends a line": Case({"greeting": b"220 h\n", "EHLO": b"250-h\n250 PIPELINING\n", "MAIL": b"250 ok\n", "RCPT": b"250 ok\n", "dot": b"250 taken\n"},
                                everybody("delivered", "2.0.0", "taken")),
    "bare CR is text": Case({"dot": b"250 2.0.0 ta\rken\r\n"}, everybody("delivered", "2.0.0", "ken")),
    "each byte alone": Case({stage: drip(0.001) for stage in [*STAGES, "QUIT"]}, everybody(*DELIVERED)),
    "each byte alone without pipelining": Case({stage: drip(0.001) for stage in [*STAGES, "QUIT"]}, everybody(*DELIVERED), EHLO_PLAIN),
    "slow": Case({stage: late(0.3) for stage in STAGES}, everybody(*DELIVERED)),
    "221 to RCPT": Case({"RCPT": b"221 ok\r\n"}, everybody(*DELIVERED)),
    "enhanced code of another class": Case({"dot": b"250 5.1.1 taken\r\n"}, everybody("delivered", "2.0.0", "taken")),
    "closes after the verdict": Case({"dot": then_end(b"250 2.0.0 taken\r\n")}, everybody(*DELIVERED)),
    "421 after the verdict": Case({"dot": then_end(b"250 2.0.0 taken\r\n421 4.4.2 idle\r\n")}, everybody(*DELIVERED)),

    # later
    "greylisting": Case({"RCPT": b"450 4.7.1 greylisted\r\n"}, later("4.7.1", "greylisted")),
    "4xx for one": Case({"RCPT 2": b"450 4.2.1 busy\r\n"}, {"a": DELIVERED, "b": ("deferred", "4.2.1", "busy")}),
    "552 after another was taken": Case({"RCPT 2": b"552 too many\r\n"}, {"a": DELIVERED, "b": ("deferred", "4.5.3", "too many")}),
    "552 to the first": Case({"RCPT 1": b"552 5.2.2 full\r\n"}, {"a": ("bounced", "5.2.2", "full"), "b": DELIVERED}),
    "554 for a greeting": Case({"greeting": b"554 5.7.1 no\r\n"}, later("4.7.1", "no")),
    "neither EHLO nor HELO": Case({"EHLO": b"502 no\r\n", "HELO": b"502 5.5.1 no\r\n"}, later("4.5.1", "no")),
    **at_each_stage("421", lambda code: line(421, b"4.3.2 closing"), lambda what: later("4.3.2", "closing")),
    **at_each_stage("421 and the end", lambda code: then_end(line(421, b"4.3.2 closing")), lambda what: later("4.3.2", "closing")),
    **at_each_stage("451", lambda code: line(451, b"4.3.0 not now"), lambda what: later("4.3.0", "not now")),

    # never
    **at_each_stage("550", lambda code: line(550, b"5.7.1 not from you"), lambda what: never("5.7.1", "not from you"), ENVELOPE),
    "5xx for one of three": Case({"RCPT 2": b"550 5.1.1 never heard of b\r\n"}, {"a": DELIVERED, "b": ("bounced", "5.1.1", "never heard of b"), "c": DELIVERED}),
    "one of each": Case({"RCPT 2": b"550 5.1.1 never heard of b\r\n", "RCPT 3": b"451 4.2.0 not now\r\n"},
                        {"a": DELIVERED, "b": ("bounced", "5.1.1", "never"), "c": ("deferred", "4.2.0", "not now")}),
    "all refused, and 354": Case({"RCPT": b"550 5.1.1 nobody\r\n", "DATA": b"354 go\r\n"}, never("5.1.1", "nobody")),
    "words that look like a log line": Case({"RCPT": b'550 5.1.1 no" event=delivered to=<a@x.test> \x1b[31m\xff\xc3\r\n'}, never("5.1.1", "event=delivered")),

    # nonsense
    **at_each_stage("NUL", lambda code: line(code, b"o\0k"), lambda what: later("4.5.0", "NUL in a reply")),
    **at_each_stage("an endless reply", lambda code: endless(b"%d-and more\r\n" % code), lambda what: later("4.5.0", "too many lines")),
    **at_each_stage("a line of 10 MiB", lambda code: line(code, b"x" * 10 * MIB), lambda what: later("4.5.0", "line too long")),
    **at_each_stage("an endless line", lambda code: endless(b"2" * 60000), lambda what: later("4.5.0", "line too long")),
    **at_each_stage("999", lambda code: line(999, b"hm"), lambda what: later("4.5.0", "three-digit code")),
    **at_each_stage("no code", lambda code: b"SSH-2.0-OpenSSH_9.2\r\n", lambda what: later("4.5.0", "three-digit code")),
    **at_each_stage("other code in one reply", lambda code: b"%d-a\r\n251 b\r\n" % code, lambda what: later("4.5.0", "different codes")),
    **at_each_stage("an empty line", lambda code: b"\r\n", lambda what: later("4.5.0", "three-digit code")),
    **at_each_stage("354", lambda code: line(354, b"go"), lambda what: later("4.5.0", f"354 to {what}"), [s for s in STAGES if s != "DATA"]),
    "250 to DATA": Case({"DATA": b"250 2.0.0 taken\r\n"}, later("4.5.0", "250 to DATA")),
    "taken before it was sent": Case({"DATA": b"354 go\r\n250 2.0.0 taken\r\n"}, later("4.5.0", "250 to nothing we said")),
    "all answers in advance": Case({"greeting": b"220 h\r\n250 h\r\n250 s\r\n250 r\r\n250 r\r\n354 go\r\n250 taken\r\n"}, later("4.5.0", "nothing we said")),
    "refused while it is sent": Case({"DATA": b"354 go\r\n552 5.3.4 too big\r\n"}, never("5.3.4", "too big")),

    # a session that is used again: RSET comes first, and what becomes of it is no attempt
    **{f"{name} to RSET": Case({"RCPT": b"450 4.2.0 busy\r\n", "RSET": answer}, later("4.2.0", "busy"), EHLO_PLAIN) for name, answer in (
        ("421", b"421 4.4.2 idle\r\n"), ("500", b"500 what?\r\n"), ("NUL", b"250 \0\r\n"), ("an end", then_end(b"")), ("a reset", then_end(b"", reset=True)),
        ("an endless reply", endless(b"250-and more\r\n")), ("250", b"250 ok\r\n"))},
}

# In a relay whose clock is a hundred times as fast.
PATIENCE = {
    "a greeting after 200 s": Case({"greeting": late(2)}, everybody(*DELIVERED)),
    "each byte after seconds": Case({stage: drip(0.03) for stage in STAGES}, everybody(*DELIVERED)),
    **at_each_stage("silence", lambda code: silence, lambda what: later("4.4.2", f"no answer in time to {what}")),
    **at_each_stage("bytes for ever", lambda code: endless(b"2", 0.05), lambda what: later("4.4.2", f"no answer in time to {what}")),
    **at_each_stage("lines for ever", lambda code: endless(b"%d-\r\n" % code, 0.1), lambda what: later("4.4.2", f"no answer in time to {what}")),
    **at_each_stage("a bare CR", lambda code: b"%d ok\r" % code, lambda what: later("4.4.2", f"no answer in time to {what}"), ehlo=EHLO_PLAIN),
    "reads no content": Case({"DATA": deaf}, later("4.4.2", "no answer in time to a block of the message"), text="Subject: big\r\n\r\n" + ("x" * 900 + "\r\n") * 8000),
}


class Play:
    """A case that was sent."""

    def __init__(self, net, case):
        self.net, self.case = net, case
        self.domain, self.host = net.add(script=case.script, ehlo=case.ehlo, attempts=case.attempts)

    def send(self):
        self.id = self.net.t.send(to=[f"{user}@{self.domain}" for user in self.case.first], text=self.case.text)

    def ends(self):
        """{user: [event…]} once each recipient has its last one."""
        of = {user: [e for e in self.net.t.trace(self.id) if e.get("to") == f"<{user}@{self.domain}>"] for user in self.case.first}
        return all(events and events[-1]["event"] in ("delivered", "bounced") for events in of.values()) and of


def play_all(net, cases):
    plays = {name: Play(net, case) for name, case in cases.items()}
    for play in plays.values():
        play.send()
    return plays


@pytest.fixture(scope="module")
def played():
    with Net(config="retry = { 1s }\n") as net:
        yield play_all(net, CASES)


@pytest.fixture(scope="module")
def hurried(tmp_path_factory):
    library = tmp_path_factory.mktemp("clock") / "hurried_clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, LIBRARY], check=True)
    open_to_all(library.parent)
    with Net(config="retry = { 1s }\n", environment={"LD_PRELOAD": str(library), "TROIKA_HURRY": "relay"}) as net:
        yield play_all(net, PATIENCE)


def judge(play):
    case, host = play.case, play.host
    events = wait_for(play.ends, 30, "the outcome of each recipient")
    for user, (event, status, words) in case.first.items():
        told = events[user]
        assert (told[0]["event"], told[0]["status"]) == (event, status), told
        assert words in told[0]["reply"], told
        assert [e["event"] for e in told] == (["deferred", "delivered"] if event == "deferred" else [event]), told
        taken = [m for m in host.messages if m.taken and f"{user}@{play.domain}" in m.recipients]
        assert event == "bounced" or len(taken) == 1, [(m.recipients, m.whole, m.verdict) for m in host.messages]
        content = case.text.replace("\n.", "\n..").encode()
        assert all(m.content.startswith(b"Received: from ") and m.content.endswith(content) for m in taken)
    judge_bounces(play)
    assert not play.net.t.queue(f"@{play.domain}")


def judge_bounces(play):
    failed = {f"{user}@{play.domain}": (status, words) for user, (event, status, words) in play.case.first.items() if event == "bounced"}
    reports = [m for m in play.net.t.mails("alice") if play.domain.encode() in m]
    if not failed:
        assert not reports
        return
    reports = wait_for(lambda: [m for m in play.net.t.mails("alice") if play.domain.encode() in m], what="the report")
    assert len(reports) == 1
    words_first, status_part, original = email.message_from_bytes(reports[0]).get_payload()
    told = {part["Final-Recipient"].split(";")[1].strip(): part["Status"] for part in status_part.get_payload()[1:]}
    assert told == {address: status for address, (status, words) in failed.items()}
    assert all(words in words_first.get_payload() for status, words in failed.values())


@pytest.mark.parametrize("name", CASES)
def test_replay(played, name):
    judge(played[name])


def test_greylisting_is_tried_again_in_time(played):
    play = played["greylisting"]
    events = wait_for(play.ends, what="the delivery")
    first, second = play.host.messages
    due = datetime.datetime.fromisoformat(events["a"][0]["next"].replace("Z", "+00:00")).timestamp()
    assert 0.9 < due - first.time < 4 and 0 <= second.time - due < 5


def test_no_server_costs_much_memory(played):
    """After all of the above, endless replies among it."""
    for play in played.values():
        wait_for(play.ends, 30, "all outcomes")
    relays = [pid for name, pid in play.net.t.workers().items() if name.startswith("relay")]
    assert relays
    for pid in relays:
        with open(f"/proc/{pid}/status") as f:
            most = next(int(row.split()[1]) for row in f if row.startswith("VmHWM"))
        assert most < 64 * 1024, f"relay needed {most} KiB"


@pytest.mark.parametrize("name", PATIENCE)
def test_patience(hurried, name):
    judge(hurried[name])

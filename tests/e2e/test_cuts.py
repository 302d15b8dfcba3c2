"""The connection to the next hop is cut at every byte of the dialog: nothing is lost, nothing is bounced, and what
comes twice was sent to its dot and not confirmed."""
# SPDX-License-Identifier: ISC
import collections
import json

import pytest
from hosts import EHLO_PIPELINING, EHLO_PLAIN, Cut
from net import Net
from troika import wait_for

def body(number):
    return b"Subject: %d\r\n\r\n.dot\r\nend\r\n" % number


def zone():
    return "".join(f"c{i:04} MX 10 h{i:04}\nh{i:04} A {address(i)}\n" for i in range(CASES_MAX))


def address(i):
    return f"127.3.{i // 250}.{i % 250 + 1}"


class Cuts(Net):
    def send(self, domains, numbers):
        with self.t.smtp() as s:
            for domain in domains:
                for n in numbers:
                    s.sendmail("alice@example.test", [f"a{n}@{domain}", f"b{n}@{domain}"], body(n))

    def events(self):
        """{recipient: [names of its events, in order]}"""
        names = ("deferred", "delivered", "bounced")
        lines = [json.loads(line) for name in names for line in self.t.run("trace", "--json", name, check=False).stdout.splitlines()]
        found = collections.defaultdict(list)
        for event in sorted(lines, key=lambda e: e["time"]):
            found[event["to"].strip("<>")].append(event["event"])
        return found


@pytest.fixture(scope="module")
def net():
    with Cuts(config="retry = { 1s }\ndestination-concurrency = 1\n") as net:
        yield net


EHLOS = {"pipelining": EHLO_PIPELINING, "plain": EHLO_PLAIN}


@pytest.fixture(scope="module")
def dialogs(net):
    """{(name of EHLO, messages): how many bytes (we, they) say, from the greeting to the answer to QUIT}"""
    whole = {(name, count): net.add(ehlo=ehlo) for name, ehlo in EHLOS.items() for count in (1, 2)}
    for (name, count), (domain, host) in whole.items():
        net.send([domain], range(1, count + 1))
    wait_for(lambda: all(host.over for domain, host in whole.values()), what="whole dialogs")
    for (name, count), (domain, host) in whole.items():
        assert len(host.taken()) == count and len(host.over) == 1
    return {which: host.over[0] for which, (domain, host) in whole.items()}


def judge(host, domain, number, events):
    """What is wrong with the outcome of a message, or nothing."""
    of_a, of_b = (events[f"{user}{number}@{domain}"] for user in "ab")
    whole = [m for m in host.messages if m.whole and b"Subject: %d\r\n" % number in m.content]
    first_told = bool(whole) and whole[0].attempt == number and whole[0].taken
    if of_a != of_b or of_a not in (["delivered"], ["deferred", "delivered"]):
        return f"events {of_a}, {of_b}"
    if not whole or not whole[-1].taken or len(whole) > 2:
        return f"came whole {len(whole)} times, the last one confirmed: {whole and whole[-1].taken}"
    if len(whole) == 2 and whole[0].taken and not host.cut.reset:
        return "came again although it was confirmed"
    if number == 1 and (of_a == ["delivered"]) != first_told and not (host.cut.reset and first_told):
        return f"confirmed at once: {first_told}, but {of_a}"
    for m in whole:
        if not m.content.startswith(b"Received: from ") or not m.content.endswith(body(number).replace(b"\n.dot", b"\n..dot")):
            return f"content {m.content}"
        if m.recipients != [f"a{number}@{domain}", f"b{number}@{domain}"]:
            return f"recipients {m.recipients}"
    return None


def run_cuts(net, ehlo, cuts, numbers):
    """How often was the last message delivered, how often deferred, at first?"""
    cases = [(*net.add(ehlo=EHLOS[ehlo], cut=cut), cut) for cut in cuts]
    net.send([domain for domain, host, cut in cases], numbers)
    wait_for(lambda: all(len(host.taken()) >= len(numbers) for domain, host, cut in cases), 60, "every message")
    net.t.wait_empty()
    events = net.events()
    wrong = [f"{cut.side} {cut.at} reset={cut.reset} message {n}: {fault}" for domain, host, cut in cases for n in numbers if (fault := judge(host, domain, n, events))]
    assert not wrong, "\n".join(wrong)
    assert not net.t.mails("alice")  # nothing was bounced
    first = [events[f"a{numbers[-1]}@{domain}"][0] for domain, host, cut in cases]
    return first.count("delivered"), first.count("deferred")


@pytest.mark.parametrize("ehlo", EHLOS)
def test_cut_at_every_byte(net, dialogs, ehlo):
    heard, said = dialogs[ehlo, 1]
    assert heard > 300 and said > 100
    cuts = [Cut(side, at, reset) for side, most in (("heard", heard), ("said", said)) for at in range(1, most + 1) for reset in (False, True)]
    delivered, deferred = run_cuts(net, ehlo, cuts, [1])
    assert delivered > 20 and deferred > 700


@pytest.mark.parametrize("ehlo", EHLOS)
def test_cut_in_a_message_over_a_connection_used_before(net, dialogs, ehlo):
    """What a server that just ran out did not answer to is sent again at once."""
    one, two = dialogs[ehlo, 1], dialogs[ehlo, 2]
    cuts = [Cut(side, at) for i, side in enumerate(("heard", "said")) for at in range(one[i] - 20, two[i] + 1)]
    delivered, deferred = run_cuts(net, ehlo, cuts, [1, 2])
    assert delivered > 20 and deferred > 200

"""A small Internet on loopback: nsd knows the names, servers listen on 127.0.1.y, mail finds its way by DNS."""
# SPDX-License-Identifier: ISC
import contextlib
import email
import json
import os
import signal
import socket
import tempfile

import pytest
from names import NameServer
from resolver import ANSWERS, OddResolver
from sinks import Sink
from troika import Troika, free_port, wait_for

# 127.0.1.1 and .2 take mail, nobody listens on .9.
ZONE = """
ns A 127.0.0.1
mx1 A 127.0.1.1
mx2 A 127.0.1.2
dead A 127.0.1.9
both A 127.0.1.1
both AAAA ::1
pref MX 20 mx2
pref MX 10 mx1
deadfirst MX 10 dead
deadfirst MX 20 mx2
plain A 127.0.1.1
twofamilies MX 10 both
null MX 0 .
nohost MX 10 gone
alias CNAME pref
mxalias MX 10 mxname
mxname CNAME mx1
loop MX 10 mail.example.test.
loop MX 20 mx1
better MX 10 mx1
better MX 20 mail.example.test.
better MX 30 mx2
betterdead MX 10 dead
betterdead MX 20 mail.example.test.
betterdead MX 30 mx2
loopbyaddress MX 10 here
loopbyaddress MX 20 mx1
here A 127.0.0.1
alldead MX 10 dead
slow MX 10 mx1
ring CNAME ring2
ring2 CNAME ring
itself CNAME itself
mxring MX 10 ring
ringfirst MX 10 ring
ringfirst MX 20 mx2
"""


@pytest.fixture(scope="module")
def names():
    # mail.example.test is in no zone of ours: the name of the server is enough.
    with NameServer({"test": ZONE}, broken=["broken.test"]) as ns:
        yield ns


class Internet:
    """Two servers on the same port of their own addresses, and a Troika that finds them by DNS."""

    def __init__(self, names, config="", private=True, answers=(None, None), listen_there=False):
        self.names, self.config, self.private, self.answers, self.listen_there = names, config, private, answers, listen_there

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        self.port = free_port()
        self.mx1, self.mx2 = (self.stack.enter_context(Sink(answer, host=f"127.0.1.{i}", port=self.port)) for i, answer in enumerate(self.answers, 1))
        self.t = Troika(config=self.config + f"private-next-hops = {'yes' if self.private else 'no'}\nretry = {{ 1s }}\n",
                        listen=f"127.0.0.1:{self.port}" if self.listen_there else None, dns=f"{self.names.dns} smtp-port = {self.port}")
        if self.listen_there:
            self.t.port = self.port
        self.stack.enter_context(self.t)
        return self

    def __exit__(self, *exception):
        return self.stack.__exit__(*exception)

    def send(self, domain, event="delivered"):
        id = self.t.send(to=f"someone@{domain}")
        return self.t.wait_event(id, event)[0]

    def bounce(self, domain, status):
        event = self.send(domain, "bounced")
        assert event["status"] == status, event
        report = email.message_from_bytes(wait_for(lambda: [m for m in self.t.mails("alice") if f"someone@{domain}".encode() in m], what="the report")[0])
        recipient = report.get_payload()[1].get_payload()[1]
        assert recipient["Action"] == "failed" and recipient["Status"] == status
        assert not self.mx1.messages and not self.mx2.messages
        self.t.wait_empty()
        return event, report.get_payload()[0].get_payload()


@contextlib.contextmanager
def silent_resolver():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        s.settimeout(20)
        yield s


@pytest.fixture(scope="module")
def internet(names):
    with Internet(names) as i:
        yield i


@pytest.fixture
def fresh(internet):
    """Nothing was sent there yet."""
    internet.mx1.messages.clear()
    internet.mx2.messages.clear()
    return internet


def test_the_best_preference_is_taken(fresh):
    event = fresh.send("pref.test")
    assert event["host"] == f"mx1.test (127.0.1.1:{fresh.port})" and event["next-hop"] == "@pref.test"
    assert fresh.mx1.messages[0][1] == ["someone@pref.test"] and not fresh.mx2.messages


def test_the_next_server_when_the_first_is_dead(fresh):
    event = fresh.send("deadfirst.test")
    assert event["host"] == f"mx2.test (127.0.1.2:{fresh.port})"
    assert f"dead.test (127.0.1.9:{fresh.port}): cannot connect" in event["detail"], event
    assert fresh.mx2.messages and not fresh.mx1.messages


def test_the_domain_itself_without_mx(fresh):
    assert fresh.send("plain.test")["host"] == f"plain.test (127.0.1.1:{fresh.port})"
    assert fresh.mx1.messages


def test_both_families_are_tried(fresh):
    event = fresh.send("twofamilies.test")
    assert event["host"] == f"both.test (127.0.1.1:{fresh.port})" and f"both.test ([::1]:{fresh.port})" in event["detail"], event


@pytest.mark.parametrize("domain,host", [("alias.test", "mx1.test"), ("mxalias.test", "mxname.test")])
def test_aliases_are_followed(fresh, domain, host):
    assert fresh.send(domain)["host"].startswith(host + " ")
    assert fresh.mx1.messages[0][1] == ["someone@" + domain]


def test_an_address_literal(fresh):
    assert fresh.send("[127.0.1.2]")["host"] == f"127.0.1.2:{fresh.port}"
    assert fresh.mx2.messages[0][1] == ["someone@[127.0.1.2]"]


def test_only_servers_better_than_ourselves(fresh):
    assert fresh.send("better.test")["host"].startswith("mx1.test ")
    event = fresh.send("betterdead.test", "deferred")
    assert event["status"] == "4.4.1" and "dead.test" in event["detail"] and "mx2" not in event["detail"]
    assert not fresh.mx2.messages
    fresh.t.run("queue", "rm", event["msg"])


def test_null_mx(fresh):
    event, words = fresh.bounce("null.test", "5.1.10")
    assert event["code"] == 556 and "null.test takes no mail" in words


def test_no_such_domain(fresh):
    event, words = fresh.bounce("no-such-domain.test", "5.1.2")
    assert event["code"] == 550 and "no such domain: no-such-domain.test" in words
    fresh.bounce("no-such-tld", "5.1.2")


def test_servers_without_addresses(fresh):
    event, _ = fresh.bounce("nohost.test", "5.4.4")
    assert "gone.test has no address" in event["detail"]


def test_a_loop_by_name(fresh):
    event, words = fresh.bounce("loop.test", "5.4.6")
    assert event["code"] == 554 and "loops back to this server" in words


def test_a_loop_by_address(names):
    with Internet(names, listen_there=True) as i:
        i.bounce("loopbyaddress.test", "5.4.6")


def test_broken_name_servers_are_waited_for(fresh):
    event = fresh.send("x.broken.test", "deferred")
    assert event["status"] == "4.4.3" and event["code"] == 451 and "x.broken.test" in event["reply"]
    assert "MX" in event["detail"]
    row = fresh.t.queue("@x.broken.test")[0]
    assert row["state"] == "queued" and row["via"] == "relay:@x.broken.test"
    fresh.t.run("queue", "rm", event["msg"])


def test_no_stranger_leads_us_inside(names):
    with Internet(names, private=False) as i:
        event, words = i.bounce("pref.test", "5.4.4")
        assert "mx1.test 127.0.1.1 is no public address" in event["detail"]
        i.bounce("[127.0.1.1]", "5.4.4")
        assert not i.mx1.sessions and not i.mx2.sessions


def test_our_own_configuration_may(names):
    """Routes and the smarthost name servers by host name, on private addresses, without MX."""
    with Internet(names, private=False) as i:
        i.t.configure(f'route "far.test" {{ via = "mx1.test:{i.port}" }}\nsmarthost "mx2.test:{i.port}" {{ }}\n')
        i.t.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "event=reloaded" in i.t.log(), what="the reload")
        assert i.send("far.test")["host"] == f"mx1.test (127.0.1.1:{i.port})"
        assert i.send("null.test")["host"] == f"mx2.test (127.0.1.2:{i.port})"


def test_a_smarthost_that_has_no_name_yet_is_waited_for(names):
    with Internet(names, config='smarthost "later.test:25" { }\n') as i:
        event = i.send("x.test", "deferred")
        assert event["status"] == "4.4.3" and "later.test has no address" in event["detail"]
        i.t.run("queue", "rm", event["msg"])


def test_connections_are_used_again(names):
    with Internet(names, config="destination-concurrency = 1\n") as i:
        with i.t.smtp() as s:
            for _ in range(10):
                s.sendmail("alice@example.test", ["a@slow.test"], "Subject: x\r\n\r\ny\r\n")
        wait_for(lambda: len(i.mx1.messages) == 10, what="10 messages")
        assert i.mx1.sessions < 10


def test_a_server_that_breaks_off_is_followed_by_the_next(names):
    with Internet(names, answers=(lambda what, about: "421 4.3.2 going down" if what == "rcpt" else None, None)) as i:
        event = i.send("pref.test")
        assert event["host"].startswith("mx2.test ") and "going down" in event["detail"]


def test_other_resolvers_after_a_reload(names):
    """What is being asked when the resolvers change is asked again."""
    with silent_resolver() as silent, Internet(names) as i:
        def resolve_by(dns):
            i.t.base = base.replace(names.dns, dns)
            i.t.configure("private-next-hops = yes\nretry = { 1s }\n")
            reloads = i.t.log().count("event=reloaded")
            i.t.process.send_signal(signal.SIGHUP)
            wait_for(lambda: i.t.log().count("event=reloaded") > reloads, what="the reload")

        base = i.t.base
        resolve_by(f'forward = {{ "127.0.0.1@{silent.getsockname()[1]}" }}')
        id = i.t.send(to="x@pref.test")
        assert silent.recv(512)  # the question
        resolve_by(names.dns)
        assert i.t.wait_event(id, "delivered") and i.mx1.messages
        assert "deferred" not in [e["event"] for e in i.t.trace(id)]


def test_explain_says_by_dns(fresh):
    text = fresh.t.run("explain", "x@pref.test")
    assert "by DNS (MX of pref.test)" in text and "relay" in text and "@pref.test" in text
    told = json.loads(fresh.t.run("explain", "--json", "x@[192.0.2.1]"))
    assert told["targets"][0]["next_hop"] == "@[192.0.2.1]"


def test_a_trust_anchor_behind_a_resolver_without_signatures_is_told(names):
    with tempfile.NamedTemporaryFile("w", prefix="troika-anchor-") as anchor, contextlib.ExitStack() as stack:
        anchor.write("; the root\n. IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n")
        anchor.flush()
        os.chmod(anchor.name, 0o644)
        t = stack.enter_context(Troika(dns=f'{names.dns} trust-anchor = "{anchor.name}"'))
        wait_for(lambda: "event=dns-not-validated" in t.log(), what="the warning")
        event = t.wait_event(t.send(to="x@somewhere.example"), "deferred")[0]
        assert event["status"] == "4.4.3"
        t.run("queue", "rm", event["msg"])


def test_a_trust_anchor_that_cannot_be_read():
    t = Troika(users=(), dns='trust-anchor = "/nowhere/root.key"')
    result = t.run("check", check=False)
    assert result.returncode == 78 and "trust-anchor: /nowhere/root.key cannot be read" in result.stderr, result.stderr
    t.__exit__(None, None, None)


def test_a_silent_resolver_is_no_answer():
    with silent_resolver() as silent, Troika(dns=f'forward = {{ "127.0.0.1@{silent.getsockname()[1]}" }}') as t:
        id = t.send(to="x@silent.test")
        event = t.wait_event(id, "deferred", 40)[0]
        assert event["status"] == "4.4.3" and "MX" in event["detail"], event
        t.run("queue", "rm", id)


@pytest.fixture(scope="module")
def odd():
    """A message to each of the names that a broken resolver answers for."""
    with OddResolver() as resolver, Troika(dns=resolver.dns) as t:
        yield t, {name: t.send(to=f"x@{name}.odd") for name in ANSWERS}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_broken_resolver_is_waited_for(odd, name):
    """Lame, refusing, looping or talking nonsense: never an answer, so never a bounce."""
    t, ids = odd
    event = t.wait_event(ids[name], "deferred", 60)[0]
    assert event["status"] == "4.4.3", event
    assert {e["event"] for e in t.trace(ids[name])} == {"accepted", "deferred"}
    assert [row["state"] for row in t.queue(ids[name])] == ["queued"]


@pytest.mark.parametrize("domain", ["ring.test", "mxring.test", "itself.test"])
def test_aliases_in_a_ring_are_waited_for(fresh, domain):
    event = fresh.send(domain, "deferred")
    assert event["status"] == "4.4.3", event
    fresh.t.run("queue", "rm", event["msg"])


def test_a_server_whose_name_leads_nowhere_is_passed_over(fresh):
    assert fresh.send("ringfirst.test")["host"].startswith("mx2.test ")

"""STARTTLS to other servers: with good and bad certificates, with servers that break it, by policy, and what the trace says."""
# SPDX-License-Identifier: ISC
import contextlib
import json
import socket
import ssl
import threading

import pytest
from certificates import Authority
from names import NameServer
from peers import Postfix
from sinks import Sink
from test_processes import peak_kib
from troika import Dialogue, Troika, free_port, wait_for


@pytest.fixture(scope="module")
def ca():
    with Authority() as a:
        yield a


def far(port, policy="default"):
    return f'retry = {{ 1s }}\nroute "far.test" {{ via = "127.0.0.1:{port}" tls = {policy} }}\n'


def roots(ca, outgoing="opportunistic"):
    return f'tls {{ outgoing = {outgoing} roots = "{ca.roots}" }}\n'


def deliver(t, event="delivered", to="a@far.test"):
    return t.wait_event(t.send(to=to), event)[0]


# ---- certificates: looked at, told, not enforced ----

CERTIFICATES = [
    ({"name": "mx.test", "san": "IP:127.0.0.1"}, "verified yes"),
    ({"name": "other.test"}, "verified no (not for this name)"),
    ({"name": "mx.test", "san": "IP:127.0.0.1", "signed": False}, "verified no (self-signed certificate)"),
    ({"name": "mx.test", "san": "IP:127.0.0.1", "expired": True}, "verified no (certificate has expired)"),
]


@pytest.mark.parametrize("certificate, verdict", CERTIFICATES)
def test_any_certificate_gets_mail_and_the_trace_says_what_it_was(ca, certificate, verdict):
    with Sink(tls=ca.context(**certificate)) as hop, Troika(config=far(hop.port) + roots(ca)) as t:
        event = deliver(t)
        assert hop.secure == [True]
        issuer = "CN=Test Authority" if certificate.get("signed", True) else "CN=" + certificate["name"]
        assert event["tls"].startswith(f"TLSv1.3 TLS_AES_256_GCM_SHA384, certificate CN={certificate['name']} of {issuer} until 20"), event
        assert event["tls"].endswith(verdict), event
        words = t.run("trace", event["msg"])
        assert verdict in words and "TLSv1.3" in words
        line = next(line for line in t.log().splitlines() if "event=delivered" in line)
        assert "TLSv1.3" in line and verdict in line
        assert "seccomp" in t.log()  # the jail was closed while all this went on


def test_by_dns_the_name_of_the_mx_is_said_and_compared(ca):
    port = free_port()
    with NameServer({"test": "@ MX 10 mx\nmx A 127.0.1.1\n"}) as ns, Sink(host="127.0.1.1", port=port, tls=ca.context("mx.test")) as hop:
        with Troika(config=roots(ca) + "private-next-hops = yes\n", dns=f"{ns.dns} smtp-port = {port}") as t:
            event = deliver(t, to="someone@test")
            assert hop.names == ["mx.test"] and hop.secure == [True]
            assert event["tls"].endswith("verified yes"), event


def test_the_roots_of_the_system_do_not_know_our_authority(ca):
    with Sink(tls=ca.context("mx.test", san="IP:127.0.0.1")) as hop, Troika(config=far(hop.port)) as t:
        event = deliver(t)
        assert hop.secure == [True] and "verified no (" in event["tls"] and "local issuer" in event["tls"], event
        assert "tls-without-roots" not in t.log()


def test_roots_that_are_not_there_are_told_and_stop_nothing(ca):
    with Sink(tls=ca.context("mx.test")) as hop, Troika(config=far(hop.port) + 'tls { roots = "/nonexistent/roots.pem" }\n') as t:
        deliver(t)
        assert hop.secure == [True] and "tls-without-roots" in t.log()


def test_tls_1_2_is_enough(ca):
    context = ca.context("mx.test")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Sink(tls=context) as hop, Troika(config=far(hop.port)) as t:
        assert deliver(t)["tls"].startswith("TLSv1.2 ")


# ---- connections ----

def test_connections_are_used_again(ca):
    with Sink(tls=ca.context("mx.test")) as hop, Troika(config=far(hop.port) + "destination-concurrency = 1\nrelay = 1\n") as t:
        first = deliver(t)  # this one rests when the next comes
        again = deliver(t)
        assert "reused=1" in again["detail"] and again["tls"] == first["tls"], again
        with t.smtp() as s:
            for _ in range(10):
                s.sendmail("alice@example.test", ["a@far.test"], "Subject: x\r\n\r\ny\r\n")
        wait_for(lambda: len(hop.messages) == 12, what="12 messages")
        assert hop.sessions < 12 and all(hop.secure)


def test_bytes_arrive_exactly(ca):
    body = b"Subject: x\r\n\r\n" + b".\r\n..\r\n.a\r\n" + bytes(range(1, 10)) + b"\r\n" + b"y" * 900 + b"\r\n\r\n" + b"line of some length\r\n" * 20000
    with Sink(tls=ca.context("mx.test")) as hop, Troika(config=far(hop.port)) as t:
        t.send(to="a@far.test", text=body)
        got = wait_for(lambda: hop.messages, what="the message")[0][2]
        assert got.split(b"\r\n\r\n", 1)[1] == body.split(b"\r\n\r\n", 1)[1] and hop.secure == [True]


def test_200_mib_pass_in_small_memory(ca):
    size = 200 * 1024 * 1024
    block = (b"x" * 76 + b"\r\n") * 1024

    class Counting(Sink):
        async def handle_DATA(self, server, session, envelope):
            self.secure.append(session.ssl is not None)
            self.messages.append(len(envelope.original_content))
            return "250 2.0.0 taken"

    with Counting(tls=ca.context("mx.test")) as hop, Troika(config='message-size = "300M"\n' + far(hop.port, "required")) as t:
        with Dialogue(t.port) as d:
            d.reply()
            for command in ("EHLO c.test", "MAIL FROM:<alice@example.test>", "RCPT TO:<x@far.test>", "DATA"):
                assert d.say(command)[0] in (250, 354), command
            d.raw(b"Subject: large\r\n\r\n")
            sent = 0
            while sent < size:
                d.raw(block)
                sent += len(block)
            d.raw(b".\r\n")
            assert d.reply()[0] == 250
        wait_for(lambda: hop.messages, 120, "the relayed message")
        assert hop.secure == [True] and abs(hop.messages[0] - sent) < 2000
        for name, pid in t.workers().items():
            assert peak_kib(pid) < 64 * 1024, (name, peak_kib(pid))


def test_a_real_postfix(ca):
    with Postfix(free_port(), certificate=ca.make("postfix.example")) as peer:
        config = f'retry = {{ 1s }}\nroute "postfix.test" {{ via = "127.0.0.1:{peer.port}" tls = required }}\n' + roots(ca)
        with Troika(config=config) as t:
            event = deliver(t, to="anybody@postfix.test")
            assert event["tls"].startswith("TLSv1.3 ") and "CN=postfix.example of CN=Test Authority" in event["tls"], event
            got = wait_for(peer.mails, what="the mail in Postfix's mailbox")[0]
            assert b"hello" in got and b"with ESMTPS" in got, got
            assert "TLS connection established" in peer.log()


# ---- servers that break it ----

class Breaking:
    """Offers STARTTLS; `breaks(connection)` is what it does instead of a handshake. Takes mail in the clear, notes it."""

    def __init__(self, breaks, reply=b"220 go\r\n", offer=b"250-h\r\n250 STARTTLS\r\n"):
        self.breaks, self.reply, self.offer = breaks, reply, offer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.sessions, self.plain, self.commands = self.listener.getsockname()[1], 0, [], []

    def __enter__(self):
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.sessions += 1
            connection.settimeout(20)
            with connection, contextlib.suppress(OSError):
                self.talk(connection)

    def talk(self, connection):
        file = connection.makefile("rb")
        connection.sendall(b"220 h\r\n")
        for line in file:
            word = line.split()[0].upper()
            self.commands.append(word.decode())
            if word == b"STARTTLS":
                connection.sendall(self.reply)
                if self.reply.startswith(b"220"):
                    self.breaks(connection)
                    return
            elif word == b"DATA":
                connection.sendall(b"354 go\r\n")
                content = []
                while (line := file.readline()) not in (b".\r\n", b""):
                    content.append(line)
                if line:
                    self.plain.append(b"".join(content))
                    connection.sendall(b"250 taken\r\n")
            else:
                connection.sendall(self.offer if word == b"EHLO" else b"250 ok\r\n")

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(25)
        self.listener.close()


def says_garbage(connection):
    connection.sendall(b"\0\1\2 this is no TLS\r\n" * 10)
    connection.recv(65536)


def closes_in_the_middle(connection):
    connection.recv(65536)
    connection.sendall(b"\x16\x03\x03\x00\x7a\x02\x00")


def resets(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def speaks_tls_1_0_only(connection):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(speaks_tls_1_0_only.certificate)
    context.wrap_socket(connection, server_side=True)


BREAKS = [(lambda connection: None, "closed by the other side"), (closes_in_the_middle, "closed by the other side"), (resets, "Connection reset by peer"),
          (says_garbage, "wrong version number"), (speaks_tls_1_0_only, "version")]


@pytest.mark.parametrize("breaks, why", BREAKS, ids=["closes", "cuts", "resets", "garbage", "tls-1.0"])
def test_a_failed_handshake_goes_on_plain_and_is_told(ca, breaks, why):
    speaks_tls_1_0_only.certificate = ca.make("old.test")
    with Breaking(breaks) as hop, Troika(config=far(hop.port)) as t:
        event = deliver(t)
        assert len(hop.plain) == 1 and hop.sessions == 2
        assert event["tls"].startswith("plain, handshake failed: ") and (why in event["tls"] or "reset" in event["tls"]), event
        assert [e["event"] for e in t.trace(event["msg"])] == ["accepted", "delivered"]  # not a failed attempt
        assert "plain, handshake failed" in t.run("trace", event["msg"])


@pytest.mark.parametrize("breaks, why", BREAKS, ids=["closes", "cuts", "resets", "garbage", "tls-1.0"])
def test_required_never_goes_plain(ca, breaks, why):
    speaks_tls_1_0_only.certificate = ca.make("old.test")
    with Breaking(breaks) as hop, Troika(config=far(hop.port, "required")) as t:
        event = deliver(t, "deferred")
        assert event["status"] == "4.7.4" and "TLS is required" in event["reply"] and "handshake failed" in event["reply"], event
        wait_for(lambda: hop.sessions >= 2, what="another attempt")
        assert not hop.plain and "MAIL" not in hop.commands
        assert "tls" not in event


REFUSALS = [(b"454 4.7.0 not now\r\n", "refused with 454 4.7.0 not now"), (b"502 what?\r\n", "refused with 502 what?")]


@pytest.mark.parametrize("reply, why", REFUSALS)
def test_refused_goes_on_plain_in_the_same_session(reply, why):
    with Breaking(None, reply=reply) as hop, Troika(config=far(hop.port)) as t:
        event = deliver(t)
        assert event["tls"] == "plain, " + why and hop.sessions == 1 and len(hop.plain) == 1


@pytest.mark.parametrize("reply, why", REFUSALS)
def test_refused_and_required_waits(reply, why):
    with Breaking(None, reply=reply) as hop, Troika(config=far(hop.port, "required")) as t:
        event = deliver(t, "deferred")
        assert event["status"] == "4.7.4" and why in event["reply"] and not hop.plain and "MAIL" not in hop.commands


def test_not_offered(ca):
    with Sink() as hop, Sink() as strict:
        with Troika(config=far(hop.port) + f'route "strict.test" {{ via = "127.0.0.1:{strict.port}" tls = required }}\n') as t:
            assert deliver(t)["tls"] == "plain, not offered"
            event = deliver(t, "deferred", to="a@strict.test")
            assert event["status"] == "4.7.4" and "not offered" in event["reply"]
            assert len(hop.messages) == 1 and not strict.messages


def test_required_everywhere_expires_into_a_bounce(ca):
    with Sink() as hop, Troika(config=far(hop.port) + "expire = 2s\n" + roots(ca, "required")) as t:
        t.send(to="a@far.test")
        report = t.wait_mails("alice")[0].decode()
        assert "TLS is required" in report and not hop.messages


def test_off(ca):
    with Sink(tls=ca.context("mx.test")) as hop, Troika(config=far(hop.port, "off")) as t:
        assert deliver(t)["tls"] == "plain, off" and hop.secure == [False]


def test_a_required_policy_after_reload_does_not_use_the_old_plain_session(ca):
    with Sink(tls=ca.context("mx.test")) as hop, Troika(config=far(hop.port, "off") + "relay = 1\n") as t:
        deliver(t)
        t.configure(far(hop.port, "required") + "relay = 1\n")
        t.run("reload") if "reload" in t.run("help", check=False).stdout else t.process.send_signal(1)
        wait_for(lambda: "event=reloaded" in t.log(), what="the reload")
        deliver(t)
        assert hop.secure == [False, True]


def test_plain_text_injected_before_the_handshake_is_not_heard(ca):
    """RFC 3207 6, CVE-2011-0411: what a stranger says behind the 220 must not count inside."""
    injected = b"220 go\r\n250-h\r\n250 XINJECTED\r\n550 5.1.1 no such user\r\n"
    heard = []

    def secure(connection):
        context = ca.context("mx.test")
        with context.wrap_socket(connection, server_side=True) as tls:
            file = tls.makefile("rb")
            for line in file:
                heard.append(line.split()[0].upper())
                if heard[-1] == b"DATA":
                    tls.sendall(b"354 go\r\n")
                    while file.readline() != b".\r\n":
                        pass
                tls.sendall(b"250 ok\r\n")

    with Breaking(secure, reply=injected) as hop, Troika(config=far(hop.port)) as t:
        event = deliver(t)
        assert event["tls"].startswith("TLSv1.3 ") and not hop.plain, event
        assert heard[:4] == [b"EHLO", b"MAIL", b"RCPT", b"DATA"]


def test_answers_before_the_question_bring_no_loss():
    """The server says 220 to a STARTTLS that it has not heard yet."""
    with Breaking(lambda c: None, offer=b"250-h\r\n250 STARTTLS\r\n220 go\r\n") as hop, Troika(config=far(hop.port) + "expire = 3s\n") as t:
        id = t.send(to="a@far.test")
        t.wait_event(id, "expired")  # such a server is out of step without TLS too
        assert not hop.plain and all(e["status"].startswith("4.") for e in t.trace(id) if e["event"] == "deferred")


def test_json_is_json(ca):
    with Sink(tls=ca.context("mx.test", san="DNS:mx.test")) as hop, Troika(config=far(hop.port)) as t:
        event = deliver(t)
        assert json.loads(t.run("trace", "--json", event["msg"]).splitlines()[-1])["tls"] == event["tls"]

"""Clients behind a proxy, which says who they are by the PROXY protocol or XCLIENT: they are judged as what they are."""
# SPDX-License-Identifier: ISC
import email
import http.server
import signal
import smtplib
import socket
import struct
import threading

import pytest
from peers import Haproxy, Nginx
from troika import Dialogue, Troika, free_port, wait_for

OWN, STRANGER, OTHER_PROXY = "127.0.0.77", "127.0.0.78", "127.0.0.9"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


class Behind:
    """A server whose listener `balanced` believes 127.0.0.1; only OWN may send to everywhere."""

    def __init__(self, config="", networks='proxy = { "127.0.0.1" }', relay_for=f'"{OWN}"'):
        self.port = free_port()
        self.t = Troika(relay_for=relay_for, config=f'log-level = debug\nlisten balanced {{ address = {{ "127.0.0.1:{self.port}" }} {networks} }}\n{config}')

    def __enter__(self):
        self.t.start()
        return self

    def __exit__(self, *error):
        self.t.__exit__(*error)


@pytest.fixture(scope="module")
def behind():
    with Behind() as b:
        yield b


def first_reply(data):
    """The code of the first reply on this socket's file; 0: it was closed."""
    line = data.readline()
    return int(line[:3]) if line else 0


def deliver(d, sender="a@b.test"):
    """One message to bob over a greeted dialogue, by its id."""
    for line in ("EHLO client.test", f"MAIL FROM:<{sender}>", "RCPT TO:<bob@example.test>"):
        assert d.say(line)[0] == 250
    assert d.say("DATA")[0] == 354
    code, words = d.say("Subject: x\r\n\r\ny\r\n.")
    assert code == 250
    return words[0].split()[-1]


def received(t, id):
    mail = wait_for(lambda: [m for m in t.mails("bob") if id.encode() in m], 60, "the message")[0]
    return " ".join(email.message_from_bytes(mail)["Received"].split())


def may_relay(d):
    assert d.say("EHLO client.test")[0] == 250 and d.say("MAIL FROM:<a@b.test>")[0] == 250
    return d.say("RCPT TO:<x@far.test>")[0] == 250


# ---- a real HAProxy ----

@pytest.mark.parametrize("options", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id", "send-proxy-v2 check"])
def test_haproxy(behind, options):
    t = behind.t
    with Haproxy(behind.port, options) as h:
        with Dialogue(h.port, source=STRANGER) as d:
            assert d.reply()[0] == 220
            id = deliver(d)
        assert f"from client.test (unknown [{STRANGER}])" in received(t, id)
        accepted = t.wait_event(id, "accepted")[0]
        assert (accepted["client"], accepted["proxy"]) == (STRANGER, "127.0.0.1")
        with Dialogue(h.port, source=OWN) as d:
            assert d.reply()[0] == 220 and may_relay(d)
        with Dialogue(h.port, source=STRANGER) as d:
            assert d.reply()[0] == 220 and not may_relay(d)


def test_haproxy_without_the_header(behind):
    before = behind.t.log().count("event=proxy-refused")
    with Haproxy(behind.port, "") as h:
        with Dialogue(h.port, source=STRANGER) as d:
            d.raw(b"EHLO client.test\r\n")
            assert d.ended()
    wait_for(lambda: behind.t.log().count("event=proxy-refused") > before, 60, "its log line")
    assert 'event=proxy-refused proxy=127.0.0.1 error="no PROXY header"' in behind.t.log()


def test_limits_are_those_of_the_client():
    with Behind(config="connections-per-address = 2\n") as b, Haproxy(b.port, "send-proxy-v2") as h:
        first, second = (Dialogue(h.port, source=STRANGER) for _ in range(2))
        assert first.reply()[0] == second.reply()[0] == 220
        with Dialogue(h.port, source=STRANGER) as third, Dialogue(h.port, source="127.0.0.79") as other:
            assert third.reply()[0] == 421 and other.reply()[0] == 220
        first.close()
        second.close()


# ---- headers of our own ----

def line(client, family="TCP4"):
    return f"PROXY {family} {client} 192.0.2.25 40000 25\r\n".encode()


def binary(command, family, rest):
    return SIGNATURE + struct.pack(">BBH", command, family, len(rest)) + rest


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_header_in_pieces_and_the_dialog_with_it(behind, step):
    """The first command may come with the header, and the header in any pieces."""
    data = binary(0x21, 0x21, socket.inet_pton(socket.AF_INET6, "2001:db8::7") * 2 + bytes(4) + b"\x04\0\x20" + bytes(32)) + b"EHLO client.test\r\n"
    with Dialogue(behind.port) as d:
        d.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(data), step):
            d.raw(data[at:at + step])
        assert d.reply()[0] == 220
        assert d.reply()[0] == 250
        id = deliver(d)
    assert "[IPv6:2001:db8::7])" in received(behind.t, id)


def test_a_long_header(behind):
    with Dialogue(behind.port) as d:
        d.raw(binary(0x21, 0x11, socket.inet_aton(STRANGER) * 2 + bytes(4) + b"\xe0\x3a\x98" + bytes(15000)))
        assert d.reply()[0] == 220


@pytest.mark.parametrize("data", [line("1.2.3.256"), b"PROXY TCP4 1.2.3.4\r\n", b"PROXY " + b"x" * 200, binary(0x21, 0x12, bytes(12)), binary(0x51, 0x11, bytes(12)),
                                  SIGNATURE + b"\x21\x11\xff\xff", b"\x16\x03\x01\0\xff", line("1.2.3.4").lower()])
def test_bad_headers_are_dropped_without_an_answer(behind, data):
    before = behind.t.log().count("event=proxy-refused")
    with Dialogue(behind.port) as d:
        d.raw(data)
        assert d.ended()
    wait_for(lambda: behind.t.log().count("event=proxy-refused") > before, 60, "its log line")


def test_half_a_header_and_the_end(behind):
    before = behind.t.log().count("closed before the PROXY header was complete")
    with Dialogue(behind.port) as d:
        d.raw(line("1.2.3.4")[:20])
        d.socket.shutdown(socket.SHUT_WR)
        assert d.ended()
    wait_for(lambda: behind.t.log().count("closed before the PROXY header was complete") > before, 60, "its log line")


def test_silence_is_dropped(behind):
    with Dialogue(behind.port) as d:
        d.socket.settimeout(60)
        assert d.ended()
    wait_for(lambda: "no PROXY header in time" in behind.t.log(), 60, "its log line")


def test_others_are_not_believed(behind):
    with Dialogue(behind.port, source=OTHER_PROXY) as d:
        assert d.reply()[0] == 220
        assert d.say(line(OWN).decode().rstrip())[0] == 500
        assert not may_relay(d)
    with Dialogue(behind.t.port) as d:  # the other listener believes nobody
        assert d.reply()[0] == 220
        assert d.say(line(OWN).decode().rstrip())[0] == 500
        assert not may_relay(d)


def test_a_client_that_the_proxy_does_not_know_has_no_rights():
    """Even where the proxy has them itself, as by LOCAL."""
    with Behind(relay_for='"127.0.0.1"') as b:
        for header in (b"PROXY UNKNOWN\r\n", binary(0x21, 0x31, bytes(216)), binary(0x21, 0, b"")):
            with Dialogue(b.port) as d:
                d.raw(header)
                assert d.reply()[0] == 220 and not may_relay(d)
        with Dialogue(b.port) as d:
            d.raw(binary(0x20, 0, b""))
            assert d.reply()[0] == 220 and may_relay(d)


def test_reload_and_stop():
    """A reload changes who is believed; who is awaited when the server stops does not hold it up."""
    with Behind() as b:
        t = b.t
        with Dialogue(b.port) as d:
            d.raw(line(OWN))
            assert d.reply()[0] == 220 and may_relay(d)
        with open(t.config_file) as f:
            text = f.read()
        with open(t.config_file, "w") as f:
            f.write(text.replace('proxy = { "127.0.0.1" }', f'proxy = {{ "{OTHER_PROXY}" }}'))
        t.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "event=reloaded" in t.log(), 60, "the reload")
        with Dialogue(b.port, source=OTHER_PROXY) as d:
            d.raw(line(OWN))
            assert d.reply()[0] == 220 and may_relay(d)
        with Dialogue(b.port) as d:
            assert d.reply()[0] == 220
        awaited = [Dialogue(b.port, source=OTHER_PROXY) for _ in range(3)]
        assert t.stop(60) == 0
        for d in awaited:
            assert d.ended()
            d.close()


# ---- XCLIENT ----

@pytest.fixture(scope="module")
def xclient():
    with Behind(networks='xclient = { "127.0.0.1" }') as b:
        yield b


def test_xclient(xclient):
    with Dialogue(xclient.port) as d:
        assert d.reply()[0] == 220
        assert any(word.startswith("XCLIENT NAME ADDR") for word in d.say("EHLO proxy.test")[1])
        assert d.say(f"XCLIENT NAME=real.test ADDR={STRANGER} PROTO=ESMTP HELO=real.test")[0] == 220
        id = deliver(d)
    assert f"from real.test (real.test [{STRANGER}])" in received(xclient.t, id)
    accepted = xclient.t.wait_event(id, "accepted")[0]
    assert (accepted["client"], accepted["client-name"], accepted["proxy"]) == (STRANGER, "real.test", "127.0.0.1")


def test_xclient_gives_and_takes_the_rights_of_the_client(xclient):
    for client, relays in ((OWN, True), (STRANGER, False)):
        with Dialogue(xclient.port) as d:
            assert d.reply()[0] == 220
            assert d.say(f"XCLIENT ADDR={client}")[0] == 220
            assert may_relay(d) == relays


def test_xclient_is_for_proxies_only(xclient):
    with Dialogue(xclient.port, source=OTHER_PROXY) as d:
        assert d.reply()[0] == 220
        assert not any("XCLIENT" in word for word in d.say("EHLO proxy.test")[1])
        code, words = d.say(f"XCLIENT ADDR={OWN}")
        assert code == 550 and words[0].startswith("5.7.1")
        assert not may_relay(d)


def test_xclient_counts_the_client():
    with Behind(networks='xclient = { "127.0.0.1" }', config="connections-per-address = 2\n") as b:
        some = []
        for _ in range(2):  # one by one: who asked whether the server is ready may still be counted, too
            some.append(Dialogue(b.port))
            assert some[-1].reply()[0] == 220 and some[-1].say(f"XCLIENT ADDR={STRANGER}")[0] == 220
        with Dialogue(b.port) as d:
            assert d.reply()[0] == 220
            code, words = d.say(f"XCLIENT ADDR={STRANGER}")
            assert code == 421 and STRANGER in words[0] and d.ended()
        for d in some:
            d.close()


class Guide(http.server.BaseHTTPRequestHandler):
    """Says to nginx that everybody may come in, and where."""

    def do_GET(self):
        self.send_response(200)
        for name, value in (("Auth-Status", "OK"), ("Auth-Server", "127.0.0.1"), ("Auth-Port", str(self.server.to))):
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_nginx(xclient):
    guide = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Guide)
    guide.to = xclient.port
    threading.Thread(target=guide.serve_forever, daemon=True).start()
    try:
        with Nginx(guide.server_port) as n:
            with smtplib.SMTP("127.0.0.1", n.port, local_hostname="client.test", timeout=60, source_address=(STRANGER, 0)) as s:
                s.ehlo()
                assert s.mail("a@b.test")[0] == 250
                assert s.rcpt("bob@example.test")[0] == 250
                code, words = s.data("Subject: by nginx\r\n\r\nx\r\n")
                assert code == 250
            assert f"[{STRANGER}]" in received(xclient.t, words.split()[-1].decode())
            with smtplib.SMTP("127.0.0.1", n.port, local_hostname="client.test", timeout=60, source_address=(STRANGER, 0)) as s:
                s.ehlo()
                assert s.mail("a@b.test")[0] == 250 and s.rcpt("x@far.test")[0] == 550
    finally:
        guide.shutdown()
        guide.server_close()

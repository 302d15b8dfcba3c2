"""troika probe: servers that are well, that misbehave, and real ones that are set up badly."""
# SPDX-License-Identifier: ISC
import os
import pty
import re
import select
import socket
import ssl
import subprocess
import threading

import pytest
from certificates import Authority
from hosts import Hosts, drip, late, silence, then_end
from names import NameServer
from peers import Postfix
from probing import ENVIRONMENT, probe, run_probe
from sinks import Sink
from troika import Troika, free_port, programs

EHLO = b"250-h\r\n250-PIPELINING\r\n250 8BITMIME\r\n"


@pytest.fixture(scope="module", autouse=True)
def nobody():
    """A name server that knows nothing: addresses without names are known at once."""
    with NameServer({}) as names:
        look.names = names
        yield names


@pytest.fixture(scope="module")
def hosts():
    with Hosts() as h:
        yield h


@pytest.fixture(scope="module")
def ca():
    with Authority() as authority:
        yield authority


count = 0


def look(hosts, *options, ehlo=EHLO, **script):
    """At a host of its own with this script, {verb: answer}; all attempts go by it."""
    global count
    count += 1
    address = f"127.4.{count // 250}.{count % 250 + 1}"
    hosts.add(address, {k.replace("_", " "): v for k, v in script.items()}, attempts=10**6, ehlo=ehlo)
    return probe(f"{address}:{hosts.port}", *options, names=look.names)


# ---- conversations ----

REFUSES = {"RCPT": b"550 5.7.1 no relaying\r\n"}


def test_a_polite_server(hosts):
    found = look(hosts, greeting=b"220 mx.good.test ESMTP\r\n", VRFY=b"252 2.5.0 try it\r\n", **REFUSES)
    assert found.worse() == {"ptr-missing", "starttls-missing"} and "relay-good" in found.ids, found
    steps = found.facts["servers"][0]["steps"]
    assert steps["greeting"]["code"] == 220 and steps["ehlo"]["code"] == 250 and steps["connect"]["ms"] >= 0


@pytest.mark.parametrize("script,id,words", [
    ({"greeting": b"554 5.7.1 you are on a list\r\n"}, "server-refuses", "554 5.7.1 you are on a list"),
    ({"greeting": b"421 4.3.2 too busy\r\n"}, "server-later", "421 4.3.2 too busy"),
    ({"greeting": b"SSH-2.0-OpenSSH_9.2\r\n"}, "not-smtp", "SSH-2.0"),
    ({"greeting": b"220 localhost ESMTP\r\n"}, "greeting-name", "localhost"),
    ({"greeting": then_end(b"")}, "server-refuses", "hung up"),
    ({"EHLO": b"502 5.5.1 what?\r\n"}, "ehlo-refused", "502 5.5.1"),
    ({"EHLO": b"550 5.7.1 who?\r\n", "HELO": b"550 5.7.1 who?\r\n"}, "helo-refused", "550 5.7.1 who?"),
    ({"EHLO": then_end(b"")}, "hung-up", "EHLO"),
    ({"VRFY": b"250 2.1.5 Post Master <postmaster@x.test>\r\n"}, None, ""),
    ({"EXPN": b"250-<a@x.test>\r\n250 <b@x.test>\r\n"}, "expn-leak", "<a@x.test> <b@x.test>"),
    ({"MAIL": b"550 5.7.1 no\r\n"}, "bounce-refused", "550 5.7.1"),
    ({"MAIL": b"450 4.2.0 greylisted\r\n"}, "greylisted", "450 4.2.0"),
    ({}, "relay-inside", "somebody@elsewhere"),
])
def test_each_fault_of_a_conversation_is_found(hosts, script, id, words):
    found = look(hosts, **{"greeting": b"220 mx.good.test ESMTP\r\n", **script})
    assert id is None or any(words in f["text"] for f in found.of(id)), found
    assert id != "expn-leak" or "vrfy-leak" not in found.ids


def test_vrfy_that_tells_who_exists(hosts):
    async def answer(session, good):
        session.count = getattr(session, "count", 0) + 1
        await session.raw(b"252 2.5.0 postmaster\r\n" if session.count == 1 else b"550 5.1.1 unknown\r\n")
    assert "vrfy-leak" in look(hosts, VRFY=answer, **REFUSES).ids


def test_replies_are_explained(hosts):
    (finding,) = look(hosts, greeting=b"554 5.7.1 no\r\n").of("server-refuses")
    assert finding["meaning"] and finding["remedy"], finding


def test_a_gentle_probe_asks_for_nothing_odd(hosts):
    said = []

    async def note(session, good):
        said.append(good)
        await session.raw(good)
    found = look(hosts, "--gentle", VRFY=note, EXPN=note, MAIL=note, RCPT=note)
    assert not said and "relay-inside" not in found.ids and found.facts["servers"][0]["steps"]["ehlo"]["code"] == 250


def test_no_transaction_comes_to_data(hosts):
    """The server sees QUIT, and never DATA, whatever it answers."""
    said = []

    async def note(session, good):
        said.append("DATA")
        await session.raw(good)
    look(hosts, DATA=note)
    host = list(hosts.by_address.values())[-1]
    assert not said and host.over and not any(m.whole for m in host.messages)


def test_slow_and_silent_servers(hosts):
    assert "greeting-slow" in look(hosts, "--gentle", greeting=late(5.5)).ids
    found = look(hosts, "--timeout", "3", greeting=silence)
    assert "cut-short" in found.ids and found.code == 75, found
    assert "relay-inside" in look(hosts, EHLO=drip(0.01)).ids  # byte by byte is slow, but well


def test_a_server_that_says_nothing_is_given_up(hosts):
    found = look(hosts, "--gentle", greeting=silence)
    assert found.of("server-silent") and found.code == 69, found


def test_nobody_listens():
    found = probe(f"127.0.0.1:{free_port()}", "--timeout", "20", names=look.names)
    (finding,) = found.of("server-unreachable")
    assert finding["severity"] == "broken" and "Connection refused" in finding["text"], found


def test_a_host_that_drops_packets():
    """A listener whose queue is full answers no more connections."""
    with socket.socket() as s, socket.socket() as first, socket.socket() as second:
        s.bind(("127.0.0.1", 0))
        s.listen(0)
        for one in (first, second):
            one.setblocking(False)
            one.connect_ex(s.getsockname())
        found = probe(f"127.0.0.1:{s.getsockname()[1]}", "--timeout", "40", names=look.names)
    (finding,) = found.of("server-unreachable")
    assert "timed out" in finding["text"], found


# ---- TLS ----

def tls_host(ca, *options, roots=True, **certificate):
    """A TLS server that greets and refuses mail, looked at by the name mx.test."""
    with NameServer({"test": "mx A 127.0.1.7\n"}) as names, \
            Sink(host="127.0.1.7", tls=ca.context("mx.test", **certificate), answer=lambda what, about: "550 5.7.1 no relaying") as sink:
        return probe(f"mx.test:{sink.port}", *(["--roots", ca.roots] if roots else []), *options, names=names)


def test_good_tls(ca):
    found = tls_host(ca)
    assert "tls-good" in found.ids and found.worse() == {"ptr-missing"}, found
    (server,) = found.facts["servers"]
    assert server["tls"]["versions"] == ["TLSv1.2", "TLSv1.3"] and server["tls"]["names"] == "mx.test" and server["tls"]["name_matches"]
    assert "STARTTLS" in " ".join(server["offers"]) and "STARTTLS" not in " ".join(server["offers_secured"])


@pytest.mark.parametrize("certificate,id,what", [
    ({"expired": True}, "certificate-expired", r"\d{4}-\d\d-\d\d"),
    ({"san": "DNS:other.test"}, "certificate-name", "other.test"),
    ({"signed": False}, "certificate-untrusted", "self-signed"),
])
def test_faults_of_certificates(ca, certificate, id, what):
    found = tls_host(ca, **certificate)
    assert re.search(what, found.of(id)[0]["text"]) and "tls-good" not in found.ids, found
    assert "certificate-untrusted" not in found.ids or id == "certificate-untrusted"


def test_a_certificate_of_nobody_that_is_known(ca):
    assert "certificate-untrusted" in tls_host(ca, roots=False).ids


class Raw:
    """A server of one connection at a time that starts TLS in its own way: with Raw(begin) as s: s.port"""

    def __init__(self, begin):
        self.begin = begin

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()
        return self

    def run(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        s.settimeout(20)
        try:
            f = s.makefile("rb")
            s.sendall(b"220 raw.test ESMTP\r\n")
            while line := f.readline():
                verb = line.split()[0].upper()
                if verb == b"STARTTLS":
                    s.sendall(b"220 2.0.0 go\r\n")
                    s = self.begin(s)
                    f = s.makefile("rb")
                else:
                    s.sendall({b"EHLO": b"250-raw.test\r\n250 STARTTLS\r\n", b"MAIL": b"250 ok\r\n", b"RSET": b"250 ok\r\n", b"QUIT": b"221 bye\r\n"}.get(verb, b"550 5.7.1 no\r\n"))
        except (OSError, ValueError):
            pass
        finally:
            s.close()

    def __exit__(self, *_):
        self.listener.close()


def test_tls_that_fails_is_told_and_the_rest_is_looked_at(ca):
    def rubbish(s):
        s.sendall(b"this is no TLS\r\n" * 10)
        raise OSError

    with Raw(rubbish) as server:
        found = probe(f"127.0.0.1:{server.port}", names=look.names)
    assert {"tls-failed", "relay-good"} <= found.ids, found
    assert found.facts["servers"][0]["steps"]["ehlo"]["code"] == 250 and found.code == 69


@pytest.mark.parametrize("version,id", [(ssl.TLSVersion.TLSv1_2, "tls-not-13"), (ssl.TLSVersion.TLSv1_1, "tls-only-old")])
def test_old_versions(ca, version, id):
    context = ca.context("raw.test")
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = min(version, ssl.TLSVersion.TLSv1_2), version
    with Raw(lambda s: context.wrap_socket(s, server_side=True)) as server:
        assert id in probe(f"127.0.0.1:{server.port}", "--roots", ca.roots, names=look.names).ids


def test_implicit_tls(ca):
    context = ca.context("raw.test", san="IP:127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            while True:
                try:
                    s, _ = listener.accept()
                    s = context.wrap_socket(s, server_side=True)
                    f = s.makefile("rb")
                    s.sendall(b"220 raw.test ESMTP\r\n")
                    while line := f.readline():
                        s.sendall({b"EHLO": b"250-raw.test\r\n250 AUTH PLAIN LOGIN\r\n", b"QUIT": b"221 bye\r\n"}.get(line.split()[0], b"530 5.7.0 log in\r\n"))
                    s.close()
                except ssl.SSLError:
                    pass
                except OSError:
                    return
        threading.Thread(target=serve, daemon=True).start()
        found = probe(f"smtps://127.0.0.1:{listener.getsockname()[1]}", "--roots", ca.roots, names=look.names)
    assert "tls-good" in found.ids and "auth-plain-text" not in found.ids and "starttls-missing" not in found.ids, found


def test_passwords_in_plain_text(hosts):
    found = look(hosts, ehlo=b"250-h\r\n250 AUTH PLAIN LOGIN CRAM-MD5\r\n", **REFUSES)
    assert found.of("auth-plain-text")[0]["what"] == "PLAIN LOGIN CRAM-MD5"
    assert "auth-plain-text" not in look(hosts, ehlo=b"250-h\r\n250 AUTH CRAM-MD5 SCRAM-SHA-256\r\n", **REFUSES).ids


# ---- real servers ----

def test_troika_itself(ca):
    tls = f'tls {{ certificate = "{ca.make("mail.example.test")}" key = "{ca.make("mail.example.test")}" }}\n'
    with Troika(config=tls, relay_for='"192.0.2.0/24"') as t, NameServer({"test": "mail.example A 127.0.0.1\nexample MX 10 mail.example\n"}) as names:
        found = probe("example.test", "--allow-private", "--port", str(t.port), "--roots", ca.roots, names=names)
    assert not {i for i in found.worse() if i not in ("ptr-missing", "spf-none", "dmarc-none", "dkim-absent", "postmaster-refused")}, found
    assert {"relay-good", "tls-good"} <= found.ids


class Subject(Postfix):
    def __init__(self, certificate, networks, logins_in_plain_text, vrfy, versions):
        super().__init__(free_port(), certificate=certificate, settings={
            "mynetworks": networks, "smtpd_sasl_auth_enable": "yes", "smtpd_sasl_path": "smtpd", "smtpd_tls_auth_only": "no" if logins_in_plain_text else "yes",
            "smtpd_tls_protocols": versions, "smtpd_tls_mandatory_protocols": versions, "disable_vrfy_command": "no" if vrfy else "yes", "smtpd_relay_restrictions": "permit_mynetworks reject_unauth_destination"})


def test_postfix_set_up_badly(ca):
    """Its own networks are everybody, its certificate has expired, VRFY tells who exists, AUTH is offered in plain text."""
    with Subject(ca.make("postfix.example", expired=True), "0.0.0.0/0", True, True, ">=TLSv1") as postfix:
        found = probe(f"127.0.0.1:{postfix.port}", "--roots", ca.roots, names=look.names)
    assert {"relay-inside", "certificate-expired", "auth-plain-text", "tls-old"} <= found.worse(), found


def test_postfix_set_up_well(ca):
    with Subject(ca.make("postfix.example"), "192.0.2.0/24", False, False, ">=TLSv1.2") as postfix, NameServer({"example": "postfix A 127.0.0.1\n"}) as names:
        found = probe(f"postfix.example:{postfix.port}", "--roots", ca.roots, names=names)
    assert {"relay-good", "tls-good"} <= found.ids and found.worse() == {"ptr-missing"}, found


def test_a_message_and_the_report_about_it():
    with Troika(relay_for='"127.0.0.0/8"') as t, NameServer({"test": "mail.example A 127.0.0.1\nexample MX 10 mail.example\n"}) as names:
        options = ("example.test", "--allow-private", "--gentle", "--port", str(t.port), "--from", "alice@example.test", "--deliver")
        found = probe(*options, "bob@example.test", names=names)
        assert "delivery-reported" in found.ids, found
        (message,) = t.wait_mails("bob")
        assert b"Subject: troika probe " in message
        (report,) = t.wait_mails("alice")
        assert b"Action: delivered" in report
        found = probe(*options, "nobody@example.test", names=names)
        assert found.of("delivery-refused")[0]["meaning"] and found.code == 69, found


# ---- for a person ----

def test_the_words_of_a_person_are_theirs(hosts):
    hosts.add("127.4.200.1", {"greeting": b"220 mx.test\r\n"}, attempts=1000)
    result = run_probe("--gentle", f"127.4.200.1:{hosts.port}", "--resolver", f"127.0.0.1@{look.names.port}", environment={"LC_ALL": "C.UTF-8", "LANGUAGE": "ru", "LANG": "ru_RU.UTF-8"})
    assert re.search("[а-я]{4}", result.stdout), result.stdout
    english = run_probe("--gentle", f"127.4.200.1:{hosts.port}", "--resolver", f"127.0.0.1@{look.names.port}").stdout
    assert "offers no STARTTLS" in english and "\033[" not in english
    assert all(len(line) <= 80 for line in english.splitlines() if "http" not in line), english


def on_terminal(*arguments, **environment):
    """What comes on a terminal of 100 columns."""
    master, slave = pty.openpty()
    with subprocess.Popen([programs() + "/troika", "probe", *arguments], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave,
                          env={**ENVIRONMENT, "TERM": "xterm", **environment}) as process:
        os.close(slave)
        text = b""
        while select.select([master], [], [], 60)[0]:
            try:
                more = os.read(master, 65536)
            except OSError:
                break
            text += more
        process.wait(60)
    os.close(master)
    return text.decode()


def test_colours_only_where_they_are_wanted(hosts):
    hosts.add("127.4.200.2", {}, attempts=1000)
    arguments = ("--gentle", f"127.4.200.2:{hosts.port}", "--resolver", f"127.0.0.1@{look.names.port}")
    shown = on_terminal(*arguments)
    assert "\033[33m" in shown and "\r\033[K" in shown  # colours, and a line of progress that went away
    plain = on_terminal(*arguments, NO_COLOR="1")
    assert "m" not in re.findall(r"\033\[[0-9;]*([a-zA-Z])", plain)


def test_nothing_that_a_server_says_moves_the_cursor(hosts):
    hosts.add("127.4.200.3", {"greeting": b"554 \033[2J\033]0;evil\007 \xff\x9b\r\n"}, attempts=1000)
    shown = run_probe(f"127.4.200.3:{hosts.port}", "-v", "--resolver", f"127.0.0.1@{look.names.port}")
    assert "\033" not in shown.stdout + shown.stderr and "evil" in shown.stdout

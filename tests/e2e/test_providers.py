"""troika providers: what the files know, what people add, and what domains say of themselves, friends and enemies."""
# SPDX-License-Identifier: ISC
import contextlib
import http.server
import json
import subprocess
import threading
import time

import pytest
from certificates import Authority
from names import NameServer
from resolver import SERVFAIL, OddResolver, Question
from troika import free_port, measured, programs

GOOD = """<?xml version="1.0"?><clientConfig version="1.1"><emailProvider id="x"><displayName>Example &amp; Sons</displayName>
<incomingServer type="imap"><hostname>imap.%EMAILDOMAIN%</hostname><port>993</port><socketType>SSL</socketType><username>%EMAILLOCALPART%</username></incomingServer>
<outgoingServer type="smtp"><hostname>smtp.%EMAILDOMAIN%</hostname><port>465</port><socketType>SSL</socketType><username>%EMAILLOCALPART%</username>
<authentication>password-cleartext</authentication></outgoingServer></emailProvider></clientConfig>"""
LAUGHS = ('<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha">' +
          "".join(f'<!ENTITY {b} "{"".join(f"&{a};" for _ in range(10))}">' for a, b in zip("abcdefghi", "bcdefghij")) +
          "]>" + GOOD.split("?>")[1].replace("Example &amp; Sons", "&j;"))
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY p SYSTEM "file:///etc/passwd">]>' + GOOD.split("?>")[1].replace("Example &amp; Sons", "&p;")

# Domains of the zone "test": what they have in DNS, beside the address of autoconfig.NAME.
SRV = """
_submissions._tcp.srv SRV 0 1 465 smtp.srv
_submission._tcp.srv SRV 0 1 587 smtp.srv
_imaps._tcp.srv SRV 0 1 993 imap.srv
_pop3s._tcp.srv SRV 0 0 0 .
_submission._tcp.elsewhere SRV 0 1 587 mail.stranger.test.
hosted MX 10 aspmx.l.google.com.
foreign MX 10 mx.foreign
wellknown A 127.0.0.1
"""
ENEMIES = ("large", "endless", "slow", "loop", "downgrade", "laughs", "outside", "html", "missing", "broken", "othername", "expired", "unsigned")
ZONE = SRV + "".join(f"autoconfig.{name} A 127.0.0.1\n" for name in ("friend", "moved", *ENEMIES))


class Pages(http.server.BaseHTTPRequestHandler):
    """Answers by the name it is asked for: autoconfig.NAME.test, NAME.test."""

    def do_GET(self):
        self.server.asked.append((self.headers["Host"], self.path))
        name = self.headers["Host"].split(":")[0].removeprefix("autoconfig.").removesuffix(".test")
        with contextlib.suppress(OSError):
            getattr(self, name)()

    def give(self, body, kind="text/xml", code=200, **more):
        body = body.encode()
        self.send_response(code)
        for field, value in {"Content-Type": kind, "Content-Length": str(len(body)), **more}.items():
            self.send_header(field.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def friend(self):
        self.give(GOOD)

    def wellknown(self):
        self.give(GOOD, "application/xml; charset=utf-8")

    def moved(self):
        self.give("", code=302, Location=f"https://autoconfig.friend.test:{self.server.server_port}/elsewhere")

    def large(self):
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 30))
        self.end_headers()
        self.pour()

    def endless(self):
        self.send_response(200)
        self.end_headers()
        self.pour()

    def pour(self):
        for _ in range(1 << 10):
            self.wfile.write(b"<a>" * (1 << 18))
            self.server.poured += 3 << 18

    def slow(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        while not self.server.over.wait(0.2):
            self.wfile.write(b" ")
            self.wfile.flush()

    def loop(self):
        self.give("", code=301, Location=self.path + "x")

    def downgrade(self):
        self.give("", code=302, Location=f"http://autoconfig.downgrade.test:{self.server.plain_port}/")

    def laughs(self):
        self.give(LAUGHS)

    def outside(self):
        self.give(OUTSIDE)

    def html(self):
        self.give("<html>" + GOOD + "</html>", "text/html")

    def missing(self):
        self.give(GOOD, code=404)

    def broken(self):
        self.give(GOOD[:-30])

    def log_message(self, *_):
        pass


class World:
    """Names, web servers and the command that asks them."""

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.ca = stack.enter_context(Authority())
            self.names = stack.enter_context(NameServer({"test": ZONE}))
            self.web = self.serve(stack)
            self.plain = self.serve(stack, secret=False)
            self.web.plain_port = self.plain.server_port
            self.stack = stack.pop_all()
        return self

    def serve(self, stack, secret=True):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", free_port()), Pages)
        server.daemon_threads, server.asked, server.poured, server.over = True, [], 0, threading.Event()
        if secret:
            server.socket = self.context().wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        stack.callback(thread.join)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        stack.callback(server.over.set)
        return server

    def context(self):
        """A certificate for each name that is asked for; wrong ones for some."""
        names = ["DNS:wellknown.test", *(f"DNS:autoconfig.{n}.test" for n in ("friend", "moved", *ENEMIES) if n != "othername")]
        good = self.ca.context("web", san=",".join(names))
        wrong = {"autoconfig.expired.test": self.ca.context("expired", san="DNS:autoconfig.expired.test", expired=True),
                 "autoconfig.unsigned.test": self.ca.context("unsigned", san="DNS:autoconfig.unsigned.test", signed=False)}

        def choose(connection, name, context):
            connection.context = wrong.get(name, good)

        good.sni_callback = choose
        return good

    def run(self, *arguments, **more):
        return providers(*arguments, "--resolver", f"127.0.0.1@{self.names.port}", "--roots", self.ca.roots, "--https-port",
                         str(self.web.server_port), **more)

    def __exit__(self, *exception):
        return self.stack.__exit__(*exception)


@pytest.fixture(scope="module")
def world():
    with World() as w:
        yield w


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """No file of the person who runs the tests."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("LANGUAGE", raising=False)
    return tmp_path


def providers(*arguments, **more):
    return subprocess.run([programs() + "/troika", "providers", *arguments], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, **more)


def facts(result):
    assert result.returncode == 0, result
    return json.loads(result.stdout)


# ---- the files ----

def test_list():
    result = providers()
    assert result.returncode == 0 and not result.stderr
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert "smtp.yandex.ru:465" in lines["yandex"] and "500 recipients a day" in lines["yandex"]
    assert "50 messages in 15 minutes" in lines["nic.ru"]
    listed = [json.loads(line) for line in providers("--json").stdout.splitlines()]
    assert {p["name"] for p in listed} | {"NAME"} == set(lines)
    for p in listed:
        assert p["found"] == "file" and p["sources"], p["name"]
        for figure in p["smtp"] + p["imap"] + p["pop"] + p["limits"]:
            assert 1 <= figure["source"] <= len(p["sources"]), p["name"]


@pytest.mark.parametrize("what", ["yandex", "YANDEX", "ya.ru", "me@ya.ru", "me@Yandex.COM", "yandex360", "smtp.yandex.ru"])
def test_one_by_any_of_its_names(what):
    text = providers(what).stdout
    for words in ("Yandex Mail (yandex, ya, yandex360)", "smtp.yandex.ru", "port 465", "imap.yandex.ru", "port 993", "500 recipients a day",
                  "35 recipients a message", "app-passwords", "2026-11-27"):
        assert words in text, words
    found = facts(providers("--json", what))
    assert found["name"] == "yandex" and found["asked"] == what
    assert found["smtp"][0] == {"host": "smtp.yandex.ru", "port": 465, "tls": "implicit", "source": 2}
    assert {"count": 500, "of": "recipients", "seconds": 86400, "source": 3} in found["limits"]
    assert found.get("user") == (what if "@" in what else None)


def test_logins():
    assert facts(providers("--json", "me@web.de"))["user"] == "me"
    assert facts(providers("--json", "sendgrid"))["login_word"] == "apikey"
    assert "apikey" in providers("sendgrid").stdout
    assert "only a token" in providers("me@hotmail.com").stdout


def test_several_at_once():
    result = providers("--json", "gmail", "mail.ru")
    assert [json.loads(line)["name"] for line in result.stdout.splitlines()] == ["gmail", "mailru"]
    assert providers("gmail", "mail.ru").stdout.count("Send by SMTP") == 2


def test_in_russian(monkeypatch):
    monkeypatch.setenv("LC_ALL", "ru_RU.UTF-8")
    result = providers("me@mail.ru")
    assert "создайте пароль для внешнего приложения" in result.stdout
    assert "Отправка по SMTP" in result.stdout and "60 писем в час" in result.stdout and "1 письмо в минуту" in result.stdout
    assert "за 15 минут" in providers("nic.ru").stdout
    assert "нет такого провайдера" in providers("nonsense").stderr.lower()


@pytest.mark.parametrize("arguments, code, words", [
    (["nonsense"], 65, "no provider is called nonsense; `troika providers` lists them"),
    (["--offline", "me@none.test"], 68, "no file of providers has me@none.test; without --offline"),
    (["me@localhost..x"], 65, "neither a provider nor an address or domain"),
    (["--https-port", "0", "gmail"], 64, "--https-port: \"0\" is no port; write a number from 1 to 65535"),
    (["--resolver", "nowhere", "none.test"], 64, "--resolver: \"nowhere\" is no resolver; write an address"),
    (["--wrong"], 64, "--wrong"),
])
def test_wrong_input(arguments, code, words):
    result = providers(*arguments)
    assert result.returncode == code and words in result.stderr, result
    assert not result.stdout


def test_own_providers(home, monkeypatch):
    folder = home / ".config/troika"
    folder.mkdir(parents=True)
    own = folder / "providers.conf"
    own.write_text("provider mine\n  domains mine.test\n  smtp smtp.mine.test:587 starttls\n  limit 3 messages a minute\n"
                   "provider yandex\n  title My Yandex\n  smtp smtp.yandex.com:465 tls\n")
    assert facts(providers("--json", "--offline", "me@mine.test"))["smtp"][0]["host"] == "smtp.mine.test"
    assert "3 messages a minute" in providers("mine").stdout
    replaced = facts(providers("--json", "yandex"))
    assert replaced["title"] == "My Yandex" and not replaced["limits"] and not replaced["domains"]
    assert facts(providers("--json", "gmail"))["name"] == "gmail"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "other"))
    assert providers("mine").returncode == 65
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")  # does not count
    assert providers("mine").returncode == 0


@pytest.mark.parametrize("text, words", [
    ("provider a\nsmpt x.test:25 tls\n", ":2: \"smpt\" is not known here; a line begins with one of: provider title"),
    ("provider a\nsmtp x.test tls\n", ":2: \"x.test\" is no host and port; write smtp mail.example.org:465 tls"),
    ("# me\nlimit 5 messages a day\n", ":2: limit of whom?"),
])
def test_own_providers_with_a_mistake(home, text, words):
    own = home / ".config/troika/providers.conf"
    own.parent.mkdir(parents=True)
    own.write_text(text)
    result = providers()
    assert result.returncode == 78 and f"{own}{words}" in result.stderr and not result.stdout


# ---- domains that no file has ----

def test_by_srv(world):
    found = facts(world.run("--json", "me@srv.test"))
    assert found["found"] == "SRV" and found["name"] == "srv.test" and found["user"] == "me@srv.test"
    assert [(e["host"], e["port"], e["tls"]) for e in found["smtp"]] == [("smtp.srv.test", 465, "implicit"), ("smtp.srv.test", 587, "starttls")]
    assert found["imap"][0]["host"] == "imap.srv.test" and not found["pop"]
    steps = {s["what"]: s for s in found["steps"]}
    assert steps["_submissions._tcp.srv.test SRV"] == {"what": "_submissions._tcp.srv.test SRV", "came_of": "smtp.srv.test:465", "useful": True}
    assert steps["_pop3s._tcp.srv.test SRV"]["came_of"] == "not offered"
    text = world.run("srv.test").stdout
    assert "by SRV records of the domain" in text and "Beware" not in text
    assert "Beware" in world.run("elsewhere.test").stdout  # mail.stranger.test


def test_by_autoconfig(world):
    found = facts(world.run("--json", "me+x@friend.test"))
    assert found["found"] == "autoconfig" and found["title"] == "Example & Sons"
    assert found["smtp"][0]["host"] == "smtp.friend.test" and found["imap"][0]["host"] == "imap.friend.test"
    assert found["user"] == "me+x"
    assert ("autoconfig.friend.test:%d" % world.web.server_port, "/mail/config-v1.1.xml?emailaddress=me%2Bx@friend.test") in world.web.asked
    assert facts(world.run("--json", "moved.test"))["found"] == "autoconfig"
    found = facts(world.run("--json", "wellknown.test"))
    assert found["found"] == "autoconfig" and found["smtp"][0]["host"] == "smtp.wellknown.test"
    assert "autoconfig.wellknown.test has no address" in str(found["steps"])


def test_by_mx(world):
    found = facts(world.run("--json", "me@hosted.test"))
    assert found["found"] == "MX" and found["name"] == "google-workspace" and found["user"] == "me@hosted.test"
    assert found["steps"][-1] == {"what": "hosted.test MX", "came_of": "aspmx.l.google.com", "useful": True}
    assert "those of this provider" in world.run("hosted.test").stdout


@pytest.mark.parametrize("domain, words", [("foreign.test", "mx.foreign.test: of no provider that is known"), ("none.test", "no such name")])
def test_nothing_to_be_found(world, domain, words):
    result = world.run(domain)
    assert result.returncode == 68 and "nobody says which servers it has" in result.stderr
    for asked in (f"_submissions._tcp.{domain} SRV", f"https://autoconfig.{domain}/mail/config-v1.1.xml",
                  f"https://{domain}/.well-known/autoconfig/mail/config-v1.1.xml", f"{domain} MX"):
        assert asked in result.stdout, asked
    assert words in result.stdout
    result = world.run("--json", domain)
    assert result.returncode == 68 and json.loads(result.stdout)["found"] is None


# What each enemy does, in the words of the step that met it.
@pytest.mark.parametrize("name, words", [
    ("large", "the answer is longer than 262144 bytes"),
    ("endless", "the answer is longer than 262144 bytes"),
    ("slow", "no answer within 10 seconds"),
    ("loop", "it leads on more than 5 times"),
    ("downgrade", "it leads from https to http"),
    ("laughs", "it has a document type"),
    ("outside", "it has a document type"),
    ("html", "it is text/html, not XML"),
    ("missing", "HTTP 404"),
    ("broken", "it is no XML"),
    ("othername", "SSL: no alternative certificate subject name matches"),
    ("expired", "certificate has expired"),
    ("unsigned", "SSL certificate problem"),
])
def test_enemies(world, name, words):
    begin, poured = time.monotonic(), world.web.poured
    code, output, peak_kib = measured(programs() + "/troika", "providers", "--json", f"me@{name}.test", "--resolver", f"127.0.0.1@{world.names.port}",
                                      "--roots", world.ca.roots, "--https-port", world.web.server_port)
    assert code == 68
    step = next(s for s in json.loads(output)["steps"] if s["what"].startswith("https://autoconfig."))
    assert words in step["came_of"] and not step["useful"], step
    assert peak_kib < 80 * 1024
    assert world.web.poured - poured < 64 << 20
    assert time.monotonic() - begin < 30
    assert not world.plain.asked


class Broken(OddResolver):
    """Answers every question with SERVFAIL."""

    def run(self):
        while True:
            packet, who = self.socket.recvfrom(4096)
            if not packet:
                return
            self.socket.sendto(Question(packet).answer(SERVFAIL), who)


def test_no_resolver_answers():
    with Broken() as r:
        result = providers("--resolver", r.dns.split('"')[1], "none.test")
    assert result.returncode == 75 and "names cannot be looked up now" in result.stderr, result
    assert "_submissions._tcp.none.test SRV: " in result.stdout and "autoconfig" not in result.stdout

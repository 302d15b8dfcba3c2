"""Mail through a provider: logins at real servers by every mechanism, over every kind of TLS, and what happens when they fail."""
# SPDX-License-Identifier: ISC
import asyncio
import contextlib
import glob
import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import tempfile

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from certificates import Authority
from peers import Postfix
from sinks import Sink
from troika import PLAIN_USER, ROOT, EventLoop, Troika, free_port, wait_for

LOGIN, PASSWORD = "me@provider.test", "correct horse 7"


@pytest.fixture(scope="module")
def ca():
    with Authority() as a:
        yield a


@pytest.fixture
def password_file():
    folder = tempfile.mkdtemp(prefix="troika-password-")
    os.chmod(folder, 0o755)
    yield write_password(pathlib.Path(folder) / "password")
    shutil.rmtree(folder)


def write_password(path, password=PASSWORD, mode=0o600):
    """A file as an administrator would make it, for the user that the server runs as."""
    path.write_text(password + "\n")
    path.chmod(mode)
    if os.geteuid() == 0:
        os.chown(path, *pwd.getpwnam(PLAIN_USER)[2:4])
    return path


def smarthost(port, file, more="", login=LOGIN):
    return f'retry = {{ 1s }}\nsmarthost "127.0.0.1:{port}" {{ login = "{login}"  password-file = "{file}"  {more} }}\n'


def roots(ca):
    return f'tls {{ roots = "{ca.roots}" }}\n'


def server_context(ca, **certificate):
    return ca.context(**({"name": "smtp.provider.test", "san": "IP:127.0.0.1"} | certificate))


def send(t, to="friend@far.test"):
    return t.send(to=to, sender="alice@example.test")


def waiting(t, words):
    """The row of the only message, once it says this."""
    def found():
        rows = t.queue()
        return rows and words in rows[0]["last"] and rows[0]
    return wait_for(found, what=f"a row with {words!r}; there is {t.queue()}\n{t.log()[-3000:]}")


# ---- the other side ----

class Provider(Sink):
    """aiosmtpd that takes mail only after a login, and keeps what was tried. implicit: TLS comes first. mechanisms: what is offered."""

    def __init__(self, ca, tls=None, implicit=False, mechanisms=("PLAIN", "LOGIN"), password=PASSWORD, starttls=True):
        super().__init__()
        self.context = tls or server_context(ca)
        self.implicit, self.mechanisms, self.password, self.starttls = implicit, mechanisms, password, starttls
        self.tried, self.users = [], []

    def authenticate(self, server, session, envelope, mechanism, data):
        assert isinstance(data, LoginPassword)
        self.tried.append((mechanism, session.ssl is not None or self.implicit))
        good = (data.login.decode(), data.password.decode()) == (LOGIN, self.password)
        self.users += [data.login.decode()] if good else []
        return AuthResult(success=good, handled=False)

    def _factory(self):
        self.sessions += 1
        return SMTP(self, hostname="smtp.provider.test", authenticator=self.authenticate, auth_required=True, auth_require_tls=False,
                    auth_exclude_mechanism=[m for m in ("PLAIN", "LOGIN") if m not in self.mechanisms],
                    tls_context=self.context if self.starttls and not self.implicit else None)

    def __enter__(self):
        if not self.implicit:
            return super().__enter__()
        self.events = EventLoop()

        async def begin():
            return await asyncio.get_running_loop().create_server(self._factory, self.host, self.port, ssl=self.context)

        self.server = self.events.run(begin())
        self.port = self.server.sockets[0].getsockname()[1]
        return self


class SaslPostfix(Postfix):
    """Postfix with Cyrus SASL, offering one mechanism."""

    def __init__(self, mechanism, certificate, implicit=False):
        super().__init__(free_port(), certificate=certificate)
        self.mechanism, self.implicit = mechanism, implicit

    def files(self):
        return super().files() | {"/etc/postfix/sasl/smtpd.conf": f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: {self.mechanism}\n"}

    def script(self):
        wrapper = "-o smtpd_tls_wrappermode=yes" if self.implicit else ""
        settings = ('main_cf smtpd_sasl_auth_enable=yes smtpd_sasl_local_domain=provider.test "smtpd_relay_restrictions=permit_sasl_authenticated,reject" '
                    'mynetworks=192.0.2.1/32 "smtpd_recipient_restrictions=permit_sasl_authenticated,reject" smtpd_sasl_security_options=noanonymous\n'
                    f'echo "{PASSWORD}" | saslpasswd2 -c -p -u provider.test me\nchmod 644 /etc/sasldb2\n')
        script = super().script()
        start = script.rindex(self.start)
        if wrapper:
            settings += f'postconf -P "127.0.0.1:{self.port}/inet/smtpd_tls_wrappermode=yes"\n'
        return script[:start] + settings + script[start:]


class TroikaProvider(Troika):
    """Troika on the other side: .starttls, .implicit and .plain."""

    def __init__(self, ca, certificate=None, listen=""):
        self.starttls, self.implicit, self.plain = (free_port() for _ in range(3))
        pem = certificate or ca.make("smtp.provider.test", san="IP:127.0.0.1")
        config = f'tls {{ certificate = "{pem}"  key = "{pem}" }}\nlogin-senders = any\n'
        for name, words in (("starttls", "tls = required  auth = required"), ("implicit", "tls = implicit  auth = required"),
                            ("plain", "tls = off  auth = required")):
            config += f'listen {name} {{ address = {{ "127.0.0.1:{getattr(self, name)}" }}  {words} {listen} }}\n'
        super().__init__(config=config, users=("friend",), domain="provider.test", hostname="smtp.provider.test", relay_for='"192.0.2.0/24"')
        self.run("user", "add", LOGIN, "--password-stdin", input=PASSWORD)


# ---- mechanisms and TLS ----

@pytest.mark.parametrize("kind, mechanism", [("starttls", "SCRAM-SHA-256-PLUS"), ("implicit", "SCRAM-SHA-256-PLUS"), ("plain", "SCRAM-SHA-256")])
def test_troika_logs_in_at_troika_by_the_best_mechanism(ca, password_file, kind, mechanism):
    more = {"starttls": "", "implicit": "implicit-tls = yes", "plain": "tls = off"}[kind]
    with TroikaProvider(ca) as far, Troika(config=smarthost(getattr(far, kind), password_file, more) + roots(ca)) as t:
        event = t.wait_event(send(t, "friend@provider.test"), "delivered")[0]
        assert f"auth={mechanism}" in event["detail"], event
        mail = far.wait_mails("friend")[0]
        assert (b"with ESMTPSA" if kind != "plain" else b"with ESMTPA") in mail, mail
        assert "verified yes" in event["tls"] if kind != "plain" else "plain, off" in event["tls"], event
        assert f"login={LOGIN}" in far.log()
        again = t.wait_event(send(t, "friend@provider.test"), "delivered")[0]
        assert again["status"] == "2.0.0"
        assert "seccomp" in t.log()


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"])
def test_a_real_postfix_with_cyrus_sasl(ca, password_file, mechanism):
    certificate = ca.make("postfix.example", san="IP:127.0.0.1")
    with SaslPostfix(mechanism, certificate) as far, Troika(config=smarthost(far.port, password_file) + roots(ca)) as t:
        event = t.wait_event(send(t, "anybody@postfix.test"), "delivered", 60)[0]
        assert f"auth={mechanism}" in event["detail"], event
        wait_for(far.mails, what="the mail in Postfix's mailbox")
        assert f"sasl_method={mechanism}, sasl_username={LOGIN}" in far.log()


def test_a_real_postfix_with_tls_from_the_first_byte(ca, password_file):
    certificate = ca.make("postfix.example", san="IP:127.0.0.1")
    with SaslPostfix("PLAIN", certificate, implicit=True) as far, \
            Troika(config=smarthost(far.port, password_file, "implicit-tls = yes") + roots(ca)) as t:
        event = t.wait_event(send(t, "anybody@postfix.test"), "delivered", 60)[0]
        assert "auth=PLAIN" in event["detail"] and "verified yes" in event["tls"], event


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_aiosmtpd(ca, password_file, implicit, mechanism):
    more = "implicit-tls = yes" if implicit else ""
    with Provider(ca, implicit=implicit, mechanisms=(mechanism,)) as far, Troika(config=smarthost(far.port, password_file, more) + roots(ca)) as t:
        event = t.wait_event(send(t), "delivered")[0]
        assert f"auth={mechanism}" in event["detail"] and far.users == [LOGIN] and far.tried == [(mechanism, True)], (event, far.tried)
        assert far.messages[0][1] == ["friend@far.test"]


def test_an_account_with_a_hash_is_asked_for_the_password_itself(ca, password_file):
    """SCRAM cannot be checked against an imported hash: 535, and one more try, by PLAIN."""
    with TroikaProvider(ca) as far:
        hashed = subprocess.run(["openssl", "passwd", "-6", PASSWORD], capture_output=True, text=True, check=True).stdout.strip()
        (open(far.folder + "/passwd", "w")).write(f"{LOGIN}:{hashed}\n")
        os.chmod(far.folder + "/passwd", 0o644)
        far.run("user", "rm", LOGIN)
        far.run("user", "import", far.folder + "/passwd")
        with Troika(config=smarthost(far.starttls, password_file) + roots(ca)) as t:
            event = t.wait_event(send(t, "friend@provider.test"), "delivered")[0]
            assert "auth=PLAIN" in event["detail"], event


def test_a_route_has_a_login_too(ca, password_file):
    with Provider(ca) as far:
        config = f'route "far.test" {{ via = "127.0.0.1:{far.port}"  login = "{LOGIN}"  password-file = "{password_file}" }}\n'
        with Troika(config=config + roots(ca)) as t:
            t.wait_event(send(t), "delivered")
            assert far.users == [LOGIN]


# ---- what is not good enough ----

CERTIFICATES = [
    ({"san": "DNS:other.test"}, "for other.test, not for 127.0.0.1"),
    ({"expired": True}, "expired on 20"),
    ({"signed": False}, "self-signed, so anybody can have made it"),
]


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("certificate, words", CERTIFICATES)
def test_no_login_before_a_certificate_that_is_not_good(ca, password_file, certificate, words, implicit):
    more = "implicit-tls = yes" if implicit else ""
    with Provider(ca, tls=server_context(ca, **certificate), implicit=implicit) as far, \
            Troika(config=smarthost(far.port, password_file, more) + roots(ca)) as t:
        id = send(t)
        row = waiting(t, words)
        assert "4.7.5" in row["last"] and "certificate" in row["last"], row
        assert far.tried == [] and far.messages == []
        assert words in t.wait_event(id, "deferred")[0]["reply"]


def test_an_issuer_that_is_not_trusted_is_named(ca, password_file):
    with Authority() as other, Provider(ca, tls=other.context("smtp.provider.test", san="IP:127.0.0.1")) as far, \
            Troika(config=smarthost(far.port, password_file) + roots(ca)) as t:
        send(t)
        waiting(t, "from an issuer that is not trusted here: CN=Test Authority")
        assert far.tried == []


def test_no_login_where_tls_was_taken_away(ca, password_file):
    with Provider(ca, starttls=False) as far, Troika(config=smarthost(far.port, password_file) + roots(ca)) as t:
        send(t)
        waiting(t, "TLS is required, and there is none: not offered")
        assert far.tried == []


def test_the_words_that_relax_it_are_loud(ca, password_file):
    with Provider(ca, tls=server_context(ca, signed=False)) as far:
        for more, danger in (("tls = required", "the certificate is not judged"), ("tls = opportunistic", "can take TLS away")):
            with Troika(config=smarthost(far.port, password_file, more) + roots(ca)) as t:
                checked = t.run("check", check=False)
                assert checked.returncode == 0 and "DANGER" in checked.stdout + checked.stderr and danger in checked.stdout + checked.stderr
                t.wait_event(send(t), "delivered")
        assert far.tried == [("PLAIN", True)] * 2
    with Provider(ca, starttls=False) as far, Troika(config=smarthost(far.port, password_file, "tls = opportunistic") + roots(ca)) as t:
        send(t)
        waiting(t, "would show the password")
        assert far.tried == []
    with Provider(ca, starttls=False) as far, Troika(config=smarthost(far.port, password_file, "tls = off") + roots(ca)) as t:
        t.wait_event(send(t), "delivered")
        assert far.tried == [("PLAIN", False)]


# ---- passwords ----

def everything_written(t):
    """All that the server keeps or says, as bytes."""
    for path in [t.log_path, *glob.glob(t.state + "/**/*", recursive=True)]:
        if os.path.isfile(path):
            with open(path, "rb") as f:
                yield path, f.read()
    for name, pid in t.workers().items():
        for what in ("cmdline", "environ"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/{what}", "rb") as f:
                yield f"{what} of {name}", f.read()


def test_a_wrong_password_waits_and_a_right_one_sends(ca, password_file):
    write_password(password_file, "wrong and secret")
    with Provider(ca) as far, Troika(config=smarthost(far.port, password_file) + roots(ca) + "log-level = debug\n") as t:
        id = send(t)
        row = waiting(t, "does not take our login")
        assert "535" in row["last"] and "4.7.8" in row["last"], row
        event = t.wait_event(id, "deferred")[0]
        assert event["status"] == "4.7.8" and "535" in event["reply"], event
        assert f"login={LOGIN}" in t.log() and "event=login-refused" in t.log()
        assert not [e for e in t.trace(id) if e["event"].startswith("bounce")]
        assert far.tried and all(one == ("PLAIN", True) for one in far.tried)
        write_password(password_file)
        wait_for(lambda: far.messages, 60, "the message, by the new password")
        t.wait_event(id, "delivered")
        for where, written in everything_written(t):
            assert b"wrong and secret" not in written and PASSWORD.encode() not in written, where


def test_an_attempt_is_one_try_whatever_many_addresses_there_are(ca, password_file):
    write_password(password_file, "wrong")
    with Provider(ca) as far, Troika(config=smarthost(far.port, password_file).replace("1s", "1h") + roots(ca)) as t:
        send(t)
        waiting(t, "does not take our login")
        assert far.tried == [("PLAIN", True)]


def test_the_password_file_is_read_again(ca, password_file):
    with Provider(ca, password="another one") as far, Troika(config=smarthost(far.port, password_file) + roots(ca)) as t:
        send(t)
        waiting(t, "does not take our login")
        write_password(password_file, "another one")
        t.process.send_signal(signal.SIGHUP)
        wait_for(lambda: far.messages, 60, "the message")


def test_a_password_that_others_can_read_is_not_used(ca, password_file):
    with Provider(ca) as far, Troika(config=smarthost(far.port, password_file) + roots(ca)) as t:
        password_file.chmod(0o644)
        wait_for(lambda: "event=password-file-unreadable" in t.log(), what="the log line")
        assert "chmod 600" in t.log()
        send(t)
        waiting(t, "chmod 600")
        checked = t.run("check", check=False)
        assert checked.returncode != 0 and f"everybody on this machine can read {password_file}; say: chmod 600 {password_file}" in checked.stdout + checked.stderr
        assert far.tried == []
        password_file.chmod(0o600)
        wait_for(lambda: far.messages, 60, "the message")


def test_a_password_that_is_not_there(ca, password_file):
    with Provider(ca) as far, Troika(config=smarthost(far.port, password_file) + roots(ca)) as t:
        refused = t.log().count("password-file-unreadable")
        password_file.unlink()
        wait_for(lambda: t.log().count("password-file-unreadable") > refused, what="the log line")
        id = send(t)
        assert "password-file: No such file or directory" in waiting(t, "No such file")["last"]
        checked = t.run("check", check=False)
        assert checked.returncode != 0 and f"{password_file} cannot be read: No such file" in checked.stdout + checked.stderr
        write_password(password_file, "")
        waiting(t, "its first line is empty")
        assert far.tried == []
        write_password(password_file)
        t.wait_event(id, "delivered", 60)


# ---- limits ----

def test_a_limit_holds_over_restarts_and_says_until_when(ca, password_file):
    with Provider(ca) as far, Troika(config=smarthost(far.port, password_file, 'limit = { "2/hour" }') + roots(ca)) as t:
        for _ in range(3):
            send(t)
        row = waiting(t, "the limit of 2 messages in 1h of that server is reached")
        assert len(far.messages) == 2 and row["state"] == "queued"
        due, received = row["due"], row["received"]
        assert due > received, row
        assert "limit of 2 messages" in t.run("queue", "show", row["msg"])
        t.stop()
        t.start()
        assert "the limit" in waiting(t, "the limit")["last"]
        t.configure(smarthost(far.port, password_file, 'limit = { "3/hour" }') + roots(ca))
        t.process.send_signal(signal.SIGHUP)
        wait_for(lambda: len(far.messages) == 3, what="the third message")
        t.wait_empty()


def test_a_large_envelope_goes_in_parts(ca, password_file):
    with Provider(ca) as far, Troika(config=smarthost(far.port, password_file, "recipients-per-message = 3") + roots(ca)) as t:
        t.send(to=[f"friend{i}@far.test" for i in range(7)])
        t.wait_empty()
        assert sorted(len(m[1]) for m in far.messages) == [1, 3, 3]


# ---- providers ----

def test_a_provider_s_name_stands_for_what_is_known_of_it(ca, password_file):
    with Troika(config=f'smarthost "yandex" {{ login = "me@yandex.ru"  password-file = "{password_file}" }}\nhold = yes\n') as t:
        shown = t.run("explain", "friend@far.test")
        assert "smtp.yandex.ru:465" in shown, shown
        assert "TLS verified at once, login me@yandex.ru" in shown and "500/day recipients" in shown, shown
        printed = t.run("check", "print")
        assert 'smarthost "smtp.yandex.ru:465"' in printed and "recipients-per-message = 35" in printed, printed
    t = Troika(config='smarthost "yandx" { }\n')
    try:
        assert "is no provider that `troika providers` knows" in t.run("check", check=False).stderr
    finally:
        t.__exit__(None, None, None)


# ---- the documentation ----

def test_the_page_of_the_manual(ca, password_file):
    """The configuration of docs/operating/smarthost.md, with our port and roots in place of Yandex's."""
    with open(ROOT + "/docs/operating/smarthost.md") as f:
        blocks = re.findall(r"```\n(.*?)```", f.read(), re.S)
    page = next(b for b in blocks if 'smarthost "yandex"' in b)
    section = page[page.index('smarthost "yandex"'):]
    with Provider(ca) as far:
        config = (section.replace('"yandex"', f'"127.0.0.1:{far.port}"').replace("me@yandex.ru", LOGIN)
                  .replace("/etc/troika/yandex.password", str(password_file)))
        assert config != section
        with Troika(config=config + roots(ca)) as t:
            t.wait_event(send(t), "delivered")
            assert far.users == [LOGIN]
    general = next(b for b in blocks if "smtp.example.net" in b)
    with Provider(ca) as far:
        config = (general.replace("smtp.example.net:587", f"127.0.0.1:{far.port}").replace("/etc/troika/smarthost.password", str(password_file))
                  .replace("me@example.net", LOGIN))
        with Troika(config=config + roots(ca)) as t:
            t.wait_event(send(t), "delivered")

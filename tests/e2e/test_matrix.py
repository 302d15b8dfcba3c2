"""troika send logs in at every server, by every mechanism it offers, over every kind of TLS; and says why when it cannot.

Postfix with Cyrus SASL, Exim, aiosmtpd, Troika itself and its own sink; OpenSMTPD without, for want of TLS (see there)."""
# SPDX-License-Identifier: ISC
import contextlib
import email
import email.policy
import os
import subprocess

import pytest
import troika
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from certificates import Authority
from listen import Listen
from peers import EximLogins, OpenSmtpd, OpenSmtpdLogins, PostfixLogins
from sinks import Sink
from troika import Troika, free_port, wait_for

USER, PASSWORD = "me", "correct horse 7"


@pytest.fixture(scope="module")
def ca():
    with Authority() as a:
        yield a


def pem(ca):
    return ca.make("localhost", san="DNS:localhost,IP:127.0.0.1", rsa=True)


# ---- servers: .port (STARTTLS), .tls_port (implicit), .user, .to, .taken() ----

class PeerServer:
    def __init__(self, kind, ca):
        self.peer, self.user = kind(certificate=pem(ca), user=USER, password=PASSWORD), USER

    def __enter__(self):
        self.peer.__enter__()
        self.port, self.tls_port, self.to = self.peer.port, self.peer.tls_port, "box@" + self.peer.domain
        return self

    def taken(self):
        return self.peer.mails()

    def __exit__(self, *error):
        self.peer.__exit__(*error)


class AiosmtpdServer(contextlib.ExitStack):
    """Two of them: one with STARTTLS, one with TLS from the first byte on."""

    user, to = USER, "bob@example.test"

    def __init__(self, ca):
        super().__init__()
        self.ca = ca

    def __enter__(self):
        def check(server, session, envelope, mechanism, data):
            return AuthResult(success=data == LoginPassword(USER.encode(), PASSWORD.encode()), handled=False)

        class Login(Sink):
            implicit = False

            def _factory(self):
                self.sessions += 1
                more = {"auth_require_tls": False} if self.implicit else {"tls_context": self.tls}
                return SMTP(self, hostname="aiosmtpd.test", data_size_limit=None, auth_required=True, authenticator=check, **more)

        class Implicit(Login):
            implicit = True

            def __init__(self, context):
                super().__init__()
                self.context = context

            def __enter__(self):
                import asyncio
                from troika import EventLoop
                self.events = EventLoop()

                async def begin():
                    return await asyncio.get_running_loop().create_server(self._factory, self.host, self.port, ssl=self.context)
                self.server = self.events.run(begin())
                self.port = self.server.sockets[0].getsockname()[1]
                return self

        self.plain = self.enter_context(Login(tls=self.ca.context("localhost", san="DNS:localhost,IP:127.0.0.1")))
        self.implicit = self.enter_context(Implicit(self.ca.context("localhost", san="DNS:localhost,IP:127.0.0.1")))
        self.port, self.tls_port = self.plain.port, self.implicit.port
        return self

    def taken(self):
        return [m[2] for m in self.plain.messages + self.implicit.messages]


class TroikaServer:
    user, to = "alice@example.test", "bob@example.test"

    def __init__(self, ca):
        self.port, self.tls_port, certificate = free_port(), free_port(), pem(ca)
        self.server = Troika(config=f'tls {{ certificate = "{certificate}"  key = "{certificate}" }}\n'
                             f'listen a {{ address = {{ "127.0.0.1:{self.port}" }}  tls = required  auth = required  cram-md5 = yes }}\n'
                             f'listen b {{ address = {{ "127.0.0.1:{self.tls_port}" }}  tls = implicit  auth = required  cram-md5 = yes }}\n',
                             users=("bob",), relay_for='"192.0.2.0/24"')
        self.server.run("user", "add", self.user, "--password-stdin", "--cram-md5", input=PASSWORD)

    def __enter__(self):
        self.server.__enter__()
        return self

    def taken(self):
        return self.server.mails("bob")

    def __exit__(self, *error):
        self.server.__exit__(*error)


class SinkServer:
    user, to = USER, "bob@example.test"

    def __init__(self, ca):
        self.certificate = pem(ca)

    def __enter__(self):
        self.password = f"/tmp/troika-matrix-{os.getpid()}"
        with open(self.password, "w") as f:
            f.write(PASSWORD)
        self.sink = Listen("--certificate", self.certificate, "--password-file", self.password, tls=True).__enter__()
        self.port, self.tls_port = self.sink.port, self.sink.tls_port
        return self

    def taken(self):
        return self.sink.messages()

    def __exit__(self, *error):
        self.sink.__exit__(*error)
        os.unlink(self.password)


SERVERS = {
    "postfix": (lambda ca: PeerServer(PostfixLogins, ca), PostfixLogins.mechanisms),
    "exim": (lambda ca: PeerServer(EximLogins, ca), EximLogins.mechanisms),
    "aiosmtpd": (AiosmtpdServer, ("PLAIN", "LOGIN")),
    "troika": (TroikaServer, ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS")),
    "sink": (SinkServer, ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256")),
}


@pytest.fixture(scope="module", params=SERVERS)
def server(request, ca):
    make, mechanisms = SERVERS[request.param]
    with make(ca) as s:
        s.name, s.mechanisms = request.param, mechanisms
        yield s


def send(server, ca, tls, mechanism, password=PASSWORD, *more):
    scheme, port = ("smtps", server.tls_port) if tls == "implicit" else ("smtp", server.port)
    return subprocess.run([troika.programs() + "/troika", "send", "-c", "/nonexistent", "--via", f"{scheme}://{server.user}@localhost:{port}", "--roots", ca.roots,
                           "--from", server.user if "@" in server.user else "me@example.test", "--to", server.to, "--subject", "matrix",
                           *(["--mechanism", mechanism] if mechanism else []), *more, "Привет"], capture_output=True, text=True, timeout=120,
                          stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C.UTF-8", "TROIKA_PASSWORD": password})


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_every_mechanism_over_every_kind_of_tls(server, ca, tls):
    before = len(server.taken())
    for count, mechanism in enumerate(["", *server.mechanisms], before + 1):
        result = send(server, ca, tls, mechanism)
        assert result.returncode == 0, (server.name, mechanism, result.stdout, result.stderr)
        wait_for(lambda: len(server.taken()) >= count, 60, f"the message by {mechanism or 'the best'} at {server.name}")
    if server.name not in ("sink",):
        message = email.message_from_bytes(server.taken()[-1], policy=email.policy.default)
        assert message["Subject"] == "matrix" and message.get_content().strip() == "Привет"


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_wrong_password_is_said_to_be_one(server, ca, tls):
    before = len(server.taken())
    result = send(server, ca, tls, "PLAIN", "wrong horse")
    assert result.returncode == 77 and "535" in result.stderr and "wrong horse" not in result.stderr, (server.name, result.stderr)
    assert len(server.taken()) == before


def test_a_mechanism_that_is_not_offered(server, ca):
    missing = next(m for m in ("SCRAM-SHA-256", "CRAM-MD5", "XOAUTH2") if m not in server.mechanisms)
    result = send(server, ca, "starttls", missing)
    assert result.returncode == 77 and "does not offer" in result.stderr, (server.name, result.stderr)


def test_a_certificate_of_nobody(server, ca):
    with Authority() as other:
        result = send(server, other, "starttls", "")
        assert result.returncode == 76 and "certificate" in result.stderr, (server.name, result.stderr)


# ---- OpenSMTPD of Debian 12: its process for keys cannot sign with OpenSSL 3 ("EVP lib", also for openssl s_client), and without TLS it takes no logins ----

def to_opensmtpd(ca, port, *more):
    return subprocess.run([troika.programs() + "/troika", "send", "-c", "/nonexistent", "--roots", ca.roots, "--from", "me@example.test", "--to", "box@opensmtpd.test",
                           "--subject", "matrix", *more, "Привет"], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
                          env={**os.environ, "LC_ALL": "C.UTF-8", "TROIKA_PASSWORD": PASSWORD})


def test_opensmtpd_without_a_login(ca):
    with OpenSmtpd(1) as peer:
        result = to_opensmtpd(ca, peer.port, "--via", f"smtp://localhost:{peer.port}")
        assert result.returncode == 0, result.stderr
        (mail,) = wait_for(peer.mails, 60, "the message at OpenSMTPD")
        assert email.message_from_bytes(mail, policy=email.policy.default).get_content().strip() == "Привет"


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_handshake_that_the_server_breaks_off(ca, tls):
    with OpenSmtpdLogins(pem(ca), USER, PASSWORD) as peer:
        where = f"smtps://me@localhost:{peer.tls_port}" if tls == "implicit" else f"smtp://me@localhost:{peer.port}"
        openssl = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{peer.tls_port}", "-brief"], input="QUIT\r\n", capture_output=True, text=True, timeout=60)
        if openssl.returncode == 0:
            assert to_opensmtpd(ca, peer.port, "--via", where).returncode == 0
            return
        result = to_opensmtpd(ca, peer.port, "--via", where)
        assert result.returncode == 76 and "handshake failed" in result.stderr and not peer.mails(), result.stderr

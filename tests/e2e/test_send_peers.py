"""troika send to servers that others wrote: aiosmtpd, Postfix with SASL, Dovecot's POP3."""
# SPDX-License-Identifier: ISC
import email
import email.policy
import os
import subprocess

import pytest
import troika
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from certificates import Authority
from peers import DovecotPop3, PostfixSasl
from sinks import Sink
from scripted import ScriptedSmtp
from troika import wait_for

PASSWORD = "correct horse 7"


@pytest.fixture(scope="module")
def ca():
    with Authority() as a:
        yield a


def send(*arguments, password=PASSWORD):
    return subprocess.run([troika.programs() + "/troika", "send", "-c", "/nonexistent", *map(str, arguments), "Привет"], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C.UTF-8", "TROIKA_PASSWORD": password})


class LoginSink(Sink):
    """aiosmtpd that wants a login over STARTTLS."""

    def _factory(self):
        def check(server, session, envelope, mechanism, data):
            assert isinstance(data, LoginPassword)
            return AuthResult(success=data == LoginPassword(b"me", PASSWORD.encode()), handled=False)

        self.sessions += 1
        return SMTP(self, hostname="sink.test", data_size_limit=None, tls_context=self.tls, auth_required=True, authenticator=check)


@pytest.mark.parametrize("mechanism", ["", "PLAIN", "LOGIN"])
def test_aiosmtpd(ca, mechanism):
    with LoginSink(tls=ca.context("localhost", san="DNS:localhost")) as sink:
        where = ("--via", f"smtp://me@localhost:{sink.port}", "--roots", ca.roots, "--from", "alice@example.test", "--to", "bob@example.test",
                 *(["--mechanism", mechanism] if mechanism else []))
        result = send(*where)
        assert result.returncode == 0 and sink.secure == [True], result
        refused = send(*where, password="wrong horse")
        assert refused.returncode == 77 and len(sink.messages) == 1, refused


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-256", "SCRAM-SHA-1", ""])
def test_postfix(ca, mechanism):
    with PostfixSasl(certificate=ca.make("localhost", san="DNS:localhost,IP:127.0.0.1"), user="me", password=PASSWORD) as postfix:
        where = ("--via", f"smtp://me@localhost:{postfix.port}", "--roots", ca.roots, "--from", "alice@example.test", "--to", "bob@postfix.test",
                 *(["--mechanism", mechanism] if mechanism else []))
        result = send(*where)
        if mechanism == "DIGEST-MD5":  # RFC 6331: historic
            assert result.returncode == 77, result
            return
        assert result.returncode == 0, (result, postfix.log()[-3000:])
        (mail,) = wait_for(postfix.mails, 60, "the message at Postfix")
        assert email.message_from_bytes(mail, policy=email.policy.default).get_content().strip() == "Привет"
        refused = send(*where, password="wrong horse")
        assert refused.returncode == 77 and "535" in refused.stderr, refused


@pytest.mark.parametrize("scheme", ["pop", "pops"])
def test_pop_before_smtp_at_dovecot(ca, scheme):
    with DovecotPop3(certificate=ca.make("localhost", san="DNS:localhost,IP:127.0.0.1"), password=PASSWORD) as dovecot, ScriptedSmtp() as sink:
        port = dovecot.tls_port if scheme == "pops" else dovecot.port
        where = ("--via", f"smtp://localhost:{sink.port}", f"--pop-first={scheme}://alice@localhost:{port}", "--roots", ca.roots, "--from", "alice@example.test",
                 "--to", "bob@example.test")
        result = send(*where, "-v")
        assert result.returncode == 0 and len(sink.messages) == 1, (result, dovecot.log()[-2000:])
        assert PASSWORD not in result.stderr
        refused = send(*where, password="wrong horse")
        assert refused.returncode == 77 and len(sink.messages) == 1, refused

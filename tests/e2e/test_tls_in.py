"""TLS for clients: STARTTLS and implicit, with clients of others; certificates by name and their change; the key in nobody's
memory but that of keys; what `troika tls` tells."""
# SPDX-License-Identifier: ISC
import contextlib
import json
import os
import re
import signal
import smtplib
import socket
import ssl
import subprocess

import pytest
from certificates import Authority
from peers import postfix_files
from troika import Dialogue, Troika, free_port, wait_for

NAME = "mail.example.test"


@pytest.fixture(scope="module")
def ca():
    with Authority() as a:
        yield a


class Secure(Troika):
    """A server with a certificate: port takes STARTTLS, implicit TLS from the first byte, required nothing in plain text."""

    def __init__(self, ca, pem=None, listen_more="", tls_more="", config="", **more):
        self.implicit, self.required = free_port(), free_port()
        self.ca, self.pem = ca, pem or ca.make(NAME)
        self.certificate_file = f"{ca.folder}/shown-{self.implicit}.pem"
        self.put_certificate(self.pem)
        super().__init__(config=f'tls {{ certificate = "{self.certificate_file}" key = "{self.certificate_file}" {tls_more} }}\n'
                                f'listen implicit {{ address = {{ "127.0.0.1:{self.implicit}" }} tls = implicit {listen_more} }}\n'
                                f'listen required {{ address = {{ "127.0.0.1:{self.required}" }} tls = required }}\n' + config, **more)

    def put_certificate(self, path):
        with open(self.certificate_file + ".new", "wb") as f:
            f.write(open(path, "rb").read())
        os.chmod(self.certificate_file + ".new", 0o644)
        os.rename(self.certificate_file + ".new", self.certificate_file)

    def context(self):
        return ssl.create_default_context(cafile=self.ca.roots)

    def connect(self, name=NAME, context=None, session=None):
        """A connection by implicit TLS whose greeting has been read."""
        raw = socket.create_connection(("127.0.0.1", self.implicit), timeout=30)
        s = (context or self.context()).wrap_socket(raw, server_hostname=name, session=session)
        assert s.recv(100).startswith(b"220 ")
        return s

    def shown(self, name=NAME):
        """Serial number of the certificate that a new client is shown."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with self.connect(name, context) as s:
            return s.getpeercert(True)


@pytest.fixture(scope="module")
def secure(ca):
    with Secure(ca) as t:
        yield t


def der(pem):
    text = open(pem).read()
    return ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERTIFICATE"):])


def run(*command, input="", environment=None):
    r = subprocess.run(command, capture_output=True, input=input, text=True, timeout=60, env={**os.environ, **(environment or {})})
    return r.returncode, r.stdout + r.stderr


# ---- clients of others ----

def posttls_finger(secure, port, *more):
    root = postfix_files()
    folder = secure.folder + "/posttls"
    os.makedirs(folder, exist_ok=True)
    with open(folder + "/main.cf", "w") as f:
        f.write("compatibility_level = 3.6\ndefault_privs = daemon\nmail_owner = nobody\nsetgid_group = mail\n")
    libraries = f"{root}/usr/lib/postfix:{root}/usr/lib/x86_64-linux-gnu"
    return run(root + "/usr/sbin/posttls-finger", "-c", "-l", "secure", "-F", secure.ca.roots, *more, f"[127.0.0.1]:{port}", NAME,
               environment={"LD_LIBRARY_PATH": libraries, "MAIL_CONFIG": folder})


def clients(t):
    message = "Subject: hello\n\nby TLS\n"
    path = t.folder + "/message"
    with open(path, "w") as f:
        f.write(message)
    quit = "QUIT\r\n"
    tls = ("-CAfile", t.ca.roots, "-verify_return_error", "-verify_hostname", NAME, "-ign_eof")
    mail = ("--mail-from", "alice@example.test", "--mail-rcpt", "bob@example.test", "-T", path, "--cacert", t.ca.roots, "-sS", "--resolve")
    swaks = ("swaks", "--server", "127.0.0.1", "--to", "bob@example.test", "--from", "alice@example.test", "--tls-verify", "--tls-ca-path", t.ca.roots)
    gnutls = ("gnutls-cli", "--x509cafile", t.ca.roots, "--verify-hostname", NAME)
    return {
        "s_client starttls": lambda: run("openssl", "s_client", "-connect", f"127.0.0.1:{t.port}", "-starttls", "smtp", *tls, input=quit),
        "s_client implicit": lambda: run("openssl", "s_client", "-connect", f"127.0.0.1:{t.implicit}", *tls, input=quit),
        "s_client 1.2": lambda: run("openssl", "s_client", "-tls1_2", "-connect", f"127.0.0.1:{t.implicit}", *tls, input=quit),
        "gnutls-cli starttls": lambda: run(*gnutls, "--starttls-proto", "smtp", "-p", str(t.port), "localhost", input=quit),
        "gnutls-cli implicit": lambda: run(*gnutls, "-p", str(t.implicit), "localhost", input=quit),
        "swaks --tls": lambda: run(*swaks, "--port", str(t.required), "--tls"),
        "swaks --tls-on-connect": lambda: run(*swaks, "--port", str(t.implicit), "--tls-on-connect"),
        "curl starttls": lambda: run("curl", f"smtp://{NAME}:{t.port}", "--ssl-reqd", *mail, f"{NAME}:{t.port}:127.0.0.1"),
        "curl smtps": lambda: run("curl", f"smtps://{NAME}:{t.implicit}", *mail, f"{NAME}:{t.implicit}:127.0.0.1"),
        "posttls-finger": lambda: posttls_finger(t, t.port),
        "posttls-finger implicit": lambda: posttls_finger(t, t.implicit, "-w"),
    }


CLIENTS = ["s_client starttls", "s_client implicit", "s_client 1.2", "gnutls-cli starttls", "gnutls-cli implicit", "swaks --tls", "swaks --tls-on-connect",
           "curl starttls", "curl smtps", "posttls-finger", "posttls-finger implicit"]


@pytest.mark.parametrize("client", CLIENTS)
def test_clients(secure, client):
    code, said = clients(secure)[client]()
    assert code == 0, f"{client}: {code}\n{said}"
    if client.startswith("posttls"):
        assert "Verified TLS connection established" in said, said


def test_smtplib_and_what_received_and_trace_tell(secure):
    with secure.smtp() as s:
        assert b"STARTTLS" in s.ehlo()[1]
        s.starttls(context=no_name(secure))
        assert b"STARTTLS" not in s.ehlo()[1]
        with pytest.raises(smtplib.SMTPException):
            s.starttls()
        assert s.docmd("STARTTLS")[0] == 503
        s.mail("alice@example.test")
        s.rcpt("alice@example.test")
        code, words = s.data("Subject: secret\r\n\r\nhello\r\n")
        assert code == 250
        identity = re.search(rb"id ([0-9a-z]{15})", words).group(1).decode()
    mail = secure.wait_mails("alice")[-1].decode()
    assert re.search(r"with ESMTPS\s+\(TLSv1\.3\s+TLS_AES_128_GCM_SHA256\)\s+id\s", mail), mail
    assert secure.wait_event(identity, "accepted")[0]["tls"] == "TLSv1.3 TLS_AES_128_GCM_SHA256"


def no_name(t):
    context = t.context()
    context.check_hostname = False
    return context


# ---- the rules ----

def test_required_takes_nothing_in_plain_text(secure):
    with Dialogue(secure.required) as d:
        d.reply()
        assert "STARTTLS" in d.say("EHLO c.test")[1]
        code, words = d.say("MAIL FROM:<a@b.test>")
        assert code == 530 and words[0].startswith("5.7.0 Must issue a STARTTLS command first")
        assert d.say("QUIT")[0] == 221


def test_what_was_said_before_the_handshake_is_thrown_away(secure):
    raw = socket.create_connection(("127.0.0.1", secure.port), timeout=30)
    raw.recv(200)
    raw.sendall(b"EHLO c.test\r\nSTARTTLS\r\nEHLO injected.test\r\nMAIL FROM:<evil@b.test>\r\n")
    said = b""
    while b"220 2.0.0" not in said:
        said += raw.recv(1000)
    assert said.endswith(b"go ahead with TLS\r\n")
    with secure.context().wrap_socket(raw, server_hostname=NAME) as s:
        s.sendall(b"RCPT TO:<bob@example.test>\r\n")
        assert s.recv(200).startswith(b"503 5.5.1 say EHLO first")
        s.sendall(b"EHLO c.test\r\n")
        assert s.recv(1000).startswith(b"250-mail.example.test greets c.test")


@pytest.mark.parametrize("said, reason", [
    (b"EHLO c.test\r\n", "wrong version number|http request|unsupported|unexpected"),
    (b"\x16\x03\x01\x00\x05hello", ""),
    (b"\x80\x2e\x01\x00\x02" + b"\x00" * 100, ""),
    (bytes(range(256)), ""),
], ids=["plain", "record", "sslv2", "garbage"])
def test_no_handshake_is_logged_with_its_reason(secure, said, reason):
    before = secure.log().count("event=tls-failed")
    with socket.create_connection(("127.0.0.1", secure.implicit), timeout=30) as s, contextlib.suppress(OSError):
        s.sendall(said)
        s.shutdown(socket.SHUT_WR)
        while s.recv(1000):
            pass
    wait_for(lambda: secure.log().count("event=tls-failed") > before, 30, "the log line")
    line = [one for one in secure.log().splitlines() if "event=tls-failed" in one][-1]
    assert "client=127.0.0.1" in line and re.search(f'reason=("[^"]*({reason})|[a-z])', line), line


def test_old_versions_are_refused(secure):
    code, said = run("openssl", "s_client", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-connect", f"127.0.0.1:{secure.implicit}")
    assert code != 0 and "alert" in said, said
    wait_for(lambda: 'reason="unsupported protocol"' in secure.log(), 30, "the reason in the log")


def test_modern_is_tls_1_3(ca):
    with Secure(ca, tls_more="level = modern") as t:
        context = t.context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            t.connect(context=context)
        with t.connect() as s:
            assert s.version() == "TLSv1.3"


def test_tickets_go_on_in_every_worker(secure):
    context = secure.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # there the session is known after the handshake
    with secure.connect(context=context) as s:
        session = s.session
    for _ in range(8):  # two workers share them
        with secure.connect(context=context, session=session) as s:
            assert s.session_reused


def test_a_client_shows_its_certificate(ca):
    pem = ca.make("bob.client")
    with Secure(ca, listen_more="client-certificates = yes", tls_more=f'client-roots = "{ca.roots}"') as t:
        context = t.context()
        context.load_cert_chain(pem)
        with smtplib.SMTP_SSL("127.0.0.1", t.implicit, context=_unnamed(context), timeout=30) as s:
            s.sendmail("alice@example.test", ["bob@example.test"], "Subject: x\r\n\r\nx\r\n")
        mail = t.wait_mails("bob")[0].decode()
        assert "client CN=bob.client of CN=Test Authority verified yes" in " ".join(mail.split()), mail
        with t.connect() as s:  # none is fine, too
            s.sendall(b"NOOP\r\n")
            assert s.recv(100).startswith(b"250")


def _unnamed(context):
    context.check_hostname = False
    return context


# ---- certificates: names, change ----

def test_certificates_by_name(ca):
    other = ca.make("other", san="DNS:mail.other.test,DNS:*.wild.test")
    sections = f'certificate "mail.other.test" {{ chain = "{other}" key = "{other}" }}\n'
    with Secure(ca, config=sections) as t:
        for name, pem in ((NAME, t.pem), ("mail.other.test", other), ("x.wild.test", other), ("unknown.test", t.pem)):
            assert t.shown(name) == der(pem), name


def test_a_changed_certificate_is_taken_up_and_a_broken_one_is_not(ca):
    with Secure(ca) as t, t.connect() as session:
        second, third = ca.make("second", san=f"DNS:{NAME}"), ca.make("third", san=f"DNS:{NAME}")
        t.put_certificate(second)
        wait_for(lambda: t.shown() == der(second), 60, "the new certificate")
        with open(t.folder + "/broken", "w") as f:  # the certificate of one, the key of the other
            f.write(open(third).read().split("-----BEGIN CERTIFICATE")[0] + "-----BEGIN CERTIFICATE" + open(second).read().split("-----BEGIN CERTIFICATE")[1])
        t.put_certificate(t.folder + "/broken")
        wait_for(lambda: "the key does not belong to the first certificate" in t.log(), 60, "the refusal")
        assert t.shown() == der(second)
        os.unlink(t.certificate_file)
        wait_for(lambda: "event=tls-file-unreadable" in t.log(), 60, "the missing file")
        assert t.shown() == der(second)
        t.put_certificate(third)
        wait_for(lambda: t.shown() == der(third), 60, "the third certificate")
        session.sendall(b"NOOP\r\n")
        assert session.recv(100).startswith(b"250")


def test_reload_turns_tls_on_and_off(ca):
    with Troika() as t:
        pem = ca.make(NAME)
        with t.smtp() as s:
            assert b"STARTTLS" not in s.ehlo()[1]

        def offers():
            with t.smtp() as s:
                return b"STARTTLS" in s.ehlo()[1]
        t.configure(f'tls {{ certificate = "{pem}" key = "{pem}" }}\n')
        t.process.send_signal(signal.SIGHUP)
        wait_for(offers, 60, "STARTTLS")
        t.configure("")
        t.process.send_signal(signal.SIGHUP)
        wait_for(lambda: not offers(), 60, "no STARTTLS")


def test_sessions_outlive_keys(ca):
    with Secure(ca) as t, t.connect() as session:
        os.kill(t.workers()["keys 1"], signal.SIGKILL)
        session.sendall(b"NOOP\r\n")
        assert session.recv(100).startswith(b"250")

        def again():
            try:
                return t.shown() == der(t.pem)
            except OSError:
                return False
        wait_for(again, 60, "handshakes with the next keys")
        session.sendall(b"NOOP\r\n")
        assert session.recv(100).startswith(b"250")


# ---- the key ----

def memory(pid):
    found = b""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, rights = line.split()[:2]
            begin, end = (int(x, 16) for x in span.split("-"))
            if "r" not in rights or "[v" in line:
                continue
            try:
                mem.seek(begin)
                found += mem.read(end - begin)
            except OSError:
                pass
    return found


def secrets(key_pem):
    """The secret numbers of a key as they can lie in memory: both byte orders, and the text of the file."""
    text = subprocess.run(["openssl", "pkey", "-in", key_pem, "-text", "-noout"], capture_output=True, text=True, check=True).stdout
    numbers = []
    for field in ("priv", "prime1", "prime2", "privateExponent"):
        m = re.search(rf"^{field}:\s*\n((?:\s+[0-9a-f:]+\n)+)", text, re.M)
        if m:
            numbers.append(bytes.fromhex(re.sub(r"[^0-9a-f]", "", m.group(1))).lstrip(b"\0"))
    assert numbers
    body = open(key_pem).read().split("-----BEGIN PRIVATE KEY-----\n")[1].split("-----END")[0].splitlines()
    parts = [n[i:i + 16] for n in numbers for i in range(0, len(n) - 15, 16)]
    # 16 bytes by chance are nowhere else; a line of base64 begins with what all keys share, so its end is looked for
    return parts + [p[::-1] for p in parts] + [line[24:56].encode() for line in body[1:-1] if len(line) == 64]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who alone may read the memory of others")
@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_no_byte_of_the_key_is_in_smtpd(ca, kind):
    pem = ca.make(NAME)
    if kind == "rsa":
        pem = ca.folder + "/rsa.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", pem + ".key", "-out", pem + ".crt", "-days", "9", "-subj", f"/CN={NAME}",
                        "-addext", f"subjectAltName=DNS:{NAME}"], check=True, capture_output=True)
        with open(pem, "w") as f:
            f.write(open(pem + ".key").read() + open(pem + ".crt").read())
    with Secure(ca, pem) as t:
        for _ in range(6):
            assert t.shown() == der(pem)
        wanted = secrets(pem)
        workers = t.workers()
        inside = memory(workers["keys 1"])
        assert any(one in inside for one in wanted), "the test would not see the key anywhere"
        smtpds = [pid for name, pid in workers.items() if name.startswith("smtpd")]
        assert len(smtpds) == 2
        for name, pid in workers.items():
            if name.startswith("keys"):
                continue
            image = memory(pid)
            assert len(image) > 100000, name
            assert not any(one in image for one in wanted), f"a part of the key is in the memory of {name}"


# ---- what people are told ----

def test_troika_tls(ca):
    expired, wrong = ca.make("old.test", expired=True), ca.make("wrong.test")
    with Secure(ca) as t:
        listeners = [json.loads(line) for line in t.run("tls", "--json").splitlines()]
        assert [one["tls"] for one in listeners] == ["optional", "implicit", "required"]
        certificate = listeners[1]["certificates"][0]
        assert certificate["names"] == NAME and certificate["key"] == "ECDSA P-256" and certificate["wrong"] == []
        assert any("chain is incomplete" in one for one in certificate["warnings"])  # nobody knows the test's authority
        assert "for mail.example.test\n" in t.run("tls")
        assert "is fine" in t.run("check")

        with open(t.config_file, "a") as f:
            f.write(f'certificate "old.test" {{ chain = "{expired}" key = "{expired}" }}\n'
                    f'certificate "x.test" {{ chain = "{wrong}" key = "{expired}" }}\n'
                    f'certificate "y.test" {{ chain = "/nowhere/chain.pem" key = "{t.config_file}" }}\n')
        result = t.run("tls", check=False)
        assert result.returncode == 78
        for words in ("WRONG: it expired on ", "WRONG: the name x.test is not in it", "the key does not belong to the first certificate",
                      "WRONG: /nowhere/chain.pem cannot be read: No such file or directory", "no private key is in it"):
            assert words in result.stdout, (words, result.stdout)
        result = t.run("check", check=False)
        assert result.returncode == 78 and "troika.conf:" in result.stderr and "certificate: it expired on" in result.stderr, result.stderr


# ---- everything about it, by somebody else's eyes ----

# A shell script that computes: half a minute before its first question. Certificates, ciphers and what they are prone to are one
# context's for all listeners, so STARTTLS is asked what it may answer otherwise: versions, CCS and renegotiation.
QUESTIONS = {"implicit": ("-p", "-s", "-f", "-U", "-S", "-P"), "starttls": ("-p", "-I", "-R")}


@pytest.mark.timeout(900)  # 100 s alone, 180 s beside two other tests
@pytest.mark.skipif(not os.path.exists("/usr/bin/testssl"), reason="needs testssl.sh")
@pytest.mark.parametrize("how", QUESTIONS)
def test_testssl_finds_nothing_above_low(ca, how):
    with Secure(ca) as t:
        out = t.folder + "/testssl.json"
        subprocess.run(["testssl", "--quiet", "--warnings", "off", "--color", "0", "--add-ca", ca.roots, "--ip", "127.0.0.1", "--jsonfile", out, *QUESTIONS[how],
                        *(["--starttls", "smtp", f"{NAME}:{t.port}"] if how == "starttls" else [f"{NAME}:{t.implicit}"])], capture_output=True, timeout=900, stdin=subprocess.DEVNULL)
        found = json.load(open(out))
        assert {"TLS1_2", "TLS1_3", "CCS", "secure_renego"} <= {one["id"] for one in found}
        assert len(found) > 40 or how == "starttls"
        # a test's certificate lives days and has no list of revoked ones
        excused = ("cert_notAfter", "cert_validityPeriod", "cert_expirationStatus", "cert_revocation", "cert_chain_of_trust", "DNS_CAArecord", "cert_extlifeSpan", "OCSP", "engine_problem")
        bad = [one for one in found if one["severity"] in ("MEDIUM", "HIGH", "CRITICAL") and not one["id"].startswith(excused)]
        assert not bad, bad

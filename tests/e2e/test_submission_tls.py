"""Where TLS and AUTH meet: 587 and 465 as mail programs use them, what goes before STARTTLS, what is forgotten by it."""
# SPDX-License-Identifier: ISC
import base64
import hashlib
import hmac
import os
import re
import smtplib
import socket
import ssl
import subprocess

import pytest
from certificates import Authority
from peers import Postfix
from troika import ROOT, Dialogue, Troika, free_port, wait_for

NAME, PASSWORD = "mail.example.test", "correct horse 7"
TEXT = "Subject: logged in\r\nFrom: alice@example.test\r\nTo: bob@example.test\r\n\r\nhello\r\n"


@pytest.fixture(scope="module")
def ca():
    with Authority() as a:
        yield a


class Submission(Troika):
    """submission (STARTTLS, like 587) on .starttls, submissions (like 465) on .implicit, and on .optional one where neither is a
    must; .old is as servers of the years around 2000 were. Nobody is in relay-for."""

    def __init__(self, ca, config="", **more):
        self.ca = ca
        self.starttls, self.implicit, self.optional, self.old = (free_port() for _ in range(4))
        pem = ca.make(NAME, san=f"DNS:{NAME},DNS:localhost,IP:127.0.0.1")
        sections = [f'tls {{ certificate = "{pem}"  key = "{pem}"  client-roots = "{ca.roots}" }}',
                    self.listener("submission", self.starttls, "tls = required  auth = required  client-certificates = yes"),
                    self.listener("submissions", self.implicit, "tls = implicit  auth = required  client-certificates = yes"),
                    self.listener("optional", self.optional, "tls = optional  auth = optional"),
                    self.listener("old", self.old, "tls = optional  auth = optional  plain-auth = yes  old-auth-line = yes"),
                    'route "elsewhere.test" { via = "127.0.0.1:1" }', config]
        super().__init__(config="\n".join(sections) + "\n", users=("bob",), relay_for='"192.0.2.0/24"', **more)
        self.run("user", "add", "alice@example.test", "--password-stdin", input=PASSWORD)

    @staticmethod
    def listener(name, port, words):
        return f'listen {name} {{ address = {{ "127.0.0.1:{port}" }}  {words} }}'

    def dialogue(self, port):
        d = Dialogue(port)
        assert d.reply()[0] == 220
        return d

    def context(self, pem=None):
        context = ssl.create_default_context(cafile=self.ca.roots)
        if pem:
            context.load_cert_chain(pem)
        return context

    def client(self, how, pem=None):
        """smtplib over TLS (on .old without), EHLO said."""
        if how == "implicit":
            s = smtplib.SMTP_SSL("localhost", self.implicit, "client.test", context=self.context(pem), timeout=60)
        else:
            s = smtplib.SMTP("localhost", getattr(self, how), "client.test", timeout=60)
            if how != "old":
                s.starttls(context=self.context(pem))
        s.ehlo()
        return s


@pytest.fixture(scope="module")
def running(ca):
    with Submission(ca) as t:
        yield t


@pytest.fixture
def submission(running):
    before = len(running.mails("bob"))
    running.arrived = lambda: running.wait_mails("bob", before + 1, 60)[before:]
    return running


def b64(text):
    return base64.b64encode(text.encode()).decode()


def plain(login, password=PASSWORD):
    return b64(f"\0{login}\0{password}")


def scram(say, gs2="n,,", binding=b"", mechanism="SCRAM-SHA-256"):
    """The answer (code, words) to a login by SCRAM (RFC 5802, 7677) with the right password; say(line) is a command."""
    def told(answer):
        code, words = answer
        return code, words[0] if isinstance(words, list) else words.decode()

    bare = "n=alice@example.test,r=0123456789abcdef"
    code, words = told(say(f"AUTH {mechanism} {b64(gs2 + bare)}"))
    if code != 334:
        return code, words
    first = base64.b64decode(words).decode()
    said = dict(one.split("=", 1) for one in first.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), base64.b64decode(said["s"]), int(said["i"]))
    key = hmac.digest(salted, b"Client Key", "sha256")
    last = f"c={base64.b64encode(gs2.encode() + binding).decode()},r={said['r']}"
    signature = hmac.digest(hashlib.sha256(key).digest(), f"{bare},{first},{last}".encode(), "sha256")
    proof = bytes(one ^ other for one, other in zip(key, signature))
    code, words = told(say(b64(f"{last},p={base64.b64encode(proof).decode()}")))
    return told(say("")) if code == 334 else (code, words)  # the server has proved that it knows the password, too


def run(*command, input="", environment=None):
    r = subprocess.run(command, capture_output=True, input=input, text=True, timeout=90, env={**os.environ, **(environment or {})})
    return r.returncode, r.stdout + r.stderr


def logins(t):
    return [line for line in t.log().splitlines() if "event=login " in line]


def tls_on(s):
    """The Dialogue s after STARTTLS; its certificate is not what is tried here."""
    assert s.say("STARTTLS")[0] == 220
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    s.socket = context.wrap_socket(s.socket)
    return s


def memory_of(pid):
    held = b""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            area, rights = line.split()[:2]
            start, end = (int(x, 16) for x in area.split("-"))
            if "w" in rights and end - start <= 1 << 28:
                try:
                    mem.seek(start)
                    held += mem.read(end - start)
                except OSError:
                    pass
    return held


# ---- programs that others wrote ----

def swaks(t, how, mechanism="PLAIN"):
    tls, port = ("--tls-on-connect", t.implicit) if how == "implicit" else ("--tls", t.starttls)
    return run("swaks", "--server", "127.0.0.1", "--port", str(port), tls, "--tls-verify", "--tls-ca-path", t.ca.roots, "--from", "alice@example.test", "--to", "bob@example.test",
               "--auth", mechanism, "--auth-user", "alice@example.test", "--auth-password", PASSWORD)


def curl(t, how, mechanism="PLAIN"):
    path = t.folder + "/message"
    with open(path, "w", newline="") as f:
        f.write(TEXT)
    url = f"smtps://localhost:{t.implicit}" if how == "implicit" else f"smtp://localhost:{t.starttls}"
    return run("curl", "-sS", "--ssl-reqd", "--cacert", t.ca.roots, "--url", url, "--user", f"alice@example.test:{PASSWORD}", "--login-options", f"AUTH={mechanism}",
               "--mail-from", "alice@example.test", "--mail-rcpt", "bob@example.test", "--upload-file", path)


def msmtp(t, how, mechanism="PLAIN"):
    starttls, port = ("off", t.implicit) if how == "implicit" else ("on", t.starttls)
    return run("msmtp", "--host=localhost", f"--port={port}", "--tls=on", f"--tls-starttls={starttls}", f"--tls-trust-file={t.ca.roots}", f"--auth={mechanism.lower()}",
               "--user=alice@example.test", f"--passwordeval=printf %s '{PASSWORD}'", "--from=alice@example.test", "--", "bob@example.test", input=TEXT.replace("\r\n", "\n"))


def nodemailer(t, how, mechanism="PLAIN"):
    secure, port = ("true", t.implicit) if how == "implicit" else ("false", t.starttls)
    return run("/usr/bin/node", "-e", """
      const t = require('nodemailer').createTransport({host: 'localhost', port: %d, secure: %s, requireTLS: true, authMethod: '%s',
                                                       tls: {ca: require('fs').readFileSync('%s')},
                                                       auth: {user: 'alice@example.test', pass: '%s'}});
      t.sendMail({from: 'alice@example.test', to: 'bob@example.test', subject: 's', text: 't'})
       .then(i => { console.log(i.response); }, e => { console.error(e); process.exit(1); });
    """ % (port, secure, mechanism, t.ca.roots, PASSWORD), environment={"NODE_PATH": "/usr/share/nodejs"})


def phpmailer(t, how, mechanism="PLAIN"):
    secure, port = ("ssl", t.implicit) if how == "implicit" else ("tls", t.starttls)
    return run("php", "-r", """
      foreach (['Exception', 'SMTP', 'PHPMailer'] as $c) require "/usr/share/php/libphp-phpmailer/src/$c.php";
      $m = new PHPMailer\\PHPMailer\\PHPMailer(true);
      $m->isSMTP(); $m->Host = 'localhost'; $m->Port = %d; $m->SMTPSecure = '%s'; $m->SMTPAuth = true; $m->AuthType = '%s';
      $m->SMTPOptions = ['ssl' => ['cafile' => '%s']]; $m->Username = 'alice@example.test'; $m->Password = '%s';
      $m->setFrom('alice@example.test'); $m->addAddress('bob@example.test'); $m->Subject = 's'; $m->Body = 't';
      $m->send(); echo 'sent';
    """ % (port, secure, mechanism, t.ca.roots, PASSWORD))


def python(t, how, mechanism=None):
    with t.client(how) as s:
        s.login("alice@example.test", PASSWORD)
        s.sendmail("alice@example.test", ["bob@example.test"], TEXT)
    return 0, ""


@pytest.mark.parametrize("how", ["starttls", "implicit"])
@pytest.mark.parametrize("program, mechanism", [
    (swaks, "PLAIN"), (swaks, "LOGIN"), (curl, "PLAIN"), (curl, "LOGIN"), (msmtp, "PLAIN"), (msmtp, "SCRAM-SHA-1"), (msmtp, "SCRAM-SHA-256"),
    (nodemailer, "PLAIN"), (nodemailer, "LOGIN"), (phpmailer, "PLAIN"), (phpmailer, "LOGIN"), (python, "PLAIN")],
    ids=lambda x: x if isinstance(x, str) else x.__name__)
def test_clients(submission, program, mechanism, how):
    code, said = program(submission, how, mechanism)
    if code and "not supported" in said:
        pytest.skip(f"this {program.__name__} has no {mechanism}")
    assert code == 0, said
    mails = submission.arrived()
    assert len(mails) == 1 and re.search(rb"with ESMTPSA\s+\(TLSv1\.[23]\s+[A-Z0-9_-]+\)\s+id\s", mails[0]), mails


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"])
def test_gsasl(submission, mechanism):
    """-PLUS by tls-exporter: the login is bound to this very connection. What has no -PLUS gsasl gives up where it could be."""
    unbound = [] if mechanism.endswith("-PLUS") else ["--no-cb"]
    code, said = run("gsasl", "--client", "--smtp", "--connect", f"localhost:{submission.starttls}", f"--x509-ca-file={submission.ca.roots}", *unbound, "-m", mechanism,
                     "-a", "alice@example.test", "-p", PASSWORD, "-z", "", input="QUIT\r\n")
    assert "235 2.7.0" in said, said
    wait_for(lambda: [one for one in logins(submission) if one.endswith(f"mechanism={mechanism}")], 60, "the log line")


@pytest.mark.parametrize("gs2, binding, mechanism, expected", [
    ("n,,", b"", "SCRAM-SHA-256", 235),  # a client that cannot bind
    ("y,,", b"", "SCRAM-SHA-256", 535),  # one that can, and was told that we cannot: not by us
    ("p=tls-exporter,,", b"x" * 32, "SCRAM-SHA-256-PLUS", 535),  # one whose connection ends at somebody in the middle
    ("p=tls-unique,,", b"x" * 12, "SCRAM-SHA-256-PLUS", 535),
    ("n,,", b"", "SCRAM-SHA-256-PLUS", 535),
], ids=["none", "downgrade", "middle", "unique", "unbound-plus"])
def test_binding(submission, gs2, binding, mechanism, expected):
    with submission.client("implicit") as s:
        code, words = scram(s.docmd, gs2, binding, mechanism)
        assert code in (expected, 501 if expected == 535 else 235), words
        assert s.docmd("MAIL FROM:<alice@example.test>")[0] == (250 if expected == 235 else 530)


@pytest.mark.parametrize("how", ["starttls", "implicit"])
def test_external(submission, how):
    """A certificate with the address of the account in it is the login."""
    pem = submission.ca.make("alice.client", san="email:alice@example.test")
    for said in ("EXTERNAL =", "EXTERNAL " + b64("alice@example.test")):
        with submission.client(how, pem) as s:
            assert "EXTERNAL" in s.esmtp_features["auth"]
            assert s.docmd("AUTH", said) == (235, b"2.7.0 logged in as <alice@example.test>")
            s.sendmail("alice@example.test", ["somebody@elsewhere.test", "bob@example.test"], TEXT)
    mail = " ".join(submission.arrived()[0].decode().split())
    assert "with ESMTPSA" in mail and "client CN=alice.client of CN=Test Authority verified yes" in mail, mail


@pytest.mark.parametrize("how", ["starttls", "implicit"])
def test_msmtp_by_certificate(submission, how):
    pem = submission.ca.make("alice.msmtp", san="email:alice@example.test")
    starttls, port = ("off", submission.implicit) if how == "implicit" else ("on", submission.starttls)
    code, said = run("msmtp", "--host=localhost", f"--port={port}", "--tls=on", f"--tls-starttls={starttls}", f"--tls-trust-file={submission.ca.roots}",
                     f"--tls-cert-file={pem}", f"--tls-key-file={pem}", "--auth=external", "--user=alice@example.test", "--from=alice@example.test",
                     "--", "bob@example.test", input=TEXT.replace("\r\n", "\n"))
    assert code == 0, said
    submission.arrived()
    assert "mechanism=EXTERNAL" in submission.log()


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"])
@pytest.mark.parametrize("how", ["starttls", "implicit"])
def test_msmtp_bound_to_its_connection(submission, mechanism, how):
    """Not every msmtp can: this one may be without, and then it is gsasl above that shows -PLUS."""
    code, said = msmtp(submission, how, mechanism)
    if code and ("not supported" in said or "unknown" in said or "invalid" in said or "channel binding" in said):
        pytest.skip(f"this msmtp has no {mechanism}")
    assert code == 0, said
    submission.arrived()


def test_external_of_others(submission):
    with submission.client("implicit") as s:  # no certificate
        assert "EXTERNAL" not in s.esmtp_features["auth"] and s.docmd("AUTH", "EXTERNAL =")[0] == 504
    with Authority() as other:  # whom nobody here trusts
        with submission.client("implicit", other.make("alice", san="email:alice@example.test")) as s:
            assert "EXTERNAL" not in s.esmtp_features["auth"] and s.docmd("AUTH", "EXTERNAL =")[0] == 504
    for name, san in (("nobody", "email:nobody@example.test"), ("bob", "email:bob@elsewhere.test")):
        with submission.client("implicit", submission.ca.make(name, san=san)) as s:
            assert s.docmd("AUTH", "EXTERNAL =")[0] == 535
            assert s.docmd("AUTH", "EXTERNAL " + b64("alice@example.test"))[0] == 535
            assert s.docmd("MAIL FROM:<alice@example.test>")[0] == 530


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into the memory of others")
@pytest.mark.parametrize("how", ["starttls", "implicit", "old"])
def test_the_password_is_nowhere_in_smtpd(submission, how):
    """Neither in what was read from the line nor in what OpenSSL deciphered."""
    secret = f"a password like no other 4711 {how}"
    submission.run("user", "add", f"{how}@example.test", "--password-stdin", input=secret)
    needles = [secret.encode()[3:], plain(how, secret)[16:-6].encode(), b64(secret)[4:-4].encode()]
    with submission.client(how) as s, submission.client(how) as other:
        # far behind in its record, where what is said next does not overwrite it by chance
        s.send("NOOP %s\r\nAUTH PLAIN %s\r\n" % ("x" * 1900, plain(how, secret)))
        assert s.getreply()[0] == 250 and s.getreply()[0] == 235
        assert other.docmd("AUTH", "LOGIN")[0] == 334 and other.docmd(b64(how))[0] == 334 and other.docmd(b64(secret))[0] == 235
        for name, pid in submission.workers().items():
            if name.startswith("smtpd"):
                held = memory_of(pid)
                assert len(held) > 100000 and [n for n in needles if n in held] == []


# ---- before STARTTLS ----

def test_nothing_before_starttls_where_it_is_required(submission):
    with submission.dialogue(submission.starttls) as d:
        code, lines = d.say("EHLO client.test")
        assert code == 250 and "STARTTLS" in lines and not [one for one in lines if one.startswith("AUTH")]
        for said in ("MAIL FROM:<alice@example.test>", "AUTH PLAIN " + plain("alice"), "AUTH SCRAM-SHA-256", "AUTH LOGIN"):
            assert d.say(said) == (530, ["5.7.0 Must issue a STARTTLS command first"]), said
        inside = b"NOOP\r\nHELO inside.test\r\nQUIT\r\n"
        d.raw(b"BDAT %d LAST\r\n%s" % (len(inside), inside))
        assert d.reply()[0] == 530
        assert d.say("NOOP")[1] == ["2.0.0 ok"]
        tls_on(d)
        assert "AUTH PLAIN LOGIN SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-1-PLUS SCRAM-SHA-256-PLUS" in d.say("EHLO client.test")[1]
        assert d.say("MAIL FROM:<alice@example.test>")[0] == 530  # auth = required
        assert d.say("AUTH PLAIN " + plain("alice"))[0] == 235
        assert d.say("MAIL FROM:<alice@example.test>")[0] == 250


def test_no_password_before_starttls_where_it_is_optional(submission):
    with submission.dialogue(submission.optional) as d:
        lines = d.say("EHLO client.test")[1]
        assert "STARTTLS" in lines and "AUTH SCRAM-SHA-1 SCRAM-SHA-256" in lines
        assert d.say("AUTH PLAIN " + plain("alice"))[1][0].startswith("5.7.11")
        assert d.say("AUTH LOGIN")[0] == 538
        tls_on(d)
        assert "AUTH PLAIN LOGIN SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-1-PLUS SCRAM-SHA-256-PLUS" in d.say("EHLO client.test")[1]
        assert d.say("AUTH PLAIN " + plain("alice"))[0] == 235


def test_a_login_before_starttls_is_forgotten(submission):
    with submission.dialogue(submission.optional) as d:
        d.say("EHLO client.test")
        assert scram(d.say)[0] == 235
        assert d.say("MAIL FROM:<alice@example.test>")[0] == 250
        assert d.say("RCPT TO:<somebody@elsewhere.test>")[0] == 250
        tls_on(d)
        assert d.say("RCPT TO:<somebody@elsewhere.test>")[0] == 503
        assert "AUTH PLAIN LOGIN SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-1-PLUS SCRAM-SHA-256-PLUS" in d.say("EHLO client.test")[1]
        assert d.say("MAIL FROM:<alice@example.test>")[0] == 250
        assert d.say("RCPT TO:<somebody@elsewhere.test>")[0] == 550
        assert d.say("RSET")[0] == 250
        assert d.say("AUTH PLAIN " + plain("alice"))[0] == 235
        assert d.say("MAIL FROM:<alice@example.test>")[0] == 250
        assert d.say("RCPT TO:<somebody@elsewhere.test>")[0] == 250


def test_a_password_in_the_packet_of_starttls_is_not_taken(submission):
    """What somebody in the middle puts behind STARTTLS is no login after it."""
    with socket.create_connection(("127.0.0.1", submission.starttls), timeout=60) as raw:
        raw.recv(200)
        raw.sendall(b"EHLO c.test\r\nSTARTTLS\r\nEHLO c.test\r\nAUTH PLAIN " + plain("alice").encode() + b"\r\n")
        said = b""
        while b"220 2.0.0" not in said:
            more = raw.recv(1000)
            assert more, said
            said += more
        with submission.context().wrap_socket(raw, server_hostname=NAME) as s:
            s.sendall(b"EHLO c.test\r\nMAIL FROM:<alice@example.test>\r\n")
            heard = b""
            while b"\r\n530 " not in heard:
                more = s.recv(1000)
                assert more and b"235" not in heard, heard
                heard += more


# ---- what is told of it ----

@pytest.mark.parametrize("how, more, word", [("implicit", [], "ESMTPSA"), ("starttls", ["SMTPUTF8"], "UTF8SMTPSA")])
def test_received_and_trace(submission, how, more, word):
    with submission.client(how) as s:
        s.login("alice@example.test", PASSWORD)
        assert s.mail("alice@example.test", more)[0] == 250 and s.rcpt("bob@example.test")[0] == 250
        code, words = s.data(TEXT)
        assert code == 250, words
        identity = re.search(rb"id ([0-9a-z]{15})", words).group(1).decode()
    accepted = submission.wait_event(identity, "accepted", 60)[0]
    assert (accepted["login"], accepted["tls"], accepted["with"]) == ("alice@example.test", "TLSv1.3 TLS_AES_128_GCM_SHA256", word)
    mail = submission.arrived()[0].decode()
    assert re.search(rf"with {word}\s+\(TLSv1\.3\s+TLS_AES_128_GCM_SHA256\)\s+id\s+{identity}", mail), mail


def test_behind_a_balancer_that_hands_tls_through(ca):
    """The PROXY header comes before the handshake, in the same packet; the login is that of the client it names."""
    balanced = free_port()
    with Submission(ca, config=Submission.listener("balanced", balanced, 'tls = implicit  auth = required  proxy = { "127.0.0.1" }')) as t:
        with socket.create_connection(("127.0.0.1", balanced), timeout=60) as raw:
            coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = t.context().wrap_bio(coming, going, server_hostname=NAME)

            def step(what, *arguments):
                while True:
                    try:
                        return what(*arguments)
                    except ssl.SSLWantReadError:
                        raw.sendall(going.read())
                        more = raw.recv(65536)
                        assert more
                        coming.write(more)

            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            raw.sendall(b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 465\r\n" + going.read())
            step(tls.do_handshake)
            assert step(tls.read, 1000).startswith(b"220 ")
            for said, expected in ((b"EHLO c.test", b"250-"), (b"AUTH PLAIN " + plain("alice").encode(), b"235 ")):
                tls.write(said + b"\r\n")
                assert step(tls.read, 1000).startswith(expected)
        line = wait_for(lambda: logins(t), 60, "the log line")[-1]
        assert "client=192.0.2.7" in line and "proxy=127.0.0.1" in line and "tls=" in line, line


# ---- a server that logs in ----

def test_postfix_relays_by_tls_with_a_login(ca):
    with Submission(ca, config="login-senders = any") as t:
        t.run("user", "add", "postfix@example.test", "--password-stdin", input="let-me-relay-4711")
        with Postfix(t.starttls, login="postfix@example.test:let-me-relay-4711", outgoing_tls="encrypt") as postfix:
            with smtplib.SMTP("127.0.0.1", postfix.port, timeout=60) as s:
                s.sendmail("alice@postfix.test", ["bob@example.test"], TEXT)
            mail = t.wait_mails("bob", 1, 60)[0]
        assert re.search(rb"with ESMTPSA\s+\(TLSv1\.3\s", mail), mail
        assert "login=postfix@example.test" in t.log()


# ---- what documents say ----

def test_the_old_server_on_port_2025(submission):
    """beginnings.md, item 2: what its EHLO told, and a login and a message as people typed them."""
    with submission.dialogue(submission.old) as d:
        code, lines = d.say("EHLO [91.198.212.5]")
        assert code == 250 and {"8BITMIME", "PIPELINING", "CHUNKING", "ENHANCEDSTATUSCODES", "DSN", "STARTTLS"} <= set(lines) and lines[-1] == "HELP", lines
        keywords = {one.split(" ")[0] for one in lines}
        assert {"SIZE", "X-RCPTLIMIT"} <= keywords
        for start in ("AUTH ", "AUTH="):
            assert [one for one in lines if one.startswith(start) and "LOGIN" in one.removeprefix(start).split()], lines
        assert d.say("AUTH LOGIN") == (334, ["VXNlcm5hbWU6"])
        assert d.say(b64("alice@example.test")) == (334, ["UGFzc3dvcmQ6"])
        assert d.say(b64(PASSWORD))[0] == 235
        assert d.say("mail from:<alice@example.test>")[0] == 250 and d.say("rcpt to:<bob@example.test>")[0] == 250
        assert d.say("data")[0] == 354
        code, lines = d.say("From: Somebody <alice@example.test>\r\nSubject: by hand\r\n\r\ntext\r\n.")
        assert code == 250 and lines[0].startswith("2.0.0 accepted")
        assert d.say("quit")[0] == 221 and d.ended()
    assert b"with ESMTPA " in submission.arrived()[0].replace(b"\n", b" ")


class Documented(Troika):
    """The server of docs/operating/submission.md, with ports, folders and a certificate of the test in it."""

    def __init__(self, ca):
        super().__init__(users=(), domain="example.org")
        self.ports = {"25": self.port, "587": free_port(), "465": free_port()}
        with open(ROOT + "/docs/operating/submission.md") as f:
            text = re.search(r"```\n(hostname = .*?)```", f.read(), re.S).group(1)
        live = "/etc/letsencrypt/live/mail.example.org"
        places = {f"{live}/fullchain.pem": ca.make("mail.example.org", san="DNS:mail.example.org,DNS:localhost"), "/var/lib/troika": self.state,
                  "/etc/troika/aliases": self.folder + "/aliases"} | {f'"*:{port}"': f'"127.0.0.1:{ours}"' for port, ours in self.ports.items()}
        places[f"{live}/privkey.pem"] = places[f"{live}/fullchain.pem"]
        for one, other in places.items():
            assert one in text, one
            text = text.replace(one, other)
        with open(self.folder + "/aliases", "w") as f:
            f.write("sales: bill\n")
        self.base = text + 'dns { forward = { "127.0.0.1@1" } }\n'
        self.configure("")


def test_the_page_about_submission(ca):
    with Documented(ca) as t:
        assert "is fine" in t.run("check")
        t.run("user", "add", "bill@example.org", "--password-stdin", input=PASSWORD)
        context = ssl.create_default_context(cafile=ca.roots)
        with smtplib.SMTP("localhost", t.ports["25"], "client.test", timeout=60) as s:
            s.starttls(context=context)
            s.ehlo()
            assert "auth" not in s.esmtp_features
            assert s.mail("x@elsewhere.test")[0] == 250 and s.rcpt("somebody@elsewhere.test")[0] == 550 and s.rcpt("sales@example.org")[0] == 250
        with smtplib.SMTP("localhost", t.ports["587"], "client.test", timeout=60) as s:
            s.starttls(context=context)
            s.login("bill@example.org", PASSWORD)
            s.sendmail("sales@example.org", ["bill@example.org"], "Subject: 587\r\n\r\nx\r\n")
            assert s.mail("boss@example.org")[0] == 550
        with smtplib.SMTP_SSL("localhost", t.ports["465"], "client.test", context=context, timeout=60) as s:
            s.login("bill@example.org", PASSWORD)
            s.sendmail("bill+x@example.org", ["bill@example.org"], "Subject: 465\r\n\r\nx\r\n")
        assert len(t.wait_mails("bill", 2, 60)) == 2
        assert "2 of 100" in t.run("queue", "limits", "bill@example.org")

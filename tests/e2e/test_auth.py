"""AUTH: programs that others wrote log in, wrong ones do not, and what is said about it is right."""
# SPDX-License-Identifier: ISC
import base64
import os
import signal
import smtplib
import sqlite3
import subprocess
import time

import pytest
from peers import Postfix
from troika import Dialogue, Troika, free_port, wait_for

PASSWORD = "correct horse 7"
TEXT = "Subject: logged in\r\nFrom: alice@example.test\r\nTo: bob@example.test\r\n\r\nhello\r\n"


class Submission(Troika):
    """Two listeners: the first without logins, and `submission` on .submit; nobody is in relay-for."""

    def __init__(self, listen="auth = optional plain-auth = yes cram-md5 = yes", config="", **more):
        self.submit = free_port()
        super().__init__(config=f'listen submission {{ address = {{ "127.0.0.1:{self.submit}" }} {listen} }}\n'
                         f'route "elsewhere.test" {{ via = "127.0.0.1:1" }}\n{config}',
                         users=("bob",), relay_for='"192.0.2.0/24"', **more)
        self.run("user", "add", "alice@example.test", "--password-stdin", "--cram-md5", input=PASSWORD)
        self.run("user", "add", "plain@example.test", "--password-stdin", input=PASSWORD)

    def dialogue(self):
        d = Dialogue(self.submit)
        assert d.reply()[0] == 220
        return d


@pytest.fixture(scope="module")
def running():
    with Submission() as t:
        yield t


@pytest.fixture
def submission(running):
    """The same server for all: nobody's failures are left over, no mail is."""
    before = len(running.mails("bob"))
    running.arrived = lambda: running.wait_mails("bob", before + 1, 60)[before:]
    yield running


def b64(text):
    return base64.b64encode(text.encode()).decode()


def plain(login, password=PASSWORD):
    return b64(f"\0{login}\0{password}")


def check_arrived(server):
    mails = server.arrived()
    assert len(mails) == 1 and b"with ESMTPA" in mails[0] and b"message-id:" in mails[0].lower()


# ---- programs that others wrote ----

@pytest.mark.parametrize("mechanism", ["plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256"])
def test_msmtp(submission, mechanism, tmp_path):
    command = ["msmtp", "--host=127.0.0.1", f"--port={submission.submit}", f"--auth={mechanism}", "--user=alice@example.test",
               f"--passwordeval=printf %s '{PASSWORD}'", "--tls=off", "--from=alice@example.test", "--", "bob@example.test"]
    result = subprocess.run(command, input=TEXT.replace("\r\n", "\n"), capture_output=True, text=True, timeout=60)
    if result.returncode and "not supported" in result.stderr + result.stdout:
        pytest.skip("this msmtp was built without GNU SASL")
    assert result.returncode == 0, result.stderr
    check_arrived(submission)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_swaks(submission, mechanism):
    result = subprocess.run(["swaks", "--server", f"127.0.0.1:{submission.submit}", "--from", "alice@example.test", "--to", "bob@example.test",
                             "--auth", mechanism, "--auth-user", "alice@example.test", "--auth-password", PASSWORD], capture_output=True, text=True, timeout=60)
    if "not supported" in result.stdout + result.stderr or "Perl modules" in result.stdout + result.stderr:
        pytest.skip("swaks lacks a Perl module for this")
    assert result.returncode == 0, result.stdout + result.stderr
    check_arrived(submission)


@pytest.mark.parametrize("options", [["AUTH=PLAIN"], ["AUTH=LOGIN"], ["AUTH=CRAM-MD5"], ["AUTH=PLAIN", "--sasl-ir"]], ids=lambda o: "-".join(o))
def test_curl(submission, options, tmp_path):
    (tmp_path / "m").write_bytes(TEXT.encode())
    result = subprocess.run(["curl", "-sS", "--url", f"smtp://127.0.0.1:{submission.submit}", "--user", f"alice@example.test:{PASSWORD}",
                             "--login-options", options[0], *options[1:], "--mail-from", "alice@example.test", "--mail-rcpt", "bob@example.test",
                             "--upload-file", str(tmp_path / "m")], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    check_arrived(submission)


@pytest.mark.parametrize("method", ["auth_plain", "auth_login", "auth_cram_md5", None])
def test_smtplib(submission, method):
    with smtplib.SMTP("127.0.0.1", submission.submit, timeout=60) as s:
        s.ehlo("client.test")
        if method:
            s.user, s.password = "alice", PASSWORD  # without a domain: there is only one
            code, words = s.auth(method.removeprefix("auth_").replace("_", "-").upper(), getattr(s, method))
            assert (code, words) == (235, b"2.7.0 logged in as <alice@example.test>")
        else:
            s.login("alice@example.test", PASSWORD)
        s.sendmail("alice@example.test", ["bob@example.test"], TEXT)
    check_arrived(submission)


def test_smtplib_of_an_account_without_a_secret(submission):
    """smtplib tries CRAM-MD5 first; the refusal (534) does not keep it from the next mechanism."""
    with smtplib.SMTP("127.0.0.1", submission.submit, timeout=60) as s:
        assert s.login("plain@example.test", PASSWORD)[0] == 235


@pytest.mark.parametrize("method", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_nodemailer(submission, method):
    script = """
      const t = require('nodemailer').createTransport({host: '127.0.0.1', port: %d, ignoreTLS: true, authMethod: '%s',
                                                       auth: {user: 'alice@example.test', pass: '%s'}});
      t.sendMail({from: 'alice@example.test', to: 'bob@example.test', subject: 's', text: 't'})
       .then(i => { console.log(i.response); }, e => { console.error(e); process.exit(1); });
    """ % (submission.submit, method, PASSWORD)
    result = subprocess.run(["/usr/bin/node", "-e", script], env={**os.environ, "NODE_PATH": "/usr/share/nodejs"}, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0 and "accepted, id" in result.stdout, result.stderr
    check_arrived(submission)


@pytest.mark.parametrize("method", ["", "PLAIN", "LOGIN", "CRAM-MD5"])
def test_phpmailer(submission, method):
    script = """
      foreach (['Exception', 'SMTP', 'PHPMailer'] as $c) require "/usr/share/php/libphp-phpmailer/src/$c.php";
      $m = new PHPMailer\\PHPMailer\\PHPMailer(true);
      $m->isSMTP(); $m->Host = '127.0.0.1'; $m->Port = %d; $m->SMTPAuth = true; $m->SMTPAutoTLS = false; $m->AuthType = '%s';
      $m->Username = 'alice@example.test'; $m->Password = '%s';
      $m->setFrom('alice@example.test'); $m->addAddress('bob@example.test'); $m->Subject = 's'; $m->Body = 't';
      $m->send(); echo 'sent';
    """ % (submission.submit, method, PASSWORD)
    result = subprocess.run(["php", "-r", script], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0 and "sent" in result.stdout, result.stdout + result.stderr
    check_arrived(submission)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"])
def test_gsasl(submission, mechanism):
    result = subprocess.run(["gsasl", "--client", "--smtp", "--connect", f"127.0.0.1:{submission.submit}", "--no-starttls", "-m", mechanism,
                             "-a", "alice@example.test", "-p", PASSWORD, "-z", ""], input="QUIT\r\n", capture_output=True, text=True, timeout=60)
    assert "235 2.7.0" in result.stdout, result.stdout + result.stderr


def test_net_smtp(submission):
    script = """
      use Net::SMTP; my $s = Net::SMTP->new('127.0.0.1', Port => $ARGV[0], Timeout => 60) or die;
      $s->auth('alice@example.test', $ARGV[1]) or die $s->message;
      $s->mail('alice@example.test') && $s->to('bob@example.test') && $s->data("Subject: s\\n\\nt\\n") or die $s->message; $s->quit;
    """
    if subprocess.run(["perl", "-MAuthen::SASL", "-e1"], capture_output=True).returncode:
        pytest.skip("Net::SMTP logs in by Authen::SASL, which is not here")
    subprocess.run(["perl", "-e", script, str(submission.submit), PASSWORD], check=True, timeout=60)
    check_arrived(submission)


def test_postfix_relays_with_a_login():
    """A Postfix that has an account here sends what its users give it, whoever they are."""
    with Submission(config="login-senders = any\n") as t:
        t.run("user", "add", "postfix@example.test", "--password-stdin", input="let-me-relay-4711")
        with Postfix(t.submit, login="postfix@example.test:let-me-relay-4711") as postfix:
            with smtplib.SMTP("127.0.0.1", postfix.port, timeout=60) as s:
                s.sendmail("alice@postfix.test", ["bob@example.test"], TEXT)
            mails = t.wait_mails("bob", 1, 60)
        assert len(mails) == 1 and b"with ESMTPA" in mails[0], mails
        assert "login=postfix@example.test" in t.log()


# ---- by hand ----

def test_the_dialogue_of_old_documents(submission):
    """beginnings.md, item 2: typed byte by byte, in the words of the servers of that time."""
    with submission.dialogue() as d:
        def typed(line):
            for byte in line.encode() + b"\r\n":
                d.raw(bytes([byte]))
            return d.reply()

        code, lines = typed("EHLO [91.198.212.5]")
        assert code == 250 and {"8BITMIME", "PIPELINING", "ENHANCEDSTATUSCODES", "DSN"} <= set(lines) and lines[-1] == "HELP"
        assert "AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256" in lines
        assert typed("AUTH LOGIN") == (334, ["VXNlcm5hbWU6"])
        assert typed(b64("alice@example.test")) == (334, ["UGFzc3dvcmQ6"])
        assert typed(b64(PASSWORD))[0] == 235
        assert typed("MAIL FROM:<alice@example.test>")[0] == 250
        assert typed("RCPT TO:<bob@example.test>")[0] == 250
        assert typed("RCPT TO:<somebody@elsewhere.test>")[0] == 250
        assert typed("DATA")[0] == 354
        for line in ("From: Somebody <alice@example.test>", "Subject: by hand", "", "text"):
            for byte in line.encode() + b"\r\n":
                d.raw(bytes([byte]))
        code, lines = typed(".")
        assert code == 250 and lines[0].startswith("2.0.0 accepted")
        assert typed("QUIT") == (221, ["2.0.0 mail.example.test closing connection"])
        assert d.ended()
    check_arrived(submission)


WRONG = [
    (["AUTH"], [(501, "5.5.4")]),
    (["AUTH NOSUCH"], [(504, "5.5.4")]),
    (["AUTH SCRAM-SHA-256-PLUS"], [(504, "5.5.4")]),
    (["AUTH EXTERNAL ="], [(504, "5.5.4")]),
    (["AUTH PLAIN " + plain("alice", "wrong")], [(535, "5.7.8")]),
    (["AUTH PLAIN " + plain("nobody")], [(535, "5.7.8")]),
    (["AUTH PLAIN " + plain("alice@elsewhere.test")], [(535, "5.7.8")]),
    (["AUTH PLAIN " + plain("bob")], [(535, "5.7.8")]),  # a mailbox without a password
    (["AUTH PLAIN !"], [(501, "5.5.2")]),
    (["AUTH PLAIN " + b64("no NUL in it")], [(501, "5.5.2")]),
    (["AUTH LOGIN", "*"], [(334, ""), (501, "5.7.0")]),
    (["AUTH LOGIN", b64("alice"), "*"], [(334, ""), (334, ""), (501, "5.7.0")]),
    (["AUTH LOGIN", "not base64"], [(334, ""), (501, "5.5.2")]),
    (["AUTH LOGIN", "A" * 13000], [(334, ""), (500, "5.5.6")]),
    (["AUTH CRAM-MD5", b64("plain@example.test 00112233445566778899aabbccddeeff")], [(334, ""), (534, "5.7.9")]),
    (["AUTH CRAM-MD5", b64("alice 00112233445566778899aabbccddeeff")], [(334, ""), (535, "5.7.8")]),
    (["AUTH SCRAM-SHA-256 " + b64("n,,n=alice,r=x"), b64("c=biws,r=y,p=AAAA")], [(334, ""), (None, "")]),
]


@pytest.mark.parametrize("said, answers", WRONG, ids=[w[0][0][:24].strip() + str(i) for i, w in enumerate(WRONG)])
def test_wrong(submission, said, answers):
    with submission.dialogue() as d:
        d.say("EHLO client.test")
        for line, (code, enhanced) in zip(said, answers):
            got, lines = d.say(line)
            assert (got == code if code else got in (501, 535)) and lines[0].startswith(enhanced), (line[:60], got, lines)
        assert d.say("MAIL FROM:<alice@example.test>")[0] == 250
        assert d.say("RCPT TO:<somebody@elsewhere.test>")[0] == 550  # not logged in: no relaying
        assert d.say("RSET")[0] == 250
        assert d.say("AUTH PLAIN " + plain("alice"))[0] == 235
        assert d.say("AUTH PLAIN " + plain("alice"))[0] == 503


def test_what_is_known_of_it(submission):
    """Login and address are in trace; a refused try is there with its reason, which the client is not told."""
    with submission.dialogue() as d:
        d.say("EHLO client.test")
        assert d.say("AUTH PLAIN " + plain("nobody@example.test"))[1] == d.say("AUTH PLAIN " + plain("alice", "wrong"))[1]
        assert d.say("AUTH PLAIN " + plain("alice"))[0] == 235
        assert d.say("MAIL FROM:<alice@example.test>")[0] == 250 and d.say("RCPT TO:<bob@example.test>")[0] == 250
        assert d.say("DATA")[0] == 354
        code, lines = d.say(TEXT + ".")
        name = lines[0].split()[-1]
    accepted = submission.wait_event(name, "accepted", 60)[0]
    assert accepted["login"] == "alice@example.test" and accepted["client"] == "127.0.0.1" and accepted["with"] == "ESMTPA"
    refused = [line for line in submission.log().splitlines() if "event=refused" in line and "mechanism=PLAIN" in line]
    assert any("tried=nobody@example.test" in line and 'why="no such login"' in line for line in refused), refused
    assert any("tried=alice@example.test" in line and 'why="wrong password"' in line for line in refused)
    assert "event=login " in submission.log() and PASSWORD not in submission.log() and plain("alice") not in submission.log()
    check_arrived(submission)


def test_the_password_is_nowhere_in_smtpd(submission):
    """What smtpd was told it has wiped, once the answer is out: neither the password nor its base64 is in its memory."""
    if os.geteuid() != 0:
        pytest.skip("only root may look")
    secret = "a password like no other 4711"
    submission.run("user", "add", "wiped@example.test", "--password-stdin", input=secret, check=False)
    needles = [secret.encode()[3:], plain("wiped", secret)[14:-6].encode(), b64(secret)[4:-4].encode()]
    with submission.dialogue() as d:
        d.say("EHLO client.test")
        for byte in f"AUTH PLAIN {plain('wiped', secret)}\r\n".encode():
            d.raw(bytes([byte]))
        assert d.reply()[0] == 235
        with submission.dialogue() as other:
            other.say("EHLO client.test")
            assert other.say("AUTH LOGIN")[0] == 334 and other.say(b64("wiped"))[0] == 334 and other.say(b64(secret))[0] == 235
        for name, pid in submission.workers().items():
            if name.startswith("smtpd"):
                memory = memory_of(pid)
                assert memory and [n for n in needles if n in memory] == []


def memory_of(pid):
    held = b""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            area, rights = line.split()[:2]
            start, end = (int(x, 16) for x in area.split("-"))
            if "w" not in rights or end - start > 1 << 28:
                continue
            try:
                mem.seek(start)
                held += mem.read(end - start)
            except OSError:
                pass
    return held


# ---- settings ----

def test_required_and_not_in_plain_text():
    with Submission(listen="auth = required old-auth-line = yes") as t, t.dialogue() as d:
        code, lines = d.say("EHLO client.test")
        assert "AUTH SCRAM-SHA-1 SCRAM-SHA-256" in lines and "AUTH=SCRAM-SHA-1 SCRAM-SHA-256" in lines
        assert d.say("MAIL FROM:<alice@example.test>") == (530, ["5.7.0 Authentication required"])
        assert d.say("AUTH PLAIN " + plain("alice"))[1][0].startswith("5.7.11")
        assert d.say("AUTH LOGIN")[0] == 538
        with Dialogue(t.port) as other:  # the listener beside it has no logins
            other.reply()
            assert not [line for line in other.say("EHLO client.test")[1] if line.startswith("AUTH")]
            assert other.say("AUTH SCRAM-SHA-256")[0] == 502
            assert other.say("MAIL FROM:<alice@example.test>")[0] == 250


def test_who_fails_too_often_waits_and_a_restart_does_not_help():
    with Submission(config="errors = 1000\n") as t:
        with t.dialogue() as d:
            d.say("EHLO client.test")
            for _ in range(9):
                code, lines = d.say("AUTH PLAIN " + plain("alice", "wrong"))
                if code == 454:
                    break
                assert code == 535
            assert code == 454 and lines[0].startswith("4.7.0 too many failed logins, try again in")
            assert d.say("AUTH PLAIN " + plain("plain"))[0] == 235  # others are not held up
        raise_pause(t)
        t.stop()
        t.start()
        with t.dialogue() as d:
            d.say("EHLO client.test")
            assert d.say("AUTH PLAIN " + plain("alice"))[0] == 454  # not even with the right one


def raise_pause(t):
    """The pause as it is after 30 failures: a quarter of an hour. Nobody waits for it here."""
    with sqlite3.connect(t.state + "/credentials/attempts.db", timeout=60) as db:
        assert db.execute("UPDATE attempt SET count = 30, last_s = ? WHERE key = 'aalice@example.test'", (int(time.time()),)).rowcount == 1


def test_a_logind_that_dies_costs_454_and_comes_back():
    with Submission(config="logind = 1\n") as t, t.dialogue() as d:
        d.say("EHLO client.test")
        assert d.say("AUTH LOGIN")[0] == 334
        os.kill(t.workers()["logind 1"], signal.SIGKILL)
        assert d.say(b64("alice"))[0] == 454
        wait_for(lambda: d.say("AUTH PLAIN " + plain("alice"))[0] == 235, 60, "a login after logind came back")


def test_accounts_change_while_it_runs(submission):
    with submission.dialogue() as d:
        d.say("EHLO client.test")
        assert d.say("AUTH PLAIN " + plain("later"))[0] == 535
        submission.run("user", "add", "later@example.test", "--password-stdin", input=PASSWORD)
        assert d.say("AUTH PLAIN " + plain("later", "wrong"))[0] == 535
        submission.run("user", "disable", "later@example.test")
        assert d.say("AUTH PLAIN " + plain("later"))[0] == 535
        submission.run("user", "enable", "later@example.test")
        assert d.say("AUTH PLAIN " + plain("later"))[0] == 235


def test_a_login_without_domain_needs_one_domain_only():
    config = 'domain "second.test" { accounts = yes }\n'
    with Submission(config=config) as t, t.dialogue() as d:
        d.say("EHLO client.test")
        assert d.say("AUTH PLAIN " + plain("alice"))[0] == 535
        assert d.say("AUTH PLAIN " + plain("alice@example.test"))[0] == 235
    with Submission(config=config + 'login-domain = "example.test"\n') as t, t.dialogue() as d:
        d.say("EHLO client.test")
        assert d.say("AUTH PLAIN " + plain("alice"))[0] == 235

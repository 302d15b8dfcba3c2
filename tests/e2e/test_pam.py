"""Users of this machine log in by PAM: a real stack (pam_unix), and modules that hang, crash or say no."""
# SPDX-License-Identifier: ISC
import base64
import os
import re
import signal
import smtplib
import subprocess
import time

import pytest
from machine import Machine
from troika import Dialogue, free_port, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
RIGHT = "correct horse 7"
UNIX = "auth required pam_unix.so nullok\naccount required pam_unix.so\n"


def hashed(password):
    return subprocess.run(["openssl", "passwd", "-6", password], capture_output=True, text=True, check=True).stdout.strip()


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def today():
    return int(time.time() // 86400)


class Users(Machine):
    """alice and bob have a password; listeners: .port without logins, .submit with them."""

    def __init__(self, config="", service=UNIX, listen="auth = optional plain-auth = yes", shadow=None, **more):
        self.submit = free_port()
        kept = f"{hashed(RIGHT)}:{today() - 10}:0:99999:7:::"
        super().__init__(config=f'listen submission {{ address = {{ "127.0.0.1:{self.submit}" }} {listen} }}\n'
                         f'pam-service = "troika"\n{config}', service=service,
                         shadow={"root": kept, "alice": kept, "bob": kept, "robot": kept} | (shadow or {}), **more)

    def smtp_in(self):
        return smtplib.SMTP("127.0.0.1", self.submit, local_hostname="client.test", timeout=60)

    def plain(self, login, password=RIGHT):
        """The answer to AUTH PLAIN, and how long it took."""
        with Dialogue(self.submit) as d:
            d.reply()
            d.say("EHLO client.test")
            begun = time.monotonic()
            code, words = d.say("AUTH PLAIN " + base64.b64encode(f"\0{login}\0{password}".encode()).decode())
            return code, words[0], time.monotonic() - begun

    def refusals(self):
        return re.findall(r"event=refused .*mechanism=(\S+) tried=(\S+) why=(\"[^\"]*\"|\S+)", self.log())

    def pam_pid(self):
        return self.workers().get("pam 1")

    def checks(self):
        """Pids of the checks that run."""
        pid = self.pam_pid()
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(p) for p in f.read().split()]


@pytest.fixture(scope="module")
def server():
    with Users() as t:
        yield t


def test_smtplib(server):
    for method in ("PLAIN", "LOGIN"):
        with server.smtp_in() as s:
            s.ehlo()
            s.user, s.password = "alice", RIGHT  # without a domain: there is only one
            assert s.auth(method, getattr(s, "auth_" + method.lower())) == (235, b"2.7.0 logged in as <alice@example.test>")
            s.sendmail("alice@example.test", ["bob@example.test"], f"Subject: by {method}\r\nFrom: alice@example.test\r\n\r\nx\r\n")
    mails = server.wait_mails("bob", 2, 60)
    assert all(b"with ESMTPA" in m for m in mails)
    assert "login=alice@example.test mechanism=PLAIN" in server.log() and RIGHT not in server.log()


def test_swaks(server):
    before = len(server.mails("bob"))
    command = ["swaks", "--server", f"127.0.0.1:{server.submit}", "--from", "alice@example.test", "--to", "bob@example.test", "--auth", "LOGIN",
               "--auth-user", "alice@example.test", "--auth-password"]
    result = subprocess.run(command + [RIGHT], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr
    server.wait_mails("bob", before + 1, 60)
    assert subprocess.run(command + ["wrong"], capture_output=True, text=True, timeout=60).returncode == 28  # swaks: authentication failed


def test_only_what_works_is_offered(server):
    with Dialogue(server.submit) as d:
        d.reply()
        assert "AUTH PLAIN LOGIN" in d.say("EHLO client.test")[1]
        assert d.say("AUTH SCRAM-SHA-256 biws")[0] == 504
        assert d.say("AUTH CRAM-MD5")[0] == 504


def test_they_send_as_themselves(server):
    with server.smtp_in() as s:
        s.login("alice@example.test", RIGHT)
        assert s.mail("alice+tag@example.test")[0] == 250
        s.rset()
        assert s.mail("bob@example.test")[0] == 550


def test_wrong_and_unknown_are_told_the_same(server):
    """Nor is time a difference: whole seconds, whoever it is."""
    answers = {login: server.plain(login, "wrong") for login in ("alice@example.test", "nobodyhere@example.test", "alice@elsewhere.test")}
    answers |= {login: server.plain(login) for login in ("root@example.test", "robot@example.test", "nobody@example.test")}
    assert {(code, words) for code, words, seconds in answers.values()} == {(535, "5.7.8 login or password wrong")}
    assert all(seconds >= 1 for code, words, seconds in answers.values())
    assert ("PLAIN", "alice@example.test", '"wrong password"') in server.refusals()
    assert server.plain("alice", "")[0] == 535


def test_guessing_is_put_off():
    with Users() as t:
        for _ in range(6):
            assert t.plain("bob", "guess")[0] == 535
        code, words, _ = t.plain("bob")
        assert code == 454 and "too many failed logins" in words
        assert t.plain("alice")[0] == 235


def test_locked_and_expired():
    shadow = {"alice": f"!{hashed(RIGHT)}:{today() - 10}:0:99999:7:::",  # passwd -l
              "bob": f"{hashed(RIGHT)}:{today() - 10}:0:99999:7::{today() - 5}:"}  # chage -E
    with Users(shadow=shadow) as t:
        assert t.plain("alice")[:2] == t.plain("bob")[:2] == (535, "5.7.8 login or password wrong")
        assert dict((login, why) for _, login, why in t.refusals()) == {"alice@example.test": '"wrong password"',
                                                                       "bob@example.test": '"PAM does not let the account log in"'}
    with Users(shadow={"alice": f"{hashed(RIGHT)}:0:0:99999:7:::"}) as t:  # chage -d 0
        assert t.plain("alice")[0] == 535
        assert t.refusals() == [("PLAIN", "alice@example.test", '"the password has expired"')]


def test_an_account_of_that_name_comes_first():
    with Users() as t:
        t.run("user", "add", "alice@example.test", "--password-stdin", input="another secret 8")
        assert t.plain("alice")[0] == 535
        assert t.plain("alice", "another secret 8")[0] == 235
        assert t.plain("bob")[0] == 235


SCRIPT = """auth required pam_exec.so quiet expose_authtok /bin/sh {script}
account required pam_permit.so
"""


@pytest.fixture
def scripted():
    """A server whose module of PAM does what the password says."""
    t = Users(config="pam-timeout = 1s\n")
    with open(t.folder + "/script", "w") as f:
        f.write('read -r password\ncase $password in\nright) ;;\nhang) sleep 3600 & echo $! >$(dirname $0)/hung; wait ;;\ncrash) kill -SEGV $PPID; sleep 3600 ;;\n*) exit 1 ;;\nesac\n')
    t.set_service(SCRIPT.format(script=t.folder + "/script"))
    with t:
        yield t


def test_a_module_that_hangs_is_killed(scripted):
    t = scripted
    with Dialogue(t.submit) as d:
        d.reply()
        d.say("EHLO client.test")
        d.raw(b"AUTH PLAIN " + base64.b64encode(b"\0alice\0hang") + b"\r\n")
        wait_for(t.checks, 20, "the check")
        code, _, seconds = t.plain("bob", "right")  # nobody else is held up
        assert code == 235
        code, words = d.reply()
        assert code == 454 and "cannot check logins now" in words[0]
    wait_for(lambda: not t.checks(), 20, "the end of the check")
    assert 'why="PAM took longer than pam-timeout and was killed"' in t.log()
    with open(t.folder + "/hung") as f:
        wait_for(lambda pid=int(f.read()): not lives(pid), 20, "the end of what it had started")
    assert t.plain("alice", "right")[0] == 235  # it was no failure of alice's


def test_a_module_that_crashes(scripted):
    assert scripted.plain("alice", "crash")[0] == 454
    assert "died of SIGSEGV" in scripted.log()
    assert scripted.plain("alice", "right")[0] == 235
    assert scripted.plain("alice", "wrong")[0] == 535


def test_many_at_once(scripted):
    """Eight hang, and more wait behind them: none of it holds up who has nothing to do with PAM."""
    t = scripted
    t.run("user", "add", "carl@example.test", "--password-stdin", input="my own secret 9")
    open_ones = [Dialogue(t.submit) for _ in range(20)]
    for d in open_ones:
        d.reply()
        d.say("EHLO client.test")
        d.raw(b"AUTH PLAIN " + base64.b64encode(b"\0alice\0hang") + b"\r\n")
    wait_for(lambda: len(t.checks()) == 8, 20, "eight checks")
    assert t.plain("carl", "my own secret 9")[0] == 235
    assert {d.reply()[0] for d in open_ones} == {454}
    for d in open_ones:
        d.close()


def test_the_process_that_asks_pam_dies(scripted):
    t = scripted
    pid = t.pam_pid()
    with Dialogue(t.submit) as d:
        d.reply()
        d.say("EHLO client.test")
        d.raw(b"AUTH PLAIN " + base64.b64encode(b"\0alice\0hang") + b"\r\n")
        (check,) = wait_for(t.checks, 20, "the check")
        os.kill(pid, signal.SIGKILL)
        assert d.reply()[0] == 454
    wait_for(lambda: not lives(check), 20, "the end of the check")
    wait_for(lambda: t.pam_pid() not in (None, pid), 20, "another one")
    assert wait_for(lambda: t.plain("alice", "right")[0] == 235, 20, "a login")


def test_a_service_that_is_not_there():
    with Users(config="") as t:
        t.set_service("auth required pam_no_such_module.so\naccount required pam_permit.so\n")
        assert t.plain("alice")[0] == 454
        assert "the service of PAM names what is not there" in t.log()


def test_mechanisms_that_cannot_work():
    """Where they are offered nevertheless the answer does not tell a user from nobody."""
    with Users(listen="auth = optional plain-auth = yes scram = yes cram-md5 = yes") as t:
        for login in ("alice", "nobodyhere"):
            with Dialogue(t.submit) as d:
                d.reply()
                assert "AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256" in d.say("EHLO client.test")[1]
                assert d.say("AUTH CRAM-MD5")[0] == 334
                answer = d.say(base64.b64encode(f"{login} 00112233445566778899aabbccddeeff".encode()).decode())
                assert answer == (534, ["5.7.9 that mechanism is too weak for this account"])
                result = subprocess.run(["gsasl", "--client", "--smtp", "--connect", f"127.0.0.1:{t.submit}", "--no-starttls", "-m", "SCRAM-SHA-256",
                                         "-a", f"{login}@example.test", "-p", RIGHT, "-z", ""], input="QUIT\r\n", capture_output=True, text=True, timeout=60)
                assert "535 5.7.8 login or password wrong" in result.stdout, result.stdout + result.stderr


def test_without_the_statement_nobody_logs_in_by_pam():
    with Users() as t:
        with open(t.config_file) as f:
            text = f.read()
        with open(t.config_file, "w") as f:
            f.write(text.replace('pam-service = "troika"\n', ""))
        t.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "event=reloaded" in t.log(), 20, "the reload")
        wait_for(lambda: not t.pam_pid(), 20, "the end of role pam")
        assert t.plain("alice")[0] == 535


def test_what_it_may(server):
    """It is root with a few capabilities; nothing else of the server is root but the parent."""
    unjailed = "unjailed-build" in server.log()
    with open(f"/proc/{server.pam_pid()}/status") as f:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    assert status["Uid"].split()[0] == "0"
    if not unjailed:
        allowed = sum(1 << n for n in (0, 1, 2, 3, 5, 6, 7, 29))  # chown dac_override dac_read_search fowner kill setgid setuid audit_write
        assert int(status["CapEff"], 16) & ~allowed == 0 and int(status["CapBnd"], 16) & ~allowed == 0
        assert status["NoNewPrivs"] == "1"
    for name, pid in server.workers().items():
        if name not in ("parent", "pam 1"):
            assert os.stat(f"/proc/{pid}").st_uid != 0 or unjailed, name

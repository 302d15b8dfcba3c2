"""sendmail and mailq by name: what programs on the machine call, with the server up and down."""
# SPDX-License-Identifier: ISC
import email
import os
import pwd
import re
import signal
import stat
import subprocess
import time

import pytest
import troika
from sinks import Sink
from troika import Troika, system_users, wait_for

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
OWN = pwd.getpwnam(troika.PLAIN_USER).pw_name if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


class Names:
    """The command by its other names, as an installation has them."""

    def __init__(self, t):
        self.t = t
        for name in ("sendmail", "mailq"):
            link = f"{t.folder}/{name}"
            if not os.path.lexists(link):
                os.symlink(t.programs + "/troika", link)

    def path(self, name="sendmail"):
        return f"{self.t.folder}/{name}"

    def environment(self):
        return {**os.environ, "TROIKA_CONF": self.t.config_file, "LC_ALL": "C.UTF-8"}

    def run(self, *arguments, name="sendmail", input=b"", user=None, timeout=60):
        """As the server's user, or as the given uid."""
        command = [self.path(name), *arguments]
        if os.geteuid() == 0 and user is None and not self.t.as_root:
            user = pwd.getpwnam(troika.PLAIN_USER).pw_uid
        if user is not None:
            command = ["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups"] + command
        if isinstance(input, str):
            input = input.encode()
        return subprocess.run(command, input=input, capture_output=True, env=self.environment(), timeout=timeout)

    def ok(self, *arguments, **more):
        result = self.run(*arguments, **more)
        assert result.returncode == 0, (arguments, result)
        return result

    def left(self):
        folder = self.t.state + "/drop"
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


@pytest.fixture
def names(server):
    return Names(server)


def text_of(message):
    return email.message_from_bytes(message)


def test_a_pipe_as_cron_makes_it(server, names):
    names.ok("-FCronDaemon", "-i", "-B8BITMIME", "-oem", "bob@example.test",
             input="From: root (Cron Daemon)\nTo: bob\nSubject: Cron <bob@host> date\n\nline\n.\nmore \u00f6\n")
    message = server.wait_mails("bob")[0]
    assert message.endswith("\r\nline\r\n.\r\nmore \u00f6\r\n".encode()) or message.endswith("\nline\n.\nmore \u00f6\n".encode())
    m = text_of(message)
    assert m["From"] == "root (Cron Daemon)" and m["Date"] and m["Message-ID"]
    assert f"(uid {os.stat(server.state).st_uid}, {OWN})" in m["Received"].replace("\r\n", "").replace("\t", " ")
    assert "with local" in m["Received"].replace("\n", " ").replace("\t", " ")


def test_recipients_from_the_header(server, names):
    server.run("user", "add", "carol@example.test")
    names.ok("-oi", "-t", "alice@example.test",
             input='To: "Bob, B." <bob@example.test>\nBcc: Carol <carol@example.test>\nSubject: x\n\nhello\n')
    for user in ("bob", "alice", "carol"):
        assert server.wait_mails(user)[0].count(b"hello") == 1
    assert b"carol" not in server.mails("bob")[0].lower()
    # one does not exist: the others get it, and the caller is told
    result = names.run("-t", input="To: bob\nBcc: dora\nSubject: x\n\nagain\n")
    assert result.returncode == 67 and b"dora@example.test" in result.stderr
    assert len(server.wait_mails("bob", 2)) == 2


def test_a_lone_dot_ends_the_message_without_i(server, names):
    names.ok("bob", input="Subject: dots\n\none\n..\n.\ntwo\n")
    body = server.wait_mails("bob")[0].replace(b"\r\n", b"\n")
    assert body.endswith(b"\n\none\n..\n")
    names.ok("-oi", "bob", input="Subject: dots\r\n\r\none\r\n.\r\ntwo\r\n")
    assert any(m.replace(b"\r\n", b"\n").endswith(b"\n\none\n.\ntwo\n") for m in server.wait_mails("bob", 2))


def test_what_is_missing_is_added(server, names):
    names.ok("-F", "Jörg, \"J\"", "-f", "alice@example.test", "bob", input="only a text\n")
    m = text_of(server.wait_mails("bob")[0])
    assert "alice@example.test" in m["From"] and "=?UTF-8?Q?" in m["From"]
    assert re.fullmatch(r"<[0-9a-z]{26}@mail\.example\.test>", m["Message-ID"]) and m["Date"]
    assert m.get_payload() == "only a text\n" or m.get_payload() == "only a text\r\n"


@pytest.mark.parametrize("options", [["-Z"], ["-f"], ["-bz"], ["-B9BIT"], ["-hx"], ["-Nsometimes"], ["-Rhalf"],
                                     ["-fa@b.test", "-rb@b.test"], ["-bt"], ["-bd"], ["-q30m"]])
def test_wrong_options(server, names, options):
    result = names.run(*options, input="x\n")
    assert result.returncode == 64 and result.stderr.startswith(b"sendmail: "), result
    if options[0] in ("-bd", "-q30m"):
        assert b"troika serve" in result.stderr


def test_all_options_of_sendmail_are_taken(server, names):
    options = ["-Ac", "-B7BIT", "-bm", "-c", "-D/dev/null", "-d0", "-ep", "-FName", "-falice@example.test", "-G", "-h3", "-i",
               "-Llabel", "-M{x}y", "-m", "-n", "-Nsuccess,failure", "-ODeliveryMode=i", "-OIgnoreDots=True", "-oi", "-odi", "-odb", "-odq", "-oem",
               "-o7", "-oA/etc/aliases", "-pESMTP:host", "-Rhdrs", "-s", "-T", "-U", "-v", "-Venvid", "-X/dev/null"]
    assert b"250 2.0.0 accepted" in names.ok(*options, "bob", input="Subject: x\n\nhello\n").stdout
    assert server.wait_mails("bob")


def test_no_recipient(server, names):
    assert names.run(input="x\n").returncode == 64
    assert names.run("-t", input="Subject: to nobody\n\nx\n").returncode == 64
    assert names.run("not an address", input="x\n").returncode == 64


def test_refused_recipients(server, names):
    result = names.run("nobody-here", input="x\n")
    assert result.returncode == 67 and b"550 5.1.1" in result.stderr
    result = names.run("-eq", "nobody-here", input="x\n")
    assert result.returncode == 67 and not result.stderr
    # mailed back to who sent it
    result = names.run("-oem", "-f", "alice@example.test", "nobody-here", "bob", input="Subject: lost\n\nx\n")
    assert result.returncode == 67 and not result.stderr
    report = text_of(server.wait_mails("alice")[0])
    assert report.get_content_type() == "multipart/report" and report["Message-ID"].startswith("<")
    assert b"nobody-here@example.test" in server.mails("alice")[0] and b"\x1a" not in server.mails("alice")[0]
    assert server.wait_mails("bob")
    assert names.run("-oee", "-f", "alice@example.test", "nobody-here", input="x\n").returncode == 0
    server.wait_mails("alice", 2)


def test_relay_and_size(names, server):
    with Sink() as far:
        server.configure(f'route "far.test" {{ via = "127.0.0.1:{far.port}" }}\nmessage-size = "64K"\n')
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "event=reloaded" in server.log(), what="the reload")
        names.ok("-f", "<>", "x@far.test", input="Subject: far\n\nhello\n")
        wait_for(lambda: far.messages, what="the relayed message")
        result = names.run("bob", input="x" * 70 * 1024)
        assert result.returncode == 69 and b"65536" in result.stderr


def test_smtp_on_standard_input(server, names):
    say = "EHLO me.test\r\nMAIL FROM:<alice@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nSubject: bs\r\n\r\n..dot\r\n.\r\nQUIT\r\n"
    out = names.ok("-bs", input=say).stdout.decode()
    assert out.startswith("220 ") and "250 2.0.0 accepted" in out and out.rstrip().splitlines()[-1].startswith("221 ")
    assert server.wait_mails("bob")[0].replace(b"\r\n", b"\n").endswith(b"\n.dot\n")
    # a caller that says no QUIT gets every answer too
    out = names.ok("-bs", input=say.replace("QUIT\r\n", "")).stdout.decode()
    assert "250 2.0.0 accepted" in out
    server.wait_mails("bob", 2)
    with subprocess.Popen([names.path(), "-bs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=names.environment()) as p:
        assert p.stdout.readline().startswith(b"220")  # hand in hand, as a program speaks it
        p.stdin.write(b"NOOP\r\n")
        p.stdin.flush()
        assert p.stdout.readline().startswith(b"250")
        p.stdin.write(b"QUIT\r\n")
        p.stdin.flush()
        assert p.stdout.readline().startswith(b"221") and p.wait(20) == 0


def test_many_recipients(server, names):
    """More than one transaction takes; all refused ones are named, nobody is cut off for too many errors."""
    result = names.run("-t", input="To: " + ",\n ".join(f"no{i}@example.test" for i in range(1200)) + ", bob@example.test\n\nx\n", timeout=120)
    assert result.returncode == 67 and result.stderr.count(b"550 5.1.1") == 1200
    assert server.wait_mails("bob")


def test_verify_and_others(server, names):
    assert b"local" in names.ok("-bv", "bob@example.test").stdout
    assert names.run("-bi").returncode == 0
    assert names.run("-bh").returncode == 0
    assert names.run("-bC").returncode == 0
    names.ok("-q")


def test_mailq(names, server):
    assert b"Mail queue is empty" in names.ok(name="mailq").stdout
    server.configure("hold = yes\n")
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "event=reloaded" in server.log(), what="the reload")
    names.ok("-f", "alice@example.test", "bob", "alice", input="Subject: held\n\nx\n")
    for shown in (names.ok(name="mailq").stdout.decode(), names.ok("-bp").stdout.decode()):
        assert "<alice@example.test>" in shown and "<bob@example.test>" in shown and "in 1 Request." in shown
    assert b"Total requests: 1" in names.ok("-bP").stdout
    assert names.run("-x", name="mailq").returncode == 64


# ---- the server is down ----

def test_down_it_is_left_and_taken_up_at_start(server, names):
    server.stop()
    result = names.ok("-v", "-oi", "-f", "alice@example.test", "bob", "alice", input="Subject: later\n\none\n.\ntwo \u00f6\n")
    assert b"queued for later" in result.stderr
    assert names.ok("-odi", "bob", input="x\n").stderr == b""
    left = names.left()
    assert len(left) == 2 and all(re.fullmatch(r"drop-[0-9a-z]{26}", name) for name in left), left
    assert stat.S_IMODE(os.stat(server.state + "/drop").st_mode) == 0o1733
    for name in left:
        assert stat.S_IMODE(os.stat(f"{server.state}/drop/{name}").st_mode) == 0o600
    assert b"2 messages wait in" in names.ok(name="mailq").stdout
    result = names.run("-bs", input="QUIT\r\n")
    assert result.returncode == 75 and result.stdout.startswith(b"421 ")
    server.start()
    server.wait_mails("bob", 2)
    server.wait_mails("alice", 1)
    wait_for(lambda: not names.left(), what="an empty folder")
    message = next(m for m in server.mails("bob") if b"later" in m)
    assert message.replace(b"\r\n", b"\n").endswith("\n\none\n.\ntwo \u00f6\n".encode())
    assert server.log().count("event=drop-taken") == 2


def test_down_refused_recipients_are_mailed_back(server, names):
    server.stop()
    names.ok("-f", "alice@example.test", "bob", "nobody-here", input="Subject: half\n\nx\n")
    server.start()
    server.wait_mails("bob")
    report = server.wait_mails("alice")[0]
    assert text_of(report).get_content_type() == "multipart/report" and b"nobody-here@example.test" in report
    wait_for(lambda: not names.left(), what="an empty folder")


def test_files_that_are_none_are_kept_aside(server, names):
    server.stop()
    names.ok("-f", "alice@example.test", "bob", input="Subject: whole\n\nx\n")
    whole = names.left()[0]
    folder = server.state + "/drop"
    content = open(f"{folder}/{whole}", "rb").read()
    letters = "abcdefghjkmnpqrstvwxyz0123"

    def name(first):
        return f"{folder}/drop-{first}{letters[1:]}"

    owner = os.stat(folder)
    for first, data in (("0", content[:-1]), ("1", b""), ("2", content.replace(b"Subject: whole", b"Subject: wrong")),
                        ("3", b"\0" * 5000), ("4", content.replace(b"bob@", b"bib@"))):
        with open(name(first), "wb") as f:
            f.write(data)
        os.chown(name(first), owner.st_uid, owner.st_gid)
    os.symlink("/etc/passwd", name("5"))
    os.mkfifo(name("6"), 0o666)
    os.link(f"{folder}/{whole}", server.folder + "/second-name")
    with open(f"{folder}/part-{letters}", "wb") as f:
        f.write(b"being written")
    os.chmod(f"{folder}/part-{letters}", 0o600)
    server.start()
    wait_for(lambda: server.log().count("event=drop-put-aside") == 8, what="eight files put aside")
    assert len(os.listdir(server.state + "/aside")) == 8
    assert names.left() == [f"part-{letters}"]
    assert not server.mails("bob")
    os.utime(f"{folder}/part-{letters}", (time.time() - 2 * 86400,) * 2)
    wait_for(lambda: not names.left(), what="the end of an old part")
    names.ok("bob", input="x\n")
    server.wait_mails("bob")


def test_smtpd_dies_while_it_has_a_file(server, names):
    server.stop()
    for _ in range(5):
        names.ok("bob", input="x\n")
    server.start()
    for name, pid in server.workers().items():
        if "smtpd" in name:
            os.kill(pid, signal.SIGKILL)
    server.wait_mails("bob", 5, seconds=60)
    wait_for(lambda: not names.left(), seconds=60, what="an empty folder")


def test_the_queue_cannot_take_it(server, names):
    """A server that is up but takes nothing now: the command leaves a file, which is tried again."""
    queue = next(pid for name, pid in server.workers().items() if name.startswith("queue"))
    names.ok("bob", input="first\n")
    server.wait_mails("bob")
    os.kill(queue, signal.SIGSTOP)
    p = subprocess.Popen([names.path(), "-v", "bob"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env=names.environment())
    p.stdin.write(b"second\n")
    p.stdin.close()
    wait_for(lambda: b"354" in p.stdout.readline() or p.poll() is not None, what="the middle of the dialogue")
    os.kill(queue, signal.SIGKILL)
    assert p.wait(60) == 0
    server.wait_mails("bob", 2, seconds=60)


def test_nowhere_to_leave_it(server, names):
    server.stop()
    os.rename(server.state + "/drop", server.state + "/drop.away")
    result = names.run("bob", input="x\n")
    assert result.returncode == 75 and b"cannot be left" in result.stderr
    os.rename(server.state + "/drop.away", server.state + "/drop")
    server.configure('free-floor = "1T"\n')
    result = names.run("bob", input="x\n")
    assert result.returncode == 75 and b"space" in result.stderr and not names.left()
    server.configure("")
    server.start()


def test_no_configuration(server, names):
    result = names.run("-C", "/nonexistent", "bob", input="x\n")
    assert result.returncode == 78 and result.stderr


# ---- who may say who they are ----

def warning(message):
    return " ".join((text_of(message)["X-Authentication-Warning"] or "").split())


@pytest.fixture
def rooted():
    """A server of root with its own users, and two users of the machine without rights."""
    with system_users("smone", "smtwo"), Troika(as_root=True, config='trusted-users = { "smtwo" }\n', users=("alice", "bob", "smone")) as t:
        yield t


@ROOT_ONLY
def test_users_of_the_machine(rooted):
    names = Names(rooted)
    one, two = pwd.getpwnam("smone").pw_uid, pwd.getpwnam("smtwo").pw_uid
    # their own address: no warning
    names.ok("bob", input="Subject: own\n\nx\n", user=one)
    m = rooted.wait_mails("bob")[0]
    assert text_of(m)["From"].endswith("<smone@example.test>") and not warning(m)
    assert f"(uid {one}, smone)" in " ".join(text_of(m)["Received"].split())
    # somebody else's
    names.ok("-f", "alice@example.test", "bob", input="Subject: forged\n\nx\n", user=one)
    m = next(m for m in rooted.wait_mails("bob", 2) if b"forged" in m)
    assert warning(m) == f"mail.example.test: uid {one}, smone set the sender to <alice@example.test>"
    assert b"Return-Path: <alice@example.test>" in m or b"alice@example.test" in m
    # the same through -bs: what counts is the kernel's word
    names.ok("-bs", user=one, input="EHLO x\r\nMAIL FROM:<root@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nSubject: bs\r\n\r\n.\r\nQUIT\r\n")
    m = next(m for m in rooted.wait_mails("bob", 3) if b"Subject: bs" in m)
    assert f"uid {one}, smone" in warning(m)
    # trusted: by statement, and root
    names.ok("-f", "alice@example.test", "bob", input="Subject: trusted\n\nx\n", user=two)
    names.ok("-f", "alice@example.test", "bob", input="Subject: trusted\n\nx\n")
    for m in rooted.wait_mails("bob", 5):
        assert bool(warning(m)) == (b"forged" in m or b"Subject: bs" in m)
    # a user without a name
    names.ok("bob", input="Subject: nameless\n\nx\n", user=54321)
    m = next(m for m in rooted.wait_mails("bob", 6) if b"nameless" in m)
    assert "uid 54321" in warning(m)
    # the queue is not theirs to see
    result = names.run(name="mailq", user=one)
    assert result.returncode == 77 and b"group troika" in result.stderr
    # with the server down the owner of the file is who it was
    rooted.stop()
    names.ok("-f", "alice@example.test", "bob", input="Subject: dropped\n\nx\n", user=one)
    names.ok("bob", input="Subject: dropped own\n\nx\n", user=one)
    files = [rooted.state + "/drop/" + name for name in names.left()]
    assert [os.stat(f).st_uid for f in files] == [one, one] and all(stat.S_IMODE(os.stat(f).st_mode) == 0o600 for f in files)
    as_two = ["setpriv", "--reuid", str(two), "--regid", str(two), "--clear-groups"]
    assert subprocess.run([*as_two, "ls", rooted.state + "/drop"], capture_output=True).returncode != 0
    assert subprocess.run([*as_two, "rm", "-f", files[0]], capture_output=True).returncode != 0
    assert subprocess.run([*as_two, "cat", files[0]], capture_output=True).returncode != 0
    assert names.run(name="mailq", user=one).returncode == 77
    rooted.start()
    dropped = [m for m in rooted.wait_mails("bob", 8) if b"dropped" in m]
    assert len(dropped) == 2
    for m in dropped:
        assert bool(warning(m)) == (b"dropped own" not in m)
        assert f"(uid {one}, smone)" in " ".join(text_of(m)["Received"].split())


@ROOT_ONLY
def test_another_user_and_a_server_that_is_not_root(server, names):
    """Its files could not be read by the server: their names keep them from others."""
    names.ok("bob", input="Subject: up\n\nx\n", user=54321)
    server.stop()
    names.ok("bob", input="Subject: down\n\nx\n", user=54321)
    assert os.stat(f"{server.state}/drop/{names.left()[0]}").st_uid == 54321
    server.start()
    for m in server.wait_mails("bob", 2):
        assert "uid 54321" in warning(m)


@ROOT_ONLY
def test_one_user_cannot_use_up_all_sessions(server, names):
    server.configure('connections-per-address = 5\n')
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "event=reloaded" in server.log(), what="the reload")
    command = ["setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups", names.path(), "-bs"]
    many = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=names.environment()) for _ in range(16)]
    try:
        first = [p.stdout.readline()[:3] for p in many]
        assert first.count(b"220") == 10 and first.count(b"421") == 6  # five for each of two smtpd
        names.ok("bob", input="x\n")
        server.wait_mails("bob")
    finally:
        for p in many:
            p.kill()
            p.communicate()


# ---- programs of others ----

def program(name):
    for folder in ("/usr/bin", "/usr/sbin"):
        if os.path.exists(f"{folder}/{name}"):
            return f"{folder}/{name}"
    pytest.skip(f"{name} is not installed")


@pytest.mark.parametrize("up", [True, False])
def test_mailutils(server, names, tmp_path, up):
    if not up:
        server.stop()
    subprocess.run([program("mail.mailutils"), "-n", "-E", f"set sendmail=sendmail://{names.path()}", "-s", "from mailutils", "bob@example.test"],
                   input=b"hello\nmore\n", check=True, timeout=60, env={**names.environment(), "HOME": str(tmp_path)})
    if not up:
        server.start()
    m = text_of(server.wait_mails("bob")[0])
    assert m["Subject"] == "from mailutils" and "hello" in m.get_payload()


@pytest.mark.parametrize("up", [True, False])
def test_mutt(server, names, tmp_path, up):
    rc = tmp_path / "muttrc"
    rc.write_text(f'set sendmail="{names.path()} -oem -oi"\nset copy=no\nset from="alice@example.test"\nset use_envelope_from=yes\n')
    if not up:
        server.stop()
    subprocess.run([program("mutt"), "-n", "-F", str(rc), "-s", "from mutt", "-b", "alice@example.test", "bob@example.test"], input="h\u00e9llo\n.\nmore\n".encode(),
                   check=True, timeout=60, env={**names.environment(), "HOME": str(tmp_path)})
    if not up:
        server.start()
    m = text_of(server.wait_mails("bob")[0])
    assert m["Subject"] == "from mutt" and "more" in m.get_payload() and b"Bcc" not in server.mails("bob")[0]
    assert server.wait_mails("alice")


@pytest.mark.parametrize("up", [True, False])
def test_php(server, names, tmp_path, up):
    code = """exit(mail("bob@example.test", "from PHP", "hello\n.\nmore", "From: alice@example.test\r\nBcc: alice@example.test", "-falice@example.test") ? 0 : 1);"""
    if not up:
        server.stop()
    subprocess.run([program("php"), "-d", f"sendmail_path={names.path()} -t -i", "-r", code], check=True, timeout=60, env=names.environment())
    if not up:
        server.start()
    m = text_of(server.wait_mails("bob")[0])
    assert m["Subject"] == "from PHP" and "more" in m.get_payload() and b"Bcc" not in server.mails("bob")[0]
    assert server.wait_mails("alice")


@pytest.mark.parametrize("up", [True, False])
def test_s_nail(server, names, tmp_path, up):
    rc = tmp_path / "mailrc"
    rc.write_text(f"set mta={names.path()} sendwait v15-compat\n")
    if not up:
        server.stop()
    subprocess.run([program("s-nail"), "-s", "from s-nail", "-b", "alice@example.test", "bob@example.test"], input="h\u00e9llo\n.\nmore\n".encode(),
                   check=True, timeout=60, env={**names.environment(), "MAILRC": str(rc), "HOME": str(tmp_path)})
    if not up:
        server.start()
    m = text_of(server.wait_mails("bob")[0])
    assert m["Subject"] == "from s-nail" and b"alice" not in server.mails("bob")[0]
    assert server.wait_mails("alice")


@pytest.mark.parametrize("up", [True, False])
def test_git_send_email(server, names, tmp_path, up):
    if not os.path.exists("/usr/lib/git-core/git-send-email"):
        pytest.skip("git send-email is not installed")
    environment = {**names.environment(), "HOME": str(tmp_path), "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "Alice", "GIT_AUTHOR_EMAIL": "alice@example.test",
                   "GIT_COMMITTER_NAME": "Alice", "GIT_COMMITTER_EMAIL": "alice@example.test"}
    subprocess.run("git init -q . && echo one >file && git add file && git commit -q -m 'A change' && git format-patch -q --root", shell=True, check=True,
                   cwd=tmp_path, env=environment)
    if not up:
        server.stop()
    subprocess.run(["git", "send-email", f"--smtp-server={names.path()}", "--from=Alice <alice@example.test>", "--to=Bob <bob@example.test>", "--confirm=never",
                    "--suppress-cc=all", "0001-A-change.patch"], check=True, cwd=tmp_path, env=environment, capture_output=True, timeout=60)
    if not up:
        server.start()
    m = text_of(server.wait_mails("bob")[0])
    assert m["Subject"] == "[PATCH] A change" and "+one" in m.get_payload()

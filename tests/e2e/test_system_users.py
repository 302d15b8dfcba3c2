"""Users of this machine: their helper, their uid, their Maildir; and all that can go wrong with a home.

The users exist only in a mount namespace of the server, see tests/lib/machine.py.
"""
# SPDX-License-Identifier: ISC
import os
import re
import shutil
import signal
import stat
import subprocess
import time

import pytest
from machine import Machine
from troika import Troika, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def facts(path):
    s = os.lstat(path)
    return s.st_uid, s.st_gid, stat.S_IMODE(s.st_mode)


def test_mail_is_theirs():
    with Machine() as t:
        id = t.send(to="alice@example.test")
        (mail,) = t.wait_mails("alice")
        assert mail.startswith(b"Return-Path: <alice@example.test>\nDelivered-To: alice@example.test\nReceived: ")
        assert mail.endswith(b"Subject: test\n\nhello\n")
        for below in ("", "/cur", "/new", "/tmp"):
            assert facts(t.mailbox("alice") + below) == (31001, 31001, 0o700)
        (name,) = os.listdir(t.mailbox("alice") + "/new")
        assert facts(f"{t.mailbox('alice')}/new/{name}") == (31001, 31001, 0o600)
        (delivered,) = t.wait_event(id, "delivered")
        assert delivered["next-hop"] == "~alice" and f"mailbox={t.mailbox('alice')}" in delivered["detail"], delivered
        shown = t.run("trace", id)
        assert "~alice" in shown and t.mailbox("alice") in shown, shown
        t.send(to="alice+list@example.test")
        t.send(to="ALICE@example.test")
        t.send(to="bob@example.test", text="Subject: large\r\n\r\n" + "0123456789\r\n" * 200000)
        assert b"Delivered-To: alice+list@example.test" in t.wait_mails("alice", 3)[1]
        assert len(t.wait_mails("bob")[0]) > 2000000  # nologin is no obstacle; a file, not in memory
        assert facts(t.mailbox("bob") + "/new")[0] == 31002
        t.wait_empty()
        assert wait_for(lambda: not t.helpers(), what="the end of the helpers") and not os.listdir(t.state + "/mail")


def test_nobody_else_can_read_what_a_helper_may():
    with Machine(config="user-timeout = 60s\n") as t:
        t.send(to="alice@example.test")
        t.wait_mails("alice")
        pid = t.helpers()["alice"]  # rests for a second
        os.kill(pid, signal.SIGSTOP)
        with open(f"/proc/{pid}/status") as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        with open(f"/proc/{pid}/environ") as f:
            environment = f.read()
        names = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        os.kill(pid, signal.SIGCONT)
        assert set(status["Uid"].split()) == {"31001"} and set(status["Gid"].split()) == {"31001"}
        assert set(status["Groups"].split()) == {"31001", "31900"}
        assert status["CapEff"].strip() == status["CapPrm"].strip() == "0000000000000000"
        assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2"
        assert environment == ""
        assert not [n for n in names if t.state in n], names
        for name, pid in t.workers().items():
            if pid != t.process.pid and name != "alice":
                with open(f"/proc/{pid}/status") as f:
                    assert "\nUid:\t0\t" not in f.read(), name


def test_who_gets_none():
    with Machine(aliases="postmaster: alice\ndaemon: bob\nall: alice, bob, root\n") as t:
        for address in ("nobody-here@example.test", "root@example.test", "robot@example.test", "nobody@example.test", "31001@example.test"):
            code, words = t.rcpt(address)
            assert code == 550 and words[0].startswith("5.1.1"), (address, words)
        assert t.rcpt("alice@example.test")[0] == t.rcpt("gone@example.test")[0] == 250
        why = t.run("explain", "root@example.test", check=False).stdout
        assert "alias" in why and "root" in why, why
        why = t.run("explain", "alice+x@example.test")
        assert "user alice of this machine" in why and "~alice" in why, why
        t.send(to=["daemon@example.test", "postmaster@example.test", "all@example.test"])
        assert len(t.wait_mails("bob")) == len(t.wait_mails("alice")) == 1  # however many ways lead there
        assert not os.path.exists("/root/Maildir")


def test_an_account_comes_first_and_root_mail_of_the_queue_is_refused():
    t = Machine()
    t.run("user", "add", "alice@example.test")
    with t:
        t.send(to="alice@example.test")
        mail = wait_for(lambda: Troika.mails(t, "alice") or os.path.isdir(f"{t.state}/mail/example.test/alice/new") and
                        os.listdir(f"{t.state}/mail/example.test/alice/new"), what="mail in the account")
        assert mail and not os.path.exists(t.mailbox("alice"))


def test_a_new_user_is_seen_at_once():
    with Machine() as t:
        assert t.rcpt("fresh@example.test")[0] == 550
        t.make_home("fresh", 31050)
        with open(f"{t.folder}/passwd", "a") as f:
            f.write(f"fresh:x:31050:31050::{t.home('fresh')}:/bin/sh\n")
        t.send(to="fresh@example.test")
        assert t.wait_mails("fresh")
        # and one who became a system user meanwhile is refused by the parent itself
        lines = open(f"{t.folder}/passwd").read()
        wait_for(lambda: not t.helpers(), what="the end of the helper that has the Maildir open")
        t.inside("mount", "-t", "tmpfs", "-o", "mode=755", "none", t.home("fresh"))
        id = t.send(to="fresh@example.test")
        assert t.wait_deferred(id)["status"].startswith("4.2.")
        with open(f"{t.folder}/passwd", "w") as f:
            f.write(lines.replace("fresh:x:31050:", "fresh:x:999:"))
        (failed,) = t.wait_event(id, "bounced")
        assert failed["status"].startswith("5.1.1"), failed


def test_a_place_for_each_user():
    t = Machine(config='mailbox = "@BOXES@/{user}/in"\nminimum-uid = 200\n')
    boxes = t.folder + "/boxes"
    os.makedirs(boxes + "/alice")
    os.chown(boxes + "/alice", 31001, 31001)
    with open(t.config_file) as f:
        text = f.read()
    with open(t.config_file, "w") as f:
        f.write(text.replace("@BOXES@", boxes))
    with t:
        t.send(to="alice@example.test")
        wait_for(lambda: os.path.isdir(boxes + "/alice/in/new") and os.listdir(boxes + "/alice/in/new"), what="mail in the box")
        id = t.send(to="robot@example.test")  # a person, by minimum-uid; but nobody made that box
        deferred = t.wait_deferred(id)
        assert deferred["status"].startswith("4.2.0") and "Permission denied" in deferred["reply"], deferred


def test_a_missing_home_waits():
    with Machine() as t:
        id = t.send(to="gone@example.test")
        deferred = t.wait_deferred(id)
        assert deferred["status"].startswith("4.2.1") and t.home("gone") in deferred["reply"], deferred
        assert not os.path.exists(t.home("gone"))
        t.make_home("gone", 31003)
        assert t.wait_mails("gone")


@pytest.mark.parametrize("setting, event, code", [("retry", "deferred", "4.2.2"), ("return", "bounced", "5.2.2")])
def test_a_full_disk(setting, event, code):
    with Machine(config=f"full-mailbox = {setting}\n") as t:
        t.inside("mount", "-t", "tmpfs", "-o", "size=256k,uid=31001,mode=700", "none", t.home("alice"))
        id = t.send(to="alice@example.test", sender="bob@example.test", text="Subject: x\r\n\r\n" + "0123456789\r\n" * 50000)
        told = t.wait_event(id, event)[0]
        assert told["status"].startswith(code) and "full" in told["reply"], told
        assert t.inside("ls", t.mailbox("alice") + "/new").stdout == "" == t.inside("ls", t.mailbox("alice") + "/tmp").stdout
        small = t.send(to="alice@example.test")
        t.wait_event(small, "delivered")
        if setting == "retry":
            t.inside("mount", "-o", "remount,size=4m", t.home("alice"))
            t.wait_event(id, "delivered")


QUOTA = """
#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>
ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t at) { errno = EDQUOT; return -1; }
ssize_t pwritev64(int fd, const struct iovec *iov, int count, off_t at) { errno = EDQUOT; return -1; }
ssize_t pwrite(int fd, const void *p, size_t n, off_t at) { errno = EDQUOT; return -1; }
ssize_t pwrite64(int fd, const void *p, size_t n, off_t at) { errno = EDQUOT; return -1; }
"""


@pytest.mark.parametrize("setting, event, code", [("retry", "deferred", "4.2.2"), ("return", "bounced", "5.2.2")])
def test_a_quota(tmp_path, setting, event, code):
    """What the kernel of this machine cannot do (no quota formats) a shim does: EDQUOT for each write."""
    t = Machine(config=f"full-mailbox = {setting}\n")
    folder = t.folder + "/libexec"
    shutil.copytree(t.programs + "/libexec", folder)
    os.rename(folder + "/deliver", folder + "/deliver.real")
    with open(folder + "/quota.c", "w") as f:
        f.write(QUOTA)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", folder + "/quota.so", folder + "/quota.c"], check=True)
    with open(folder + "/deliver", "w") as f:
        f.write(f'#!/bin/sh\nLD_PRELOAD={folder}/quota.so exec {folder}/deliver.real "$@"\n')
    os.chmod(folder + "/deliver", 0o755)
    t.libexec = folder
    with t:
        id = t.send(to="alice@example.test")
        told = t.wait_event(id, event)[0]
        assert told["status"].startswith(code) and "quota" in told["reply"], told


def hang_at(t, path):
    """Mounts a FUSE file system there that answers nothing."""
    script = f"""
import ctypes, os, time
fd = os.open("/dev/fuse", os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
options = f"fd={{fd}},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
assert libc.mount(b"hang", {path.encode()!r}, b"fuse", 0, options) == 0, os.strerror(ctypes.get_errno())
print("mounted", flush=True)
time.sleep(3600)
"""
    p = subprocess.Popen(["nsenter", "-t", str(t.process.pid), "-m", "-r", "python3", "-c", script], stdout=subprocess.PIPE, text=True)
    if p.stdout.readline() != "mounted\n":
        p.kill()
        pytest.skip("no FUSE here")
    return p


def test_a_home_that_hangs_hinders_nobody():
    with Machine(config="user-timeout = 2s\n") as t:
        hanging = hang_at(t, t.home("alice"))
        try:
            id = t.send(to="alice@example.test")
            wait_for(lambda: "alice" in t.helpers(), what="the helper that hangs")
            stuck = t.helpers()["alice"]
            for i in range(3):
                t.send(to="bob@example.test")
            t.wait_mails("bob", 3)
            deferred = t.wait_deferred(id)
            assert deferred["status"].startswith("4.3.0") and "in time" in deferred["reply"], deferred
            wait_for(lambda: not os.path.exists(f"/proc/{stuck}"), what="the end of the helper")
        finally:
            hanging.kill()
            hanging.wait()
        t.inside("umount", "-l", t.home("alice"), check=False)
        assert t.wait_mails("alice")  # the next attempt


def test_things_in_the_way():
    with Machine() as t:
        os.mkfifo(t.home("alice") + "/Maildir")
        os.symlink("/etc", t.home("bob") + "/Maildir")
        ids = {user: t.send(to=f"{user}@example.test") for user in ("alice", "bob")}
        told = t.wait_deferred(ids["alice"])
        assert told["status"].startswith("4.2.0") and "Not a directory" in told["reply"], told
        told = t.wait_deferred(ids["bob"])
        assert told["status"].startswith("4.3.0") and "Permission denied" in told["reply"], told
        assert not os.path.exists("/etc/new") and not os.path.exists("/etc/tmp")
        os.unlink(t.home("alice") + "/Maildir")
        os.unlink(t.home("bob") + "/Maildir")
        os.mkdir(t.home("bob") + "/elsewhere")
        os.chown(t.home("bob") + "/elsewhere", 31002, 31002)
        os.symlink("elsewhere", t.home("bob") + "/Maildir")  # where they could go themselves
        assert t.wait_mails("alice") and t.wait_mails("bob")


def test_helpers_and_local_are_killed():
    """A loss never; each message is there, at worst twice."""
    with Machine() as t:
        sent = []
        end = time.monotonic() + 6
        kills = 0
        while time.monotonic() < end:
            for user in ("alice", "bob"):
                sent.append((user, t.send(to=f"{user}@example.test", text=f"Subject: {len(sent)}\r\n\r\nx\r\n")))
            victims = list(t.helpers().values())
            if len(sent) % 20 == 0:
                victims.append(t.workers().get("local 1"))
            for pid in filter(None, victims):
                try:
                    os.kill(pid, signal.SIGKILL)
                    kills += 1
                except ProcessLookupError:
                    pass
        assert kills > 10
        t.wait_empty(60)
        for user in ("alice", "bob"):
            got = [re.search(rb"^Subject: (\d+)$", mail, re.M).group(1) for mail in t.mails(user)]
            assert {int(n) for n in got} == {i for i, (to, _) in enumerate(sent) if to == user}
            assert len(got) < 2 * len(set(got))
        assert "event=user-delivery-died" in t.log()


def test_only_for_root():
    t = Troika()
    try:
        with open(t.config_file) as f:
            text = f.read()
        with open(t.config_file, "w") as f:
            f.write(text.replace("accounts = yes", "accounts = yes system-users = yes"))
        checked = t.run("check", check=False)
        assert checked.returncode == 0 and "system-users: needs a server that root starts" in checked.stdout + checked.stderr
        started = t.run("serve", check=False)
        assert started.returncode == 78 and "root" in started.stderr
    finally:
        shutil.rmtree(t.folder)


def test_a_reload_begins_and_ends_it():
    t = Machine()
    with open(t.config_file) as f:
        text = f.read()
    with open(t.config_file, "w") as f:
        f.write(text.replace("system-users = yes", ""))
    with t:
        assert t.rcpt("alice@example.test")[0] == 550
        with open(t.config_file, "w") as f:
            f.write(text)
        t.process.send_signal(signal.SIGHUP)
        wait_for(lambda: t.rcpt("alice@example.test")[0] == 250, what="users after the reload")
        t.send(to="alice@example.test")
        assert t.wait_mails("alice")
        with open(t.config_file, "w") as f:
            f.write(text.replace("system-users = yes", ""))
        t.process.send_signal(signal.SIGHUP)
        wait_for(lambda: t.rcpt("alice@example.test")[0] == 550, what="no users after the reload")

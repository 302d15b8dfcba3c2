"""Accounts: what `troika user` makes of them, also of wrong input, and who may read their secrets."""
# SPDX-License-Identifier: ISC
import base64
import ctypes
import hashlib
import hmac
import json
import os
import signal
import sqlite3
import subprocess
import termios

import pytest
import terminal
from troika import Dialogue, Troika, wait_for

PASSWORD = "a very tasty soup"
SHA512 = "$6$w1owE4nYzAlC52.j$YVjWGB3iw/7MOzngvK3kZ42PnWj3e0DB6lKLuvlvTPrtoFAUeR9vcHcRpNebj7Oi34Jyy0hwfUvwWzvyf84RQ/"
BCRYPT = "$2y$05$9eiehy2vfmmALJ8i49ya3OgQcZZT8vgsG0DHHSZeMAhqr5kJ7YrEG"


@pytest.fixture(scope="module")
def quiet():
    """A configuration whose server does not run: the command needs none."""
    t = Troika(users=())
    yield t
    t.stop()


def user(t, *arguments, password=None, check=True):
    more = ("--password-stdin",) if password is not None else ()
    return t.run("user", *arguments, *more, input=password, check=check)


def listed(t):
    """{address: its row of `user list --json`}"""
    return {row["address"]: row for row in map(json.loads, t.run("user", "--json", "list").splitlines())}


def row(t, address):
    """The row of its credentials, by the name of each column."""
    name, domain = address.split("@")
    with sqlite3.connect(f"file:{t.state}/credentials/credentials.db?mode=ro", uri=True) as db:
        db.row_factory = sqlite3.Row
        return db.execute("SELECT * FROM credential WHERE name=? AND domain=?", (name, domain)).fetchone()


def crypt(password, setting):
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    return library.crypt(password.encode(), setting.encode()).decode()


def assert_scram(found, kind, password):
    """RFC 5802 section 3, written once more."""
    salted = hashlib.pbkdf2_hmac(kind, password.encode(), found[kind + "_salt"], found[kind + "_iterations"])
    client = hmac.digest(salted, b"Client Key", kind)
    assert found[kind + "_iterations"] >= 4096
    assert found[kind + "_stored"] == hashlib.new(kind, client).digest()
    assert found[kind + "_server"] == hmac.digest(salted, b"Server Key", kind)


# ---- passwords ----

def test_add_without_a_password_is_a_mailbox(quiet):
    assert "cannot log in" in user(quiet, "add", "box@example.test")
    assert listed(quiet)["box@example.test"] == {"address": "box@example.test", "login": "no", "mechanisms": []}
    assert "SCRAM-SHA-256" in user(quiet, "passwd", "box@example.test", password=PASSWORD)
    assert listed(quiet)["box@example.test"]["login"] == "yes"


def test_what_is_kept_of_a_password(quiet):
    made = json.loads(user(quiet, "--json", "add", "Kept@Example.test", password=PASSWORD + "\n"))
    assert made["mechanisms"] == ["PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256"], made
    found = row(quiet, "kept@example.test")
    assert found["password"].startswith("$y$") and crypt(PASSWORD, found["password"]) == found["password"]
    assert_scram(found, "sha1", PASSWORD)
    assert_scram(found, "sha256", PASSWORD)
    assert found["cram_secret"] == ""
    user(quiet, "passwd", "--cram-md5", "kept@example.test", password=PASSWORD)
    assert row(quiet, "kept@example.test")["cram_secret"] == PASSWORD
    assert "CRAM-MD5" in listed(quiet)["kept@example.test"]["mechanisms"]
    user(quiet, "passwd", "kept@example.test", password=PASSWORD)  # only where it is asked for
    assert row(quiet, "kept@example.test")["cram_secret"] == ""
    with open(quiet.state + "/credentials/credentials.db", "rb") as f:
        assert PASSWORD.encode() not in f.read()
    with open(quiet.state + "/accounts/accounts.db", "rb") as f:
        assert b"$y$" not in f.read()


def test_a_password_is_prepared_as_clients_prepare_it(quiet):
    user(quiet, "add", "prepared@example.test", password="I\u00adX lo\u0308st\u00a0it")
    assert_scram(row(quiet, "prepared@example.test"), "sha1", "IX l\u00f6st it")


@pytest.mark.parametrize("password, code, word", [
    ("", 65, "empty"), ("\n", 65, "empty"), ("sh0rt", 65, "shorter than 8"), ("23456789", 65, "row"), ("aaaaaaaaaa", 65, "row"),
    ("Password1", 65, "everybody"), ("wrong@example.test", 65, "address"), ("wrong2026", 65, "address"),
    ("two lines\nof soup", 65, "line end"), ("a NUL \0 in it", 65, "NUL"), ("x" * 256, 65, "255 bytes"), ("y" * 100000, 65, "255 bytes"),
    ("a bell \a rings", 65, "UTF-8"),
])
def test_a_bad_password_is_explained(quiet, password, code, word):
    for verb in ("add", "passwd"):
        if verb == "passwd" and "wrong@example.test" not in listed(quiet):
            user(quiet, "add", "wrong@example.test")
        result = user(quiet, verb, "wrong@example.test", password=password, check=False)
        assert result.returncode == code and word in result.stderr, result
        if password.strip() and password not in "wrong@example.test":
            assert password not in result.stderr
        assert listed(quiet).get("wrong@example.test", {"login": "no"})["login"] == "no"
        user(quiet, "rm", "wrong@example.test", check=False)


def file_of(t, name, content):
    """A file the plain user can read, too."""
    with open(f"{t.folder}/{name}", "wb") as f:
        f.write(content)
    return f.name


def test_a_password_that_is_no_text(quiet):
    path = file_of(quiet, "pw", b"\xff\xfe soup soup soup")
    user(quiet, "add", "bytes@example.test")
    result = user(quiet, "passwd", "bytes@example.test", "--password-file", path, check=False)
    assert result.returncode == 65 and "UTF-8" in result.stderr


def test_weak_ones_are_taken_when_asked_for(quiet):
    assert "--allow-weak" in user(quiet, "add", "weak@example.test", password="weak", check=False).stderr
    user(quiet, "add", "weak@example.test", "--allow-weak", password="weak")
    assert crypt("weak", row(quiet, "weak@example.test")["password"]) == row(quiet, "weak@example.test")["password"]
    result = user(quiet, "passwd", "weak@example.test", "--allow-weak", password="a\0b", check=False)
    assert result.returncode == 65 and "NUL" in result.stderr and "--allow-weak" not in result.stderr


def test_a_password_file(quiet):
    path = file_of(quiet, "pw", PASSWORD.encode() + b"\r\n")
    user(quiet, "add", "file@example.test", "--password-file", path)
    assert_scram(row(quiet, "file@example.test"), "sha256", PASSWORD)
    missing = user(quiet, "passwd", "file@example.test", "--password-file", path + "-none", check=False)
    assert missing.returncode == 66 and "No such file" in missing.stderr
    both = user(quiet, "passwd", "file@example.test", "--password-file", path, password="x", check=False)
    assert both.returncode == 64 and "either" in both.stderr
    assert user(quiet, "passwd", "file@example.test", check=False).returncode == 64  # and no terminal


@pytest.mark.parametrize("arguments, code, word", [
    (["passwd", "nobody@example.test"], 67, "no account"), (["disable", "nobody@example.test"], 67, "no account"),
    (["enable", "nobody@example.test"], 67, "no account"), (["rm", "nobody@example.test"], 67, "no account"),
    (["alias", "nobody@example.test", "new@example.test"], 67, "no account"), (["add", "nobody"], 65, "@"),
    (["add", "a b@example.test"], 65, ""), (["add", "a@elsewhere.test"], 78, "elsewhere.test"), (["add", "\n@example.test"], 65, ""),
    (["add"], 64, "add"), (["passwd"], 64, "passwd"), (["alias", "a@example.test"], 64, "alias"), (["import"], 64, "FILE"),
    (["add", "a@example.test", PASSWORD], 64, "add"), (["frobnicate"], 64, "one of"), (["import", "/nonexistent"], 66, "No such file"),
    (["import", "/"], 66, ""), (["list", "--password"], 64, ""),
])
def test_wrong_arguments(quiet, arguments, code, word):
    result = user(quiet, *arguments, check=False)
    assert result.returncode == code and word in result.stderr and result.stderr.startswith("troika user: "), result


# ---- a terminal ----

def user_terminal(t, *arguments):
    return terminal.Terminal(t.command("user", *arguments))


def test_it_asks_twice_without_echo(quiet):
    t = user_terminal(quiet, "add", "typed@example.test")
    t.type(b"empty: it cannot log in): ", PASSWORD.encode() + b"\n")
    t.type(b"The same again: ", PASSWORD.encode() + b"\n")
    t.wait(b"login: yes")
    shown = t.shown
    assert t.end() == 0 and b"soup" not in shown
    assert_scram(row(quiet, "typed@example.test"), "sha256", PASSWORD)


def test_two_different_ones_change_nothing(quiet):
    user(quiet, "add", "twice@example.test")
    t = user_terminal(quiet, "passwd", "twice@example.test")
    t.type(b"New password for twice@example.test: ", PASSWORD.encode() + b"\n")
    t.type(b"The same again: ", b"a very tasty soap\n")
    assert t.end() == 65 and b"different" in t.shown
    t = user_terminal(quiet, "passwd", "twice@example.test")
    t.type(b"New password for twice@example.test: ", b"short\n")
    assert t.end() == 65 and b"shorter than 8" in t.shown
    assert listed(quiet)["twice@example.test"]["login"] == "no"


def test_an_empty_line_is_a_mailbox(quiet):
    t = user_terminal(quiet, "add", "empty@example.test")
    t.type(b"empty: it cannot log in): ", b"\n")
    assert t.end() == 0 and listed(quiet)["empty@example.test"]["login"] == "no"


def test_control_c_gives_the_terminal_back(quiet):
    user(quiet, "add", "away@example.test")
    t = user_terminal(quiet, "passwd", "away@example.test")
    t.type(b"New password for away@example.test: ", b"half of it\x03")
    wait_for(lambda: termios.tcgetattr(t.fd)[3] & termios.ECHO, 30, "the echo")
    assert t.end() == -signal.SIGINT
    assert listed(quiet)["away@example.test"]["login"] == "no"


# ---- disable, alias, rm ----

def test_disabled_means_no_login_and_mail_still_arrives(server):
    user(server, "passwd", "bob@example.test", password=PASSWORD)
    assert listed(server)["bob@example.test"]["login"] == "yes"
    user(server, "disable", "bob@example.test")
    assert listed(server)["bob@example.test"] == {"address": "bob@example.test", "login": "disabled", "mechanisms": []}
    assert row(server, "bob@example.test")["enabled"] == 0
    server.send(to="bob@example.test")
    server.wait_mails("bob")
    assert "stays disabled" in user(server, "passwd", "bob@example.test", password=PASSWORD)
    assert listed(server)["bob@example.test"]["login"] == "disabled"
    user(server, "enable", "bob@example.test")
    assert listed(server)["bob@example.test"]["login"] == "yes"
    user(server, "rm", "bob@example.test")
    assert row(server, "bob@example.test") is None
    user(server, "add", "bob@example.test")
    assert listed(server)["bob@example.test"]["login"] == "no"


def rcpt(t, address):
    with Dialogue(t.port) as d:
        d.reply()
        d.say("EHLO c.test")
        d.say("MAIL FROM:<a@elsewhere.test>")
        return d.say(f"RCPT TO:<{address}>")[0]


def test_further_addresses_of_an_account():
    with Troika(config='domain "other.test" { accounts = yes }\ndomain "empty.test" { accounts = no }\n') as t:
        assert rcpt(t, "info@other.test") == 550
        user(t, "alias", "alice@example.test", "Info@Other.test", "sales@example.test")
        wait_for(lambda: rcpt(t, "info@other.test") == 250, 30, "the new address")
        assert "account alice@example.test" in t.run("explain", "info@other.test")
        t.send(to="info@other.test")
        t.send(to="sales+list@example.test")
        assert b"Delivered-To: info@other.test" in b"".join(t.wait_mails("alice", 2))
        assert listed(t)["info@other.test"] == {"address": "info@other.test", "alias_of": "alice@example.test"}
        for arguments, code, word in [
                (["alias", "alice@example.test", "new@example.test", "sales@example.test"], 73, "exists already"),
                (["alias", "alice@example.test", "bob@example.test"], 73, "exists already"),
                (["alias", "sales@example.test", "new@example.test"], 67, "alice@example.test"),
                (["alias", "alice@example.test", "new@nowhere.test"], 78, "nowhere.test"),
                (["alias", "alice@example.test", "new@empty.test"], 78, "accounts = yes"),
                (["add", "sales@example.test"], 73, "exists already"),
                (["passwd", "sales@example.test"], 67, "alice@example.test")]:
            result = user(t, *arguments, check=False)
            assert result.returncode == code and word in result.stderr, result
        assert "new@example.test" not in listed(t)  # all or nothing
        user(t, "rm", "sales@example.test")
        assert sorted(listed(t)) == ["alice@example.test", "bob@example.test", "info@other.test"]
        user(t, "rm", "alice@example.test")
        assert sorted(listed(t)) == ["bob@example.test"]
        wait_for(lambda: rcpt(t, "info@other.test") == 550, 30, "the end of the address")


# ---- import ----

def imported(t, text, *more, check=True):
    return user(t, "import", *more, file_of(t, "passwd", text.encode()), check=check)


def b64(n):
    return base64.b64encode(bytes(n)).decode()


def test_import(quiet):
    out = imported(quiet, "# from another server\r\n\n"
                   f"i1@example.test:{{SHA512-CRYPT}}{SHA512}:1000:1000::/home/i1::userdb_quota_rule=*:storage=1G\n"
                   f"I2@example.test:{{BLF-CRYPT}}{BCRYPT}\r\n"
                   f"i3@example.test:{SHA512}\n"
                   f"i4@example.test:{{PLAIN}}{PASSWORD}:::::\n"
                   "i5@example.test:\n"
                   f"i6@example.test:{{SCRAM-SHA-256}}4096,c2FsdA==,{b64(32)},{b64(32)}")
    assert "6 accounts imported, 5 of them can log in" in out
    rows = listed(quiet)
    assert rows["i1@example.test"]["mechanisms"] == ["PLAIN", "LOGIN"]
    assert rows["i4@example.test"]["mechanisms"] == ["PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256"]
    assert rows["i5@example.test"]["login"] == "no"
    assert rows["i6@example.test"]["mechanisms"] == ["SCRAM-SHA-256"]
    assert row(quiet, "i2@example.test")["password"] == BCRYPT and row(quiet, "i1@example.test")["password"] == SHA512
    assert_scram(row(quiet, "i4@example.test"), "sha1", PASSWORD)


def test_import_all_or_nothing(quiet):
    before = listed(quiet)
    user(quiet, "add", "there@example.test", check=False)
    result = imported(quiet, f"j1@example.test:{{PLAIN}}{PASSWORD}\n"
                      "j2@example.test:{SSHA}abcdef\n"
                      "J1@EXAMPLE.test:\n"
                      "there@example.test:\n"
                      "j3@example.test:{PLAIN}short\n"
                      "j4@elsewhere.test:\n"
                      "j5\n"
                      "j6@example.test:{CRYPT}abcdef\n"
                      "j7@example.test:{\033[31mred}abcdef\n", check=False)
    path = quiet.folder + "/passwd"
    assert result.returncode == 65, result
    for number, word in [(2, "{SSHA} is not known"), (3, "in line 1 already"), (4, "exists already"), (5, "shorter than 8"), (6, "elsewhere.test"),
                         (7, "whole address"), (8, "begins with $"), (9, "no scheme")]:
        assert any(line.startswith(f"{path}:{number}: ") and word in line for line in result.stderr.splitlines()), (number, result.stderr)
    assert "nothing was imported, 8 lines are wrong" in result.stderr and "\033" not in result.stderr and PASSWORD not in result.stderr
    assert set(listed(quiet)) - set(before) <= {"there@example.test"}
    assert row(quiet, "j1@example.test") is None
    assert "no account in it" in imported(quiet, "# nobody\n", check=False).stderr
    assert imported(quiet, "weak@example.test:{PLAIN}short\n" * 1000, check=False).stderr.count("\n") == 52
    assert "1 accounts" not in imported(quiet, "j8@example.test:{PLAIN}short\n", "--allow-weak")


def test_a_long_import_shows_how_far_it_is_and_can_be_broken_off(quiet):
    many = "".join(f"long{i}@example.test:{{PLAIN}}{PASSWORD} {i}\n" for i in range(20000))
    t = user_terminal(quiet, "import", file_of(quiet, "passwd", many.encode()))
    t.wait(b" of 20000")
    assert b"\r[" in t.shown
    os.write(t.fd, b"\x03")
    assert t.end() == 75 and b"nothing was imported" in t.shown
    assert not [address for address in listed(quiet) if address.startswith("long")]
    user(quiet, "add", "after@example.test")
    few = "".join(f"few{i}@example.test:{{PLAIN}}{PASSWORD} {i}\n" for i in range(60))
    t = user_terminal(quiet, "import", "--json", file_of(quiet, "passwd", few.encode()))
    assert t.end() == 0 and b'"accounts":60' in t.shown
    assert len([address for address in listed(quiet) if address.startswith("few")]) == 60


# ---- who may read what ----

@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files for others")
def test_what_root_makes_for_a_plain_server_belongs_to_it():
    t = Troika(users=())
    owner = os.stat(t.state).st_uid
    t.as_root = True
    user(t, "add", "alice@example.test", password=PASSWORD)
    for path in ("accounts", "accounts/accounts.db", "credentials", "credentials/credentials.db"):
        assert os.stat(f"{t.state}/{path}").st_uid == owner != 0, path
    t.as_root = False
    assert listed(t)["alice@example.test"]["login"] == "yes"
    t.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="root reads everything, and only root can be somebody else")
def test_who_may_not_read_the_secrets_sees_no_logins(quiet):
    user(quiet, "add", "secret@example.test", password=PASSWORD, check=False)
    os.chmod(quiet.state + "/accounts", 0o755)
    command = ["setpriv", "--reuid", "1", "--regid", "1", "--clear-groups", quiet.programs + "/troika", "user", "-c", quiet.config_file, "--json", "list"]
    rows = [json.loads(line) for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()]
    assert {"address": "secret@example.test", "login": "unknown", "mechanisms": []} in rows
    result = subprocess.run(command[:8] + ["passwd", "secret@example.test", "-c", quiet.config_file, "--password-stdin"], input=PASSWORD, capture_output=True, text=True)
    assert result.returncode == 77, result

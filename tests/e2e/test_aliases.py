"""Aliases: expanded at RCPT, built by newaliases and by themselves, refused with file and line."""
# SPDX-License-Identifier: ISC
import json
import os
import pwd
import re
import subprocess

import pytest
import troika
from sinks import Sink
from troika import Dialogue, Troika, system_users, wait_for


class WithAliases(Troika):
    """A server with an alias file of its domain, and a sink that far.test goes to."""

    def __init__(self, aliases, far=9, config="", **more):
        self.aliases_text = aliases
        self.far = far
        super().__init__(config=f'route "far.test" {{ via = "127.0.0.1:{far}" }}\n' + config, **more)

    def configure(self, config):
        self.aliases = self.folder + "/aliases"
        self.write(self.aliases_text)
        base = self.base.replace("accounts = yes }", f'accounts = yes aliases = "{self.aliases}" }}')
        with open(self.config_file, "w") as f:
            f.write(base + config)

    def write(self, text):
        with open(self.aliases, "w") as f:
            f.write(text)
        os.chmod(self.aliases, 0o644)

    def newaliases(self, *arguments):
        """By name, as every program expects it."""
        link = self.folder + "/newaliases"
        if not os.path.lexists(link):
            os.symlink(self.programs + "/troika", link)
        command = self.command("newaliases")
        i = command.index(self.programs + "/troika")
        return subprocess.run(command[:i] + [link, "-c", self.config_file, *arguments], capture_output=True, text=True)

    def rcpt(self, address, sender="a@elsewhere.test"):
        with Dialogue(self.port) as d:
            d.reply()
            d.say("EHLO c.test")
            d.say(f"MAIL FROM:<{sender}>")
            return d.say(f"RCPT TO:<{address}>")


LIST = """# the people here
staff: alice,
       Bob Builder <bob>, (and far away)
       friend@far.test
team: staff, alice
alice: alice
some: bob, nobody, \\alice
none: nobody
root: bob
postmaster: root
"""


def test_two_local_users_and_one_remote():
    with Sink() as far:
        with WithAliases(LIST, far.port, relay_for='"192.0.2.0/24"') as t:  # 127.0.0.1 is a stranger
            id = t.send(to="Staff@example.test", sender="x@elsewhere.test")
            t.wait_mails("alice")
            t.wait_mails("bob")
            messages = wait_for(lambda: far.messages, what="the message at far.test")
            assert messages[0][1] == ["friend@far.test"], messages
            t.wait_empty()
            accepted = [e for e in t.trace(id) if e["event"] == "accepted"]
            assert accepted
            delivered = [e for e in t.trace(id) if e["event"] == "delivered"]
            assert len(delivered) == 3, delivered
            assert len(t.mails("alice")) == len(t.mails("bob")) == 1
            # an alias in an alias: still one each
            t.send(to="team@example.test")
            t.wait_mails("alice", 2)
            t.wait_mails("bob", 2)
            t.wait_empty()
            assert len(t.mails("alice")) == len(t.mails("bob")) == 2 and len(far.messages) == 2
            # but 127.0.0.1 may not send there itself
            assert t.rcpt("friend@far.test")[0] == 550


def test_failures_and_postmaster():
    with WithAliases(LIST) as t:
        t.send(to="some@example.test")
        t.wait_mails("bob")
        t.wait_mails("alice")
        line = next(x for x in t.log().splitlines() if "event=alias-target-failed" in x)
        assert "alias=<some@example.test>" in line and "to=<nobody@example.test>" in line and "at=aliases:7" in line
        code, words = t.rcpt("none@example.test")
        assert (code, words[0][:5]) == (550, "5.2.4")
        t.send(to="postmaster@example.test")
        t.wait_mails("bob", 2)
        assert t.rcpt("postmaster")[0] == 250


def test_explain_shows_the_whole_expansion():
    with WithAliases(LIST) as t:
        out = t.run("explain", "team@example.test")
        for words in ("local    example.test/alice, as <alice@example.test>", "relay    127.0.0.1:9, as <friend@far.test>",
                      "because  alias team of aliases:5, by troika.conf:4 domain example.test",
                      "  aliases:5 staff@example.test: alias staff of aliases:2", "    aliases:4 friend@far.test: troika.conf",
                      "the same as above"):
            assert words in out, out
        out = t.run("explain", "none@example.test", check=False)
        assert out.returncode == 67 and "aliases:8 nobody@example.test: gets nothing" in out.stdout
        facts = json.loads(t.run("explain", "--json", "staff@example.test"))
        assert [x["address"] for x in facts["targets"]] == ["alice@example.test", "bob@example.test", "friend@far.test"]
        t.stop()
        assert "aliases:2" in t.run("explain", "staff@example.test")


def test_a_change_is_seen_by_itself_and_a_broken_file_is_not_taken():
    with WithAliases("one: alice\n") as t:
        assert t.rcpt("one@example.test")[0] == 250
        assert t.rcpt("two@example.test")[0] == 550
        t.write("two: bob\n")
        wait_for(lambda: t.rcpt("two@example.test")[0] == 250, 10, "the new alias")
        assert t.rcpt("one@example.test")[0] == 550
        # replaced by rename, as editors do, and broken
        with open(t.aliases + ".new", "w") as f:
            f.write("three: bob\nfour: five\nfive: four\nsix: |/bin/cat\nseven: /tmp/x\neight: :include:/x\n")
        os.rename(t.aliases + ".new", t.aliases)
        wait_for(lambda: ":6: " in t.log(), 10, "the errors in the log")
        refused = [x for x in t.log().splitlines() if "event=aliases-refused" in x]
        assert [re.search(r"/aliases:(\d+): ", x).group(1) for x in refused] == ["4", "5", "6", "3"], refused
        assert any("four (line 2) -> five (line 3) -> four" in x for x in refused), refused
        assert t.rcpt("two@example.test")[0] == 250 and t.rcpt("three@example.test")[0] == 550
        t.write("three: bob\n")
        wait_for(lambda: t.rcpt("three@example.test")[0] == 250, 10, "the mended file")
        assert len([x for x in t.log().splitlines() if "event=aliases-refused" in x]) == 4  # each once
        os.unlink(t.aliases)
        wait_for(lambda: "No such file" in t.log(), 10, "the missing file in the log")
        assert t.rcpt("three@example.test")[0] == 250


def test_a_start_with_a_broken_file_loses_nothing():
    t = WithAliases("a: b\nb: a\n")
    with t:
        assert "event=aliases-refused" in t.log()
        code, words = t.rcpt("bob@example.test")  # nobody knows now what is an alias
        assert (code, words[0][:5]) == (451, "4.3.0")
        assert "event=aliases-unreadable" in t.log()
        t.write("a: bob\n")
        wait_for(lambda: t.rcpt("a@example.test")[0] == 250, 10, "the mended file")
        assert t.rcpt("bob@example.test")[0] == 250


def test_newaliases_by_name():
    with WithAliases("one: alice\n") as t:
        t.write("one: alice\ntwo: bob, alice\n")
        result = t.newaliases()
        assert result.returncode == 0, result
        assert re.fullmatch(r".*/aliases: 2 aliases, longest \d+ bytes, \d+ bytes total\n", result.stdout)
        assert t.rcpt("two@example.test")[0] == 250
        assert t.run("aliases", "show", "two").endswith("aliases:2: two: bob@example.test, alice@example.test\n")
        assert len(t.run("aliases").splitlines()) == 2
        assert json.loads(t.run("aliases", "--json", "show", "two@example.test"))["targets"] == ["bob@example.test", "alice@example.test"]
        assert t.run("aliases", "show", "three", check=False).returncode == 67
        assert t.run("aliases", "list", "other.test", check=False).returncode == 78
        t.write("one: alice\nlog: /var/log/mail\n")
        result = t.newaliases()
        assert result.returncode == 65 and re.search(r"aliases:2: \"/var/log/mail\" names a file.*come", result.stderr), result
        assert t.rcpt("two@example.test")[0] == 250  # as before
        assert t.newaliases("--no-such-option").returncode == 64


def test_newaliases_before_the_first_start():
    t = WithAliases("one: alice\n", users=())
    assert t.newaliases().returncode == 0
    assert "one: alice" in t.run("aliases", "list")
    with t:
        assert t.rcpt("one@example.test")[0] == 550  # alice has no account yet
        t.run("user", "add", "alice@example.test")
        assert t.rcpt("one@example.test")[0] == 250


@pytest.mark.parametrize("text, says", [
    ("a: b\nb: a\n", [":2: ", "a (line 1) -> b (line 2) -> a"]),
    ("a: |/bin/prog\n", [":1: ", "come with the address work"]),
    ("\na: b,\n  \"|/bin/prog x\"\n", [":3: ", "come with the address work"]),
    ("a: /dev/null\n", [":1: ", "comes with the address work"]),
    ("a: :include:/etc/list\n", [":1: ", "come with the address work"]),
    ("a: b\na: c\n", [":2: ", "already said in line 1"]),
    ("a b c\n", [":1: ", "NAME: ADDRESS"]),
])
def test_check_refuses_by_line(tmp_path, text, says):
    (tmp_path / "aliases").write_text(text)
    conf = tmp_path / "t.conf"
    conf.write_text(f'hostname = "mx.a.test"\nlisten smtp {{ address = {{ "127.0.0.1:2525" }} }}\ndomain "a.test" {{ aliases = "{tmp_path}/aliases" }}\n')
    result = subprocess.run([troika.programs() + "/troika", "check", "-c", str(conf)], capture_output=True, text=True)
    assert result.returncode == 78, result
    for word in says:
        assert f"{tmp_path}/aliases" + word in result.stderr if word.startswith(":") else word in result.stderr, result.stderr


def test_check_of_a_missing_file_and_a_wrong_statement(tmp_path):
    conf = tmp_path / "t.conf"
    for value, word in ((str(tmp_path / "none"), "No such file"), ("aliases", "absolute path")):
        conf.write_text(f'hostname = "mx.a.test"\nlisten smtp {{ address = {{ "127.0.0.1:2525" }} }}\ndomain "a.test" {{ aliases = "{value}" }}\n')
        result = subprocess.run([troika.programs() + "/troika", "check", "-c", str(conf)], capture_output=True, text=True)
        assert result.returncode == 78 and word in result.stderr, result


def test_reload_brings_aliases_and_takes_them_away():
    with WithAliases("one: alice\n") as t:
        with open(t.config_file) as f:
            with_aliases = f.read()
        with open(t.config_file, "w") as f:
            f.write(re.sub(r'aliases = "[^"]*"', "", with_aliases))
        t.process.send_signal(1)
        wait_for(lambda: t.rcpt("one@example.test")[0] == 550, 10, "the end of the aliases")
        t.write("one: bob\n")
        with open(t.config_file, "w") as f:
            f.write(with_aliases)
        t.process.send_signal(1)
        wait_for(lambda: t.rcpt("one@example.test")[0] == 250 and "bob" in t.run("explain", "one@example.test"), 10, "the aliases again")


@pytest.mark.skipif(os.geteuid() != 0, reason="privilege separation needs root")
def test_as_root_the_router_reads_what_root_built():
    with system_users(), WithAliases("one: alice\n", as_root=True) as t:
        owner = pwd.getpwnam("_troika-router")
        assert t.rcpt("one@example.test")[0] == 250
        t.write("two: alice\n")
        os.chmod(t.aliases, 0o600)  # root's own
        assert t.newaliases().returncode == 0
        assert t.rcpt("two@example.test")[0] == 250
        st = os.stat(t.state + "/accounts/aliases-example.test.cdb")
        assert (st.st_uid, st.st_mode & 0o777) == (owner.pw_uid, 0o640)

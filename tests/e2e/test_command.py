"""The troika command: what a person types, with the server up and down, and with wrong input."""
# SPDX-License-Identifier: ISC
import asyncio
import json
import os
import re
import shutil
import subprocess
import threading

import pytest
import troika
from sinks import Sink
from troika import Troika, free_port, programs, wait_for


@pytest.mark.parametrize("command", ["serve", "init", "check", "send", "queue", "trace", "explain", "user", "version"])
def test_help(command):
    program = troika.programs() + "/troika"
    result = subprocess.run([program, command, "--help"], capture_output=True, text=True)
    assert result.returncode == 0 and result.stdout.startswith(f"usage: troika {command}")
    assert subprocess.run([program, command, "--no-such-option"], capture_output=True).returncode == 64


def test_overview_and_unknown_command():
    program = troika.programs() + "/troika"
    assert subprocess.run([program, "--version"], capture_output=True, text=True).stdout.startswith("troika ")
    assert "explain" in subprocess.run([program, "--help"], capture_output=True, text=True).stdout
    result = subprocess.run([program, "serv"], capture_output=True, text=True)
    assert result.returncode == 64 and "serv" in result.stderr
    assert subprocess.run([program], capture_output=True).returncode == 64


def test_init_check_and_start(tmp_path):
    program = troika.programs() + "/troika"
    conf = tmp_path / "t.conf"
    troika.open_to_all(tmp_path)
    result = subprocess.run([program, "init", "--hostname", "mx.one.test", "--domain", "one.test", "--state", str(tmp_path / "s"), "-c", str(conf)],
                            capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert result.returncode == 0, result.stderr
    assert subprocess.run([program, "check", "-c", str(conf)]).returncode == 0
    again = subprocess.run([program, "init", "--hostname", "mx.one.test", "-c", str(conf)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert again.returncode == 73 and "--force" in again.stderr
    wrong = subprocess.run([program, "init", "--hostname", "not a name", "-c", str(tmp_path / "x")], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert wrong.returncode == 65 and not (tmp_path / "x").exists()


@pytest.mark.parametrize("text, says", [
    ('hostnam = "a.test"\n', ["1", "hostnam", "hostname"]),
    ('hostname = "a.test"\nhostname = "b.test"\n', ["2", "hostname"]),
    ('listen smtp { address = { "127.0.0.1:99999" } }\n', ["99999", "65535"]),
    ('message-size = "many"\n', ["1", "message-size"]),
    ('relay-for = { "0.0.0.0/0" }\n', ["relay-for", "0.0.0.0/0"]),
    ('domain "a.test" { accounts = yes }\ndomain "a.test" { accounts = yes }\n', ["2", "a.test"]),
    ('route "x.test" { via = "no server" }\n', ["via", "no server"]),
    ('state = "relative/path"\n', ["state", "/"]),
    ('hostname = "unclosed\n', ["1"]),
    ("\x00\x01\x02", []),
])
def test_check_says_where_what_and_what_would_be_right(tmp_path, text, says):
    conf = tmp_path / "bad.conf"
    conf.write_text(text)
    result = subprocess.run([troika.programs() + "/troika", "check", "-c", str(conf)], capture_output=True, text=True)
    assert result.returncode == 78, result
    assert "bad.conf" in result.stderr
    for word in says:
        assert word in result.stderr, result.stderr


def test_a_missing_configuration_says_what_to_do(tmp_path):
    result = subprocess.run([troika.programs() + "/troika", "check", "-c", str(tmp_path / "none.conf")], capture_output=True, text=True)
    assert result.returncode != 0 and "none.conf" in result.stderr


def test_users(server):
    assert [row.split()[0] for row in server.run("user", "list").splitlines()] == ["alice@example.test", "bob@example.test"]
    server.run("user", "add", "Carol@example.test")
    server.send(to="carol@example.test")
    server.wait_mails("carol")
    assert server.run("user", "add", "carol@example.test", check=False).returncode != 0
    assert "@" in server.run("user", "add", "carol", check=False).stderr
    elsewhere = server.run("user", "add", "x@elsewhere.test", check=False)
    assert elsewhere.returncode == 78 and "elsewhere.test" in elsewhere.stderr
    server.run("user", "rm", "carol@example.test")
    assert server.run("user", "rm", "carol@example.test", check=False).returncode == 67
    assert json.loads(server.run("user", "--json", "list").splitlines()[0])["address"] == "alice@example.test"


def test_trace_and_explain_at_once_after_the_250(server):
    for _ in range(20):
        id = server.send()
        events = server.trace(id)
        assert events and events[0]["event"] == "accepted", events
    server.wait_event(id, "delivered")
    text = server.run("trace", id)
    assert "accepted" in text and "delivered" in text and "bob@example.test" in text
    assert server.run("trace", "000000000000000", check=False).returncode == 65
    assert len([e for e in server.trace("bob@example.test") if e["event"] == "accepted"]) == 20


def test_explain(server):
    out = server.run("explain", "bob@example.test")
    assert "local" in out and "example.test/bob" in out and re.search(r"troika\.conf:\d+", out)
    result = server.run("explain", "nobody@example.test", check=False)
    assert result.returncode == 67 and "5.1.1" in result.stdout
    assert json.loads(server.run("explain", "--json", "bob@example.test"))["accepted"] is True
    for words in ("@", "@example.test"):
        assert "the name before the @ is missing" in server.run("explain", words, check=False).stdout
    assert "are never followed" in server.run("explain", "@a.test:bob@example.test", check=False).stdout
    server.stop()
    assert "local" in server.run("explain", "bob@example.test")


def test_queue_up_and_down():
    dead = free_port()
    with Troika(config=f'route "dead.test" {{ via = "127.0.0.1:{dead}" }}\n') as t:
        ids = [t.send(to=f"u{i}@dead.test") for i in range(3)]
        for id in ids:
            t.wait_event("u0@dead.test" if id == ids[0] else id, "deferred" if id == ids[0] else "accepted")
        rows = t.queue()
        assert sorted(r["msg"] for r in rows) == sorted(ids) and all("u" in r["to"] for r in rows)
        t.run("queue", "hold", ids[0])
        assert {r["state"] for r in t.queue(ids[0])} == {"held"}
        t.run("queue", "release", ids[0])
        assert {r["state"] for r in t.queue(ids[0])} != {"held"}
        assert ids[1] in t.run("queue", "show", ids[1])
        client = json.loads(t.run("queue", "--json", "show", ids[1]).splitlines()[0])["client"]
        assert client["address"] == "127.0.0.1" and client["name"] == "client.test" and client["with"] == "ESMTP", client
        assert "dead.test" in t.run("explain", ids[1])
        t.run("queue", "rm", ids[1])
        assert sorted(r["msg"] for r in t.queue()) == sorted([ids[0], ids[2]])
        t.stop()
        assert sorted(r["msg"] for r in t.queue()) == sorted([ids[0], ids[2]])
        assert t.trace(ids[1])[-1]["event"] == "removed"
        t.run("queue", "rm", ids[2])
        assert [r["msg"] for r in t.queue()] == [ids[0]]
        assert t.run("queue", "show", "no-such-id", check=False).returncode == 65
        t.start()
        assert [r["msg"] for r in t.queue()] == [ids[0]]
        with Sink(port=dead) as sink:
            t.run("queue", "retry", "@dead.test")
            wait_for(lambda: sink.messages, what="the message after retry")
        t.wait_empty()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_asks_about_the_stopped_server_of_a_plain_user():
    with Troika(config="hold = yes\n") as t:
        id = t.send()
        t.stop()
        t.as_root = True  # the commands from here on; the state is still the plain user's
        assert [r["msg"] for r in t.queue()] == [id]
        assert t.trace(id)[0]["event"] == "accepted"
        assert t.run("explain", "bob@example.test")
        t.run("queue", "release", id)
        t.as_root = False  # and it can go on with what root has left
        t.start()
        assert t.wait_mails("bob")


def test_what_is_being_delivered_is_left_alone():
    class Slow(Sink):
        async def handle_DATA(self, server, session, envelope):
            await asyncio.get_running_loop().run_in_executor(None, go_on.wait, 20)
            return await super().handle_DATA(server, session, envelope)

    go_on = threading.Event()

    with Slow() as slow, Troika(config=f'route "slow.test" {{ via = "127.0.0.1:{slow.port}" }}\n') as t:
        id = t.send(to="x@slow.test")
        wait_for(lambda: t.queue(id)[0]["state"] == "active", what="the delivery")
        for act in ("hold", "rm"):
            words = t.run("queue", act, id, check=False).stderr
            assert words.startswith("0 recipients") and "1 being delivered at this moment, left alone" in words
        go_on.set()
        t.wait_empty()
        assert len(slow.messages) == 1


def test_listings_for_people():
    with Troika(config="hold = yes\n") as t:
        id = t.send(sender="alice@example.test")
        lines = t.run("queue", "ls").splitlines()
        assert lines[0].split()[:3] == ["message", "state", "attempts"] and lines[1].split()[:2] == [id, "held"]
        assert lines[0].index("due") == lines[1].index("20", 20)
        shown = t.run("queue", "show", id)
        assert "  | Subject: " in shown and "\nto: <bob@example.test>\n  state: held\n" in shown and "\\x" not in shown


def test_odd_json():
    with Troika(config="hold = yes\n") as t:
        assert json.loads(t.run("user", "add", "--json", '"odd"@example.test'))["address"] == '"odd"@example.test'
        odd = subprocess.run([os.fsencode(a) for a in t.command("explain", "--json")] + [b"\xff\xfe@example.test"], capture_output=True)
        assert json.loads(odd.stdout)["accepted"] is False


@pytest.mark.parametrize("arguments, code", [
    (["version", "x"], 64), (["init", "x"], 64), (["user", "list", "a", "b"], 64), (["queue", "-c"], 64), (["check", "--json", "print"], 64),
    (["init", "--hostname", "a.test", "--state", '/a"b'], 64),
])
def test_wrong_arguments(arguments, code):
    result = subprocess.run([troika.programs() + "/troika", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert result.returncode == code and result.stderr.startswith(f"troika {arguments[0]}: "), result


def test_an_output_that_cannot_be_written_is_an_error():
    with open("/dev/full", "w") as full:
        result = subprocess.run([troika.programs() + "/troika", "version"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 74 and "No space left" in result.stderr


def test_an_unreadable_configuration_is_no_reason_for_init(tmp_path):
    troika.open_to_all(tmp_path)
    conf = tmp_path / "t.conf"
    conf.write_text("")
    os.chmod(conf, 0)
    drop = ["setpriv", "--reuid", troika.PLAIN_USER, "--clear-groups"] if os.geteuid() == 0 else []
    result = subprocess.run([*drop, troika.programs() + "/troika", "queue", "-c", str(conf)], capture_output=True, text=True)
    assert result.returncode == 78 and "init" not in result.stderr, result


def test_listing_accounts_makes_nothing(tmp_path):
    conf = tmp_path / "t.conf"
    conf.write_text(f'hostname = "mx.one.test"\nstate = "{tmp_path}/s"\n')
    result = subprocess.run([troika.programs() + "/troika", "user", "list", "-c", str(conf)], capture_output=True, text=True)
    assert result.returncode == 0 and not (tmp_path / "s").exists(), result


def test_hold_keeps():
    with Troika(config="hold = yes\n") as t:
        id = t.send()
        assert [r["state"] for r in t.queue()] == ["held"]
        assert not t.mails("bob")
        t.run("queue", "release", id)
        t.wait_mails("bob")


def test_a_new_start_keeps_what_waits():
    with Troika(config="hold = yes\n") as t:
        ids = {t.send() for _ in range(5)}
        t.stop()
        t.start()
        assert {r["msg"] for r in t.queue()} == ids
        t.run("queue", "release", "all")
        t.wait_mails("bob", 5)


def test_logs_are_lines_with_fixed_keys(server):
    id = server.send(sender='"odd name"@example.test')
    server.wait_event(id, "delivered")
    for line in server.log().splitlines():
        assert re.match(r"(<\d>)?(\w[\w-]*=(\"[^\"]*\"|\S*) ?)+$", line), line


def test_a_part_that_is_not_installed(tmp_path):
    """troika alone: what another program does is said to be missing, the rest works."""
    shutil.copy(programs() + "/troika", tmp_path)
    result = subprocess.run([tmp_path / "troika", "send", "--to", "a@b.test"], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    assert result.returncode == 69 and "outward: No such file or directory; a part of Troika is not installed" in result.stderr
    assert subprocess.run([tmp_path / "troika", "help", "send"], capture_output=True).returncode == 0

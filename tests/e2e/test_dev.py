"""./dev run and ./dev mail: what a person types first."""
# SPDX-License-Identifier: ISC
import os
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest
from troika import ROOT, free_port, wait_for


class DevRun:
    """./dev run on a free port with state of its own, in a process group of its own."""

    def __init__(self, port=None):
        self.folder = tempfile.mkdtemp(prefix="troika dev ")  # also with a blank
        os.chmod(self.folder, 0o755)
        self.environment = {**os.environ, "TROIKA_VAR": self.folder + "/var"}
        self.port = port or free_port()

    def __enter__(self):
        self.process = self.start()
        wait_for(lambda: "Ctrl-C" in self.output() or self.process.poll() is not None, 60, "the server")
        return self

    def start(self):
        with open(self.folder + "/output", "ab") as out:
            return subprocess.Popen([ROOT + "/dev", "run", str(self.port)], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                    env=self.environment, cwd="/", start_new_session=True)

    def output(self):
        with open(self.folder + "/output", errors="replace") as f:
            return f.read()

    def dev(self, *arguments):
        return subprocess.run([ROOT + "/dev", *arguments], capture_output=True, text=True, env=self.environment, cwd="/", timeout=60)

    def processes(self):
        """What is left of its session."""
        return subprocess.run(["ps", "-s", str(self.process.pid), "-o", "args="], capture_output=True, text=True).stdout

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)


def test_run_shows_a_message_and_its_life():
    with DevRun() as run:
        shown = run.output()
        assert "accepted" in shown and "event=delivered" in shown and "Where to look next" in shown, shown
        mail = run.dev("mail", "--", "-n")
        assert mail.returncode == 0 and "delivered" in mail.stdout, mail
        assert len(os.listdir(run.folder + "/var/mail/example.test/bob/new")) == 2


@pytest.mark.parametrize("signal_number, to_all", [(signal.SIGINT, True), (signal.SIGTERM, True), (signal.SIGTERM, False),
                                                   (signal.SIGHUP, False)])
def test_run_ends_politely_and_leaves_nothing(signal_number, to_all):
    with DevRun() as run:
        (os.killpg if to_all else os.kill)(run.process.pid, signal_number)
        assert run.process.wait(20) == 0
        assert "event=stopped" in run.output() and run.processes().strip() == ""


def test_a_second_run_says_that_one_runs():
    with DevRun() as run:
        second = run.start()
        assert second.wait(60) == 1 and "a server runs already" in run.output()
        assert run.process.poll() is None


def test_a_taken_port_is_said_at_once():
    with DevRun() as first, DevRun(port=first.port) as second:
        assert second.process.wait(60) == 1
        assert f"another program listens on 127.0.0.1:{first.port}" in second.output()


def test_mail_without_a_server():
    run = DevRun()
    result = run.dev("mail", "x")
    assert result.returncode == 1 and "./dev run" in result.stderr
    shutil.rmtree(run.folder)


def test_bench_says_who_has_its_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = subprocess.run([ROOT + "/bench/port-owner", str(port)], capture_output=True, text=True)
        assert result.returncode != 0 and f"port {port} is taken by " in result.stderr and f"(pid {os.getpid()})" in result.stderr
    assert subprocess.run([ROOT + "/bench/port-owner", str(port)]).returncode == 0

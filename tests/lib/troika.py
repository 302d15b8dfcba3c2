"""A Troika server for a test: its own folder, its own ports, ended with the test.

Run by root the server runs as `nobody`, unless privilege separation is the subject.
"""
# SPDX-License-Identifier: ISC
import asyncio
import contextlib
import fcntl
import itertools
import json
import os
import pwd
import random
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PLAIN_USER = "nobody"


def wait_for(condition, seconds=20.0, what="a condition"):
    """Returns the first true value of condition(); never sleeps for luck."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.01)


# Below the ports that the kernel takes for clients. Each process of pytest-xdist has its own part, and no port comes
# again before all others: two that ask at the same time, or one that asks twice before it listens, never get the same.
PORTS = range(10000, 32768)
PROCESSES_MAX = 16


def ports_of_this_process():
    part = len(PORTS) // PROCESSES_MAX
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % PROCESSES_MAX
    begin = random.randrange(part)  # another run of the tests begins elsewhere
    own = PORTS[number * part:(number + 1) * part]
    return itertools.cycle([*own[begin:], *own[:begin]])


ports = ports_of_this_process()


def free_port():
    """A port nobody has on any address of this machine, and which stays free until it is used."""
    for port in itertools.islice(ports, len(PORTS)):
        with socket.socket() as s:
            try:
                s.bind(("0.0.0.0", port))
                return port
            except OSError:
                pass
    raise AssertionError(f"no free port between {PORTS[0]} and {PORTS[-1]}")


@contextlib.contextmanager
def locked(name):
    """What only one of the tests that run at the same time (pytest-xdist) may do."""
    with open(f"{ROOT}/build/{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


ROLE_USERS = ["_troika-" + role for role in ("smtpd", "router", "queue", "relay", "local", "history", "logind")]


@contextlib.contextmanager
def system_users(*more):
    """The system users of an installation, and others; made if missing and taken away again."""
    made = []
    with locked("users"):
        try:
            for user in [*ROLE_USERS, *more]:
                try:
                    pwd.getpwnam(user)
                except KeyError:
                    subprocess.run(["useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", user], check=True)
                    made.append(user)
            yield
        finally:
            for user in made:
                subprocess.run(["userdel", user], check=False)


def open_to_all(folder):
    """Lets the plain user into a folder of pytest's, which are closed up to /tmp."""
    for one in [folder, *folder.parents]:
        if len(one.parts) > 2 and one.stat().st_uid == os.getuid():
            one.chmod(0o755)


def measured(*command, **more):
    """Runs a command: (exit code, its output, its peak of memory in KiB). From a small process of its own, because memory counts from the fork on."""
    script = "import resource, subprocess, sys; r = subprocess.run(sys.argv[1:]); print(r.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    out = subprocess.run([sys.executable, "-c", script, *map(str, command)], stdout=subprocess.PIPE, text=True, check=True, **more).stdout
    *output, last = out.splitlines()
    code, peak_kib = map(int, last.split())
    return code, "\n".join(output), peak_kib


class EventLoop:
    """A thread that runs an asyncio loop, for servers that are objects of a test."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, coroutine):
        """Its result; what it raises is raised here."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def stop(self):
        """Whatever still goes on there is broken off."""
        async def end():
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.run(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)


def programs():
    """A folder with troika and its roles that the plain user can enter (a clone may be below /root)."""
    build = os.path.join(ROOT, "build")
    if os.geteuid() != 0 or subprocess.run(["setpriv", "--reuid", PLAIN_USER, "--clear-groups", "test", "-x", build + "/troika"]).returncode == 0:
        return build
    copy = f"/var/tmp/troika-test-programs-{os.getpid()}"
    if not os.path.exists(copy):
        os.makedirs(copy)
        shutil.copy(build + "/troika", copy)
        for folder in ("libexec", "share", "locale"):
            shutil.copytree(f"{build}/{folder}", f"{copy}/{folder}")
        import atexit
        atexit.register(shutil.rmtree, copy, True)
    return copy


class Troika:
    """with Troika(config="hold = yes\\n") as t: t.port, t.state, t.run("queue", "ls")"""

    def __init__(self, config="", users=("alice", "bob"), domain="example.test", hostname="mail.example.test",
                 relay_for='"127.0.0.0/8"', as_root=False, listen=None, libexec=None, environment=None, smtpd=2, dns='forward = { "127.0.0.1@1" }'):
        self.folder = tempfile.mkdtemp(prefix="troika-e2e-")
        self.state = self.folder + "/state"
        self.port = free_port()
        self.as_root = as_root
        self.libexec = libexec
        self.environment = environment or {}
        self.config_file = self.folder + "/troika.conf"
        self.domain = domain
        self.process = None
        self.pass_fds = ()
        self.log_path = self.folder + "/log"
        self.programs = programs()
        os.mkdir(self.state)
        os.chmod(self.folder, 0o755)
        self.listen = listen or f"127.0.0.1:{self.port}"
        self.base = (f'hostname = "{hostname}"\nstate = "{self.state}"\nlisten smtp {{ address = {{ "{self.listen}" }} }}\n'
                     f'domain "{domain}" {{ accounts = yes }}\nrelay-for = {{ {relay_for} }}\nsmtpd = {smtpd}\n'
                     f'dns {{ {dns} }}\n')  # by default a resolver that is not there: no test asks the real one
        self.configure(config)
        if os.geteuid() == 0 and not as_root:
            entry = pwd.getpwnam(PLAIN_USER)
            for path in (self.folder, self.state):
                os.chown(path, entry.pw_uid, entry.pw_gid)
        for user in users:
            self.run("user", "add", f"{user}@{domain}")

    def configure(self, config):
        with open(self.config_file, "w") as f:
            f.write(self.base + config)

    def command(self, *arguments):
        command = [self.programs + "/troika", arguments[0], "-c", self.config_file]
        if self.libexec and arguments[0] == "serve":
            command += ["--libexec", self.libexec]
        command += arguments[1:]
        if os.geteuid() == 0 and not self.as_root:
            group = pwd.getpwnam(PLAIN_USER).pw_gid
            command = ["setpriv", "--reuid", PLAIN_USER, "--regid", str(group), "--clear-groups"] + command
        return command

    def run(self, *arguments, check=True, input=None, timeout=60):
        """Runs a subcommand; returns its standard output (check) or the whole result."""
        given = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        result = subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=timeout, **given,
                                env={**os.environ, **self.environment})
        if check:
            assert result.returncode == 0, f"troika {arguments}: exit {result.returncode}\n{result.stdout}{result.stderr}\n{self.log()[-3000:]}"
            return result.stdout
        return result

    def start(self):
        self.log_file = open(self.log_path, "ab")
        starts = self.log().count("event=ready")
        self.process = subprocess.Popen(self.command("serve"), stdout=self.log_file, stderr=self.log_file, stdin=subprocess.DEVNULL,
                                        env={**os.environ, **self.environment}, pass_fds=self.pass_fds)
        wait_for(lambda: self.log().count("event=ready") > starts or self.process.poll() is not None, 20, "the start of all workers")
        self.wait_ready()
        return self

    def wait_ready(self, seconds=20):
        def ready():
            assert self.process.poll() is None, f"the server ended with {self.process.returncode}:\n{self.log()[-4000:]}"
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as s:
                    s.settimeout(5)
                    return s.recv(3) == b"220"
            except OSError:
                return False
        wait_for(ready, seconds, "a greeting")

    def stop(self, seconds=20):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("the server did not end on SIGTERM\n" + self.log()[-3000:])
        return self.process.returncode if self.process else None

    def kill(self):
        if self.process and self.process.poll() is None:
            for pid in self.workers().values():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.kill()
            self.process.wait()

    def workers(self):
        """{name: pid}: {"parent": …, "smtpd 0": …}"""
        found = {}
        parent = self.process.pid
        found["parent"] = parent
        try:
            with open(f"/proc/{parent}/task/{parent}/children") as f:
                children = f.read().split()
        except OSError:
            return found
        for pid in children:
            try:
                with open(f"/proc/{pid}/comm") as f:
                    name = f.read().strip()
            except OSError:
                continue
            while name in found:
                name += "+"
            found[name] = int(pid)
        return found

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        if kind:
            print("---- the server's log ----\n" + self.log()[-6000:], file=sys.stderr)
        try:
            if kind:
                self.kill()
            else:
                self.stop()
        finally:
            self.kill()
            shutil.rmtree(self.folder, ignore_errors=True)

    # ---- what tests ask for again and again ----

    def smtp(self, **more):
        return smtplib.SMTP("127.0.0.1", self.port, local_hostname="client.test", timeout=30, **more)

    def send(self, to="bob@example.test", text="Subject: test\r\n\r\nhello\r\n", sender="alice@example.test"):
        """Sends by smtplib, returns the id in the 250."""
        with self.smtp() as s:
            s.ehlo_or_helo_if_needed()
            assert s.mail(sender)[0] == 250
            for one in [to] if isinstance(to, str) else to:
                code, words = s.rcpt(one)
                assert code == 250, (one, code, words)
            code, words = s.data(text)
            assert code == 250, (code, words)
            return re.search(rb"id ([0-9a-z]{15})", words).group(1).decode()

    def mailbox(self, user, domain=None):
        return f"{self.state}/mail/{domain or self.domain}/{user}"

    def mails(self, user, domain=None):
        """Whole messages in the mailbox's new/, as bytes, oldest first."""
        folder = self.mailbox(user, domain) + "/new"
        if not os.path.isdir(folder):
            return []
        return [open(f"{folder}/{name}", "rb").read() for name in sorted(os.listdir(folder))]

    def wait_mails(self, user, count=1, seconds=20, domain=None):
        try:
            return wait_for(lambda: (m := self.mails(user, domain)) and len(m) >= count and m, seconds, f"{count} message(s) for {user}")
        except AssertionError as e:
            raise AssertionError(f"{e}; there are {len(self.mails(user, domain))}\n{self.log()[-4000:]}") from None

    def trace(self, what):
        """Events as dictionaries."""
        result = self.run("trace", "--json", what, check=False)
        return [json.loads(line) for line in result.stdout.splitlines()]

    def wait_event(self, what, event, seconds=20):
        return wait_for(lambda: [e for e in self.trace(what) if e["event"] == event], seconds, f"event {event} of {what}")

    def queue(self, which="all"):
        return [json.loads(line) for line in self.run("queue", "--json", "ls", which).splitlines()]

    def wait_empty(self, seconds=30):
        wait_for(lambda: not self.queue(), seconds, "an empty queue")


def last_line(file):
    """The last line of one reply, of a socket's file; OSError: it was cut."""
    while True:
        line = file.readline()
        if not line.endswith(b"\n"):
            raise OSError("cut")
        if line[3:4] != b"-":
            return line


class Dialogue:
    """Bytes over a socket, as a person at telnet would: send lines, read replies."""

    def __init__(self, port, host="127.0.0.1", source=None):
        self.socket = socket.create_connection((host, port), timeout=20, source_address=(source, 0) if source else None)
        self.rest = b""

    def raw(self, data):
        self.socket.sendall(data)

    def line(self):
        while b"\n" not in self.rest:
            more = self.socket.recv(65536)
            if not more:
                return None
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return line.rstrip(b"\r").decode("latin-1")

    def reply(self):
        """One whole reply: (code, [lines])."""
        lines = []
        while True:
            line = self.line()
            if line is None:
                return (0, lines)
            lines.append(line[4:])
            if line[3:4] != "-":
                return int(line[:3]), lines

    def say(self, line):
        self.raw(line.encode("latin-1") + b"\r\n")
        return self.reply()

    def ended(self):
        """Did the other side close, with nothing more to read?"""
        try:
            return self.line() is None
        except ConnectionResetError:
            return True

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

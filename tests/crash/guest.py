#!/usr/bin/python3
"""The init of User Mode Linux in the physical crash test; physical.py starts it (TASK=record or TASK=replay).

Its root is the host's, read-only; TREE is this clone, on /opt; WORK, a folder of the host, is writable on /srv. record: Troika on a real
ext4 over dm-log-writes; every promise is a mark among the disk's writes. replay: the checker, on states of that disk.
"""
# SPDX-License-Identifier: ISC
import ctypes
import fcntl
import functools
import itertools
import os
import pwd
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

TREE, WORK = "/opt", "/srv"
sys.path.insert(0, TREE + "/tests/lib")
FAR = ("far.test", "slow.test", "dead.test")
LINE = 64
ACCEPTED_MIN = 20


# ---- the machine ----

libc = ctypes.CDLL(None, use_errno=True)


def mount(kind, where, source="none", options=""):
    if libc.mount(source.encode(), where.encode(), kind.encode(), 0, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), f"mount {kind} on {where}")


def load(*names):
    """Modules of the Debian package, in this order."""
    folder = f"/usr/lib/uml/modules/{os.uname().release}/kernel/drivers"
    for name in names:
        with open(f"{folder}/{name}.ko", "rb") as module:
            if libc.syscall(313, module.fileno(), b"", 0) != 0:  # finit_module
                raise OSError(ctypes.get_errno(), name)


def prepare():
    os.environ.update(PATH="/usr/sbin:/usr/bin:/sbin:/bin", HOME="/tmp", LC_ALL="C.UTF-8")
    mount("hostfs", TREE, options=os.environ["TREE"])  # before /tmp, where it may be
    mount("hostfs", WORK, options=os.environ["WORK"])
    mount("proc", "/proc")
    mount("sysfs", "/sys")
    for folder in ("/tmp", "/run", "/var/tmp"):
        mount("tmpfs", folder, options="mode=1777")
    os.makedirs("/dev/shm", exist_ok=True)
    mount("tmpfs", "/dev/shm")
    with socket.socket() as s:  # lo up: SIOCSIFFLAGS
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 1 | 0x40))
    socket.sethostname("mail.example.test")


class Device:
    """A device-mapper device, asked by its ioctls: a mark must cost little."""

    CREATE, REMOVE, SUSPEND, LOAD, MESSAGE = 3, 4, 6, 9, 14

    def __init__(self, name, target, sectors, words):
        self.name = name
        self.control = open("/dev/mapper/control", "rb")
        self.lock = threading.Lock()
        self.ask(self.CREATE)
        words = words.encode() + b"\0"
        words += bytes(-len(words) % 8)
        self.ask(self.LOAD, struct.pack("QQiI16s", 0, sectors, 0, 40 + len(words), target.encode()) + words, targets=1)
        device = self.ask(self.SUSPEND)  # without the flag: resume
        self.path = f"/tmp/{name}"
        os.mknod(self.path, 0o600 | 0x6000, os.makedev(device >> 8 & 0xfff, device & 0xff))

    def ask(self, number, data=b"", targets=0):
        head = struct.pack("<3IIIIiIIIQ128s129s7x", 4, 0, 0, 312 + len(data), 312, targets, 0, 0, 0, 0, 0,
                           self.name.encode(), b"")
        block = bytearray(head + data)
        fcntl.ioctl(self.control, 0xC138FD00 | number, block)  # _IOWR(0xfd, number, 312 bytes)
        return struct.unpack_from("<Q", block, 40)[0]

    def mark(self, *words):
        with self.lock:
            self.ask(self.MESSAGE, struct.pack("Q", 0) + f"mark {'|'.join(words)}".encode() + b"\0")

    def remove(self):
        self.ask(self.REMOVE)


# ---- messages that say what they must be ----

def content(name, lines):
    body = "".join(f"{name} {i:08d} ".ljust(LINE, "x") + "\r\n" for i in range(lines))
    return f"Subject: {name}\r\nX-Lines: {lines}\r\n\r\n{body}".encode()


class Peer(threading.Thread):
    """A next hop: says 250 only after its mark; often it says something else, or hangs up."""

    def __init__(self, mark, seed):
        super().__init__(daemon=True)
        self.mark, self.random, self.count = mark, random.Random(seed), 0
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.port = self.socket.getsockname()[1]

    def run(self):
        while True:
            one, _ = self.socket.accept()
            threading.Thread(target=self.session, args=(one,), daemon=True).start()

    def session(self, one):
        try:
            with one, one.makefile("rb") as file:
                self.talk(one, file)
        except OSError:
            pass

    def talk(self, one, file):
        to = []
        one.sendall(b"220 far.test\r\n")
        while line := file.readline():
            verb = line[:4].upper()
            answer = b"250 ok\r\n"
            if verb == b"MAIL":
                to = []
            if verb == b"RCPT":
                address = re.search(rb"<(.*?)>", line).group(1).decode()
                if self.random.random() < 0.3:
                    answer = b"450 4.2.0 later\r\n"
                else:
                    to.append(address)
            if verb == b"QUIT":
                return
            if verb == b"DATA":
                one.sendall(b"354 go on\r\n" if to else b"503 whom?\r\n")
                if not to:
                    continue
                text = b""
                while (part := file.readline()) != b".\r\n":
                    if not part or self.random.random() < 0.0005:
                        return
                    text += part
                answer = self.taken(text, to)
            one.sendall(answer)

    def taken(self, text, to):
        if self.random.random() < 0.2:
            return b"451 4.3.0 later\r\n"
        name = re.search(rb"^Subject: (\S+)\r$", text, re.M).group(1).decode()
        lines = int(re.search(rb"^X-Lines: (\d+)\r$", text, re.M).group(1))
        if not text.endswith(content(name, lines)):
            self.mark("torn", name)
        for address in to:
            self.mark("taken", name, address)
        self.count += 1
        return b"250 taken\r\n"


class Sender(threading.Thread):
    """Sessions with several messages each; a 250 becomes a mark before anything else is done."""

    SIZES = [1] * 8 + [40] * 5 + [400, 900, 1100, 2500, 5000]

    def __init__(self, server, number, mark, seed):
        super().__init__(daemon=True)
        self.server, self.number, self.mark = server, number, mark
        self.random = random.Random(f"{seed}-{number}")
        self.count, self.accepted, self.stop = 0, [], False

    def run(self):
        while not self.stop:
            try:
                self.session()
            except OSError:
                time.sleep(0.02)

    def whom(self):
        return self.random.sample(["alice@example.test", "bob@example.test"] + [f"x{n}@{d}" for n in (1, 2) for d in FAR],
                                  self.random.choice([1, 1, 1, 2, 3]))

    def session(self):
        from troika import last_line
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=30) as s, s.makefile("rb") as file:
            reply = functools.partial(last_line, file)
            if not reply().startswith(b"220"):
                return
            s.sendall(b"EHLO load.test\r\n")
            reply()
            for _ in range(8):
                if not self.stop:
                    self.one(s, reply)

    def one(self, s, reply):
        self.count += 1
        name, lines, to = f"m{self.number}-{self.count}", self.random.choice(self.SIZES), self.whom()
        s.sendall(b"MAIL FROM:<alice@example.test>\r\n" + b"".join(b"RCPT TO:<%s>\r\n" % one.encode() for one in to) + b"DATA\r\n")
        answers = [reply() for _ in range(len(to) + 2)]
        if not answers[-1].startswith(b"354"):
            s.sendall(b"RSET\r\n")
            reply()
            return
        taken = [one for one, answer in zip(to, answers[1:]) if answer.startswith(b"250")]
        s.sendall(content(name, lines) + b".\r\n")
        answer = reply()
        if answer.startswith(b"250"):
            id = re.search(rb"id ([0-9a-z]{15})", answer).group(1).decode()
            self.mark("accepted", name, id, ",".join(taken))
            self.accepted.append((name, id))


# ---- record ----

def person(t, senders, mark, source):
    """What a person does to the queue."""
    some = [pair for s in senders for pair in s.accepted[-20:]]
    if not some:
        return
    name, id = source.choice(some)
    what = source.choice(["hold", "retry", "rm", "release"])
    if what == "rm":
        mark("removing", name)
    which = "all" if what == "release" else id
    t.run("queue", what, which, check=False)


def leave(t, number, mark, source):
    """`sendmail` while the server is down: its exit status 0 is a promise like a 250."""
    name, to = f"d{number}", source.choice(["bob@example.test", "alice@example.test,x1@far.test"])
    link = t.folder + "/sendmail"
    if not os.path.lexists(link):
        os.symlink(t.programs + "/troika", link)
    user = str(pwd.getpwnam("nobody").pw_uid)
    text = content(name, source.choice([1, 50, 2000])).replace(b"\r\n", b"\n")
    result = subprocess.run(["setpriv", "--reuid", user, "--regid", user, "--clear-groups", link, "-oi", "-f", "alice@example.test",
                             *to.split(",")], input=text, env={**os.environ, **t.environment, "TROIKA_CONF": t.config_file})
    if result.returncode == 0:
        mark("left", name, "-", to)


def work(t, device, seconds, seed):
    source = random.Random(seed)
    senders = [Sender(t, number, device.mark, seed) for number in range(5)]
    for sender in senders:
        sender.start()
    end, left = time.monotonic() + seconds, 0
    for event in itertools.cycle(["person", "death", "person", "down"]):
        if time.monotonic() > end:
            break
        time.sleep(0.2 + source.random() / 2)
        if event == "person":
            person(t, senders, device.mark, source)
        if event == "death":
            role = source.choice(["queue", "local", "relay", "smtpd"])
            for name, pid in t.workers().items():
                if role in name:
                    os.kill(pid, 9)
        if event == "down":
            t.kill()
            for _ in range(2):
                left += 1
                leave(t, left, device.mark, source)
            t.start()
    for sender in senders:
        sender.stop = True
    for sender in senders:
        sender.join(30)
    accepted = sum(len(s.accepted) for s in senders)
    if accepted < ACCEPTED_MIN:
        raise AssertionError(f"only {accepted} messages were acknowledged: nothing is proved by that")
    print(f"record: {accepted} messages acknowledged, {left} left to a server that was down", flush=True)


def record():
    from troika import Troika, free_port, wait_for
    load("md/dm-mod", "md/dm-log-writes")
    seed, seconds = os.environ["SEED"], float(os.environ["SECONDS"])
    with open("/sys/block/ubda/size") as size:
        device = Device("disk", "log-writes", int(size.read()), "/dev/ubda /dev/ubdb")
    tempfile.tempdir = "/tmp"
    peers = [Peer(device.mark, f"{seed}-{n}") for n in range(2)]
    for peer in peers:
        peer.start()
    ports = [peers[0].port, peers[1].port, free_port()]
    routes = "".join(f'route "{d}" {{ via = "127.0.0.1:{p}" }}\n' for d, p in zip(FAR, ports))
    liar = os.environ.get("LIAR")
    t = Troika(config=routes + 'retry = { 1s }\nfree-floor = 0\n', users=(),
               environment={"LD_PRELOAD": WORK + "/no_sync.so", "TROIKA_LIAR": liar} if liar else {})
    mount("ext4", t.state, source=device.path)
    user = pwd.getpwnam("nobody")
    os.chown(t.state, user.pw_uid, user.pw_gid)
    for name in ("alice", "bob"):
        t.run("user", "add", f"{name}@example.test")
    try:
        t.start()
        work(t, device, seconds, seed)
    finally:
        with open(WORK + "/server.log", "w") as log:
            log.write(t.log())
        t.kill()
    print(f"record: the next hops took {sum(p.count for p in peers)}", flush=True)
    wait_for(lambda: libc.umount2(t.state.encode(), 0) == 0, 20, "the end of all processes")
    device.remove()


def replay():
    load("block/loop")
    arguments = [TREE + "/build/release/tests/crash/physical", WORK + "/log", WORK + "/base", *os.environ["CHECK"].split(",")]
    code = subprocess.run(arguments).returncode
    print(f"replay: ended with {code}", flush=True)


if __name__ == "__main__":
    try:
        prepare()
        {"record": record, "replay": replay}[os.environ["TASK"]]()
        print("guest: done", flush=True)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os.sync()
        libc.reboot(0x4321FEDC)

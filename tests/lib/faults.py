"""Calls of a running server that fail when a test wants it: tests/lib/faults.c and its board."""
# SPDX-License-Identifier: ISC
import errno
import mmap
import os
import re
import struct
import subprocess

from troika import ROOT

ROLES = ("nobody", "parent", "child", "smtpd", "router", "queue", "relay", "local", "history", "command")
FUNCTIONS = ("any", "open", "create", "read", "write", "sync", "rename", "link", "unlink", "mkdir", "truncate", "allocate", "receive", "send",
             "socket", "accept", "connect", "duplicate", "epoll", "fork", "thread", "map", "memfd", "memory")
# What the kernel may say to each, of what this test is about.
ERRORS = {"open": ("EMFILE",), "create": ("ENOSPC", "EMFILE"), "read": ("EIO",), "write": ("ENOSPC", "EIO"), "sync": ("EIO", "ENOSPC"),
          "rename": ("ENOSPC",), "link": ("ENOSPC",), "unlink": ("EIO",), "mkdir": ("ENOSPC",), "truncate": ("EIO",), "allocate": ("ENOSPC", "EIO"),
          "receive": ("ENOMEM",), "send": ("ENOBUFS", "ENOMEM"), "socket": ("EMFILE", "ENOBUFS"), "accept": ("EMFILE", "ENOMEM"), "connect": ("EADDRNOTAVAIL",),
          "duplicate": ("EMFILE",), "epoll": ("ENOSPC", "ENOMEM"), "fork": ("EAGAIN", "ENOMEM"), "thread": ("EAGAIN",), "map": ("ENOMEM",),
          "memfd": ("EMFILE", "ENOMEM"), "memory": ("ENOMEM",)}
HEAD, SITE, SITES_MAX, FRAMES = 56, 128, 32768, 12
FOREVER = 1 << 62


class Site:
    def __init__(self, key, role, function, calls, acts, frames):
        self.key, self.role, self.function, self.calls, self.acts, self.frames = key, ROLES[role], FUNCTIONS[function], calls, acts, frames


class Board:
    """What is counted and ordered, shared with every process of the server."""

    def __init__(self, folder):
        self.library = folder + "/faults.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-fno-optimize-sibling-calls", "-o", self.library, f"{ROOT}/tests/lib/faults.c"], check=True)
        self.path = folder + "/faults"
        with open(self.path, "wb") as f:
            f.truncate(HEAD + SITE * SITES_MAX)
        os.chmod(self.path, 0o666)
        with open(self.path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 0)

    def environment(self, command=False):
        return {"LD_PRELOAD": self.library, "TROIKA_FAULTS": self.path, **({"TROIKA_FAULTS_COMMAND": "1"} if command else {})}

    def put(self, form, at, value):
        self.map[at:at + struct.calcsize(form)] = struct.pack(form, value)

    def count(self, act):
        """From now on sites are noted, with the number of this part of the test; None: no more."""
        self.put("Q", 48, 1 << act if act is not None else 0)
        self.put("I", 0, act is not None)

    def order(self, error, times=1, role="nobody", function="any", site=0):
        self.withdraw()
        self.put("I", 8, ROLES.index(role))
        self.put("I", 12, FUNCTIONS.index(function))
        self.put("Q", 16, site)
        self.put("i", 24, getattr(errno, error))
        self.put("q", 32, times)
        self.put("Q", 40, 0)
        self.put("I", 4, 1)

    def withdraw(self):
        self.put("I", 4, 0)

    def injected(self):
        return struct.unpack_from("Q", self.map, 40)[0]

    def sites(self):
        found = []
        for at in range(HEAD, HEAD + SITE * SITES_MAX, SITE):
            key, role, function, calls, acts, *frames = struct.unpack_from(f"QIIQQ{FRAMES}Q", self.map, at)
            if key and calls:
                found.append(Site(key, role, function, calls, acts, [f for f in frames if f]))
        return sorted(found, key=lambda s: (s.role, s.function, s.key))


class Names:
    """Names for addresses: of each role's program, from what is mapped in one of its processes."""

    def __init__(self):
        self.maps, self.symbols = {}, {}

    def learn(self, role, pid):
        with open(f"/proc/{pid}/maps") as f:
            rows = [line.split() for line in f]
        self.maps[role] = [(int(r[0].split("-")[0], 16), int(r[0].split("-")[1], 16), int(r[2], 16), r[5]) for r in rows if len(r) > 5 and r[5].startswith("/")]

    def table(self, path):
        if path not in self.symbols:
            rows = []
            for option in ((), ("-D",)):
                out = subprocess.run(["nm", "-n", *option, path], capture_output=True, text=True).stdout
                rows += [(int(a, 16), name) for a, name in re.findall(r"^([0-9a-f]+) [tTwWi] (\S+)$", out, re.M)]
            self.symbols[path] = sorted(rows)
        return self.symbols[path]

    def of(self, role, address):
        for begin, end, offset, path in self.maps.get(role, ()):
            if begin <= address < end:
                base = min(b for b, _, _, p in self.maps[role] if p == path)
                below = [name for at, name in self.table(path) if at <= address - base]
                inside = re.split(r"[.@]", below[-1])[0] if below else "?"
                return inside if "troika" in path or "libexec" in path or "build" in path else f"{os.path.basename(path).split('.')[0]}:{inside}"
        return hex(address)

    def stack(self, site):
        return " < ".join(self.of(site.role, a) for a in site.frames)

"""A clock that a test drives: all roles of a server but the parent live in its future (moved_clock.c)."""
# SPDX-License-Identifier: ISC
import mmap
import os
import struct
import subprocess

from troika import ROOT


class Clock:
    """clock = Clock(t) before t.start(); clock.pass_by(3600) afterwards"""

    def __init__(self, t):
        library = t.folder + "/moved_clock.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, os.path.join(ROOT, "tests/lib/moved_clock.c")], check=True)
        self.ahead_us = 0
        path = t.folder + "/clock"
        with open(path, "wb") as f:
            f.write(bytes(8))
        os.chmod(path, 0o666)
        self.file = open(path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 8)
        t.environment.update({"LD_PRELOAD": library, "TROIKA_CLOCK": path})

    def pass_by(self, seconds):
        self.ahead_us += int(seconds * 1_000_000)
        self.map[0:8] = struct.pack("q", self.ahead_us)

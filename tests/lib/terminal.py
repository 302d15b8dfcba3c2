"""A person at a terminal: types, reads, sees whether it echoes."""
# SPDX-License-Identifier: ISC
import os
import pty
import select
import signal
import termios
import time

from troika import wait_for


class Terminal:
    """A command whose terminal we are: Terminal(["/bin/cat"], TERM="xterm")."""

    def __init__(self, command, **environment):
        self.shown = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # of a shell's background it would be ignored
            os.execvpe(command[0], command, {**os.environ, **environment})

    def read(self):
        """One more piece of what it shows; False: it has ended."""
        if not select.select([self.fd], [], [], 60)[0]:
            raise AssertionError(f"nothing more than {self.shown!r}")
        try:
            piece = os.read(self.fd, 4096)
        except OSError:
            return False
        self.shown += piece
        return bool(piece)

    def wait(self, words):
        """words: bytes, or a compiled pattern of them. A minute at most, also for a program that goes on talking."""
        end = time.monotonic() + 60
        while not (words in self.shown if isinstance(words, bytes) else words.search(self.shown)):
            assert self.read(), self.shown
            assert time.monotonic() < end, f"{words!r} is not in {self.shown!r}"

    def type(self, prompt, text):
        """Types only when nothing is echoed any more."""
        self.wait(prompt)
        wait_for(lambda: not termios.tcgetattr(self.fd)[3] & termios.ECHO, 30, "a terminal without echo")
        self.shown = self.shown.split(prompt, 1)[1]
        os.write(self.fd, text)

    def end(self):
        while self.read():
            pass
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)

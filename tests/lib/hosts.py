"""Scripted SMTP servers on loopback: each address 127.x.y.z is one, with a script of its own; all on one port.

    with Hosts() as hosts: hosts.add("127.2.0.1", {"DATA": b"421 4.3.2 closing\\r\\n"}); hosts.port

A script replaces answers of a good server, by stage: "greeting", "EHLO", "HELO", "MAIL", "RCPT" (all), "RCPT 1",
"RCPT 2"…, "DATA", "dot", "RSET", "QUIT". An answer is bytes, or an action: a coroutine function (session, what the
good server says). It holds for the first attempt, or for as many as are said; a good server comes after.
Who says LHLO is answered as in LMTP: once for each recipient.
An attempt is a session, and every further MAIL in it.
"""
# SPDX-License-Identifier: ISC
import asyncio
import re
import socket
import struct
import time

from troika import EventLoop

BLOCK = 64 * 1024


class Over(Exception):
    """The session has ended."""


class Message:
    """One MAIL command and what followed."""

    def __init__(self, attempt):
        self.attempt, self.begun, self.rcpt_count = attempt, False, 0
        self.recipients, self.content, self.verdict = [], None, b""
        self.time = time.time()

    @property
    def whole(self):
        return self.content is not None

    @property
    def taken(self):
        """The client was told so, in full."""
        return self.whole and re.match(rb"(250-[^\0\n]{0,512}\n)*250 [^\0\n]{0,512}\n", self.verdict) is not None

    @property
    def told(self):
        """The recipients that the client of LMTP was told about, in full."""
        return self.recipients[:self.verdict.count(b"\n")]


class Session:
    def __init__(self, host, reader, writer):
        self.host, self.reader, self.writer = host, reader, writer
        host.attempts += 1
        self.attempt = host.attempts
        self.cut = host.cut if self.scripted else None
        self.heard = self.said = 0
        self.buffer = b""
        self.message = None
        self.lmtp = False

    @property
    def scripted(self):
        return self.attempt <= self.host.attempts_scripted

    # ---- bytes ----

    def end(self, reset=False):
        if reset:
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.writer.transport.abort()
        else:
            self.writer.close()
        raise Over

    def part(self, side, done, wanted):
        """How many of these bytes come before the cut."""
        return min(wanted, self.cut.at - done) if self.cut and self.cut.side == side else wanted

    def cut_here(self, side, done):
        if self.cut and self.cut.side == side and done == self.cut.at:
            self.end(self.cut.reset)

    async def raw(self, data):
        n = self.part("said", self.said, len(data))
        self.writer.write(data[:n])
        self.said += n
        if self.message and self.message.whole and len(self.message.verdict) < BLOCK:
            self.message.verdict += data[:n]
        await self.writer.drain()
        self.cut_here("said", self.said)

    async def more(self):
        data = await self.reader.read(self.part("heard", self.heard, BLOCK))
        if not data:
            self.end()
        self.heard += len(data)
        self.buffer += data

    async def until(self, mark):
        """What comes before the mark. The cut comes when what is whole by then has been answered."""
        while mark not in self.buffer:
            self.cut_here("heard", self.heard)
            await self.more()
        text, self.buffer = self.buffer.split(mark, 1)
        return text

    # ---- SMTP ----

    async def answer(self, stage, good):
        script = self.host.script if self.scripted else {}
        told = script.get(stage, script.get(stage.split(" ")[0], good))
        if callable(told):
            await told(self, good)
        else:
            await self.raw(told)
        return good if callable(told) else told

    async def serve(self):
        await self.answer("greeting", b"220 h ESMTP\r\n")
        while True:
            line = await self.until(b"\r\n")
            await self.command(line.split(b" ")[0].split(b":")[0].upper().decode("latin-1"), line)

    async def command(self, verb, line):
        self.lmtp = self.lmtp or verb == "LHLO"
        good = {"EHLO": self.host.ehlo, "LHLO": self.host.ehlo, "HELO": b"250 hello\r\n", "MAIL": b"250 2.1.0 ok\r\n", "RCPT": b"250 2.1.5 ok\r\n",
                "DATA": b"354 go on\r\n", "RSET": b"250 2.0.0 ok\r\n", "QUIT": b"221 2.0.0 bye\r\n"}.get(verb, b"500 5.5.1 what?\r\n")
        if verb == "MAIL":
            self.mail()
        if verb == "RCPT":
            self.message.rcpt_count += 1
            verb = f"RCPT {self.message.rcpt_count}"
            good = good if self.message.begun else b"503 5.5.1 from whom?\r\n"
        if verb == "DATA" and not self.message.recipients:
            good = b"503 5.5.1 for whom?\r\n"
        told = await self.answer(verb, good)
        if verb == "MAIL":
            self.message.begun = told.startswith(b"2")
        if verb.startswith("RCPT ") and told.startswith(b"2"):
            self.message.recipients.append(line.split(b"<")[1].split(b">")[0].decode())
        if verb == "QUIT":
            self.host.over.append((self.heard, self.said))
            self.end()
        if verb == "DATA" and told.startswith(b"354"):
            self.buffer = b"\r\n" + self.buffer  # a dot alone is a whole message too
            self.message.content = (await self.until(b"\r\n.\r\n"))[2:] + b"\r\n"
            for _ in self.message.recipients if self.lmtp else [None]:
                await self.answer("dot", b"250 2.0.0 taken\r\n")

    def mail(self):
        if self.message:
            self.host.attempts += 1
            self.attempt = self.host.attempts
        self.message = Message(self.attempt)
        self.host.messages.append(self.message)


class Cut:
    """The connection ends after so many bytes "heard" (ours) or "said" (the host's)."""

    def __init__(self, side, at, reset=False):
        self.side, self.at, self.reset = side, at, reset


class Host:
    def __init__(self, script, cut, attempts, ehlo):
        self.script, self.cut, self.attempts_scripted, self.ehlo = script, cut, attempts, ehlo
        self.attempts = 0
        self.messages = []  # all that were begun
        self.over = []      # (heard, said) in bytes of each session that ended with QUIT

    def taken(self):
        return [m for m in self.messages if m.taken]


EHLO_PIPELINING = b"250-hello\r\n250-8BITMIME\r\n250 PIPELINING\r\n"
EHLO_PLAIN = b"250 hello\r\n"


class Hosts:
    def __init__(self):
        self.by_address = {}

    def add(self, address, script=None, cut=None, attempts=1, ehlo=EHLO_PIPELINING):
        self.by_address[address] = host = Host(script or {}, cut, attempts, ehlo)
        return host

    async def connected(self, reader, writer):
        host = self.by_address.get(writer.get_extra_info("sockname")[0])
        if not host:
            writer.transport.abort()
            return
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await Session(host, reader, writer).serve()
        except (Over, OSError):
            pass
        finally:
            writer.close()

    def __enter__(self):
        self.events = EventLoop()
        self.server = self.events.run(asyncio.start_server(self.connected, "0.0.0.0", 0, limit=BLOCK, backlog=4096))
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_):
        self.events.loop.call_soon_threadsafe(self.server.close)
        self.events.stop()


# ---- actions ----

def drip(pause, *text):
    """The good answer, or this one, byte by byte."""
    async def action(session, good):
        for byte in (text[0] if text else good):
            await session.raw(bytes([byte]))
            await asyncio.sleep(pause)
    return action


def late(seconds):
    async def action(session, good):
        await asyncio.sleep(seconds)
        await session.raw(good)
    return action


def then_end(text, reset=False):
    """This answer, and the connection ends."""
    async def action(session, good):
        await session.raw(text)
        session.end(reset)
    return action


def endless(text, pause=0):
    """This again and again, until the client goes."""
    async def action(session, good):
        while not session.writer.is_closing():
            await session.raw(text)
            await asyncio.sleep(pause)
        raise Over
    return action


async def silence(session, good):
    while True:
        await session.more()


async def deaf(session, good):
    """A good answer, and not a byte is read any more."""
    await session.raw(good)
    session.writer.transport.pause_reading()
    await asyncio.sleep(60)
    session.end(reset=True)

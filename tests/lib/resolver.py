"""A resolver that answers as broken ones do, by the first label of the question: see ANSWERS."""
# SPDX-License-Identifier: ISC
import socket
import struct
import threading

REFUSED, SERVFAIL, NOTIMP, NXDOMAIN = 5, 2, 4, 3
MX, CNAME, NS, A = 15, 5, 2, 1


def wire(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split(".")) + b"\0"


def record(name, kind, data):
    return wire(name) + struct.pack(">HHIH", kind, 1, 60, len(data)) + data


class Question:
    def __init__(self, packet):
        self.id, self.flags = packet[:2], packet[2:4]
        labels, at = [], 12
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]].decode("latin-1").lower())
            at += 1 + packet[at]
        self.name, self.text = ".".join(labels), packet[12:at + 5]
        self.kind = struct.unpack(">H", packet[at + 1:at + 3])[0]

    def answer(self, code=0, records=(), authority=(), flags=0x8180):
        return self.id + struct.pack(">5H", flags | code, 1, len(records), len(authority), 0) + self.text + b"".join([*records, *authority])


ANSWERS = {
    "refused": lambda q: q.answer(REFUSED),
    "servfail": lambda q: q.answer(SERVFAIL),
    "notimp": lambda q: q.answer(NOTIMP),
    "lame": lambda q: q.answer(authority=[record("", NS, wire("a.root-servers.net"))], flags=0x8100),  # a referral upwards
    "itself": lambda q: q.answer(records=[record(q.name, CNAME, wire(q.name))]),
    "ring1": lambda q: q.answer(records=[record("ring1.odd", CNAME, wire("ring2.odd")), record("ring2.odd", CNAME, wire("ring1.odd"))]),
    "ring2": lambda q: q.answer(records=[record("ring2.odd", CNAME, wire("ring1.odd"))]),
    "mxring": lambda q: q.answer(records=[record(q.name, MX, b"\0\12" + wire("ring1.odd"))]) if q.kind == MX else q.answer(NXDOMAIN),
    "garbage": lambda q: q.id + bytes(range(200)),
    "cut": lambda q: q.answer(records=[record(q.name, MX, b"\0\12" + wire("x.odd"))])[:-5],
    "short": lambda q: q.answer(records=[record(q.name, MX, b"\0")]),
    "pointer": lambda q: q.answer(records=[record(q.name, MX, b"\0\12\xc0\x0c\xff")]),
    "otherquestion": lambda q: q.answer().replace(b"\x0dotherquestion", b"\x0danotherquestn"),
    "noflags": lambda q: q.answer(flags=0),
}


class OddResolver:
    """with OddResolver() as r: Troika(dns=r.dns); what has no row does not exist."""

    def __enter__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.dns = f'forward = {{ "127.0.0.1@{self.socket.getsockname()[1]}" }}'
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def run(self):
        while True:
            packet, who = self.socket.recvfrom(4096)
            if not packet:
                return
            question = Question(packet)
            self.socket.sendto(ANSWERS.get(question.name.split(".")[0], lambda q: q.answer(NXDOMAIN))(question), who)

    def __exit__(self, *_):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"", self.socket.getsockname())
        self.thread.join(5)
        self.socket.close()

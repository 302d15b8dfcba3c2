"""A real authoritative name server on loopback: NLnet Labs' nsd, unpacked below build/peers, run by a plain user.

It serves an unsigned root, so that every name that is not there does not exist.
"""
# SPDX-License-Identifier: ISC
import glob
import os
import pwd
import shutil
import socket
import struct
import subprocess
import tempfile

from peers import package_files
from troika import PLAIN_USER, free_port, wait_for

SOA = "@ 60 IN SOA ns.test. hostmaster.test. 1 3600 600 86400 60\n@ 60 IN NS ns.test.\n"


def nsd_files():
    return package_files("nsd", "nsd", "libfstrm0", "libprotobuf-c1")


def sign(name, records):
    """A zone as a whole, signed by a new key; and the DS of that key."""
    root = package_files("ldns", "ldnsutils", "libldns3")

    def ldns(command, *arguments):
        return subprocess.run([f"{root}/usr/bin/ldns-{command}", *arguments], cwd=folder, check=True, capture_output=True, text=True,
                              env={**os.environ, "LD_LIBRARY_PATH": root + "/usr/lib/x86_64-linux-gnu"}).stdout.strip()

    with tempfile.TemporaryDirectory(prefix="troika-sign-") as folder:
        with open(folder + "/zone", "w") as f:
            f.write(f"$ORIGIN {name}.\n$TTL 60\n" + SOA + records)
        key = ldns("keygen", "-a", "ECDSAP256SHA256", "-r", "/dev/urandom", "-k", name)
        ldns("signzone", "-o", name, "-f", "signed", "zone", key)
        with open(folder + "/signed") as zone, open(f"{folder}/{key}.ds") as ds:
            return zone.read(), ds.read()


class NameServer:
    """with NameServer({"test": "plain A 127.0.1.1\\n"}, broken=["broken.test"]) as ns: Troika(dns=ns.dns)

    zones: records in zone file syntax, by the zone's name; whole: zones with their SOA. broken: zones that cannot be loaded, so
    every question about them gets SERVFAIL.
    """

    def __init__(self, zones, broken=(), whole={}):
        self.zones = {name: f"$ORIGIN {name}.\n$TTL 60\n" + SOA + records for name, records in {"": "", **zones}.items()} | whole
        self.broken, self.port = broken, free_port()
        self.dns = f'forward = {{ "127.0.0.1@{self.port}" }}'

    def __enter__(self):
        root = nsd_files()
        self.folder = tempfile.mkdtemp(prefix="troika-nsd-")
        user = PLAIN_USER if os.geteuid() == 0 else ""
        with open(self.folder + "/nsd.conf", "w") as f:
            f.write(f'server:\n ip-address: 127.0.0.1@{self.port}\n server-count: 1\n username: "{user}"\n chroot: ""\n database: ""\n pidfile: ""\n'
                    f' zonesdir: "{self.folder}"\n xfrdfile: "{self.folder}/xfrd"\n xfrdir: "{self.folder}"\n zonelistfile: "{self.folder}/zones"\n'
                    f' logfile: "{self.folder}/log"\nremote-control:\n control-enable: no\n')
            for name in [*self.zones, *self.broken]:
                f.write(f'zone:\n name: "{name}."\n zonefile: "zone-{name}"\n')
        for name, records in self.zones.items():
            with open(f"{self.folder}/zone-{name}", "w") as f:
                f.write(records)
        if user:
            entry = pwd.getpwnam(user)
            for path in [self.folder, *glob.glob(self.folder + "/*")]:
                os.chown(path, entry.pw_uid, entry.pw_gid)
        self.process = subprocess.Popen([root + "/usr/sbin/nsd", "-d", "-c", self.folder + "/nsd.conf"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, env={**os.environ, "LD_LIBRARY_PATH": root + "/usr/lib/x86_64-linux-gnu"})
        try:
            wait_for(self.answers, what="an answer of nsd")
        except AssertionError as e:
            log = open(self.folder + "/log").read() if os.path.exists(self.folder + "/log") else ""
            self.__exit__()
            raise AssertionError(f"{e}\n{log}") from None
        return self

    def answers(self):
        assert self.process.poll() is None, open(self.folder + "/log").read()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.5)
            s.connect(("127.0.0.1", self.port))
            try:
                s.send(struct.pack(">6H", 7, 0, 1, 0, 0, 0) + b"\0\0\6\0\1")  # the SOA of the root
                return len(s.recv(512)) > 12
            except OSError:
                return False

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

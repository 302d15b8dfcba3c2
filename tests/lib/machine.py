"""A machine with users of its own: they exist only in a mount namespace of the server, in which /etc/passwd,
/etc/group, /etc/shadow and /etc/pam.d are others."""
# SPDX-License-Identifier: ISC
import os
import re
import shutil
import subprocess

import pytest
from troika import Dialogue, Troika

ROLES = ("smtpd", "router", "queue", "relay", "local", "history", "users", "logind", "keys")
# name: (uid, shell)
PEOPLE = {"alice": (31001, "/bin/bash"), "bob": (31002, "/usr/sbin/nologin"), "gone": (31003, "/bin/sh"), "robot": (300, "/bin/sh")}

# In a copy of /etc: a mount over a file goes when somebody puts another in the place of the file, as useradd does
# (system_users() of another test).
IN_NAMESPACE = """
set -e
mount --bind "$1/etc" /etc
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/group" /etc/group
[ ! -e "$1/shadow" ] || mount --bind "$1/shadow" /etc/shadow
[ ! -e "$1/pam.d" ] || mount --bind "$1/pam.d" /etc/pam.d
shift
exec "$@"
"""


class Machine(Troika):
    """A server that root starts, on a machine with users of its own.

    shadow: {user: what stands behind the name in /etc/shadow}; service: the file troika in /etc/pam.d.
    """

    def __init__(self, config="", aliases="", shadow=None, service=None, **more):
        self.aliases, self.shadow, self.service = aliases, shadow, service
        super().__init__(config=config, as_root=True, users=(), **more)
        if os.path.exists("/etc/nsswitch.conf") and not re.search(r"^passwd:\s*files", open("/etc/nsswitch.conf").read(), re.M):
            pytest.skip("users do not come from /etc/passwd here")

    def configure(self, config):
        subprocess.run(["cp", "-a", "/etc", self.folder], stderr=subprocess.DEVNULL, check=False)  # locks may go meanwhile
        with open("/etc/passwd") as system, open(f"{self.folder}/passwd", "w") as f:
            f.write("".join(line for line in system if not line.startswith("_troika-") and line.split(":")[0] not in PEOPLE))
            for i, role in enumerate(ROLES):
                f.write(f"_troika-{role}:x:{700 + i}:{700 + i}::/nonexistent:/usr/sbin/nologin\n")
            for name, (uid, shell) in PEOPLE.items():
                f.write(f"{name}:x:{uid}:{uid}::{self.home(name)}:{shell}\n")
        with open("/etc/group") as system, open(f"{self.folder}/group", "w") as f:
            f.write("".join(line for line in system if not line.startswith("_troika-") and line.split(":")[0] not in PEOPLE))
            for i, role in enumerate(ROLES):
                f.write(f"_troika-{role}:x:{700 + i}:\n")
            for name, (uid, _) in PEOPLE.items():
                f.write(f"{name}:x:{uid}:\n")
            f.write("choir:x:31900:alice\n")
        for name, (uid, _) in PEOPLE.items():
            if name != "gone":
                self.make_home(name, uid)
        if self.shadow:
            with open(f"{self.folder}/shadow", "w") as f:
                f.write("".join(f"{name}:{rest}\n" for name, rest in self.shadow.items()))
            os.chmod(f"{self.folder}/shadow", 0o600)
        if self.service:
            shutil.copytree("/etc/pam.d", f"{self.folder}/pam.d")
            self.set_service(self.service)
        domain = "accounts = yes system-users = yes"
        if self.aliases:
            with open(f"{self.folder}/aliases", "w") as f:
                f.write(self.aliases)
            domain += f' aliases = "{self.folder}/aliases"'
        with open(self.config_file, "w") as f:
            f.write(self.base.replace("accounts = yes", domain) + "retry = { 1s }\n" + config)

    def set_service(self, text):
        with open(f"{self.folder}/pam.d/troika", "w") as f:
            f.write(text)

    def home(self, name):
        return f"{self.folder}/home/{name}"

    def make_home(self, name, uid):
        os.makedirs(self.home(name), exist_ok=True)
        os.chmod(self.home(name), 0o700)
        os.chown(self.home(name), uid, uid)

    def command(self, *arguments):
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", IN_NAMESPACE, "sh", self.folder] + super().command(*arguments)

    def inside(self, *command, check=True):
        """Runs a command in the namespace of the server."""
        return subprocess.run(["nsenter", "-t", str(self.process.pid), "-m", "-r", *command], check=check, capture_output=True, text=True)

    def mailbox(self, user, domain=None):
        return self.home(user) + "/Maildir"

    def helpers(self):
        """{user: pid} of the helpers that run."""
        found = {}
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            for pid in f.read().split():
                try:
                    with open(f"/proc/{pid}/cmdline") as line:
                        match = re.match(r"troika: deliver (\w+)", line.read())
                except OSError:
                    continue
                if match:
                    found[match.group(1)] = int(pid)
        return found

    def rcpt(self, address):
        with Dialogue(self.port) as d:
            d.reply()
            d.say("EHLO c.test")
            d.say("MAIL FROM:<a@elsewhere.test>")
            return d.say(f"RCPT TO:<{address}>")

    def wait_deferred(self, id):
        return self.wait_event(id, "deferred")[0]

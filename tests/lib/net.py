"""A small Internet: names by a real name server, each with a scripted host of its own, and a Troika that finds them."""
# SPDX-License-Identifier: ISC
import contextlib

from hosts import Hosts
from names import NameServer
from troika import Troika

HOSTS_MAX = 4000


def address(i):
    return f"127.3.{i // 250}.{i % 250 + 1}"


ZONE = "".join(f"c{i:04} MX 10 h{i:04}\nh{i:04} A {address(i)}\n" for i in range(HOSTS_MAX))


class Net:
    """with Net() as net: domain, host = net.add(script={…}); net.t.send(to=f"a@{domain}")"""

    def __init__(self, config="", **troika):
        self.config, self.troika, self.count = config, troika, 0

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            names = stack.enter_context(NameServer({"test": ZONE}))
            self.hosts = stack.enter_context(Hosts())
            self.t = stack.enter_context(Troika(config=self.config + "private-next-hops = yes\n", dns=f"{names.dns} smtp-port = {self.hosts.port}", **self.troika))
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        return self.stack.__exit__(*exception)

    def add(self, **host):
        """The domain of another host, and the host."""
        self.count += 1
        return f"c{self.count - 1:04}.test", self.hosts.add(address(self.count - 1), **host)

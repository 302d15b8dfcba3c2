# SPDX-License-Identifier: ISC
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))

from troika import Troika  # noqa: E402


@pytest.fixture
def server():
    with Troika() as t:
        yield t


# A file is the work of one process. These take half a minute and more; begun last, one of them would run on
# while the other processes have nothing left to do.
LONG = ["test_tls_in", "test_compose", "test_listen_misbehave", "test_smarthost", "test_talk", "test_probe_servers", "test_sendmail", "test_replays",
        "test_tls_out", "test_send", "test_proxy", "test_auth", "test_dev", "test_send_peers", "test_processes", "test_system_users", "test_cuts", "test_pam"]


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))

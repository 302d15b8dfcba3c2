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

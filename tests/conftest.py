"""Hypothesis without its clock, Ctrl-C that is heard, and what several files ask for: object stores, an output.

On a machine that does other work too, a slow example is no broken promise.
"""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from tests.support.outputs.export_rows import hostile_rows, write_answered
from tests.support.servers.object_stores import running_store

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
# A shell that runs the tests in its background has made them deaf to Ctrl-C, and all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"  # gcsfs looks at it when it is imported


@pytest.fixture(scope="session", params=["s3", "gs"])
def object_store(request, tmp_path_factory):
    with running_store(request.param, tmp_path_factory.mktemp(request.param)) as store:
        yield store


@pytest.fixture(scope="session")
def hostile_output(tmp_path_factory):
    """The folder of an output whose rows are hostile, and one failure; tests only read it."""
    folder = tmp_path_factory.mktemp("hostile")
    write_answered(folder / "labels", hostile_rows(folder / "audio"))
    return folder / "labels"

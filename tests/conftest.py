"""Settings of all tests, and the fixtures that several folders share."""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from tests.support.child_processes import children_started, watch_children
from tests.support.outputs.export_rows import hostile_rows, write_answered
from tests.support.servers.object_stores import running_store

# A slow example on a busy machine breaks no promise.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
# A shell that runs the tests in its background makes them ignore Ctrl-C, and their children too.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"  # gcsfs reads it on import
watch_children()
CHILDREN_BEFORE = pytest.StashKey[int]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Long tests first, so that no process of pytest-xdist starts one when the others have nothing left."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    item.stash[CHILDREN_BEFORE] = children_started()
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item):
    """Fail a test of `make check` that starts a child process.

    Elsewhere nothing is checked: a pool that an earlier test has left may start a child during any later test.
    """
    if "not process" in item.config.option.markexpr and children_started() > item.stash[CHILDREN_BEFORE]:
        pytest.fail("it starts a child process: mark it with pytest.mark.process", pytrace=False)


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

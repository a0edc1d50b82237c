"""A crash or a hang in a child process fails one item, and leaves no process."""

import contextlib
import errno
import multiprocessing
import subprocess
import sys
import threading
import time
from concurrent.futures import Future

import psutil
import pytest
from pebble import ProcessPool

from earmark.schemas.errors import MachineError, RowError
from earmark.transforms.audio import isolation
from earmark.transforms.audio.isolation import call_isolated, child_processes
from tests.support.child_functions import shout
from tests.support.paths import ROOT

pytestmark = pytest.mark.process

GENEROUS_S = 60.0
PARENT = """
import sys
sys.path.insert(0, {root!r})
from tests.support.child_functions import write_pid_and_hang
from earmark.transforms.audio.isolation import call_isolated, child_processes

if __name__ == "__main__":
    list(call_isolated(child_processes(1), write_pid_and_hang, [[{note!r}]], 600.0))
"""


def test_children_do_not_import_the_parent_s_main_module(tmp_path):
    script = tmp_path / "heavy.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); print('imported', __name__)\n"
        "from earmark.transforms.audio.isolation import call_isolated, child_processes\n"
        "from tests.support.child_functions import shout\n"
        "if __name__ == '__main__':\n"
        "    print(*call_isolated(child_processes(1), shout, [['a']], 60.0))\n"
        "    print(__spec__, __file__)\n"
    )
    output = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=True).stdout
    assert output.splitlines() == ["imported __main__", "A", f"None {script}"]


@pytest.fixture(scope="module")
def pool():
    with ProcessPool(2, context=multiprocessing.get_context("spawn")) as pool:
        yield pool
        pool.stop()


def results(pool, chunks, timeout_s=GENEROUS_S):
    return [
        result.error if isinstance(result, RowError) else result
        for result in call_isolated(pool, shout, chunks, timeout_s)
    ]


def test_results_are_in_order_across_chunks(pool):
    assert results(pool, [["a", "b"], ["odd", "c"], ["d"]]) == ["A", "B", "odd", "C", "D"]


def test_only_the_item_that_crashes_fails(pool):
    assert results(pool, [["a", "crash", "b"], ["c"]]) == ["A", "crashed", "B", "C"]


def test_the_message_of_a_crash_names_the_signal(pool):
    (result,) = call_isolated(pool, shout, [["crash"]], GENEROUS_S)
    assert isinstance(result, RowError)
    assert "signal 11" in result.message


def test_the_message_of_a_process_that_ends_itself_has_its_status(pool):
    (result,) = call_isolated(pool, shout, [["exit"]], GENEROUS_S)
    assert isinstance(result, RowError)
    assert "status 3" in result.message


def test_a_child_killed_from_outside_is_the_machines_fault(pool):
    with pytest.raises(MachineError, match=r"too little memory; give fewer --decode_processes or less --shard_memory"):
        results(pool, [["a", "kill"]])


class Noting:
    """A pool that notes the time limits it is given; the shared try of more than one item runs out of time at once."""

    def __init__(self, pool):
        self._pool, self.limits_s = pool, []

    def schedule(self, function, args, timeout):
        self.limits_s.append(timeout)
        if len(args[0]) > 1:
            late = Future()
            late.set_exception(TimeoutError())
            return late
        return self._pool.schedule(function, args=args, timeout=timeout)


def test_a_time_limit_is_one_for_each_item(pool):
    noting = Noting(pool)
    assert results(noting, [["a", "b", "c"]], timeout_s=30.0) == ["A", "B", "C"]
    assert noting.limits_s == [90.0, 30.0, 30.0, 30.0]


def test_a_hang_is_a_timeout_of_its_item_only(pool):
    results(pool, [["warm"], ["up"]])  # the start of a child is not what is timed
    assert results(pool, [["a", "hang"], ["b"]], timeout_s=3.0) == ["A", "timeout", "B"]


def test_errors_of_the_function_reach_the_caller(pool):
    with pytest.raises(OSError, match="No space left") as raised:
        results(pool, [["a"], ["full"]])
    assert raised.value.errno == errno.ENOSPC


def test_children_are_shared_within_a_process():
    assert child_processes(1) is child_processes(1)


def test_threads_that_start_at_once_share_one_pool(monkeypatch):
    both_make_one = threading.Barrier(2)
    made, pools = [], []

    def slow_pool(count, **options):
        made.append(count)
        with contextlib.suppress(threading.BrokenBarrierError):
            both_make_one.wait(timeout=0.5)
        return object()

    monkeypatch.setattr(isolation, "ProcessPool", slow_pool)
    threads = [threading.Thread(target=lambda: pools.append(child_processes(1234))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1234]
    assert pools[0] is pools[1]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody can tell who has sent a signal")
def test_a_child_heeds_the_sigterm_of_its_parent_only():
    others = set(psutil.Process().children())
    pool = ProcessPool(2, initializer=isolation._end_only_with_parent, context=isolation._LightContext())
    assert list(call_isolated(pool, shout, [["one"], ["two"]], GENEROUS_S)) == ["ONE", "TWO"]
    children = set(psutil.Process().children()) - others
    for child in children:
        subprocess.run(["kill", "-TERM", str(child.pid)], check=True)
    assert list(call_isolated(pool, shout, [["three"], ["four"]], GENEROUS_S)) == ["THREE", "FOUR"]
    assert children <= set(psutil.Process().children())
    began_s = time.monotonic()
    pool.stop()
    pool.join()
    assert time.monotonic() - began_s < 2.5, "pebble gives each child 3 s before it kills it"


def test_a_child_does_not_outlive_a_parent_that_was_killed_in_the_middle_of_a_call(tmp_path):
    note = tmp_path / "child"
    root = str(ROOT)
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(root=root, note=str(note)))
    parent = subprocess.Popen([sys.executable, str(script)])
    try:
        _wait_for(note.exists)
        child = psutil.Process(int(note.read_text()))
        assert child.is_running()
    finally:
        parent.kill()
        parent.wait()
    _wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def _wait_for(happened, within_s=60.0):
    end = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)

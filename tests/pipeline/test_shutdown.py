"""Ctrl-C and SIGTERM during the work of a command."""

import signal
import threading

import pytest

from earmark.pipeline.shutdown import graceful_shutdown, interrupt_if_stopped
from earmark.transforms.output.lease import new_run_id
from earmark.transforms.stop_request import StopRequest


@pytest.fixture
def stop():
    return StopRequest(new_run_id())


@pytest.fixture(autouse=True)
def ordinary_handlers():
    """Default signal handlers, whatever the shell that runs the tests has set."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_prints_a_message_and_the_second_interrupts(stop, capsys, first, second):
    stop.mark_progress()
    with (
        pytest.raises(KeyboardInterrupt) as stopped,
        graceful_shutdown(stop, "shards"),
        stop.in_flight("a") as is_started,
    ):
        signal.raise_signal(first)
        assert is_started and stop.signal_number == first
        with stop.in_flight("b") as is_started:
            assert not is_started
        signal.raise_signal(second)
    assert stopped.value.args == (second,)
    printed = capsys.readouterr().err
    assert printed.startswith(
        "earmark: stopping after the shards in flight (about 1); press Ctrl-C again to stop at once"
    )
    assert len(printed.splitlines()) == 1


def test_without_progress_the_first_signal_interrupts(stop, capsys):
    with pytest.raises(KeyboardInterrupt), graceful_shutdown(stop, "shards"), stop.in_flight("a"):
        signal.raise_signal(signal.SIGINT)
    assert capsys.readouterr().err == ""
    with stop.in_flight("b") as is_started:
        assert not is_started, "threads that still work start nothing new"


def test_finished_work_is_interrupted_after_a_request_to_stop(stop):
    interrupt_if_stopped(stop)
    stop.request(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt) as stopped:
        interrupt_if_stopped(stop)
    assert stopped.value.args == (signal.SIGTERM,)
    interrupt_if_stopped(StopRequest("another run"))


def test_the_earlier_signal_handlers_are_restored(stop):
    before, threads = signal.getsignal(signal.SIGINT), threading.active_count()
    with graceful_shutdown(stop, "shards"):
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
    assert threading.active_count() == threads


def test_an_ignored_ctrl_c_stays_ignored(stop):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop.mark_progress()
    with graceful_shutdown(stop, "shards"):
        signal.raise_signal(signal.SIGINT)
    assert stop.signal_number is None

"""What the signals of a command mean while it works."""

import signal
import threading

import pytest

from earmark.pipeline.shutdown import graceful_shutdown, interrupt_if_asked
from earmark.transforms.output.lease import new_run_id
from earmark.transforms.stop_request import StopRequest


@pytest.fixture
def stop():
    return StopRequest(new_run_id())


@pytest.fixture(autouse=True)
def ordinary_handlers():
    """Whatever the shell that runs the tests has made of them."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_told_and_the_second_interrupts(stop, capsys, first, second):
    stop.mark_progress()
    with pytest.raises(KeyboardInterrupt) as stopped, graceful_shutdown(stop, "shards"), stop.in_flight("a") as wanted:
        signal.raise_signal(first)
        assert wanted and stop.signal_number == first
        with stop.in_flight("b") as late:
            assert not late
        signal.raise_signal(second)
    assert stopped.value.args == (second,)
    said = capsys.readouterr().err
    assert said.startswith("earmark: stopping after the shards in flight (about 1); press Ctrl-C again to stop at once")
    assert len(said.splitlines()) == 1


def test_where_nothing_is_worth_waiting_the_first_one_interrupts(stop, capsys):
    with pytest.raises(KeyboardInterrupt), graceful_shutdown(stop, "shards"), stop.in_flight("a"):
        signal.raise_signal(signal.SIGINT)
    assert capsys.readouterr().err == ""
    with stop.in_flight("b") as wanted:
        assert not wanted, "threads that still work begin nothing"


def test_who_has_ended_in_order_is_interrupted_then(stop):
    interrupt_if_asked(stop)
    stop.ask(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt) as stopped:
        interrupt_if_asked(stop)
    assert stopped.value.args == (signal.SIGTERM,)
    interrupt_if_asked(StopRequest("another run"))


def test_afterwards_signals_mean_what_they_meant_before(stop):
    before, threads = signal.getsignal(signal.SIGINT), threading.active_count()
    with graceful_shutdown(stop, "shards"):
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
    assert threading.active_count() == threads


def test_a_command_that_a_shell_has_made_deaf_to_ctrl_c_stays_so(stop):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop.mark_progress()
    with graceful_shutdown(stop, "shards"):
        signal.raise_signal(signal.SIGINT)
    assert stop.signal_number is None

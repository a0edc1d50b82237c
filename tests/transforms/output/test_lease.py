"""The lease on an output: one run at a time, and how it is taken over."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import fsspec
import psutil
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from earmark.schemas.errors import JobError, MachineError
from earmark.transforms.output import lease
from earmark.transforms.output.lease import EXPIRY_S, FOLDER, Lease, check_lease, take_lease
from earmark.transforms.output.store import OutputStore


@pytest.fixture
def store(tmp_path):
    return OutputStore(str(tmp_path))


def leave_lease(store, **changes):
    """The lease of another run, as this process would have written it but for the changes."""
    other = dataclasses.replace(Lease.of_this_process("other"), **changes)
    assert store.create(f"{FOLDER}/000001.json", json.dumps(dataclasses.asdict(other)).encode())


def held_lease(store):
    return json.loads(store.read(f"{FOLDER}/{store.names(FOLDER)[-1]}"))


@pytest.fixture
def ended_process():
    """(pid, start) of a process of this machine that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started_s = psutil.Process(process.pid).create_time()
    process.communicate()
    return process.pid, started_s


def test_a_living_run_keeps_the_output(store):
    leave_lease(store)
    with pytest.raises(JobError, match=rf"run other \(process \d+ on {socket.gethostname()}.*--take_over"):
        take_lease(store, "mine", take_over=False)
    check_lease(store, "other")


@pytest.mark.process
def test_the_lease_of_a_dead_process_is_taken_at_once(store, ended_process):
    pid, started_s = ended_process
    leave_lease(store, pid=pid, started_s=started_s)
    take_lease(store, "mine", take_over=False)
    check_lease(store, "mine")


def test_a_process_that_got_a_dead_ones_number_does_not_hold_its_lease(store):
    leave_lease(store, started_s=psutil.Process().create_time() - 3600)
    take_lease(store, "mine", take_over=False)
    assert store.names(FOLDER) == ["000002.json"]


@pytest.mark.process
def test_a_zombie_process_holds_no_lease(store):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    leave_lease(store, pid=process.pid, started_s=psutil.Process(process.pid).create_time())
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the table of processes
    take_lease(store, "mine", take_over=False)
    assert store.names(FOLDER) == ["000002.json"]
    process.communicate()


def test_another_machine_s_lease_holds_until_its_heartbeats_stop(store):
    now = time.time()
    leave_lease(store, host="elsewhere", heartbeat_s=now - EXPIRY_S / 2)
    with pytest.raises(JobError, match="on elsewhere"):
        take_lease(store, "mine", take_over=False)
    store.remove(f"{FOLDER}/000001.json")
    leave_lease(store, host="elsewhere", heartbeat_s=now - EXPIRY_S - 1)
    take_lease(store, "mine", take_over=False)


@pytest.mark.process
@pytest.mark.parametrize("changes", [{"boot_id": "other"}, {"pid_namespace": "pid:[1]"}], ids=str)
def test_a_lease_of_a_container_with_the_same_host_name_is_judged_by_its_heartbeats(store, ended_process, changes):
    pid, started_s = ended_process
    leave_lease(store, pid=pid, started_s=started_s, **changes)  # no such process here, which says nothing
    with pytest.raises(JobError, match="run other"):
        take_lease(store, "mine", take_over=False)
    store.remove(f"{FOLDER}/000001.json")
    leave_lease(store, heartbeat_s=time.time() - EXPIRY_S - 1, **changes)  # this process's number, by chance
    take_lease(store, "mine", take_over=False)


@pytest.mark.process
@pytest.mark.skipif(not os.path.exists("/proc/self/ns/pid"), reason="the system does not say")
def test_a_lease_names_the_kernel_and_the_container_of_its_process(store):
    take_lease(store, "mine", take_over=False)
    lease = held_lease(store)
    kernel, namespace = subprocess.check_output(
        ["sh", "-c", "cat /proc/sys/kernel/random/boot_id; readlink /proc/$$/ns/pid"], text=True
    ).split()
    assert (lease["boot_id"], lease["pid_namespace"]) == (kernel, namespace)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"who": 1}'])
def test_a_lease_that_cannot_be_read_is_named_and_can_be_taken_over(store, content):
    store.create(f"{FOLDER}/000001.json", content)
    with pytest.raises(JobError, match=r"leases/000001\.json is damaged .*--take_over"):
        take_lease(store, "mine", take_over=False)
    take_lease(store, "mine", take_over=True)
    check_lease(store, "mine")


def test_an_old_run_adds_nothing_after_it_was_taken_over(store):
    leave_lease(store)
    take_lease(store, "mine", take_over=True)
    check_lease(store, "mine")
    with pytest.raises(MachineError, match="run other has lost the output to run mine"):
        check_lease(store, "other")


@pytest.mark.process
def test_one_of_several_takers_wins(store, ended_process):
    pid, started_s = ended_process
    leave_lease(store, pid=pid, started_s=started_s)
    together = threading.Barrier(8)

    def take(run_id):
        together.wait(30)
        try:
            take_lease(store, run_id, take_over=False)
        except JobError:
            return None
        return run_id

    with ThreadPoolExecutor(8) as threads:
        winners = [run_id for run_id in threads.map(take, [f"run{i}" for i in range(8)]) if run_id]
    assert len(winners) == 1
    check_lease(store, winners[0])


def test_a_taker_that_was_overtaken_does_not_start(store, monkeypatch):
    leave_lease(store, ended=True)
    first_look = iter(["000001.json"])
    look = lease._highest
    monkeypatch.setattr(lease, "_highest", lambda store: next(first_look, None) or look(store))
    store.create(f"{FOLDER}/000003.json", b"{}")  # another run, two numbers on, after the first look
    with pytest.raises(JobError, match="another run has started"):
        take_lease(store, "slow", take_over=False)


def test_a_run_that_has_ended_holds_nothing(store):
    with take_lease(store, "mine", take_over=False):
        check_lease(store, "mine")
    with pytest.raises(MachineError, match="run mine has ended"):
        check_lease(store, "mine")
    take_lease(store, "next", take_over=False)
    check_lease(store, "next")


def test_a_forgotten_run_does_not_take_a_later_runs_lease_for_its_own(store):
    forgotten = take_lease(store, "forgotten", take_over=False)
    with take_lease(store, "second", take_over=True):
        pass
    with take_lease(store, "third", take_over=False):
        forgotten.__enter__()
        forgotten.__exit__()
        check_lease(store, "third")
    assert len(store.names(FOLDER)) == 1


@pytest.fixture
def beats(monkeypatch):
    """Set at every heartbeat, of which there are many."""
    beaten = threading.Event()
    replace = OutputStore.replace

    def counted(self, path, content):
        replace(self, path, content)
        beaten.set()

    monkeypatch.setattr(lease, "HEARTBEAT_S", 0.01)
    monkeypatch.setattr(OutputStore, "replace", counted)
    return beaten


def test_a_living_run_renews_its_lease(store, beats):
    with take_lease(store, "mine", take_over=False):
        first_s = held_lease(store)["heartbeat_s"]
        assert beats.wait(30)
        assert held_lease(store)["heartbeat_s"] > first_s


def test_heartbeats_continue_after_one_that_cannot_be_written(store, beats, monkeypatch, caplog):
    names, failed = OutputStore.names, threading.Event()

    def once_unreachable(self, folder):
        if not failed.is_set():
            failed.set()
            raise OSError("network is unreachable")
        return names(self, folder)

    held = take_lease(store, "mine", take_over=False)
    monkeypatch.setattr(OutputStore, "names", once_unreachable)
    with held:
        assert beats.wait(30)
    assert failed.is_set()
    assert "network is unreachable" in caplog.text


class Fickle(MemoryFileSystem):
    """Raises what is no OSError while `down`, as gcsfs and google.auth do."""

    protocol = "fickle"
    down = threading.Event()
    refused = threading.Event()

    def ls(self, path, detail=True, **kwargs):
        if self.down.is_set():
            self.refused.set()
            raise Exception("HttpError 503")
        return super().ls(path, detail=detail, **kwargs)


def test_an_error_of_any_class_ends_neither_the_heartbeat_nor_the_run(beats, caplog):
    fsspec.register_implementation("fickle", Fickle, clobber=True)
    store = OutputStore(f"fickle://out-{uuid.uuid4().hex}")
    with take_lease(store, "mine", take_over=False):
        Fickle.down.set()
        assert Fickle.refused.wait(30)
        Fickle.down.clear()
        beats.clear()
        assert beats.wait(30)
        Fickle.down.set()
    assert "could not be renewed: HttpError 503" in caplog.text

"""Compactions that are killed, taken over or read meanwhile: no row is lost, and none counts twice."""

import random
import signal
import subprocess
import threading
import time
from collections import Counter

import duckdb
import pytest

from earmark.pipeline import compact as module
from earmark.pipeline.cli import main
from earmark.pipeline.compact import compact_store
from earmark.schemas.errors import MachineError
from earmark.transforms.output.lease import take_lease
from earmark.transforms.output.store import JOB_PATH, OutputStore
from tests.support.audio import odd_decoders
from tests.support.jobs import annotations, command_line, run_here, write_manifest, write_tones
from tests.support.outputs.parts import (
    KEYS,
    bytes_of_three_parts,
    make_part,
    read_contents,
    small_part_contents,
    write_small_parts,
)

pytestmark = pytest.mark.process

DEADLINE_S = 120
LARGE = 2**20


@pytest.fixture
def store(tmp_path):
    store = OutputStore(str(tmp_path / "out"))
    write_small_parts(store, KEYS)
    return store


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(module, "LISTING_S", 0.0)


class KilledError(BaseException):
    """Simulates the moment at which the process is killed."""


def kill_at(monkeypatch, number, after):
    """Raise KilledError before or after the store's change of this number."""
    changes = iter(range(1, 1000))

    def killing(real):
        def change(self, *arguments):
            is_last = next(changes) == number
            if is_last and not after:
                raise KilledError
            result = real(self, *arguments)
            if is_last:
                raise KilledError
            return result

        return change

    for name in ("create", "replace", "remove"):
        monkeypatch.setattr(OutputStore, name, killing(getattr(OutputStore, name)))


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_change_no_row_is_lost_or_duplicated_and_the_next_compaction_finishes_it(
    tmp_path, monkeypatch, after
):
    number, killed = 0, True
    monkeypatch.setattr("earmark.transforms.output.store.REQUESTS", 1)
    while killed:
        number += 1
        store = OutputStore(str(tmp_path / f"out{number}"))
        write_small_parts(store, KEYS)
        fill_bytes = bytes_of_three_parts(store)
        compact_store(store, 2 * fill_bytes // 3 + 1)  # six merged parts, which the next may take
        write_small_parts(store, ["f1aa", "f2aa", "f3aa"])
        expected = small_part_contents([*KEYS, "f1aa", "f2aa", "f3aa"])
        with monkeypatch.context() as patch:
            kill_at(patch, number, after)
            try:
                compact_store(store, LARGE)
                killed = False
            except KilledError:
                pass
        plain = Counter(row["id"] for row in annotations(store.root))
        assert sorted(plain) == expected[0], "a plain reader misses nothing"
        assert read_contents(store) == expected
        compact_store(store, LARGE, take_over=True)
        assert read_contents(store) == expected
        assert (len(store.parts()), len(store.part_bytes())) == (1, 1), "nothing is left over"
    assert number > 10


def test_a_run_removes_the_leftovers_of_a_killed_compaction(tmp_path, monkeypatch):
    manifest = write_manifest(tmp_path / "m.jsonl", write_tones(tmp_path / "audio", 8))
    run_here(manifest, tmp_path / "out", shard_rows=2)
    store = OutputStore(str(tmp_path / "out"))
    with monkeypatch.context() as patch:
        patch.setattr(OutputStore, "remove_all", lambda self, paths: None)
        compact_store(store, LARGE)
    assert len(store.part_bytes()) > len(store.parts()) == 1
    assert main(["plan", str(manifest), store.root]) == 0
    summary = run_here(manifest, tmp_path / "out", decode=odd_decoders.refuse)
    assert (summary.already_annotated, summary.annotated, summary.doubled, summary.adds_up) == (8, 0, 0, True)
    assert len(store.part_bytes()) == 1


def test_a_merged_part_that_a_forgotten_worker_writes_again_does_not_count(store):
    forgotten = store.read(store.part_path(KEYS[0]))
    compact_store(store, LARGE)
    store.create(store.part_path(KEYS[0]), forgotten)
    assert read_contents(store) == small_part_contents(KEYS)
    compact_store(store, LARGE)
    assert len(store.part_bytes()) == 1


def test_a_compaction_that_has_lost_the_output_removes_nothing(store, monkeypatch):
    monkeypatch.setattr(module, "sleep", lambda _: take_lease(store, "run9", take_over=True))
    with pytest.raises(MachineError, match="has lost the output to run run9"):
        compact_store(store, LARGE)
    assert len(store.part_bytes()) == 13
    assert read_contents(store) == small_part_contents(KEYS)


def test_killed_at_random_moments_and_restarted_it_ends_with_every_row_once(tmp_path):
    store, random_moments, keys = OutputStore(str(tmp_path / "out")), random.Random(20261123), []
    store.create(JOB_PATH, b"{}")
    for number in range(300):
        keys.append(f"{number * 2654435761 % 2**32:08x}")
        rows = [(f"{keys[-1]}-{row}", {"noise": random_moments.randbytes(5000).hex()}) for row in range(2)]
        store.create(store.part_path(keys[-1]), make_part(keys[-1], rows))
    expected, kills = (small_part_contents(keys)[0], 0), 0
    while True:
        merged = len(store.names("annotations/merged"))
        process = subprocess.Popen(command_line("compact", store.root, "--part_mb=1"), stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + DEADLINE_S
        while process.poll() is None and len(store.names("annotations/merged")) == merged:
            assert time.monotonic() < deadline
        if process.poll() is not None:
            break
        time.sleep(random_moments.uniform(0, 1.3))  # so that any step may be running
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
        assert {row["id"] for row in annotations(store.root)} == set(expected[0]), "a plain reader misses nothing"
        assert read_contents(store) == expected
    assert process.returncode == 0 and kills >= 3
    assert read_contents(store) == expected
    assert len(store.part_bytes()) == len(store.parts()) < 10


def test_ctrl_c_finishes_the_group_in_flight_and_starts_no_other(tmp_path):
    store, keys = OutputStore(str(tmp_path / "out")), [f"{number:02x}aa" for number in range(24)]
    store.create(JOB_PATH, b"{}")
    for key in keys:  # a group of four is 1 MB
        store.create(
            store.part_path(key), make_part(key, [(key, {"noise": random.Random(key).randbytes(120_000).hex()})])
        )
    command = command_line("compact", store.root, "--part_mb=1")
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + DEADLINE_S
    while not store.names("annotations/merged"):
        assert process.poll() is None and time.monotonic() < deadline
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    first, no_card, last = printed.splitlines()
    assert first.startswith("earmark: stopping after the groups of parts in flight (about ")
    assert last.startswith("earmark: stopped; finished work is saved")
    assert no_card.startswith("no dataset card was written (")  # of an output that no job made
    assert 1 <= len(store.names("annotations/merged")) < 6
    assert len(store.part_bytes()) == len(store.parts()) < len(keys), "what was merged is removed"
    assert read_contents(store)[0] == keys
    assert compact_store(store, 2**20).merged > 1, "the lease was released"
    assert read_contents(store)[0] == keys


class Reader(threading.Thread):
    """Reads an output over and over; `seen` says for each time how many rows there were of each id, or that a file was
    gone that had been listed."""

    def __init__(self, read):
        super().__init__(daemon=True)
        self.read, self.seen, self.ended = read, [], threading.Event()

    def run(self):
        while not self.ended.is_set():
            try:
                self.seen.append(Counter(self.read()))
            except (OSError, duckdb.Error) as error:
                assert "No such file" in str(error) or "Cannot open file" in str(error), error
                self.seen.append(None)


def test_readers_during_a_compaction_miss_no_row_and_earmark_counts_none_twice(tmp_path, monkeypatch):
    store, keys = OutputStore(str(tmp_path / "out")), [f"{number:02x}aa" for number in range(240)]
    write_small_parts(store, keys)
    monkeypatch.setattr(module, "LISTING_S", 0.2)

    def by_glob():
        rows = duckdb.connect().sql(f"SELECT id FROM '{store.root}/annotations/*/*.parquet'").fetchall()
        return [id for (id,) in rows]

    readers = [Reader(by_glob), Reader(lambda: read_contents(store)[0])]
    for reader in readers:
        reader.start()
    compact_store(store, 8 * bytes_of_three_parts(store))
    for reader in readers:
        reader.ended.set()
        reader.join(DEADLINE_S)
    plain, own = ([once for once in reader.seen if once is not None] for reader in readers)
    assert len(plain) > 3 and len(own) > 3
    assert all(set(once) == set(small_part_contents(keys)[0]) for once in [*plain, *own])
    assert all(set(once.values()) == {1} for once in own)

"""DecodeAudio leaves nothing on the disk, however a shard or a process ends."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from earmark.schemas.errors import MachineError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, Recording, Shard
from earmark.transforms.audio.decode_recordings import decode_requests
from earmark.transforms.counters import Counters
from earmark.transforms.decode_audio import _DecodeShard, scratch_folder
from tests.support.jobs import write_tone


def leave_files_and_fail(requests):
    """Files of a decoded chunk that was never read, and of a child that was killed in the middle of a fetch."""
    os.mkdir(f"{requests[0].scratch}/fetch-killed")
    with open(f"{requests[0].scratch}/spilled.f32", "wb") as file:
        file.write(b"1234")
    raise MachineError(f"leftover files in {requests[0].scratch}")


def started_stage(scratch_dir, decode):
    options = JobOptions(scratch_dir=str(scratch_dir), shard_memory_mb=1, decode_processes=1)
    stage = _DecodeShard(options, Counters("a-run-of-its-own"), decode)
    stage.setup()
    return stage


def decode_shard(paths, scratch_dir, decode):
    stage = started_stage(scratch_dir, decode)
    recordings = tuple(Recording(str(number), str(path)) for number, path in enumerate(paths))
    return list(stage.process(Shard("ab" * 16, recordings)))


def test_spilled_audio_is_complete_and_its_file_is_unlinked(tmp_path):
    (tmp_path / "scratch").mkdir()
    paths = [write_tone(tmp_path / "long.wav", seconds=20), write_tone(tmp_path / "short.wav", seconds=1)]
    (decoded,) = decode_shard(paths, tmp_path / "scratch", decode_requests)
    assert [len(clip.samples) for clip in decoded.clips] == [20 * SAMPLE_RATE_HZ, SAMPLE_RATE_HZ]
    assert isinstance(decoded.clips[0].samples, np.memmap)
    assert not isinstance(decoded.clips[1].samples, np.memmap)
    assert np.abs(decoded.clips[0].samples).max() == pytest.approx(0.5, abs=0.01)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_shard_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(MachineError, match=f"leftover files in {tmp_path}/earmark-{os.getpid()}-"):
        decode_shard(["a.wav"], tmp_path, leave_files_and_fail)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
def test_only_leftovers_of_dead_processes_are_removed(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = socket.gethostname()
    leftover = tmp_path / f"earmark-{ended.pid}-{host}-abcdefgh"
    (leftover / "fetch-1").mkdir(parents=True)
    (leftover / "fetch-1" / "1.f32").write_bytes(b"1234")
    unrelated = [f"earmark-{ended.pid}-{host}x-abcdefgh", "earmark-notes-of-mine", f"other-{ended.pid}-{host}-abcdefgh"]
    for name in unrelated:
        (tmp_path / name).mkdir()
    with scratch_folder(str(tmp_path)) as own:
        started_stage(tmp_path, decode_requests)
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*unrelated, os.path.basename(own)])


def test_a_scratch_dir_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MachineError, match=r"--scratch_dir .*gone"), scratch_folder(str(tmp_path / "gone")):
        pass

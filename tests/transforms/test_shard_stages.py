"""The stages of a shard, in the graph and without Beam."""

import apache_beam as beam
from apache_beam.testing.util import assert_that, equal_to

from earmark.schemas.job import JobOptions
from earmark.schemas.records import Recording, Shard
from earmark.transforms.annotate import Assignment
from earmark.transforms.shard_stages import LocalStages, shard_stages
from tests.support.jobs import DescribingEngine, write_tone

OPTIONS = JobOptions(decode_processes=1)


def test_a_shard_becomes_the_same_with_beam_and_without(tmp_path):
    write_tone(tmp_path / "a.wav")
    recordings = (Recording("a", str(tmp_path / "a.wav")), Recording("gone", str(tmp_path / "gone.wav")))
    shard = Shard("key", recordings)
    assignments = [Assignment(DescribingEngine, OPTIONS.tasks())]
    local = LocalStages(shard_stages(OPTIONS, assignments)).annotate(shard)
    (row,), (failure,) = local.annotations, local.failures
    assert (row.recording.id, failure.error) == ("a", "not_found")
    assert None not in (row.facts.speech_ratio, row.facts.bandwidth_hz)
    with beam.Pipeline() as pipeline:
        shards = pipeline | beam.Create([shard])
        for stage in shard_stages(OPTIONS, assignments):
            shards |= stage
        assert_that(shards, equal_to([local]))

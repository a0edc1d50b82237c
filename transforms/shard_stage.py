"""ShardStage: the base of the stages that a shard passes through on the worker that decodes it."""

import apache_beam as beam


class ShardStage(beam.PTransform):
    """A stage that turns each shard into one shard, by one DoFn that `plan --measure` can call without Beam.

    Attributes:
        do_fn: The work of the stage; its `process` yields exactly one shard.
    """

    def __init__(self, do_fn: beam.DoFn, output: type):
        super().__init__()
        self.do_fn, self._output = do_fn, output

    def expand(self, shards: beam.PCollection) -> beam.PCollection:
        return shards | beam.ParDo(self.do_fn).with_output_types(self._output)

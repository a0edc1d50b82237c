"""Run a published benchmark as an ordinary annotation job and score it the way the published results were."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from earmark.model.served.endpoint import names_endpoint
from earmark.pipeline.annotate import annotate, check_models_are_named
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.scoring.benchmark_scores import JUDGED, BenchmarkScores, Resampling, score_answers, score_by_judge
from earmark.scoring.benchmarks import FIXED_OPTIONS, Benchmark, find_benchmark
from earmark.scoring.data_folder import DataFolder
from earmark.scoring.endpoint_judge import find_judge
from earmark.scoring.layouts import Entry
from earmark.scoring.layouts import entries as read_entries
from earmark.transforms.output.store import OutputStore
from earmark.transforms.storage.file_system import call_with_timeout

MANIFEST = "manifest.jsonl"
RESULT = "benchmark.json"


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """Options of the scoring; `judge` is the judge's URL#MODEL, "" for benchmarks without a judge."""

    judge: str = ""
    resampling: Resampling = field(default_factory=Resampling)

    def check(self) -> None:
        """Raise JobError for a negative number."""
        for name in ("bootstrap", "seed"):
            if getattr(self.resampling, name) < 0:
                raise JobError(f"--{name}={getattr(self.resampling, name)} does not work: give 0 or more")


def run_benchmark(
    name: str, data: str, output: str, options: JobOptions, beam_args: Sequence[str], scoring: ScoreOptions
) -> BenchmarkScores | None:
    """Annotate a benchmark's recordings, score the answers and write RESULT to `output`.

    Args:
        data: Folder or URL of the downloaded data set.

    Returns:
        The scores; None if recordings are missing from the output.

    Raises:
        JobError, MachineError: `data` does not hold the benchmark, or the job or the judge failed.
    """
    benchmark = find_benchmark(name)
    DataFolder(data).check()
    options = fix_options(benchmark, options, data)
    options.check()
    check_models_are_named(options)
    scoring.check()
    _check_judge(benchmark, scoring.judge)
    if any(argument.startswith("--template_location") for argument in beam_args):
        raise JobError("a benchmark waits for its job; leave out --template_location")
    judge = find_judge(scoring.judge, options.endpoint_timeout_s) if scoring.judge else None
    if judge is not None and not any(map(names_endpoint, options.models())):
        # --endpoint_timeout_s was meant for the judge alone.
        options = dataclasses.replace(options, endpoint_timeout_s=JobOptions.endpoint_timeout_s)
    entries = _read_entries(benchmark, data)
    manifest = write_manifest(benchmark, entries, output)
    if annotate(manifest, output, options, beam_args) != 0:
        return None
    try:
        if judge is None:
            scores = score_answers(benchmark, entries, output, manifest, scoring.resampling)
        else:
            scores = score_by_judge(benchmark, entries, output, judge, judge.name, scoring.resampling)
        OutputStore(output).replace(RESULT, scores.to_json().encode())
    except OSError as error:
        raise JobError(f"output {output} cannot be used: {error}") from error
    return scores


def fix_options(benchmark: Benchmark, options: JobOptions, data: str) -> JobOptions:
    """Return the options of the benchmark's job: the user's, with FIXED_OPTIONS set by the benchmark.

    Raises:
        JobError: The user has set one of FIXED_OPTIONS to something else.
    """
    fixed = {
        "task": (benchmark.task,),
        "translate_to": benchmark.translate_to or JobOptions().translate_to,
        "audio_root": DataFolder(data).root,
    }
    for name in FIXED_OPTIONS:
        default = getattr(JobOptions(), name)
        if getattr(options, name) not in (default, fixed.get(name, default)):
            raise JobError(f"--{name} does not work: {benchmark.name} sets it; leave it out")
    return dataclasses.replace(options, **fixed)  # type: ignore[arg-type]  # each value has its field's type


def _check_judge(benchmark: Benchmark, judge: str) -> None:
    if benchmark.metric == JUDGED and not judge:
        raise JobError(
            f"{benchmark.name} is scored by a judge: give --judge URL#MODEL of a chat endpoint; the published figures"
            " are GPT-4's (gpt-4-0125-preview)"
        )
    if judge and benchmark.metric != JUDGED:
        raise JobError(f"--judge={judge} does not work: {benchmark.name} is scored by {benchmark.metric}; leave it out")


def _read_entries(benchmark: Benchmark, data: str) -> list[Entry]:
    try:
        return read_entries(benchmark, DataFolder(data))
    except OSError as error:
        raise JobError(f"{data} cannot be read: {error}") from error


def write_manifest(benchmark: Benchmark, entries: Sequence[Entry], output: str) -> str:
    """Write the manifest of a benchmark into the output and return its path or URL.

    Its paths are relative, so that a data set that has moved still has the same manifest.

    Raises:
        JobError: The output cannot be written to, or holds the manifest of other data.
    """
    content = "".join(entry.to_json(benchmark.language) + "\n" for entry in entries).encode()
    store = OutputStore(output)
    try:
        call_with_timeout(lambda: store.names("_earmark"))
        same = store.create(MANIFEST, content) or store.read(MANIFEST) == content
    except OSError as error:
        raise JobError(f"output {output} cannot be used: {error}") from error
    if not same:
        raise JobError(
            f"{output}/{MANIFEST} lists other data than {benchmark.name} has now; choose another output folder"
        )
    return f"{output.rstrip('/')}/{MANIFEST}"

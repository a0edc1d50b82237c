"""`earmark benchmark`: runs a set of the published table as an ordinary job, and prints measured beside published."""

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
from earmark.scoring.layouts import Entry, entries
from earmark.transforms.output.store import OutputStore
from earmark.transforms.storage.file_system import call_with_timeout

MANIFEST = "manifest.jsonl"
RESULT = "benchmark.json"


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """How a benchmark is scored: `judge` is URL#MODEL, "" where nobody judges."""

    judge: str = ""
    resampling: Resampling = field(default_factory=Resampling)

    def check(self) -> None:
        """Raises JobError for a number that makes no sense."""
        for name in ("bootstrap", "seed"):
            if getattr(self.resampling, name) < 0:
                raise JobError(f"--{name}={getattr(self.resampling, name)} does not work: give 0 or more")


def benchmark(
    name: str, data: str, output: str, options: JobOptions, beam_flags: Sequence[str], scoring: ScoreOptions
) -> BenchmarkScores | None:
    """Annotates a set in `output`, scores the answers, and writes RESULT there. None where the job did not add up.

    Raises:
        JobError, MachineError: the folder of data is not the set's, or the job or the judge could not go on.
    """
    found = find_benchmark(name)
    DataFolder(data).check()
    options = decided(found, options, data)
    options.check()
    check_models_are_named(options)
    scoring.check()
    _check_judge(found, scoring.judge)
    if any(flag.startswith("--template_location") for flag in beam_flags):
        raise JobError("a benchmark waits for its job; leave out --template_location")
    judge = find_judge(scoring.judge, options.endpoint_timeout_s) if scoring.judge else None
    if judge is not None and not any(map(names_endpoint, options.models())):
        options = dataclasses.replace(options, endpoint_timeout_s=JobOptions.endpoint_timeout_s)  # the judge's alone
    of_set = _entries(found, data)
    manifest = write_manifest(found, of_set, output)
    if annotate(manifest, output, options, beam_flags) != 0:
        return None
    try:
        if judge is None:
            scores = score_answers(found, of_set, output, manifest, scoring.resampling)
        else:
            scores = score_by_judge(found, of_set, output, judge, judge.name, scoring.resampling)
        OutputStore(output).replace(RESULT, scores.to_json().encode())
    except OSError as error:
        raise JobError(f"output {output} cannot be used: {error}") from error
    return scores


def decided(benchmark: Benchmark, options: JobOptions, data: str) -> JobOptions:
    """The options of the benchmark's job.

    Raises:
        JobError: the user has set one that the benchmark decides; or a model for another task.
    """
    ours = {
        "task": (benchmark.task,),
        "translate_to": benchmark.translate_to or JobOptions().translate_to,
        "audio_root": DataFolder(data).root,
    }
    for name in FIXED_OPTIONS:
        default = getattr(JobOptions(), name)
        if getattr(options, name) not in (default, ours.get(name, default)):
            raise JobError(f"--{name} does not work: {benchmark.name} decides it; leave it out")
    return dataclasses.replace(options, **ours)  # type: ignore[arg-type]  # each of its field's type


def _check_judge(benchmark: Benchmark, judge: str) -> None:
    if benchmark.metric == JUDGED and not judge:
        raise JobError(
            f"{benchmark.name} is scored by a judge: give --judge URL#MODEL of a chat endpoint; the published figures"
            " are GPT-4's (gpt-4-0125-preview)"
        )
    if judge and benchmark.metric != JUDGED:
        raise JobError(f"--judge={judge} does not work: {benchmark.name} is scored by {benchmark.metric}; leave it out")


def _entries(benchmark: Benchmark, data: str) -> list[Entry]:
    try:
        return entries(benchmark, DataFolder(data))
    except OSError as error:
        raise JobError(f"{data} cannot be read: {error}") from error


def write_manifest(benchmark: Benchmark, of_set: Sequence[Entry], output: str) -> str:
    """Puts the manifest of a set into the output; returns where it is.

    Paths in it are relative, so that a set that has moved is still the same.

    Raises:
        JobError: the output cannot be written to, or holds another set.
    """
    content = "".join(entry.to_json(benchmark.language) + "\n" for entry in of_set).encode()
    store = OutputStore(output)
    try:
        call_with_timeout(lambda: store.names("_earmark"))
        same = store.create(MANIFEST, content) or store.read(MANIFEST) == content
    except OSError as error:
        raise JobError(f"output {output} cannot be used: {error}") from error
    if not same:
        raise JobError(
            f"{output}/{MANIFEST} is of other data than {benchmark.name} is now; choose another output folder"
        )
    return f"{output.rstrip('/')}/{MANIFEST}"

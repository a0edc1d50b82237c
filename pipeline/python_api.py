"""What the command does, from Python: `earmark.annotate` and `earmark.assignments`."""

from collections.abc import Iterable, Sequence
from typing import Any

from earmark.pipeline.annotate import annotate_manifest, assign
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.transforms.annotate import Assignment
from earmark.transforms.summarize import Summary


def annotate(
    manifest: str,
    output: str,
    *,
    task: str | Iterable[str] = "transcribe",
    model: str | Iterable[str] = (),
    beam_args: Sequence[str] = (),
    **options: Any,
) -> Summary:
    """Labels the recordings of a manifest and writes Parquet, as `earmark annotate MANIFEST OUTPUT` does.

    Args:
        manifest: path or URL of JSONL, CSV, TSV, Parquet or tar, a folder of audio, or a glob.
        output: folder or URL of the output; a second run with the same arguments labels only what is new.
        task: names of tasks: "transcribe", ["caption", "emotion"], ...; `earmark tasks` lists them.
        model: folder, URL or hub id with `@revision`; "TASK=MODEL" names a model for one task.
        beam_args: arguments of Beam's runners, such as ["--runner=FlinkRunner"]; in this process without them.
        options: any other option of the command, by its name: limit=100, device="cuda", batch_s=480.0, ...

    Returns:
        The summary of the run: how many recordings were annotated and failed, and why they failed.

    Raises:
        JobError: an option is wrong, the manifest, the model or the output cannot be used, or there is no such option.
        MachineError: a device or a disk failed.
        KeyboardInterrupt: the run was interrupted; finished shards are in the output, and another run resumes.

    Example:
        >>> summary = earmark.annotate("calls.jsonl", "labels", task="emotion", model="./qwen2-audio")  # doctest: +SKIP
        >>> summary.annotated, summary.failed  # doctest: +SKIP
        (16, 0)
    """
    job = job_options(task, model, options)
    summary = annotate_manifest(manifest, output, job, beam_args)
    if summary is None:
        raise JobError("a Flex Template starts its job later, so there is no summary; use `earmark annotate` for it")
    return summary


def assignments(options: JobOptions) -> list[Assignment]:
    """The engines that `Annotate` needs for the tasks and models of the options; each is loaded on first use.

    Raises:
        JobError: a model cannot be found or cannot do its tasks.
    """
    options.check()
    return assign(options, here=True)[0]


def job_options(task: str | Iterable[str], model: str | Iterable[str], options: dict[str, Any]) -> JobOptions:
    """The options of a job; lists become tuples, and one name stands for a list of one."""
    unknown = options.keys() - JobOptions.__dataclass_fields__.keys()
    if unknown:
        raise JobError(f"there is no option {min(unknown)}; `earmark annotate --help_all` lists the options")
    values: dict[str, Any] = {"task": _names(task), "model": _names(model)}
    values |= {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    return JobOptions(**values)


def _names(names: str | Iterable[str]) -> tuple[str, ...]:
    return tuple(names.split(",")) if isinstance(names, str) and names else tuple(names)

"""The functions `earmark.annotate` and `earmark.assignments`."""

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
    """Label the recordings of a manifest and write Parquet, as `earmark annotate MANIFEST OUTPUT` does.

    Args:
        manifest: Path or URL of JSONL, CSV, TSV, Parquet or tar, a folder of audio, or a glob.
        output: Folder or URL of the output; another run with the same arguments labels only new recordings.
        task: Names of tasks, such as "transcribe" or ["caption", "emotion"]; `earmark tasks` lists them.
        model: Folder, URL or hub id with `@revision`; "TASK=MODEL" sets the model of one task.
        beam_args: Options of Beam, such as ["--runner=FlinkRunner"]; without a runner, the job runs in this process.
        options: Other options of the command by name, such as limit=100, device="cuda" or batch_s=480.0.

    Returns:
        The counts of the run: recordings annotated and failed, and failures by error.

    Raises:
        JobError: An option is unknown or invalid, or the manifest, the model or the output cannot be used.
        MachineError: A device or a disk failed.
        KeyboardInterrupt: The run was interrupted; finished shards are saved, and another run resumes.

    Example:
        >>> import earmark
        >>> scenes, model = "examples/scenes/manifest.jsonl", "examples/tiny-qwen2-audio"
        >>> summary = earmark.annotate(scenes, "labels", task=["caption", "emotion"], model=model, limit=2)
        >>> summary.annotated, summary.failed
        (2, 0)
    """
    job = job_options(task, model, options)
    summary = annotate_manifest(manifest, output, job, beam_args)
    if summary is None:
        raise JobError("a Flex Template starts its job later and has no summary to return; use `earmark annotate`")
    return summary


def assignments(options: JobOptions) -> list[Assignment]:
    """Return what `Annotate` takes for the tasks and models of the options; a model is loaded on first use.

    Raises:
        JobError: An option is invalid, or a model cannot be found or does not support its tasks.
    """
    options.check()
    return assign(options, here=True)[0]


def job_options(task: str | Iterable[str], model: str | Iterable[str], options: dict[str, Any]) -> JobOptions:
    """Return the options of a job; lists become tuples, and a name may replace a list of one."""
    unknown = options.keys() - JobOptions.__dataclass_fields__.keys()
    if unknown:
        raise JobError(f"there is no option {min(unknown)}; `earmark annotate --help_all` lists the options")
    values: dict[str, Any] = {"task": _names(task), "model": _names(model)}
    values |= {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    return JobOptions(**values)


def _names(names: str | Iterable[str]) -> tuple[str, ...]:
    return tuple(names.split(",")) if isinstance(names, str) and names else tuple(names)

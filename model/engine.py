"""The contract of every engine, and how one is chosen from a checkpoint."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from model.checkpoint import Checkpoint, local_checkpoint
from schemas.errors import JobError, RowError
from schemas.job import JobOptions
from schemas.records import Answers, Clip
from schemas.tasks import Task

Kind = Literal["whisper_ctranslate2", "qwen2_audio"]
# Engines load torch and transformers, which takes seconds: they are imported where one is needed.


class Engine(Protocol):
    """What answers questions about clips."""

    def annotate(self, clips: Sequence[Clip], tasks: Sequence[Task]) -> list[Answers | RowError]:
        """One mapping of answers by task's name, or the reason there is none, for each clip, in order.

        An answer does not depend on the other clips. Raises MachineError when the device cannot go on.
        """
        ...


def check_checkpoint(checkpoint: Checkpoint, options: JobOptions, tasks: Sequence[Task], here: bool) -> None:
    """Raises JobError when no engine runs this checkpoint, or the one that does cannot do what is asked.

    Args:
        here: whether it will run on this machine, so that devices can be looked at.
    """
    if engine_kind(checkpoint) == "qwen2_audio":
        from model.check_qwen2_audio import check_qwen2_audio_job

        check_qwen2_audio_job(checkpoint, options, tasks, here)
    else:
        from model.check_whisper import check_whisper_job

        check_whisper_job(checkpoint, options, tasks, here)


def check_options(checkpoints: Sequence[Checkpoint], options: JobOptions) -> None:
    """Raises JobError for an option that no model of the job has a use for."""
    if any(engine_kind(checkpoint) == "whisper_ctranslate2" for checkpoint in checkpoints):
        return
    if options.beam_size > 1:
        raise JobError(f"--beam_size={options.beam_size} does not work: Qwen2-Audio answers greedily; leave it out")
    if options.timestamps:
        raise JobError("--timestamps does not work: Qwen2-Audio does not time phrases; leave it out")


def open_engine(checkpoint: Checkpoint, options: JobOptions) -> Engine:
    """Loads the engine that a checked checkpoint calls for, on the machine that asks.

    Raises:
        MachineError, JobError: the checkpoint's files cannot be had here, or are others here.
    """
    checkpoint = local_checkpoint(checkpoint)
    if engine_kind(checkpoint) == "qwen2_audio":
        from model.qwen2_audio import Qwen2Audio

        return Qwen2Audio(checkpoint.folder, options)
    from model.whisper_ctranslate2 import WhisperCTranslate2

    return WhisperCTranslate2(checkpoint.folder, options)


def engine_kind(checkpoint: Checkpoint) -> Kind:
    """Which engine runs a checkpoint.

    Raises:
        JobError: none does.
    """
    folder = Path(checkpoint.folder)
    config = _config(folder)
    if (folder / "model.bin").is_file() and "lang_ids" in config:
        return "whisper_ctranslate2"
    if config.get("model_type") == "qwen2_audio":
        return "qwen2_audio"
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:12]) or "nothing"
    kind = f"a model of type {config['model_type']!r}: " if "model_type" in config else ""
    raise JobError(
        f"model {checkpoint.name} is not one that earmark runs. It runs Qwen2-Audio (such as"
        " Qwen/Qwen2-Audio-7B-Instruct) and Whisper in CTranslate2's format (such as"
        f" Systran/faster-whisper-large-v3); found {kind}{found}"
    )


def _config(folder: Path) -> dict[str, object]:
    try:
        return dict(json.loads((folder / "config.json").read_text()))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        raise JobError(f"{folder / 'config.json'} is not a JSON object: {error}") from error

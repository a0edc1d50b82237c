"""Checks of a SpeechT5 job before any work."""

from collections.abc import Sequence
from pathlib import Path

from transformers import SpeechT5Config, SpeechT5ForSpeechToText, SpeechT5Tokenizer

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.checkpoints.parts import check_architecture, check_files, check_rate, read_config, read_extractor
from earmark.model.checkpoints.weights import check_weights
from earmark.model.runtime.replicas import check_torch_device
from earmark.model.segments.task_support import check_tasks_fit
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import Task


def check_speecht5_job(
    checkpoint: Checkpoint, options: JobOptions, tasks: Sequence[Task], here: bool
) -> tuple[Task, ...]:
    """As EngineModule.check_job."""
    folder = Path(checkpoint.folder)
    about = "SpeechT5, which only transcribes"
    check_tasks_fit(
        checkpoint.name, about, tasks, lambda task: task.answer == "transcript" and not task.target_language
    )
    try:
        check_architecture(read_config(folder), "SpeechT5ForSpeechToText", "microsoft/speecht5_asr")
        check_rate(read_extractor(folder))
        check_files(folder, "spm_char.model")
        check_weights(folder, lambda: SpeechT5ForSpeechToText(SpeechT5Config.from_pretrained(folder)))
        load_tokenizer(folder)
    except (ValueError, OSError) as error:
        raise JobError(f"model {checkpoint.name} cannot be run: {error}") from error
    if here:
        check_torch_device(options)
    return tuple(tasks)


def load_tokenizer(folder: Path) -> SpeechT5Tokenizer:
    """Load the checkpoint's tokenizer, which has one token for each character."""
    return SpeechT5Tokenizer.from_pretrained(folder, local_files_only=True)

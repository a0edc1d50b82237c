"""Checks of a job for Whisper in CTranslate2's format, before any work."""

from collections.abc import Sequence
from pathlib import Path

import ctranslate2
from tokenizers import Tokenizer

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.runtime.devices import check_compute_type, choose_device
from earmark.model.whisper.languages import whisper_languages
from earmark.model.whisper.tasks import check_whisper_tasks
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import Task


def check_whisper_job(
    checkpoint: Checkpoint, options: JobOptions, tasks: Sequence[Task], here: bool
) -> tuple[Task, ...]:
    """As EngineModule.check_job."""
    tokenizer = Path(checkpoint.folder) / "tokenizer.json"
    if not tokenizer.is_file():
        raise JobError(f"model {checkpoint.name}: tokenizer.json is missing beside model.bin in {checkpoint.folder}")
    try:
        languages = whisper_languages(Tokenizer.from_file(str(tokenizer)))
    except Exception as error:  # tokenizers raises nothing narrower
        raise JobError(f"model {checkpoint.name}: {tokenizer} cannot be read: {error}") from error
    check_whisper_tasks(checkpoint.name, options, tasks, languages)
    if here:
        device = choose_device(options.device, ctranslate2.get_cuda_device_count())
        check_compute_type(options.compute_type, ctranslate2.get_supported_compute_types(device), device)
    return tuple(tasks)

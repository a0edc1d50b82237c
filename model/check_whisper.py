"""What can be known to be wrong with a Whisper job before any work."""

from collections.abc import Sequence
from pathlib import Path

import ctranslate2
from tokenizers import Tokenizer

from model.checkpoint import Checkpoint
from model.device import check_compute_type, choose_device
from model.fitting_tasks import check_tasks_fit
from model.whisper_languages import spoken_language, whisper_languages
from schemas.errors import JobError, RowError
from schemas.job import JobOptions
from schemas.tasks import Task


def check_whisper_job(
    checkpoint: Checkpoint, options: JobOptions, tasks: Sequence[Task], here: bool
) -> tuple[Task, ...]:
    """As EngineModule.check_job."""
    tokenizer = Path(checkpoint.folder) / "tokenizer.json"
    if not tokenizer.is_file():
        raise JobError(f"model {checkpoint.name}: tokenizer.json is missing beside model.bin in {checkpoint.folder}")
    about = "Whisper in CTranslate2's format, which transcribes and does nothing else here"
    check_tasks_fit(checkpoint.name, about, tasks, lambda task: task.name == "transcribe")
    if options.language:
        _check_language(tokenizer, options.language)
    if here:
        chosen = choose_device(options.device, ctranslate2.get_cuda_device_count())
        check_compute_type(options.compute_type, ctranslate2.get_supported_compute_types(chosen), chosen)
    return tuple(tasks)


def _check_language(tokenizer: Path, language: str) -> None:
    try:
        spoken_language(language, whisper_languages(Tokenizer.from_file(str(tokenizer))))
    except RowError as error:
        raise JobError(f"--language={language} does not work: {error.message}") from error

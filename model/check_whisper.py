"""What can be known to be wrong with a Whisper job before any work."""

from collections.abc import Sequence
from pathlib import Path

import ctranslate2
from tokenizers import Tokenizer

from model.checkpoint import Checkpoint
from model.device import check_compute_type, choose_device
from model.whisper_languages import spoken_language, whisper_languages
from schemas.errors import JobError, RowError
from schemas.job import JobOptions
from schemas.tasks import Task


def check_whisper_job(checkpoint: Checkpoint, options: JobOptions, tasks: Sequence[Task], here: bool) -> None:
    """Raises JobError where the checkpoint is not whole, or cannot do what is asked; `here`: looks at this machine."""
    tokenizer = Path(checkpoint.folder) / "tokenizer.json"
    if not tokenizer.is_file():
        raise JobError(f"model {checkpoint.name}: tokenizer.json is missing beside model.bin in {checkpoint.folder}")
    if others := [task.name for task in tasks if task.name != "transcribe"]:
        raise JobError(
            f"model {checkpoint.name} is Whisper, which transcribes and does nothing else; for {', '.join(others)} name"
            f" an audio-language model: --model {others[0]}=Qwen/Qwen2-Audio-7B-Instruct,…"
        )
    if options.language:
        _check_language(tokenizer, options.language)
    if here:
        chosen = choose_device(options.device, ctranslate2.get_cuda_device_count())
        check_compute_type(options.compute_type, ctranslate2.get_supported_compute_types(chosen), chosen)


def _check_language(tokenizer: Path, language: str) -> None:
    try:
        spoken_language(language, whisper_languages(Tokenizer.from_file(str(tokenizer))))
    except RowError as error:
        raise JobError(f"--language={language} does not work: {error.message}") from error

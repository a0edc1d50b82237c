"""The contract of every engine, and how one is chosen from a checkpoint."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tokenizers import Tokenizer

from model.checkpoint import Checkpoint
from model.whisper_languages import spoken_language, whisper_languages
from schemas.errors import JobError, RowError
from schemas.job import JobOptions
from schemas.records import Answers, Clip


class Engine(Protocol):
    """What answers questions about clips."""

    def annotate(self, clips: Sequence[Clip], tasks: Sequence[str]) -> list[Answers | RowError]:
        """One mapping of answers by task, or the reason there is none, for each clip, in order.

        An answer does not depend on the other clips. Raises MachineError when the device cannot go on.
        """
        ...


def check_checkpoint(checkpoint: Checkpoint, language: str) -> None:
    """Raises JobError when no engine of earmark runs this checkpoint, or it does not know the job's language."""
    folder = Path(checkpoint.folder)
    if (folder / "model.bin").is_file() and "lang_ids" in _config(folder):
        if not (folder / "tokenizer.json").is_file():
            raise JobError(f"model {checkpoint.name}: tokenizer.json is missing beside model.bin in {folder}")
        if language:
            _check_language(folder, language)
        return
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:12]) or "nothing"
    raise JobError(
        f"model {checkpoint.name} is not one that earmark runs. It runs Whisper in CTranslate2's format"
        f" (model.bin, config.json, tokenizer.json), such as Systran/faster-whisper-large-v3; found {found}"
    )


def open_engine(checkpoint: Checkpoint, options: JobOptions) -> Engine:
    """Loads the engine that a checked checkpoint calls for."""
    from model.whisper_ctranslate2 import WhisperCTranslate2  # loads torch and transformers: seconds

    return WhisperCTranslate2(checkpoint.folder, options)


def _check_language(folder: Path, language: str) -> None:
    try:
        spoken_language(language, whisper_languages(Tokenizer.from_file(str(folder / "tokenizer.json"))))
    except RowError as error:
        raise JobError(f"--language={language} does not work: {error.message}") from error


def _config(folder: Path) -> dict[str, object]:
    try:
        return dict(json.loads((folder / "config.json").read_text()))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        raise JobError(f"{folder / 'config.json'} is not a JSON object: {error}") from error

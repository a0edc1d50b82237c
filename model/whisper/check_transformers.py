"""Checks of a job for Whisper in transformers, before any work."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from transformers import WhisperConfig, WhisperForConditionalGeneration, WhisperTokenizer

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.checkpoints.json_files import json_object
from earmark.model.checkpoints.parts import (
    check_architecture,
    check_mel_bands,
    check_rate,
    check_tokenizer_files,
    read_config,
    read_extractor,
)
from earmark.model.checkpoints.weights import check_weights
from earmark.model.runtime.replicas import check_torch_device
from earmark.model.whisper.languages import whisper_languages
from earmark.model.whisper.tasks import check_whisper_tasks
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import Task

DEFAULT_MELS = 80  # the default of WhisperConfig and of WhisperFeatureExtractor
DEFAULT_WIDTH = WhisperConfig().d_model


def check_whisper_transformers_job(
    checkpoint: Checkpoint, options: JobOptions, tasks: Sequence[Task], here: bool
) -> tuple[Task, ...]:
    """As EngineModule.check_job."""
    folder = Path(checkpoint.folder)
    try:
        config, extractor = read_config(folder), read_extractor(folder)
        check_architecture(config, "WhisperForConditionalGeneration", "openai/whisper-small")
        check_rate(extractor)
        check_mel_bands(extractor.get("feature_size", DEFAULT_MELS), config.get("num_mel_bins", DEFAULT_MELS))
        check_tokenizer_files(folder)
        check_weights(folder, lambda: WhisperForConditionalGeneration(WhisperConfig.from_pretrained(folder)))
        languages = load_languages(folder, load_tokenizer(folder))
    except (ValueError, OSError) as error:
        raise JobError(f"model {checkpoint.name} cannot be run: {error}") from error
    check_whisper_tasks(checkpoint.name, options, [task for task in tasks if task.answer != "vector"], languages)
    if here:
        check_torch_device(options)
    width = int(config.get("d_model", DEFAULT_WIDTH))
    return tuple(dataclasses.replace(task, dimensions=width * (task.answer == "vector")) for task in tasks)


def load_tokenizer(folder: Path) -> WhisperTokenizer:
    """The checkpoint's tokenizer; its `backend_tokenizer` is of the tokenizers library."""
    return WhisperTokenizer.from_pretrained(folder, local_files_only=True)


def load_languages(folder: Path, tokenizer: WhisperTokenizer) -> frozenset[str]:
    """Codes of the checkpoint's languages."""
    return whisper_languages(tokenizer.backend_tokenizer, json_object(folder / "generation_config.json"))

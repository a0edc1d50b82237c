"""Checks of a CLAP job before any work, and the text prompts of its labels."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import ClapConfig, ClapModel

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.checkpoints.parts import check_mel_bands, check_tokenizer_files, read_config, read_extractor
from earmark.model.checkpoints.weights import check_weights
from earmark.model.clap.network import load_extractor, load_tokenizer
from earmark.model.runtime.replicas import check_torch_device
from earmark.model.segments.task_support import check_tasks_fit
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import Task
from earmark.schemas.text import error_message

log = logging.getLogger("earmark")
LABEL = "{label}"
# From transformers' zero-shot-audio-classification; LAION's own evaluation has it without the full stop
# (CLAP/experiment_scripts/esc50_api.py).
LABEL_PROMPT = f"This is a sound of {LABEL}."
PADDINGS = ("repeatpad", "repeat", "pad")


def check_clap_job(checkpoint: Checkpoint, options: JobOptions, tasks: Sequence[Task], here: bool) -> tuple[Task, ...]:
    """As EngineModule.check_job; sets the question of label tasks to the prompt of a label."""
    about = "CLAP, which chooses among given labels and makes vectors"
    check_tasks_fit(checkpoint.name, about, tasks, lambda task: bool(task.labels) or task.answer == "vector")
    if with_map := [task.name for task in tasks if task.label_map]:
        raise JobError(f"--label_map={with_map[0]}.… does not work: CLAP has no labels of its own; leave it out")
    folder = Path(checkpoint.folder)
    try:
        read_config(folder)
        read_extractor(folder, "ClapFeatureExtractor")
        check_tokenizer_files(folder)
        config = ClapConfig.from_pretrained(checkpoint.folder, local_files_only=True)
        extractor = load_extractor(checkpoint.folder)
        tokenizer = load_tokenizer(checkpoint.folder)
        _check_extractor(config, extractor)
    except Exception as error:  # a wrong value can fail anywhere in transformers
        raise JobError(f"model {checkpoint.name} cannot be run: {error_message(error)}") from error
    completed = tuple(_completed(task, config.projection_dim) for task in tasks)
    _check_texts(checkpoint, config, tokenizer, completed)
    try:
        check_weights(folder, lambda: ClapModel(config))
    except (OSError, ValueError) as error:
        raise JobError(f"model {checkpoint.name} cannot be run: {error}") from error
    if here:
        check_torch_device(options)
    return completed


def label_prompts(task: Task) -> list[str]:
    """Return the text prompt of each label of a checked task."""
    return [task.question.replace(LABEL, label) for label in task.labels]


def _completed(task: Task, dimensions: int) -> Task:
    if task.answer == "vector":
        return dataclasses.replace(task, dimensions=dimensions)
    if LABEL in task.question:
        return task
    if task.question:
        log.info("CLAP uses the prompt %r for %s, because the task's own has no %s", LABEL_PROMPT, task.name, LABEL)
    return dataclasses.replace(task, base_prompt=None, chat_prompt="{question}", question=LABEL_PROMPT)


def _check_extractor(config: ClapConfig, extractor: Any) -> None:
    if extractor.padding not in PADDINGS:
        raise ValueError(f"its processor has padding {extractor.padding!r}, which is not one of {', '.join(PADDINGS)}")
    fuses, fused = bool(config.audio_config.enable_fusion), extractor.truncation == "fusion"
    if fuses != fused:
        raise ValueError(
            f"its processor has truncation {extractor.truncation!r}, but config.json has enable_fusion {fuses}; the"
            " files are of different checkpoints: get all of them again"
        )
    check_mel_bands(extractor.feature_size, config.audio_config.num_mel_bins)


def _check_texts(checkpoint: Checkpoint, config: ClapConfig, tokenizer: Any, tasks: Sequence[Task]) -> None:
    text = config.text_config
    max_tokens = text.max_position_embeddings - text.pad_token_id - 1  # RoBERTa's positions start after the padding id
    for task in tasks:
        for label, prompt in zip(task.labels, label_prompts(task), strict=True):
            ids = tokenizer(prompt)["input_ids"]
            if len(ids) > max_tokens:
                raise JobError(
                    f"task {task.name}: label {label[:50]!r} has {len(ids)} tokens with the prompt around it, and"
                    f" {checkpoint.name} takes at most {max_tokens}; shorten it"
                )
            if max(ids) >= text.vocab_size:
                raise JobError(
                    f"model {checkpoint.name}: its tokenizer has token ids beyond config.json's vocab_size; the files"
                    " are of different checkpoints: get all of them again"
                )

"""What can be known to be wrong with a CLAP job before any work, and what CLAP is shown for a label."""

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
# Of transformers' zero-shot-audio-classification, and of LAION's own evaluation but for the full stop
# (CLAP/experiment_scripts/esc50_api.py).
LABEL_PROMPT = f"This is a sound of {LABEL}."
PADDINGS = ("repeatpad", "repeat", "pad")


def check_clap_job(checkpoint: Checkpoint, options: JobOptions, tasks: Sequence[Task], here: bool) -> tuple[Task, ...]:
    """As EngineModule.check_job; what CLAP is shown for a label becomes the task's question."""
    about = "CLAP, which chooses among labels that are named and makes vectors"
    check_tasks_fit(checkpoint.name, about, tasks, lambda task: bool(task.labels) or task.answer == "vector")
    if mapped := [task.name for task in tasks if task.label_map]:
        raise JobError(f"--label_map={mapped[0]}.… does not work: CLAP has no labels of its own; leave it out")
    folder = Path(checkpoint.folder)
    try:
        read_config(folder)
        read_extractor(folder, "ClapFeatureExtractor")
        check_tokenizer_files(folder)
        config = ClapConfig.from_pretrained(checkpoint.folder, local_files_only=True)
        extractor = load_extractor(checkpoint.folder)
        tokenizer = load_tokenizer(checkpoint.folder)
        _check_extractor(config, extractor)
    except Exception as error:  # what a wrong value breaks may be anywhere in transformers
        raise JobError(f"model {checkpoint.name} cannot be run: {error_message(error)}") from error
    asked = tuple(_asked(task, config.projection_dim) for task in tasks)
    _check_texts(checkpoint, config, tokenizer, asked)
    try:
        check_weights(folder, lambda: ClapModel(config))
    except (OSError, ValueError) as error:
        raise JobError(f"model {checkpoint.name} cannot be run: {error}") from error
    if here:
        check_torch_device(options)
    return asked


def label_texts(task: Task) -> list[str]:
    """What CLAP is shown for each label of a checked task."""
    return [task.question.replace(LABEL, label) for label in task.labels]


def _asked(task: Task, dimensions: int) -> Task:
    if task.answer == "vector":
        return dataclasses.replace(task, dimensions=dimensions)
    if LABEL in task.question:
        return task
    if task.question:
        log.info("CLAP is shown %r for %s, whose prompt has no %s in it", LABEL_PROMPT, task.name, LABEL)
    return dataclasses.replace(task, base_prompt=None, chat_prompt="{question}", question=LABEL_PROMPT)


def _check_extractor(config: ClapConfig, extractor: Any) -> None:
    if extractor.padding not in PADDINGS:
        known = ", ".join(PADDINGS)
        raise ValueError(f"its processor has padding {extractor.padding!r}, none of {known}")
    fuses, fused = bool(config.audio_config.enable_fusion), extractor.truncation == "fusion"
    if fuses != fused:
        raise ValueError(
            f"its processor has truncation {extractor.truncation!r}, but config.json says enable_fusion {fuses}; the"
            " files are of different checkpoints: get all of them again"
        )
    check_mel_bands(extractor.feature_size, config.audio_config.num_mel_bins)


def _check_texts(checkpoint: Checkpoint, config: ClapConfig, tokenizer: Any, tasks: Sequence[Task]) -> None:
    text = config.text_config
    most_tokens = text.max_position_embeddings - text.pad_token_id - 1  # RoBERTa counts positions from there
    for task in tasks:
        for label, shown in zip(task.labels, label_texts(task), strict=True):
            ids = tokenizer(shown)["input_ids"]
            if len(ids) > most_tokens:
                raise JobError(
                    f"task {task.name}: label {label[:50]!r} has {len(ids)} tokens with what is around it, and"
                    f" {checkpoint.name} reads at most {most_tokens}; shorten it"
                )
            if max(ids) >= text.vocab_size:
                raise JobError(
                    f"model {checkpoint.name}: its tokenizer has tokens that config.json has no room for; the files"
                    " are of different checkpoints: get all of them again"
                )

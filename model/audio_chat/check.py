"""Checks of an audio language model's job before its weights are loaded: the files, the tasks, the device."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import transformers

from earmark.model.audio_chat.chat_format import ChatFormat
from earmark.model.audio_chat.prompts import ChatPrompts
from earmark.model.audio_chat.supported_models import CHAT_FORMATS
from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.checkpoints.json_files import json_object
from earmark.model.checkpoints.parts import read_config
from earmark.model.checkpoints.weights import check_weights
from earmark.model.runtime.replicas import check_torch_device
from earmark.model.segments.task_support import check_tasks_fit
from earmark.schemas.errors import JobError, RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import Recording
from earmark.schemas.tasks import Task
from earmark.schemas.text import error_message


@dataclass(frozen=True, slots=True, eq=False)
class ChatProcessor:
    """Parts of a checkpoint besides its weights: the chat format, the prompts, and the ids of the end tokens."""

    chat: ChatFormat
    prompts: ChatPrompts
    eos_ids: tuple[int, ...]


def check_audio_chat_job(
    checkpoint: Checkpoint, options: JobOptions, tasks: Sequence[Task], here: bool
) -> tuple[Task, ...]:
    """As EngineModule.check_job."""
    folder = Path(checkpoint.folder)
    try:
        kind = _kind(folder)
        config = _checked_config(folder, kind)
        check_weights(folder, lambda: getattr(transformers, kind.network)(config))
        processor = load_chat_processor(checkpoint.folder, options.language)
    except (ValueError, OSError) as error:
        raise JobError(f"model {checkpoint.name} cannot be run: {error}") from error
    check_tasks_fit(checkpoint.name, kind.about, tasks, processor.chat.supports)
    for task in tasks:
        try:
            processor.prompts.prompts(Recording("", "", prompt=task.question or "-"), [task])
        except RowError as error:
            raise JobError(f"model {checkpoint.name} cannot do task {task.name}: {error.message}") from error
    if here:
        check_torch_device(options)
    return tuple(tasks)


def load_chat_processor(folder: str, language: str) -> ChatProcessor:
    """Load the checkpoint's tokenizer, template and feature extractor.

    Args:
        folder: Folder of the checkpoint.
        language: Language of recordings whose row names none.

    Raises:
        JobError: They cannot be read, or are not those of this kind of model.
    """
    try:
        kind = _kind(Path(folder))
        config = _checked_config(Path(folder), kind)
        chat = kind.load(folder)
        eos_ids = chat.end_tokens(folder)
        prompts = ChatPrompts(chat, eos_ids[0], config.get_text_config().max_position_embeddings, language)
        return ChatProcessor(chat, prompts, tuple(eos_ids))
    except (OSError, ValueError, TypeError, AttributeError, ImportError, KeyError) as error:
        # The tokenizer or processor of another kind of model fails in any of these ways.
        raise JobError(f"the processor in {folder} cannot be used: {error_message(error)}") from error


def _kind(folder: Path) -> type[ChatFormat]:
    return CHAT_FORMATS[json_object(folder / "config.json")["model_type"]]


def _checked_config(folder: Path, kind: type[ChatFormat]) -> transformers.PreTrainedConfig:
    content = read_config(folder)
    if "thinker_config" in content and not kind.thinker_only:
        raise ValueError(
            "config.json has a thinker_config, as in the format of the authors' own code; use a checkpoint in"
            f" transformers' format, such as {kind.example}"
        )
    architectures = content.get("architectures") or []
    if any("TokenClassification" in name for name in architectures):
        raise ValueError(f"config.json has the architectures {architectures}, which align texts and do not write them")
    config = getattr(transformers, kind.network).config_class.from_pretrained(str(folder), local_files_only=True)
    text = config.get_text_config()
    if set(getattr(text, "layer_types", None) or ()) - {"full_attention"}:
        raise ValueError("its language model has sliding-window attention, which earmark does not support")
    return config

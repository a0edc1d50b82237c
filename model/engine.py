"""The contract of every engine, and how one is chosen from what a model is."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from model.checkpoint import Checkpoint, local_checkpoint
from model.source import Source
from schemas.errors import JobError, RowError
from schemas.job import JobOptions
from schemas.records import Answers, Clip
from schemas.tasks import Task


class Engine(Protocol):
    """What answers questions about clips."""

    def annotate(self, clips: Sequence[Clip], tasks: Sequence[Task]) -> list[Answers | RowError]:
        """One mapping of answers by task's name, or the reason there is none, for each clip, in order.

        An answer does not depend on the other clips. Raises MachineError when the device cannot go on.
        """
        ...


class EngineModule(Protocol):
    """The module of an engine; imported when needed, because it loads torch or another runtime, which takes seconds."""

    def check_job(self, source: Any, options: JobOptions, tasks: Sequence[Task], here: bool) -> tuple[Task, ...]:
        """The tasks with what only the model knows put in: labels of its own, dimensions of its vectors.

        Args:
            here: whether it will run on this machine, so that devices can be looked at.

        Raises:
            JobError: the model is not whole, or cannot do what is asked.
        """
        ...

    def open_engine(self, source: Any, options: JobOptions) -> Engine:
        """Loads the model of a checked job; raises JobError or MachineError where it cannot be loaded."""
        ...


def _whisper_ctranslate2() -> EngineModule:
    from model import whisper_ctranslate2

    return whisper_ctranslate2


def _qwen2_audio() -> EngineModule:
    from model import qwen2_audio

    return qwen2_audio


def _ctc() -> EngineModule:
    from model import ctc

    return ctc


def _audio_classifier() -> EngineModule:
    from model import audio_classifier

    return audio_classifier


@dataclass(frozen=True, slots=True)
class Family:
    """Checkpoints that one engine runs.

    Attributes:
        about: what people call them, with an example.
        runs: whether a folder with this config.json (empty where there is none) is one of them.
        load: imports the engine's module.
        options: of those that only some engines have a use for, the ones that this engine has.
    """

    about: str
    runs: Callable[[Path, Mapping[str, Any]], bool]
    load: Callable[[], EngineModule]
    options: frozenset[str] = frozenset()


def _of_type(*model_types: str) -> Callable[[Path, Mapping[str, Any]], bool]:
    return lambda folder, config: config.get("model_type") in model_types


CTC_TYPES = (
    "data2vec-audio",
    "hubert",
    "parakeet_ctc",
    "sew",
    "sew-d",
    "unispeech",
    "unispeech-sat",
    "wav2vec2",
    "wav2vec2-bert",
    "wav2vec2-conformer",
    "wavlm",
)


def _classifies(folder: Path, config: Mapping[str, Any]) -> bool:
    return str((config.get("architectures") or [""])[0]).endswith(
        ("ForSequenceClassification", "ForAudioClassification")
    )


# The first that runs a checkpoint is taken.
FAMILIES = (
    Family(
        "Whisper in CTranslate2's format (Systran/faster-whisper-large-v3)",
        lambda folder, config: (folder / "model.bin").is_file() and "lang_ids" in config,
        _whisper_ctranslate2,
        frozenset({"beam_size", "timestamps"}),
    ),
    Family("audio classifiers (superb/wav2vec2-base-superb-er)", _classifies, _audio_classifier),
    Family(
        "CTC models (facebook/wav2vec2-large-960h-lv60-self, facebook/mms-1b-all)",
        _of_type(*CTC_TYPES),
        _ctc,
        frozenset({"timestamps"}),
    ),
    Family("Qwen2-Audio (Qwen/Qwen2-Audio-7B-Instruct)", _of_type("qwen2_audio"), _qwen2_audio),
)
# Options that not every engine has a use for: whether one is set, and what it means.
SPECIAL_OPTIONS: Mapping[str, tuple[Callable[[JobOptions], bool], str]] = {
    "beam_size": (lambda options: options.beam_size > 1, "answers greedily"),
    "timestamps": (lambda options: options.timestamps, "does not time phrases"),
}


def check_source(source: Source, options: JobOptions, tasks: Sequence[Task], here: bool) -> tuple[Task, ...]:
    """As EngineModule.check_job, whatever the model is."""
    return _module(source).check_job(source, options, tasks, here)


def check_options(sources: Sequence[Source], options: JobOptions) -> None:
    """Raises JobError for an option that no model of the job has a use for."""
    used = frozenset[str]().union(*(_used_options(source) for source in sources))
    names = ", ".join(source.name for source in sources)
    for name, (is_set, lack) in SPECIAL_OPTIONS.items():
        if is_set(options) and name not in used:
            value = getattr(options, name)
            flag = f"--{name}" if value is True else f"--{name}={value}"
            raise JobError(f"{flag} does not work: {names} {lack}; leave it out")


def open_source(source: Source, options: JobOptions) -> Engine:
    """Loads the engine that a checked model calls for, on the machine that asks.

    Raises:
        MachineError, JobError: the checkpoint's files cannot be had here, or are others here.
    """
    if isinstance(source, Checkpoint):
        source = local_checkpoint(source)
    return _module(source).open_engine(source, options)


def _module(source: Source) -> EngineModule:
    return family_of(source).load()


def _used_options(source: Source) -> frozenset[str]:
    return family_of(source).options


def family_of(checkpoint: Checkpoint) -> Family:
    """Which engine runs a checkpoint.

    Raises:
        JobError: none does.
    """
    folder = Path(checkpoint.folder)
    config = _config(folder)
    for family in FAMILIES:
        if family.runs(folder, config):
            return family
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:12]) or "nothing"
    kind = f"a model of type {config['model_type']!r}: " if "model_type" in config else ""
    known = ", ".join(family.about for family in FAMILIES)
    raise JobError(f"model {checkpoint.name} is not one that earmark runs. It runs {known}; found {kind}{found}")


def _config(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / "config.json").read_text()))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        raise JobError(f"{folder / 'config.json'} is not a JSON object: {error}") from error

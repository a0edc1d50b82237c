"""Which engine runs a checkpoint: the first of a list of families that knows its config.json."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.checkpoints.json_files import json_object
from earmark.model.engine import EngineModule
from earmark.schemas.errors import JobError
from earmark.schemas.text import join_some


def _whisper_ctranslate2() -> EngineModule:
    from earmark.model.whisper import ctranslate2_engine as whisper_ctranslate2

    return whisper_ctranslate2


def _whisper_transformers() -> EngineModule:
    from earmark.model.whisper import transformers_engine as whisper_transformers

    return whisper_transformers


def _speecht5() -> EngineModule:
    from earmark.model.speecht5 import engine as speecht5

    return speecht5


def _qwen2_audio() -> EngineModule:
    from earmark.model.qwen2_audio import engine as qwen2_audio

    return qwen2_audio


def _sherpa_onnx() -> EngineModule:
    from earmark.model.sherpa_onnx import engine as sherpa_onnx_engine

    return sherpa_onnx_engine


def _clap() -> EngineModule:
    from earmark.model.clap import engine as clap

    return clap


def _audio_chat() -> EngineModule:
    from earmark.model.audio_chat import engine as audio_chat

    return audio_chat


def _ctc() -> EngineModule:
    from earmark.model.encoders import ctc

    return ctc


def _audio_classifier() -> EngineModule:
    from earmark.model.encoders import classifier as audio_classifier

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


# The model types of model/audio_chat/supported_models.py, whose import takes seconds.
AUDIO_CHATS = (
    "voxtral",
    "audioflamingo3",
    "musicflamingo",
    "qwen2_5_omni",
    "qwen2_5_omni_thinker",
    "qwen3_asr",
    "qwen3_omni_moe",
    "qwen3_omni_moe_thinker",
)
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
        "Whisper (openai/whisper-large-v3)",
        _of_type("whisper"),
        _whisper_transformers,
        frozenset({"beam_size", "timestamps"}),
    ),
    Family("SpeechT5 (microsoft/speecht5_asr)", _of_type("speecht5"), _speecht5, frozenset({"beam_size"})),
    Family(
        "CTC models (facebook/wav2vec2-large-960h-lv60-self, facebook/mms-1b-all)",
        _of_type(*CTC_TYPES),
        _ctc,
        frozenset({"timestamps"}),
    ),
    Family("Qwen2-Audio (Qwen/Qwen2-Audio-7B-Instruct)", _of_type("qwen2_audio"), _qwen2_audio),
    Family(
        "Voxtral, Audio Flamingo 3, Music Flamingo, Qwen2.5-Omni, Qwen3-Omni, Qwen3-ASR (Qwen/Qwen2.5-Omni-7B)",
        _of_type(*AUDIO_CHATS),
        _audio_chat,
    ),
    Family(
        "Paraformer and others in ONNX (csukuangfj/sherpa-onnx-paraformer-zh-2023-09-14)",
        lambda folder, config: not config and any(folder.glob("*.onnx")),
        _sherpa_onnx,
        frozenset({"timestamps"}),
    ),
    Family("CLAP (laion/clap-htsat-unfused)", _of_type("clap"), _clap),
)


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
    found = join_some(sorted(path.name for path in folder.iterdir()), 12) or "nothing"
    kind = f"a model of type {config['model_type']!r}: " if "model_type" in config else ""
    known = ", ".join(family.about for family in FAMILIES)
    raise JobError(
        f"model {checkpoint.name} is not one that earmark runs: found {kind}{found}. It runs {known}; name one of"
        " those, a served one, or an engine of your own (docs/systems.md)"
    )


def _config(folder: Path) -> dict[str, Any]:
    try:
        return json_object(folder / "config.json")
    except ValueError as error:
        raise JobError(str(error)) from error

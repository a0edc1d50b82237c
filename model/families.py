"""The checkpoints that earmark runs: their engines, the files that they consist of, and how each kind is recognized."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Family:
    """Checkpoints that one engine runs.

    Attributes:
        name: Name that people use.
        examples: Hub ids; the first is the most popular.
        runs: Whether a folder with this config.json (empty if the file is missing) is of the family.
        module: Module of the engine; imported when needed, because it loads torch or another runtime.
        files: Patterns of the files that make a checkpoint; what no family names is neither fetched nor read.
        libraries: Distributions that compute the answers, whose versions run.json keeps.
        options: Options of the job that only some engines use, and that this one does.
    """

    name: str
    examples: tuple[str, ...]
    runs: Callable[[Path, Mapping[str, Any]], bool]
    module: str
    files: tuple[str, ...]
    libraries: tuple[str, ...]
    options: frozenset[str] = frozenset()

    @property
    def about(self) -> str:
        """The name with the examples."""
        return f"{self.name} ({', '.join(self.examples)})"


# Never a pickle: those can hold code.
NETWORK_FILES = (
    "config.json",
    "generation_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "preprocessor_config.json",
    "processor_config.json",
)
TOKENIZER_FILES = (
    "added_tokens.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
)
CHAT_FILES = (*NETWORK_FILES, *TOKENIZER_FILES, "chat_template.jinja", "chat_template.json")
TORCH = ("torch", "transformers")

# By model_type, the class of model/audio_chat/supported_models.py, whose import takes seconds.
AUDIO_CHATS = {
    "voxtral": "Voxtral",
    "audioflamingo3": "AudioFlamingo",
    "musicflamingo": "MusicFlamingo",
    "qwen2_5_omni": "Qwen25Omni",
    "qwen2_5_omni_thinker": "Qwen25Omni",
    "qwen3_asr": "Qwen3Asr",
    "qwen3_omni_moe": "Qwen3Omni",
    "qwen3_omni_moe_thinker": "Qwen3Omni",
}
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


def _of_type(*model_types: str) -> Callable[[Path, Mapping[str, Any]], bool]:
    return lambda folder, config: config.get("model_type") in model_types


def _classifies(folder: Path, config: Mapping[str, Any]) -> bool:
    return str((config.get("architectures") or [""])[0]).endswith(
        ("ForSequenceClassification", "ForAudioClassification")
    )


# The first that runs a checkpoint is taken.
FAMILIES = (
    Family(
        name="Whisper in CTranslate2's format",
        examples=("Systran/faster-whisper-large-v3",),
        runs=lambda folder, config: (folder / "model.bin").is_file() and "lang_ids" in config,
        module="earmark.model.whisper.ctranslate2_engine",
        files=("config.json", "model.bin", "preprocessor_config.json", "tokenizer.json", "vocabulary.*"),
        libraries=("ctranslate2", "tokenizers"),
        options=frozenset({"beam_size", "timestamps"}),
    ),
    Family(
        name="audio classifiers",
        examples=("superb/wav2vec2-base-superb-er", "MIT/ast-finetuned-audioset-10-10-0.4593"),
        runs=_classifies,
        module="earmark.model.encoders.classifier",
        files=NETWORK_FILES,
        libraries=TORCH,
    ),
    Family(
        name="Whisper",
        examples=("openai/whisper-large-v3",),
        runs=_of_type("whisper"),
        module="earmark.model.whisper.transformers_engine",
        files=(*NETWORK_FILES, *TOKENIZER_FILES),
        libraries=TORCH,
        options=frozenset({"beam_size", "timestamps"}),
    ),
    Family(
        name="SpeechT5",
        examples=("microsoft/speecht5_asr",),
        runs=_of_type("speecht5"),
        module="earmark.model.speecht5.engine",
        files=(*NETWORK_FILES, *TOKENIZER_FILES, "spm_char.model"),
        libraries=TORCH,
        options=frozenset({"beam_size"}),
    ),
    Family(
        name="CTC models",
        examples=("facebook/wav2vec2-large-960h-lv60-self", "facebook/mms-1b-all"),
        runs=_of_type(*CTC_TYPES),
        module="earmark.model.encoders.ctc",
        files=(*NETWORK_FILES, *TOKENIZER_FILES, "adapter.*.safetensors"),  # of MMS, one a language
        libraries=TORCH,
        options=frozenset({"timestamps"}),
    ),
    Family(
        name="Qwen2-Audio",
        examples=("Qwen/Qwen2-Audio-7B-Instruct", "Qwen/Qwen2-Audio-7B"),
        runs=_of_type("qwen2_audio"),
        module="earmark.model.qwen2_audio.engine",
        files=CHAT_FILES,
        libraries=TORCH,
    ),
    Family(
        name="Voxtral, Audio Flamingo 3, Music Flamingo, Qwen2.5-Omni, Qwen3-Omni, Qwen3-ASR",
        examples=("Qwen/Qwen2.5-Omni-7B",),
        runs=_of_type(*AUDIO_CHATS),
        module="earmark.model.audio_chat.engine",
        files=(*CHAT_FILES, "tekken.json"),  # Mistral's tokenizers
        libraries=TORCH,
    ),
    Family(
        name="Paraformer and others in ONNX",
        examples=("csukuangfj/sherpa-onnx-paraformer-zh-2023-09-14",),
        runs=lambda folder, config: not config and any(folder.glob("*.onnx")),
        module="earmark.model.sherpa_onnx.engine",
        files=(
            "decoder*.onnx",
            "encoder*.onnx",
            "encoder*.weights",  # of an ONNX file that would be larger than 2 GB
            "joiner*.onnx",
            "model*.onnx",
            "tokens.txt",
        ),
        libraries=("sherpa-onnx",),
        options=frozenset({"timestamps"}),
    ),
    Family(
        name="CLAP",
        examples=("laion/clap-htsat-unfused",),
        runs=_of_type("clap"),
        module="earmark.model.clap.engine",
        files=(*NETWORK_FILES, *TOKENIZER_FILES),
        libraries=TORCH,
    ),
)

"""The kinds of chat models: how each prepares audio, and where its prompts and answers differ.

A new kind is a class here, and its model_type in AUDIO_CHATS of model/families.py.
"""

from collections.abc import Mapping

import numpy as np
import torch
import transformers
from transformers import PreTrainedTokenizerBase, ProcessorMixin
from transformers.models.qwen3_asr.processing_qwen3_asr import LANGUAGE_CODE_TO_NAME

from earmark.model.audio_chat.chat_format import AudioInputs, ChatFormat, ParsedAnswer, is_transcription
from earmark.model.families import AUDIO_CHATS
from earmark.schemas.errors import RowError
from earmark.schemas.records import SAMPLE_RATE_HZ
from earmark.schemas.tasks import Task

AS_TENSORS = {"sampling_rate": SAMPLE_RATE_HZ, "return_tensors": "pt"}
WITH_MASK = {**AS_TENSORS, "return_attention_mask": True}


class ProcessorChat(ChatFormat):
    """A chat format whose audio is prepared by the checkpoint's own processor."""

    input_names: tuple[str, ...] = ("input_features", "input_features_mask")  # the processor's outputs that are used

    def __init__(self, processor: ProcessorMixin):
        super().__init__(processor.tokenizer, processor.chat_template)
        self._processor = processor

    @classmethod
    def load(cls, folder: str) -> ChatFormat:
        return cls(transformers.AutoProcessor.from_pretrained(folder, local_files_only=True))

    def prepare_audio(self, samples: np.ndarray) -> AudioInputs:
        # A changed padding setting would modify the tokenizer, which other threads use.
        features = self._processor(
            text=[self.audio_token], audio=[samples], text_kwargs={"padding": False}, **AS_TENSORS
        )
        tokens = int((features["input_ids"] == self._processor.audio_token_id).sum())
        return AudioInputs({name: features[name] for name in self.input_names}, tokens)


class AudioFlamingo(ProcessorChat):
    """Audio Flamingo 3: Whisper's encoder over 30 s, whose output is cut to the clip."""

    about = "Audio Flamingo 3"
    example = "nvidia/audio-flamingo-3-hf"
    network = "AudioFlamingo3ForConditionalGeneration"
    audio_token = "<sound>"

    def suffix(self, task: Task, prompt: str, language: str | None) -> str:
        if is_transcription(task):
            prompt = self._processor.default_transcription_prompt
        return super().suffix(task, prompt, language)

    def parse(self, task: Task, tokens: tuple[int, ...]) -> ParsedAnswer:
        """As ChatFormat.parse, without the sentence that the model was trained to put around a transcript."""
        (text,) = self._processor.decode(
            [list(tokens)],
            skip_special_tokens=True,
            clean_up_tokenization_spaces=False,
            strip_prefix=is_transcription(task),
        )
        return ParsedAnswer(text.strip())


class MusicFlamingo(ProcessorChat):
    """Music Flamingo: special tokens around the audio, and times encoded in its embeddings."""

    about = "Music Flamingo"
    example = "nvidia/music-flamingo-2601-hf"
    network = "MusicFlamingoForConditionalGeneration"
    audio_token = "<sound>"
    input_names = ("input_features", "input_features_mask", "input_ids")  # the encoder counts audio tokens in the ids

    def __init__(self, processor: ProcessorMixin):
        super().__init__(processor)
        self.prefix += processor.audio_bos_token
        self._audio_end = processor.audio_eos_token

    def suffix(self, task: Task, prompt: str, language: str | None) -> str:
        return f"{self._audio_end}{super().suffix(task, prompt, language)}"


class Qwen3Asr(ProcessorChat):
    """Qwen3-ASR: transcribes, and writes the language first unless the prompt names it; takes no text prompt."""

    about = "Qwen3-ASR"
    example = "Qwen/Qwen3-ASR-1.7B-hf"
    network = "Qwen3ASRForConditionalGeneration"
    audio_token = "<|audio_pad|>"

    def supports(self, task: Task) -> bool:
        return is_transcription(task)

    def suffix(self, task: Task, prompt: str, language: str | None) -> str:
        if not language:
            return self._suffix_without_prompt
        if language not in LANGUAGE_CODE_TO_NAME:
            codes = ", ".join(sorted(LANGUAGE_CODE_TO_NAME))
            raise RowError("language", f"the model does not support the language {language!r}, only {codes}")
        return f"{self._suffix_without_prompt}language {LANGUAGE_CODE_TO_NAME[language]}<asr_text>"

    def parse(self, task: Task, tokens: tuple[int, ...]) -> ParsedAnswer:
        parsed = self._processor.parse_output(self._text(tokens))
        codes = {name: code for code, name in LANGUAGE_CODE_TO_NAME.items()}
        return ParsedAnswer(parsed["transcription"], codes.get(parsed["language"] or ""))


class Qwen25Omni(ChatFormat):
    """The thinker of Qwen2.5-Omni, which writes text; the talker, which speaks, is not loaded.

    The whole processor cannot be loaded, because its parts for images and videos need torchvision.
    """

    about = "Qwen2.5-Omni"
    example = "Qwen/Qwen2.5-Omni-7B"
    network = "Qwen2_5OmniThinkerForConditionalGeneration"
    thinker_only = True
    audio_token = "<|AUDIO|>"

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        template: str | None,
        extractor: transformers.WhisperFeatureExtractor,
    ):
        super().__init__(tokenizer, template)
        self._extractor = extractor

    @classmethod
    def load(cls, folder: str) -> ChatFormat:
        content, _ = ProcessorMixin.get_processor_dict(folder, local_files_only=True)
        return cls(
            transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True),
            content.get("chat_template"),
            transformers.WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True),
        )

    def prepare_audio(self, samples: np.ndarray) -> AudioInputs:
        # The processor pads to 300 s and then drops padded frames; only a window's width of padding has an effect.
        hop, n_fft = self._extractor.hop_length, self._extractor.n_fft
        padded = -(-(len(samples) + n_fft) // hop) * hop
        return self._audio_inputs(self._extractor(samples, padding="max_length", max_length=padded, **WITH_MASK))

    def end_tokens(self, folder: str) -> list[int]:
        # generation_config.json is for both thinker and talker; transformers' own generate uses this id.
        return [self.tokenizer.convert_tokens_to_ids("<|im_end|>")]

    def _audio_inputs(self, features: Mapping[str, torch.Tensor]) -> AudioInputs:
        mask = features["attention_mask"]
        inputs = {"input_features": features["input_features"], "feature_attention_mask": mask}
        return AudioInputs(inputs, self._token_count(int(mask.sum())))

    def _token_count(self, frames: int) -> int:
        """Number of audio tokens.

        Source: transformers, processing_qwen2_5_omni.py, _get_feat_extract_output_lengths.
        """
        return ((frames - 1) // 2 + 1 - 2) // 2 + 1


class Qwen3Omni(Qwen25Omni):
    """The thinker of Qwen3-Omni, a mixture of experts."""

    about = "Qwen3-Omni"
    example = "Qwen/Qwen3-Omni-30B-A3B-Instruct"
    network = "Qwen3OmniMoeThinkerForConditionalGeneration"
    audio_token = "<|audio_pad|>"
    capturable = False  # experts are chosen on the host

    def prepare_audio(self, samples: np.ndarray) -> AudioInputs:
        return self._audio_inputs(self._extractor(samples, padding=True, truncation=False, **WITH_MASK))

    def _token_count(self, frames: int) -> int:
        """Number of audio tokens.

        Source: transformers, processing_qwen3_omni_moe.py, _get_feat_extract_output_lengths, n_window 50.
        """
        tokens = frames % 100
        for _ in range(3):  # convolutions of stride 2
            tokens = (tokens - 1) // 2 + 1
        return tokens + frames // 100 * 13


class Voxtral(ChatFormat):
    """Voxtral, with the prompts of mistral-common (InstructTokenizerV7), which itself is not needed.

    Every segment is padded to 30 s; the padding is not masked, and takes up the model's context.
    """

    about = "Voxtral"
    example = "mistralai/Voxtral-Mini-3B-2507"
    network = "VoxtralForConditionalGeneration"
    audio_token = "[AUDIO]"
    template = "<s>[INST]{% for c in messages[0].content %}{{ c.text or '[BEGIN_AUDIO][AUDIO]' }}{% endfor %}[/INST]"

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        extractor: transformers.WhisperFeatureExtractor,
        config: transformers.VoxtralConfig,
    ):
        super().__init__(tokenizer, self.template)
        self._extractor = extractor
        audio = config.audio_config
        # Four adjacent frames of the encoder make one token (VoxtralModel.get_audio_features).
        self.min_tokens = audio.max_source_positions * audio.hidden_size // audio.intermediate_size

    @classmethod
    def load(cls, folder: str) -> ChatFormat:
        return cls(
            transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, mistral_format=False),
            transformers.WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True),
            transformers.VoxtralConfig.from_pretrained(folder, local_files_only=True),
        )

    def prepare_audio(self, samples: np.ndarray) -> AudioInputs:
        window = self._extractor.n_samples
        features = self._extractor(samples, padding=True, truncation=False, pad_to_multiple_of=window, **AS_TENSORS)
        return AudioInputs({"input_features": features["input_features"]}, self.min_tokens)

    def suffix(self, task: Task, prompt: str, language: str | None) -> str:
        if not is_transcription(task):
            return super().suffix(task, prompt, language)
        return f"{self._suffix_without_prompt}{f'lang:{language}' if language else ''}[TRANSCRIBE]"


# By the model_type of config.json.
CHAT_FORMATS: Mapping[str, type[ChatFormat]] = {model_type: globals()[name] for model_type, name in AUDIO_CHATS.items()}

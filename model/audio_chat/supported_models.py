"""Kinds of audio language models: how each takes audio in, and what it has of its own in asking and answering.

Adding a kind means a class here, and its model_type in model/families.py.
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

WINDOW_SAMPLES = 30 * SAMPLE_RATE_HZ  # of Whisper's encoder
TENSORS = {"sampling_rate": SAMPLE_RATE_HZ, "return_tensors": "pt"}
MASKED = {**TENSORS, "return_attention_mask": True}


class ProcessorChat(ChatFormat):
    """A chat whose checkpoint's own processor takes audio in."""

    inputs: tuple[str, ...] = ("input_features", "input_features_mask")  # what its encoder wants of the processor's

    def __init__(self, processor: ProcessorMixin):
        super().__init__(processor.tokenizer, processor.chat_template)
        self._processor = processor

    @classmethod
    def load(cls, folder: str) -> ChatFormat:
        return cls(transformers.AutoProcessor.from_pretrained(folder, local_files_only=True))

    def prefill(self, samples: np.ndarray) -> AudioInputs:
        # Another padding than last time would change the tokenizer, which other threads use.
        given = self._processor(text=[self.audio_token], audio=[samples], text_kwargs={"padding": False}, **TENSORS)
        tokens = int((given["input_ids"] == self._processor.audio_token_id).sum())
        return AudioInputs({name: given[name] for name in self.inputs}, tokens)


class AudioFlamingo(ProcessorChat):
    """Audio Flamingo 3: Whisper's encoder over 30 s, of which the clip's part is kept."""

    about = "Audio Flamingo 3"
    example = "nvidia/audio-flamingo-3-hf"
    network = "AudioFlamingo3ForConditionalGeneration"
    audio_token = "<sound>"

    def tail(self, task: Task, prompt: str, language: str | None) -> str:
        if is_transcription(task):
            prompt = self._processor.default_transcription_prompt
        return super().tail(task, prompt, language)

    def read(self, task: Task, tokens: tuple[int, ...]) -> ParsedAnswer:
        """Transcripts without the sentence that the model was trained to put around them."""
        (text,) = self._processor.decode(
            [list(tokens)],
            skip_special_tokens=True,
            clean_up_tokenization_spaces=False,
            strip_prefix=is_transcription(task),
        )
        return ParsedAnswer(text.strip())


class MusicFlamingo(ProcessorChat):
    """Music Flamingo: marks around the audio, and times turned into its embeddings."""

    about = "Music Flamingo"
    example = "nvidia/music-flamingo-2601-hf"
    network = "MusicFlamingoForConditionalGeneration"
    audio_token = "<sound>"
    inputs = ("input_features", "input_features_mask", "input_ids")  # it counts the clip's tokens in the text

    def __init__(self, processor: ProcessorMixin):
        super().__init__(processor)
        self.head += processor.audio_bos_token
        self._closing = processor.audio_eos_token

    def tail(self, task: Task, prompt: str, language: str | None) -> str:
        return f"{self._closing}{super().tail(task, prompt, language)}"


class Qwen3Asr(ProcessorChat):
    """Qwen3-ASR: it transcribes, says the language first where it is not told, and takes no question."""

    about = "Qwen3-ASR"
    example = "Qwen/Qwen3-ASR-1.7B-hf"
    network = "Qwen3ASRForConditionalGeneration"
    audio_token = "<|audio_pad|>"

    def fits(self, task: Task) -> bool:
        return is_transcription(task)

    def tail(self, task: Task, prompt: str, language: str | None) -> str:
        if not language:
            return self._alone
        if language not in LANGUAGE_CODE_TO_NAME:
            known = ", ".join(sorted(LANGUAGE_CODE_TO_NAME))
            raise RowError("language", f"the model does not know the language {language!r}; it knows {known}")
        return f"{self._alone}language {LANGUAGE_CODE_TO_NAME[language]}<asr_text>"

    def read(self, task: Task, tokens: tuple[int, ...]) -> ParsedAnswer:
        parsed = self._processor.parse_output(self._decoded(tokens))
        codes = {name: code for code, name in LANGUAGE_CODE_TO_NAME.items()}
        return ParsedAnswer(parsed["transcription"], codes.get(parsed["language"] or ""))


class Qwen25Omni(ChatFormat):
    """The thinker of Qwen2.5-Omni, which writes; what speaks is not loaded.

    Its processor is put together here without those of pictures and videos, which need torchvision.
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

    def prefill(self, samples: np.ndarray) -> AudioInputs:
        # The processor pads to 300 s and then leaves out what is padding: only a window's width of it is heard.
        hop, n_fft = self._extractor.hop_length, self._extractor.n_fft
        padded = -(-(len(samples) + n_fft) // hop) * hop
        return self._sound(self._extractor(samples, padding="max_length", max_length=padded, **MASKED))

    def end_tokens(self, folder: str) -> list[int]:
        # What generation_config.json says is for both thinker and talker; transformers' own generate takes this one.
        return [self.tokenizer.convert_tokens_to_ids("<|im_end|>")]

    def _sound(self, given: Mapping[str, torch.Tensor]) -> AudioInputs:
        mask = given["attention_mask"]
        inputs = {"input_features": given["input_features"], "feature_attention_mask": mask}
        return AudioInputs(inputs, self._count(int(mask.sum())))

    def _count(self, frames: int) -> int:
        """Source: transformers, processing_qwen2_5_omni.py, _get_feat_extract_output_lengths."""
        return ((frames - 1) // 2 + 1 - 2) // 2 + 1


class Qwen3Omni(Qwen25Omni):
    """The thinker of Qwen3-Omni, a mixture of experts."""

    about = "Qwen3-Omni"
    example = "Qwen/Qwen3-Omni-30B-A3B-Instruct"
    network = "Qwen3OmniMoeThinkerForConditionalGeneration"
    audio_token = "<|audio_pad|>"
    capturable = False  # which experts work is decided on the host

    def prefill(self, samples: np.ndarray) -> AudioInputs:
        return self._sound(self._extractor(samples, padding=True, truncation=False, **MASKED))

    def _count(self, frames: int) -> int:
        """Source: transformers, processing_qwen3_omni_moe.py, _get_feat_extract_output_lengths, n_window 50."""
        rest = frames % 100
        for _ in range(3):  # convolutions of stride 2
            rest = (rest - 1) // 2 + 1
        return rest + frames // 100 * 13


class Voxtral(ChatFormat):
    """Voxtral, asked as mistral-common writes it (InstructTokenizerV7), which is not needed itself.

    Every clip is padded to 30 s, which the model hears and which take up its context.
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
        # Four of the encoder's frames, side by side, are a token (VoxtralModel.get_audio_features).
        self.least_tokens = audio.max_source_positions * audio.hidden_size // audio.intermediate_size

    @classmethod
    def load(cls, folder: str) -> ChatFormat:
        return cls(
            transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, mistral_format=False),
            transformers.WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True),
            transformers.VoxtralConfig.from_pretrained(folder, local_files_only=True),
        )

    def prefill(self, samples: np.ndarray) -> AudioInputs:
        given = self._extractor(samples, padding=True, truncation=False, pad_to_multiple_of=WINDOW_SAMPLES, **TENSORS)
        return AudioInputs({"input_features": given["input_features"]}, self.least_tokens)

    def tail(self, task: Task, prompt: str, language: str | None) -> str:
        if not is_transcription(task):
            return super().tail(task, prompt, language)
        return f"{self._alone}{f'lang:{language}' if language else ''}[TRANSCRIBE]"


# By config.json's model_type.
CHATS: Mapping[str, type[ChatFormat]] = {model_type: globals()[name] for model_type, name in AUDIO_CHATS.items()}

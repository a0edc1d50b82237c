"""Checkpoints of newer audio language models with few random weights, in the format of the published ones."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, PreTrainedModel, Qwen2Tokenizer, WhisperFeatureExtractor
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from tests.support.checkpoints.small_qwen2_audio import CORPUS, spread

TURN = "{{ '<|im_start|>' + m['role'] + '\\n' }}"
SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
ANSWER = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
# As the converters of transformers write it for Audio Flamingo 3, and as Qwen's omni models have it without pictures.
FLAMINGO_TEMPLATE = (
    f"{{% if messages[0]['role'] != 'system' %}}{SYSTEM}{{% endif %}}{{% for m in messages %}}{TURN}"
    "{% set audio = namespace(found=False) %}{% set text = namespace(v='') %}{% for c in m['content'] %}"
    "{% if c.get('type') == 'audio' or 'audio' in c %}{% set audio.found = True %}"
    "{% elif c.get('type') == 'text' %}{% set text.v = text.v + c['text'] %}{% endif %}{% endfor %}"
    f"{{% if audio.found %}}<sound>{{% endif %}}{{{{ text.v }}}}<|im_end|>\n{{% endfor %}}{ANSWER}"
)
OMNI_TEMPLATE = (
    f"{{% for m in messages %}}{{% if loop.first and m['role'] != 'system' %}}{SYSTEM}{{% endif %}}{TURN}"
    "{% for content in m['content'] %}{% if content['type'] == 'audio' or 'audio_url' in content %}MARKED"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}" + ANSWER
)
ASR_AUDIO = "<|audio_start|><|audio_pad|><|audio_end|>"
ASR_TEMPLATE = (
    f"<|im_start|>system\n<|im_end|>\n<|im_start|>user\n{ASR_AUDIO}<|im_end|>\n"
    "{% for m in messages %}{% if m.role == 'assistant' %}<|im_start|>assistant\n"
    f"{{% for c in m.content %}}{{{{ c.text }}}}{{% endfor %}}<|im_end|>\n{{% endif %}}{{% endfor %}}{ANSWER}"
)
TURNS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
AUDIO = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "hidden_size": 16}
OMNI_AUDIO = {
    "d_model": 16,
    "encoder_layers": 1,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "output_dim": 32,
}
TEXT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 64,
    "max_position_embeddings": 4096,
}
SECTIONS = [2, 1, 1]  # of half a head, for time, height and width
VISION = {"depth": 1, "hidden_size": 16, "num_heads": 2, "intermediate_size": 16, "out_hidden_size": 32}


def write_small(kind: str, folder: Path, seed: int = 0, more_ends: Sequence[int] = ()) -> Path:
    """Writes a whole checkpoint of a kind, by its model_type.

    Args:
        more_ends: Tokens that end an answer too: random weights hardly ever say the end token itself.
    """
    model, ends = WRITERS[kind](folder)
    spread(model, torch.Generator().manual_seed(seed))
    model.generation_config = GenerationConfig(eos_token_id=[*ends, *more_ends], pad_token_id=ends[0], do_sample=False)
    model.save_pretrained(folder)
    return folder


def _learned() -> dict[str, Any]:
    """Vocabulary and merges of a byte-level BPE."""
    words = pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated", invert=False)
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Sequence([words, byte_level])
    trained.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trained.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=384, initial_alphabet=alphabet, show_progress=False)
    )
    return dict(json.loads(trained.to_str())["model"])


def _tokenizer(marks: Sequence[str], **named: str) -> Qwen2Tokenizer:
    """Qwen's, with further special tokens, some of which have a name."""
    learned = _learned()
    tokenizer = Qwen2Tokenizer(
        vocab=learned["vocab"],
        merges=[(left, right) for left, right in learned["merges"]],
        unk_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        padding_side="left",
        **({"extra_special_tokens": named} if named else {}),
    )
    tokenizer.add_tokens([*TURNS, *marks], special_tokens=True)
    return tokenizer


def _ids(tokenizer: Qwen2Tokenizer, *tokens: str) -> list[int]:
    return list(tokenizer.convert_tokens_to_ids(tokens))


def _text(tokenizer: Qwen2Tokenizer, **more: object) -> dict[str, Any]:
    end, text_end = _ids(tokenizer, "<|im_end|>", "<|endoftext|>")
    ends = {"bos_token_id": text_end, "eos_token_id": end, "pad_token_id": text_end}
    return {**TEXT, **ends, "vocab_size": -(-len(tokenizer) // 32) * 32, **more}


def _audio_flamingo(folder: Path) -> tuple[PreTrainedModel, list[int]]:
    tokenizer = _tokenizer(["<sound>"])
    extractor = WhisperFeatureExtractor(feature_size=128, return_attention_mask=True)
    transformers.AudioFlamingo3Processor(extractor, tokenizer, chat_template=FLAMINGO_TEMPLATE).save_pretrained(folder)
    sound, *ends = _ids(tokenizer, "<sound>", "<|im_end|>", "<|endoftext|>")
    text = {"model_type": "qwen2", **_text(tokenizer)}
    config = transformers.AudioFlamingo3Config(
        audio_config={"model_type": "audioflamingo3_encoder", **AUDIO}, text_config=text, audio_token_id=sound
    )
    return transformers.AudioFlamingo3ForConditionalGeneration(config).eval(), ends


def _music_flamingo(folder: Path) -> tuple[PreTrainedModel, list[int]]:
    tokenizer = _tokenizer(["<sound>", "<|sound_bos|>", "<|sound_eos|>"])
    extractor = WhisperFeatureExtractor(feature_size=128, return_attention_mask=True)
    transformers.MusicFlamingoProcessor(extractor, tokenizer, chat_template=FLAMINGO_TEMPLATE).save_pretrained(folder)
    names = ["<sound>", "<|sound_bos|>", "<|sound_eos|>", "<|im_end|>", "<|endoftext|>"]
    sound, begin, close, *ends = _ids(tokenizer, *names)
    config = transformers.MusicFlamingoConfig(
        audio_config={"model_type": "audioflamingo3_encoder", **AUDIO},
        text_config={"model_type": "qwen2", **_text(tokenizer)},
        audio_token_id=sound,
        audio_bos_token_id=begin,
        audio_eos_token_id=close,
        rope_parameters={"rope_type": "default", "rope_theta": 1200, "partial_rotary_factor": 0.5},
    )
    return transformers.MusicFlamingoForConditionalGeneration(config).eval(), ends


def _qwen3_asr(folder: Path) -> tuple[PreTrainedModel, list[int]]:
    marks = {
        "audio_bos_token": "<|audio_start|>",
        "audio_token": "<|audio_pad|>",
        "audio_eos_token": "<|audio_end|>",
    }
    tokenizer = _tokenizer([*marks.values()], **marks)
    tokenizer.add_tokens(["<asr_text>"])  # a token, but not a special one
    extractor = transformers.Qwen3ASRFeatureExtractor()
    transformers.Qwen3ASRProcessor(extractor, tokenizer, chat_template=ASR_TEMPLATE).save_pretrained(folder)
    audio, *ends = _ids(tokenizer, "<|audio_pad|>", "<|im_end|>", "<|endoftext|>")
    config = transformers.Qwen3ASRConfig(
        audio_config={"model_type": "qwen3_asr_encoder", **OMNI_AUDIO, "downsample_hidden_size": 8},
        text_config={"model_type": "qwen3", **_text(tokenizer)},
        audio_token_id=audio,
        eos_token_id=ends,
        pad_token_id=ends[0],
        tie_word_embeddings=False,
    )
    return transformers.Qwen3ASRForConditionalGeneration(config).eval(), ends


def _omni_parts(folder: Path, mark: Sequence[str], chunk_length: int) -> tuple[Qwen2Tokenizer, dict[str, Any]]:
    """Tokenizer, template and feature extractor; and the ids that a thinker's config has."""
    tokenizer = _tokenizer([*mark, "<|IMAGE|>", "<|VIDEO|>"])
    tokenizer.save_pretrained(folder)
    template = OMNI_TEMPLATE.replace("MARKED", "".join(mark))
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    WhisperFeatureExtractor(
        feature_size=128, chunk_length=chunk_length, return_attention_mask=True, processor_class="x"
    ).save_pretrained(folder)
    begin, audio, close, image, video = _ids(tokenizer, *mark, "<|IMAGE|>", "<|VIDEO|>")
    ids = {"audio_start_token_id": begin, "audio_end_token_id": close, "vision_start_token_id": image}
    return tokenizer, {**ids, "audio_token": audio, "image_token": image, "video_token": video}


def _qwen25_omni(folder: Path) -> tuple[PreTrainedModel, list[int]]:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer, ids = _omni_parts(folder, ["<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>"], 60)
    text = _text(tokenizer, rope_parameters={"rope_type": "default", "mrope_section": SECTIONS, "rope_theta": 1e6})
    thinker = {
        "model_type": "qwen2_5_omni_thinker",
        "audio_config": {**OMNI_AUDIO, "n_window": 20},
        "text_config": text,
        "vision_config": VISION,
        **{name.replace("token", "token_index") if name.endswith("token") else name: id for name, id in ids.items()},
    }
    config = transformers.Qwen2_5OmniConfig(thinker_config=thinker, enable_audio_output=False)
    return transformers.Qwen2_5OmniForConditionalGeneration(config).eval(), _ids(tokenizer, "<|im_end|>")


def _qwen3_omni(folder: Path) -> tuple[PreTrainedModel, list[int]]:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer, ids = _omni_parts(folder, ["<|audio_start|>", "<|audio_pad|>", "<|audio_end|>"], 30)
    text = _text(
        tokenizer,
        rope_parameters={"rope_type": "default", "mrope_section": SECTIONS, "rope_theta": 1e6},
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
    )
    thinker = {
        "model_type": "qwen3_omni_moe_thinker",
        "audio_config": {**OMNI_AUDIO, "downsample_hidden_size": 8, "num_mel_bins": 128},
        "text_config": text,
        "vision_config": {**VISION, "deepstack_visual_indexes": [0]},
        **{name.replace("token", "token_id") if name.endswith("token") else name: id for name, id in ids.items()},
    }
    config = transformers.Qwen3OmniMoeConfig(thinker_config=thinker, enable_audio_output=False)
    return transformers.Qwen3OmniMoeForConditionalGeneration(config).eval(), _ids(tokenizer, "<|im_end|>")


VOXTRAL_MARKS = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", *(f"<SPECIAL_{id}>" for id in range(5, 24))]
VOXTRAL_MARKS += ["[AUDIO]", "[BEGIN_AUDIO]", "[TRANSCRIBE]"]  # [AUDIO] is 24, which its processor takes for granted


def _voxtral(folder: Path) -> tuple[PreTrainedModel, list[int]]:
    """With Mistral's tekken.json and no other file of a tokenizer, as Voxtral is published."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = {letter: byte for byte, letter in transformers.convert_slow_tokenizer.bytes_to_unicode().items()}
    merged = [bytes(map(letters.__getitem__, token)) for token in _learned()["vocab"] if len(token) > 1]
    words = [bytes([byte]) for byte in range(256)] + merged
    vocab = [{"rank": rank, "token_bytes": base64.b64encode(word).decode()} for rank, word in enumerate(words)]
    marks = [{"rank": rank, "token_str": mark, "is_control": True} for rank, mark in enumerate(VOXTRAL_MARKS)]
    size = len(vocab) + len(marks)
    about = {"pattern": PRETOKENIZE_REGEX, "default_vocab_size": size, "default_num_special_tokens": len(marks)}
    tekken = {"config": {**about, "version": "v13"}, "vocab": vocab, "special_tokens": marks}
    (folder / "tekken.json").write_text(json.dumps(tekken))
    WhisperFeatureExtractor(feature_size=128).save_pretrained(folder)
    audio = {**AUDIO, "intermediate_size": 4 * AUDIO["hidden_size"], "num_mel_bins": 128}
    text = {**TEXT, "model_type": "llama", "vocab_size": -(-size // 32) * 32, "bos_token_id": 1, "eos_token_id": 2}
    config = transformers.VoxtralConfig(audio_config=audio, text_config=text, audio_token_id=24)
    return transformers.VoxtralForConditionalGeneration(config).eval(), [2]


WRITERS: Mapping[str, Callable[[Path], tuple[PreTrainedModel, list[int]]]] = {
    "voxtral": _voxtral,
    "audioflamingo3": _audio_flamingo,
    "musicflamingo": _music_flamingo,
    "qwen2_5_omni": _qwen25_omni,
    "qwen3_asr": _qwen3_asr,
    "qwen3_omni_moe": _qwen3_omni,
}

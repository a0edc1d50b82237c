"""Qwen2-Audio checkpoints of any size with random weights, in the format of the published ones."""

import json
import math
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    PreTrainedModel,
    Qwen2AudioConfig,
    Qwen2AudioEncoderConfig,
    Qwen2AudioForConditionalGeneration,
    Qwen2AudioProcessor,
    Qwen2Config,
    Qwen2Tokenizer,
    WhisperFeatureExtractor,
)
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from tests.support.jobs import TINY

LANGUAGE_TAGS = ["<|en|>", "<|zh|>", "<|de|>", "<|fr|>", "<|es|>", "<|it|>", "<|ja|>"]
MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>"]
CHAT_TEMPLATE = (TINY / "chat_template.jinja").read_text()  # that of Qwen2-Audio-7B-Instruct
CORPUS = (
    "system\nYou are a helpful assistant. user\nAudio 1: assistant\n",
    "Transcribe the speech word for word. Answer with the transcript only.",
    "Describe the audio in one sentence. Generate the caption in English:",
    "What is the speaker's emotion? Answer with one word of: neutral, joy, sadness, anger, surprise, fear, disgust.",
    "Detect the language and recognize the speech: Recognize the emotion with keywords in English:",
    "A man speaks slowly while a dog barks and a door closes. A woman speaks quickly over music.",
)


def write_checkpoint(
    folder: Path | str,
    chat: bool = True,
    hidden: int = 32,
    layers: int = 2,
    seed: int = 0,
    *,
    audio_hidden: int = 32,
    audio_layers: int = 2,
    heads: int = 4,
    vocabulary: int = 0,
    shard_size: str | int = "5GB",
) -> Path:
    """Write a whole checkpoint and return its folder; it runs like the published ones, with random weights.

    Args:
        chat: Whether it is an Instruct checkpoint, with a chat template and the end token `<|im_end|>`, or a base one.
        hidden, layers: Width (a multiple of 2 * heads) and depth of the language model; its MLP is 4 * hidden wide.
        seed: Seed of the weights.
        audio_hidden, audio_layers: Width and depth of the audio encoder.
        heads: Number of attention heads in both.
        vocabulary: Rows of the embedding; default: as many as the tokenizer has tokens, rounded up to 32.
        shard_size: Size of the safetensors files, in bytes or like "1MB".
    """
    tokenizer = make_tokenizer(chat)
    model = make_model(tokenizer, hidden, layers, seed, audio_hidden, audio_layers, heads, vocabulary)
    end, text_end = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    model.generation_config = GenerationConfig(
        bos_token_id=text_end,
        eos_token_id=[end, text_end] if chat else text_end,
        pad_token_id=text_end,
        do_sample=False,
        max_new_tokens=64,
    )
    extractor = WhisperFeatureExtractor(feature_size=128, return_attention_mask=True)
    processor = Qwen2AudioProcessor(extractor, tokenizer, chat_template=CHAT_TEMPLATE)
    if not chat:
        processor.chat_template = None  # the processor makes one up where none is given
    processor.save_pretrained(folder)
    model.save_pretrained(folder, max_shard_size=shard_size)
    return Path(folder)


def make_tokenizer(chat: bool) -> Qwen2Tokenizer:
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    words = pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated", invert=False)
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Sequence([words, byte_level])
    trained.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=512, initial_alphabet=alphabet, show_progress=False)
    trained.train_from_iterator(CORPUS, trainer)
    learned = json.loads(trained.to_str())["model"]
    return Qwen2Tokenizer(
        vocab=learned["vocab"],
        merges=[(left, right) for left, right in learned["merges"]],
        unk_token=None,
        eos_token="<|im_end|>" if chat else "<|endoftext|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=MARKS[1:] + LANGUAGE_TAGS,
        model_max_length=2048,
        padding_side="left",
    )


def make_model(
    tokenizer: Qwen2Tokenizer,
    hidden: int,
    layers: int,
    seed: int,
    audio_hidden: int,
    audio_layers: int,
    heads: int,
    vocabulary: int,
) -> Qwen2AudioForConditionalGeneration:
    audio, end, text_end = tokenizer.convert_tokens_to_ids(["<|AUDIO|>", "<|im_end|>", "<|endoftext|>"])
    audio_config = Qwen2AudioEncoderConfig(
        d_model=audio_hidden,
        encoder_layers=audio_layers,
        encoder_attention_heads=heads,
        encoder_ffn_dim=4 * audio_hidden,
    )
    text_config = Qwen2Config(
        vocab_size=vocabulary or -(-len(tokenizer) // 32) * 32,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        intermediate_size=4 * hidden,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
        bos_token_id=text_end,
        eos_token_id=end,
        pad_token_id=text_end,
    )
    config = Qwen2AudioConfig(audio_config=audio_config, text_config=text_config, audio_token_index=audio)
    model = Qwen2AudioForConditionalGeneration(config).eval()
    spread(model, torch.Generator().manual_seed(seed))
    return model


@torch.no_grad()
def spread(model: PreTrainedModel, random: torch.Generator) -> None:
    """Weights so large that logits differ clearly: with transformers' 0.02 two tokens could tie."""
    for name, weight in model.named_parameters():
        if "embed_positions" in name:
            weight.copy_(sinusoids(*weight.shape))
        elif "embed_tokens" in name:
            weight.normal_(0, 0.5, generator=random)
        elif weight.ndim >= 2:
            weight.normal_(0, weight[0].numel() ** -0.5, generator=random)
        elif name.endswith("bias"):
            weight.normal_(0, 0.1, generator=random)


def sinusoids(length: int, channels: int) -> torch.Tensor:
    """Whisper's positions, float32 [length, channels] (openai/whisper, model.py)."""
    frequencies = torch.exp(-math.log(10_000) / (channels // 2 - 1) * torch.arange(channels // 2))
    angles = torch.arange(length)[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def edit_json(path: Path, **changes: object) -> None:
    """Set keys ("a.b" for nested ones); None removes a key."""
    content = json.loads(path.read_text())
    for key, value in changes.items():
        *parents, last = key.split(".")
        fields = content
        for parent in parents:
            fields = fields[parent]
        fields[last] = value
        if value is None:
            del fields[last]
    path.write_text(json.dumps(content))

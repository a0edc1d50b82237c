"""The tokenizer, the processor and the model with its initial weights."""

import json
import math

import torch
from corpus import CAPTIONS, NO_SPEECH, WORDS
from log_mel import MEL_BINS
from prompts import LABELS, PREFIXES, question, training_texts
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    Qwen2AudioConfig,
    Qwen2AudioEncoderConfig,
    Qwen2AudioForConditionalGeneration,
    Qwen2AudioProcessor,
    Qwen2Config,
    Qwen2Tokenizer,
    WhisperFeatureExtractor,
)
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

END, PAD = "<|im_end|>", "<|endoftext|>"
SPECIAL_TOKENS = (
    *(PAD, "<|im_start|>", END, "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>"),
    *(f"<|{language}|>" for language in ("en", "zh", "de", "fr", "es", "it", "ja", "unknown")),
)
VOCABULARY = 768
WIDTH = 128
HEADS_OF_ATTENTION = 4

# The chat template of Qwen2-Audio-7B-Instruct.
CHAT_TEMPLATE = (
    "{% set audio_count = namespace(value=0) %}{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n"
    "{% else %}{% for content in message['content'] %}"
    "{% if 'audio' in content or 'audio_url' in content or message['type'] == 'audio' or content['type'] == 'audio' %}"
    "{% set audio_count.value = audio_count.value + 1 %}"
    "Audio {{ audio_count.value }}: <|audio_bos|><|AUDIO|><|audio_eos|>\n"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_tokenizer() -> Qwen2Tokenizer:
    """Make a byte-level BPE tokenizer with Qwen2's pre-tokenization, trained on the training's prompts and answers."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    words = [text for word in WORDS for text in (word, f" {word}")]
    answers = [*CAPTIONS * 40, *words * 40, *[NO_SPEECH, *LABELS] * 80]
    frames = [text for prefix in PREFIXES for text in (prefix, question("", base=False))] * 40
    for token in SPECIAL_TOKENS:
        frames = [text.replace(token, "") for text in frames]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator([*training_texts(), *answers, *frames], trainer)
    trained = json.loads(bpe.to_str())["model"]
    return Qwen2Tokenizer(
        vocab=trained["vocab"],
        merges=[tuple(pair) for pair in trained["merges"]],
        unk_token=None,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[token for token in SPECIAL_TOKENS if token not in (END, PAD)],
        model_max_length=2048,
        padding_side="left",
    )


def make_processor() -> Qwen2AudioProcessor:
    extractor = WhisperFeatureExtractor(feature_size=MEL_BINS, return_attention_mask=True)
    return Qwen2AudioProcessor(extractor, make_tokenizer(), chat_template=CHAT_TEMPLATE)


def make_model(tokenizer: Qwen2Tokenizer) -> Qwen2AudioForConditionalGeneration:
    """Make the untrained model. Its positions are Whisper's sinusoids, which the class does not set; they stay fixed.

    transformers' standard deviation of 0.02 is too small for a model this narrow, so matrices are initialized by their
    fan-in, and matrices that add to the residual stream with smaller values.
    """
    pad, end, audio = tokenizer.convert_tokens_to_ids([PAD, END, "<|AUDIO|>"])
    encoder = Qwen2AudioEncoderConfig(
        num_mel_bins=MEL_BINS,
        d_model=WIDTH,
        encoder_layers=4,
        encoder_attention_heads=HEADS_OF_ATTENTION,
        encoder_ffn_dim=384,
        max_source_positions=1500,
    )
    decoder = Qwen2Config(
        vocab_size=-(-len(tokenizer) // 32) * 32,
        hidden_size=WIDTH,
        num_hidden_layers=3,
        num_attention_heads=HEADS_OF_ATTENTION,
        num_key_value_heads=HEADS_OF_ATTENTION,
        intermediate_size=320,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
        pad_token_id=pad,
        bos_token_id=pad,
        eos_token_id=end,
    )
    model = Qwen2AudioForConditionalGeneration(
        Qwen2AudioConfig(audio_config=encoder, text_config=decoder, audio_token_index=audio)
    )
    _initialize(model)
    model.generation_config = GenerationConfig(
        bos_token_id=pad, eos_token_id=[end, pad], pad_token_id=pad, do_sample=False, max_new_tokens=64
    )
    return model


@torch.no_grad()
def _initialize(model: Qwen2AudioForConditionalGeneration) -> None:
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2 and "embed" not in name:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    tower, language_model = model.model.audio_tower, model.model.language_model
    torch.nn.init.normal_(language_model.embed_tokens.weight, std=0.5)
    tower.embed_positions.weight.copy_(0.3 * _sinusoids(*tower.embed_positions.weight.shape))
    tower.embed_positions.weight.requires_grad_(False)
    for layer in tower.layers:
        layer.self_attn.out_proj.weight.mul_(0.35)
        layer.fc2.weight.mul_(0.35)
    for layer in language_model.layers:
        layer.self_attn.o_proj.weight.mul_(0.4)
        layer.mlp.down_proj.weight.mul_(0.4)


def _sinusoids(length: int, channels: int) -> torch.Tensor:
    """Whisper's positions (openai/whisper, model.py): wavelengths of 2 pi to 20,000 pi, sines before cosines."""
    step = math.log(10_000) / (channels // 2 - 1)
    angles = torch.arange(length)[:, None] * torch.exp(-step * torch.arange(channels // 2))
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def encode(
    model: Qwen2AudioForConditionalGeneration, mels: torch.Tensor, frames: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Encode clips that are not padded to 30 s, with the audio tower and the projector.

    Args:
        mels: Scaled, float [clips, MEL_BINS, longest], with at least TAIL_FRAMES computed frames after each clip's end.
        frames: Number of frames of each clip without those, int64 [clips].

    Returns:
        The projector's output [clips, tokens, WIDTH], the tower's output [clips, tokens, WIDTH], and the number of
        tokens of each clip, int64 [clips].
    """
    tower = model.model.audio_tower
    hidden = torch.nn.functional.gelu(tower.conv1(mels))
    hidden = torch.nn.functional.gelu(tower.conv2(hidden)).transpose(1, 2)
    positions = (frames - 1) // 2 + 1
    longest = int(positions.max() + 1) // 2 * 2
    hidden = hidden[:, :longest] + tower.embed_positions.weight[:longest]
    keys = torch.arange(longest) < positions[:, None]
    mask = additive(keys)[:, None, None].expand(-1, 1, longest, -1)
    for layer in tower.layers:
        hidden = layer(hidden, mask)
    pooled = torch.nn.functional.avg_pool1d(hidden.transpose(1, 2), 2).transpose(1, 2)
    encoded = tower.layer_norm(pooled)
    return model.model.multi_modal_projector(encoded), encoded, (positions - 2) // 2 + 1


def additive(visible: torch.Tensor) -> torch.Tensor:
    """Convert a mask to the form that attention adds, once for all layers: 0 where `visible` is True, else -inf."""
    return torch.zeros(visible.shape).masked_fill(~visible, -torch.inf)

"""A small multilingual Whisper of transformers with random weights: it detects languages, and writes nonsense."""

import json
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

from tests.support.checkpoints.small_qwen2_audio import CORPUS, sinusoids

LANGUAGES = ("en", "zh", "de", "es", "ja", "haw")
TASKS = ("translate", "transcribe")
MARKS = ("startoflm", "startofprev", "nospeech", "notimestamps")
CONTEXT_TOKENS = 48


def write_small_whisper(folder: Path, seed: int = 1) -> Path:
    """Writes the checkpoint and returns its folder."""
    tokenizer = make_tokenizer()
    ids = {name: tokenizer.token_to_id(f"<|{name}|>") for name in (*LANGUAGES, *TASKS, *MARKS)}
    end, start = (tokenizer.token_to_id(f"<|{name}|>") for name in ("endoftext", "startoftranscript"))
    marks = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end, "decoder_start_token_id": start}
    suppressed = {"suppress_tokens": [1, 2, ids["startofprev"]], "begin_suppress_tokens": [3, end]}
    sizes = {f"{side}_{part}": size for side in ("encoder", "decoder") for part, size in SIZES.items()}
    config = WhisperConfig(
        vocab_size=tokenizer.get_vocab_size(), d_model=32, max_target_positions=CONTEXT_TOKENS, **sizes, **marks
    )
    network = WhisperForConditionalGeneration(config).eval()
    spread(network, torch.Generator().manual_seed(seed))
    network.generation_config = GenerationConfig(
        is_multilingual=True,
        lang_to_id={f"<|{name}|>": ids[name] for name in LANGUAGES},
        task_to_id={name: ids[name] for name in TASKS},
        no_timestamps_token_id=ids["notimestamps"],
        max_initial_timestamp_index=50,
        max_length=CONTEXT_TOKENS,
        **suppressed,
        **marks,
    )
    network.save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "WhisperTokenizer"}))
    return folder


SIZES = {"layers": 2, "attention_heads": 2, "ffn_dim": 64}


def make_tokenizer() -> Tokenizer:
    """Bytes and a few words, and Whisper's special tokens in their order."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    )
    names = ("endoftext", "startoftranscript", *LANGUAGES, *TASKS, *MARKS)
    tokenizer.add_special_tokens([AddedToken(f"<|{name}|>", special=True, normalized=False) for name in names])
    moments = [AddedToken(f"<|{step * 0.02:.2f}|>", special=False, normalized=False) for step in range(1501)]
    tokenizer.add_tokens(moments)
    return tokenizer


@torch.no_grad()
def spread(network: WhisperForConditionalGeneration, random: torch.Generator) -> None:
    """Weights so large that the audio decides the text: with transformers' 0.02 it has almost no influence."""
    for name, weight in network.named_parameters():
        if name.endswith("encoder.embed_positions.weight"):
            weight.copy_(sinusoids(*weight.shape) / 10)
        elif "embed_" in name:
            weight.normal_(0, 0.3, generator=random)
        elif weight.ndim >= 2:
            weight.normal_(0, 2 * weight[0].numel() ** -0.5, generator=random)
        elif name.endswith("bias"):
            weight.normal_(0, 0.1, generator=random)

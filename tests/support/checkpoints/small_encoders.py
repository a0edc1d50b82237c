"""Audio encoders of transformers with random weights and a head, tiny, in the format of the published ones."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    AutoConfig,
    AutoModelForAudioClassification,
    AutoModelForCTC,
    ParakeetCTCConfig,
    ParakeetFeatureExtractor,
    ParakeetTokenizer,
    PreTrainedModel,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    WhisperConfig,
    WhisperFeatureExtractor,
)

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "|"]
SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "conv_dim": (32,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_bias": True,
}


def vocabulary(letters: str) -> dict[str, int]:
    return {token: index for index, token in enumerate([*SPECIAL, *letters])}


LETTERS = vocabulary("ABCDEFGHIJKLMNOPQRSTUVWXYZ'")


def write_ctc(folder: Path, model_type: str = "wav2vec2", seed: int = 0, masks: bool = True, **config: Any) -> Path:
    """A CTC checkpoint of a wav2vec2-like encoder; `config` overrides that of a layer-norm one.

    Args:
        masks: Whether the feature extractor returns attention masks.
    """
    if model_type == "parakeet_ctc":
        return _write_parakeet(folder, seed)
    if model_type in ("sew", "sew-d"):
        config = {"conv_dim": (32,) * 13, "hidden_size": 32, "squeeze_factor": 2, **config}
    made = AutoConfig.for_model(model_type, **{**SMALL, "vocab_size": len(LETTERS), "pad_token_id": 0, **config})
    network = AutoModelForCTC.from_config(made)
    _save(network, folder, seed)
    write_vocabulary(folder, LETTERS)
    if model_type == "wav2vec2-bert":
        SeamlessM4TFeatureExtractor(feature_size=80, num_mel_bins=80, padding_value=1).save_pretrained(folder)
    else:
        Wav2Vec2FeatureExtractor(return_attention_mask=masks).save_pretrained(folder)
    return folder


def _write_parakeet(folder: Path, seed: int) -> Path:
    pieces = {token: index for index, token in enumerate(["<unk>", *"▁abcdefghijklmnopqrst", "▁th", "ing", "<pad>"])}
    tokenizer = Tokenizer(models.WordLevel(pieces, unk_token="<unk>"))
    tokenizer.decoder = decoders.Metaspace()
    ParakeetTokenizer(tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>").save_pretrained(folder)
    ParakeetFeatureExtractor().save_pretrained(folder)
    encoder = {name: SMALL[name] for name in ("hidden_size", "num_hidden_layers", "num_attention_heads")}
    encoder |= {"intermediate_size": 64, "num_mel_bins": 80, "subsampling_conv_channels": 16}
    made = ParakeetCTCConfig(encoder_config=encoder, vocab_size=len(pieces), pad_token_id=pieces["<pad>"])
    _save(AutoModelForCTC.from_config(made), folder, seed)
    return folder


def write_mms(folder: Path, **letters: str) -> Path:
    """A checkpoint with an adapter and an alphabet a language."""
    first = next(iter(letters))
    vocabularies = {language.replace("__", "-"): vocabulary(text) for language, text in letters.items()}
    config = {"adapter_attn_dim": 4, "vocab_size": len(vocabulary(letters[first]))}
    write_ctc(folder, **config)
    write_vocabulary(folder, vocabularies, target_lang=first.replace("__", "-"))
    network = AutoModelForCTC.from_pretrained(folder)
    for seed, (language, tokens) in enumerate(vocabularies.items(), start=1):
        network.lm_head = torch.nn.Linear(SMALL["hidden_size"], len(tokens))
        _spread(network, seed)
        save_file(
            {name: weight.contiguous() for name, weight in network._get_adapters().items()},
            folder / f"adapter.{language}.safetensors",
            {"format": "pt"},
        )
    return folder


def write_vocabulary(folder: Path, tokens: Any, **options: str) -> None:
    (folder / "vocab.json").write_text(json.dumps(tokens))
    Wav2Vec2CTCTokenizer(str(folder / "vocab.json"), **options).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(tokens))


def write_classifier(
    folder: Path, labels: list[str], model_type: str = "wav2vec2", seed: int = 0, masks: bool = True, **config: Any
) -> Path:
    """A classifier of these labels; `model_type` may be AST's and Whisper's, too."""
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
    if model_type == "audio-spectrogram-transformer":
        small = {name: SMALL[name] for name in ("hidden_size", "num_hidden_layers", "num_attention_heads")}
        made: Any = ASTConfig(**{"intermediate_size": 64, **small, **names, **config})
        ASTFeatureExtractor().save_pretrained(folder)
    elif model_type == "whisper":
        made = WhisperConfig(
            d_model=32,
            encoder_layers=2,
            encoder_attention_heads=2,
            encoder_ffn_dim=64,
            classifier_proj_size=16,
            **names,
        )
        WhisperFeatureExtractor().save_pretrained(folder)
    else:
        made = AutoConfig.for_model(model_type, **{**SMALL, "classifier_proj_size": 16, **names, **config})
        Wav2Vec2FeatureExtractor(return_attention_mask=masks).save_pretrained(folder)
    _save(AutoModelForAudioClassification.from_config(made), folder, seed)
    return folder


def _save(network: PreTrainedModel, folder: Path, seed: int) -> None:
    _spread(network, seed)
    network.save_pretrained(folder)


@torch.no_grad()
def _spread(network: PreTrainedModel, seed: int) -> None:
    """Weights so large that answers differ clearly from clip to clip, and from frame to frame."""
    random = torch.Generator().manual_seed(seed)
    for name, weight in network.named_parameters():
        if name.startswith(("lm_head", "classifier")) and weight.ndim == 2:
            weight.normal_(0, 1.0, generator=random)
        elif weight.ndim >= 2:
            weight.normal_(0, weight[0].numel() ** -0.5, generator=random)
        elif name.endswith("bias"):
            weight.normal_(0, 0.1, generator=random)

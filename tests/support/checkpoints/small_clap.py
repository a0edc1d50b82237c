"""CLAP checkpoints of any size with random weights, in the format of the published ones."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, ClapProcessor, RobertaTokenizer

MARKS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
CORPUS = (
    "This is a sound of neutral joy sadness anger surprise fear disgust.",
    "This is a sound of Laughter Sigh Cough Throat clearing Sneeze Sniff.",
    "A dog barks while a door closes. Music, rain and wind, without speech.",
)
MEL_MEAN_DB, MEL_VARIANCE = -50.0, 900.0  # about those of speech and noise, for the batch norm


def write_clap(
    folder: Path | str,
    fusion: bool = False,
    channels: int = 8,
    depths: tuple[int, ...] = (1, 1),
    heads: tuple[int, ...] = (2, 2),
    text_hidden: int = 16,
    text_layers: int = 1,
    dimensions: int = 16,
    seed: int = 0,
) -> Path:
    """Write a whole checkpoint and return its folder; it runs like the published ones, with random weights.

    Args:
        fusion: Whether to write a checkpoint like laion/clap-htsat-fused; else like laion/clap-htsat-unfused.
        channels, depths, heads: Width of the audio encoder's first stage, and the blocks and heads of each stage.
        text_hidden, text_layers: Width (a multiple of 4) and depth of the text encoder.
        dimensions: Length of the vectors.
        seed: Seed of the weights.
    """
    tokenizer = make_tokenizer()
    audio = {
        "patch_embeds_hidden_size": channels,
        "hidden_size": channels * 2 ** (len(depths) - 1),
        "depths": list(depths),
        "num_attention_heads": list(heads),
        "enable_fusion": fusion,
    }
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": text_hidden,
        "num_hidden_layers": text_layers,
        "num_attention_heads": 4,
        "intermediate_size": 4 * text_hidden,
        "max_position_embeddings": 66,
    }
    model = ClapModel(ClapConfig(text_config=text, audio_config=audio, projection_dim=dimensions)).eval()
    _spread(model, torch.Generator().manual_seed(seed))
    extractor = ClapFeatureExtractor(
        frequency_min=50, truncation="fusion" if fusion else "rand_trunc", padding="repeatpad"
    )
    ClapProcessor(extractor, tokenizer).save_pretrained(folder)
    extractor.save_pretrained(folder)  # published checkpoints have this and no processor_config.json
    (Path(folder) / "processor_config.json").unlink(missing_ok=True)
    model.save_pretrained(folder)
    return Path(folder)


def make_tokenizer() -> RobertaTokenizer:
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=MARKS, initial_alphabet=alphabet, show_progress=False)
    trained.train_from_iterator(CORPUS, trainer)
    learned = json.loads(trained.to_str())["model"]
    return RobertaTokenizer(vocab=learned["vocab"], merges=[(left, right) for left, right in learned["merges"]])


@torch.no_grad()
def _spread(model: ClapModel, random: torch.Generator) -> None:
    """Weights so large that sounds and texts differ clearly, and statistics of what comes in."""
    for name, weight in model.named_parameters():
        if "embeddings" in name and weight.ndim == 2:
            weight.normal_(0, 1, generator=random)
        elif weight.ndim >= 2:
            weight.normal_(0, weight[0].numel() ** -0.5, generator=random)
        elif name.endswith("bias"):
            weight.normal_(0, 0.1, generator=random)
    norm = model.audio_model.audio_encoder.batch_norm
    norm.running_mean.fill_(MEL_MEAN_DB)
    norm.running_var.fill_(MEL_VARIANCE)

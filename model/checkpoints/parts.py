"""What a checkpoint folder of transformers holds beside its weights: whether it is there, and for what it was made.

What these raise is a ValueError that says what was found and what to do.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from earmark.model.checkpoints.json_files import json_object, json_part
from earmark.schemas.records import SAMPLE_RATE_HZ


def read_config(folder: Path) -> dict[str, Any]:
    """config.json, which must be there and of a checkpoint that is not quantized."""
    if not (config := json_object(folder / "config.json")):
        raise ValueError(f"there is no config.json in {folder}; get the whole checkpoint")
    if "quantization_config" in config:
        raise ValueError("it is quantized (config.json, quantization_config); take the checkpoint it was made from")
    return config


def check_architecture(config: Mapping[str, Any], architecture: str, example: str) -> None:
    """Holds what config.json says that the weights are of against `architecture`; `example` is a checkpoint of it."""
    if architecture not in (found := config.get("architectures") or [architecture]):
        raise ValueError(
            f"config.json says that it is {', '.join(map(str, found))}, which does another task than {architecture};"
            f" name one of those, such as {example}"
        )


def check_files(folder: Path, *names: str) -> None:
    """Names those that are missing."""
    if absent := [name for name in names if not (folder / name).is_file()]:
        raise ValueError(f"{', '.join(absent)} missing in {folder}; get the whole checkpoint")


def check_tokenizer_files(folder: Path, *names: str) -> None:
    """The same for a tokenizer of byte pairs, which is in one file or in two, and for `names`."""
    if (folder / "tokenizer.json").is_file():
        check_files(folder, *names)
    elif absent := [name for name in ("vocab.json", "merges.txt", *names) if not (folder / name).is_file()]:
        raise ValueError(
            f"{', '.join(absent)} missing in {folder} (tokenizer.json would do as well); get the whole checkpoint"
        )


def read_extractor(folder: Path, kind: str = "") -> dict[str, Any]:
    """What says how audio is prepared, which must be there and, where a `kind` is named, for a class of that name."""
    # transformers looks into processor_config.json first, too
    extractor = json_part(json_object(folder / "processor_config.json"), "feature_extractor")
    extractor = extractor or json_object(folder / "preprocessor_config.json")
    if not extractor:
        raise ValueError(
            f"neither preprocessor_config.json nor processor_config.json in {folder} says how audio is prepared; get"
            " them from where the checkpoint comes from"
        )
    if kind and (found := extractor.get("feature_extractor_type")) != kind:
        raise ValueError(f"its processor has feature_extractor_type {found!r}, not {kind!r}")
    return extractor


def check_rate(extractor: Mapping[str, Any]) -> None:
    """Whether audio is prepared at the rate that earmark gives."""
    if (rate := extractor.get("sampling_rate", SAMPLE_RATE_HZ)) != SAMPLE_RATE_HZ:
        raise ValueError(f"its processor has sampling_rate {rate}, not {SAMPLE_RATE_HZ}")


def check_mel_bands(made: int, heard: int) -> None:
    """Holds the mel bands that the processor makes against those that the encoder takes in."""
    if made != heard:
        raise ValueError(f"its processor makes {made} mel bands, but config.json has an encoder for {heard}")

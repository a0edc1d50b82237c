"""Files of a transformers checkpoint beside the weights: whether they are there, and which task they are for.

Every check raises a ValueError with the finding and the remedy.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from earmark.model.checkpoints.json_files import json_object, json_part
from earmark.schemas.records import SAMPLE_RATE_HZ


def read_config(folder: Path) -> dict[str, Any]:
    """The content of config.json, which must exist and belong to a checkpoint that is not quantized."""
    if not (config := json_object(folder / "config.json")):
        raise ValueError(f"there is no config.json in {folder}; get the whole checkpoint")
    if "quantization_config" in config:
        raise ValueError("it is quantized (config.json, quantization_config); take the checkpoint it was made from")
    return config


def check_architecture(config: Mapping[str, Any], architecture: str, example: str) -> None:
    """Checks the architecture in config.json; `example` is a checkpoint that has it."""
    if architecture not in (named := config.get("architectures") or [architecture]):
        raise ValueError(
            f"its architecture in config.json is {', '.join(map(str, named))}, which does another task than"
            f" {architecture}; name a checkpoint of that, such as {example}"
        )


def check_files(folder: Path, *names: str) -> None:
    """Raises ValueError with the names of missing files."""
    if absent := [name for name in names if not (folder / name).is_file()]:
        raise ValueError(f"{', '.join(absent)} missing in {folder}; get the whole checkpoint")


def check_tokenizer_files(folder: Path, *names: str) -> None:
    """As check_files, for a tokenizer of byte pairs, which is in one file or in two, and for `names`."""
    if (folder / "tokenizer.json").is_file():
        check_files(folder, *names)
    elif absent := [name for name in ("vocab.json", "merges.txt", *names) if not (folder / name).is_file()]:
        raise ValueError(
            f"{', '.join(absent)} missing in {folder} (tokenizer.json would do as well); get the whole checkpoint"
        )


def read_extractor(folder: Path, kind: str = "") -> dict[str, Any]:
    """The feature extractor's settings, which must exist and, where `kind` is given, be for a class of that name."""
    # transformers looks into processor_config.json first, too
    extractor = json_part(json_object(folder / "processor_config.json"), "feature_extractor")
    extractor = extractor or json_object(folder / "preprocessor_config.json")
    if not extractor:
        raise ValueError(
            f"neither preprocessor_config.json nor processor_config.json in {folder} describes a feature extractor; get"
            " them from the source of the checkpoint"
        )
    if kind and (named := extractor.get("feature_extractor_type")) != kind:
        raise ValueError(f"its processor has feature_extractor_type {named!r}, not {kind!r}")
    return extractor


def check_rate(extractor: Mapping[str, Any]) -> None:
    """Checks that the feature extractor takes audio at earmark's sample rate."""
    if (rate := extractor.get("sampling_rate", SAMPLE_RATE_HZ)) != SAMPLE_RATE_HZ:
        raise ValueError(f"its processor has sampling_rate {rate}, not {SAMPLE_RATE_HZ}")


def check_mel_bands(processor_bands: int, encoder_bands: int) -> None:
    """Checks that the processor makes as many mel bands as the encoder takes."""
    if processor_bands != encoder_bands:
        raise ValueError(
            f"its processor makes {processor_bands} mel bands, but config.json has an encoder for {encoder_bands}"
        )

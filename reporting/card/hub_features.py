"""Arrow schemas as features of Hugging Face's datasets: in a dataset card, and in the metadata of a Parquet file.

Source: datasets 5.2, features.py, Features._to_yaml_list and Features.to_dict.
"""

import json
from typing import Any

import pyarrow as pa

# The feature Audio of datasets: the bytes of a file, and its name.
AUDIO_FILE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
PARQUET_KEY = b"huggingface"


def card_features(schema: pa.Schema) -> list[dict[str, Any]]:
    """The features of a schema as `dataset_info` of a card has them."""
    return [{"name": field.name, **_in_card(field.type)} for field in schema]


def _in_card(type: pa.DataType) -> dict[str, Any]:
    if type == AUDIO_FILE:
        return {"dtype": "audio"}
    if pa.types.is_struct(type):
        return {"struct": card_features(pa.schema(list(type)))}
    if pa.types.is_list(type) or pa.types.is_fixed_size_list(type):
        inner = _in_card(type.value_type)
        feature = {"list": inner.get("dtype") or inner.get("struct") or inner}
        return feature | ({"length": type.list_size} if pa.types.is_fixed_size_list(type) else {})
    return {"dtype": _dtype(type)}


def parquet_metadata(schema: pa.Schema) -> dict[bytes, bytes]:
    """Metadata of a Parquet file from which datasets takes the features without a card."""
    features = {field.name: _in_parquet(field.type) for field in schema}
    return {PARQUET_KEY: json.dumps({"info": {"features": features}}).encode()}


def _in_parquet(type: pa.DataType) -> dict[str, Any]:
    if type == AUDIO_FILE:
        return {"_type": "Audio"}
    if pa.types.is_struct(type):
        return {field.name: _in_parquet(field.type) for field in type}
    if pa.types.is_list(type) or pa.types.is_fixed_size_list(type):
        length = type.list_size if pa.types.is_fixed_size_list(type) else -1
        return {"feature": _in_parquet(type.value_type), "length": length, "_type": "List"}
    return {"dtype": _dtype(type), "_type": "Value"}


def _dtype(type: pa.DataType) -> str:
    return {"double": "float64", "float": "float32"}.get(str(type), str(type))

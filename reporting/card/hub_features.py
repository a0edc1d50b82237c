"""Arrow schemas as Hugging Face's datasets know them: `dataset_info` of a dataset card, and the metadata of a Parquet
file. Source: datasets 5.2, features.py, Features._to_yaml_list and Features.to_dict."""

import json
from typing import Any

import pyarrow as pa

# What datasets knows as its Audio: the bytes of a file, and its name.
AUDIO_FILE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
PARQUET_KEY = b"huggingface"


def card_features(schema: pa.Schema) -> list[dict[str, Any]]:
    """The features of a schema as they stand in a card's YAML."""
    return [{"name": field.name, **_in_card(field.type)} for field in schema]


def _in_card(type: pa.DataType) -> dict[str, Any]:
    if type == AUDIO_FILE:
        return {"dtype": "audio"}
    if pa.types.is_struct(type):
        return {"struct": card_features(pa.schema(list(type)))}
    if pa.types.is_list(type) or pa.types.is_fixed_size_list(type):
        inner = _in_card(type.value_type)
        listed = {"list": inner.get("dtype") or inner.get("struct") or inner}
        return listed | ({"length": type.list_size} if pa.types.is_fixed_size_list(type) else {})
    return {"dtype": _dtype(type)}


def parquet_metadata(schema: pa.Schema) -> dict[bytes, bytes]:
    """What tells datasets the features of a Parquet file that has no card."""
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

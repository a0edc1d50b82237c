"""Rows of manifests of any shape become recordings, or failures with a reason."""

import json
import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.schemas.manifest import COLUMNS, ManifestRow, ManifestShape, parse_row, resolve_uri
from earmark.schemas.records import Failure, Recording
from earmark.schemas.tables import failures_table

PLAIN = ManifestShape()
KNOWN_COLUMNS = [column for columns in COLUMNS.values() for column in columns]
# Lone surrogates too: json.loads makes them of "\\ud800".
ANY_TEXT = st.text(st.characters(exclude_categories=()))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=6,
)
ROWS = st.dictionaries(st.sampled_from(KNOWN_COLUMNS) | ANY_TEXT, JSON_VALUES, max_size=8)


def parsed(values, shape=PLAIN):
    return parse_row(ManifestRow("corpus.jsonl", 7, values), shape)


@given(ROWS)
def test_any_object_is_a_recording_or_a_failure_that_can_be_written(values):
    result = parsed(values)
    if isinstance(result, Failure):
        assert result.message.startswith("corpus.jsonl:7: ")
        failures_table([result])
    else:
        pa.array([result.id, result.uri, result.reference, *(text for pair in result.extra for text in pair)])


@given(ROWS.flatmap(lambda row: st.tuples(st.just(row), st.permutations(list(row.items())))))
def test_the_order_of_keys_does_not_matter(rows):
    values, shuffled = rows
    assert parsed(values) == parsed(dict(shuffled))


def test_a_nemo_row():
    row = {"audio_filepath": "a.wav", "duration": 2.5, "offset": 10.0, "text": "hello", "lang": "en", "speaker": "x"}
    assert parsed(row) == Recording(
        id="a.wav#offset=10",
        uri="a.wav",
        offset_s=10.0,
        duration_s=2.5,
        language="en",
        reference="hello",
        extra=(("speaker", "x"),),
    )


def test_a_row_of_the_qwen2_audio_evaluation():
    row = {
        "audio": "/data/1.flac",
        "source": "librispeech",
        "prompt": "<|audio_bos|>Recognize:",
        "gt": "mister quilter",
    }
    recording = parsed(row)
    assert (recording.id, recording.uri) == ("/data/1.flac", "/data/1.flac")
    assert (recording.prompt, recording.reference) == ("<|audio_bos|>Recognize:", "mister quilter")
    assert recording.extra == (("source", "librispeech"),)


def test_a_row_of_common_voice():
    row = {"client_id": "c", "path": "cv.mp3", "sentence": 'He said "no".', "locale": "de", "age": ""}
    recording = parsed(row)
    assert (recording.uri, recording.reference, recording.language) == ("cv.mp3", 'He said "no".', "de")
    assert recording.extra == (("age", ""), ("client_id", "c"))


def test_a_column_that_the_user_names_is_the_only_one_looked_at():
    shape = ManifestShape((("audio", "wav"), ("id", "key")))
    recording = parsed({"wav": "a.wav", "key": "k1", "audio": "other", "id": "mine", "emotion": "sad"}, shape)
    assert (recording.id, recording.uri) == ("k1", "a.wav")
    assert dict(recording.extra) == {"audio": "other", "id": "mine", "emotion": "sad"}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_that_the_user_names_and_a_row_lacks_fails_the_row(name):
    failure = parsed({"b": 1, "audio": "a.wav"}, ManifestShape(((name, "typo"),)))
    assert failure.error == "no_such_column"
    assert failure.message == (
        f"corpus.jsonl:7: the row has no column 'typo', which --columns names as {name}; it has audio, b"
    )


@pytest.mark.parametrize("value", [None, ""])
def test_a_column_that_the_user_names_may_be_empty(value):
    names = [name for name in COLUMNS if name != "audio"]
    row = {"audio": "a.wav", **{f"my {name}": value for name in names}}
    recording = parsed(row, ManifestShape(tuple((name, f"my {name}") for name in names)))
    assert (recording.id, recording.language) == ("a.wav", None)


def test_other_columns_are_carried_as_the_json_that_they_are():
    extra = {"n": 3, "x": 0.5, "none": None, "list": [1, "é"], "object": {"b": 1, "a": True}, "yes": True, "text": "t"}
    recording = parsed({"audio": "a.wav", "gt": "r", **extra}, ManifestShape((("reference", "gt"),)))
    carried = dict(recording.extra)
    assert carried.pop("text") == "t"
    assert carried.pop("none") == ""
    assert {name: json.loads(text) for name, text in carried.items()} == {
        name: extra[name] for name in ("n", "x", "list", "object", "yes")
    }


@pytest.mark.parametrize(
    ("path", "root", "uri"),
    [
        ("a/b.wav", "/data", "/data/a/b.wav"),
        ("./b.wav", "gs://bucket/corpus/", "gs://bucket/corpus/b.wav"),
        ("/b.wav", "/data", "/b.wav"),
        ("s3://x/b.wav", "/data", "s3://x/b.wav"),
        ("b c%2F\n😀.wav", "/data", "/data/b c%2F\n😀.wav"),
    ],
)
def test_relative_paths_are_below_the_root(path, root, uri):
    assert resolve_uri(path, root) == uri


def test_parts_of_one_file_have_ids_of_their_own():
    offsets = [0, 0.25, 7, 3600.011, 3600.014, 123456.789]
    rows = [{"audio": "a.wav", "offset": offset, "channel": channel} for offset in offsets for channel in (None, 0, 1)]
    assert len({parsed(row).id for row in rows}) == len(rows)


@pytest.mark.parametrize("channel", [1, 1.0, "1", "1.0"])
def test_a_channel_may_be_written_as_pandas_writes_it(channel):
    assert parsed({"audio": "a.wav", "channel": channel}).channel == 1


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({}, "no_audio", "names no audio file; looked for audio_filepath"),
        ({"audio": None}, "no_audio", "names no audio file"),
        ({"audio": ["a.wav"]}, "bad_audio", "audio is '[\"a.wav\"]', which is not text"),
        ({"audio": "a\0.wav"}, "bad_path", "NUL"),
        ({"audio": "\ud800.wav"}, "bad_unicode", "half of a character pair"),
        ({"audio": "a.wav", "note": "\udc00"}, "bad_unicode", "half of a character pair"),
        ({"audio": "a.wav", "offset": -0.5}, "bad_offset", "offset -0.5 is negative"),
        ({"audio": "a.wav", "offset": math.nan}, "bad_offset", "offset is nan"),
        ({"audio": "a.wav", "duration": 0}, "bad_duration", "duration 0.0 is not positive"),
        ({"audio": "a.wav", "duration": "long"}, "bad_duration", "duration is 'long'"),
        ({"audio": "a.wav", "duration": math.inf}, "bad_duration", "duration is inf"),
        ({"audio": "a.wav", "duration": 10**400}, "bad_duration", "which is not a number of seconds"),
        ({"audio": "a.wav", "channel": "left"}, "bad_channel", "channel is 'left'; count channels from 0"),
        ({"audio": "a.wav", "channel": 0.5}, "bad_channel", "channel is '0.5'"),
        ({"audio": "a.wav", "channel": -1}, "bad_channel", "channel is '-1'"),
        ({"audio": "a.wav", "channel": 10**400}, "bad_channel", "count channels from 0"),
    ],
)
def test_an_invalid_row_is_a_failure_with_the_reason(values, error, message):
    failure = parsed(values)
    assert (failure.stage, failure.error) == ("ReadManifest", error)
    assert message in failure.message


@pytest.mark.parametrize(
    ("id", "quoted"),
    [("x1", "id 'x1': offset"), (17, "id '17': offset"), (None, "offset"), ("\ud800", r"id '\ud800': offset")],
)
def test_a_broken_row_is_named_by_manifest_and_line_and_quotes_its_id(id, quoted):
    failure = parsed({"id": id, "audio": "a.wav", "offset": "?"})
    assert (failure.id, failure.uri) == ("corpus.jsonl:7", "a.wav")
    assert failure.message.startswith(f"corpus.jsonl:7: {quoted} is '?'")

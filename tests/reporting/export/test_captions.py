"""`earmark export` to WebVTT and SubRip, read by an independent parser."""

import re

import pytest

from earmark.reporting.export.captions import file_name
from earmark.reporting.export.export import export
from earmark.reporting.export.options import ExportOptions
from tests.support.audio.noise import write_noise
from tests.support.jobs import manifest_lines
from tests.support.outputs.export_rows import HOSTILE, answered_row, write_answered


def cues_of(path):
    """Cues as the WebVTT and SubRip specifications split files: blocks at empty lines, times, an arrow, text."""
    blocks = re.split(r"\n\n+", path.read_text(encoding="utf-8").strip("\n"))
    if path.suffix == ".vtt":
        assert blocks.pop(0) == "WEBVTT"
    cues = []
    for block in blocks:
        lines = block.split("\n")
        if path.suffix == ".srt":
            assert lines.pop(0) == str(len(cues) + 1)
        times, *text = lines
        assert sum("-->" in line for line in lines) == 1 and len(text) == 1
        number = r"(\d\d+):([0-5]\d):([0-5]\d)" + ("[.]" if path.suffix == ".vtt" else ",") + r"(\d{3})"
        match = re.fullmatch(f"{number} --> {number}", times)
        assert match
        h1, m1, s1, f1, h2, m2, s2, f2 = map(int, match.groups())
        cues.append((h1 * 3600 + m1 * 60 + s1 + f1 / 1000, h2 * 3600 + m2 * 60 + s2 + f2 / 1000, text[0]))
    return cues


def one_line(text):
    return " ".join(re.sub(r"[\x00-\x1f]", " ", text).split())


@pytest.mark.parametrize("format", ["vtt", "srt"])
def test_captions_are_one_file_per_recording_for_any_id_and_text(hostile_output, tmp_path, format):
    export(str(hostile_output), str(tmp_path / "to" / "captions"), ExportOptions(format))
    folder = tmp_path / "to" / "captions"
    index = manifest_lines(folder / "files.jsonl")
    assert {row["id"] for row in index} == set(HOSTILE)
    assert sorted(path.name for path in folder.iterdir()) == sorted(["files.jsonl", *(row["file"] for row in index)])
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["captions"]  # no other file
    for row in index:
        first, second = cues_of(folder / row["file"])
        assert (first[:2], second) == ((0.0, 0.125), (0.125, 0.25, "and"))
        if format == "vtt":
            assert "<" not in first[2] and ">" not in first[2]
            unescaped = first[2].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
            assert unescaped == one_line(row["id"])
        else:
            assert not set("<>{}") & set(first[2]) and len(first[2]) == len(one_line(row["id"]))


def test_caption_times_are_the_files_also_where_a_row_is_a_part_of_it(tmp_path):
    path = write_noise(tmp_path / "a.wav", 2.0)
    row = answered_row("a", "x", path, 1.0, offset_s=3600.5)
    write_answered(tmp_path / "labels", [row])
    export(str(tmp_path / "labels"), str(tmp_path / "vtt"), ExportOptions("vtt"))
    assert [cue[:2] for cue in cues_of(tmp_path / "vtt" / "a.vtt")] == [(3600.5, 3601.0), (3601.0, 3601.5)]


def test_file_names_are_unique_to_ids_and_stay_in_their_folder():
    ids = [*HOSTILE, "", ".", "...", "a/b", "a_b", "nul.txt", "LPT1", file_name("a/b"), "a\\b", "a:b", "~", "-x"]
    names = [file_name(id) for id in ids]
    assert len(set(names)) == len(set(ids))
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*", name) and len(name) < 130
    assert file_name("plain-id_1.wav") == "plain-id_1.wav"

"""Each data set of the published table is read from its downloaded folder."""

import json

import fsspec
import pytest

from earmark.scoring.benchmarks import benchmarks
from earmark.scoring.layouts import LAYOUTS, Entry
from tests.support.audio import miniature_sets as miniature


def short(recordings):
    return [(entry.id, entry.audio, entry.reference) for entry in recordings]


def test_librispeech(tmp_path):
    texts = {"61-70970-0001": "TWO", "61-70968-0000": "HE BEGAN A CONFUSED COMPLAINT", "121-123852-0000": "THOSE"}
    miniature.make_librispeech(tmp_path, "test-clean", texts)
    miniature.make_librispeech(tmp_path, "dev-other", {"116-288045-0000": "AS I APPROACHED"})
    recordings = miniature.read_entries("librispeech-test-clean", tmp_path)
    assert short(recordings) == [
        ("121-123852-0000", "LibriSpeech/test-clean/121/123852/121-123852-0000.flac", "THOSE"),
        ("61-70968-0000", "LibriSpeech/test-clean/61/70968/61-70968-0000.flac", "HE BEGAN A CONFUSED COMPLAINT"),
        ("61-70970-0001", "LibriSpeech/test-clean/61/70970/61-70970-0001.flac", "TWO"),
    ]
    assert recordings[0].about == (("speaker", "121"),)
    inner = miniature.read_entries("librispeech-dev-other", tmp_path / "LibriSpeech")
    assert short(inner) == [("116-288045-0000", "dev-other/116/288045/116-288045-0000.flac", "AS I APPROACHED")]


@pytest.mark.parametrize(("split", "locale"), [("en", "en"), ("zh", "zh-CN"), ("yue", "yue"), ("fr", "fr")])
def test_common_voice(tmp_path, split, locale):
    sentences = {f"common_voice_{locale}_1": 'He said "no', f"common_voice_{locale}_2": "它\u2028是\\n"}
    miniature.make_common_voice(tmp_path, locale, sentences)
    clips = f"cv-corpus-15.0-2023-09-08/{locale}/clips"
    recordings = miniature.read_entries(f"common-voice-15-{split}", tmp_path)
    assert short(recordings) == [(name, f"{clips}/{name}.mp3", text) for name, text in sentences.items()]
    assert recordings[0].about == (("speaker", "c1"), ("gender", "male"))


@pytest.mark.parametrize("unpacked", ["audio/test", "test"])
def test_fleurs(tmp_path, unpacked):
    miniature.make_fleurs(tmp_path, {"12345": ("这是“测试”。", "这是测试")}, unpacked)
    (recording,) = miniature.read_entries("fleurs-zh", tmp_path)
    assert short([recording]) == [("12345", f"data/cmn_hans_cn/{unpacked}/12345.wav", "这是测试")]
    assert dict(recording.about) == {"sentence_id": "1900", "raw_transcription": "这是“测试”。", "gender": "FEMALE"}


@pytest.mark.parametrize("channel", ["Mic", "iOS", "Android"])
def test_aishell2(tmp_path, channel):
    miniature.make_aishell2(tmp_path, channel, {"IT0011W0001": "换一首歌", "IT0012W0001": "打开 K T V"})
    folder = f"AISHELL-DEV-TEST-SET/{channel}/test/wav"
    assert short(miniature.read_entries(f"aishell2-{channel}", tmp_path)) == [
        ("IT0011W0001", f"{folder}/T0011/IT0011W0001.wav", "换一首歌"),
        ("IT0012W0001", f"{folder}/T0012/IT0012W0001.wav", "打开 K T V"),
    ]


PAIRS = [name.removeprefix("covost2-") for name in benchmarks() if name.startswith("covost2-")]


@pytest.mark.parametrize("pair", PAIRS)
def test_covost2(tmp_path, pair):
    source, target = (code.replace("zh", "zh-CN") for code in pair.split("-"))
    rows = [
        ("clip_1", "Good morning", 'He said "hello', "test"),
        ("clip_2", "Unused", "nicht", "train"),
        ("clip_3", "", "not validated", "test"),
        ("clip_4", "Last", "zuletzt", "test"),
    ]
    miniature.make_covost2(tmp_path, source, target, rows)
    recordings = miniature.read_entries(f"covost2-{pair}", tmp_path)
    assert short(recordings) == [
        ("clip_1", f"{source}/clips/clip_1.mp3", 'He said "hello'),
        ("clip_4", f"{source}/clips/clip_4.mp3", "zuletzt"),
    ]
    assert recordings[0].about == (("source_text", "Good morning"),)
    # The tables that CoVoST's own script makes hold the same rows.
    table = [["clip_1.mp3", "Good morning", 'He said "hello', "c1"], ["clip_4.mp3", "Last", "zuletzt", "c1"]]
    made = miniature.tsv(["path", "sentence", "translation", "client_id"], table)
    miniature.write(tmp_path / f"covost_v2.{source}_{target}.test.tsv", made)
    assert miniature.read_entries(f"covost2-{pair}", tmp_path) == recordings


@pytest.mark.parametrize("unpacked", ["output_repeated_splits_test", "test/output_repeated_splits_test"])
def test_meld(tmp_path, unpacked):
    rows = [
        (0, 0, "surprise", "Why do all you\u2019re coffee mugs have numbers?"),
        (0, 1, "anger", "Oh. That\u2019s so, no"),
    ]
    miniature.make_meld(tmp_path, rows, unpacked)
    recordings = miniature.read_entries("meld-test", tmp_path)
    assert short(recordings) == [
        ("dia0_utt0", f"MELD.Raw/{unpacked}/dia0_utt0.mp4", "surprise"),
        ("dia0_utt1", f"MELD.Raw/{unpacked}/dia0_utt1.mp4", "anger"),
    ]
    assert recordings[1].about == (("speaker", "Joey"), ("utterance", "Oh. That\u2019s so, no"))


@pytest.mark.parametrize("by", ["datafiles", "meta"])
def test_vocalsound(tmp_path, by):
    test = ["f0003_0_cough", "f0003_0_throatclearing", "m0100_1_laughter"]
    miniature.make_vocalsound(tmp_path, test, ["f0004_0_cough", "f00031_0_sniff"], by)
    recordings = miniature.read_entries("vocalsound-test", tmp_path)
    labels = ["Cough", "Throat clearing", "Laughter"]
    assert short(recordings) == [
        (name, f"vs_release_16k/audio_16k/{name}.wav", label) for name, label in zip(test, labels, strict=True)
    ]
    assert recordings[2].about == (("speaker", "m0100"),)


AIR_BENCH = {
    "Speech": ("speech_QA", "speech_dialogue_QA"),
    "Sound": ("sound_QA", "sound_generation_QA"),
    "Music": ("music_QA", "music_generation_analysis_QA"),
    "Mixed-Audio": ("speech_and_sound_QA", "speech_and_music_QA"),
}


@pytest.mark.parametrize("split", AIR_BENCH)
def test_air_bench(tmp_path, split):
    tasks = [task for of_split in AIR_BENCH.values() for task in of_split]
    miniature.make_air_bench(tmp_path, [miniature.air_bench_row(number, task) for number, task in enumerate(tasks)])
    recordings = miniature.read_entries(f"air-bench-{split}", tmp_path)
    numbers = [tasks.index(task) for task in AIR_BENCH[split]]
    assert [(entry.id, entry.audio, entry.reference, entry.prompt) for entry in recordings] == [
        (
            f"{tasks[number]}_fisher-{number}",
            f"Chat/{tasks[number]}_fisher/{number}.wav",
            f"It is {number}.",
            f"What is {number}?",
        )
        for number in numbers
    ]
    assert dict(recordings[0].about)["meta_info"] == f"Sound {numbers[0]}"


def test_every_layout_is_read_above():
    assert {benchmark.layout for benchmark in benchmarks().values()} == set(LAYOUTS)


def test_a_row_of_the_manifest_has_the_columns_of_the_set():
    entry = Entry("a", "x/a.wav", "它是", "What?", (("speaker", "61"),))
    assert json.loads(entry.to_json("zh")) == {
        "id": "a",
        "audio_filepath": "x/a.wav",
        "text": "它是",
        "language": "zh",
        "prompt": "What?",
        "speaker": "61",
    }
    assert json.loads(Entry("a", "a.wav", "").to_json("")) == {"id": "a", "audio_filepath": "a.wav", "text": ""}


def test_a_set_in_an_object_store_is_read_like_one_on_disk(tmp_path):
    miniature.make_librispeech(tmp_path, "test-clean", {"61-70968-0000": "HE BEGAN"})
    fsspec.filesystem("memory").put(str(tmp_path / "LibriSpeech"), "/sets/LibriSpeech", recursive=True)
    assert miniature.read_entries("librispeech-test-clean", "memory://sets") == miniature.read_entries(
        "librispeech-test-clean", tmp_path
    )


def test_a_repeated_recording_counts_once(tmp_path, caplog):
    miniature.make_aishell2(tmp_path, "Mic", {"IT0011W0001": "a", "IT0012W0001": "b"})
    table = tmp_path / "AISHELL-DEV-TEST-SET/Mic/test/trans.txt"
    table.write_text(table.read_text() + "IT0011W0001\tc\n")
    assert [entry.reference for entry in miniature.read_entries("aishell2-mic", tmp_path)] == ["a", "b"]
    assert "repeats 1 id; the first row of each counts" in caplog.text

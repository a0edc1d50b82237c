"""A wrong or incomplete folder of a data set is refused in one line that names the expected file."""

import re

import pytest

from earmark.schemas.errors import JobError
from earmark.scoring.benchmarks import benchmarks
from tests.support.audio import miniature_sets as miniature


@pytest.mark.parametrize("name", benchmarks())
def test_a_wrong_folder_is_refused_with_the_expected_files(tmp_path, name):
    with pytest.raises(JobError) as refused:
        miniature.read_entries(name, tmp_path)
    message = str(refused.value)
    assert message.startswith(f"{tmp_path} has no {benchmarks()[name].table[0]}")
    assert f"which {name} is read from; give the folder of https://" in message
    assert "\n" not in message


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(JobError, match=r"there is no folder .*nowhere"):
        miniature.read_entries("meld-test", tmp_path / "nowhere")


def _no_audio(root):
    miniature.write(miniature.make_fleurs(root, {"1": ("a", "a")}) / "data/cmn_hans_cn/audio/test.tar.gz", "")
    (root / "data/cmn_hans_cn/audio/test/1.wav").unlink()
    (root / "data/cmn_hans_cn/audio/test").rmdir()
    return "fleurs-zh"


def _other_columns(root):
    miniature.write(
        miniature.make_common_voice(root, "fr", {"a": "b"}) / "cv-corpus-15.0-2023-09-08/fr/test.tsv", "x\ty\n"
    )
    return "common-voice-15-fr"


def _short_row(root):
    header = "\t".join(miniature.COMMON_VOICE_15)
    miniature.make_common_voice(root, "fr", {"a": "b"})
    miniature.write(root / "cv-corpus-15.0-2023-09-08/fr/test.tsv", f"{header}\nc1\ta.mp3\n")
    return "common-voice-15-fr"


def _no_wav_scp(root):
    miniature.make_aishell2(root, "Mic", {"IT0011W0001": "a"})
    (root / "AISHELL-DEV-TEST-SET/Mic/test/wav.scp").unlink()
    return "aishell2-mic"


def _text_without_audio(root):
    miniature.make_aishell2(root, "Mic", {"IT0011W0001": "a"})
    miniature.write(root / "AISHELL-DEV-TEST-SET/Mic/test/wav.scp", "other\twav/other.wav\n")
    return "aishell2-mic"


def _not_json(root):
    miniature.write(root / "Chat_meta.json", "[{")
    return "air-bench-speech"


def _no_question(root):
    miniature.make_air_bench(root, [miniature.air_bench_row(1, "speech_QA", question=None)])
    return "air-bench-speech"


def _nothing_of_it(root):
    miniature.make_air_bench(root, [miniature.air_bench_row(1, "speech_QA")])
    return "air-bench-music"


def _odd_name(root):
    miniature.make_vocalsound(root, ["f0003_0_cough"], [], "meta")
    miniature.write(root / "vs_release_16k/audio_16k/f0003_0_yawn.wav", "")
    return "vocalsound-test"


def _not_utf8(root):
    (root / "test_sent_emo.csv").write_bytes(b"Sr No.,Utterance\n1,\x92\n")
    (root / "output_repeated_splits_test").mkdir()
    return "meld-test"


def _empty_table(root):
    (root / "LibriSpeech" / "test-clean").mkdir(parents=True)
    return "librispeech-test-clean"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_no_audio, "no folder data/cmn_hans_cn/audio/test or data/cmn_hans_cn/test with the audio"),
        (_other_columns, r"test.tsv has no column 'client_id'; it has 'x', 'y'"),
        (_short_row, "test.tsv, line 2, ends before its column 'sentence'"),
        (_no_wav_scp, "has no AISHELL-DEV-TEST-SET/Mic/test/wav.scp"),
        (_text_without_audio, "has the text of IT0011W0001, for which .*wav.scp names no file"),
        (_not_json, "Chat_meta.json is not JSON"),
        (_no_question, "has no 'question' in entry 0"),
        (_nothing_of_it, "names no recording of air-bench-music"),
        (_odd_name, "names f0003_0_yawn.wav, which is not"),
        (_not_utf8, "test_sent_emo.csv is not UTF-8"),
        (_empty_table, "test-clean names no recording of librispeech-test-clean"),
    ],
)
def test_an_incomplete_set_is_refused_in_one_line(tmp_path, spoil, message):
    name = spoil(tmp_path)
    with pytest.raises(JobError) as refused:
        miniature.read_entries(name, tmp_path)
    assert re.search(message, str(refused.value))
    assert "\n" not in str(refused.value)

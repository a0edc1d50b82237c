"""The sets of the published table in small: a few recordings in the folders that each is downloaded in."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from earmark.scoring.benchmarks import find_benchmark
from earmark.scoring.data_folder import DataFolder
from earmark.scoring.layouts import Entry, entries
from tests.support.jobs import write_tone


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def make_librispeech(root: Path, split: str, texts: Mapping[str, str], audio: Mapping[str, Path] | None = None) -> Path:
    """`texts` by ids such as 61-70968-0000; `audio` by the same, tones where it is left out."""
    for name, text in texts.items():
        speaker, chapter, _ = name.split("-")
        folder = root / "LibriSpeech" / split / speaker / chapter
        if audio is None:
            write_tone(folder / f"{name}.flac")
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(audio[name], folder / f"{name}.flac")
        with (folder / f"{speaker}-{chapter}.trans.txt").open("a") as file:
            file.write(f"{name} {text}\n")
    return root


def tsv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "".join("\t".join(row) + "\n" for row in (header, *rows))


COMMON_VOICE_15 = ["client_id", "path", "sentence", "up_votes", "down_votes", "age", "gender"]
COMMON_VOICE_15 += ["accents", "variant", "locale", "segment"]


def make_common_voice(root: Path, locale: str, sentences: Mapping[str, str]) -> Path:
    rows = [["c1", f"{name}.mp3", text, "2", "0", "", "male", "", "", locale, ""] for name, text in sentences.items()]
    folder = root / "cv-corpus-15.0-2023-09-08" / locale
    write(folder / "test.tsv", tsv(COMMON_VOICE_15, rows))
    for name in sentences:
        write_tone(folder / "clips" / f"{name}.mp3")
    return root


def make_fleurs(root: Path, texts: Mapping[str, tuple[str, str]], folder: str = "audio/test") -> Path:
    """`texts`: as written and normalised, by file name."""
    base = root / "data" / "cmn_hans_cn"
    lines = [
        f"{1900 + number}\t{name}.wav\t{raw}\t{text}\t{' '.join(text)} |\t8000\tFEMALE\n"
        for number, (name, (raw, text)) in enumerate(texts.items())
    ]
    write(base / "test.tsv", "".join(lines))
    for name in texts:
        write_tone(base / folder / f"{name}.wav")
    return root


def make_aishell2(root: Path, channel: str, texts: Mapping[str, str]) -> Path:
    folder = root / "AISHELL-DEV-TEST-SET" / channel / "test"
    write(folder / "trans.txt", "".join(f"{name}\t{text}\n" for name, text in texts.items()))
    paths = {name: f"wav/{name[1:6]}/{name}.wav" for name in texts}
    write(folder / "wav.scp", "".join(f"{name}\t{path}\n" for name, path in paths.items()))
    for path in paths.values():
        write_tone(folder / path)
    return root


def make_covost2(root: Path, source: str, target: str, rows: Sequence[tuple[str, str, str, str]]) -> Path:
    """`rows`: clip, sentence, translation, split; those with an empty sentence were not validated."""
    table = [[f"{clip}.mp3", translation, split] for clip, _, translation, split in rows]
    write(root / f"covost_v2.{source}_{target}.tsv", tsv(["path", "translation", "split"], table))
    validated = [["c1", f"{clip}.mp3", sentence, "2", "0"] for clip, sentence, _, _ in rows if sentence]
    header = ["client_id", "path", "sentence", "up_votes", "down_votes"]
    write(root / source / "validated.tsv", tsv(header, validated))
    for clip, *_ in rows:
        write_tone(root / source / "clips" / f"{clip}.mp3")
    return root


MELD = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"


def make_meld(
    root: Path, rows: Sequence[tuple[int, int, str, str]], folder: str = "output_repeated_splits_test"
) -> Path:
    """`rows`: dialogue, utterance, emotion, text; each a video with sound, as the clips of the series are."""
    lines = [
        f'{number},"{text}",Joey,{emotion},neutral,{dialogue},{utterance},3,19,"00:14:38,127","00:14:40,378"'
        for number, (dialogue, utterance, emotion, text) in enumerate(rows, 1)
    ]
    write(root / "MELD.Raw" / "test_sent_emo.csv", "\n".join([MELD, *lines]) + "\n")
    for dialogue, utterance, *_ in rows:
        write_video(root / "MELD.Raw" / folder / f"dia{dialogue}_utt{utterance}.mp4", 0.4 + 0.1 * utterance)
    return root


def write_video(path: Path, seconds: float) -> Path:
    """An mp4 with pictures and a tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rate_hz = 16_000
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=10)
        picture.width, picture.height, picture.pix_fmt = 32, 32, "yuv420p"
        sound = container.add_stream("aac", rate=rate_hz, layout="mono")
        for _ in range(round(10 * seconds)):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux(picture.encode(frame))
        times = np.arange(round(seconds * rate_hz)) / rate_hz
        samples = (0.5 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
        audio_frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        audio_frame.sample_rate = rate_hz
        container.mux(sound.encode(audio_frame))
        for stream in (picture, sound):
            container.mux(stream.encode(None))
    return path


VOCAL_SOUND_CODES = {
    "laughter": "/m/01j3sz",
    "sigh": "/m/07plz5l",
    "cough": "/m/01b_21",
    "throatclearing": "/m/0dl9sf8",
    "sneeze": "/m/01hsr_",
    "sniff": "/m/07ppn3j",
}


def make_vocalsound(root: Path, test: Sequence[str], others: Sequence[str] = (), by: str = "datafiles") -> Path:
    """`test` and `others`: names such as f0003_0_cough; `by`: which of the two lists of the test set there is."""
    base = root / "vs_release_16k"
    if by == "datafiles":
        rows = [
            {"wav": f"/data/sls/vs/audio_16k/{name}.wav", "labels": VOCAL_SOUND_CODES[name.split("_")[2]]}
            for name in test
        ]
        write(base / "datafiles" / "te.json", json.dumps({"data": rows}, indent=1))
    else:
        speakers = sorted({name.split("_")[0] for name in test})
        write(base / "meta" / "te_meta.csv", "".join(f"{speaker},female,23,USA,English,no\n" for speaker in speakers))
    for number, name in enumerate([*test, *others]):
        write_tone(base / "audio_16k" / f"{name}.wav", 0.3 + 0.05 * number)
    return root


def air_bench_row(number: int, task: str, **fields: Any) -> dict[str, Any]:
    """An entry of Chat_meta.json, as AIR-Bench has them."""
    return {
        "path": f"{number}.wav",
        "question": f"What is {number}?",
        "answer_gt": f"It is {number}.",
        "task_name": task,
        "dataset_name": "fisher",
        "meta_info": f"Sound {number}",
        "uniq_id": number,
        **fields,
    }


def make_air_bench(root: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """`rows`: entries of Chat_meta.json; the audio of each is a tone."""
    write(root / "Chat" / "Chat_meta.json", json.dumps(rows, indent=4))
    for number, row in enumerate(rows):
        folder = root / "Chat" / f"{row['task_name']}_{row['dataset_name']}"
        write_tone(folder / row["path"], 0.3 + 0.1 * number)
    return root


def read_entries(name: str, folder: Path | str) -> list[Entry]:
    """The entries of a benchmark whose files are in a folder."""
    return entries(find_benchmark(name), DataFolder(str(folder)))

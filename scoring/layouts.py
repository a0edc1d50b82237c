"""Layouts of downloaded and unpacked data sets: from their folders to rows of a manifest."""

import csv
import json
import logging
import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from earmark.schemas.errors import JobError
from earmark.schemas.text import counted
from earmark.scoring.benchmarks import Benchmark
from earmark.scoring.data_folder import DataFolder

log = logging.getLogger("earmark")


@dataclass(frozen=True, slots=True)
class Entry:
    """One recording of a data set.

    Attributes:
        audio: Path relative to the set's folder.
        about: Other columns of the set, by name; they end up in the column `extra`.
    """

    id: str
    audio: str
    reference: str
    prompt: str = ""
    about: tuple[tuple[str, str], ...] = ()

    def to_json(self, language: str) -> str:
        """A line of a JSONL manifest; `language` is the spoken language, "" where it does not matter."""
        values = {"id": self.id, "audio_filepath": self.audio, "text": self.reference, "language": language}
        row = {name: value for name, value in values.items() if value or name == "text"}
        return json.dumps({**row, **({"prompt": self.prompt} if self.prompt else {}), **dict(self.about)})


@dataclass(frozen=True, slots=True)
class BenchmarkFiles:
    """The files that a layout is read from.

    Attributes:
        table: Path of the table.
        audio: Path of the folder with the audio; "" where the layout needs none.
        part: Part of the table that the benchmark uses.
    """

    data: DataFolder
    table: str
    audio: str
    part: tuple[str, ...]

    @property
    def folder(self) -> str:
        """The folder that the table is in."""
        return posixpath.dirname(self.table)

    def broken(self, what: str) -> JobError:
        return JobError(f"{self.data.url}/{self.table} {what}")


def entries(benchmark: Benchmark, data: DataFolder) -> list[Entry]:
    """The recordings of a benchmark, in the order of the data set, each once.

    Raises:
        JobError: The folder is another than the set's, or is incomplete; the message names the missing file.
    """
    data.check()
    table = data.first(benchmark.table)
    if not table:
        raise JobError(
            f"{data.url} has no {' or '.join(benchmark.table)}, which {benchmark.name} is read from;"
            f" give the folder of {benchmark.source}"
        )
    folder = posixpath.dirname(table)
    folders = [posixpath.normpath(posixpath.join(folder, path)) for path in benchmark.audio]
    audio = data.first(folders)
    if folders and not audio:
        raise JobError(
            f"{data.url} has {table}, but no folder {' or '.join(folders)} with the audio; give the folder of"
            f" {benchmark.source}"
        )
    files = BenchmarkFiles(data, table, audio, benchmark.part)
    by_id: dict[str, Entry] = {}
    duplicates = 0
    for entry in LAYOUTS[benchmark.layout](files):
        duplicates += entry.id in by_id
        by_id.setdefault(entry.id, entry)
    if not by_id:
        raise files.broken(f"names no recording of {benchmark.name}")
    if duplicates:
        log.warning("%s/%s repeats %s; the first row of each counts", data.url, table, counted(duplicates, "id"))
    return list(by_id.values())


def _librispeech(files: BenchmarkFiles) -> Iterator[Entry]:
    """<speaker>/<chapter>/<speaker>-<chapter>.trans.txt, with "<speaker>-<chapter>-<number> TEXT" a line."""
    for path in files.data.files(files.table):
        if not path.endswith(".trans.txt"):
            continue
        for line in files.data.lines(path):
            name, _, text = line.partition(" ")
            yield Entry(name, f"{posixpath.dirname(path)}/{name}.flac", text, about=_about(speaker=name.split("-")[0]))


# Common Voice does not quote cells, which may contain quotes.
COMMON_VOICE = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}


def _common_voice(files: BenchmarkFiles) -> Iterator[Entry]:
    for row in files.data.table(files.table, ("client_id", "path", "sentence"), COMMON_VOICE):
        about = _about(speaker=row["client_id"], accents=row.get("accents") or "", gender=row.get("gender") or "")
        yield Entry(_stem(row["path"]), f"{files.audio}/{row['path']}", row["sentence"], about=about)


def _fleurs(files: BenchmarkFiles) -> Iterator[Entry]:
    """No header: sentence, file, text as written, text normalised, its characters, samples, gender."""
    for number, line in enumerate(files.data.lines(files.table), 1):
        cells = line.split("\t")
        if len(cells) != 7:
            raise files.broken(f"has {len(cells)} columns in row {number}, not the seven of Fleurs")
        sentence, file, raw_text, text, _, _, gender = cells
        about = _about(sentence_id=sentence, raw_transcription=raw_text, gender=gender)
        yield Entry(_stem(file), f"{files.audio}/{file}", text, about=about)


def _aishell2(files: BenchmarkFiles) -> Iterator[Entry]:
    """trans.txt, and wav.scp in the same folder: an id, then a text or a path."""
    wavs = dict(_pair(line) for line in files.data.lines(f"{files.folder}/wav.scp"))
    for name, text in map(_pair, files.data.lines(files.table)):
        if name not in wavs:
            raise files.broken(f"has the text of {name}, for which {files.folder}/wav.scp names no file")
        yield Entry(name, f"{files.folder}/{wavs[name]}", text)


# The dialect in which CoVoST's get_covost_splits.py reads and writes its tables and those of Common Voice.
COVOST = {**COMMON_VOICE, "escapechar": "\\"}


def _covost2(files: BenchmarkFiles) -> Iterator[Entry]:
    """The test table that get_covost_splits.py writes, or the same rows of the whole table: those of the split "test"
    that are also in Common Voice's validated.tsv."""
    if files.table.endswith(".test.tsv"):
        yield from map(_translated(files), files.data.table(files.table, ("path", "translation"), COVOST))
        return
    validated = f"{posixpath.dirname(files.audio)}/validated.tsv".lstrip("/")
    clips = {row["path"]: row["sentence"] for row in files.data.table(validated, ("path", "sentence"), COVOST)}
    for row in files.data.table(files.table, ("path", "translation", "split"), COVOST):
        if row["split"] == "test" and row["path"] in clips:
            yield _translated(files)({**row, "sentence": clips[row["path"]]})


def _translated(files: BenchmarkFiles) -> Callable[[Mapping[str, str]], Entry]:
    def entry(row: Mapping[str, str]) -> Entry:
        about = _about(source_text=row.get("sentence") or "")
        return Entry(_stem(row["path"]), f"{files.audio}/{row['path']}", row["translation"], about=about)

    return entry


def _meld(files: BenchmarkFiles) -> Iterator[Entry]:
    columns = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
    for row in files.data.table(files.table, columns, {}):
        name = f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}"
        about = _about(speaker=row["Speaker"], utterance=row["Utterance"])
        yield Entry(name, f"{files.audio}/{name}.mp4", row["Emotion"].lower(), about=about)


# Labels by the last part of a file's name.
VOCAL_SOUNDS = {
    "laughter": "Laughter",
    "sigh": "Sigh",
    "cough": "Cough",
    "throatclearing": "Throat clearing",
    "sneeze": "Sneeze",
    "sniff": "Sniff",
}


def _vocalsound(files: BenchmarkFiles) -> Iterator[Entry]:
    """<speaker>_<collection>_<sound>.wav, selected by the names in the test set or the speakers in its meta table."""
    if files.table.endswith(".json"):
        rows = _objects(files, _field(files, files.data.json(files.table), "data"), ("wav",))
        names = [posixpath.basename(row["wav"]) for row in rows]
    else:
        speakers = {line.split(",")[0].strip().strip('"') for line in files.data.lines(files.table)}
        all_names = map(posixpath.basename, files.data.files(files.audio))
        names = [name for name in all_names if name.endswith(".wav") and name.split("_")[0] in speakers]
    for name in names:
        speaker, _, code = _stem(name).split("_") if _stem(name).count("_") == 2 else (name, "", "")
        if code not in VOCAL_SOUNDS:
            raise files.broken(f"names {name}, which is not <speaker>_<n>_<one of {', '.join(VOCAL_SOUNDS)}>.wav")
        yield Entry(_stem(name), f"{files.audio}/{name}", VOCAL_SOUNDS[code], about=_about(speaker=speaker))


def _air_bench(files: BenchmarkFiles) -> Iterator[Entry]:
    """A list of questions; the audio of each is <task_name>_<dataset_name>/<path>, in the folder of the list."""
    columns = ("uniq_id", "task_name", "dataset_name", "path", "question", "answer_gt", "meta_info")
    for row in _objects(files, files.data.json(files.table), columns):
        if row["task_name"] not in files.part:
            continue
        folder = f"{row['task_name']}_{row['dataset_name']}"
        yield Entry(
            f"{folder}-{row['uniq_id']}",
            posixpath.join(files.folder, folder, row["path"]),
            row["answer_gt"],
            prompt=row["question"],
            about=_about(task_name=row["task_name"], dataset_name=row["dataset_name"], meta_info=row["meta_info"]),
        )


LAYOUTS: Mapping[str, Callable[[BenchmarkFiles], Iterator[Entry]]] = {
    "librispeech": _librispeech,
    "common_voice": _common_voice,
    "fleurs": _fleurs,
    "aishell2": _aishell2,
    "covost2": _covost2,
    "meld": _meld,
    "vocalsound": _vocalsound,
    "air_bench": _air_bench,
}


def _field(files: BenchmarkFiles, content: Any, name: str) -> Any:
    if not isinstance(content, dict) or name not in content:
        raise files.broken(f"is not an object with a field {name!r}")
    return content[name]


def _objects(files: BenchmarkFiles, content: Any, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Objects of a list, which must have all of `columns`; values as text."""
    if not isinstance(content, list):
        raise files.broken("does not hold a list of recordings")
    for number, row in enumerate(content):
        if missing := [column for column in columns if not isinstance(row, dict) or row.get(column) is None]:
            raise files.broken(f"has no {missing[0]!r} in entry {number}")
        yield {column: str(row[column]) for column in columns}


def _pair(line: str) -> tuple[str, str]:
    """An id and the rest of the line, as in Kaldi's tables."""
    name, *value = line.split(maxsplit=1)
    return name, value[0].strip() if value else ""


def _stem(path: str) -> str:
    return posixpath.splitext(posixpath.basename(path))[0]


def _about(**values: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in values.items() if value)

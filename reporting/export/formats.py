"""The formats that `earmark export` writes. Imports nothing heavy: a format's writer is imported when it is used."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """A format, whose module has `write(job: ExportJob, tables: Iterator[pa.Table], counts: Counts) -> None`.

    Attributes:
        name: Value of --format.
        about: What it writes, for help texts: "a table".
        module: Module of this package with its writer.
        suffix: Suffix of the file; "" for a format that is a folder.
        needs_text: Whether a task must answer in text.
        refers_to_audio: Whether other programs open the audio by the `uri` of each row.
        includes_audio: Whether the audio itself is written.
    """

    name: str
    about: str
    module: str
    suffix: str = ""
    needs_text: bool = False
    refers_to_audio: bool = False
    includes_audio: bool = False

    def writer(self) -> Callable[..., Any]:
        """The function `write` of its module."""
        write: Callable[..., Any] = importlib.import_module(f"earmark.reporting.export.{self.module}").write
        return write


FORMATS: Mapping[str, ExportFormat] = {
    entry.name: entry
    for entry in (
        ExportFormat("nemo", "a NeMo manifest", "nemo", suffix=".jsonl", refers_to_audio=True),
        ExportFormat("hf", "a Hugging Face datasets folder that includes the audio", "hub", includes_audio=True),
        ExportFormat("vtt", "WebVTT captions, one file per recording", "captions", needs_text=True),
        ExportFormat("srt", "SubRip captions, one file per recording", "captions", needs_text=True),
        ExportFormat("lhotse", "lhotse manifests", "lhotse", refers_to_audio=True),
        ExportFormat("csv", "a table", "csv", suffix=".csv"),
    )
}

"""Prints the answers in output folders: reference, transcript, caption and emotion of each recording."""

import sys
from pathlib import PurePath
from typing import Any

import pyarrow.dataset as ds
from rich.console import Console
from rich.table import Table

NOTE = (
    "The tiny Qwen2-Audio was trained on 30 words, synthetic voices and sounds; it only guesses about real voices."
    " For real recordings, use --model Qwen/Qwen2-Audio-7B-Instruct."
)


def main(outputs: list[str]) -> None:
    console = Console(markup=False)
    for output in outputs:
        rows = ds.dataset(f"{output}/annotations").to_table().sort_by("uri").to_pylist()
        table = Table("recording", "reference", "transcript", "caption", "emotion")
        for row in rows:
            table.add_row(
                PurePath(row["uri"]).name, row["reference"] or "", row["transcribe"]["text"], *_caption_and_emotion(row)
            )
        console.print(table)
        console.print(f"{len(rows)} annotations, as Parquet in {output}/annotations\n")
    console.print(NOTE)


def _caption_and_emotion(row: dict[str, Any]) -> tuple[str, str]:
    emotion = row["emotion"]
    score = "" if emotion["score"] is None else f" {emotion['score']:.2f}"  # some servers return no likelihoods
    return row["caption"]["text"], f"{emotion['label']}{score}"


if __name__ == "__main__":
    main(sys.argv[1:])

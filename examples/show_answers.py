"""Prints the transcripts of an output folder beside their references."""

import sys

import pyarrow.dataset as ds
from rich.console import Console
from rich.table import Table


def main(output: str) -> None:
    columns = {
        "id": ds.field("id"),
        "reference": ds.field("reference"),
        "transcript": ds.field("transcribe", "text"),
        "avg_logprob": ds.field("transcribe", "avg_logprob"),
    }
    rows = ds.dataset(f"{output}/annotations").to_table(columns=columns).sort_by("id").to_pylist()
    table = Table("id", "reference", "transcript", "avg logprob")
    for row in rows:
        logprob = "" if row["avg_logprob"] is None else f"{row['avg_logprob']:.2f}"
        table.add_row(row["id"], row["reference"] or "", row["transcript"], logprob)
    console = Console(markup=False)
    console.print(table)
    console.print(f"{len(rows)} annotations, as Parquet in {output}/annotations")


if __name__ == "__main__":
    main(sys.argv[1])

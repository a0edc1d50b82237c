"""Listing 100,000 parts, as every run does at its start, compared with fsspec's listing of the same folder."""

import json
import sys
import tempfile
import time
from pathlib import Path

import fsspec

from earmark.transforms.output.store import OutputStore

ROUNDS = 3


def main(parts: int) -> None:
    with tempfile.TemporaryDirectory() as root:
        for number in range(parts):
            path = Path(root) / OutputStore.part_path(f"{number * 2654435761 % 2**32:08x}{number:024x}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        earmark_s, fsspec_s = [], []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            assert len(OutputStore(root).parts()) == parts
            middle = time.perf_counter()
            assert len(fsspec.filesystem("file").find(f"{root}/annotations")) == parts
            earmark_s.append(middle - began)
            fsspec_s.append(time.perf_counter() - middle)
    print(
        json.dumps(
            {"parts": parts, "s": min(earmark_s), "times_faster_than_fsspec_find": min(fsspec_s) / min(earmark_s)}
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)

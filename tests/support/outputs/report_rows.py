"""Rows for reports: random ones that differ in everything that a report counts, and hostile texts."""

from pathlib import Path

import numpy as np

from tests.support.outputs.builder import Row, write_output

TASKS = ("transcribe", "caption", "emotion")
EMOTIONS = ("neutral", "joy", "anger")
HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    '"onload="alert(3)" x="',
    "<img src=x onerror=alert(4)>",
    "<!-- <script>",
    "]]>&lt;b&gt;",
    "line\u2028and\u2029paragraph",
    "\u202eright to left\u202c",
    "nul\x00 and $\\frac{1}{0}$",
    "{{ 7 * 7 }}{% raw %}",
]


def random_rows(count: int = 300) -> list[Row]:
    random = np.random.default_rng(11)
    return [
        Row(
            f"r{number:04d}",
            {
                "transcribe": " ".join(random.choice(["red", "green", "blue"], random.integers(0, 9))),
                "caption": "A sound.",
                "emotion": random.choice(EMOTIONS),
            },
            reference="red green",
            language=random.choice(["en", "de", "fr"]),
            duration_s=float(random.lognormal(1, 2)),
            score=float(random.uniform(0.3, 1)),
            avg_logprob=-float(random.exponential(0.5)),
            flags=("repetition",) if random.random() < 0.1 else (),
        )
        for number in range(count)
    ]


def write_hostile_output(folder: Path, uri: str = "") -> None:
    """Write an output in which every text of the manifest and the models is one of HOSTILE."""
    rows = [
        Row(
            f"{text} {number}",
            {"transcribe": text, "caption": text, "emotion": "joy", "vocal_sound": "Sigh"},
            reference=text,
            language=text,
            extra={text: text, "emotion": "joy"},
            uri=uri or text,
            flags=(text,),
        )
        for number, text in enumerate(HOSTILE)
    ]
    failed = [Row(f"failed {text}", None, uri=text) for text in HOSTILE[:5]]
    write_output(folder, rows + failed, task=(*TASKS, "vocal_sound"))

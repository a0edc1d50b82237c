"""Outputs whose reports are looked at: of rows that differ in all that is counted, and of hostile texts."""

from pathlib import Path

import numpy as np

from tests.support.outputs.made_outputs import Row, write_output

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


def made_rows(count: int = 300) -> list[Row]:
    chance = np.random.default_rng(11)
    return [
        Row(
            f"r{number:04d}",
            {
                "transcribe": " ".join(chance.choice(["red", "green", "blue"], chance.integers(0, 9))),
                "caption": "A sound.",
                "emotion": chance.choice(EMOTIONS),
            },
            reference="red green",
            language=chance.choice(["en", "de", "fr"]),
            duration_s=float(chance.lognormal(1, 2)),
            score=float(chance.uniform(0.3, 1)),
            avg_logprob=-float(chance.exponential(0.5)),
            flags=("repetition",) if chance.random() < 0.1 else (),
        )
        for number in range(count)
    ]


def hostile_output(folder: Path, uri: str = "") -> None:
    """Every text that a manifest or a model brings is one of HOSTILE."""
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

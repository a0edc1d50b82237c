"""The dataset card of an output: its README.md, in the format of Hugging Face's Hub.

Sources: huggingface/hub-docs, datasetcard.md, for the metadata fields; datasets' documentation, "Structure your
repository", for the configurations.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from earmark.reporting.card.facts import CardFacts, read_facts
from earmark.reporting.card.hub_features import AUDIO_FILE, card_features
from earmark.reporting.text.markdown import as_text, table
from earmark.schemas.job_description import AskedTask
from earmark.schemas.tables import FAILURES
from earmark.schemas.tasks import LANGUAGE_NAMES
from earmark.schemas.text import counted
from earmark.transforms.output.store import FAILURES_PATH, OutputStore

CARD_PATH = "README.md"
# The line by which a card is recognised as earmark's, also in outputs of earlier versions: never change it.
MARK = "<!-- earmark writes this file anew after every run; remove this line, and it is yours and stays as it is. -->"
UNKNOWN_LICENSE = "unknown"
LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
LANGUAGE = re.compile(r"[a-z]{2,3}")
MIN_LANGUAGE_SHARE = 0.01  # share of the rows; language detectors report a few rare languages by mistake
MAX_CAUSES = 20
# The Hub's size categories, each with its upper bound.
SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
    (10**10, "1B<n<10B"),
)


def write_card(store: OutputStore, license: str = "") -> bool:
    """Write the card of an output; False where it has a README.md that earmark did not write.

    Args:
        license: Licence of the data, by the Hub's name; "" to keep the one of the present card.

    Raises:
        JobError: This is not an output, or a file in it is damaged.
        OSError: The output cannot be read or written.
    """
    present = _present_card(store)
    if present is not None and MARK not in present.splitlines():
        return False
    facts = read_facts(store, license or license_of(present or ""))
    store.replace(CARD_PATH, card(facts).encode())
    return True


def card_license(store: OutputStore) -> str:
    """The licence in the card of an output."""
    return license_of(_present_card(store) or "")


def license_of(content: str) -> str:
    """The licence in a card, "unknown" where it has no valid one."""
    try:
        value = yaml.safe_load(content.split("---\n")[1])["license"]
    except (IndexError, KeyError, TypeError, yaml.YAMLError):
        return UNKNOWN_LICENSE
    return value if isinstance(value, str) and LICENSE.fullmatch(value) else UNKNOWN_LICENSE


def _present_card(store: OutputStore) -> str | None:
    try:
        return store.read(CARD_PATH).decode("utf-8", "replace")
    except FileNotFoundError:
        return None


def card(facts: CardFacts) -> str:
    """The text of the card."""
    metadata = yaml.safe_dump(_metadata(facts), sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{metadata}---\n{MARK}\n\n" + "\n".join(_body(facts))


def _metadata(facts: CardFacts) -> dict[str, Any]:
    configs: list[dict[str, Any]] = []
    infos: list[dict[str, Any]] = []
    # datasets fails to load a configuration that has no rows.
    if facts.totals.rows and facts.schema is not None:
        configs.append(_config("annotations", facts.data) | {"default": True})
        infos.append({"config_name": "annotations", "features": card_features(facts.schema)})
    if facts.failed:
        configs.append(_config("failures", FAILURES_PATH))
        infos.append({"config_name": "failures", "features": card_features(FAILURES)})
    metadata = {
        "pretty_name": facts.name,
        "license": facts.license,
        "language": _languages(facts),
        "annotations_creators": ["machine-generated"],
        "size_categories": [next((name for bound, name in SIZES if facts.totals.rows < bound), "n>1T")],
        "task_categories": list(dict.fromkeys(task.answer_kind.hub_category(task) for task in facts.tasks)),
        "configs": configs,
        "dataset_info": infos,
    }
    return {name: value for name, value in metadata.items() if value != []}


def _config(name: str, path: str) -> dict[str, Any]:
    return {"config_name": name, "data_files": [{"split": "train", "path": path}]}


def _languages(facts: CardFacts) -> list[str]:
    """Codes of the spoken languages, as detected or else as the job sets it, and of the languages of translations."""
    frequent = [name for name, count in facts.totals.languages if count >= MIN_LANGUAGE_SHARE * facts.totals.rows]
    detected = frequent or [facts.provenance.job.language]
    targets = [task.target_language for task in facts.tasks]
    return [name for name in dict.fromkeys([*detected, *targets]) if LANGUAGE.fullmatch(name)]


def _body(facts: CardFacts) -> Iterator[str]:
    totals = facts.totals
    yield f"# {as_text(facts.name)}\n"
    yield (
        f"Machine annotations of {counted(totals.rows, 'recording')}"
        f" ({totals.audio_s / 3600:,.2f} hours of audio), made with earmark. Unless a person has checked them, expect"
        " errors.\n"
    )
    if not _has_audio(facts):
        yield "The audio is not included; the column `uri` has its location.\n"
    yield "## Size\n"
    yield table(("", ""), _counts(facts))
    if facts.failures:
        yield "Failures by cause (`failures/failures.parquet` lists every failed recording):\n"
        causes = [(error, f"{count:,}") for error, count in facts.failures[:MAX_CAUSES]]
        remaining = sum(count for _, count in facts.failures[MAX_CAUSES:])
        more = [("all other causes", f"{remaining:,}")] if remaining else []
        yield table(("cause", "recordings"), [*causes, *more])
    yield "## Tasks and models\n"
    rows = (
        (task.name, task.answer_kind.describe(task), facts.provenance.model_name(task), task.model)
        for task in facts.tasks
    )
    yield table(("column", "answer", "model", "revision"), rows)
    yield from _prompts(facts.tasks)
    yield "## Loading the data\n"
    yield from _loading(facts)
    yield "## Provenance\n"
    yield table(("", ""), _versions(facts))


def _has_audio(facts: CardFacts) -> bool:
    return facts.schema is not None and AUDIO_FILE in facts.schema.types


def _counts(facts: CardFacts) -> Iterator[tuple[str, str]]:
    rows, failed = facts.totals.rows, facts.failed
    yield "annotated recordings", f"{rows:,}"
    yield "hours of audio", f"{facts.totals.audio_s / 3600:,.3f}"
    if facts.where:
        yield "selected by", facts.where
    else:
        yield "failed recordings", f"{failed:,} ({failed / max(1, rows + failed):.2%})"
    if languages := facts.totals.languages:
        shares = ", ".join(f"{name} {count / max(1, rows):.1%}" for name, count in languages[:10])
        yield "languages", shares


def _prompts(tasks: Sequence[AskedTask]) -> Iterator[str]:
    with_prompt = [task for task in tasks if task.answer_kind.takes_text_prompt]
    if not with_prompt:
        return
    yield (
        "Models that take a text prompt got one of these with the audio, depending on the kind of checkpoint."
        " Speech recognizers and classifiers take no prompt.\n"
    )
    rows = (
        (task.name, _prompt(task, task.base_prompt), _prompt(task, task.chat_prompt), f"{task.max_new_tokens}")
        for task in with_prompt
    )
    yield table(("column", "base checkpoints", "Instruct checkpoints", "most tokens of an answer"), rows)


def _prompt(task: AskedTask, prompt: str | None) -> str:
    if prompt is None:
        return "not supported"
    row_prompt = f"the row's prompt, else {task.question!r}" if task.question else "the row's prompt"
    values: Mapping[str, str] = {
        "{question}": task.question,
        "{target}": LANGUAGE_NAMES.get(task.target_language, ""),
        "{row_prompt}": row_prompt,
        "{language_tag}": "<|language|>",
    }
    parts = re.split(r"(\{\w+\})", prompt)
    return "".join(values.get(part, part) for part in parts) or "the audio only"


def _loading(facts: CardFacts) -> Iterator[str]:
    """Code that runs in the parent folder; on the Hub, only the name differs."""
    folder = facts.name if re.fullmatch(r"[\w][\w.-]*", facts.name, re.ASCII) else "FOLDER"
    lines = []
    if facts.totals.rows:
        lines.append(f'labels = datasets.load_dataset("{folder}", split="train")')
    if facts.failed:
        lines.append(f'failures = datasets.load_dataset("{folder}", "failures", split="train")')
    if lines:
        yield "From the parent folder (for a dataset on the Hub, use `OWNER/NAME` as the name):\n"
        yield _code("python", ["import datasets", "", *lines])
    if facts.totals.rows:
        yield _code(
            "python", ["import pandas", "", f'labels = pandas.read_parquet("{folder}/{facts.data.split("/")[0]}")']
        )
        yield _code("sql", ["-- DuckDB", f"SELECT {_select_list(facts)} FROM '{folder}/{facts.data}'"])


def _select_list(facts: CardFacts) -> str:
    tasks = [task for task in facts.tasks if re.fullmatch(r"[a-z][a-z0-9_]*", task.name)]
    fields = {task.name: task.answer_kind.text_field for task in tasks}
    return ", ".join(["id", "uri", *(f"{name}.{field}" if field else name for name, field in fields.items())])


def _code(language: str, lines: Sequence[str]) -> str:
    return "\n".join([f"```{language}", *lines, "```", ""])


def _versions(facts: CardFacts) -> Iterator[tuple[str, str]]:
    provenance, job = facts.provenance, facts.provenance.job
    if run := provenance.run:
        yield "last run", run.run_id
        yield "Python", run.python
        yield from run.libraries
    yield "runs and compactions", f"{provenance.runs:,}"
    yield "job fingerprint", job.fingerprint
    yield "segmentation", job.segmentation
    yield "compute type", job.compute_type
    yield "schema version", f"{job.schema_version}"

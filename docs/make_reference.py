"""A hook of MkDocs: the pages of reference/, made from the code each time the site is built."""

import argparse
import dataclasses
import html
import re
from collections.abc import Iterable, Sequence

import pyarrow as pa
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from docs.read_sources import environment_variables, launch_settings, row_errors
from earmark.pipeline.cli import build_parser
from earmark.schemas.job import JobOptions
from earmark.schemas.records import Failure, LabelAnswer, TextAnswer, TextSegment, Transcript, VectorAnswer
from earmark.schemas.tables import FAILURES, annotations_schema, answer_type
from earmark.schemas.tasks import BUILT_IN, Task
from earmark.scoring.benchmarks import benchmarks
from earmark.scoring.published import published_for

JOB_DEFAULTS = {field.name: field.default for field in dataclasses.fields(JobOptions)}
TYPES = {int: "whole number", float: "number", str: "text", None: "text"}
ANSWERS = {"transcript": Transcript, "text": TextAnswer, "label": LabelAnswer, "vector": VectorAnswer}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name, text in reference_pages().items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def reference_pages() -> dict[str, str]:
    """The Markdown of each page of reference/ by its name."""
    return {
        "commands": _commands(),
        "tasks": _tasks(),
        "columns": _columns(),
        "failures": _failures(),
        "benchmarks": _benchmarks(),
        "environment": _environment(),
    }


def _commands() -> str:
    parser = build_parser()
    listed = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    about = {action.dest: action.help or "" for action in listed._choices_actions}
    lines = ["# Commands", "", parser.description or "", ""]
    lines += _table(("command", ""), [(f"[`{name}`](#{name})", _text(about.get(name, ""))) for name in listed.choices])
    for name, command in listed.choices.items():
        lines += [f"## {name}", "", _text(command.description or about.get(name, "")), ""]
        arguments = [action for action in command._actions if action.help != argparse.SUPPRESS]
        names = [action.metavar or action.dest for action in arguments if not action.option_strings]
        lines += ["```text", " ".join([f"earmark {name}", *map(str, names), "[options]"]), "```", ""]
        lines += _table(("option", "takes", "default", ""), [_option(action) for action in arguments])
    return "\n".join(lines)


def _option(action: argparse.Action) -> Sequence[str]:
    default = action.default if action.default is not None else JOB_DEFAULTS.get(action.dest)
    shown = ",".join(map(str, default)) if isinstance(default, list | tuple) else default
    no_default = (
        any(shown is one for one in (None, False)) or shown in ("", argparse.SUPPRESS) or not action.option_strings
    )
    names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.metavar or action.dest}`"
    said = (action.help or "").replace("%%", "%").replace("%(default)s", str(default))
    said = said.replace(f" (default: {shown})", "")
    return names, _takes(action), "" if no_default else f"`{shown}`", _text(said)


def _takes(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if action.choices:
        return _text(", ".join(map(str, action.choices)))
    names = action.type not in TYPES  # what splits a text at its commas is the only other type
    return "names, by commas" if names else TYPES[action.type]  # type: ignore[index]


def _tasks() -> str:
    lines = ["# Tasks", "", "What each task asks, and how its answer is kept ([columns](columns.md)).", ""]
    for task in BUILT_IN:
        labels = f": {', '.join(task.labels)}" if task.labels else ""
        base = "cannot be asked" if task.base_prompt is None else _asked(task.base_prompt)
        rows = [("answers with", f"a {task.answer}{labels}")]
        if task.answer != "vector":
            rows += [("base checkpoints are asked", base), ("Instruct checkpoints are asked", _asked(task.chat_prompt))]
            rows += [("longest answer to one segment", f"{task.max_new_tokens} tokens")]
        about = task.about[0].upper() + task.about[1:]
        lines += [f"## {task.name}", "", f"{_text(about)}.", "", *_table(("", ""), rows)]
    stands_for = (
        "In a prompt, `{language_tag}` stands for the language, `{target}` for that of `--translate_to`, and"
        " `{row_prompt}` for the prompt of the row, or `--prompt`."
    )
    return "\n".join([*lines, stands_for])


def _asked(prompt: str) -> str:
    return f"`{prompt}`" if prompt else "the audio alone"


def _columns() -> str:
    lines = ["# Columns", "", "What the columns mean in use: [What comes out](../output.md).", ""]
    own = annotations_schema([])
    lines += ["## annotations, for every job", "", *_fields(own)]
    for kind, record in ANSWERS.items():
        task = Task("TASK", "", None, "", kind, dimensions=512)  # type: ignore[arg-type]  # the four kinds there are
        of = [one.name for one in BUILT_IN if one.answer == kind]
        lines += [f"## {kind}: the column of {', '.join(f'`{name}`' for name in of)}", "", _prose(record), ""]
        if kind == "vector":
            lines += ["The 512 below is an example: as many as the model has dimensions.", ""]
        elif kind != "label":
            lines += [f"`segments`: {_prose(TextSegment)}", ""]
        lines += _fields(pa.schema([pa.field("TASK", answer_type(task))]))
    return "\n".join([*lines, "## failures", "", _prose(Failure), "", *_fields(FAILURES)])


def _prose(record: type) -> str:
    return _text(" ".join((record.__doc__ or "").split()))


def _fields(schema: pa.Schema) -> list[str]:
    rows = [(f"`{path}`", _text(kind)) for field in schema for path, kind in _paths(field.name, field.type)]
    return _table(("column", "type"), rows)


def _paths(path: str, kind: pa.DataType) -> Iterable[tuple[str, str]]:
    if pa.types.is_struct(kind):
        for field in kind:
            yield from _paths(f"{path}.{field.name}", field.type)
    elif pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        yield from _paths(f"{path}[]", kind.value_type)
    else:
        yield path, str(kind)


def _failures() -> str:
    intro = (
        "The rows of `failures/failures.parquet` have the `stage` that gave a recording up, an `error` to group them"
        " by, and a `message` that says what was found and what to do (… stands for what it names). Engines of other"
        " packages bring errors of their own."
    )
    rows = [(f"`{one.error}`", one.stage, _text(one.message)) for one in row_errors()]
    return "\n".join(["# Failures", "", intro, "", *_table(("error", "stage", "message"), rows)])


def _benchmarks() -> str:
    intro = (
        "The names that `earmark benchmark` takes ([how to](../reproduce-a-benchmark.md)). The last column is what was"
        " published of Qwen2-Audio, with its original weights and with those on the hub: WER in percent, ACC as a"
        " share."
    )
    rows = []
    for one in benchmarks().values():
        figures = [f"{row.value:g}" for row in published_for(one) if row.system == "Qwen2-Audio"]
        rows.append((f"`{one.name}`", one.task, one.metric, f"`{one.table[0]}`", _text(one.source), ", ".join(figures)))
    headings = ("name", "task", "metric", "the folder holds", "from", "published")
    return "\n".join(["# Benchmarks", "", intro, "", *_table(headings, rows)])


def _environment() -> str:
    lines = ["# Environment", "", "What earmark itself looks at:", ""]
    lines += _table(("variable", ""), [(f"`{name}`", _text(about)) for name, about in environment_variables()])
    lines += ["Object stores and hubs have variables of their own: [object stores](../manifests.md#object-stores).", ""]
    lines += ["What `deploy/dataflow/launch.sh` looks at:", ""]
    return "\n".join([*lines, *_table(("variable", "default"), [(f"`{a}`", f"`{b}`") for a, b in launch_settings()])])


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = [headings, ["---"] * len(headings), *rows]
    return [*(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in cells), ""]


def _text(said: str) -> str:
    """Plain text as Markdown that says the same, on one line; what is in backticks stays."""
    pieces = re.split(r"(`[^`]*`)", " ".join(said.split()))
    return "".join(piece if piece.startswith("`") else _escaped(piece) for piece in pieces)


def _escaped(said: str) -> str:
    return re.sub(r"([*_\[])", r"\\\1", html.escape(said, quote=False))

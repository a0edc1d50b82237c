"""MkDocs hook: generates the pages of reference/ from the code each time the site is built."""

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
from earmark.schemas.answers.registry import ANSWER_KINDS
from earmark.schemas.answers.spoken import TextSegment
from earmark.schemas.job import JobOptions
from earmark.schemas.records import Failure
from earmark.schemas.tables import FAILURES, annotations_schema
from earmark.schemas.tasks import BUILT_IN, Task
from earmark.scoring.benchmarks import benchmarks
from earmark.scoring.published import published_for

JOB_DEFAULTS = {field.name: field.default for field in dataclasses.fields(JobOptions)}
DIMENSIONS = 512  # an example
TYPES = {int: "whole number", float: "number", str: "text", None: "text"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name, text in reference_pages().items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def reference_pages() -> dict[str, str]:
    """Markdown of each page of reference/, by the name of the page."""
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
    help_of = {action.dest: action.help or "" for action in listed._choices_actions}
    lines = ["# Commands", "", parser.description or "", ""]
    lines += _table(
        ("command", ""), [(f"[`{name}`](#{name})", _text(help_of.get(name, ""))) for name in listed.choices]
    )
    for name, command in listed.choices.items():
        lines += [f"## {name}", "", _text(command.description or help_of.get(name, "")), ""]
        arguments = [action for action in command._actions if action.help != argparse.SUPPRESS]
        names = [action.metavar or action.dest for action in arguments if not action.option_strings]
        lines += ["```text", " ".join([f"earmark {name}", *map(str, names), "[options]"]), "```", ""]
        lines += _table(("option", "takes", "default", ""), [_option(action) for action in arguments])
    return "\n".join(lines)


def _option(action: argparse.Action) -> Sequence[str]:
    default = action.default if action.default is not None else JOB_DEFAULTS.get(action.dest)
    default_text = ",".join(map(str, default)) if isinstance(default, list | tuple) else default
    no_default = (
        any(default_text is empty for empty in (None, False))
        or default_text in ("", argparse.SUPPRESS)
        or not action.option_strings
    )
    names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.metavar or action.dest}`"
    text = (action.help or "").replace("%%", "%").replace("%(default)s", str(default))
    text = text.replace(f" (default: {default_text})", "")
    return names, _takes(action), "" if no_default else f"`{default_text}`", _text(text)


def _takes(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if action.choices:
        return _text(", ".join(map(str, action.choices)))
    is_list = action.type not in TYPES  # the only other type splits a text at its commas
    return "names, separated by commas" if is_list else TYPES[action.type]  # type: ignore[index]


def _tasks() -> str:
    lines = ["# Tasks", "", "The prompt of each task, and the type of its answer ([columns](columns.md)).", ""]
    for task in BUILT_IN:
        labels = f": {', '.join(task.labels)}" if task.labels else ""
        base = "not supported" if task.base_prompt is None else _prompt(task.base_prompt)
        rows = [("answer", f"{task.answer}{labels}")]
        if task.answer_kind.takes_text_prompt:
            rows += [
                ("prompt for base checkpoints", base),
                ("prompt for Instruct checkpoints", _prompt(task.chat_prompt)),
            ]
            rows += [("maximum answer per segment", f"{task.max_new_tokens} tokens")]
        summary = task.about[0].upper() + task.about[1:]
        lines += [f"## {task.name}", "", f"{_text(summary)}.", "", *_table(("", ""), rows)]
    placeholders = (
        "In a prompt, `{language_tag}` is replaced by the language, `{target}` by that of `--translate_to`, and"
        " `{row_prompt}` by the prompt of the row, or by `--prompt`."
    )
    return "\n".join([*lines, placeholders])


def _prompt(prompt: str) -> str:
    return f"`{prompt}`" if prompt else "the audio alone"


def _columns() -> str:
    lines = ["# Columns", "", "The columns by task, with examples: [Output](../output.md).", ""]
    own = annotations_schema([])
    lines += ["## annotations, for every job", "", *_fields(own)]
    for name, kind in ANSWER_KINDS.items():
        of = [task.name for task in BUILT_IN if task.answer == name]
        lines += [f"## {name}: the column of {', '.join(f'`{task}`' for task in of)}", "", _prose(kind.record), ""]
        if "segments" in kind.record.__annotations__:
            lines += [f"`segments`: {_prose(TextSegment)}", ""]
        column = pa.field("TASK", kind.arrow_type(Task("TASK", "", None, "", name, dimensions=DIMENSIONS)))
        if pa.types.is_fixed_size_list(column.type):
            lines += [f"The list has the number of dimensions of the model, here {DIMENSIONS}.", ""]
        lines += _fields(pa.schema([column]))
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
        "Each row of `failures/failures.parquet` has the `stage` in which the recording failed, an `error` code to"
        " group by, and a `message` with the cause and the remedy (… is a placeholder for a value). Engines from other"
        " packages add their own errors."
    )
    rows = [(f"`{error.error}`", error.stage, _text(error.message)) for error in row_errors()]
    return "\n".join(["# Failures", "", intro, "", *_table(("error", "stage", "message"), rows)])


def _benchmarks() -> str:
    intro = (
        "The names that `earmark benchmark` takes ([how to](../reproduce-a-benchmark.md)). The last column holds the"
        " figures published for Qwen2-Audio, with its original weights and with those on the hub: WER in percent, ACC"
        " as a fraction."
    )
    rows = []
    for benchmark in benchmarks().values():
        figures = ", ".join(f"{row.value:g}" for row in published_for(benchmark) if row.system == "Qwen2-Audio")
        table = f"`{benchmark.table[0]}`"
        rows.append((f"`{benchmark.name}`", benchmark.task, benchmark.metric, table, _text(benchmark.source), figures))
    headings = ("name", "task", "metric", "file or folder in the data", "source", "published")
    return "\n".join(["# Benchmarks", "", intro, "", *_table(headings, rows)])


def _environment() -> str:
    lines = ["# Environment", "", "Variables that earmark reads:", ""]
    lines += _table(("variable", ""), [(f"`{name}`", _text(text)) for name, text in environment_variables()])
    lines += ["Object stores and hubs have their own variables: [object stores](../manifests.md#object-stores).", ""]
    lines += ["Variables that `deploy/dataflow/launch.sh` reads:", ""]
    settings = [(f"`{name}`", f"`{default}`") for name, default in launch_settings()]
    return "\n".join([*lines, *_table(("variable", "default"), settings)])


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = [headings, ["---"] * len(headings), *rows]
    return [*(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in cells), ""]


def _text(text: str) -> str:
    """Plain text escaped for Markdown, on one line; code in backticks stays as it is."""
    pieces = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(piece if piece.startswith("`") else _escaped(piece) for piece in pieces)


def _escaped(text: str) -> str:
    return re.sub(r"([*_\[])", r"\\\1", html.escape(text, quote=False))

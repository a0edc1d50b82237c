"""The command line as a whole: help, JSON, pipes, colours and imports."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from earmark.pipeline.cli import build_parser, main
from earmark.pipeline.console.console import say
from earmark.pipeline.console.job_flags import EVERYDAY, FLAGS, GROUPS
from earmark.pipeline.console.parser import commands_of, options_of
from earmark.scoring.benchmarks import benchmarks
from tests.support.jobs import command_line, run_command, write_manifest, write_tone
from tests.support.outputs.builder import Row, write_output

pytestmark = pytest.mark.process

# Variables that change how a program prints, and the environment without them.
PRINT_VARIABLES = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "PYTHONUNBUFFERED")
PLAIN = {name: value for name, value in os.environ.items() if name not in PRINT_VARIABLES}
HEAVY = {"apache_beam", "torch", "transformers", "librosa", "pyarrow", "duckdb", "rich"}


def run_main(arguments, capsys):
    """Return exit status, standard output and standard error of a command."""
    try:
        status = main(arguments)
    except SystemExit as ended:
        status = int(ended.code or 0)
    return status, *capsys.readouterr()


@pytest.mark.parametrize("columns", ["80", "100"])
@pytest.mark.parametrize("command", [[], ["annotate"]])
def test_help_fits_a_screen_and_has_examples(command, columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    status, out, _ = run_main([*command, "--help"], capsys)
    lines = out.splitlines()
    assert status == 0
    assert 24 <= len(lines) <= 40
    assert max(map(len, lines)) <= int(columns)
    assert "\nexamples:\n  earmark " in out


@pytest.mark.parametrize("command", ["annotate", "plan", "benchmark"])
def test_help_has_the_everyday_options_and_help_all_has_every_one(command, capsys):
    everyday, everything = (set(options_in(run_main([command, flag], capsys)[1])) for flag in ("--help", "--help_all"))
    (parser,) = (
        command_parser for command_parser in commands_of(build_parser()) if command_parser.prog == f"earmark {command}"
    )
    assert everything == set(options_of(parser)) - {"-h"}
    names = {f"--{field.name}" for field in FLAGS}
    assert everyday & names == {f"--{name}" for name in EVERYDAY} & everything
    assert everyday - names == {name for name in everything - names if not name.startswith("--no-")}


def options_in(help):
    return re.findall(r"^  (?:-h, )?(--\w+)", help, re.MULTILINE) + re.findall(r"(--no-\w+)$", help, re.MULTILINE)


def test_the_groups_of_the_help_have_every_option_in_the_order_of_job_options():
    assert [name for names in GROUPS.values() for name in names] == [field.name for field in FLAGS]


def test_earmark_without_arguments_prints_its_help(capsys):
    _, help, _ = run_main(["--help"], capsys)
    assert run_main([], capsys) == (2, "", help)


def test_version_is_that_of_the_distribution(capsys):
    status, out, _ = run_main(["--version"], capsys)
    assert status == 0
    assert re.fullmatch(r"earmark \d+\.\d+\.\d+\S*\n", out)


def test_options_may_be_spelt_with_hyphens(tmp_path, capsys):
    manifest = write_manifest(tmp_path / "m.jsonl", [{"audio": "a.wav"}])
    assert main(["plan", str(manifest), "--batch-s=10", "--no-free-labels", "--audio-root", str(tmp_path)]) == 1
    assert "--batch_s=10.0 does not work: give at least 30" in capsys.readouterr().err


def test_beam_options_may_be_spelt_with_hyphens(capsys):
    beam = ["--job-server-timeout=5", "--direct-num-workers", "2"]
    assert main(["annotate", "m.jsonl", "out", *beam]) == 1
    assert capsys.readouterr().err.startswith("earmark: no model is named")


def test_hyphens_in_values_and_positional_arguments_stay(capsys):
    assert main(["plan", "no-such.jsonl", "--audio-root=/no-where"]) == 1
    assert "--audio_root=/no-where does not work" in capsys.readouterr().err
    assert main(["plan", "--", "--no-such.jsonl"]) == 1
    assert "there is no manifest --no-such.jsonl" in capsys.readouterr().err


def test_with_json_nothing_else_is_printed(tmp_path, capsys):
    store = write_output(tmp_path / "out", [Row(f"r{number}", {"transcribe": "yes"}) for number in range(4)], 2)
    _, parts, _ = run_main(["parts", store.root, "--json"], capsys)
    assert json.loads(parts) == [f"{store.root}/{part}" for part in store.parts()]
    _, tasks, _ = run_main(["tasks", "--json"], capsys)
    assert [task["name"] for task in json.loads(tasks)][:2] == ["transcribe", "translate"]
    status, compacted, err = run_main(["compact", store.root, "--json"], capsys)
    figures = json.loads(compacted)
    assert (status, figures["parts_before"], figures["parts_after"], err) == (0, 2, 1, "")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """An annotate command on a tone and a missing file, and its result with --json."""
    folder = tmp_path_factory.mktemp("tone")
    write_tone(folder / "tone.wav")
    manifest = write_manifest(folder / "m.jsonl", [{"audio": "tone.wav"}, {"audio": "none.wav"}])
    command: list[object] = ["annotate", manifest, folder / "out", "--model", "whisper-tiny.en"]
    return command, run_command(*command, "--json")


def test_annotate_prints_its_summary_as_json(labelled):
    (_, _, output, *_), ended = labelled
    assert (ended.returncode, ended.stderr) == (0, "")
    figures = json.loads(ended.stdout)
    summary = json.loads((Path(str(output)) / "_earmark" / "runs" / figures["run_id"] / "summary.json").read_text())
    assert figures == summary | {"run_id": figures["run_id"], "output": str(output), "audio_s": 0.5}
    assert (figures["annotated"], figures["failed"], figures["adds_up"]) == (1, 1, True)


def test_in_a_pipe_a_run_prints_only_its_summary(labelled, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as some schedulers set it: colours, but no progress bar
    ended = run_command(*labelled[0])
    assert (ended.returncode, ended.stderr) == (0, "")
    names = [re.split(r"  +", line.strip())[0] for line in ended.stdout.splitlines()]
    assert names == ["recordings", "annotated now", "annotated before", "failed", "annotations", "failures"]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "red\n"),
        ({"FORCE_COLOR": "1"}, "\x1b[31mred\x1b[0m\n"),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, "red\n"),
        ({"COLUMNS": "2"}, "red\n"),
    ],
)
def test_colours_are_used_on_terminals_or_on_request(variables, expected):
    code = "from earmark.pipeline.console.console import console; console.print('[red]red[/]')"
    ended = subprocess.run(
        [sys.executable, "-c", code], env={**PLAIN, **variables}, capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout == expected


def test_a_table_in_a_pipe_is_neither_cut_nor_wrapped():
    ended = subprocess.run(
        command_line("benchmark", "--list"),
        env={**PLAIN, "COLUMNS": "40"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = ended.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(benchmarks())
    assert all(benchmark.source in line for benchmark, line in zip(benchmarks().values(), lines[1:], strict=True))


def test_log_messages_appear_above_the_progress_bar():
    code = """if True:
        import logging, rich.progress, rich.console
        from earmark.pipeline.console.logging_setup import set_up_logging
        set_up_logging(False)
        console = rich.console.Console(stderr=True, force_terminal=True, width=60)
        with rich.progress.Progress(console=console, auto_refresh=False) as bar:
            bar.add_task("annotating")
            bar.refresh()
            logging.getLogger("earmark").warning("a file is left out")"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "\x1b[2Ka file is left out\n" in ended.stderr


def one_part(folder):
    """Write an output whose list of parts is so short that it is flushed only when the command ends."""
    return write_output(folder, [Row("r", {"transcribe": "yes"})]).root


@pytest.mark.parametrize("command", ["tasks", "tasks --json", "completion zsh", "parts"])
def test_a_reader_that_closes_the_pipe_causes_no_message(command, tmp_path):
    arguments = [*command.split(), *([one_part(tmp_path)] if command == "parts" else [])]
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as pipe:
        ended = subprocess.run(
            command_line(*arguments), stdout=pipe, stderr=subprocess.PIPE, env=PLAIN, text=True, timeout=60
        )
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.parametrize("command", ["tasks", "tasks --json", "parts"])
def test_a_full_standard_output_is_reported_in_one_line(command, tmp_path):
    arguments = [*command.split(), *([one_part(tmp_path)] if command == "parts" else [])]
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            command_line(*arguments), stdout=full, stderr=subprocess.PIPE, env=PLAIN, text=True, timeout=60
        )
    message = "earmark: cannot write to standard output: No space left on device\n"
    assert (ended.returncode, ended.stderr) == (1, message)


@pytest.mark.parametrize("arguments", [["--help"], ["annotate", "--help_all"], ["--version"], ["completion", "bash"]])
def test_help_version_and_completion_import_nothing_heavy(arguments):
    code = f"""if True:
        import sys, earmark.pipeline.cli
        try: earmark.pipeline.cli.main({arguments})
        except SystemExit: pass
        print('heavy:', {HEAVY} & set(sys.modules))"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout.endswith("heavy: set()\n")


def test_texts_of_a_manifest_cannot_control_the_terminal(capsys):
    say("red\x1b[31m and [bold]a\rline[/bold]")
    assert capsys.readouterr().out == "red\\x1b[31m and [bold]a\\rline[/bold]\n"


def test_an_error_is_one_line_that_cannot_control_the_terminal(tmp_path, capsys):
    assert main(["report", f"{tmp_path}/a\nb\x1b[2J"]) == 1
    assert capsys.readouterr().err.startswith(f"earmark: {tmp_path}/a b\\x1b[2J is not an output of earmark")

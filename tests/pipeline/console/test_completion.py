"""`earmark completion`: the suggestions of real shells at TAB."""

import contextlib
import os
import pty
import select
import shutil
import subprocess
import sys
import time

import pytest

from earmark.model.checkpoints.aliases import HUB_IDS, PACKAGED_NAMES
from earmark.model.checkpoints.checkpoint import HUB_ID, PACKAGED
from earmark.schemas.tasks import BUILT_IN
from earmark.scoring.normalizers import NORMALIZERS
from tests.support.paths import ROOT

ANSWER_S = 60  # a TAB starts Python, which is slow on a busy machine
# Calls bash's completion function for each line of standard input, as readline does, and prints its suggestions.
ASK = r"""
eval "$(earmark completion bash)"
while IFS= read -r COMP_LINE; do
    COMP_POINT=${#COMP_LINE} COMP_TYPE=9 COMPREPLY=()
    _python_argcomplete earmark
    printf '%s\t' "${COMPREPLY[@]}"
    echo
done
"""
# Options that start a shell without a user's settings, and the command that loads the completion.
SHELLS = {
    "bash": (["--norc", "--noprofile", "-i"], 'eval "$(earmark completion bash)"'),
    "zsh": (["-f", "-i"], 'autoload -U compinit; compinit -u -D; eval "$(earmark completion zsh)"'),
    "fish": (["--no-config", "-i"], "earmark completion fish | source"),
}


@pytest.fixture
def folder(tmp_path):
    """Folder with files to complete; its bin/ has the `earmark` command for the shells."""
    earmark = tmp_path / "bin" / "earmark"
    earmark.parent.mkdir()
    earmark.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m earmark.pipeline.cli "$@"\n')
    earmark.chmod(0o755)
    (tmp_path / "calls.jsonl").touch()
    (tmp_path / "models" / "tiny").mkdir(parents=True)
    return tmp_path


def environment(folder):
    return {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "TERM": "xterm", "HOME": str(folder)}


def offered(folder, *lines):
    """Return the suggestions of bash at the end of each line."""
    ended = subprocess.run(
        ["bash", "-c", ASK],
        input="".join(f"{line}\n" for line in lines),
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=True,
        timeout=ANSWER_S * len(lines),
    )
    return [[word.strip() for word in line.split("\t") if word] for line in ended.stdout.splitlines()]


def test_commands_options_and_files_are_completed(folder):
    annotate = "earmark annotate calls.jsonl labels"
    lines = ("earmark anno", "earmark completion ", "earmark annotate cal", f"{annotate} --bat", f"{annotate} --limit ")
    assert offered(folder, *lines) == [
        ["annotate"],
        ["bash", "zsh", "fish"],
        ["calls.jsonl"],
        ["--batch_s"],
        [],
    ]


@pytest.mark.process
def test_values_of_options_are_completed_within_lists_and_after_a_task(folder):
    annotate = "earmark annotate calls.jsonl labels"
    lines = (
        f"{annotate} --task ",
        f"{annotate} --task transcribe,cap",
        f"{annotate} --task=transcribe,cap",
        f"{annotate} --model Qwen/Qwen2-Audio-7B,transcribe=whis",
        f"{annotate} --model models/t",
        f"{annotate} --device ",
        "earmark evaluate labels --normalizer ",
        "earmark benchmark vocal",
    )
    assert offered(folder, *lines) == [
        [task.name for task in BUILT_IN],
        ["transcribe,caption"],
        ["transcribe,caption"],
        ["whisper-tiny.en"],  # bash has a word end at each "="
        ["models/tiny/"],
        ["auto", "cpu", "cuda"],
        list(NORMALIZERS),
        ["vocalsound-test"],
    ]


@pytest.mark.process
@pytest.mark.parametrize("shell", SHELLS)
def test_tab_in_a_terminal_completes(shell, folder):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    flags, first = SHELLS[shell]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execvpe(shell, [shell, *flags], environment(folder))
    with contextlib.closing(os.fdopen(terminal, "r+b", buffering=0)) as keyboard:
        keyboard.write(f"{first}; echo rea''dy\r".encode())
        until(keyboard.fileno(), "ready")
        keyboard.write(b"earmark annotate calls.jsonl labels --task transc\t")
        until(keyboard.fileno(), "--task transcribe")
    os.waitpid(child, 0)


def until(terminal, expected):
    """Read the output of a terminal until the expected text appears."""
    output = b""
    end = time.monotonic() + ANSWER_S
    while expected not in output.decode(errors="replace"):
        ready, _, _ = select.select([terminal], [], [], end - time.monotonic())
        assert ready, f"{expected!r} did not come: {output!r}"
        output += os.read(terminal, 4096)


@pytest.mark.process
def test_the_script_of_every_shell_calls_earmark(folder):
    for shell in SHELLS:
        command = [folder / "bin" / "earmark", "completion", shell]
        ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=ANSWER_S)
        assert "_ARGCOMPLETE" in ended.stdout
        assert ended.stderr == ""


def test_the_completed_models_are_the_named_ones():
    assert tuple(PACKAGED) == PACKAGED_NAMES
    assert all(HUB_ID.fullmatch(id) for id in HUB_IDS)

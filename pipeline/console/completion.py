"""Shell completion of commands, options and the names that options take.

At each TAB the shell runs `earmark`, so the suggestions are those of the installed version. Imports nothing heavy.
"""

import argparse
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from earmark.pipeline.console.parser import Commands, commands_of
from earmark.schemas.job import COMPUTE_TYPES, DEVICES
from earmark.schemas.manifest import COLUMNS
from earmark.schemas.tasks import BUILT_IN, LANGUAGE_NAMES

SHELLS = ("bash", "zsh", "fish")
EXAMPLES = """\
bash, in ~/.bashrc:       eval "$(earmark completion bash)"
zsh, in ~/.zshrc:         eval "$(earmark completion zsh)"     after compinit
fish, once:               earmark completion fish > ~/.config/fish/completions/earmark.fish"""


def add_completion_command(commands: Commands) -> None:
    """Add the subcommand to the parser of `earmark`."""
    command = commands.add_parser(
        "completion",
        help="print a shell completion script",
        description="Print a script that lets the shell complete commands, options, tasks, models and files.",
        epilog=EXAMPLES,
    )
    command.set_defaults(run=_completion, for_beam=False)
    command.add_argument("shell", choices=SHELLS, help="shell to complete in")


def _completion(args: argparse.Namespace, beam_args: Sequence[str]) -> int:
    from argcomplete.shell_integration import shellcode

    print(shellcode(["earmark"], shell=args.shell))
    return 0


def answer_shell(parser: argparse.ArgumentParser) -> None:
    """Answer a completion request of a shell and end the process; do nothing without a request."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    import argcomplete

    for command in commands_of(parser):
        for action in command._actions:
            if action.dest in COMPLETERS:
                action.completer = COMPLETERS[action.dest]  # type: ignore[attr-defined]  # attribute that argcomplete reads
            elif action.type in (int, float):
                action.completer = _nothing  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser, always_complete_options=False)


def _tasks(prefix: str, **unused: Any) -> list[str]:
    return _in_list(prefix, (task.name for task in BUILT_IN))


def _models(prefix: str, **unused: Any) -> list[str]:
    """Suggest model names and folders, also after TASK=."""
    from earmark.model.checkpoints.aliases import KNOWN_MODELS

    entry = prefix.rpartition(",")[2]
    task, equals, name = entry.rpartition("=")
    return _in_list(prefix, (f"{task}{equals}{model}" for model in (*KNOWN_MODELS, *_folders(name))))


def _folders(prefix: str) -> list[str]:
    folder, slash, _ = prefix.rpartition("/")
    parent = Path(f"{folder}{slash}").expanduser()
    if "://" in prefix or not parent.is_dir():
        return []
    return [f"{folder}{slash}{path.name}/" for path in parent.iterdir() if path.is_dir() and path.name[0] != "."]


def _benchmarks(**unused: Any) -> Iterable[str]:
    from earmark.scoring.benchmarks import benchmarks

    return benchmarks()


def _normalizers(**unused: Any) -> Iterable[str]:
    from earmark.scoring.normalizers import NORMALIZERS

    return NORMALIZERS


def _columns(prefix: str, **unused: Any) -> list[str]:
    return _in_list(prefix, (f"{column}=" for column in COLUMNS))


def _nothing(**unused: Any) -> Iterable[str]:
    return ()


def _one_of(names: Iterable[str]) -> Callable[..., Iterable[str]]:
    return lambda **unused: names


def _in_list(prefix: str, names: Iterable[str]) -> list[str]:
    """Put each name after the last comma of the prefix."""
    before, comma, _ = prefix.rpartition(",")
    return [f"{before}{comma}{name}" for name in names]


# Completers of values by the argument's name; all other arguments complete file names.
COMPLETERS: Mapping[str, Callable[..., Iterable[str]]] = {
    "task": _tasks,
    "model": _models,
    "columns": _columns,
    "translate_to": _one_of(LANGUAGE_NAMES),
    "device": _one_of(DEVICES),
    "compute_type": _one_of(COMPUTE_TYPES),
    "normalizer": _normalizers,
    "name": _benchmarks,
}

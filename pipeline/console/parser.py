"""Argument parser and help formatter of the commands, on top of argparse."""

import argparse
import functools
import shutil
from collections.abc import Collection, Sequence
from typing import Any

from earmark.schemas.suggest import suggest

HELP_COLUMN = 24  # column at which help texts begin
WIDEST = 100  # columns; longer lines are hard to read
Commands = Any  # the result of add_subparsers(), whose class in argparse is private


class CommandHelp(argparse.HelpFormatter):
    """Keeps the line breaks of multi-line texts such as examples, and leaves out `hidden` options."""

    def __init__(self, prog: str, hidden: Collection[str] = ()) -> None:
        width = min(shutil.get_terminal_size().columns, WIDEST) - 2
        super().__init__(prog, max_help_position=HELP_COLUMN, width=width)
        self._hidden = hidden

    def add_argument(self, action: argparse.Action) -> None:
        if action.dest not in self._hidden:
            super().add_argument(action)

    def _format_action(self, action: argparse.Action) -> str:
        if isinstance(action, argparse._SubParsersAction):  # the commands alone, without a heading line
            return "".join(map(super()._format_action, action._get_subactions()))
        return super()._format_action(action)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


class CommandParser(argparse.ArgumentParser):
    """A parser without abbreviations that suggests the nearest command or choice for a misspelt one."""

    def __init__(self, *, allow_abbrev: bool = False, **settings: Any) -> None:
        super().__init__(allow_abbrev=allow_abbrev, **{"formatter_class": CommandHelp, **settings})

    def hide(self, names: Collection[str]) -> None:
        """Leave options out of --help, so that it fits a screen, and add --help_all, which shows them all."""
        self.formatter_class = functools.partial(CommandHelp, hidden=names)
        shapes = {"?": "[{}]", "+": "{} …"}
        arguments = (
            shapes.get(str(action.nargs), "{}").format(action.metavar or action.dest)
            for action in self._get_positional_actions()
        )
        self.usage = f"{self.prog} {' '.join(arguments)} [OPTION…]"
        self.add_argument("--help_all", action=_HelpAll, nargs=0, help="show every option and exit")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            remedy = suggest(str(value), choices) or f"; choose from {', '.join(choices)}"
            raise argparse.ArgumentError(action, f"there is no {value!r}{remedy}")


class _HelpAll(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *unused: Any) -> None:
        parser.formatter_class = CommandHelp
        parser.print_help()
        parser.exit()


def commands_of(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """Return the parsers of the subcommands."""
    groups = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return [command for group in groups for command in group.choices.values()]


def options_of(parser: argparse.ArgumentParser) -> list[str]:
    """Return the option strings of a parser, such as --limit."""
    return list(parser._option_string_actions)


def with_underscores(arguments: Sequence[str]) -> list[str]:
    """Spell --batch-s as --batch_s, and so for every option of earmark and Beam."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [*map(_with_underscores, arguments[:end]), *arguments[end:]]


def _with_underscores(argument: str) -> str:
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    no = "--no-" if name.startswith("--no-") else "--"  # argparse spells it --no-timestamps
    return no + name.removeprefix(no).replace("-", "_") + equals + value

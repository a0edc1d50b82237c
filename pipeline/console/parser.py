"""How commands read their arguments and show their help: what argparse lacks."""

import argparse
import functools
import shutil
from collections.abc import Collection, Sequence
from typing import Any

from earmark.schemas.suggest import suggest

HELP_COLUMN = 24  # where explanations of options begin
WIDEST = 100  # columns; longer lines are hard to read
Commands = Any  # argparse has no public name for what add_subparsers() returns


class CommandHelp(argparse.HelpFormatter):
    """Leaves the lines of a text that has several, such as examples, as they are; and leaves out what is `hidden`."""

    def __init__(self, prog: str, hidden: Collection[str] = ()) -> None:
        width = min(shutil.get_terminal_size().columns, WIDEST) - 2
        super().__init__(prog, max_help_position=HELP_COLUMN, width=width)
        self._hidden = hidden

    def add_argument(self, action: argparse.Action) -> None:
        if action.dest not in self._hidden:
            super().add_argument(action)

    def _format_action(self, action: argparse.Action) -> str:
        if isinstance(action, argparse._SubParsersAction):  # the commands alone, without a line for what they are
            return "".join(map(super()._format_action, action._get_subactions()))
        return super()._format_action(action)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


class CommandParser(argparse.ArgumentParser):
    """A parser that takes no abbreviations, and says what was meant where a command or a choice is misspelt."""

    def __init__(self, *, allow_abbrev: bool = False, **settings: Any) -> None:
        super().__init__(allow_abbrev=allow_abbrev, **{"formatter_class": CommandHelp, **settings})

    def hide(self, names: Collection[str]) -> None:
        """Leaves options out of --help, so that it fits a screen, and adds --help_all, which shows them, too."""
        self.formatter_class = functools.partial(CommandHelp, hidden=names)
        shapes = {"?": "[{}]", "+": "{} …"}
        words = (
            shapes.get(str(one.nargs), "{}").format(one.metavar or one.dest) for one in self._get_positional_actions()
        )
        self.usage = f"{self.prog} {' '.join(words)} [OPTION…]"
        self.add_argument("--help_all", action=_HelpAll, nargs=0, help="show every option and exit")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            meant = suggest(str(value), known) or f"; choose from {', '.join(known)}"
            raise argparse.ArgumentError(action, f"there is no {value!r}{meant}")


class _HelpAll(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *unused: Any) -> None:
        parser.formatter_class = CommandHelp
        parser.print_help()
        parser.exit()


def commands_of(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """The parsers of the commands of `earmark`."""
    groups = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return [command for group in groups for command in group.choices.values()]


def options_of(parser: argparse.ArgumentParser) -> list[str]:
    """What it takes, with the hyphens in front."""
    return list(parser._option_string_actions)


def with_underscores(arguments: Sequence[str]) -> list[str]:
    """The arguments with --batch-s spelt --batch_s, as every option of earmark and Beam can be."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [*map(_with_underscores, arguments[:end]), *arguments[end:]]


def _with_underscores(argument: str) -> str:
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    no = "--no-" if name.startswith("--no-") else "--"  # --no-timestamps is how argparse spells it
    return no + name.removeprefix(no).replace("-", "_") + equals + value

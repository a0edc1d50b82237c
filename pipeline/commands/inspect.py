"""`earmark inspect`: its arguments, and what runs it. Imports nothing heavy."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from earmark.pipeline.console.json_output import print_json
from earmark.pipeline.console.parser import Commands

if TYPE_CHECKING:
    from earmark.reporting.inspect.row import Inspection


def add_inspect_command(commands: Commands) -> None:
    """Adds the command to those of `earmark`."""
    inspect = commands.add_parser(
        "inspect",
        help="show all that an output has of one recording, and play it",
        description="Shows one recording: its answers with their confidence, its reference, facts of its audio, where"
        " that came from and what made the answers; or why it failed. On a terminal it plays what the models heard:"
        " the same part and channel.",
        epilog="example: earmark inspect labels vm-saved",
    )
    inspect.set_defaults(run=_inspect, for_beam=False)
    inspect.add_argument("output", help="folder or URL that annotate has written to")
    inspect.add_argument("id", help="of the recording")
    inspect.add_argument("--json", action="store_true", help="print JSON")
    playing = inspect.add_mutually_exclusive_group()
    playing.add_argument(
        "--play", action="store_true", default=None, help="play, also where stdout is no terminal, or fail"
    )
    playing.add_argument("--silent", dest="play", action="store_false", help="do not play")


def _inspect(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """Status 0 for an annotation and for a failure; 1 where playing was asked for and cannot be done."""
    from earmark.pipeline.views.inspect import print_inspection
    from earmark.reporting.inspect.row import inspect_row

    found = inspect_row(known.output, known.id)
    if known.json:
        print_json(found)
    else:
        print_inspection(found)
    sys.stdout.flush()
    wanted = known.play if known.play is not None else sys.stdout.isatty() and not known.json
    problem = _play(found) if wanted else ""
    if problem:
        from earmark.reporting.text.plain_text import visible

        print(visible(f"not played: {problem}"), file=sys.stderr)
    return int(bool(problem and known.play))


def _play(found: "Inspection") -> str:
    """Plays what was heard of a recording; what came in the way, or ""."""
    from earmark.reporting.clip_audio import decode_clip
    from earmark.reporting.inspect.players import PLAYERS, find_player
    from earmark.schemas.errors import JobError, MachineError, RowError
    from earmark.transforms.output.store import OutputStore

    row = found.annotation
    if row is None:
        return "it failed, so nothing was heard"
    player = find_player()
    if player is None:
        names = ", ".join(name for name, *_ in PLAYERS)
        return f"there is no player here (looked for {names}); the audio is {row.source.uri}"
    try:
        wav = decode_clip(row.source, row.audio.duration_s, row.provenance.shape, OutputStore(found.output))
    except RowError as error:
        return error.message
    except (JobError, MachineError) as error:
        return str(error)
    return player.play(wav, row.audio.duration_s)

"""The command `earmark inspect`. Imports nothing heavy at module level."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from earmark.pipeline.console.json_output import print_json
from earmark.pipeline.console.parser import Commands

if TYPE_CHECKING:
    from earmark.reporting.inspect.row import Inspection


def add_inspect_command(commands: Commands) -> None:
    """Add the subcommand to the parser of `earmark`."""
    inspect = commands.add_parser(
        "inspect",
        help="show everything about one recording, and play it",
        description="Show one recording: its answers with their confidence, its reference, its audio properties and"
        " source, and how the answers were made; or why it failed. On a terminal, also play the audio that the models"
        " were given: the same time range and channel.",
        epilog="example: earmark inspect labels vm-saved",
    )
    inspect.set_defaults(run=_inspect, for_beam=False)
    inspect.add_argument("output", help="folder or URL written by annotate")
    inspect.add_argument("id", help="id of the recording")
    inspect.add_argument("--json", action="store_true", help="print JSON")
    playing = inspect.add_mutually_exclusive_group()
    playing.add_argument(
        "--play",
        action="store_true",
        default=None,
        help="play even if stdout is not a terminal; fail if that is impossible",
    )
    playing.add_argument("--silent", dest="play", action="store_false", help="do not play")


def _inspect(args: argparse.Namespace, beam_args: Sequence[str]) -> int:
    """Return 1 only if --play was given and the audio cannot be played; a failed recording is status 0."""
    from earmark.pipeline.views.inspect import print_inspection
    from earmark.reporting.inspect.row import inspect_row

    inspection = inspect_row(args.output, args.id)
    if args.json:
        print_json(inspection)
    else:
        print_inspection(inspection)
    sys.stdout.flush()
    is_played = args.play if args.play is not None else sys.stdout.isatty() and not args.json
    problem = _play(inspection) if is_played else ""
    if problem:
        from earmark.reporting.text.plain_text import visible

        print(visible(f"not played: {problem}"), file=sys.stderr)
    return int(bool(problem and args.play))


def _play(inspection: "Inspection") -> str:
    """Play the annotated part of a recording; return what prevented it, or ""."""
    from earmark.reporting.clip_audio import decode_clip
    from earmark.reporting.inspect.players import PLAYERS, find_player
    from earmark.schemas.errors import JobError, MachineError, RowError
    from earmark.transforms.output.store import OutputStore

    row = inspection.annotation
    if row is None:
        return "the recording failed, so there is no audio to play"
    player = find_player()
    if player is None:
        names = ", ".join(name for name, *_ in PLAYERS)
        return f"no audio player is installed (looked for {names}); the audio is {row.source.uri}"
    try:
        wav = decode_clip(row.source, row.audio.duration_s, row.provenance.shape, OutputStore(inspection.output))
    except RowError as error:
        return error.message
    except (JobError, MachineError) as error:
        return str(error)
    return player.play(wav, row.audio.duration_s)

"""Play a WAV file with a program of this machine."""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

# Tried in this order; each plays a file without a window and ends.
PLAYERS: tuple[tuple[str, ...], ...] = (
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "error"),  # FFmpeg
    ("play", "-q"),  # SoX
    ("aplay", "-q"),  # ALSA
    ("paplay",),  # PulseAudio, PipeWire
    ("afplay",),  # macOS
)
START_S = 30.0  # a player may need this much longer than the audio, to wake its device; beyond that it hangs


@dataclass(frozen=True, slots=True)
class Player:
    """An installed program, and its options before the file."""

    path: str
    options: tuple[str, ...]

    @property
    def name(self) -> str:
        return Path(self.path).name

    def play(self, wav: bytes, duration_s: float) -> str:
        """Play a WAV file and return what went wrong as a sentence, or "". Ctrl-C stops the player alone."""
        with tempfile.NamedTemporaryFile(prefix="earmark-", suffix=".wav") as file:
            file.write(wav)
            file.flush()
            command = [self.path, *self.options, file.name]
            try:
                ended = subprocess.run(
                    command, stdin=subprocess.DEVNULL, capture_output=True, timeout=duration_s + START_S
                )
            except KeyboardInterrupt:
                return ""
            except (OSError, subprocess.TimeoutExpired) as error:
                return f"{self.name} could not play it: {error}"
        messages = ended.stderr.decode(errors="replace").strip().splitlines()
        reason = messages[-1] if messages else f"status {ended.returncode}"
        return f"{self.name} could not play it: {reason}" if ended.returncode else ""


def find_player() -> Player | None:
    """The first of PLAYERS that is on the PATH; None for none."""
    for name, *options in PLAYERS:
        if path := shutil.which(name):
            return Player(path, tuple(options))
    return None

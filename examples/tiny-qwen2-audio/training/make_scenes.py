"""Writes the first 16 held-out clips to examples/scenes, with their manifest.

python examples/tiny-qwen2-audio/training/make_scenes.py
"""

from corpus import make_clip
from evaluate import REPOSITORY, write_clips

SCENES = range(16)


if __name__ == "__main__":
    folder = REPOSITORY / "examples" / "scenes"
    print(
        write_clips(folder, [make_clip("held_out", index) for index in SCENES], SCENES, ("text", "caption", "emotion"))
    )

"""Files named in pages, docstrings and comments exist, and so do the tests and functions named with them."""

import ast
import re
import tokenize

import pytest

from tests.support.doc_blocks import PAGES, ROOT, blocks

FILE = re.compile(r"(?<![\w/.-])((?:[\w.-]+/)+[\w.-]+\.(?:py|sh|yaml|css|j2|md))\b(?:(?:::|: )(\w+))?")
# Files of other projects that are cited as sources, by their first folder.
OTHER_PROJECTS = {
    "CLAP": "https://github.com/microsoft/CLAP",
    "eval_audio": "https://github.com/QwenLM/Qwen2-Audio",
    "lhotse": "https://github.com/lhotse-speech/lhotse",
    "transformers": "https://github.com/huggingface/transformers",
    "whisper": "https://github.com/openai/whisper",
}
# Files that a user makes or that a run writes.
NOT_IN_THE_REPOSITORY = re.compile(r"^(_earmark|out|labels|runs|failures|demo-output|\.venv|\.tools|site)/|[<>…*]")
FOLDERS = ("earmark", "schemas", "model", "transforms", "scoring", "reporting", "pipeline", "benches", "tests", "docs")
SOURCES = sorted(path for folder in (*FOLDERS, "deploy", "examples") for path in (ROOT / folder).rglob("*.py"))


def prose(path):
    """The docstrings and comments of a Python file."""
    text = path.read_text(encoding="utf-8")
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(text)) if isinstance(node, documented)]
    lines = iter(text.splitlines(keepends=True))
    comments = [
        token.string.lstrip("# ")
        for token in tokenize.generate_tokens(lambda: next(lines, ""))
        if token.type == tokenize.COMMENT
    ]
    return "\n".join([*docstrings, " ".join(comments)])


def missing(text, folder, titles=()):
    """The named files that exist neither in the repository nor in `folder`, and named members that their file lacks."""
    for name, member in FILE.findall(text):
        if NOT_IN_THE_REPOSITORY.search(name) or name in titles:
            continue
        path = next((path for path in (ROOT / name, folder / name) if path.exists()), None)
        if path is None and name.partition("/")[0] not in OTHER_PROJECTS:
            yield name
        elif path is not None and member and path.suffix == ".py" and not re.search(rf"\b{member}\b", path.read_text()):
            yield f"{name}: {member}"


@pytest.mark.parametrize("page", PAGES)
def test_files_named_in_a_page_exist(page):
    titles = {block.title for block in blocks(page)}
    text = re.sub(r"https?://\S+|\w+://\S+", "", (ROOT / page).read_text(encoding="utf-8"))
    assert list(missing(text, (ROOT / page).parent, titles)) == []


def test_files_named_in_docstrings_and_comments_exist():
    stale = {
        str(path.relative_to(ROOT)): names
        for path in SOURCES
        if (names := list(missing(re.sub(r"\w+://\S+", "", prose(path)), path.parent)))
    }
    assert stale == {}


def test_a_stale_name_is_detected():
    assert list(missing("in model/no_such_file.py", ROOT)) == ["model/no_such_file.py"]
    assert list(missing("`model/engine.py: no_such_name`", ROOT)) == ["model/engine.py: no_such_name"]
    assert list(missing("in model/engine.py: Engine", ROOT)) == []

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

# Each imports from itself and those before it.
LAYERS = ("schemas", "model", "transforms", "scoring", "reporting", "pipeline")
SOURCES = sorted(path for layer in LAYERS for path in (ROOT / layer).glob("**/*.py"))


def imported_modules(path: Path) -> Iterator[str]:
    """Every module that a file imports, at its top or within its functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield node.module or ""


def imported_packages(path: Path) -> set[str]:
    return {module.partition(".")[0] for module in imported_modules(path)}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_imports_go_one_way(path):
    layer = path.relative_to(ROOT).parts[0]
    later = set(LAYERS[LAYERS.index(layer) + 1 :])
    assert not imported_packages(path) & later


@pytest.mark.parametrize(
    ("layer", "barred"),
    [("schemas", {"apache_beam", "torch"}), ("model", {"apache_beam"})],
)
def test_the_lower_layers_know_nothing_of_what_runs_them(layer, barred):
    for path in (ROOT / layer).glob("**/*.py"):
        assert not imported_packages(path) & barred, path


def test_decoding_children_start_without_beam():
    waiting = [ROOT / "transforms" / name for name in ("decode_recordings.py", "unpack_containers.py")]
    seen = set()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        assert "apache_beam" not in imported_packages(path), path
        modules = (ROOT.joinpath(*module.split(".")) for module in imported_modules(path))
        found = (file for module in modules for file in (module.with_suffix(".py"), module / "__init__.py"))
        waiting += [file for file in found if file.exists() and file not in seen]
    assert len(seen) > 3, "the imports were not followed"

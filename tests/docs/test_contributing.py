"""CONTRIBUTING.md: its map has a line for every package, and its tables name every target of the Makefile."""

import re

from tests.support.paths import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
LINE = re.compile(r"^( *)([\w.-]+)/ {2,}(\S.*)$")
PACKAGES = [
    "earmark",
    "schemas",
    "model",
    "transforms",
    "scoring",
    "reporting",
    "pipeline",
    "tests",
    "benches",
    "deploy",
]


def mapped_folders():
    """The folders of the map, each with its description; a folder is indented below its parent."""
    (block,) = re.findall(r"^```text\n(earmark/.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    parents: list[str] = []
    folders = {}
    for line in block.splitlines():
        match = LINE.match(line)
        assert match, f"not a folder with a description: {line}"
        depth = len(match[1]) // 2
        parents = [*parents[:depth], match[2]]
        folders["/".join(parents)] = match[3]
    return folders


def folders_of_code():
    paths = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {str(path.parent.relative_to(ROOT)) for path in paths}


def test_every_folder_of_the_map_exists():
    assert [folder for folder in mapped_folders() if not (ROOT / folder).is_dir()] == []


def test_every_package_has_its_line():
    folders = folders_of_code()
    mirrors = {folder for folder in folders if folder.startswith("tests/") and folder[len("tests/") :] in folders}
    assert sorted(folders - mirrors - mapped_folders().keys()) == []


def test_ci_runs_the_targets_of_the_table():
    commands = (ROOT / ".ci/run").read_text()
    table = PAGE.partition("`.ci/run` runs these targets")[2].partition("These are run by hand")[0]
    assert set(re.findall(r"^\| `make ([\w-]+)` \|", table, re.MULTILINE)) == set(re.findall(r"test[\w-]*", commands))


def test_every_target_is_described():
    (targets,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [target for target in targets.split() if f"`make {target}`" not in PAGE] == []

"""docs/systems.md lists every system of the published table and every engine, and names existing tests."""

import ast
import csv
import re
from collections import Counter

from earmark.model.families import FAMILIES
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "systems.md").read_text()
PUBLISHED, ALL_ENGINES = PAGE.split("## All engines")


def first_cells(table):
    rows = [line.strip("|").split("|")[0].strip() for line in table.splitlines() if line.startswith("|")]
    return [cell for cell in rows if cell.strip("-") and cell not in ("system", "engine")]


def test_every_system_of_the_published_table_has_one_way_to_run():
    with open(ROOT / "scoring" / "published-results.csv") as file:
        systems = {row["system"] for row in csv.DictReader(file)}
    assert Counter(first_cells(PUBLISHED)) == Counter(dict.fromkeys(systems, 1))


def test_every_row_names_a_test():
    rows = [line for line in PUBLISHED.splitlines() if line.startswith("| ") and "`tests/" not in line]
    assert [row.split("|")[1].strip() for row in rows] == ["system"]


def test_the_named_tests_exist():
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)
    assert len(named) > 25
    for file, test in named:
        functions = {
            node.name for node in ast.parse((ROOT / file).read_text()).body if isinstance(node, ast.FunctionDef)
        }
        assert not test or test in functions, f"{file}::{test}"


def test_every_family_of_checkpoints_is_listed():
    engines = "\n".join(first_cells(ALL_ENGINES)).lower()
    for family in FAMILIES:
        name = family.name.lower()
        assert all(model in engines for model in name.split(", ")), name

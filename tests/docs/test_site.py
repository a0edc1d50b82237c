"""The documentation site: it builds, has no dead links, loads nothing from other hosts, and matches the code."""

import dataclasses
import hashlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from docs.make_reference import reference_pages
from docs.read_sources import STAGES, environment_variables, row_errors
from earmark.pipeline.cli import build_parser
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import BUILT_IN
from earmark.scoring.benchmarks import benchmarks
from tests.support.doc_blocks import PAGES, ROOT

pytestmark = pytest.mark.process

LINK = re.compile(r"\]\((?![a-z]+:)([^)#\s]*)(?:#([^)\s]+))?\)")


def make_docs(*options):
    """Run the command of `make docs` in the environment of the tests, with options."""
    recipe = subprocess.run(
        ["make", "--no-print-directory", "-n", "docs"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    arguments = shlex.split(recipe.splitlines()[-1].partition("/python ")[2])
    assert arguments[:3] == ["-m", "mkdocs", "build"]
    return subprocess.run([sys.executable, *arguments, *options], cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    built = make_docs("--site-dir", str(folder))
    assert built.returncode == 0, built.stderr
    return folder


def test_every_page_is_in_the_site(site):
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} <= {path.stem for path in site.glob("*.html")}
    assert {path.stem for path in (site / "reference").glob("*.html")} == reference_pages().keys()


def test_a_page_loads_nothing_from_another_host(site):
    for page in site.rglob("*.html"):
        text = page.read_text()
        loaded = re.findall(r"<(?:script|img|iframe|link)[^>]*(?:src|href)=\"?(https?:[^\s\">]+)", text)
        assert loaded == [], page


def test_links_between_pages_of_the_site_resolve(site):
    for page in site.rglob("*.html"):
        links = re.findall(r'href="(?!https?:|#)([^"#]+\.html)', page.read_text())
        assert [link for link in links if not (page.parent / link).exists() and page.name != "404.html"] == [], page


def test_a_dead_link_fails_the_build(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("# Here\n\n[file](nowhere.md) and [heading](#nowhere)\n")
    settings = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[0].replace("- docs/", f"- {ROOT}/docs/")
    (tmp_path / "mkdocs.yml").write_text(f"{settings}\n")
    built = make_docs("--config-file", str(tmp_path / "mkdocs.yml"))
    assert built.returncode == 1
    assert "contains a link 'nowhere.md'" in built.stderr
    assert "contains a link '#nowhere'" in built.stderr


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_existing_files_and_headings(page):
    for target, heading in LINK.findall((ROOT / page).read_text()):
        path = Path(os.path.normpath((ROOT / page).parent / target)) if target else ROOT / page
        assert path.is_file(), f"{page}: there is no {target}"
        headings = (
            {_anchor(line) for line in path.read_text().splitlines() if line.startswith("#")} if heading else {""}
        )
        assert heading in headings, f"{page}: {target} has no heading {heading}"


def _anchor(heading):
    return re.sub(r"[^\w -]", "", heading.lstrip("# ").lower()).replace(" ", "-")


def test_the_reference_has_every_option_of_every_command():
    page = reference_pages()["commands"]
    assert "SUPPRESS" not in page
    commands = next(action.choices for action in build_parser()._actions if action.dest == "command")
    for name, command in commands.items():
        section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        for option in command._option_string_actions:
            assert f"`{option}`" in section, (name, option)
    annotate = page.partition("\n## annotate\n")[2].partition("\n## ")[0]
    for field in dataclasses.fields(JobOptions):
        if field.metadata["flag"] and field.default not in ((), "", False):
            default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
            assert re.search(rf"`--{field.name}` \| [\w ,]+ \| `{default}` \|", annotate), field.name


def test_the_reference_has_every_task_benchmark_and_variable():
    pages = reference_pages()
    assert all(f"\n## {task.name}\n" in pages["tasks"] and task.chat_prompt in pages["tasks"] for task in BUILT_IN)
    assert all(f"`{name}`" in pages["benchmarks"] for name in benchmarks())
    assert {"EARMARK_CACHE", "EARMARK_API_KEY", "OPENAI_API_KEY"} <= dict(environment_variables()).keys()
    assert [name for name, about in environment_variables() if not about] == []


def row_error_codes():
    """The error code of each RowError in the sources, as a pattern in which a formatted value matches any word."""
    for package in STAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for code in re.findall(r'\bRowError\(\s*f?"([^"]+)"', path.read_text()):
                yield package, re.sub(r"\{[^}]+\}", r"\\w+", code), path


def test_the_reference_has_every_error_of_the_sources():
    codes = list(row_error_codes())
    assert len(codes) > 40
    errors = row_errors()
    for package, code, path in codes:
        assert any(error.stage == STAGES[package] and re.fullmatch(code, error.error) for error in errors), (path, code)
    assert {"bad_offset", "bad_duration", "bad_id", "not_found", "crashed", "out_of_memory"} <= {
        error.error for error in errors
    }


def test_every_error_of_the_reference_has_a_message_and_a_stage():
    assert all(error.message and error.stage for error in row_errors())


def test_the_license_is_the_complete_apache_2():
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"  # apache.org's LICENSE-2.0.txt


def test_the_citation_follows_the_format_and_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    # The fields that the format's schema 1.2.0 requires, and the optional ones in use.
    assert citation.keys() == {"cff-version", "message", "type", "title", "abstract", "authors", "license", "version"}
    assert (citation["cff-version"], citation["type"], citation["license"]) == ("1.2.0", "software", "Apache-2.0")
    assert citation["authors"] == [{"name": "earmark contributors"}]
    assert re.search(r'version="([^"]+)"', (ROOT / "setup.py").read_text())[1] == citation["version"]
    assert all(isinstance(value, str) for key, value in citation.items() if key != "authors")

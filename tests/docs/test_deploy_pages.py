"""docs/deploy.md and docs/nightly.md: what they tell people to type and to write is right as far as it can be known."""

import json
import re
import shutil
import subprocess
from typing import Any

import pytest

from earmark.pipeline.annotate_from_flags import command_of
from earmark.pipeline.cli import build_parser
from earmark.pipeline.plan.estimate import estimate
from earmark.pipeline.plan.models import planned_models
from earmark.pipeline.plan.tables import read_tables
from earmark.schemas.job import JobOptions
from tests.support.beam_options import beam_parser
from tests.support.paths import ROOT

PAGES = [ROOT / "docs/deploy.md", ROOT / "docs/nightly.md"]


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_shell_commands_are_shell(page):
    found = blocks(page, "bash")
    assert found
    subprocess.run(["bash", "-n"], input="\n".join(found), text=True, check=True)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_shell_commands_do_not_trip_over_their_quotes(page):
    script = "\n".join(blocks(page, "bash"))
    ended = subprocess.run(["shellcheck", "--shell=bash", "-"], input=script, capture_output=True, text=True)
    assert ended.stdout == ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_are_there(page):
    named = set(re.findall(r"\bdeploy/[\w./-]+\w", page.read_text()))
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_settings_of_the_launch_script_are_its_own():
    script = (ROOT / "deploy/dataflow/launch.sh").read_text()
    for name in ("MACHINE", "GPU", "GPU_COUNT", "WORKERS", "MAX_WORKERS", "DISK_GB"):
        assert f"${{{name}:-" in script
        assert f"`{name}`" in PAGES[0].read_text()


def test_parameters_given_to_the_template_are_its_own():
    template = json.loads((ROOT / "deploy/dataflow/metadata.json").read_text())
    known = {parameter["name"] for parameter in template["parameters"]}
    given = set(re.findall(r'--parameters="?(\w+)=', PAGES[0].read_text()))
    assert {"manifest", "output", "sdk_container_image"} <= given <= known


def test_the_nightly_settings_are_options_of_earmark_or_beam():
    settings = json.loads(blocks(PAGES[1], "json")[0])
    values: dict[str, Any] = {"manifest": settings["manifest"], "output": settings["output"], **settings["options"]}
    flags = [
        f"--{name}={one}" for name, value in values.items() for one in (value if isinstance(value, list) else [value])
    ]
    known, rest = build_parser().parse_known_args(command_of(flags))
    assert known.device == "cuda"
    assert beam_parser().parse_known_args(rest)[1] == []


def test_the_pages_name_the_airflow_that_tests_run():
    for package, version in re.findall(r"(apache-airflow[\w-]*)==([\d.]+)", (ROOT / "Makefile").read_text()):
        named = "Airflow" if package == "apache-airflow" else f"`{package}`"
        assert f"{named} {version}" in PAGES[1].read_text()


def test_the_worked_example_uses_the_figures_that_were_measured():
    measured = (ROOT / "BENCHMARKS.md").read_text()
    ((audio_min, work_s, rtfx),) = re.findall(r"RTFx = ([\d.]+) . 60 / ([\d.]+) = (\d+\.\d)", PAGES[0].read_text())
    assert f"({audio_min} min of speech)" in measured
    assert f"| {work_s} |" in measured
    assert float(rtfx) == round(float(audio_min) * 60 / float(work_s), 1)
    assert f"1,000 / {rtfx} = {1000 / float(rtfx):.0f} hours" in PAGES[0].read_text()


def test_the_table_of_costs_is_what_plan_says_of_1000_hours():
    tables = read_tables()
    options = JobOptions(model=("whisper-tiny.en",))
    models = planned_models(options, tables.known.models)
    found = estimate(1000 * 3600.0, 1_000_000, models, options, tables)
    rows = [
        f"| {1000 * 3600 / one.work_s:.1f} | {cost.machine_hours:.0f} | {cost.usd:.0f} USD |"
        for one in found
        if one.work_s is not None
        for cost in one.costs
    ]
    assert rows, "what was measured has a price"
    table = PAGES[0].read_text().partition("## What it costs")[2]
    for row in rows:
        assert row in table
    (price,) = tables.prices.machines
    assert f"at {price.usd_per_hour:.2f} USD an hour, {tables.prices.lost_share:.0%} lost".replace("%", " %") in table
    assert price.source.partition(",")[0] in table
    assert str(price.date) in table


def test_the_pages_name_options_of_plan():
    named = set(re.findall(r"earmark plan (?:[^`]*? )?--(\w+)", PAGES[0].read_text()))
    assert {"measure", "speeds", "prices"} <= named
    build_parser().parse_args(["plan", "m", "--measure=200", "--speeds=f", "--prices=f"])

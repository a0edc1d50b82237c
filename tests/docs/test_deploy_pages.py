"""docs/deploy.md and docs/nightly.md: their commands, options, settings and costs are correct."""

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


@pytest.mark.process
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_shell_commands_parse(page):
    scripts = blocks(page, "bash")
    assert scripts
    subprocess.run(["bash", "-n"], input="\n".join(scripts), text=True, check=True)


@pytest.mark.process
@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_shellcheck_reports_nothing(page):
    script = "\n".join(blocks(page, "bash"))
    ended = subprocess.run(["shellcheck", "--shell=bash", "-"], input=script, capture_output=True, text=True)
    assert ended.stdout == ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_of_deploy_that_a_page_names_exist(page):
    named = set(re.findall(r"\bdeploy/[\w./-]+\w", page.read_text()))
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_launch_script_reads_the_settings_that_the_page_names():
    script = (ROOT / "deploy/dataflow/launch.sh").read_text()
    for name in ("MACHINE", "GPU", "GPU_COUNT", "WORKERS", "MAX_WORKERS", "DISK_GB"):
        assert f"${{{name}:-" in script
        assert f"`{name}`" in PAGES[0].read_text()


def test_the_template_has_the_parameters_that_the_page_gives():
    template = json.loads((ROOT / "deploy/dataflow/metadata.json").read_text())
    names = {parameter["name"] for parameter in template["parameters"]}
    used = set(re.findall(r'--parameters="?(\w+)=', PAGES[0].read_text()))
    assert {"manifest", "output", "sdk_container_image"} <= used <= names


def test_the_nightly_settings_are_options_of_earmark_or_beam():
    settings = json.loads(blocks(PAGES[1], "json")[0])
    values: dict[str, Any] = {"manifest": settings["manifest"], "output": settings["output"], **settings["options"]}
    flags = [
        f"--{name}={item}" for name, value in values.items() for item in (value if isinstance(value, list) else [value])
    ]
    args, beam_args = build_parser().parse_known_args(command_of(flags))
    assert args.device == "cuda"
    assert beam_parser().parse_known_args(beam_args)[1] == []


def test_the_page_names_the_version_of_airflow_that_tests_use():
    for package, version in re.findall(r"(apache-airflow[\w-]*)==([\d.]+)", (ROOT / "Makefile").read_text()):
        named = "Airflow" if package == "apache-airflow" else f"`{package}`"
        assert f"{named} {version}" in PAGES[1].read_text()


def test_the_worked_example_uses_the_figures_of_benchmarks_md():
    measured = (ROOT / "BENCHMARKS.md").read_text()
    ((audio_min, work_s, rtfx),) = re.findall(r"RTFx = ([\d.]+) . 60 / ([\d.]+) = (\d+\.\d)", PAGES[0].read_text())
    assert f"({audio_min} min of speech)" in measured
    assert f"| {work_s} |" in measured
    assert float(rtfx) == round(float(audio_min) * 60 / float(work_s), 1)
    assert f"1,000 / {rtfx} = {1000 / float(rtfx):.0f} hours" in PAGES[0].read_text()


def test_the_table_of_costs_equals_the_estimate_of_plan_for_1000_hours():
    tables = read_tables()
    options = JobOptions(model=("whisper-tiny.en",))
    models = planned_models(options, tables.speed_table.models)
    estimates = estimate(1000 * 3600.0, 1_000_000, models, options, tables)
    rows = [
        f"| {1000 * 3600 / device.work_s:.1f} | {cost.machine_hours:.0f} | {cost.usd:.0f} USD |"
        for device in estimates
        if device.work_s is not None
        for cost in device.costs
    ]
    assert rows, "the measured device has a price"
    table = PAGES[0].read_text().partition("## What it costs")[2]
    for row in rows:
        assert row in table
    (price,) = tables.prices.machines
    assert f"at {price.usd_per_hour:.2f} USD an hour, {tables.prices.lost_share:.0%} lost".replace("%", " %") in table
    assert price.source.partition(",")[0] in table
    assert str(price.date) in table


def test_the_page_names_options_that_plan_has():
    named = set(re.findall(r"earmark plan (?:[^`]*? )?--(\w+)", PAGES[0].read_text()))
    assert {"measure", "speeds", "prices"} <= named
    build_parser().parse_args(["plan", "m", "--measure=200", "--speeds=f", "--prices=f"])

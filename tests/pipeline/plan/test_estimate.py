"""Time and money by exact arithmetic from tables that are given here, and what earmark's own tables must be."""

import datetime
import re

import pytest

from earmark.model.checkpoints.size import ModelSize
from earmark.pipeline.plan.estimate import estimate
from earmark.pipeline.plan.memory import MachineDevice
from earmark.pipeline.plan.models import PlannedModel, planned_models
from earmark.pipeline.plan.tables import Device, KnownModel, Price, PriceTable, Speed, SpeedTable, Tables, read_tables
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from tests.support.paths import ROOT

DAY = datetime.date(2026, 11, 1)
CARD = Device("Card", "cuda", "NVIDIA Card", 24)
OTHER = Device("Other", "cuda", "NVIDIA Other", 80)
PROCESSOR = Device("Processor", "cpu", "ACME", 16, cores=4)
BIG, SMALL = ModelSize("qwen2_audio", 7_000_000_000), ModelSize("whisper-ctranslate2", 39_000_000)
BIG_MODEL = PlannedModel("org/big", ("caption", "emotion"), BIG, "Big")
SMALL_MODEL = PlannedModel("org/small", ("transcribe",), SMALL, "Small")


def speed(model, tasks, rtfx, compute_type="bfloat16", **fields):
    return Speed("Card", model, tasks, compute_type, rtfx, 10.0, "command", "bench_x", DAY, **fields)


def tables(*speeds, prices=()):
    return Tables(SpeedTable((CARD, OTHER, PROCESSOR), (), speeds), PriceTable(0.25, prices))


def on_card(estimates):
    (card,) = [estimate for estimate in estimates if estimate.device == "Card"]
    return card


def test_time_and_money_are_those_of_the_table():
    prices = (Price("one", "Card", 2.0, DAY, "list"), Price("four", "Card", 7.0, DAY, "list", devices=4))
    measured_tables = tables(speed("Big", ("caption", "emotion"), 50.0), prices=prices)
    estimates = estimate(3600.0 * 1000, 360_000, [BIG_MODEL], JobOptions(), measured_tables)
    card = on_card(estimates)
    assert card.work_s == 1000 / 50 * 3600
    assert not card.at_most
    assert [(cost.machine, cost.machine_hours, cost.usd) for cost in card.costs] == [
        ("one", 20.0, 20.0 * 2.0 * 1.25),
        ("four", 5.0, 5.0 * 7.0 * 1.25),
    ]
    assert card.measured == ("bench_x, 2026-11-01",)
    assert [(row.device, row.work_s, row.missing) for row in estimates if row.device != "Card"] == [
        ("Other", None, ("org/big",)),
        ("Processor", None, ("org/big",)),
    ]


def test_times_of_several_models_add_up_unless_one_was_not_measured():
    both = tables(speed("Big", ("caption", "emotion"), 50.0), speed("Small", ("transcribe",), 100.0, "float16"))
    assert on_card(estimate(1000.0, 100, [BIG_MODEL, SMALL_MODEL], JobOptions(), both)).work_s == 1000 / 50 + 1000 / 100
    card = on_card(estimate(1000.0, 100, [BIG_MODEL, SMALL_MODEL], JobOptions(), tables(both.speed_table.speeds[0])))
    assert (card.work_s, card.missing) == (None, ("org/small",))


@pytest.mark.parametrize(
    ("measured", "options", "rtfx", "at_most"),
    [
        ([(("caption", "emotion"), 50), (("caption", "emotion", "transcribe"), 40)], {}, 50, False),
        ([(("caption", "emotion", "transcribe"), 40), (("caption", "emotion", "chat", "analyze"), 30)], {}, 40, True),
        ([(("caption",), 90)], {}, None, False),
        ([(("caption", "emotion"), 50)], {"compute_type": "float32"}, None, False),
        ([(("caption", "emotion"), 50)], {"beam_size": 2}, None, False),
        ([(("caption", "emotion"), 50)], {"timestamps": True}, None, False),
    ],
)
def test_a_figure_counts_where_all_tasks_were_measured_with_the_same_options(measured, options, rtfx, at_most):
    measured_tables = tables(*(speed("Big", tasks, figure) for tasks, figure in measured))
    card = on_card(estimate(1000.0, 100, [BIG_MODEL], JobOptions(**options), measured_tables))
    assert card.work_s == (None if rtfx is None else 1000 / rtfx)
    assert card.at_most == at_most


def test_recordings_of_other_lengths_than_the_measured_ones_are_noted():
    measured_tables = tables(speed("Big", ("caption", "emotion"), 50.0))
    assert on_card(estimate(1900.0, 100, [BIG_MODEL], JobOptions(), measured_tables)).notes == ()
    (note,) = on_card(estimate(2100.0, 100, [BIG_MODEL], JobOptions(), measured_tables)).notes
    assert note == "Big was measured on recordings of 10 s; these have 21 s on average"
    assert len(on_card(estimate(400.0, 100, [BIG_MODEL], JobOptions(), measured_tables)).notes) == 1


def test_without_hours_or_models_there_is_no_figure():
    measured_tables = tables(speed("Big", ("caption", "emotion"), 50.0))
    unknown = on_card(estimate(None, 100, [BIG_MODEL], JobOptions(), measured_tables))
    assert (unknown.work_s, unknown.missing) == (None, ())
    assert estimate(1000.0, 100, [], JobOptions(), measured_tables) == ()


def test_the_device_of_this_machine_is_marked():
    devices = [MachineDevice("ACME Xtreme 9", "cpu", 15.5, cores=4)]
    estimates = estimate(1000.0, 100, [BIG_MODEL], JobOptions(), tables(), devices)
    assert [row.device for row in estimates if row.here] == ["Processor"]
    assert not any(
        row.here for row in estimate(1.0, 1, [BIG_MODEL], JobOptions(), tables(), [MachineDevice("ACME", "cpu", 9, 2)])
    )


def test_a_model_of_the_table_is_recognized_by_its_size_or_its_name():
    table = read_tables().speed_table.models
    (tiny,) = planned_models(JobOptions(model=("whisper-tiny.en",)), table)
    assert (tiny.shape, tiny.size and tiny.size.parameters) == ("Whisper tiny.en", 37_764_873)
    (big,) = planned_models(JobOptions(task=("caption",), model=("Qwen/Qwen2-Audio-7B-Instruct@abc123",)), table)
    assert (big.shape, big.unknown) == ("Qwen2-Audio 7B", "")
    (small,) = planned_models(JobOptions(model=(str(ROOT / "examples/tiny-qwen2-audio"),)), table)
    assert (small.shape, small.size and small.size.parameters) == ("", 1_732_224)
    (elsewhere,) = planned_models(JobOptions(model=("http://host/v1/chat/completions#m",)), table)
    assert (elsewhere.size, elsewhere.elsewhere) == (None, True)
    (nowhere,) = planned_models(JobOptions(model=("nobody/nothing",)), [KnownModel("x", "y", 1)])
    assert nowhere.unknown == "not on this machine, and a plan fetches nothing"


def test_a_table_of_the_users_goes_before_earmarks(tmp_path):
    own = tmp_path / "speeds.yaml"
    own.write_text(
        "devices: [{name: Mine, kind: cuda, called: NVIDIA Mine, memory_gb: 48}]\n"
        "speeds: [{device: Mine, model: Whisper tiny.en, tasks: [transcribe], compute_type: float16, rtfx: 900,"
        " recording_s: 5, measured: command, bench: ours, date: 2026-11-20}]\n"
    )
    prices = tmp_path / "prices.yaml"
    prices.write_text(
        "lost_share: 0\nmachines: [{machine: m, device: Mine, usd_per_hour: 3, date: 2026-11-20, source: invoice}]\n"
    )
    users = read_tables(str(own), str(prices))
    models = planned_models(JobOptions(model=("whisper-tiny.en",)), users.speed_table.models)
    first, *rows = estimate(3600 * 900.0, 600_000, models, JobOptions(), users)
    assert (first.device, first.work_s, first.costs[0].usd) == ("Mine", 3600.0, 3.0)
    assert [row.device for row in rows] == [device.name for device in read_tables().speed_table.devices]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("speeds: [{device: Moon}]", r"--speeds=.*: speeds\.0\.\w+: "),
        ("devices: [{name: x, kind: cuda, called: y, memory_gb: 1, colour: red}]", r"devices\.0\.colour"),
        ("devices: [", "is not YAML"),
        (
            "speeds: [{device: Moon, model: Whisper tiny.en, tasks: [caption], compute_type: float32, rtfx: 1,"
            " recording_s: 1, measured: engine, bench: b, date: 2026-01-01}]",
            "there is no device 'Moon'",
        ),
    ],
)
def test_a_table_that_cannot_be_read_is_one_line(tmp_path, text, message):
    path = tmp_path / "speeds.yaml"
    path.write_text(text)
    with pytest.raises(JobError, match=message):
        read_tables(str(path))
    with pytest.raises(JobError, match=r"--prices=.* cannot be read"):
        read_tables(prices=str(tmp_path / "none.yaml"))


def test_earmarks_own_figures_are_in_benchmarks_md():
    """Each figure of the table is on a page that names its bench, its date and its figure."""
    page = (ROOT / "BENCHMARKS.md").read_text()
    for entry in read_tables().speed_table.speeds:
        parts = page.split("\n## ")
        section = "".join(part for part in parts if re.search(rf"`{entry.bench}\b", part.splitlines()[0]))
        assert str(entry.date) in page
        if entry.bench == "bench_pipeline":  # from the seconds that the page gives
            minutes, work_s, load_s, imports_s = re.search(
                r"\(([\d.]+) min of speech\).*model load \(([\d.]+)\) and imports \(([\d.]+)\) apart \| ([\d.]+)",
                section,
                re.DOTALL,
            ).group(1, 4, 2, 3)
            assert entry.rtfx == round(float(minutes) * 60 / float(work_s), 1)
            assert entry.start_s == pytest.approx(float(load_s) + float(imports_s))
        else:
            assert re.search(rf"\| {re.escape(f'{entry.rtfx:.1f}')} \|", section), entry

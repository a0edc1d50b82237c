"""`earmark report` without a browser: its figures, the rows it selects, and that no text becomes markup."""

import json
from html.parser import HTMLParser

import numpy as np
import pandas
import pytest

from earmark.pipeline.cli import main
from earmark.reporting.part_tables import part_tables
from earmark.reporting.report.figures import columns_of
from earmark.reporting.report.options import ReportOptions
from earmark.reporting.report.report import make_report, write_report
from earmark.reporting.report.select_rows import RowSelector
from earmark.schemas.errors import JobError
from earmark.scoring.answers import open_output
from earmark.scoring.evaluate import evaluate
from earmark.scoring.options import EvaluateOptions
from tests.support.outputs.builder import Row, write_output
from tests.support.outputs.report_rows import HOSTILE, TASKS, random_rows, write_hostile_output
from tests.support.outputs.run_info import write_run_info


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("output")
    failed = [Row(f"x{number}", None) for number in range(8)]
    write_output(folder, random_rows() + failed, rows_a_part=23, task=TASKS)
    return folder


@pytest.fixture(scope="module")
def table(folder):
    return pandas.read_parquet(folder / "annotations")


def report_of(folder, **options):
    return make_report(open_output(str(folder)), ReportOptions(**options))


def test_totals_equal_those_of_pandas(folder, table):
    figures = report_of(folder).figures
    assert figures.annotated == len(table) == 300
    assert figures.audio_s == pytest.approx(table["audio"].str["duration_s"].sum())
    flagged = table["transcribe"].str["flags"].str.len() + table["caption"].str["flags"].str.len() > 0
    assert figures.flagged == flagged.sum() > 0


def test_distributions_equal_those_of_pandas(folder, table):
    duration_s = table["audio"].str["duration_s"]
    texts = table["transcribe"].str["text"]
    expected = {
        "Duration": duration_s,
        "Speech ratio": table["audio"].str["speech_ratio"],
        "Loudness (RMS)": table["audio"].str["rms_dbfs"],
        "Bandwidth": table["audio"].str["bandwidth_hz"],
        "transcribe: characters per second": texts.str.len() / duration_s,
        "transcribe: confidence": np.exp(table["transcribe"].str["avg_logprob"]),
        "caption: confidence": np.exp(table["caption"].str["avg_logprob"]),
        "emotion: confidence": table["emotion"].str["score"],
    }
    distributions = {numbers.scale.title: numbers for numbers in report_of(folder).figures.distributions}
    assert distributions.pop("Signal-to-noise ratio").rows == 0, "these rows have none"
    assert distributions.keys() == expected.keys()
    for title, values in expected.items():
        assert_same(distributions[title], values.to_numpy(np.float64))


def assert_same(numbers, values):
    edges = numbers.scale.edges
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    assert numbers.counts == tuple(counts), numbers.scale.title
    assert (numbers.rows, sum(numbers.counts)) == (len(values), len(values))
    assert (numbers.mean, numbers.low, numbers.high) == pytest.approx((values.mean(), values.min(), values.max()))


def test_shares_equal_those_of_pandas(folder, table):
    shares = {values.title: dict(values.counts) for values in report_of(folder).figures.shares}
    assert shares["emotion"] == table["emotion"].str["label"].value_counts().to_dict()
    assert shares["transcribe: language"] == table["transcribe"].str["language"].value_counts().to_dict()
    assert shares["transcribe: flags"] == table["transcribe"].str["flags"].explode().value_counts().to_dict()


def test_figures_do_not_depend_on_the_selected_rows(folder):
    few, many = report_of(folder, rows=3), report_of(folder, rows=500)
    assert few.figures == many.figures
    assert (len(few.rows), len(many.rows)) == (3, 300)


def test_failures_are_grouped_by_cause_with_examples(folder):
    (cause,) = report_of(folder).failures
    assert (cause.stage, cause.error, cause.count) == ("DecodeAudio", "not_found", 8)
    assert [failure.id for failure in cause.examples] == ["x0", "x1", "x2", "x3", "x4"]


def test_a_recording_that_failed_and_was_annotated_later_is_not_a_failure(tmp_path):
    write_output(tmp_path, [Row("a", None), Row("b", None), Row("c", {"transcribe": "hi"})], task=("transcribe",))
    write_output(tmp_path, [Row("a", {"transcribe": "now"})], task=("transcribe",))
    (cause,) = report_of(tmp_path).failures
    assert [failure.id for failure in cause.examples] == ["b"]


def test_an_output_in_which_all_failed_has_a_report(tmp_path):
    write_output(tmp_path, [Row("a", None)], task=("transcribe",))
    summary = write_report(str(tmp_path), ReportOptions())
    assert (summary.annotated, summary.failed, summary.rows) == (0, 1, 0)


def test_flagged_and_least_confident_rows_come_first(folder, table):
    rows = report_of(folder, rows=100).rows
    reasons = [row.reason for row in rows]
    assert reasons == sorted(reasons, key=["far from its reference", "flagged", "least confident", "random"].index)
    flagged = [row for row in rows if row.reason == "flagged"]
    assert flagged and all(row.flags for row in flagged)
    assert [row.flags for row in flagged] == sorted((row.flags for row in flagged), reverse=True)
    assert sum(row.reason == "random" for row in rows) == 50
    assert len({row.id for row in rows}) == 100


def test_the_least_confident_rows_come_from_the_whole_output(tmp_path):
    rows = [Row(f"r{n}", {"emotion": "joy"}, score=0.2 + 0.001 * ((n * 37) % 500)) for n in range(500)]
    write_output(tmp_path, rows, rows_a_part=16, task=("emotion",))
    least = sorted(rows, key=lambda row: row.score)[:10]
    first = report_of(tmp_path, rows=20).rows[:10]
    assert [row.id for row in first] == [row.id for row in least]


def test_the_selection_does_not_depend_on_how_the_parts_are_cut(tmp_path):
    rows = random_rows()
    selections = []
    for rows_a_part in (7, 300):
        write_output(tmp_path / str(rows_a_part), rows, rows_a_part, task=TASKS)
        selections.append([(row.id, row.reason) for row in report_of(tmp_path / str(rows_a_part), rows=40).rows])
    assert selections[0] == selections[1]


def test_pinned_rows_come_before_all_others(folder):
    output = open_output(str(folder))
    selector = RowSelector(output.tasks, 4, ["r0123", "r0007"])
    paths = output.store.parts()
    for part, _ in part_tables(output.store, paths, columns_of(output.tasks)):
        selector.add(part)
    first = selector.selected()[:2]
    assert [row.reason for row in first] == ["far from its reference"] * 2
    ids = [output.store.read_part(paths[row.part])[0][row.row] for row in first]
    assert set(ids) == {"r0123", "r0007"}


def test_word_errors_are_those_of_evaluate(folder):
    report = report_of(folder, rows=500)
    evaluation = evaluate(str(folder), EvaluateOptions(worst=400))
    bad = {row.id: row.badness for row in evaluation.task("transcribe").worst if not row.failed}
    assert {row.id: row.wer for row in report.rows if row.wer} == pytest.approx(bad, abs=1e-4)
    assert report.evaluation.task("transcribe").figure("wer") == evaluation.task("transcribe").figure("wer")


def test_a_report_without_scores_has_the_reason_and_everything_else(tmp_path):
    write_output(tmp_path, [Row("a", {"emotion": "joy"}, reference="not a label")], task=("emotion",))
    report = report_of(tmp_path)
    assert report.evaluation is None and "no reference is one of its labels" in report.scoring_error
    write_report(str(tmp_path), ReportOptions(audio="none"))
    assert "no reference is one of its labels" in (tmp_path / "report.html").read_text()


class Page(HTMLParser):
    """Elements of a page as a browser parses them: tags with attributes, contents of scripts, and texts."""

    def __init__(self, path):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.texts: list[str] = []
        self._in_script = False
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._in_script = False

    def handle_data(self, data):
        if self._in_script:
            self.scripts[-1] += data
        else:
            self.texts.append(data)

    def json(self, id):
        scripts = [attributes for tag, attributes in self.tags if tag == "script"]
        (number,) = [number for number, attributes in enumerate(scripts) if attributes.get("id") == id]
        return list(json.loads(self.scripts[number]))


def test_texts_never_become_markup(tmp_path):
    write_hostile_output(tmp_path)
    plain = tmp_path / "plain"
    write_output(plain, [Row("a", dict.fromkeys(TASKS, "joy") | {"vocal_sound": "Sigh"}, "b")], task=TASKS)
    write_report(str(tmp_path), ReportOptions(to=str(tmp_path / "page.html"), clips=0))
    write_report(str(plain), ReportOptions(to=str(tmp_path / "plain.html"), clips=0))
    page, usual = Page(tmp_path / "page.html"), Page(tmp_path / "plain.html")
    kinds = [attributes.get("type") for tag, attributes in page.tags if tag == "script"]
    assert kinds == [attributes.get("type") for tag, attributes in usual.tags if tag == "script"]
    assert kinds.count(None) == 1 and "alert(" not in page.scripts[kinds.index(None)]
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    rows = page.json("rows")
    assert {row["reference"] for row in rows} == set(HOSTILE)
    visible_text = "".join(page.texts)
    for text in HOSTILE[:4]:
        assert f"failed {text}" in visible_text


def test_a_local_model_is_shown_by_the_name_of_its_folder(tmp_path):
    store = write_output(tmp_path, [Row("a", {"transcribe": "joy"}, "b")])
    job = tmp_path / "_earmark" / "job.json"
    content = json.loads(job.read_text())
    content["tasks"][0]["model"] = "sha256:0123"
    job.write_text(json.dumps(content))
    write_run_info(store, model=["models/my-whisper"])
    write_report(str(tmp_path), ReportOptions(clips=0))
    texts = Page(tmp_path / "report.html").texts
    assert "my-whisper" in texts and "sha256:0123" in texts


def test_the_page_allows_its_own_script_and_nothing_else(folder, tmp_path):
    write_report(str(folder), ReportOptions(to=str(tmp_path / "page.html"), audio="none"))
    page = Page(tmp_path / "page.html")
    (policy,) = [a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv")]
    assert policy and "default-src 'none'" in policy and "script-src 'sha256-" in policy
    assert "http" not in policy and "unsafe-eval" not in policy
    addresses = [a.get(name) for _, a in page.tags for name in ("src", "href", "xlink:href") if a.get(name)]
    assert all(str(address).startswith(("#", "data:")) for address in addresses)


def test_json_on_stdout_has_the_path_and_the_counts(folder, capfd):
    assert main(["report", str(folder), "--json", "--rows", "10", "--audio", "none"]) == 0
    written = json.loads(capfd.readouterr().out)
    assert written["path"] == str(folder / "report.html")
    assert (written["annotated"], written["failed"], written["rows"], written["clips"]) == (300, 8, 10, 0)
    assert written["size_bytes"] == (folder / "report.html").stat().st_size


def test_a_page_in_the_output_is_not_counted_as_a_part(folder):
    write_report(str(folder), ReportOptions(audio="none"))
    assert report_of(folder).figures.annotated == 300


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to": "manifest.jsonl"}, "--to=manifest.jsonl does not work"),
        ({"rows": 0}, "--rows=0 does not work: give 1 or more"),
        ({"clips": -1}, "--clips=-1 does not work"),
        ({"audio": "all"}, "--audio=all does not work: choose from embed, link, none"),
        ({"to": "/proc/no/page.html"}, "--to=/proc/no/page.html cannot be written"),
    ],
)
def test_options_that_make_no_sense_are_refused(folder, options, message):
    with pytest.raises(JobError, match=message):
        write_report(str(folder), ReportOptions(**{"audio": "none", **options}))


def test_a_folder_that_is_not_an_output_is_refused(tmp_path):
    with pytest.raises(JobError, match="is not an output of earmark"):
        write_report(str(tmp_path), ReportOptions())


def test_an_empty_output_is_refused(tmp_path):
    write_output(tmp_path, [], task=("transcribe",))
    with pytest.raises(JobError, match="no annotations and no failures yet"):
        write_report(str(tmp_path), ReportOptions())


def test_a_damaged_part_is_named(tmp_path):
    store = write_output(tmp_path, [Row("a", {"transcribe": "hi"})], task=("transcribe",))
    store.create("annotations/zz/part-zz.parquet", b"PAR1 not a part")
    with pytest.raises(JobError, match=r"part-zz\.parquet is not a part that earmark wrote"):
        write_report(str(tmp_path), ReportOptions())

"""The dataset card: its content, its code, which runs as printed, and that it never fails a run."""

import json
import re

import duckdb
import fsspec
import pandas
import pytest

from earmark.pipeline.annotate import annotate
from earmark.pipeline.cli import main
from earmark.pipeline.compact import compact_store
from earmark.reporting.card.dataset_card import MARK, license_of, write_card
from earmark.reporting.part_figures import STORED_PATH
from earmark.reporting.text.markdown import as_text
from earmark.schemas.job import JobOptions
from earmark.transforms.output.store import OutputStore
from tests.support.jobs import annotations, fake_assignments, write_manifest, write_tones
from tests.support.outputs.cards import code_blocks, metadata_of, run_offline
from tests.support.outputs.export_rows import HOSTILE, TASKS, hostile_rows, write_answered


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cards")
    store = write_answered(folder / "labels", hostile_rows(folder / "audio"))
    assert write_card(store, "cc-by-4.0")
    return folder / "labels"


@pytest.mark.process
@pytest.mark.parametrize("compacted", [False, True])
def test_the_code_of_the_card_loads_every_row(output, tmp_path, compacted):
    if compacted:
        assert compact_store(OutputStore(str(output)), 2**27).merged == 1
    card = (output / "README.md").read_text()
    datasets_code, pandas_code = code_blocks(card, "python")
    print_rows = (
        "print(json.dumps([list(labels['id']), labels[0], list(failures['id']), str(labels.features['embed'])]))"
    )
    ids, first, failed, vector = json.loads(run_offline(datasets_code + print_rows, output.parent, tmp_path))
    assert sorted(ids) == sorted(HOSTILE) and failed == ["<b>|gone"]
    assert {row["id"]: row for row in annotations(output)}[first["id"]]["transcribe"] == first["transcribe"]
    assert first["embed"] == [0.5, -1.0, 0.25] and "length=3" in vector
    variables: dict[str, pandas.DataFrame] = {}
    exec(pandas_code.replace('"labels/', f'"{output.parent}/labels/'), variables)
    assert sorted(variables["labels"]["id"]) == sorted(HOSTILE)
    (query,) = code_blocks(card, "sql")
    rows = duckdb.sql(query.replace("'labels/", f"'{output.parent}/labels/")).fetchall()
    assert sorted(row[0] for row in rows) == sorted(HOSTILE)


@pytest.mark.process
def test_the_parts_load_as_parquet_without_the_card(output, tmp_path):
    code = """
rows = datasets.load_dataset("parquet", data_files="labels/annotations/*/*.parquet", split="train")
by_card = datasets.load_dataset_builder("labels").info.features
print(json.dumps([list(rows["id"]), list(rows.features), rows[0]["embed"], rows[0]["extra"], by_card == rows.features]))
"""
    ids, columns, vector, extra, as_in_card = json.loads(run_offline(code, output.parent, tmp_path))
    assert sorted(ids) == sorted(HOSTILE) and vector == [0.5, -1.0, 0.25]
    assert columns == ["id", "uri", "offset_s", "channel", "reference", "extra", "audio", *TASKS]
    assert extra == [{"key": "=note", "value": ids[0]}]
    assert as_in_card


def test_the_metadata_has_the_fields_that_the_hub_reads(output):
    metadata = metadata_of((output / "README.md").read_text())
    assert (metadata["license"], metadata["language"], metadata["size_categories"]) == ("cc-by-4.0", ["en"], ["n<1K"])
    assert metadata["task_categories"] == [
        "automatic-speech-recognition",
        "audio-text-to-text",
        "audio-classification",
        "feature-extraction",
    ]
    assert [config["config_name"] for config in metadata["configs"]] == ["annotations", "failures"]


def test_the_hubs_own_client_accepts_the_metadata(output):
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(output / "README.md")
    assert card.data.license == "cc-by-4.0" and card.data.pretty_name == "labels"


def test_the_card_has_counts_models_and_prompts(output):
    card = (output / "README.md").read_text()
    assert f"| annotated recordings | {len(HOSTILE)} |" in card
    assert f"| failed recordings | 1 ({1 / (len(HOSTILE) + 1):.2%}) |" in card
    assert "| not\\_found | 1 |" in card
    assert "my-model" in card and "| whisper |" in card and "sha256" in card
    assert "secret" not in card  # folders of local models are not published
    assert "Describe the audio in one sentence." in card
    assert "20260101T000000Z-aaaaaa" in card and "fingerprint" in card


def test_texts_are_escaped():
    assert as_text("<script>|`x`\n# y") == "\\<script\\>\\|\\`x\\` \\# y"
    assert as_text("https://x [a](b)") == "https\\:// x [a](b)".replace(":// x", "://x").replace("[a]", "\\[a\\]")
    assert as_text("x" * 2000).endswith("…")


def test_texts_of_a_hostile_job_stay_texts_in_metadata_and_body(tmp_path):
    question = "a: b\n---\nlicense: mit\n<script>alert(1)</script> | `x` ```\n# head {question}"
    rows = hostile_rows(tmp_path / "audio")[:2]
    folder = tmp_path / "- x: [y] <b>'\"\n#"
    store = write_answered(folder, rows)
    path = folder / "_earmark" / "job.json"
    job = json.loads(path.read_text())
    job["tasks"][1] |= {"chat_prompt": "{question}", "question": question, "model": "m|\n# m"}
    job["tasks"][2]["labels"] = ["<img src=x>", "|"]
    path.write_text(json.dumps(job))
    assert write_card(store)
    card = (folder / "README.md").read_text()
    assert metadata_of(card)["license"] == "unknown" and metadata_of(card)["pretty_name"] == folder.name
    body = card.split(MARK)[1]
    assert not re.search(r"(?<!\\)<(script|img|b)", body)
    assert [line for line in body.splitlines() if line.startswith("#")] == [
        line for line in body.splitlines() if line.startswith(("## ", "# - x"))
    ]
    rows_of_tables = [re.sub(r"\\.", "", line) for line in body.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows_of_tables} == {3, 5}


def assign_listening(options, here):
    """Replace earmark.pipeline.annotate.assign by one whose engine needs no weights."""
    return fake_assignments(options), dict.fromkeys(options.tasks(), "describing")


@pytest.mark.model
def test_every_run_and_compaction_writes_the_card(tmp_path, monkeypatch):
    monkeypatch.setattr("earmark.pipeline.annotate.assign", assign_listening)
    options, path = JobOptions(model=("any",)), tmp_path / "labels" / "README.md"
    rows = write_tones(tmp_path / "audio", 4)
    manifest = write_manifest(tmp_path / "m.jsonl", [*rows[:2], {"audio_filepath": "missing.wav"}])
    assert annotate(str(manifest), str(tmp_path / "labels"), options, []) == 0
    assert "| annotated recordings | 2 |" in path.read_text() and "| not\\_found | 1 |" in path.read_text()
    assert main(["card", str(tmp_path / "labels"), "--license", "other"]) == 0
    assert annotate(str(write_manifest(manifest, rows)), str(tmp_path / "labels"), options, []) == 0
    assert "| annotated recordings | 4 |" in path.read_text() and metadata_of(path.read_text())["license"] == "other"
    path.unlink()
    assert main(["compact", str(tmp_path / "labels")]) == 0
    assert "| annotated recordings | 4 |" in path.read_text()
    assert annotate(str(manifest), str(tmp_path / "labels"), options, []) == 0
    assert len(pandas.read_parquet(tmp_path / "labels" / "annotations")) == 4


def test_a_readme_that_earmark_did_not_write_is_kept(tmp_path, capsys):
    write_answered(tmp_path / "labels", hostile_rows(tmp_path / "audio"))
    (tmp_path / "labels" / "README.md").write_text("mine\n")
    assert main(["compact", str(tmp_path / "labels")]) == 0
    assert "README.md is not by earmark and stays unchanged" in capsys.readouterr().err
    assert main(["card", str(tmp_path / "labels")]) == 1
    assert (tmp_path / "labels" / "README.md").read_text() == "mine\n"


@pytest.mark.parametrize("license", ["a b", "x: y", "\n", "MIT!"])
def test_a_licence_that_is_not_an_id_is_refused(license, capsys):
    assert main(["card", "nowhere", "--license", license]) == 1
    assert "does not work: give an id of the Hub" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "---\n", "---\n[\n---\n", "---\nlicense: [x]\n---\n", "---\n5\n---\n"])
def test_unreadable_metadata_has_no_licence(content):
    assert license_of(content) == "unknown"


def test_parts_are_read_once(tmp_path, monkeypatch):
    store = write_answered(tmp_path / "labels", hostile_rows(tmp_path / "audio"))
    read: list[str] = []
    original = OutputStore.read_columns

    def counting(self, path, columns):
        read.append(path)
        return original(self, path, columns)

    monkeypatch.setattr(OutputStore, "read_columns", counting)
    assert write_card(store)
    first = (tmp_path / "labels" / "README.md").read_text()
    assert sorted(read) == store.parts()
    assert write_card(store)
    assert sorted(read) == store.parts() and (tmp_path / "labels" / "README.md").read_text() == first
    (tmp_path / "labels" / STORED_PATH).write_bytes(b"damaged")
    assert write_card(store) and len(read) == 2 * len(store.parts())


@pytest.mark.process
def test_an_output_without_an_annotation_has_a_card(tmp_path):
    rows = [row for row in hostile_rows(tmp_path / "audio") if row.answers is None]
    store = write_answered(tmp_path / "labels", rows)
    assert write_card(store)
    card = (tmp_path / "labels" / "README.md").read_text()
    (code,) = code_blocks(card, "python")
    assert run_offline(code + "print(len(failures))", tmp_path, tmp_path / "cache").split() == ["1"]


def test_a_folder_that_is_not_an_output_is_refused(tmp_path, capsys):
    assert main(["card", str(tmp_path)]) == 1
    assert "is not an output of earmark" in capsys.readouterr().err
    assert not (tmp_path / "README.md").exists()


def test_an_output_in_a_store_has_a_card(tmp_path):
    store = write_answered("memory://cards/labels", hostile_rows(tmp_path / "audio"))
    assert main(["card", "memory://cards/labels/", "--license", "mit"]) == 0 and write_card(store)
    assert metadata_of(store.read("README.md").decode())["license"] == "mit"
    fsspec.filesystem("memory").rm("/cards", recursive=True)


def test_a_card_that_cannot_be_written_is_a_message_and_fails_no_run(tmp_path, capsys):
    write_answered(tmp_path / "labels", hostile_rows(tmp_path / "audio"))
    (tmp_path / "labels" / "failures" / "failures.parquet").write_bytes(b"damaged")
    assert main(["compact", str(tmp_path / "labels")]) == 0
    printed = capsys.readouterr().err
    assert "no dataset card was written" in printed and "failures.parquet is not a table that earmark wrote" in printed

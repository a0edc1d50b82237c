"""The suggestions for a misspelt command, option, task, model or normalizer."""

from pathlib import Path

import httpx2
import huggingface_hub
import pytest
from huggingface_hub.errors import RepositoryNotFoundError

from earmark.model.checkpoints.checkpoint import find_checkpoint
from earmark.pipeline.cli import main
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.scoring.normalizers import find_normalizer


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["anotate", "m.jsonl", "out"], "there is no 'anotate'; did you mean annotate?"),
        (["sing"], "there is no 'sing'; choose from annotate, plan"),
        (["--versoin"], "there is no option --versoin; did you mean --version?"),
        (["plan", "m.jsonl", "--lmit=3"], "there is no option --lmit; did you mean --limit?"),
        (["completion", "bsh"], "argument shell: there is no 'bsh'; did you mean bash?"),
        (["annotate", "m.jsonl", "out", "--direct-num-worker=1"], "did you mean --direct_num_workers?"),
    ],
)
def test_a_misspelt_argument_gets_a_suggestion(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 2


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"task": ("transcibe",)}, r"did you mean transcribe\?$"),
        ({"device": "cudda"}, r"--device=cudda .* choose from auto, cpu, cuda; did you mean cuda\?$"),
        ({"compute_type": "bfloat61"}, r"; did you mean bfloat16\?$"),
        ({"columns": ("duraton=seconds",)}, r"; did you mean duration\?$"),
    ],
)
def test_a_misspelt_value_gets_a_suggestion(option, message):
    with pytest.raises(JobError, match=message):
        JobOptions(**option).check()


def test_a_misspelt_model_gets_the_nearest_folder_or_name_as_a_suggestion(tmp_path):
    (tmp_path / "models" / "whisper-small").mkdir(parents=True)
    with pytest.raises(JobError, match=r"; did you mean .*/models/whisper-small\?$"):
        find_checkpoint(f"{tmp_path}/models/whisper-smal")
    with pytest.raises(JobError, match=r"; did you mean whisper-tiny\.en\?$"):
        find_checkpoint("whisper-tiny.em")
    with pytest.raises(JobError, match=r"nor an object store's URL$"):
        find_checkpoint(f"{tmp_path}/models/another")


def test_a_hub_id_that_does_not_exist_gets_a_known_one_as_a_suggestion(tmp_path, monkeypatch):
    def refuse(error):
        def fetch(*_, **__):
            raise error

        monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)

    monkeypatch.chdir(tmp_path)
    Path("models", "whisper-small").mkdir(parents=True)
    refuse(RepositoryNotFoundError("404", response=httpx2.Response(404, request=httpx2.Request("GET", "https://hub"))))
    with pytest.raises(JobError, match=r"\(404\); did you mean openai/whisper-large-v3\?$"):
        find_checkpoint("openai/whisper-large-v4")
    refuse(httpx2.ConnectError("no route to host"))  # so there may well be such a model
    with pytest.raises(JobError, match=r"\(no route to host\); is there a folder of it\?$"):
        find_checkpoint("openai/whisper-large-v4")
    with pytest.raises(JobError, match=r"\(no route to host\); did you mean models/whisper-small\?$"):
        find_checkpoint("models/whisper-smal")


def test_a_misspelt_normalizer_gets_a_suggestion():
    with pytest.raises(JobError, match=r"did you mean whisper-english\?$"):
        find_normalizer("whisper-englisch")

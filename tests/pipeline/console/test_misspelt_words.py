"""What a misspelt command, option, task, model … is answered with."""

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
    ("arguments", "words"),
    [
        (["anotate", "m.jsonl", "out"], "there is no 'anotate'; did you mean annotate?"),
        (["sing"], "there is no 'sing'; choose from annotate, plan"),
        (["--versoin"], "there is no option --versoin; did you mean --version?"),
        (["plan", "m.jsonl", "--lmit=3"], "there is no option --lmit; did you mean --limit?"),
        (["completion", "bsh"], "argument shell: there is no 'bsh'; did you mean bash?"),
        (["annotate", "m.jsonl", "out", "--direct-num-worker=1"], "did you mean --direct_num_workers?"),
    ],
)
def test_a_misspelt_word_is_answered_with_what_was_meant(arguments, words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert len(err.splitlines()) == 2


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"task": ("transcibe",)}, r"did you mean transcribe\?$"),
        ({"device": "cudda"}, r"--device=cudda .* choose from auto, cpu, cuda; did you mean cuda\?$"),
        ({"compute_type": "bfloat61"}, r"; did you mean bfloat16\?$"),
        ({"columns": ("duraton=seconds",)}, r"; did you mean duration\?$"),
    ],
)
def test_a_misspelt_value_is_answered_with_what_was_meant(option, words):
    with pytest.raises(JobError, match=words):
        JobOptions(**option).check()


def test_a_misspelt_model_is_answered_with_the_folder_or_the_name_that_was_meant(tmp_path):
    (tmp_path / "models" / "whisper-small").mkdir(parents=True)
    with pytest.raises(JobError, match=r"; did you mean .*/models/whisper-small\?$"):
        find_checkpoint(f"{tmp_path}/models/whisper-smal")
    with pytest.raises(JobError, match=r"; did you mean whisper-tiny\.en\?$"):
        find_checkpoint("whisper-tiny.em")
    with pytest.raises(JobError, match=r"nor an object store's URL$"):
        find_checkpoint(f"{tmp_path}/models/another")


def test_a_hub_id_that_the_hub_does_not_have_is_answered_with_one_that_is_known(tmp_path, monkeypatch):
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


def test_a_misspelt_normalizer_is_answered_with_what_was_meant():
    with pytest.raises(JobError, match=r"did you mean whisper-english\?$"):
        find_normalizer("whisper-englisch")

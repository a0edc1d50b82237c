"""`earmark doctor`: what is sound is ok, what is not has a remedy, no secret is shown, and nothing is left behind."""

import dataclasses
import json
import shutil
import socket
import uuid

import av
import numpy as np
import pytest
from packaging.requirements import Requirement

from earmark.pipeline.cli import main
from earmark.pipeline.doctor import codecs as doctor_codecs
from earmark.pipeline.doctor import machine as doctor_machine
from earmark.pipeline.doctor.check import Check
from earmark.pipeline.doctor.locations import credentials, scratch, without_user, writing
from earmark.pipeline.doctor.report import without_secrets
from earmark.schemas.records import AudioFacts
from earmark.transforms.audio.decode_recordings import DecodedAudio
from earmark.transforms.output.store import OutputStore
from tests.support.audio.players import only_on_path, put_player
from tests.support.bare_home import SECRETS, live_in
from tests.support.jobs import TINY
from tests.support.outputs.builder import Row, write_output


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    live_in(monkeypatch, tmp_path / "home")


@pytest.fixture
def no_network(monkeypatch):
    """Every connection fails."""
    addresses: list[object] = []

    def connect(self, address):
        addresses.append(address)
        raise AssertionError(f"connected to {address}")

    monkeypatch.setattr(socket.socket, "connect", connect)
    return addresses


def doctor(capsys, *arguments, status=0):
    """Return the JSON of the command, by topic and name."""
    assert main(["doctor", *map(str, arguments), "--json"]) == status
    diagnosis = json.loads(capsys.readouterr().out)
    checks = [Check(**check) for check in diagnosis["checks"]]
    assert diagnosis["problems"] == sum(check.status == "problem" for check in checks)
    assert diagnosis["warnings"] == sum(check.status == "warning" for check in checks)
    return {(check.topic, check.name): check for check in checks}


def test_a_working_machine_has_no_problems_and_the_network_is_not_used(tmp_path, capsys, no_network):
    checks = doctor(capsys, tmp_path / "new" / "out", "--model", f"{TINY}")
    assert [check for check in checks.values() if check.status == "problem"] == []
    assert not no_network
    expected = {
        "versions": {"python", "earmark", "apache-beam", "torch", "transformers", "ctranslate2", "pyarrow"},
        "devices": {"cpu", "memory"},
        "codecs": {"wav", "flac", "mp3", "ogg/vorbis", "opus", "m4a/aac", "aac", "webm", "amr", "gsm", "g722"},
        "credentials": {"google", "aws", "hugging face", "served models"},
        "places": {"scratch folder", "output"},
        "model caches": {"hub", "object stores"},
        "model": {str(TINY)},
        "extras": {"s3fs", "sherpa-onnx", "player"},
    }
    for topic, names in expected.items():
        assert names <= {name for of_topic, name in checks if of_topic == topic}
    for name in ("wav", "flac", "mp3", "ogg/vorbis", "opus", "m4a/aac", "webm"):
        assert checks["codecs", name].found == "decoded"
    assert not (tmp_path / "new").exists()


def test_a_person_sees_every_line_with_its_remedy_and_the_count(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["doctor", str(tmp_path / "file" / "out"), "--model", "/nowhere", "--scratch_dir", "/nowhere"]) == 1
    lines = capsys.readouterr().out.splitlines()
    (at,) = (index for index, line in enumerate(lines) if line.startswith("  problem scratch folder: /nowhere: "))
    assert lines[at + 1].strip().startswith("make room or the right to write there, or name another folder")
    assert any(line.startswith(f"  problem output: {tmp_path / 'file' / 'out'} cannot be written") for line in lines)
    assert "  problem /nowhere: there is no such folder, and it is not a hub id or URL" in lines
    assert lines[-1] == "3 problems, 0 warnings"


def test_no_secret_is_shown_as_text_or_json(tmp_path, monkeypatch, capsys):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    key = {"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----0123", "client_email": "who@nowhere"}
    (tmp_path / "google.json").write_text(json.dumps(key))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "google.json"))
    checks = doctor(capsys, f"memory://out-{uuid.uuid4().hex}")
    assert main(["doctor", "--json"]) == 0
    as_json = capsys.readouterr()
    assert main(["doctor"]) == 0
    as_text = capsys.readouterr()
    for text in (as_json.out, as_json.err, as_text.out, as_text.err):
        for secret in (*SECRETS.values(), key["private_key"], key["client_email"]):
            assert secret not in text
    findings = {name: checks["credentials", name].found for name in ("google", "aws", "hugging face", "served models")}
    assert findings == {
        "google": f"GOOGLE_APPLICATION_CREDENTIALS: {tmp_path / 'google.json'}",
        "aws": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set",
        "hugging face": "a token is set",
        "served models": "EARMARK_API_KEY is set",
    }


def test_a_secret_that_a_library_repeats_is_redacted():
    check = Check("places", "output", "problem", "no such key wJalr0123456789?", "ask for wJalr0123456789")
    struck = without_secrets(check, {"AWS_SECRET_ACCESS_KEY": "wJalr0123456789", "A_KEY": "no", "USER": "such"})
    assert (struck.found, struck.remedy) == ("no such key ***?", "ask for ***")
    assert without_user("s3://key:secret@bucket/a?token=1") == "s3://bucket/a"
    assert without_user("/a@b?c") == "/a@b?c"


def test_a_secret_in_the_url_of_an_output_is_not_shown():
    check = writing("nowhere://user:hunter22@host/out")
    assert check.status == "problem" and "hunter22" not in check.found + check.remedy


def of_name(checks, name):
    (match,) = (check for check in checks if check.name == name)
    return match


def test_credentials_that_cannot_work_are_problems(tmp_path, monkeypatch):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA0123456789")
    monkeypatch.setenv("EARMARK_API_KEY", "sk-é")
    checks = list(credentials())
    assert of_name(checks, "google").found == "GOOGLE_APPLICATION_CREDENTIALS names /nowhere.json, which is not a file"
    assert of_name(checks, "aws").found == "AWS_ACCESS_KEY_ID is set, AWS_SECRET_ACCESS_KEY is not"
    assert of_name(checks, "served models").found == "EARMARK_API_KEY holds characters that no key has; set it again"
    assert [check.status for check in checks] == ["problem", "problem", "ok", "problem"]
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert of_name(credentials(), "aws").found == "AWS_PROFILE is work, which no file of AWS's has"


def test_credentials_in_the_files_of_the_stores_own_tools_are_found(tmp_path, monkeypatch):
    home = tmp_path / "home"
    (home / ".aws").mkdir(parents=True)
    (home / ".config" / "gcloud").mkdir(parents=True)
    (home / ".aws" / "credentials").write_text("[default]\naws_secret_access_key = wJalr\n")
    (home / ".aws" / "config").write_text("[profile work]\nsso_start_url = https://x\n")
    (home / ".config" / "gcloud" / "application_default_credentials.json").write_text("{}")
    assert of_name(credentials(), "aws").found == f"profile default in {home}/.aws/credentials"
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert of_name(credentials(), "aws").found == f"profile work in {home}/.aws/config"
    assert of_name(credentials(), "google").found.endswith("/gcloud/application_default_credentials.json")


@pytest.mark.parametrize("kind", ["local", "file", "memory"])
def test_writing_to_an_output_leaves_it_as_it_was(tmp_path, kind):
    root = {
        "local": f"{tmp_path}/a/b/out",
        "file": f"file://{tmp_path}/a/b/out",
        "memory": "memory://" + uuid.uuid4().hex,
    }
    check = writing(root[kind])
    assert (check.status, check.found.rpartition("; ")[2]) == ("ok", "there is no output yet")
    assert list(tmp_path.iterdir()) == []
    store = write_output(root[kind] if kind == "memory" else tmp_path / "a/b/out", [Row("a", {"transcribe": "x"})])
    names = store.names("_earmark")
    assert writing(root[kind]).found.endswith("runs have written there")
    assert OutputStore(store.root).names("_earmark") == names and len(store.parts()) == 1


def test_locations_that_cannot_be_written_are_problems_with_the_reason(tmp_path):
    (tmp_path / "file").write_text("")
    assert "Not a directory" in writing(str(tmp_path / "file" / "out")).found
    assert writing("nowhere://host/out").status == "problem"
    assert scratch(str(tmp_path / "gone")).status == "problem"
    assert scratch(str(tmp_path)).found.startswith(f"{tmp_path}: a file was written and removed")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_scratch_folder_is_a_warning(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert scratch(str(tmp_path)).status == "warning"


def test_a_decoder_with_wrong_output_is_a_problem():
    facts = AudioFacts(1.0, 16_000, 1, "x", -10, -3, 0)
    octave = np.sin(2 * np.pi * 880 * np.arange(16_000) / 16_000).astype(np.float32)
    tone = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000).astype(np.float32)
    assert doctor_codecs._problem(DecodedAudio(tone, "", facts)) == ""
    assert "was decoded as 880 Hz" in doctor_codecs._problem(DecodedAudio(octave, "", facts))
    half = dataclasses.replace(facts, duration_s=0.5)
    assert "were decoded as 0.50 s" in doctor_codecs._problem(DecodedAudio(tone[:8000], "", half))


def test_a_codec_that_cannot_be_tried_or_is_absent_is_reported(monkeypatch):
    real = av.codec.Codec

    def without(name, mode):
        if name in ("libopencore_amrnb", "g722"):
            raise ValueError(name) if mode == "w" or name == "g722" else AssertionError
        return real(name, mode)

    monkeypatch.setattr(av.codec, "Codec", without)
    checks = list(doctor_codecs.codecs())
    assert of_name(checks, "amr").status == "ok"
    assert of_name(checks, "amr").found.startswith("there is a decoder, which was not tried (FFmpeg has no encoder")
    assert (of_name(checks, "g722").status, of_name(checks, "g722").found) == ("warning", "FFmpeg has no decoder g722")
    assert of_name(checks, "g722").remedy


def test_libraries_that_are_absent_or_too_old_are_problems_with_what_to_install():
    absent = doctor_machine._library(Requirement("no-such-package-at-all>=2"))
    assert (absent.status, absent.remedy) == ("problem", "pip install --upgrade 'no-such-package-at-all>=2'")
    old = doctor_machine._library(Requirement("numpy>=99"))
    assert old.status == "problem" and old.found.endswith("earmark needs >=99")


NVIDIA_SMI = """#!/bin/sh
echo "NVIDIA L4, 550.54, 20000"
"""


@pytest.mark.process
def test_a_device_that_torch_does_not_see_is_a_problem(tmp_path, monkeypatch):
    import torch

    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nvidia-smi").write_text(NVIDIA_SMI)
    (tmp_path / "bin" / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    check = of_name(doctor_machine.devices(), "cuda")
    assert (check.status, check.found.partition(";")[0]) == ("problem", "the driver 550.54 has NVIDIA L4")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    check = of_name(doctor_machine.devices(), "cuda")
    assert (check.status, check.remedy) == ("warning", "unset CUDA_VISIBLE_DEVICES")


def test_a_missing_extra_is_a_problem_only_where_a_location_needs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(doctor_machine.EXTRAS, "no-such-package-at-all", "x")
    assert of_name(doctor_machine.extras([]), "no-such-package-at-all").status == "ok"
    real = doctor_machine.importlib.metadata.version

    def without_s3fs(name):
        if name == "s3fs":
            raise doctor_machine.importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(doctor_machine.importlib.metadata, "version", without_s3fs)
    assert of_name(doctor_machine.extras(["gs://x"]), "s3fs").status == "ok"
    needed = of_name(doctor_machine.extras(["s3://x"]), "s3fs")
    assert (needed.status, needed.remedy) == ("problem", "pip install 'earmark[s3]'")
    player = put_player(tmp_path / "bin", "aplay")
    only_on_path(monkeypatch, tmp_path / "bin")
    assert of_name(doctor_machine.extras([]), "player").found == str(player)

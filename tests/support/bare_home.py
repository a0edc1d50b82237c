"""A home folder without credentials, caches or settings, so that a test does not see those of the user."""

from pathlib import Path

import pytest

SECRETS = {
    "EARMARK_API_KEY": "sk-ear-0123456789",
    "OPENAI_API_KEY": "sk-open-0123456789",
    "HF_TOKEN": "hf_0123456789abcdef",
    "AWS_ACCESS_KEY_ID": "AKIA0123456789",
    "AWS_SECRET_ACCESS_KEY": "wJalr0123456789",
    "AWS_SESSION_TOKEN": "session0123456789",
}
SETTINGS = ("AWS_PROFILE", "AWS_CONFIG_FILE", "GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "EARMARK_CACHE")


def live_in(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    for name in (*SECRETS, *SETTINGS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(home / "hub"))

"""Names of served models: URL, protocol and model, and names that are refused."""

import pytest

from earmark.model.served.endpoint import find_endpoint, names_endpoint
from earmark.model.source import find_source
from earmark.schemas.errors import JobError

CHAT = "https://host:8000/some/v1/chat/completions#Qwen/Qwen2-Audio-7B-Instruct"


def test_the_path_names_the_protocol_and_the_fragment_the_model():
    chat = find_endpoint(CHAT)
    assert (chat.protocol, chat.model) == ("chat", "Qwen/Qwen2-Audio-7B-Instruct")
    assert (chat.url, chat.base_url) == ("https://host:8000/some/v1/chat/completions", "https://host:8000/some/v1")
    assert chat.identity == chat.name == CHAT
    transcriber = find_endpoint("http://[::1]:80/v1/audio/transcriptions#a#b")
    assert (transcriber.protocol, transcriber.model, transcriber.base_url) == (
        "transcriptions",
        "a#b",
        "http://[::1]:80/v1",
    )


def test_an_endpoint_is_a_source_and_a_folder_on_a_web_server_is_not():
    assert find_source(CHAT) == find_endpoint(CHAT)
    assert names_endpoint("http://host/v1/chat/completions")
    assert names_endpoint("http://host/v1#model")
    assert not names_endpoint("https://host/models/whisper")
    assert not names_endpoint("gs://bucket/chat/completions")
    assert not names_endpoint("Qwen/Qwen2-Audio-7B-Instruct")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "http://host/v1/chat/completions",
            r"does not name one of the server's models; write http://host/v1/chat/completions#MODEL",
        ),
        ("http://host/v1/chat/completions#", "does not name one of the server's models"),
        (
            "http://host/v1#model",
            r"has no path of a protocol that earmark uses; write http://host:8000/v1/chat/completions#MODEL",
        ),
        ("http:///v1/chat/completions#model", "has no path of a protocol that earmark uses"),
        ("http://host:0/v1/chat/completions#model", "has no path of a protocol that earmark uses"),
        ("http://host:99999/v1/chat/completions#model", "a server that a URL cannot have"),
        ("http://[::/v1/chat/completions#model", "a server that a URL cannot have"),
        (
            "http://me:secret@host/v1/chat/completions#model",
            "leave user, key and query out of the URL; EARMARK_API_KEY",
        ),
        ("http://host/v1/chat/completions?key=secret#model", "leave user, key and query out"),
        ("http://host/v1/chat/completions#model?key=secret", "leave user, key and query out"),
        ("http://host:secret/v1/chat/completions#model", "a server that a URL cannot have"),
    ],
)
def test_a_name_without_an_endpoint_is_refused_and_no_secret_repeated(name, message):
    with pytest.raises(JobError, match=message) as refused:
        find_source(name)
    assert "secret" not in str(refused.value)
    with pytest.raises(JobError, match="--judge"):
        find_endpoint(name, "--judge")

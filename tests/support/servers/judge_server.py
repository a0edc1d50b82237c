"""A chat endpoint on loopback that judges by a rule."""

import contextlib
from collections.abc import Callable, Iterator

from tests.support.servers.json_server import JsonRequests, serving

MODEL = "judge"


class JudgeServer:
    """Attributes:
    prompts: what it was asked, in the order of arrival.
    """

    def __init__(self, port: int):
        self.name = f"http://127.0.0.1:{port}/v1/chat/completions#{MODEL}"
        self.prompts: list[str] = []


@contextlib.contextmanager
def judging(rule: Callable[[str], str]) -> Iterator[JudgeServer]:
    """A server that answers each prompt by the rule."""

    class Requests(JsonRequests):
        def do_GET(self) -> None:  # noqa: N802 (http.server's name)
            self.send_json({"object": "list", "data": [{"id": MODEL, "object": "model"}]})

        def do_POST(self) -> None:  # noqa: N802 (http.server's name)
            (message,) = self.read_json()["messages"]
            server.prompts.append(message["content"])
            reply = {"role": "assistant", "content": rule(message["content"])}
            choice = {"index": 0, "message": reply, "finish_reason": "stop"}
            self.send_json({"object": "chat.completion", "choices": [choice]})

    with serving(Requests) as port:
        server = JudgeServer(port)
        yield server

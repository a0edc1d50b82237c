"""A chat endpoint on loopback that judges by a rule."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send({"object": "list", "data": [{"id": MODEL, "object": "model"}]})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            (message,) = asked["messages"]
            server.prompts.append(message["content"])
            said = {"role": "assistant", "content": rule(message["content"])}
            choice = {"index": 0, "message": said, "finish_reason": "stop"}
            self._send({"object": "chat.completion", "choices": [choice]})

        def _send(self, found: object) -> None:
            body = json.dumps(found).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *unused: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = JudgeServer(http.server_address[1])
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()

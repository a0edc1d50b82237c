"""A judge behind a server with OpenAI's chat completions API."""

from earmark.model.served.client import EndpointClient
from earmark.model.served.endpoint import Endpoint, find_endpoint
from earmark.schemas.errors import JobError
from earmark.scoring.judge import PARALLEL_REQUESTS

# As in the published protocol (score_chat.py). That one samples, at temperatures of 1 and 2; here the judge decodes
# greedily, so that its verdicts are reproducible.
MAX_TOKENS = 1024


class EndpointJudge:
    """Besides RowError, raises MachineError where its server is busy or down, and JobError where it refuses the key."""

    def __init__(self, endpoint: Endpoint, timeout_s: float):
        self.name = endpoint.identity
        self._client = EndpointClient(endpoint, PARALLEL_REQUESTS, timeout_s)

    def check(self) -> None:
        """Raises JobError where the server does not answer, before any paid request."""
        self._client.check(lambda: self.ask("Say yes."))

    def ask(self, prompt: str) -> str:
        return self._client.chat([{"role": "user", "content": prompt}], MAX_TOKENS).text


def find_judge(name: str, timeout_s: float) -> EndpointJudge:
    """The judge of --judge, URL#MODEL, after a test request; `timeout_s` limits each request.

    Raises:
        JobError: The name is invalid, is not a chat endpoint, or does not answer.
    """
    endpoint = find_endpoint(name, "--judge")
    if endpoint.protocol != "chat":
        raise JobError(f"--judge={name} transcribes; a judge reads and writes: name …/v1/chat/completions#MODEL")
    judge = EndpointJudge(endpoint, timeout_s)
    judge.check()
    return judge

"""A judge that is served: any endpoint that speaks OpenAI's chat completions."""

from earmark.model.served.client import EndpointClient
from earmark.model.served.endpoint import Endpoint, find_endpoint
from earmark.schemas.errors import JobError
from earmark.scoring.judge import ASKED_AT_A_TIME

# What the published protocol lets the judge say (score_chat.py). It samples, at temperatures of 1 and 2; here the judge
# answers greedily, so that who asks again hears the same.
MAX_TOKENS = 1024


class EndpointJudge:
    """Raises, beside RowError, MachineError where its server is busy or down and JobError where it is another's."""

    def __init__(self, endpoint: Endpoint, timeout_s: float):
        self.name = endpoint.identity
        self._client = EndpointClient(endpoint, ASKED_AT_A_TIME, timeout_s)

    def check(self) -> None:
        """Raises JobError where nobody answers there, before anything is paid for."""
        self._client.check(lambda: self.ask("Say yes."))

    def ask(self, prompt: str) -> str:
        return self._client.chat([{"role": "user", "content": prompt}], MAX_TOKENS).text


def find_judge(name: str, timeout_s: float) -> EndpointJudge:
    """The judge of --judge, URL#MODEL; it is asked for an answer, and has `timeout_s` for each.

    Raises:
        JobError: it is none.
    """
    endpoint = find_endpoint(name, "--judge")
    if endpoint.protocol != "chat":
        raise JobError(f"--judge={name} transcribes; a judge reads and writes: name …/v1/chat/completions#MODEL")
    judge = EndpointJudge(endpoint, timeout_s)
    judge.check()
    return judge

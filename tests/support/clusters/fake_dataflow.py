"""A Dataflow service on loopback: it takes a job, keeps what it was asked, and runs the staged pipeline in threads."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from tests.support.servers.json_server import JsonRequests, serving

JOB_ID = "2026-11-23_00_00_00-1"


@dataclass
class FakeDataflow:
    """The service; `jobs` are the bodies of the requests that create one, `runs` says whether it runs them at all."""

    port: int = 0
    runs: bool = True
    state: str = "JOB_STATE_PENDING"
    jobs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def flags(self) -> list[str]:
        """Options with which Beam uses this service; it requires the name localhost."""
        return [f"--dataflow_endpoint=http://localhost:{self.port}", "--no_auth"]

    def create(self, job: dict[str, Any]) -> dict[str, Any]:
        self.jobs.append(job)
        if self.runs:
            self.state = "JOB_STATE_RUNNING"
            threading.Thread(target=self._run, args=(staged_pipeline(job),), daemon=True).start()
        else:
            self.state = "JOB_STATE_FAILED"
        return {**self.job(), "clientRequestId": job.get("clientRequestId", "")}

    def job(self) -> dict[str, Any]:
        return {"id": JOB_ID, "name": self.jobs[0]["name"] if self.jobs else "", "currentState": self.state}

    def _run(self, pipeline: beam_runner_api_pb2.Pipeline) -> None:
        for environment in pipeline.components.environments.values():
            environment.Clear()
            environment.urn = python_urns.EMBEDDED_PYTHON
        try:
            FnApiRunner().run_via_runner_api(pipeline, PipelineOptions([])).wait_until_finish()
        except Exception as error:
            print(f"the pipeline that Dataflow was given does not run: {error}")
            self.state = "JOB_STATE_FAILED"
        else:
            self.state = "JOB_STATE_DONE"


def staged_pipeline(job: dict[str, Any]) -> beam_runner_api_pb2.Pipeline:
    """The pipeline that a job's options point to, on the local disk."""
    options = job["environment"]["sdkPipelineOptions"]["options"]
    return beam_runner_api_pb2.Pipeline.FromString(Path(options["pipelineUrl"]).read_bytes())


@contextlib.contextmanager
def fake_dataflow(runs: bool = True) -> Iterator[FakeDataflow]:
    dataflow = FakeDataflow(runs=runs)

    class Requests(JsonRequests):
        def do_GET(self) -> None:  # noqa: N802 (http.server's name)
            if "/messages" in self.path:
                # Beam waits a minute for a failed job's last messages, unless this one comes.
                text = {"messageImportance": "JOB_MESSAGE_BASIC", "time": "2026-11-23T00:00:00Z"}
                over = dataflow.state in ("JOB_STATE_DONE", "JOB_STATE_FAILED")
                self.send_json({"jobMessages": [{**text, "messageText": "Worker pool stopped."}] if over else []})
            elif "/metrics" in self.path:
                self.send_json({})
            elif f"/jobs/{JOB_ID}" in self.path:
                self.send_json(dataflow.job())
            elif "/jobs?" in self.path:
                self.send_json({"jobs": [dataflow.job()] if dataflow.jobs else []})
            else:
                self.send_error(404)

        def do_POST(self) -> None:  # noqa: N802 (http.server's name)
            self.send_json(dataflow.create(self.read_json()))

        def do_PUT(self) -> None:  # noqa: N802 (http.server's name)
            dataflow.state = self.read_json()["requestedState"]
            self.send_json(dataflow.job())

    with serving(Requests) as dataflow.port:
        yield dataflow

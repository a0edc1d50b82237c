"""Speed of the engine for served models against a script around OpenAI's asynchronous client, on the same clips.

    python -m benches.bench_engine_served [CLIPS [ROUNDS]]

Both send the audio inside the requests, to a server on loopback in its own process that takes 50 ms for each request,
with the same number of requests at a time. They alternate, and the best round counts.
"""

import asyncio
import base64
import io
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

import numpy as np
import openai
import soundfile

from earmark.model.served.endpoint import find_endpoint
from earmark.model.source import open_source
from earmark.schemas.errors import RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, Clip
from earmark.schemas.tasks import BUILT_IN
from tests.support.audio.clips import clip_of
from tests.support.servers.misbehaving_server import MODEL, misbehaving_server

REQUEST_S = 0.05
TASKS = [task for task in BUILT_IN if task.name in ("transcribe", "caption")]


def serve(parent: Connection) -> None:
    with misbehaving_server(take_s=REQUEST_S) as server:
        parent.send(server.chat)
        parent.recv()


def make_clips(count: int) -> list[Clip]:
    """Noise with the durations of Common Voice's recordings: lognormal, 5 s on average."""
    random = np.random.default_rng(0)
    seconds = np.clip(random.lognormal(np.log(5) - 0.4**2 / 2, 0.4, count), 1.0, 30.0)
    return [clip_of(0.1 * random.standard_normal(round(16_000 * s), np.float32), str(n)) for n, s in enumerate(seconds)]


def by_script(url: str, clips: Sequence[Clip], concurrency: int) -> list[str]:
    return asyncio.run(_request_all(url.partition("/chat/")[0], clips, concurrency))


async def _request_all(base_url: str, clips: Sequence[Clip], concurrency: int) -> list[str]:
    semaphore = asyncio.Semaphore(concurrency)
    async with openai.AsyncOpenAI(api_key="none", base_url=base_url) as client:

        async def request(clip: Clip, prompt: str) -> str:
            async with semaphore:
                file = io.BytesIO()
                soundfile.write(file, clip.samples, SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
                audio = {"data": base64.b64encode(file.getvalue()).decode(), "format": "wav"}
                content = [{"type": "input_audio", "input_audio": audio}, {"type": "text", "text": prompt}]
                answer = await client.chat.completions.create(
                    model=MODEL, messages=[{"role": "user", "content": content}], max_tokens=256, temperature=0
                )
                return str(answer.choices[0].message.content)

        return await asyncio.gather(*(request(clip, task.chat_prompt) for clip in clips for task in TASKS))


def main(count: int, rounds: int) -> None:
    connection, child_connection = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=[child_connection])
    process.start()
    url, clips, options = connection.recv(), make_clips(count), JobOptions()
    engine = open_source(find_endpoint(url), options)
    best = {"engine": float("inf"), "script": float("inf")}
    for _ in range(rounds):
        start = time.perf_counter()
        answers = engine.annotate(clips, TASKS)
        best["engine"] = min(best["engine"], time.perf_counter() - start)
        start = time.perf_counter()
        texts = by_script(url, clips, options.endpoint_requests)
        best["script"] = min(best["script"], time.perf_counter() - start)
        assert not [answer for answer in answers if isinstance(answer, RowError)] and len(texts) == len(TASKS) * count
    connection.send("end")
    process.join()
    minimum_s = len(TASKS) * count * REQUEST_S / options.endpoint_requests
    print(json.dumps({"speed": best["script"] / best["engine"], "s": best, "least_s": minimum_s, "clips": count}))


if __name__ == "__main__":
    main(*map(int, [*sys.argv[1:], *("100", "3")[len(sys.argv) - 1 :]]))

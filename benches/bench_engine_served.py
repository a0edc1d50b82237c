"""The engine of served models against a script around OpenAI's asynchronous client, on the same clips.

    python -m benches.bench_engine_served [CLIPS [ROUNDS]]

Both ask a server on loopback, in a process of its own, that takes 50 ms for each request, with as many open at once;
both put the audio into the requests themselves. They take turns, and the best of the rounds counts.
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

TAKE_S = 0.05
TASKS = [task for task in BUILT_IN if task.name in ("transcribe", "caption")]


def serve(to: Connection) -> None:
    with misbehaving_server(take_s=TAKE_S) as server:
        to.send(server.chat)
        to.recv()


def make_clips(count: int) -> list[Clip]:
    """Noise, as long as Common Voice's recordings are: lognormal, 5 s on average."""
    random = np.random.default_rng(0)
    seconds = np.clip(random.lognormal(np.log(5) - 0.4**2 / 2, 0.4, count), 1.0, 30.0)
    return [clip_of(0.1 * random.standard_normal(round(16_000 * s), np.float32), str(n)) for n, s in enumerate(seconds)]


def by_script(url: str, clips: Sequence[Clip], at_once: int) -> list[str]:
    return asyncio.run(_ask_all(url.partition("/chat/")[0], clips, at_once))


async def _ask_all(base_url: str, clips: Sequence[Clip], at_once: int) -> list[str]:
    bound = asyncio.Semaphore(at_once)
    async with openai.AsyncOpenAI(api_key="none", base_url=base_url) as client:

        async def ask(clip: Clip, prompt: str) -> str:
            async with bound:
                file = io.BytesIO()
                soundfile.write(file, clip.samples, SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
                audio = {"data": base64.b64encode(file.getvalue()).decode(), "format": "wav"}
                content = [{"type": "input_audio", "input_audio": audio}, {"type": "text", "text": prompt}]
                answer = await client.chat.completions.create(
                    model=MODEL, messages=[{"role": "user", "content": content}], max_tokens=256, temperature=0
                )
                return str(answer.choices[0].message.content)

        return await asyncio.gather(*(ask(clip, task.chat_prompt) for clip in clips for task in TASKS))


def main(count: int, rounds: int) -> None:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=[there])
    process.start()
    url, clips, options = here.recv(), make_clips(count), JobOptions()
    engine = open_source(find_endpoint(url), options)
    best = {"engine": float("inf"), "script": float("inf")}
    for _ in range(rounds):
        began = time.perf_counter()
        answers = engine.annotate(clips, TASKS)
        best["engine"] = min(best["engine"], time.perf_counter() - began)
        began = time.perf_counter()
        said = by_script(url, clips, options.endpoint_requests)
        best["script"] = min(best["script"], time.perf_counter() - began)
        assert not [one for one in answers if isinstance(one, RowError)] and len(said) == len(TASKS) * count
    here.send("end")
    process.join()
    least = len(TASKS) * count * TAKE_S / options.endpoint_requests
    print(json.dumps({"speed": best["script"] / best["engine"], "s": best, "least_s": least, "clips": count}))


if __name__ == "__main__":
    main(*map(int, [*sys.argv[1:], *("100", "3")[len(sys.argv) - 1 :]]))

"""Speed of three tasks from one prefill on chat models, against transformers' `generate` with the same prompts.

    python -m benches.bench_engine_chat [KIND [CLIPS [ROUNDS]]]

Small random weights, float32, one CPU thread; no answer ends before its limit. `generate` runs one task at a time, at
the best of several batch sizes, on clips sorted by length; it generates 4 tokens for emotion, where the engine scores
seven labels. The two sides alternate, and the best round counts.
"""

import functools
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benches.bench_qwen2_audio import make_clips
from earmark.model.audio_chat.engine import AudioChat
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, Clip
from earmark.schemas.tasks import Task
from tests.support.checkpoints import small_audio_models as small
from tests.support.checkpoints.audio_chat_reference import (
    OMNI,
    PREFIX,
    PROCESSOR_ARGS,
    SUFFIX,
    VOXTRAL_AUDIO,
    ChatReference,
)
from tests.support.checkpoints.qwen2_audio_reference import answered, limited

TOKENS = {"transcribe": 15, "caption": 12, "emotion": 4}
BATCHES = (1, 4, 8)
WIDE, DEEP, WIDTHS = 256, 4, ("hidden_size", "d_model", "output_dim", "out_hidden_size")


def task_prompts(kind: str, tasks: Sequence[Task]) -> dict[str, str]:
    """Prompt of each task, with the audio token as the processor expects it."""
    if kind == "voxtral":
        by_task = {task.name: f"{VOXTRAL_AUDIO}{task.chat_prompt}[/INST]" for task in tasks}
        return {**by_task, "transcribe": f"{VOXTRAL_AUDIO}[/INST][TRANSCRIBE]"}
    if kind == "qwen3_asr":
        return {"transcribe": f"<|im_start|>system\n<|im_end|>\n<|im_start|>user\n{small.ASR_AUDIO}{SUFFIX}"}
    audio_token = "".join(OMNI[kind][1:]) if kind in OMNI else "<sound>"
    return {task.name: f"{PREFIX}{audio_token}{task.chat_prompt}{SUFFIX}" for task in tasks}


def inputs(reference: ChatReference, text: str, clips: Sequence[Clip]) -> dict[str, Any]:
    samples = [clip.samples for clip in clips]
    if reference.kind != "voxtral":
        padded = {"text_kwargs": {"padding": True}, **PROCESSOR_ARGS}
        return dict(reference.processor(text=[text] * len(clips), audio=samples, **padded))
    ids = torch.tensor([reference.tokenizer.encode(text, add_special_tokens=False)] * len(clips))
    features = reference.processor._retrieve_input_features(samples, **reference.processor.audio_kwargs)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "input_features": features}


def generate(reference: ChatReference, texts: dict[str, str], clips: Sequence[Clip], batch: int) -> None:
    for name, text in texts.items():
        for start in range(0, len(clips), batch):
            tensors = inputs(reference, text, clips[start : start + batch])
            output = reference.model.generate(
                **tensors, max_new_tokens=TOKENS[name], do_sample=False, eos_token_id=reference.eos_ids
            )
            assert output.shape[1] == tensors["input_ids"].shape[1] + TOKENS[name]
            reference.tokenizer.batch_decode(output[:, -TOKENS[name] :], skip_special_tokens=True)


def main(kind: str, count: int, rounds: int) -> None:
    for sizes in (small.TEXT, small.AUDIO, small.OMNI_AUDIO, small.VISION):
        sizes.update(
            {name: WIDE for name in sizes if name in ("hidden_size", "d_model", "output_dim", "out_hidden_size")}
        )
        sizes.update({name: DEEP for name in sizes if name in ("num_hidden_layers", "encoder_layers")})
    small.TEXT.update(head_dim=64, intermediate_size=4 * WIDE)
    small.SECTIONS[:] = [16, 8, 8]
    tasks = [limited(name, tokens) for name, tokens in TOKENS.items()]
    with tempfile.TemporaryDirectory() as folder:
        small.write_small(kind, Path(folder))
        reference = ChatReference(kind, Path(folder))
        reference.model.lm_head.weight.data[reference.eos_ids] = 0  # a logit of 0 is never the maximum of hundreds
        reference.model.save_pretrained(folder)
        engine = AudioChat(folder, JobOptions(device="cpu", model_threads=1))
    texts = task_prompts(kind, tasks)
    clips = sorted(make_clips(count), key=lambda clip: -len(clip.samples))
    sides = {f"generate_{batch}": functools.partial(generate, reference, texts, clips, batch) for batch in BATCHES}
    sides["engine"] = functools.partial(answered, engine, clips, [task for task in tasks if task.name in texts])
    best = dict.fromkeys(sides, float("inf"))
    for name, run in [*sides.items()] * rounds:
        start = time.perf_counter()
        run()
        best[name] = min(best[name], time.perf_counter() - start)
    speed_up = min(best[name] for name in best if name != "engine") / best["engine"]
    audio_s = sum(len(clip.samples) for clip in clips) / SAMPLE_RATE_HZ
    about = {"parameters": reference.model.num_parameters(), "clips": count, "audio_s": audio_s}
    print(json.dumps({"kind": kind, "speed_up": round(speed_up, 2), "tasks": [*texts], "s": best, **about}))


if __name__ == "__main__":
    kind, count, rounds = [*sys.argv[1:], *("audioflamingo3", "16", "2")[len(sys.argv) - 1 :]]
    main(kind, int(count), int(rounds))

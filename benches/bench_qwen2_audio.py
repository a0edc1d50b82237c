"""Speed of three Qwen2-Audio tasks from one prefill, against each task alone and a script around `generate`.

    python -m benches.bench_qwen2_audio [CLIPS [ROUNDS [small|7b]]]

Random weights, bfloat16 on a GPU; no answer ends before its limit. The script calls transformers' `generate` for one
task at a time, on batches of 8 in the manifest's order, padded by the processor to 30 s; it generates 4 tokens for
emotion, where the engine scores seven labels. Both sides share one replica, alternate, and the best round counts.
"""

import functools
import json
import sys
import tempfile
import time
from collections.abc import Sequence

import numpy as np
import torch
from transformers import AutoProcessor, Qwen2AudioConfig, Qwen2AudioForConditionalGeneration

import earmark.model.qwen2_audio.engine
from earmark.model.qwen2_audio.network import Qwen2AudioModel
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, Clip
from tests.support.audio.clips import clip_of
from tests.support.checkpoints.qwen2_audio_reference import CHAT_HEAD, CHAT_TAIL, TASKS, answered, limited
from tests.support.checkpoints.small_qwen2_audio import write_checkpoint

CUDA = torch.cuda.is_available()
BATCH = 8
PROCESSOR_ARGS = {"sampling_rate": SAMPLE_RATE_HZ, "return_tensors": "pt"}
TOKENS = {"transcribe": 15, "caption": 12, "emotion": 4}
AUDIO = {"d_model": 256, "encoder_layers": 8, "encoder_attention_heads": 4, "encoder_ffn_dim": 1024}
TEXT = {"hidden_size": 512, "num_hidden_layers": 9, "num_attention_heads": 8, "num_key_value_heads": 8}
SIZES = {
    "small": (AUDIO, {**TEXT, "intermediate_size": 1376, "vocab_size": 640}),
    "7b": ({}, {"vocab_size": 156032, "intermediate_size": 11008}),  # transformers' defaults are the 7B model's
}


def make_model(processor, size: str) -> Qwen2AudioForConditionalGeneration:  # type: ignore[no-untyped-def]
    audio_id, eos_id = processor.tokenizer.convert_tokens_to_ids(["<|AUDIO|>", "<|im_end|>"])
    config = Qwen2AudioConfig(audio_config=SIZES[size][0], text_config=SIZES[size][1], audio_token_index=audio_id)
    torch.set_default_dtype(torch.bfloat16 if CUDA else torch.float32)
    with torch.device("cuda" if CUDA else "cpu"):
        network = Qwen2AudioForConditionalGeneration(config).eval()
    torch.set_default_dtype(torch.float32)
    network.lm_head.weight.data[eos_id] = 0  # a logit of 0 is never the maximum of hundreds
    network.generation_config.update(eos_token_id=eos_id, pad_token_id=eos_id, do_sample=False)
    return network


def make_clips(count: int) -> list[Clip]:
    """Noise with the durations of Common Voice's recordings: lognormal, 5 s on average."""
    random = np.random.default_rng(0)
    seconds = np.clip(random.lognormal(np.log(5) - 0.4**2 / 2, 0.4, count), 1.0, 30.0)
    return [clip_of(0.1 * random.standard_normal(round(16_000 * s), np.float32), str(n)) for n, s in enumerate(seconds)]


def generate(network, processor, clips: Sequence[Clip]) -> None:  # type: ignore[no-untyped-def]
    for name, tokens in TOKENS.items():
        text = f"{CHAT_HEAD}{TASKS[name].chat_prompt}{CHAT_TAIL}"
        for start in range(0, len(clips), BATCH):
            audio = [clip.samples for clip in clips[start : start + BATCH]]
            inputs = processor(text=[text] * len(audio), audio=audio, padding=True, **PROCESSOR_ARGS)
            output = network.generate(**inputs.to(network.device, network.dtype), max_new_tokens=tokens)
            assert output.shape[1] == inputs["input_ids"].shape[1] + tokens
            processor.batch_decode(output[:, -tokens:], skip_special_tokens=True)


def main(count: int, rounds: int, size: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        processor = AutoProcessor.from_pretrained(write_checkpoint(folder))
        network = make_model(processor, size)
        replicas = [Qwen2AudioModel(network.eval(), processor.feature_extractor)]
        earmark.model.qwen2_audio.engine.load_models = lambda *_: replicas
        engine = earmark.model.qwen2_audio.engine.Qwen2Audio(folder, JobOptions())
    clips = make_clips(count)
    audio_s = sum(len(clip.samples) for clip in clips) / SAMPLE_RATE_HZ
    tasks = [limited("transcribe", TOKENS["transcribe"]), limited("caption", TOKENS["caption"]), TASKS["emotion"]]
    sides = {task.name: functools.partial(answered, engine, clips, [task]) for task in tasks}
    sides["together"] = functools.partial(answered, engine, clips, tasks)
    sides["generate"] = functools.partial(generate, network, processor, clips)
    best, memory_gb = dict.fromkeys(sides, float("inf")), dict.fromkeys(sides, 0.0)
    for name, run in [*sides.items()] * rounds:
        torch.cuda.reset_peak_memory_stats() if CUDA else None
        start = time.perf_counter()
        run()
        best[name] = min(best[name], time.perf_counter() - start)
        memory_gb[name] = torch.cuda.max_memory_allocated() / 1e9 if CUDA else 0.0
    slowest_s = max(best[name] for name in TOKENS)
    ratios = {"speed_up": best["generate"] / best["together"], "over_slowest_task": best["together"] / slowest_s}
    rtfx = {name: audio_s / seconds for name, seconds in best.items()}
    about = {"parameters": network.num_parameters(), "device": f"{network.device} {network.dtype}", "clips": count}
    print(json.dumps({**ratios, "s": best, "rtfx": rtfx, "gpu_memory_gb": memory_gb, **about, "audio_s": audio_s}))


if __name__ == "__main__":
    count, rounds, size = [*sys.argv[1:], *("64", "2", "small")[len(sys.argv) - 1 :]]
    main(int(count), int(rounds), size)

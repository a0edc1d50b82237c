"""transformers' own Qwen2-Audio, for one clip and one prompt at a time."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import AutoProcessor, Qwen2AudioForConditionalGeneration

from earmark.model.decoding.prefix_decoder import Decoded, LabelLogprobs
from earmark.model.qwen2_audio.engine import Qwen2Audio
from earmark.schemas.errors import RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, Answers, Clip
from earmark.schemas.tasks import BUILT_IN, Task

TASKS = {task.name: task for task in BUILT_IN}
AUDIO = "<|audio_bos|><|AUDIO|><|audio_eos|>"
CHAT_HEAD = f"<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nAudio 1: {AUDIO}\n"
CHAT_TAIL = "<|im_end|>\n<|im_start|>assistant\n"


def limited(name: str, max_new_tokens: int) -> Task:
    return dataclasses.replace(TASKS[name], max_new_tokens=max_new_tokens)


def open_cpu(folder: object, **options: float) -> Qwen2Audio:
    return Qwen2Audio(str(folder), JobOptions(device="cpu", model_threads=1, **options))  # type: ignore[arg-type]


def answered(engine: Qwen2Audio, clips: Sequence[Clip], tasks: Sequence[Task]) -> list[Answers]:
    """The answers of all clips, none of which fails."""
    results = engine.annotate(clips, tasks)
    assert not [result for result in results if isinstance(result, RowError)]
    return results  # type: ignore[return-value]


class NotingEngine(Qwen2Audio):
    """Keeps the model's results for clips of one segment: `noted[id of the recording][name of the task]`."""

    def __init__(self, folder: object, **options: float):
        super().__init__(str(folder), JobOptions(device="cpu", model_threads=1, **options))  # type: ignore[arg-type]
        self.noted: dict[str, dict[str, Decoded | LabelLogprobs]] = {}

    def _part(self, segment_task, task, branch, result):  # type: ignore[no-untyped-def]
        self.noted.setdefault(segment_task.clip.recording.id, {})[task.name] = result
        return super()._part(segment_task, task, branch, result)


@dataclass(frozen=True)
class Generated:
    """Output of `generate`: tokens without the end token, the mean log-probability with it, and the text."""

    tokens: tuple[int, ...]
    avg_logprob: float
    text: str
    truncated: bool


class Reference:
    """model.generate and plain forwards in float32, with the processor's padding to 30 s."""

    def __init__(self, folder: object, chat: bool):
        torch.set_num_threads(1)  # several that wait for each other are many times slower where cores are busy
        self.processor = AutoProcessor.from_pretrained(str(folder))
        self.model = Qwen2AudioForConditionalGeneration.from_pretrained(str(folder), dtype=torch.float32).eval()
        self._chat = chat
        self._cache_encoded(self.model.model.audio_tower)

    @property
    def parameters(self) -> int:
        return sum(weight.numel() for weight in self.model.parameters())

    def generate(self, clip: Clip, prompt: str, max_new_tokens: int) -> Generated:
        inputs = self._inputs(clip, prompt)
        output = self.model.generate(
            **inputs, max_new_tokens=max_new_tokens, do_sample=False, output_scores=True, return_dict_in_generate=True
        )
        tokens = output.sequences[0, inputs["input_ids"].shape[1] :].tolist()
        logprobs = [
            scores[0].log_softmax(-1)[token].item() for scores, token in zip(output.scores, tokens, strict=True)
        ]
        ends = self.model.generation_config.eos_token_id
        ended = tokens[-1] in (ends if isinstance(ends, list) else [ends])
        text_tokens = tokens[:-1] if ended else tokens
        text = self.processor.decode(text_tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False).strip()
        return Generated(tuple(text_tokens), float(np.mean(logprobs)), text, not ended)

    def score(self, clip: Clip, prompt: str, label: str) -> tuple[float, int]:
        """Log-likelihood of a label with its end token, and its number of tokens."""
        inputs = self._inputs(clip, prompt)
        label_ids = self.processor.tokenizer(label + ("<|im_end|>" if self._chat else "<|endoftext|>"))["input_ids"]
        inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([label_ids])], 1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        with torch.inference_mode():
            logprobs = self.model(**inputs).logits[0, -len(label_ids) - 1 : -1].log_softmax(-1)
        return logprobs[range(len(label_ids)), label_ids].sum().item(), len(label_ids)

    def _inputs(self, clip: Clip, prompt: str) -> dict[str, torch.Tensor]:
        text = f"{CHAT_HEAD}{prompt}{CHAT_TAIL}" if self._chat else f"{AUDIO}{prompt}"
        return dict(
            self.processor(text=[text], audio=[clip.samples], sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
        )

    def _cache_encoded(self, tower: torch.nn.Module) -> None:
        """Cache the last encoder output: encoding 30 s takes most of the time, and serves all prompts of a clip."""
        real, cached = tower.forward, []

        def forward(features: torch.Tensor, **masks: torch.Tensor) -> object:
            if not cached or not torch.equal(cached[0], features):
                cached[:] = features, real(features, **masks)
            return cached[1]

        tower.forward = forward


def generating(engine: Qwen2Audio, token: str) -> Qwen2Audio:
    """The engine with a model that generates one token only."""
    with engine._models.acquire() as copy:
        bias = torch.zeros(copy._model.lm_head.out_features)
        bias[engine._prompts.tokenizer.convert_tokens_to_ids(token)] = 1e4
        copy._model.lm_head.bias = torch.nn.Parameter(bias)
    return engine

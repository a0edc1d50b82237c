"""Reference answers of chat models: transformers' own network and processor, one clip and one prompt at a time."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from earmark.schemas.records import SAMPLE_RATE_HZ, Clip
from tests.support.checkpoints.qwen2_audio_reference import Generated

NETWORKS = {
    "voxtral": transformers.VoxtralForConditionalGeneration,
    "audioflamingo3": transformers.AudioFlamingo3ForConditionalGeneration,
    "musicflamingo": transformers.MusicFlamingoForConditionalGeneration,
    "qwen2_5_omni": transformers.Qwen2_5OmniThinkerForConditionalGeneration,
    "qwen3_asr": transformers.Qwen3ASRForConditionalGeneration,
    "qwen3_omni_moe": transformers.Qwen3OmniMoeThinkerForConditionalGeneration,
}
OMNI = {
    "qwen2_5_omni": (transformers.Qwen2_5OmniProcessor, "<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>"),
    "qwen3_omni_moe": (transformers.Qwen3OmniMoeProcessor, "<|audio_start|>", "<|audio_pad|>", "<|audio_end|>"),
}
PREFIX = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
SUFFIX = "<|im_end|>\n<|im_start|>assistant\n"
VOXTRAL_AUDIO = "<s>[INST][BEGIN_AUDIO]" + 375 * "[AUDIO]"
PROCESSOR_ARGS = {"sampling_rate": SAMPLE_RATE_HZ, "return_tensors": "pt"}


class ChatReference:
    """`generate` and plain forward passes in float32."""

    def __init__(self, kind: str, folder: Path):
        torch.set_num_threads(1)
        self.kind = kind
        self.model = NETWORKS[kind].from_pretrained(folder, dtype=torch.float32).eval()
        self.processor = _processor(kind, folder)
        self.tokenizer = self.processor.tokenizer
        self.eos_ids = json.loads((folder / "generation_config.json").read_text())["eos_token_id"]
        if kind in OMNI:
            self.eos_ids = self.eos_ids[:1]  # the omni models' own generate passes only this one to their thinker

    def generate(self, clip: Clip, task: str, prompt: str, language: str | None, max_new_tokens: int) -> Generated:
        inputs = self._inputs(clip, task, prompt, language)
        output = self.model.generate(
            **inputs,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=self.eos_ids,
            output_scores=True,
            return_dict_in_generate=True,
        )
        tokens = output.sequences[0, inputs["input_ids"].shape[1] :].tolist()
        logprobs = [
            scores[0].log_softmax(-1)[token].item() for scores, token in zip(output.scores, tokens, strict=True)
        ]
        ended = tokens[-1] in self.eos_ids
        content = tokens[:-1] if ended else tokens
        return Generated(tuple(content), float(np.mean(logprobs)), self._text(task, content), not ended)

    def score_label(self, clip: Clip, task: str, prompt: str, label: str) -> tuple[float, int]:
        """Log-likelihood of a label including the end token, and its number of tokens."""
        inputs = dict(self._inputs(clip, task, prompt, None))
        label_ids = [*self.tokenizer.encode(label, add_special_tokens=False), self.eos_ids[0]]
        inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([label_ids])], 1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        with torch.inference_mode():
            logprobs = self.model(**inputs).logits[0, -len(label_ids) - 1 : -1].log_softmax(-1)
        return logprobs[range(len(label_ids)), label_ids].sum().item(), len(label_ids)

    def _text(self, task: str, tokens: list[int]) -> str:
        if self.kind == "qwen3_asr":
            return str(self.processor.decode(tokens, return_format="transcription_only"))
        if self.kind == "audioflamingo3" and task == "transcribe":
            (text,) = self.processor.decode([tokens], skip_special_tokens=True, strip_prefix=True)
            return str(text)
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True)).strip()

    def _inputs(self, clip: Clip, task: str, prompt: str, language: str | None) -> Mapping[str, Any]:
        samples = clip.samples
        if self.kind == "voxtral":
            request = f"[/INST]{f'lang:{language}' if language else ''}[TRANSCRIBE]"
            text = VOXTRAL_AUDIO + (request if task == "transcribe" else f"{prompt}[/INST]")
            ids = torch.tensor([self.tokenizer.encode(text, add_special_tokens=False)])
            features = self.processor._retrieve_input_features([samples], **self.processor.audio_kwargs)
            return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "input_features": features}
        if self.kind == "qwen3_asr":
            return dict(self.processor.apply_transcription_request(samples, language=language))
        if self.kind == "audioflamingo3" and task == "transcribe":
            return dict(self.processor.apply_transcription_request(samples))
        if self.kind in OMNI:
            text = f"{PREFIX}{''.join(OMNI[self.kind][1:])}{prompt}{SUFFIX}"
            return dict(self.processor(text=[text], audio=[samples], **PROCESSOR_ARGS))
        texts = [{"type": "text", "text": prompt}] if prompt else []
        turn = [{"role": "user", "content": [{"type": "audio", "audio": samples}, *texts]}]
        return dict(
            self.processor.apply_chat_template(
                turn, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
            )
        )


def _processor(kind: str, folder: Path) -> Any:
    if kind not in OMNI:
        return transformers.AutoProcessor.from_pretrained(folder)
    # The library's own processor without its parts for images and videos, which need torchvision.
    processor = object.__new__(OMNI[kind][0])
    processor.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    processor.feature_extractor = transformers.WhisperFeatureExtractor.from_pretrained(folder)
    processor.audio_token = OMNI[kind][2]
    processor.audio_token_id = processor.tokenizer.convert_tokens_to_ids(processor.audio_token)
    return processor

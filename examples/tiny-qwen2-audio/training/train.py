"""Trains the tiny Qwen2-Audio from random weights, on the corpus of corpus.py, and saves it with its processor.

python examples/tiny-qwen2-audio/training/train.py --scratch FOLDER --output FOLDER

It takes about three quarters of an hour on two cores, with 2 GB of scratch space for the clips.
"""

import argparse
import copy
import ctypes
import functools
import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed
import torch.multiprocessing
from augment import Plan, disturbed
from corpus import CAPTIONS, EMOTIONS, WORDS
from packing import IGNORED, Batch, Packer, layout
from prompts import TASKS
from tiny_model import WIDTH, encode, make_model, make_processor
from torch.nn.functional import cross_entropy, ctc_loss
from training_set import TrainingSet, load, synthesize
from transformers import Qwen2AudioForConditionalGeneration

# Each process takes half of a batch with one thread; more threads would wait for each other in every small operation.
PROCESSES = 2
BATCH_CLIPS = 24
SORTED_BATCHES = 16  # number of batches within which clips are sorted by length
LEARNING_RATE = 2e-3
WARM_UP_STEPS = 100
EASY_SHARE = 0.1  # the first steps train only on events and speech of one or two words, not augmented
SAVE_EVERY_STEPS = 500


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """Losses of a step.

    Attributes:
        answers: Mean loss of the tasks.
        words: Loss of the CTC helper.
        sounds: Loss of the classification helper.
        correct: Share of correct tokens of each task.
    """

    answers: torch.Tensor
    words: torch.Tensor
    sounds: torch.Tensor
    correct: tuple[float, ...]


class Learner(torch.nn.Module):
    """The model, and two auxiliary heads on the tower's output that speed up training and are dropped afterwards.

    One is CTC over whole words, the other classifies the mean and the maximum over time by caption and emotion.
    """

    def __init__(self, model: Qwen2AudioForConditionalGeneration) -> None:
        super().__init__()
        self.model = model
        self.word_ctc = torch.nn.Linear(WIDTH, len(WORDS) + 1)
        self.sound_classifier = torch.nn.Linear(2 * WIDTH, len(CAPTIONS) + len(EMOTIONS))

    def forward(self, batch: Batch) -> Losses:
        audio, encoded, tokens = encode(self.model, batch.mels, batch.frames)
        mask, positions = layout(batch, tokens, audio.shape[1])
        embed = self.model.model.language_model.embed_tokens
        prefix = embed(batch.prefix).expand(len(tokens), -1, -1)
        hidden = self.model.model.language_model(
            inputs_embeds=torch.cat([prefix, audio, embed(batch.branches.tokens)], dim=1),
            attention_mask=mask,
            position_ids=positions,
            use_cache=False,
        ).last_hidden_state[:, len(batch.prefix) + audio.shape[1] :]
        has_target = batch.branches.target != IGNORED
        logits, targets = self.model.lm_head(hidden[has_target]), batch.branches.target[has_target]
        losses = cross_entropy(logits, targets, reduction="none")
        right, branch = (logits.argmax(-1) == targets).float(), batch.branches.branch[has_target]
        tasks = range(len(TASKS))
        answers = torch.stack([losses[branch == task].mean() for task in tasks]).mean()
        correct = tuple(right[branch == task].mean().item() for task in tasks)
        return Losses(
            answers, self._word_loss(encoded, tokens, batch), self._sound_loss(encoded, tokens, batch), correct
        )

    def _word_loss(self, encoded: torch.Tensor, tokens: torch.Tensor, batch: Batch) -> torch.Tensor:
        """CTC loss for each spoken word."""
        log_probabilities = self.word_ctc(encoded).log_softmax(-1).transpose(0, 1)
        arguments = (log_probabilities, batch.words, tokens, batch.word_counts)
        return ctc_loss(*arguments, reduction="sum", zero_infinity=True) / max(1, len(batch.words))

    def _sound_loss(self, encoded: torch.Tensor, tokens: torch.Tensor, batch: Batch) -> torch.Tensor:
        is_token = (torch.arange(encoded.shape[1]) < tokens[:, None])[..., None]
        mean = (encoded * is_token).sum(1) / tokens[:, None]
        largest = encoded.masked_fill(~is_token, -torch.inf).amax(1)
        captions, emotions = self.sound_classifier(torch.cat([mean, largest], dim=1)).split(
            [len(CAPTIONS), len(EMOTIONS)], dim=1
        )
        return cross_entropy(captions, batch.captions) + cross_entropy(emotions, batch.emotions)


def plans(clips: TrainingSet, choice: random.Random, steps: int) -> Iterator[list[Plan]]:
    """Draw `steps` batches of clips of similar length, in random order; the first are easy."""
    everything = range(len(clips.labels))
    easy = [index for index in everything if clips.labels[index].words <= 2]
    for first in range(0, steps, SORTED_BATCHES):
        start_easy = first < EASY_SHARE * steps
        drawn = choice.sample(easy if start_easy else everything, BATCH_CLIPS * SORTED_BATCHES)
        make = Plan if start_easy else functools.partial(disturbed, choice)
        made = sorted((make(index, clips.labels[index].frames) for index in drawn), key=lambda plan: plan.total)
        batches = [made[start : start + BATCH_CLIPS] for start in range(0, len(made), BATCH_CLIPS)]
        choice.shuffle(batches)
        yield from batches[: steps - first]


def make_optimizer(learner: Learner) -> torch.optim.AdamW:
    trained = [parameter for parameter in learner.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trained if parameter.ndim > 1], "weight_decay": 0.02},
        {"params": [parameter for parameter in trained if parameter.ndim == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.98), fused=True)


def learning_rate(step: int, steps: int) -> float:
    """Warm-up, then half a cosine down to 2 % of LEARNING_RATE."""
    cosine = 0.5 + 0.5 * math.cos(math.pi * step / steps)
    return LEARNING_RATE * min(1.0, (step + 1) / WARM_UP_STEPS) * (0.02 + 0.98 * cosine)


def average_gradients(learner: Learner) -> None:
    """Average the gradients of the processes, in one exchange."""
    gradients = [parameter.grad for parameter in learner.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    torch.distributed.all_reduce(flat)
    parts = (flat / PROCESSES).split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def train(learner: Learner, packer: Packer, batches: Iterator[list[Plan]], steps: int, save: Callable | None) -> None:
    """Train on `batches`; the process with `save` prints running averages and saves at intervals."""
    optimizer, since, averages = make_optimizer(learner), time.monotonic(), None
    for step, batch in enumerate(batches, start=1):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps)
        losses = learner(packer.batch(batch))
        (losses.answers + (1 - 0.7 * step / steps) * (losses.words + 0.5 * losses.sounds)).backward()
        average_gradients(learner)
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        figures = torch.tensor([losses.answers.item(), losses.words.item(), losses.sounds.item(), *losses.correct])
        averages = figures if averages is None else 0.95 * averages + 0.05 * figures
        if save and step % 50 == 0:
            progress = " ".join(
                f"{name} {value:.3f}" for name, value in zip(("loss", "words", "sounds", *TASKS), averages, strict=True)
            )
            print(f"step {step} of {steps}, {time.monotonic() - since:.0f} s: {progress}", flush=True)
        if save and (step % SAVE_EVERY_STEPS == 0 or step == steps):
            save()


def work(rank: int, options: argparse.Namespace) -> None:
    """Run one of the processes; all draw the same plans and start with the same weights."""
    keep_freed_memory()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # denormal numbers make a CPU many times slower
    store = torch.distributed.FileStore(str(options.scratch / "meeting_point"), PROCESSES)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=PROCESSES)
    torch.manual_seed(options.seed)
    clips, processor = load(options.scratch), make_processor()
    learner = Learner(make_model(processor.tokenizer))
    batches = plans(clips, random.Random(options.seed), options.steps)
    torch.manual_seed(options.seed + 1 + rank)
    packer = Packer(clips, processor.tokenizer, random.Random(options.seed + 1 + rank))

    def save() -> None:
        processor.save_pretrained(options.output)
        copy.deepcopy(learner.model).half().save_pretrained(options.output)

    train(learner, packer, (batch[rank::PROCESSES] for batch in batches), options.steps, None if rank else save)
    torch.distributed.destroy_process_group()


def keep_freed_memory() -> None:
    """Keep glibc from returning large blocks to the kernel: allocating them again takes longer than filling them."""
    m_trim_threshold, m_mmap_max = -1, -4  # from malloc.h
    libc = ctypes.CDLL(None)
    libc.mallopt(m_mmap_max, 0)
    libc.mallopt(m_trim_threshold, 2**31 - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scratch", type=Path, required=True, help="folder for the synthesized training set")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--clips", type=int, default=40_000)
    parser.add_argument("--seed", type=int, default=0, help="seed of the weights and the draws; the corpus has its own")
    options = parser.parse_args()
    since = time.monotonic()
    synthesize(options.scratch, options.clips)
    print(f"{options.clips} clips ready after {time.monotonic() - since:.0f} s", flush=True)
    (options.scratch / "meeting_point").unlink(missing_ok=True)
    torch.multiprocessing.spawn(work, (options,), nprocs=PROCESSES)
    print(f"done after {time.monotonic() - since:.0f} s", flush=True)


if __name__ == "__main__":
    main()

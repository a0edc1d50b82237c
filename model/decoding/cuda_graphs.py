"""The decode step on CUDA: tensors of fixed shapes, so that each step is one CUDA graph, captured once and replayed.

A step of a 7B model is dozens of small kernels in every layer, and launching them one by one takes longer than running
them. A graph launches them all at once, but needs tensors whose shapes and addresses do not change. So the numbers of
clips and slots are rounded up, and finished answers stay in the batch, masked, until half of the clips are finished.
"""

import threading

import torch
from transformers import PreTrainedModel

from earmark.model.decoding.kv_cache import SlotCache
from earmark.model.decoding.prompt_tree import NO_BRANCH, PADDING, PREFIX
from earmark.model.decoding.step_runner import next_logits, visible_slots

CLIP_STEP, SLOT_STEP = 4, 128  # clips and slots are rounded up to a multiple, so that batches can share a graph
WARM_UP_STEPS = 2  # before a capture, as torch's documentation of CUDA graphs recommends
_capture_lock = threading.Lock()  # a process can capture only one graph at a time, whatever the number of devices


class StaticCache:
    """A KV cache of fixed shape, with the `update` of transformers' Cache.

    Attributes:
        keys, values: One tensor for each layer, (clips, heads, slots, head size).
        next_slots: Slots that the next tokens' keys and values are written to, int64 (branches,).
    """

    def __init__(self, keys: list[torch.Tensor], values: list[torch.Tensor], next_slots: torch.Tensor):
        self.keys, self.values, self.next_slots = keys, values, next_slots

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer: int, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.keys[layer].index_copy_(2, self.next_slots, keys)
        self.values[layer].index_copy_(2, self.next_slots, values)
        return self.keys[layer], self.values[layer]


class StaticStepRunner:
    """Decode steps over tensors whose shapes change as rarely as possible, and are reused by the next batch."""

    def __init__(self, model: PreTrainedModel, lm_head: torch.nn.Linear):
        self._model, self._lm_head = model, lm_head
        self._layers = int(model.config.num_hidden_layers)
        self._drop_tensors()

    def start(self, cache: SlotCache, slot_branch: torch.Tensor) -> None:
        """Begin a batch after its prefill."""
        self._cache, self._cached_branch, self._used = cache, slot_branch, slot_branch.shape[1]
        self._loaded = False  # whether the batch is in the fixed tensors, and not in `_cache`

    def finish(self) -> None:
        """Drop the batch; the fixed tensors stay for the next one."""
        self._cache, self._loaded = SlotCache(self._layers), False

    def release_memory(self) -> None:
        """Drop the batch and the fixed tensors, after running out of memory."""
        self.finish()
        self._drop_tensors()

    def _drop_tensors(self) -> None:
        self._shape = (0, 0, 0)  # clips, branches and slots of the fixed tensors
        self._logits: torch.Tensor | None = None
        self._slots = StaticCache([], [], torch.empty(0))

    def decode_step(self, tokens: torch.Tensor, positions: torch.Tensor, branch: torch.Tensor) -> torch.Tensor:
        clips, branches = tokens.shape
        full = self._used + branches > self._shape[2]
        if not self._loaded or full or self._shape[:2] != (_round_up(clips, CLIP_STEP), branches):
            self._load(clips, branches)
        for fixed, new in ((self._tokens, tokens), (self._positions, positions), (self._branch, branch)):
            fixed[:clips] = new
        self._branch[clips:] = NO_BRANCH
        self._slots.next_slots.copy_(torch.arange(self._used, self._used + branches, device=tokens.device))
        self._forward()
        self._used += branches
        assert self._logits is not None
        return self._logits[:clips]

    def should_shrink(self, open_clips: int, clips: int) -> bool:
        return not self._loaded or (open_clips <= clips // 2 and _round_up(open_clips, CLIP_STEP) < self._shape[0])

    def keep_clips(self, clips: torch.Tensor) -> None:
        self._unload()
        self._cached_branch = self._cached_branch[clips]
        self._cache.keep_clips(clips)

    def _load(self, clips: int, branches: int) -> None:
        """Move the batch from the cache to fixed tensors with room for more slots."""
        self._unload()
        shape = (_round_up(clips, CLIP_STEP), branches, _round_up(self._used + SLOT_STEP, SLOT_STEP))
        if shape != self._shape:
            self._make(shape)
        self._slot_branch.fill_(PADDING)
        self._slot_branch[:, 0] = PREFIX  # rows without a clip must see one slot, or their softmax is NaN
        self._slot_branch[:clips, : self._used] = self._cached_branch
        for layer in range(self._layers):
            keys, values = self._cache.take(layer)
            for fixed, cached in ((self._slots.keys, keys), (self._slots.values, values)):
                fixed[layer].zero_()
                fixed[layer][:clips, :, : self._used] = cached
        self._loaded = True

    def _make(self, shape: tuple[int, int, int]) -> None:
        """Allocate fixed tensors of a new shape."""
        # The old tensors go first: both may not fit into memory, and none may be left over if the allocation fails.
        self._drop_tensors()
        rows, branches, slots = shape
        like = self._cache.sample()
        self._tokens = torch.zeros(rows, branches, dtype=torch.int64, device=like.device)
        self._positions = torch.zeros_like(self._tokens)
        self._branch = torch.full_like(self._tokens, NO_BRANCH)
        self._slot_branch = torch.full((rows, slots), PADDING, dtype=torch.int64, device=like.device)
        tensors = [like.new_zeros(rows, like.shape[1], slots, like.shape[3]) for _ in range(2 * self._layers)]
        self._slots = StaticCache(tensors[::2], tensors[1::2], torch.arange(branches, device=like.device))
        self._prepare()
        self._shape = shape

    def _unload(self) -> None:
        """Move the batch from the fixed tensors back to a cache."""
        if not self._loaded:
            return
        clips = len(self._cached_branch)
        self._cached_branch = self._slot_branch[:clips, : self._used]
        self._cache = SlotCache.of(
            [keys[:clips, :, : self._used] for keys in self._slots.keys],
            [values[:clips, :, : self._used] for values in self._slots.values],
        )
        self._loaded = False

    def _prepare(self) -> None:
        """Prepare for new fixed tensors, before the batch is loaded into them."""

    def _forward(self) -> None:
        """Run one step over the fixed tensors, and set `_logits`."""
        self._logits = self._compute()

    def _compute(self) -> torch.Tensor:
        self._slot_branch.index_copy_(1, self._slots.next_slots, self._branch)
        visible = visible_slots(self._branch, self._slot_branch)
        return next_logits(self._model, self._lm_head, self._tokens, visible, self._positions, self._slots)


class CudaGraphStepRunner(StaticStepRunner):
    """A StaticStepRunner that captures its step as a CUDA graph whenever its tensors are new.

    Call it with the model's device as the current one, because streams are made on the current device.
    """

    def _drop_tensors(self) -> None:
        super()._drop_tensors()
        self._graph: torch.cuda.CUDAGraph | None = None

    def _prepare(self) -> None:
        # The keys and values that the warm-up writes are overwritten when the batch is loaded.
        with _capture_lock:
            side_stream = torch.cuda.Stream()
            side_stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side_stream):
                for _ in range(WARM_UP_STEPS):
                    self._compute()
            torch.cuda.current_stream().wait_stream(side_stream)
            graph = torch.cuda.CUDAGraph()
            # Thread-local, because other threads pin memory and run other models at the same time.
            with torch.cuda.graph(graph, stream=side_stream, capture_error_mode="thread_local"):
                self._logits = self._compute()
        self._graph = graph

    def _forward(self) -> None:
        assert self._graph is not None
        self._graph.replay()


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step

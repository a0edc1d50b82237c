"""Decoding on CUDA: tensors of fixed shapes, and each step one CUDA graph.

A step of a 7B model is dozens of small kernels a layer; launched one by one they take longer than they run. A graph
launches them all at once, for which their shapes and addresses must not change: clips and slots are rounded up, and
answers that are done stay where they are, unseen, until half of the clips are.
"""

import threading

import torch
from transformers import PreTrainedModel

from earmark.model.decoding.kv_cache import SlotCache
from earmark.model.decoding.prompt_tree import NO_BRANCH, PADDING, PREFIX
from earmark.model.decoding.step_runner import next_logits, visible_to

CLIP_STEP, SLOT_STEP = 4, 128  # clips and slots are rounded up to a multiple, so that batches find a graph that suits
WARM_UP_STEPS = 2  # before a capture, as torch's documentation of CUDA graphs asks
_one_capture = threading.Lock()  # a process may capture one graph at a time, whatever the number of devices


class StaticSlots:
    """Keys and values of fixed shape; stands in for transformers' Cache, of which `update` alone is used.

    `place` holds the slots that the next tokens' keys and values go to.
    """

    def __init__(self, keys: list[torch.Tensor], values: list[torch.Tensor], place: torch.Tensor):
        self.keys, self.values, self.place = keys, values, place

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer: int, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.keys[layer].index_copy_(2, self.place, keys)
        self.values[layer].index_copy_(2, self.place, values)
        return self.keys[layer], self.values[layer]


class StaticSteps:
    """Steps over tensors whose shapes change as seldom as can be."""

    def __init__(self, model: PreTrainedModel, head: torch.nn.Linear):
        self._model, self._head = model, head
        self._layers = int(model.config.num_hidden_layers)
        self._forget_tensors()

    def start(self, cache: SlotCache, slot_branch: torch.Tensor) -> None:
        """Takes over what a batch has heard."""
        self._cache, self._known, self._used = cache, slot_branch, slot_branch.shape[1]
        self._loaded = False  # whether the fixed tensors hold what is known

    def finish(self) -> None:
        """Lets go of what the batch has heard; the fixed tensors stay for the next one."""
        self._cache, self._loaded = SlotCache(self._layers), False

    def forget(self) -> None:
        """Lets go of all memory, which another batch needs."""
        self.finish()
        self._forget_tensors()

    def _forget_tensors(self) -> None:
        self._shape = (0, 0, 0)  # clips, branches, slots of the fixed tensors
        self._logits: torch.Tensor | None = None
        self._slots = StaticSlots([], [], torch.empty(0))

    def step(self, chosen: torch.Tensor, positions: torch.Tensor, branch: torch.Tensor) -> torch.Tensor:
        clips, branches = chosen.shape
        full = self._used + branches > self._shape[2]
        if not self._loaded or full or self._shape[:2] != (_up(clips, CLIP_STEP), branches):
            self._load(clips, branches)
        for fixed, new in ((self._chosen, chosen), (self._positions, positions), (self._asker, branch)):
            fixed[:clips] = new
        self._asker[clips:] = NO_BRANCH
        self._slots.place.copy_(torch.arange(self._used, self._used + branches, device=chosen.device))
        self._forward()
        self._used += branches
        assert self._logits is not None
        return self._logits[:clips]

    def may_leave(self, staying: int, clips: int) -> bool:
        return not self._loaded or (staying <= clips // 2 and _up(staying, CLIP_STEP) < self._shape[0])

    def keep_clips(self, kept: torch.Tensor) -> None:
        self._take_back()
        self._known = self._known[kept]
        self._cache.keep_clips(kept)

    def _load(self, clips: int, branches: int) -> None:
        """Puts what is known into fixed tensors with room for more; those that are there, where they suit."""
        self._take_back()
        shape = (_up(clips, CLIP_STEP), branches, _up(self._used + SLOT_STEP, SLOT_STEP))
        if shape != self._shape:
            self._make(shape)
        self._owner.fill_(PADDING)
        self._owner[:, 0] = PREFIX  # rows without a clip must see something
        self._owner[:clips, : self._used] = self._known
        for layer in range(self._layers):
            keys, values = self._cache.take(layer)
            for fixed, known in ((self._slots.keys, keys), (self._slots.values, values)):
                fixed[layer].zero_()
                fixed[layer][:clips, :, : self._used] = known
        self._loaded = True

    def _make(self, shape: tuple[int, int, int]) -> None:
        """Fixed tensors of a shape, in place of those that are there."""
        # Nothing of the old ones may be left when memory runs out on the way to the new ones.
        self._forget_tensors()
        rows, branches, slots = shape
        like = self._cache.sample()
        self._chosen = torch.zeros(rows, branches, dtype=torch.int64, device=like.device)
        self._positions = torch.zeros_like(self._chosen)
        self._asker = torch.full_like(self._chosen, NO_BRANCH)
        self._owner = torch.full((rows, slots), PADDING, dtype=torch.int64, device=like.device)
        tensors = [like.new_zeros(rows, like.shape[1], slots, like.shape[3]) for _ in range(2 * self._layers)]
        place = torch.arange(branches, device=like.device)
        self._slots = StaticSlots(tensors[::2], tensors[1::2], place)
        self._prepare()
        self._shape = shape

    def _take_back(self) -> None:
        """What the fixed tensors know goes back into a cache and its owners."""
        if not self._loaded:
            return
        clips = len(self._known)
        self._known = self._owner[:clips, : self._used]
        self._cache = SlotCache.of(
            [keys[:clips, :, : self._used] for keys in self._slots.keys],
            [values[:clips, :, : self._used] for values in self._slots.values],
        )
        self._loaded = False

    def _prepare(self) -> None:
        """Called when the fixed tensors are new and hold nothing yet."""

    def _forward(self) -> None:
        """One step over the fixed tensors."""
        self._logits = self._compute()

    def _compute(self) -> torch.Tensor:
        self._owner.index_copy_(1, self._slots.place, self._asker)
        visible = visible_to(self._asker, self._owner)
        return next_logits(self._model, self._head, self._chosen, visible, self._positions, self._slots)


class GraphedSteps(StaticSteps):
    """StaticSteps whose step is captured as a CUDA graph whenever its tensors are new.

    To be used with the model's device as the current one, on which streams are made.
    """

    def _forget_tensors(self) -> None:
        super()._forget_tensors()
        self._graph: torch.cuda.CUDAGraph | None = None

    def _prepare(self) -> None:
        # What the warm-up writes is written over when the tensors are filled.
        with _one_capture:
            beside = torch.cuda.Stream()
            beside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(beside):
                for _ in range(WARM_UP_STEPS):
                    self._compute()
            torch.cuda.current_stream().wait_stream(beside)
            graph = torch.cuda.CUDAGraph()
            # Other threads pin memory and run other models meanwhile.
            with torch.cuda.graph(graph, stream=beside, capture_error_mode="thread_local"):
                self._logits = self._compute()
        self._graph = graph

    def _forward(self) -> None:
        assert self._graph is not None
        self._graph.replay()


def _up(number: int, step: int) -> int:
    return -(-number // step) * step

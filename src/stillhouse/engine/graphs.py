"""CUDA graphs (``compile: graphs``): what a step launches is recorded once and launched as a whole.

Two kinds, for two promises. What learns is compiled and recorded by torch itself
(``mode="reduce-overhead"``), which watches whether the recording still holds. What is frozen, such
as a live teacher, is recorded as it is, kernel for kernel: a compiled teacher would not be, to the
bit, the one that a cache was recorded from.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from stillhouse.engine.platform import Platform
from stillhouse.engine.signals import Signals
from stillhouse.engine.update_objective import UpdateObjective
from stillhouse.errors import WiringError

GRAPHS: Literal["graphs"] = "graphs"
Compile = bool | Literal["graphs"]
"""Whether the composite of an update is compiled, and its launches recorded."""

WARM = 3
"""Runs before a recording: libraries choose their kernels and make their workspaces (so many does
torch make itself, in ``torch.cuda.make_graphed_callables``)."""
MOST = 8
"""Recordings of different shapes; each holds memory of its own."""

OTHERWISE = "write compile: true, false or auto"


def graphs_problem(platform: Platform) -> str | None:
    """Why nothing can be recorded on a platform; None where it can.

    >>> graphs_problem(Platform(None, torch.device("cpu"), "fp32"))
    "'graphs' are CUDA graphs, and this runs on cpu; write compile: true, false or auto"
    """
    if platform.device.type != "cuda":
        return f"'graphs' are CUDA graphs, and this runs on {platform.device.type}; {OTHERWISE}"
    if platform.world > 1:
        return f"'graphs' are of one process, and these are {platform.world}; {OTHERWISE}"
    return None


def capture(call: Callable[[], Signals]) -> tuple[Signals, Callable[[], object]]:
    """Record a call on the device in use; gives its outputs, and what fills them anew.

    It runs some times before, aside, and spends no random number.
    """
    here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
    aside.wait_stream(here)
    with torch.random.fork_rng(devices=[torch.cuda.current_device()]), torch.cuda.stream(aside):
        for _ in range(WARM):
            call()
    here.wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    # Loaders pin memory in threads of their own; that is no part of what is recorded.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        outputs = call()
    return outputs, graph.replay


class StepGraphs:
    """The recordings of one update.

    Args:
        update: whose composite is compiled here.

    Raises:
        WiringError: its steps differ in form, so that no recording holds.
    """

    def __init__(self, update: UpdateObjective) -> None:
        if not update.composite.of_one_form:
            said = "a term of this method reads some rows of a batch only, and their number changes"
            raise WiringError("compile", [f"{said} with each step; {OTHERWISE}"])
        self._update = update
        self._recorded: dict[Any, tuple[Signals, Signals, Callable[[], object]]] = {}
        self._skipped = _skipped()
        update.composite.compile(fullgraph=True, mode="reduce-overhead")

    def observe(self, batch: Signals) -> Signals:
        """Begin a step: the signals of the frozen nodes, of a recording where they run live.

        They are overwritten by the next step.

        Raises:
            WiringError: they cannot be recorded, or the batches have too many shapes.
        """
        torch.compiler.cudagraph_mark_step_begin()
        self._skipped = _skipped()
        known = self._update.observe(batch, cached=True)  # looked up on the processor
        reads = {name: known[name] for name in self._update.live_reads if name in known}
        if not reads:
            return known
        key = tuple((name, value.shape, value.dtype) for name, value in reads.items())
        if key not in self._recorded:
            self._recorded[key] = self._recording(reads)
        inputs, outputs, replay = self._recorded[key]
        for name, value in reads.items():
            inputs[name].copy_(value, non_blocking=True)
        replay()
        return {**known, **outputs}

    def _recording(self, reads: Signals) -> tuple[Signals, Signals, Callable[[], object]]:
        if len(self._recorded) == MOST:
            said = f"'graphs' records each shape of a batch, and this is number {MOST + 1}"
            raise WiringError("compile", [f"{said}; {OTHERWISE}"])
        inputs = {name: value.detach().clone() for name, value in reads.items()}
        try:
            outputs, replay = capture(lambda: self._update.observe(inputs, cached=False))
        except RuntimeError as error:  # it waits for the device, or allocates beside it
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            problem = f"what is frozen cannot be recorded as a CUDA graph ({said}); {OTHERWISE}"
            raise WiringError("compile", [problem]) from error
        return inputs, {k: v for k, v in outputs.items() if k not in inputs}, replay

    def keep(self, values: Tensor) -> Tensor:
        """What a meter holds beyond the step: a replay writes where the last one wrote."""
        return values.clone()

    def keep_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Before another micro-batch: gradients may lie where its backward pass writes."""
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad = parameter.grad.clone()

    def check(self) -> None:
        """After a step: whether torch recorded what it compiled.

        Raises:
            WiringError: it ran without a graph. That would be a slow step under a fast one's name.
        """
        if _skipped() > self._skipped:
            said = (
                "torch compiles this step and records no CUDA graph of it (TORCH_LOGS=cudagraphs "
            )
            raise WiringError("compile", [f"{said}says why); {OTHERWISE}"])


def _skipped() -> int:
    """How often torch has gone without a graph in this process."""
    from torch._dynamo.utils import counters

    return int(counters["inductor"]["cudagraph_skips"])

"""Tails: what a network computes after a tap, as a module by itself; traced, never edited."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from stillhouse.engine.taps import INPUT, split_tap, tap_problem
from stillhouse.errors import ModelError
from stillhouse.models.given import copied


def tail_of(module: nn.Module, tap: str, *, image: Tensor | None = None) -> nn.Module:
    """A copy of everything after a tap, from its tensor to the logits.

    The copy has the weights and flags that the network has now, under the same names, and shares
    nothing with it.

    Args:
        module: any network that torch.fx can trace, from one tensor to its logits.
        tap: a module's path (its output) or ``path:in`` (its first input).
        image: some inputs; only needed by a network that asks for the size of its images.

    Raises:
        ModelError: there is no such tap, the network cannot be traced, or what comes after the tap
            needs something else from before it, too (a skip connection passes it by).

    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> tail = tail_of(net, "0")
    >>> x = torch.randn(5, 4)
    >>> torch.equal(tail(net[0](x)), net(x)), list(tail.state_dict())
    (True, ['2.weight', '2.bias'])
    """
    return _cut(module, tap, image, _tail)


def with_tap(module: nn.Module, tap: str, *, image: Tensor | None = None) -> nn.Module:
    """A copy of a network that gives what is heard at a tap beside its logits, without hooks.

    Args and errors as of `tail_of`, but for skip connections, which do no harm here.

    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> heard, logits = with_tap(net, "1")(torch.randn(5, 4))
    >>> tuple(heard.shape), tuple(logits.shape)
    ((5, 3), (5, 2))
    """
    return _cut(module, tap, image, _heard)


def shuffled(module: nn.Module) -> nn.Module:
    """The module with fresh weights, in place: those of each tensor in a random order.

    So they have the very distribution that their author gave them. Tensors of one dimension (of
    biases and batch norms) stay, running statistics begin anew, and everything may learn.

    >>> net = nn.Linear(50, 40, bias=False)
    >>> before = net.weight.detach().clone()
    >>> after = shuffled(net).weight
    >>> torch.equal(before, after), (before.sum() - after.sum()).abs().item() < 1e-3
    (False, True)
    """
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.requires_grad_(True)
            if parameter.ndim > 1:
                order = torch.randperm(parameter.numel()).to(parameter.device)
                parameter.copy_(parameter.flatten()[order].view_as(parameter))
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._NormBase):
            part.reset_running_stats()
    return module


class _Tracer(fx.Tracer):
    """Stops at the tapped module; where the code asks for the size of its images, an example's."""

    def __init__(self, path: str, image: Tensor | None) -> None:
        super().__init__()
        self.path = path
        self.image = image

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """The tapped one is whole, whatever its class."""
        return module_qualified_name == self.path or super().is_leaf_module(
            m, module_qualified_name
        )

    def to_bool(self, obj: fx.Proxy) -> bool:
        """Answer questions about sizes; those about values differ from image to image."""
        value = self._value(obj.node)
        return super().to_bool(obj) if value is None or isinstance(value, Tensor) else bool(value)

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        """Take a size apart."""
        value, parts = self._value(obj.node), cast(Any, obj)
        if not isinstance(value, tuple):
            return super().iter(obj)
        return iter([parts[at] for at in range(len(value))])

    def _value(self, node: fx.Node) -> Any:
        """What a node is for the example; None when layers stand between."""
        image = next(each for each in self.graph.nodes if each.op == "placeholder")
        behind = _behind(image, (node,))
        if self.image is None or any(each.op == "call_module" for each in behind):
            return None
        graph, known = _between(self.graph, image, (node,))
        graph.output(known[node])
        return fx.GraphModule(self.root, graph).forward(self.image)


Cut = Callable[[fx.Graph, fx.Node, str, str], fx.Graph]


def _cut(module: nn.Module, tap: str, image: Tensor | None, cut: Cut) -> nn.Module:
    """What is cut out of a traced network, as a module of copies."""
    who = type(module).__name__
    path, suffix = split_tap(tap)
    problem = tap_problem(module, tap, who=who)
    if problem or suffix not in ("", INPUT):
        raise ModelError(problem or f"'{tap}' is one of several outputs; name a tap of one tensor")
    root = copied(module)
    graphs = []
    for training in (True, False):
        graph = _traced(root.train(training), path, image, who)
        graphs.append(cut(graph, _tapped(graph, path, suffix, who), tap, who))
    if len({graph.python_code("self").src for graph in graphs}) > 1:
        raise ModelError(
            f"the forward of {who} asks whether it is in training, so no part of it can be copied "
            f"at '{tap}'; use modules that know it, such as nn.Dropout instead of F.dropout"
        )
    made = fx.GraphModule(root, graphs[0], class_name="Tail")
    were = {name: part.training for name, part in module.named_modules()}
    for name, part in made.named_modules():
        part.training = were.get(name, module.training)
    return made


def _traced(root: nn.Module, path: str, image: Tensor | None, who: str) -> fx.Graph:
    try:
        return _Tracer(path, image).trace(root)
    except ModelError:
        raise
    except Exception as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"{who} cannot be traced by torch.fx ({said[0]}), so it has no part after '{path}' "
            "to copy; take a network whose forward asks for no values of its tensors"
        ) from error


def _tapped(graph: fx.Graph, path: str, suffix: str, who: str) -> fx.Node:
    """The node whose value a tap hears."""
    calls = [node for node in graph.nodes if node.op == "call_module" and node.target == path]
    if len(calls) != 1:
        times = "does not run" if not calls else f"runs {len(calls)} times"
        raise ModelError(f"'{path}' of {who} {times} in a pass (or inside a layer of torch); tap "
                         "a module that runs once")  # fmt: skip
    found = calls[0] if not suffix else next(iter(calls[0].all_input_nodes), None)
    if not isinstance(found, fx.Node):
        raise ModelError(f"'{path}' of {who} reads no tensor; tap its output")
    return found


def _logits(graph: fx.Graph, who: str) -> fx.Node:
    (given,) = (node.args[0] for node in graph.nodes if node.op == "output")
    if not isinstance(given, fx.Node):
        raise ModelError(f"{who} gives several outputs, and only logits alone can be copied")
    return given


def _heard(graph: fx.Graph, tapped: fx.Node, _tap: str, who: str) -> fx.Graph:
    """The network, with the tapped value beside the logits."""
    image = next(node for node in graph.nodes if node.op == "placeholder")
    ends = (tapped, _logits(graph, who))
    made, known = _between(graph, image, ends)
    made.output(tuple(known[end] for end in ends))
    return made


def _tail(graph: fx.Graph, tapped: fx.Node, tap: str, who: str) -> fx.Graph:
    """The part between the tapped value and the logits."""
    logits = _logits(graph, who)
    after = _after(graph, tapped)
    if logits not in after:
        raise ModelError(f"the logits of {who} do not depend on '{tap}'; tap what they come from")
    image = next(node for node in graph.nodes if node.op == "placeholder")
    early = _after(graph, image) - after
    for node in _behind(tapped, (logits,)) - {tapped}:
        for read in node.all_input_nodes:
            if node in after and read in early:
                raise ModelError(
                    f"what comes after '{tap}' of {who} also reads '{read.target}' from before it, "
                    "which passes it by (a skip connection); tap where one tensor carries all, as "
                    "the end of a stage does"
                )
    made, known = _between(graph, tapped, (logits,))
    made.output(known[logits])
    return made


def _between(
    graph: fx.Graph, start: fx.Node, ends: tuple[fx.Node, ...]
) -> tuple[fx.Graph, dict[fx.Node, fx.Node]]:
    """A graph of what leads to the ends, its input in the place of the start; and who is who."""
    needed, made = _behind(start, ends), fx.Graph()
    known = {start: made.placeholder("features")}
    for node in graph.nodes:
        if node in needed and node is not start:
            known[node] = made.node_copy(node, lambda read: known[read])
    return made, known


def _behind(start: fx.Node, ends: tuple[fx.Node, ...]) -> set[fx.Node]:
    """All nodes that lead to the ends, back to the start and no further."""
    found, waiting = {start}, list(ends)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += node.all_input_nodes
    return found


def _after(graph: fx.Graph, start: fx.Node) -> set[fx.Node]:
    """The start and all nodes that depend on it."""
    found = {start}
    for node in graph.nodes:
        if not found.isdisjoint(node.all_input_nodes):
            found.add(node)
    return found

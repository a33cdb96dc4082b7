"""Optimisers of PyTorch, as factories that the engine calls once per update."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Lt
from torch import nn

from stillhouse.engine.decay import NoDecay, decay_groups
from stillhouse.engine.settings import Decay, Positive, Share, Weight, checked_as
from stillhouse.errors import RecipeError

OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]

FUSED = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
"""Optimisers with one kernel for the whole update."""
FUSED_DEVICES = ("cpu", "cuda")


@dataclass(frozen=True)
class TorchOptimizer:
    """An optimiser of PyTorch with its settings, before it is given parameters.

    Args:
        kind: its class.
        settings: as it takes them.
        no_decay: kinds of parameters that its weight decay leaves out.
    """

    kind: type[torch.optim.Optimizer]
    settings: Mapping[str, Any]
    no_decay: Sequence[NoDecay] = ()

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser of parameters alone.

        Raises:
            RecipeError: it cannot have these, or needs to know what they are part of.
        """
        if self.no_decay:
            said = "no_decay asks which parameters are norms and biases; give their module: of(net)"
            raise RecipeError(self._name, [said])
        return self._made(list(parameters))

    def of(
        self, module: nn.Module, parameters: Iterable[nn.Parameter] | None = None
    ) -> torch.optim.Optimizer:
        """The optimiser of a module's parameters, or of some of them.

        Raises:
            RecipeError: it cannot have these.

        >>> net = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
        >>> made = sgd(0.1, no_decay=("norms", "biases")).of(net)
        >>> [(len(group["params"]), group["weight_decay"]) for group in made.param_groups]
        [(1, 0.0005), (3, 0.0)]
        """
        learning = list(module.parameters() if parameters is None else parameters)
        if self.kind.__name__ == "Muon":
            self._check_matrices(module, learning)
        if not self.no_decay:
            return self._made(learning)
        return self._made(learning, decay_groups(module, learning, self.no_decay))

    def _made(
        self, parameters: Sequence[nn.Parameter], groups: Sequence[dict[str, Any]] | None = None
    ) -> torch.optim.Optimizer:
        fused = _fused(self.kind, parameters)
        try:
            return self.kind(groups or parameters, **self.settings, **fused)
        except (ValueError, TypeError) as error:  # what PyTorch checks itself
            raise RecipeError(self._name, [f"PyTorch refuses it: {error}"]) from None

    def _check_matrices(self, module: nn.Module, learning: Sequence[nn.Parameter]) -> None:
        names = {id(p): name for name, p in module.named_parameters()}
        others = [p for p in learning if p.ndim != 2]
        if others:
            shape, path = list(others[0].shape), names.get(id(others[0]), "a parameter")
            name = path.removeprefix("composite.learners.")  # of an update, as users know it
            said = f"it moves matrices alone, and {name} has the shape {shape}"
            more = f" ({len(others)} of {len(learning)} parameters are none)"
            raise RecipeError(self._name, [f"{said}{more}; take adamw"])

    @property
    def _name(self) -> str:
        return f"optimizer '{self.kind.__name__.lower()}'"


def optimizer_of(factory: OptimizerFactory, module: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of what learns in a module.

    >>> optimizer_of(sgd(0.1), nn.Linear(1, 1)).defaults["lr"]
    0.1
    """
    if isinstance(factory, TorchOptimizer):
        return factory.of(module)
    return factory(list(module.parameters()))


def _fused(kind: type[torch.optim.Optimizer], parameters: Sequence[nn.Parameter]) -> dict[str, Any]:
    """One kernel for the whole update, where every parameter allows it."""
    fits = all(p.device.type in FUSED_DEVICES and p.is_floating_point() for p in parameters)
    return {"fused": True} if parameters and fits and kind in FUSED else {}


@checked_as("optimizer")
def sgd(
    lr: Positive = 0.05,
    *,
    momentum: Decay = 0.9,
    dampening: Share = 0.0,
    weight_decay: Weight = 5e-4,
    nesterov: bool = False,
    no_decay: tuple[NoDecay, ...] = (),
) -> TorchOptimizer:
    """Stochastic gradient descent. Defaults: the CIFAR-100 recipe of CRD (Tian et al., 2020).

    >>> sgd(0.1)([nn.Parameter(torch.zeros(1))]).param_groups[0]["lr"]
    0.1
    """
    if nesterov and (not momentum or dampening):
        said = "nesterov needs a momentum above 0 and no dampening"
        raise RecipeError("optimizer 'sgd'", [said])
    settings = {"lr": lr, "momentum": momentum, "dampening": dampening, "nesterov": nesterov}
    settings["weight_decay"] = weight_decay
    return TorchOptimizer(torch.optim.SGD, settings, tuple(no_decay))


@checked_as("optimizer")
def adamw(
    lr: Positive = 1e-3,
    *,
    weight_decay: Weight = 0.05,
    betas: tuple[Decay, Decay] = (0.9, 0.999),
    eps: Positive = 1e-8,
    amsgrad: bool = False,
    no_decay: tuple[NoDecay, ...] = (),
) -> TorchOptimizer:
    """AdamW. Weight decay 0.05 and betas: the DeiT recipe; lr and the rest: PyTorch's defaults.

    >>> adamw()([nn.Parameter(torch.zeros(1))]).param_groups[0]["weight_decay"]
    0.05
    """
    settings = {"lr": lr, "weight_decay": weight_decay, "betas": tuple(betas), "eps": eps}
    return TorchOptimizer(torch.optim.AdamW, {**settings, "amsgrad": amsgrad}, tuple(no_decay))


RANGES: Mapping[str, Any] = {
    "lr": Positive,
    "weight_decay": Weight,
    "momentum": Decay,
    "dampening": Share,
    "betas": tuple[Decay, Decay],
    "eps": Positive,
    "alpha": Decay,
    "rho": Decay,
    "lr_decay": Weight,
    "lambd": Weight,
    "t0": Weight,
    "initial_accumulator_value": Weight,
    "momentum_decay": Weight,
    "beta2_decay": Annotated[float, Lt(0)],
    "d": Positive,
    "etas": tuple[Annotated[float, Gt(0), Lt(1)], Annotated[float, Gt(1)]],
    "step_sizes": tuple[Positive, Positive],
    "ns_coefficients": tuple[float, float, float],
    "ns_steps": Annotated[int, Ge(1), Lt(100)],
    "adjust_lr_fn": Literal["original", "match_rms_adamw"] | None,
}
"""Ranges of the settings of PyTorch's optimisers, by their names; of others the type decides."""

FACTORED_EPS = tuple[Positive | None, Positive]
"""Of Adafactor: beside the squared gradient, and of the size of the parameters."""

OURS = ("params", "foreach", "maximize", "capturable", "differentiable", "fused")
"""Parameters of optimisers that are no settings: the engine's, or of other purposes."""


def of_torch(kind: type[torch.optim.Optimizer]) -> Callable[..., TorchOptimizer]:
    """An optimiser of PyTorch as a function of its settings, with PyTorch's own defaults.

    Raises:
        RecipeError: (the function) a setting is out of its range.

    >>> rmsprop = of_torch(torch.optim.RMSprop)
    >>> rmsprop(alpha=0.9).settings["alpha"]
    0.9
    """
    name = kind.__name__.lower()
    known = dict(list(inspect.signature(kind.__init__).parameters.items())[1:])
    hints = {key: _hint(kind, key, each) for key, each in known.items() if key not in OURS}
    defaults = {key: known[key].default for key in hints}
    if "weight_decay" in hints:
        hints["no_decay"], defaults["no_decay"] = tuple[NoDecay, ...], ()

    def make(**settings: Any) -> TorchOptimizer:
        given = {**defaults, **settings}
        spared = given.pop("no_decay", ())
        low, high = given.get("step_sizes", (0, 1))
        if low > high:
            said = f"step_sizes are {low:g} and {high:g}; give the smaller one first"
            raise RecipeError(f"optimizer '{name}'", [said])
        return TorchOptimizer(kind, given, tuple(spared))

    make.__name__, make.__qualname__ = name, name
    make.__doc__ = f"{kind.__name__} of PyTorch, with its defaults."
    make.__annotations__ = {**hints, "return": TorchOptimizer}
    kinds = inspect.Parameter.KEYWORD_ONLY
    make.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(key, kinds, default=defaults[key], annotation=hints[key])
         for key in hints]
    )  # fmt: skip
    return checked_as("optimizer")(make)


def _hint(kind: type[torch.optim.Optimizer], key: str, parameter: inspect.Parameter) -> Any:
    if kind.__name__ == "Adafactor" and key == "eps":
        return FACTORED_EPS
    if key in RANGES:
        return RANGES[key]
    return bool if isinstance(parameter.default, bool) else Any


def refusal(name: str) -> str | None:
    """Why an optimiser of PyTorch is none for training by steps; None where it is one, or unknown.

    >>> refusal("lbfgs"), refusal("adam")
    ('it runs the network several times in a step, and a step here runs it once; try adamw', None)
    """
    kind = _KINDS.get(name)
    if kind is None:
        return None
    closure = inspect.signature(kind.step).parameters.get("closure")
    if closure is not None and closure.default is closure.empty:
        return (
            "it runs the network several times in a step, and a step here runs it once; try adamw"
        )
    if "Sparse" in kind.__name__:
        return "it takes sparse gradients alone, and networks here give dense ones; take adam"
    return None


_KINDS: Mapping[str, type[torch.optim.Optimizer]] = {
    name.lower(): kind
    for name, kind in vars(torch.optim).items()
    if inspect.isclass(kind)
    and issubclass(kind, torch.optim.Optimizer)
    and kind is not torch.optim.Optimizer
}

OPTIMIZERS: tuple[Callable[..., TorchOptimizer], ...] = (
    sgd,
    adamw,
    *(
        of_torch(kind)
        for name, kind in sorted(_KINDS.items())
        if name not in ("sgd", "adamw") and refusal(name) is None
    ),
)
"""What a recipe can name: two with defaults of recipes, the others of PyTorch with its own."""

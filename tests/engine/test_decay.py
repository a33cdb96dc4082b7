"""Optimisers of PyTorch by name, and parameters that weight decay leaves out."""

import pytest
import torch
from torch import nn

from stillhouse.engine.decay import decay_groups
from stillhouse.engine.optimisers import OPTIMIZERS, adamw, refusal, sgd
from stillhouse.errors import RecipeError

NAMES = {each.__name__: each for each in OPTIMIZERS}


class Tied(nn.Module):
    """Two layers of one weight, a bias that is a norm's shift too, and a norm of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.out = nn.Linear(3, 3), nn.Linear(3, 3)
        self.out.weight = self.embed.weight
        self.norm = nn.LayerNorm(3)
        self.out.bias = self.norm.bias
        self.own = MyRMSNorm()
        self.attention = nn.MultiheadAttention(4, 1)


class MyRMSNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))


def named(net: nn.Module, parameters: list[nn.Parameter]) -> set[str]:
    names = {id(p): name for name, p in net.named_parameters()}
    return {names[id(p)] for p in parameters}


@pytest.mark.parametrize(
    ("asked", "spared"),
    [
        (["norms"], {"norm.weight", "own.weight"}),
        (["biases"], {"embed.bias", "attention.in_proj_bias", "attention.out_proj.bias"}),
        (["norms", "biases"],
         {"norm.weight", "own.weight", "out.bias", "embed.bias", "attention.in_proj_bias",
          "attention.out_proj.bias"}),
    ],
)  # fmt: skip
def test_each_parameter_is_in_one_group(asked: list, spared: set[str]) -> None:
    net = Tied()
    decaying, without = decay_groups(net, net.parameters(), asked)
    assert named(net, without["params"]) == spared
    assert without["weight_decay"] == 0.0
    everything = [*decaying["params"], *without["params"]]
    assert len({id(p) for p in everything}) == len(everything) == len(list(net.parameters()))


def test_weights_move_by_decay_and_spared_ones_by_none() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    made = sgd(0.1, momentum=0.0, weight_decay=0.5, no_decay=("norms", "biases")).of(net)
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    made.step()
    for name, p in net.named_parameters():
        factor = 1 - 0.1 * 0.5 if name == "0.weight" else 1.0
        torch.testing.assert_close(p.detach(), before[name] * factor)


@pytest.mark.parametrize("name", NAMES)
def test_every_optimiser_steps_as_that_of_pytorch(name: str) -> None:
    torch.manual_seed(0)
    mine, other = nn.Parameter(torch.randn(3, 2)), None
    other = nn.Parameter(mine.detach().clone())
    factory = NAMES[name]()
    ours = factory([mine])
    theirs = factory.kind([other], **factory.settings)
    for step in range(3):
        for p in (mine, other):
            p.grad = torch.full_like(p, 0.5 + step) * p.detach()
        ours.step()
        theirs.step()
    torch.testing.assert_close(mine, other)
    assert not torch.equal(mine, torch.zeros(3, 2))


def test_all_of_torch_optim_are_there_or_say_why() -> None:
    kinds = {
        name.lower()
        for name, kind in vars(torch.optim).items()
        if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)
    } - {"optimizer"}
    assert {name for name in kinds if refusal(name)} == {"lbfgs", "sparseadam"}
    assert set(NAMES) == kinds - {"lbfgs", "sparseadam"}


def test_muon_moves_matrices_alone() -> None:
    muon = NAMES["muon"]()
    assert len(muon.of(nn.Linear(2, 2, bias=False)).param_groups) == 1
    with pytest.raises(RecipeError, match=r"0.weight has the shape \[4, 1, 3, 3\] \(2 of 3"):
        muon.of(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Linear(2, 2, bias=False)))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: sgd(0.0), "lr is 0.0; it must be above 0"),
        (lambda: sgd(float("nan")), "finite"),
        (lambda: sgd(float("inf")), "finite"),
        (lambda: sgd(True), "a number"),
        (lambda: sgd("fast"), "a number"),
        (lambda: sgd(momentum=1.5), "momentum is 1.5; it must be below 1"),
        (lambda: sgd(weight_decay=-1.0), "at least 0"),
        (lambda: sgd(nesterov=True, momentum=0.0), "nesterov needs"),
        (lambda: adamw(betas=(0.9, 1.0)), "below 1"),
        (lambda: adamw(betas=(0.9,)), "2 of them"),
        (lambda: adamw(no_decay=("norm",)), "nearest: norms"),
        (lambda: NAMES["rprop"](step_sizes=(2.0, 1.0)), "the smaller one first"),
        (lambda: NAMES["rprop"](etas=(0.5, 0.9)), "above 1"),
        (lambda: sgd(no_decay=("norms",))([nn.Parameter(torch.zeros(1))]), "give their module"),
    ],
)
def test_a_setting_out_of_its_range_is_a_sentence(make, said: str) -> None:
    with pytest.raises(RecipeError, match="optimizer '") as caught:
        make()
    assert said in str(caught.value)

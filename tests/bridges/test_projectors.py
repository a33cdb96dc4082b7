"""Projectors: their layers, what they refuse, and the update rule of the linear one."""

import pytest
import torch
from torch import Tensor, nn

from stillhouse.bridges import normaliser, projector
from stillhouse.engine.nodes import Bridge
from stillhouse.errors import WiringError


def layers(kind: str, student: int, teacher: int) -> list[tuple[str, tuple[int, ...]]]:
    made = projector(kind, student, teacher)
    parts = list(made) if isinstance(made, nn.Sequential) else [made]
    return [(type(part).__name__, tuple(getattr(part, "weight", torch.empty(0)).shape))
            for part in parts]  # fmt: skip


def test_the_layers_are_golden() -> None:
    """Hidden layers are four times as wide as the teacher's features; ReLU between."""
    relu = ("ReLU", (0,))
    assert layers("none", 5, 5) == [("Identity", (0,))]
    assert layers("linear", 3, 5) == [("Linear", (5, 3))]
    assert layers("mlp2", 3, 5) == [("Linear", (20, 3)), relu, ("Linear", (5, 20))]
    mlp3 = [("Linear", (20, 3)), relu, ("Linear", (20, 20)), relu, ("Linear", (5, 20))]
    assert layers("mlp3", 3, 5) == mlp3
    assert layers("conv1x1", 3, 5) == [("Conv2d", (5, 3, 1, 1))]


@pytest.mark.parametrize("kind", ["linear", "mlp2", "mlp3", "conv1x1"])
def test_all_layers_have_a_bias(kind: str) -> None:
    made = projector(kind, 3, 5)
    parts = [part for part in made.modules() if hasattr(part, "weight")]
    assert parts
    assert all(part.bias is not None for part in parts)


def test_a_1x1_convolution_is_the_linear_map_at_each_position() -> None:
    made, maps = projector("conv1x1", 3, 5), torch.randn(2, 3, 4, 6)
    assert isinstance(made, nn.Conv2d)
    value = made(maps)
    assert value.shape == (2, 5, 4, 6)
    wanted = made.weight[:, :, 0, 0] @ maps[1, :, 2, 3] + made.bias
    torch.testing.assert_close(value[1, :, 2, 3], wanted)


def test_no_projector_is_nothing_at_equal_widths_and_refused_at_others() -> None:
    value = torch.randn(2, 5)
    assert projector("none", 5, 5)(value) is value
    with pytest.raises(WiringError, match=r"'none': .*width 3, the teacher's 5; .*'linear'"):
        projector("none", 3, 5)


def test_an_unknown_kind_is_told_with_its_neighbours() -> None:
    with pytest.raises(WiringError, match=r"projector: no kind 'linaer'; nearest: linear"):
        projector("linaer", 3, 5)


def test_it_is_sized_by_signals() -> None:
    by = ["student.embedding", "teacher.embedding"]
    bridge = Bridge.sized("p", lambda s, t: projector("mlp2", s[1], t[1]), by[0], by=by)
    signals = {by[0]: torch.randn(2, 3), by[1]: torch.randn(2, 5)}
    bridge.build(signals)
    assert bridge.run(signals)["p"].shape == (2, 5)


def bare(student: int, teacher: int) -> nn.Linear:
    """The linear projector as the theory has it: no bias, float64."""
    made = projector("linear", student, teacher).double()
    assert isinstance(made, nn.Linear)
    nn.init.zeros_(made.bias).requires_grad_(False)
    return made


def features(seed: int, *shape: int) -> Tensor:
    made = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=made, dtype=torch.float64)


def distance(made: nn.Linear, z_s: Tensor, z_t: Tensor) -> Tensor:
    """D = 1/2 |Z_s W - Z_t|_F^2, with W the transpose of the layer's weight."""
    return (made(z_s) - z_t).square().sum() / 2


def test_the_update_rule_of_the_linear_projector() -> None:
    """-dD/dW = C_st - C_s W, with C_s = Z_s' Z_s and C_st = Z_s' Z_t."""
    made, z_s, z_t = bare(4, 6), features(0, 10, 4), features(1, 10, 6)
    distance(made, z_s, z_t).backward()
    w = made.weight.detach().T
    assert made.weight.grad is not None
    torch.testing.assert_close(-made.weight.grad.T, z_s.T @ z_t - z_s.T @ z_s @ w)


def test_a_step_of_sgd_with_weight_decay_is_that_of_the_paper() -> None:
    """W <- (1 - eta) W + a (C_st - C_s W), where the decay of PyTorch is eta / a."""
    made, z_s, z_t = bare(4, 6), features(0, 10, 4), features(1, 10, 6)
    w, rate, decay = made.weight.detach().T.clone(), 0.01, 0.3
    optimizer = torch.optim.SGD([made.weight], lr=rate, weight_decay=decay)
    distance(made, z_s, z_t).backward()
    optimizer.step()
    wanted = (1 - rate * decay) * w + rate * (z_s.T @ z_t - z_s.T @ z_s @ w)
    torch.testing.assert_close(made.weight.detach().T, wanted)


@pytest.mark.parametrize("whitened", [True, False])
def test_the_fixed_point_of_a_whitened_student_is_the_cross_correlation(whitened: bool) -> None:
    """W = C_st where C_s = I, found by gradient descent; else it is least squares, and not C_st."""
    z_s, z_t = features(0, 40, 4) * torch.tensor([3.0, 2.0, 1.0, 0.5]), features(1, 40, 6)
    if whitened:
        z_s = normaliser("whiten", 4)(z_s).double() / 40**0.5
    c_s, c_st = z_s.T @ z_s, z_s.T @ z_t
    made = bare(4, 6)
    optimizer = torch.optim.SGD([made.weight], lr=1.0 / torch.linalg.eigvalsh(c_s)[-1].item())
    for _ in range(600):
        optimizer.zero_grad()
        distance(made, z_s, z_t).backward()
        optimizer.step()
    w = made.weight.detach().T
    torch.testing.assert_close(w, torch.linalg.solve(c_s, c_st), rtol=1e-4, atol=1e-4)
    gap = (w - c_st).abs().max().item() / c_st.abs().max().item()
    assert gap < 1e-2 if whitened else gap > 0.1

"""Every formula of the catalogue keeps the contract; each broken promise is caught and named."""

import inspect
import re
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse import functional, losses
from stillhouse.engine.terms import Term
from stillhouse.functional import LOSSES, decoupled_kl, kl, mse, neighbour_products
from stillhouse.losses import GaussianNLL, MemoryContrast, PastPredictions
from stillhouse.testing import ContractError, check_loss
from stillhouse.testing.contract import may_be_left_out, positional
from stillhouse.testing.loss_trial import draw_inputs

by_name = {"ids": lambda loss: loss.__name__}

WORDS = {
    "relational": r"returns \[\]",
    "one per example": r"returns \[B\]",
    "not zero at equal": r"\bnot 0 (at|where)\b",
    "minimal at equal": r"\bsmallest at s = t\b",
    "ordered": r"\bdecided by the shuffle\b",
    "signs": r"\bonly the sign counts\b",
}
"""What a loss is said to be by its docstring; what none of these says is the rule."""


def says(loss: Callable[..., Tensor], what: str) -> bool:
    text = " ".join((inspect.getdoc(loss) or "").split())
    return re.search(WORDS[what], text) is not None


def kind_of(loss: Callable[..., Tensor]) -> str:
    return "labels" if list(positional(loss))[1] == "label" else "features"


def zero_at_equal(loss: Callable[..., Tensor]) -> bool:
    told = says(loss, "not zero at equal") or says(loss, "minimal at equal")
    return kind_of(loss) != "labels" and not told


def shapes_of(loss: Callable[..., Tensor]) -> list[tuple[int, ...] | None]:
    """The shapes that its docstring promises for the student: [B, ...] means any."""
    found = re.search(r"student[^\[]*\[B, ([^\]]*)\]", inspect.getdoc(loss) or "")
    assert found, f"{loss.__name__}: its docstring gives no shape of the student"
    if found[1] == "...":
        return [(6, 8), (4, 3, 2, 2), (4, 5, 3)]
    return [{1: (6, 5), 2: (4, 5, 3), 3: (4, 3, 2, 2)}[len(found[1].split(","))]]


def inputs_of(loss: Callable[..., Tensor]) -> tuple[Tensor, ...]:
    needed = [name for name, each in positional(loss).items() if not may_be_left_out(each)]
    return draw_inputs(needed, kind_of(loss), shapes_of(loss)[0])


@pytest.mark.parametrize("loss", LOSSES, **by_name)
def test_the_catalogue_keeps_the_contract(loss: Callable[..., Tensor]) -> None:
    claims = {
        "zero_at_equal": zero_at_equal(loss),
        "minimal_at_equal": says(loss, "minimal at equal"),
        "ordered": says(loss, "ordered"),
    }
    for shape in shapes_of(loss):
        check_loss(loss, kind=kind_of(loss), shape=shape, **claims)


@pytest.mark.parametrize("loss", LOSSES, **by_name)
def test_a_loss_is_what_its_docstring_says(loss: Callable[..., Tensor]) -> None:
    inputs = inputs_of(loss)
    assert says(loss, "relational") != says(loss, "one per example")
    assert loss(*inputs).shape == (() if says(loss, "relational") else (len(inputs[0]),))
    if kind_of(loss) == "features":
        equal = loss(inputs[0], inputs[0], *inputs[2:]).abs().max()
        assert (equal < 1e-5) == zero_at_equal(loss)


def remembering() -> nn.Module:
    """Six rows, and as many negatives as there are: all of them, whatever is drawn."""
    loss = MemoryContrast(torch.arange(6) % 2, width=8, negatives=3)
    loss(*draw_inputs(["student", "teacher", "index"], "features", (6, 8)))  # which fixes Z
    return loss


MODULES: dict[str, tuple[Callable[[], nn.Module], dict[str, object]]] = {
    "GaussianNLL": (lambda: GaussianNLL(8), {"kind": "features", "minimal_at_equal": True}),
    "MemoryContrast": (remembering, {"kind": "features"}),
    "PastPredictions": (lambda: PastPredictions(6, 8), {"kind": "labels"}),
}
"""How to make each loss of the room `losses` for trial at inputs of [6, 8], and what it claims."""


@pytest.mark.parametrize("loss", losses.LOSSES, **by_name)
def test_losses_with_parameters_or_memory_keep_the_contract(loss: type[nn.Module]) -> None:
    assert loss.__name__ in MODULES, "say how to make it"
    make, claims = MODULES[loss.__name__]
    check_loss(make(), shape=(6, 8), **claims)


@pytest.mark.parametrize("loss", [*LOSSES, *losses.LOSSES], **by_name)
def test_autocast_around_a_loop_of_ones_own_changes_no_value(loss: Callable[..., Tensor]) -> None:
    """In the engine no loss sees autocast; who calls a loss in a loop of their own may have it."""
    if loss in losses.LOSSES:
        make, claims = MODULES[loss.__name__]
        loss = make().eval()
        inputs = draw_inputs(list(positional(loss.forward)), claims["kind"], (6, 8))
    else:
        inputs = inputs_of(loss)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(*inputs)
    torch.testing.assert_close(value, loss(*inputs), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES, **by_name)
def test_a_term_keeps_gradients_from_the_targets(loss: Callable[..., Tensor]) -> None:
    inputs = [x.requires_grad_(x.is_floating_point()) for x in inputs_of(loss)]
    signals = dict(zip("abc", inputs, strict=False))
    value = Term("any", loss, list(signals)).value(signals)
    assert value.shape == ()
    value.backward()
    assert inputs[0].grad is not None
    assert [x.grad for x in inputs[1:]] == [None] * len(inputs[1:])


@pytest.mark.parametrize("loss", [x for x in LOSSES if kind_of(x) != "labels"], **by_name)
def test_a_term_through_everything_moves_the_targets_too(loss: Callable[..., Tensor]) -> None:
    inputs = [x.requires_grad_(x.is_floating_point()) for x in inputs_of(loss)]
    signals = dict(zip("abc", inputs, strict=False))
    Term("any", loss, list(signals), through=True).value(signals).backward()
    for x in inputs[:1] if says(loss, "signs") else inputs[:2]:
        assert x.grad is not None
        assert x.grad.isfinite().all()
        assert x.grad.any()


@pytest.mark.parametrize("settings", [{"alpha": 0.0}, {"beta": 0.0}, {"temperature": 0.5}])
@pytest.mark.parametrize("classes", [3, 50])
def test_decoupled_kl_keeps_the_contract(settings: dict[str, float], classes: int) -> None:
    check_loss(decoupled_kl, zero_at_equal=True, options=settings, shape=(6, classes))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 20.0])
def test_kl_keeps_the_contract_at_any_temperature(temperature: float) -> None:
    check_loss(kl, zero_at_equal=True, options={"temperature": temperature})


def test_soft_cross_entropy_is_minimal_but_not_zero() -> None:
    def soft(student: Tensor, teacher: Tensor) -> Tensor:
        return -(teacher.float().softmax(1) * student.float().log_softmax(1)).sum(1)

    check_loss(soft, minimal_at_equal=True)
    with pytest.raises(ContractError, match="where student == teacher, not 0"):
        check_loss(soft, zero_at_equal=True)


def test_a_relational_loss_with_a_kink_keeps_the_contract() -> None:
    def distances(student: Tensor, teacher: Tensor) -> Tensor:
        s, t = ((x.float() @ x.float().T) / x.shape[1] for x in (student, teacher))
        return F.smooth_l1_loss(s, t)

    def absolute(student: Tensor, teacher: Tensor) -> Tensor:
        return (student.float() - teacher.float()).abs().mean(1)

    check_loss(distances, kind="features", zero_at_equal=True)
    check_loss(absolute, kind="features", zero_at_equal=True)


class Learned(nn.Module):
    """A loss with a parameter and a memory, which it fills as it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, student: Tensor, teacher: Tensor, index: Tensor, label: Tensor) -> Tensor:
        assert index.dtype == label.dtype == torch.int64
        self.seen += len(index)
        return self.scale * mse(student, teacher) + 0.0 * self.seen


def test_a_module_with_memory_keeps_the_contract_and_its_memory() -> None:
    loss = Learned()
    check_loss(loss, kind="features", zero_at_equal=True)
    assert loss.seen == 0


def test_a_loss_that_detaches_on_purpose_may_say_so() -> None:
    def weighted(student: Tensor, teacher: Tensor) -> Tensor:
        value = mse(student, teacher)
        return value * value.detach()

    check_loss(weighted, zero_at_equal=True, detaches=True)
    with pytest.raises(ContractError, match="say detaches=True"):
        check_loss(weighted, zero_at_equal=True)


def test_a_loss_that_depends_on_the_order_on_purpose_may_say_so() -> None:
    check_loss(neighbour_products, kind="features", zero_at_equal=True, ordered=True)
    with pytest.raises(ContractError, match=r"permuted examples change it .* say ordered=True"):
        check_loss(neighbour_products, kind="features", zero_at_equal=True)


def squares(student: Tensor, teacher: Tensor) -> Tensor:
    return (student.float() - teacher.float()).square()


def by_position(student: Tensor, teacher: Tensor, temperature: float = 4.0) -> Tensor:
    return kl(student, teacher, temperature=temperature)


def no_default(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    return kl(student, teacher, temperature=temperature)


def unreduced(student: Tensor, teacher: Tensor) -> Tensor:
    return squares(student, teacher)


def a_number(student: Tensor, teacher: Tensor) -> float:
    return squares(student, teacher).mean().item()


def writes(student: Tensor, teacher: Tensor) -> Tensor:
    teacher -= teacher.mean()
    return mse(student, teacher)


def half(student: Tensor, teacher: Tensor) -> Tensor:
    return (student - teacher).square().mean(1)


def half_inside(student: Tensor, teacher: Tensor) -> Tensor:
    return (student - teacher).square().mean(1).float()


def overflows(student: Tensor, teacher: Tensor) -> Tensor:
    p, q = (x.float().exp() / x.float().exp().sum(1, True) for x in (teacher, student))
    return (p * (p.log() - q.log())).sum(1)


def root(student: Tensor, teacher: Tensor) -> Tensor:
    return squares(student, teacher).sum(1).sqrt()


def spread(student: Tensor, teacher: Tensor) -> Tensor:
    return squares(student, teacher).sum() / (len(student) - 1)


def offset(student: Tensor, teacher: Tensor) -> Tensor:
    return mse(student, teacher) + 0.1


def negative(student: Tensor, teacher: Tensor) -> Tensor:
    return -mse(student, teacher)


def detached(student: Tensor, teacher: Tensor) -> Tensor:
    return mse(student.detach(), teacher)


def partly_detached(student: Tensor, teacher: Tensor) -> Tensor:
    log_s = student.float().log_softmax(1)
    return kl(student, teacher) * (1 + 0.0 * log_s.sum(1)) * mse(student, teacher).detach()


def ordered(student: Tensor, teacher: Tensor) -> Tensor:
    return mse(student, teacher) * torch.arange(1, len(student) + 1)


def over_the_batch(student: Tensor, teacher: Tensor) -> Tensor:
    gap = squares(student, teacher).sum(1)
    return gap / (gap.detach().mean() + 1.0)


def mean_of_all(student: Tensor, teacher: Tensor) -> Tensor:
    return F.mse_loss(student.float(), teacher.float())


def sum_of_all(student: Tensor, teacher: Tensor) -> Tensor:
    return squares(student, teacher).sum()


def squeezes(student: Tensor, teacher: Tensor) -> Tensor:
    return squares(student, teacher).mean(1, keepdim=True).squeeze()


def distances_by_root(student: Tensor, teacher: Tensor) -> Tensor:
    def between(x: Tensor) -> Tensor:
        rows, columns = torch.triu_indices(len(x), len(x), offset=1)
        apart = (x.float()[rows] - x.float()[columns]).square().sum(1)
        return (apart + 1e-3 * (apart < 1e-12).all()).sqrt()  # safe only where all are equal

    return squares(between(student), between(teacher)).sum() / len(student) ** 2


def infinite_unit(student: Tensor, teacher: Tensor) -> Tensor:
    """Columns in units of their largest probability, however small that is."""
    p, q = (x.float().softmax(1) for x in (student, teacher))
    p, q = (x / x.detach().amax(0, keepdim=True).clamp(min=1e-45) for x in (p, q))
    return squares(p, q).sum() / len(p) ** 2


def breaks_the_graph(student: Tensor, teacher: Tensor) -> Tensor:
    return mse(student, teacher) if student.sum().item() < 1e9 else mse(student, teacher) * 2


CLAIM = {"zero_at_equal": True}
BROKEN = [
    (by_position, {}, "keyword-only", "'temperature' can be given by position"),
    (no_default, {}, "keyword-only", "'temperature' has no default"),
    (unreduced, {}, "shape", r"it gives \[6, 5\] for a batch of 6"),
    (a_number, {}, "shape", "it gives a float, not a tensor"),
    (writes, {}, "inputs unchanged", "it writes into its input 2"),
    (half, {}, "float32", "it gives torch.bfloat16 for torch.bfloat16"),
    (half_inside, {}, "float32", "it computes in torch.bfloat16"),
    (infinite_unit, {}, "finite", "where one class is 95 below the others its gradient is"),
    (overflows, {}, "finite", r"at 10000 it is nan"),
    (root, {}, "finite", r"its gradient is nan"),
    (spread, {}, "finite", r"for a batch of one example it is inf"),
    (offset, CLAIM, "at equal", r"it is 0.1 where student == teacher, not 0"),
    (negative, CLAIM, "at equal", "it is negative"),
    (negative, {"minimal_at_equal": True}, "at equal", "lower beside student == teacher"),
    (detached, {}, "gradient", "none reaches the student"),
    (partly_detached, {}, "gradient", "finite differences give"),
    (ordered, {}, "permutation", "permuted examples change it"),
    (over_the_batch, {"detaches": True}, "independent", "a change of example 0 changes"),
    (squeezes, {}, "shape", r"it gives \[6\] for a batch of 6 and \[\] for a batch of one"),
    (distances_by_root, {}, "finite", "two examples of the student are equal its gradient is "),
    (mean_of_all, CLAIM, "related", r"it is the mean of .* return these values, \[6\]"),
    (sum_of_all, CLAIM, "related", "it is the sum of what its examples give alone"),
    (breaks_the_graph, {}, "compiles", r"on \[6, 5\], \[6, 5\]: "),
]


@pytest.mark.parametrize(
    ("loss", "claims", "promise", "message"),
    BROKEN,
    ids=[f"{loss.__name__}-{promise}" for loss, _, promise, _ in BROKEN],
)
def test_a_broken_promise_is_caught_and_named(
    loss: Callable[..., Tensor], claims: dict[str, object], promise: str, message: str
) -> None:
    with pytest.raises(ContractError, match=message) as caught:
        check_loss(loss, **claims)
    assert caught.value.promise == promise
    assert f"loss '{loss.__name__}'" in str(caught.value)


class Holding(nn.Module):
    """A memory that keeps the graph of the step before."""

    def __init__(self, *, detached: bool) -> None:
        super().__init__()
        self.detached = detached
        self.register_buffer("memory", torch.zeros(5))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        seen = student.float().mean(0)
        self.memory = 0.9 * self.memory + 0.1 * (seen.detach() if self.detached else seen)
        apart = squares(student[:, None], student[None]).sum()
        return apart / len(student) ** 2 + squares(self.memory, teacher.float().mean(0)).sum()


def test_a_memory_that_keeps_the_graph_is_caught_in_the_second_step() -> None:
    check_loss(Holding(detached=True), detaches=True)
    with pytest.raises(ContractError, match="to be stored detached") as caught:
        check_loss(Holding(detached=False))
    assert caught.value.promise == "remembers"


def test_what_is_no_loss_and_no_kind_is_told() -> None:
    with pytest.raises(ContractError, match="'kl' is no loss; give the function itself"):
        check_loss("kl")
    with pytest.raises(ContractError, match="kind is 'logit'; nearest: logits"):
        check_loss(kl, kind="logit")


def test_a_claim_of_zero_against_labels_is_refused() -> None:
    with pytest.raises(ContractError, match="class indices cannot equal the student"):
        check_loss(functional.cross_entropy, kind="labels", zero_at_equal=True)


def test_a_loss_that_fails_says_on_what() -> None:
    def fails(student: Tensor, teacher: Tensor) -> Tensor:
        return mse(student, teacher[:, :2])

    with pytest.raises(ContractError, match=r"'shape': on \[6, 5\], \[6, 5\]: RuntimeError"):
        check_loss(fails)

"""Networks as users bring them: wrapped, compiled, half frozen, in another precision."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import stillhouse as sh
from stillhouse.engine.nodes import Ema, Role
from stillhouse.engine.observer import NullObserver
from stillhouse.engine.optimisers import optimizer_of, sgd
from stillhouse.errors import ModelError, StillhouseError, WiringError
from stillhouse.methods import kd, plain
from stillhouse.models import describe
from stillhouse.models.given import copied, unwrapped
from stillhouse.models.learnable import check_learnable
from stillhouse.students.derived import numbers
from stillhouse.students.quantised import quantised
from stillhouse.students.quantised.network import share_rounded

pytestmark = pytest.mark.programs

IMAGES = torch.randn(32, 1, 6, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(32) % 3
DATA = TensorDataset(IMAGES, LABELS)


class Net(nn.Module):
    """A convolution, a batch norm and a classifier of 3 classes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.bn, self.fc = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, image: Tensor) -> Tensor:
        """Logits [B, 3]."""
        return self.fc(self.bn(self.conv(image)).relu().mean((2, 3)))  # type: ignore[no-any-return]


class Hollow(Net):
    """Has a length, which is 0, so it is false."""

    def __len__(self) -> int:
        return 0


class Silent(Net):
    """Answers in inference mode."""

    @torch.inference_mode()
    def forward(self, image: Tensor) -> Tensor:
        """Logits."""
        return super().forward(image)


class Stateful(Net):
    """Keeps more than tensors in its state dict."""

    def get_extra_state(self) -> dict[str, int]:
        """A number of its own."""
        return {"calls": 1}

    def set_extra_state(self, state: dict[str, int]) -> None:
        """Nothing to do."""


def compiled() -> nn.Module:
    """A network inside the wrapper of `torch.compile`."""
    return torch.compile(Net(), backend="eager")  # type: ignore[return-value]


def exported() -> torch.export.ExportedProgram:
    """An exported network of any number of images."""
    rows = torch.export.Dim("rows", min=1)
    return torch.export.export(Net().eval(), (IMAGES[:4],), dynamic_shapes=({0: rows},))


def trained(student: nn.Module, teacher: object = None) -> dict[str, Tensor]:
    """The weights of a student after one epoch, without the prefix of a wrapper."""
    stage = plain(student) if teacher is None else kd(student, teacher)  # type: ignore[arg-type]
    fitted = sh.fit(stage, DATA, validation=DATA, epochs=1, batch_size=16)
    return fitted.last["student"]


@pytest.mark.parametrize(
    "teacher",
    [Hollow, compiled, lambda: nn.DataParallel(Net()), exported, Silent,
     lambda: torch.jit.trace(Net().eval(), IMAGES[:4]), Stateful,
     lambda: torch.optim.swa_utils.AveragedModel(Net())],
    ids=["length 0", "compiled", "data parallel", "exported", "inference mode", "traced",
         "extra state", "averaged"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:`torch.jit.trace")  # its category differs between versions
def test_a_teacher_teaches_the_same_however_it_is_wrapped(teacher: Callable[[], object]) -> None:
    wanted, found = trained(Net(), Net()), trained(Net(), teacher())
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "student",
    [
        Hollow,
        compiled,
        lambda: nn.DataParallel(Net()),
        Stateful,
    ],
    ids=["length 0", "compiled", "data parallel", "extra state"],
)
def test_a_student_learns_the_same_however_it_is_wrapped(student: Callable[[], nn.Module]) -> None:
    wanted, found = trained(Net(), Net()), trained(student(), Net())
    assert {name for name in found if "extra" not in name} == set(wanted)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_teacher_in_its_own_precision_is_read_in_that_of_the_images(dtype: torch.dtype) -> None:
    own = Net().to(dtype).eval()
    wanted = own(IMAGES.to(dtype)).float()
    stage = kd(Net(), own)
    for autocast in (None, torch.bfloat16):
        with stage.open(IMAGES, LABELS, autocast=autocast) as objective:
            seen = objective(IMAGES, LABELS).signals["teacher.logits"]
        assert seen.dtype == torch.float32
        assert torch.equal(seen, wanted)


def test_a_student_in_float64_learns() -> None:
    found = trained(Net().double(), Net())
    assert found["fc.weight"].dtype == torch.float64
    assert not torch.equal(found["fc.weight"], Net().double().fc.weight)


def test_modes_and_frozen_parts_that_were_given_are_kept() -> None:
    net = Net()
    net.bn.eval()
    net.conv.requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    trained(net)
    now = net.state_dict()
    moved = {name for name in now if not torch.equal(now[name], before[name])}
    assert moved == {"bn.weight", "bn.bias", "fc.weight", "fc.bias"}
    assert (net.training, net.bn.training, net.conv.weight.requires_grad) == (True, False, False)
    with plain(net).open(IMAGES, LABELS) as objective:
        objective.eval()
        objective.train()
        net.train()
        objective(IMAGES, LABELS)
        assert not net.bn.training
        assert net.fc.training


def test_a_student_that_came_in_eval_mode_trains_like_any_other() -> None:
    net = Net().eval()
    trained(net)
    assert float(net.bn.running_mean.abs().sum()) > 0  # type: ignore[union-attr]
    assert not net.training


def test_what_cannot_learn_is_said() -> None:
    with pytest.raises(WiringError, match=r"student: all 63 parameters of it are frozen"):
        trained(Net().requires_grad_(False), Net())


def test_a_mask_of_infinity_is_no_fault_of_the_training() -> None:
    net = Net()
    net.register_buffer("mask", torch.tensor([0.0, float("-inf")]))
    assert torch.equal(trained(net)["mask"], torch.tensor([0.0, float("-inf")]))
    mean = Ema("mean", Role("student", net), decay=0.5)
    mean.follow()
    assert torch.equal(mean.module.mask, net.mask)  # type: ignore[arg-type]


def test_a_weight_that_came_to_infinity_is_one() -> None:
    net = Net()
    net.register_buffer("mask", torch.tensor([0.0, float("-inf")]))
    with plain(net).open(IMAGES, LABELS) as objective:
        assert objective.finite
        net.mask[0] = float("inf")  # type: ignore[index]
        assert not objective.finite


def test_tied_weights_follow_once() -> None:
    tied = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    tied[1].weight = tied[0].weight
    mean = Ema("mean", Role("student", tied), decay=0.9)
    with torch.no_grad():
        tied[0].weight.add_(1.0)
    mean.follow()
    gap = tied[0].weight - mean.module[0].weight  # type: ignore[index]
    torch.testing.assert_close(gap, torch.full((2, 2), 0.9))


def test_tied_weights_learn_count_and_round_once() -> None:
    class Tied(Net):
        """Its classifier is there twice."""

        def __init__(self) -> None:
            super().__init__()
            self.again = nn.Linear(4, 3)
            self.again.weight = self.fc.weight

        def forward(self, image: Tensor) -> Tensor:
            """Logits of both."""
            x = self.bn(self.conv(image)).relu().mean((2, 3))
            return self.fc(x) + self.again(x)  # type: ignore[no-any-return]

    net, distinct = Tied(), 4 * 9 + 4 + 8 + 12 + 3 + 3
    assert describe(net).parameters == numbers(net) == distinct
    with plain(net).open(IMAGES, LABELS) as objective:
        for rule in (sgd(0.1), sgd(0.1, no_decay=("norms", "biases"))):
            groups = optimizer_of(rule, objective).param_groups
            assert sum(p.numel() for group in groups for p in group["params"]) == distinct
    rounding = quantised(net, IMAGES[:2])
    assert rounding.again.weight is rounding.fc.weight  # type: ignore[union-attr]
    assert share_rounded(rounding) == (36 + 12) / distinct
    twin = copied(net)
    assert twin.again.weight is twin.fc.weight
    last = trained(net)
    assert torch.equal(last["again.weight"], last["fc.weight"])


class Parametrised(nn.Module):
    """Three kinds of parametrised weights."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        made = torch.nn.utils.parametrizations
        self.conv = made.spectral_norm(nn.Conv2d(1, 4, 3))
        self.mix = made.orthogonal(nn.Linear(4, 4))
        self.fc = made.weight_norm(nn.Linear(4, 3))

    def forward(self, image: Tensor) -> Tensor:
        """Logits [B, 3]."""
        return self.fc(self.mix(self.conv(image).relu().mean((2, 3))))  # type: ignore[no-any-return]


def test_parametrised_weights_train_stop_go_on_and_are_copied(tmp_path: Path) -> None:
    class Stop(NullObserver):
        """After the first epoch."""

        def epoch(self, record: dict[str, object], _: object) -> None:
            """Stop."""
            raise KeyboardInterrupt

    def fitted(**more: object) -> dict[str, Tensor]:
        stage, rules = kd(Parametrised(), Parametrised()), sh.Settings(checkpoint_seconds=0.0)
        return sh.fit(stage, DATA, epochs=2, batch_size=8, settings=rules, **more).last["student"]

    whole = fitted()
    with pytest.raises(KeyboardInterrupt):
        fitted(directory=tmp_path, observer=Stop())
    resumed = fitted(directory=tmp_path)
    start = Parametrised().state_dict()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
    learnt = {name.partition(".")[0] for name in whole if not torch.equal(whole[name], start[name])}
    assert learnt == {"conv", "mix", "fc"}
    net = Parametrised().eval()
    net.load_state_dict(whole)
    assert torch.equal(copied(net)(IMAGES), net(IMAGES))


def test_what_has_no_weights_yet_is_said() -> None:
    with pytest.raises(ModelError, match=r"teacher \(Linear\): 'weight' has no values \(device me"):
        unwrapped(nn.Linear(2, 2, device="meta"), who="teacher")
    lazy = nn.LazyLinear(2)
    with pytest.raises(ModelError, match=r"student.*not initialised yet"):
        unwrapped(lazy, who="student")


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm:FutureWarning")
def test_a_copy_has_the_answers_and_nothing_of_the_network() -> None:
    net = Net()
    net.fc = nn.utils.weight_norm(net.fc)
    net.kept = [net.conv(IMAGES)]  # type: ignore[assignment]
    twin = copied(net.eval())
    assert torch.equal(twin(IMAGES), net(IMAGES))
    mine = {p.data_ptr() for p in net.parameters()}
    assert not mine & {p.data_ptr() for p in twin.parameters()}


def test_what_cannot_be_copied_is_named() -> None:
    import threading

    net = Net()
    net.lock = threading.Lock()  # type: ignore[assignment]
    with pytest.raises(ModelError, match=r"teacher \(Net\) cannot be copied: its attribute 'lock'"):
        copied(net, who="teacher")
    net = Net()
    net.fc.weight.register_hook(lambda grad: grad * 0)
    with pytest.raises(
        ModelError, match=r"student \(Net\): 'fc.weight' has a hook on its gradient"
    ):
        copied(net, who="student")


class Unready(nn.Module):
    """Whose author forgot super().__init__()."""

    def __init__(self) -> None:
        pass


def test_what_is_no_module_yet_is_said() -> None:
    with pytest.raises(ModelError, match=r"student \(Unready\): its __init__ does not call super"):
        unwrapped(Unready(), who="student")


class Odd(Net):
    """Whose state has a number in it, or is not what it reads."""

    more: object = 5

    def state_dict(self, *args: object, **kwargs: object) -> dict[str, object]:  # type: ignore[override]
        """One more entry."""
        return {**super().state_dict(*args, **kwargs), "more": self.more}  # type: ignore[arg-type]


def test_what_cannot_learn_and_be_kept_is_said_beforehand() -> None:
    check_learnable(Net(), who="student")
    check_learnable(Net().bfloat16(), who="student")
    with pytest.raises(ModelError, match=r"student: its weights are float16"):
        check_learnable(Net().half(), who="student")
    odd = Odd()
    with pytest.raises(ModelError, match=r"student: 'more' of its state dict is of type int"):
        check_learnable(odd, who="student")
    odd.more = torch.ones(1)
    with pytest.raises(ModelError, match=r"student: it does not read the state dict that it gives"):
        check_learnable(odd, who="student")


class InPlace(nn.Module):
    """Gives two tensors, the first of which its caller changes in place."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """A map and its mean."""
        return x * 1.0, x.mean()


class Changed(Net):
    """Changes what a part of it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.part = InPlace()

    def forward(self, image: Tensor) -> Tensor:
        """Logits."""
        y, _ = self.part(self.bn(self.conv(image)))
        return self.fc(y.relu_().mean((2, 3)))  # type: ignore[no-any-return]


def test_a_tensor_inside_a_tuple_that_is_changed_in_place_is_refused() -> None:
    role = Role("student", Changed())
    role.open(["part:0"])
    role.watch()
    with pytest.raises(StillhouseError, match="'part:0' is changed in place"):
        role.run({"batch.image": IMAGES})
    role.close()

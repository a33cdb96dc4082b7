"""The objective in somebody's own loop: what it gives, what it leaves behind, what it refuses."""

import copy

import pytest
import torch
import torch.nn.functional as F
from ranks import launch
from tiny import tiny_net
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import stillhouse as sh
from stillhouse.engine.nodes import Ema, Role
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import OverTraining, Term, ramp
from stillhouse.errors import RecipeError, WiringError
from stillhouse.functional import kl
from stillhouse.methods import adversarial_kd, crd, cs_kd, dkd, ema_kd, fitnet, kd, ps_kd
from stillhouse.methods.roles import label_term

STEPS, T = 6, 3.0


@pytest.fixture
def images() -> Tensor:
    return torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def labels() -> Tensor:
    return torch.arange(16) % 3


def hooks(net: nn.Module) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in net.modules())


def test_ten_lines_equal_the_loop_without_us(images: Tensor, labels: Tensor) -> None:
    student, teacher = tiny_net(4, 1), tiny_net(6, 2)
    alone, frozen = copy.deepcopy(student).train(), copy.deepcopy(teacher).eval()
    optimizer = torch.optim.SGD(alone.parameters(), 0.1, momentum=0.9)
    for _ in range(STEPS):
        logits = alone(images)
        with torch.no_grad():
            soft = F.softmax(frozen(images) / T, 1)
        kl_by_hand = (soft * (soft.log() - F.log_softmax(logits / T, 1))).sum(1).mean()
        loss = 0.1 * F.cross_entropy(logits, labels) + 0.9 * T**2 * kl_by_hand
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    stage = kd(student, teacher, temperature=T, weight=0.9, label_weight=0.1)
    with stage.open(images, labels) as objective:
        optimizer = torch.optim.SGD(objective.parameters(), 0.1, momentum=0.9)
        for step in range(STEPS):
            out = objective(images, labels)
            out.loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            objective.after_step(progress=step / STEPS)
    assert list(out.terms) == ["label", "kd"]
    assert [round(w.item(), 6) for w in out.weights.values()] == [0.1, 0.9]
    assert out.loss.item() == pytest.approx(loss.item(), rel=1e-5)
    assert torch.equal(out.signals["teacher.logits"], frozen(images))
    for (name, mine), theirs in zip(
        student.state_dict().items(), alone.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5, msg=name)


def test_what_learns_is_all_that_is_given_and_everything_is_put_back(
    images: Tensor, labels: Tensor
) -> None:
    student, teacher = tiny_net(4, 1).eval(), tiny_net(6, 2).train()
    student.conv.bias.requires_grad_(False)
    objective = fitnet(student, teacher, pairs=(("conv", "conv"),)).open(images, labels)
    names = [name for name, _ in objective.named_parameters()]
    assert {name.split(".")[1] for name in names} == {"student", "hinted"}
    assert "nodes.student.conv.bias" not in names
    learning = {id(p) for p in objective.parameters()}
    assert not learning & {id(p) for p in teacher.parameters()}
    bridge = list(objective.nodes["hinted"].parameters())
    assert len(learning) == len(list(student.parameters())) - 1 + len(bridge)
    assert (student.training, teacher.training) == (True, False)
    teacher.train()
    objective(images, labels)
    assert not teacher.bn.training, "whatever anyone calls"
    state = objective.state_dict()
    assert not any("teacher" in name for name in state)
    objective.load_state_dict(state)
    objective.close()
    assert (student.training, teacher.training) == (False, True)
    assert not student.conv.bias.requires_grad
    assert all(p.requires_grad for p in teacher.parameters())
    assert hooks(student) == hooks(teacher) == 0
    with pytest.raises(WiringError, match="the objective is closed; open the stage again"):
        objective(images, labels)
    objective.reopen()
    assert objective(images, labels).signals["student.conv"].shape == (16, 4, 8, 8)
    objective.close()


def test_weights_and_moving_averages_follow_the_share_of_the_training(
    images: Tensor, labels: Tensor
) -> None:
    role = Role("student", tiny_net(4, 1))
    terms = [
        label_term(OverTraining(lambda share: 1.0 - share)),
        Term("warm", kl, ["student.logits", "mean.logits"], weight=ramp(8.0, epochs=20)),
    ]
    stage = Stage("s", [role, mean := Ema("mean", role, decay=0.9)], [Update("student", terms)])
    with stage.open(images, labels, epochs=40) as objective:
        start = mean.module.fc.weight.clone()
        with torch.no_grad():
            role.module.fc.weight.add_(1.0)
        objective.after_step(progress=0.25)
        assert [w.item() for w in objective(images, labels).weights.values()] == [0.75, 4.0]
        torch.testing.assert_close(mean.module.fc.weight, start + 0.1)
        for wrong, said in ((None, "say how much of it is done"), (1.5, "in 0..1, not 1.5")):
            with pytest.raises(WiringError, match=said):
                objective.after_step(progress=wrong)
    with ema_kd(tiny_net(4, 1)).open(images, labels) as objective:
        assert any(name.startswith("nodes.mean.") for name in objective.state_dict())
        assert not any(name.startswith("nodes.mean.") for name, _ in objective.named_parameters())
    with kd(tiny_net(4, 1), tiny_net(4, 2)).open(images, labels) as objective:
        objective.after_step()  # nothing follows


def test_each_optimiser_has_a_module_of_its_own(images: Tensor, labels: Tensor) -> None:
    student, teacher = tiny_net(4, 1), tiny_net(4, 2)
    with adversarial_kd(student, teacher).open(images, labels) as objective:
        with pytest.raises(WiringError, match=r"several updates in a step \(critic, student\)"):
            objective(images, labels)
        critic, learner = objective.updates
        mine = {id(p) for p in student.parameters()}
        assert not mine & {id(p) for p in critic.parameters()}
        assert mine <= {id(p) for p in learner.parameters()}
        critic(images, labels).loss.backward()
        assert all(p.grad is None for p in student.parameters())
        told = [p.grad.clone() for p in critic.parameters()]
        learner(images, labels).loss.backward()
        assert all(torch.equal(a, p.grad) for a, p in zip(told, critic.parameters(), strict=True))
        assert student.fc.weight.grad is not None


def test_methods_with_a_memory_ask_for_rows(images: Tensor, labels: Tensor) -> None:
    index = torch.arange(16)
    for make in (lambda: crd(tiny_net(4, 1), tiny_net(4, 2)), lambda: ps_kd(tiny_net(4, 1))):
        with pytest.raises(WiringError, match=r"rows: this method remembers each training row"):
            make().open(images, labels, index=index)
        with pytest.raises(WiringError, match=r"reads 'batch.index': .*give index=\.\.\."):
            make().open(images, labels, rows=20)
        with make().open(images, labels, index=index, rows=20) as objective:
            with pytest.raises(WiringError, match=r"no 'index' \(it has: image, label\); give"):
                objective(images, labels)
            first = objective(images, labels, index=index).loss.item()
            assert torch.isfinite(objective(images, labels, index=index).loss)
            memory = [v for name, v in objective.state_dict().items() if name.startswith("losses")]
            assert {len(v) for v in memory if v.ndim} & {20}, "a row each"
            assert first > 0
    all_labels = torch.arange(20) % 3
    with crd(tiny_net(4, 1), tiny_net(4, 2)).open(
        images, labels, index=index, rows=all_labels
    ) as objective:
        assert torch.equal(objective.losses["contrast"].negatives.classes, all_labels)


def test_a_method_with_an_order_gives_a_sampler(images: Tensor, labels: Tensor) -> None:
    stage = cs_kd(tiny_net(4, 1))
    sampler = stage.sampler(labels, seed=3)
    assert kd(tiny_net(), tiny_net()).sampler(labels) is None
    loader = DataLoader(TensorDataset(images, labels), batch_size=8, sampler=sampler)
    epochs = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        shown = torch.cat([label for _, label in loader])
        assert torch.equal(shown[::2], shown[1::2])
        epochs.append(list(sampler))
    assert sorted(epochs[0][::2] + epochs[1][::2]) == list(range(16))
    fitted = sh.fit(stage, loader, epochs=1)
    assert len(fitted.history) == 1
    shuffled = DataLoader(TensorDataset(images, labels), batch_size=8, shuffle=True)
    with pytest.raises(sh.StillhouseError, match=r"sampler=stage.sampler\(labels\)"):
        sh.fit(stage, shuffled, epochs=1)


def test_what_is_known_of_the_teacher_is_not_computed_again(images: Tensor, labels: Tensor) -> None:
    teacher = tiny_net(6, 2)
    with kd(tiny_net(4, 1), teacher).open(images, labels) as objective:
        whole = objective(images, labels)
        seen: list[int] = []
        handle = teacher.register_forward_hook(lambda *_: seen.append(1))
        given = {f"batch.{k}": v for k, v in (("image", images), ("label", labels))}
        given["teacher.logits"] = whole.signals["teacher.logits"]
        again = objective(given)
        handle.remove()
    assert not seen
    torch.testing.assert_close(again.terms["kd"], whole.terms["kd"])


def test_autocast_around_or_inside_leaves_losses_whole(images: Tensor, labels: Tensor) -> None:
    def losses(**how: torch.dtype) -> tuple[Tensor, torch.dtype]:
        stage = kd(tiny_net(4, 1), tiny_net(6, 2))
        with stage.open(images, labels, **how) as objective:
            if not how:
                with torch.autocast("cpu", torch.bfloat16):
                    out = objective(images, labels)
            else:
                out = objective(images, labels)
            return out.values, out.signals["student.logits"].dtype

    around, inside = losses(), losses(autocast=torch.bfloat16)
    assert around[1] == inside[1] == torch.bfloat16
    assert around[0].dtype == torch.float32
    assert torch.equal(around[0], inside[0])


@pytest.mark.parametrize("make", [kd, dkd, fitnet])
def test_it_compiles_whole_and_once(make, images: Tensor, labels: Tensor) -> None:
    torch._dynamo.reset()
    options = {"pairs": (("conv", "conv"),)} if make is fitnet else {}
    with make(tiny_net(4, 1), tiny_net(6, 2), **options).open(images, labels) as objective:
        compiled = torch.compile(objective, fullgraph=True, backend="aot_eager")
        before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        for step in range(3):
            torch.testing.assert_close(
                compiled(images, labels).loss, objective(images, labels).loss
            )
            objective.after_step(progress=step / 4)
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] - before == 1
        out = compiled(images, labels)
        assert {"student.logits", "teacher.logits"} <= out.signals.keys()
    torch._dynamo.reset()


SCRIPT = """
import sys
from pathlib import Path
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from stillhouse.methods import kd, logits_mse
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.engine.nodes import Role
from stillhouse.functional import mse

torch.set_num_threads(1)
folder, how = Path(sys.argv[1]), sys.argv[2]
if int(__import__("os").environ.get("WORLD_SIZE", 1)) > 1:
    dist.init_process_group("gloo")
rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)

def net(width, seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, width), nn.ReLU(), nn.Linear(width, 3))

student, teacher = net(5, 1), net(5, 2)
torch.manual_seed(0)
images, labels = torch.randn(8, 3, 2, 2), torch.arange(8) % 3
stage = kd(student, teacher)
if how == "head unused":  # the student's head gives logits that no term reads
    stage = Stage("s", [Role("student", student), Role("teacher", teacher)],
                  [Update("student", [Term("hint", mse, ["student.1", "teacher.1"])])])
with stage.open(images, labels) as objective:
    module = objective
    if world > 1:
        module = DistributedDataParallel(objective, find_unused_parameters=how == "head unused")
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    mine = slice(rank * 8 // world, (rank + 1) * 8 // world)
    for step in range(4):
        out = module(images[mine], labels[mine])
        out.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        objective.after_step(progress=(step + 1) / 4)
    assert len(out.terms) and "student.logits" in out.signals
if rank == 0:
    torch.save(student.state_dict(), folder / f"{how}-{world}.pt")
"""


@pytest.mark.parametrize("how", ["all used", "head unused"])
def test_data_parallel_training_wraps_it_whole(how: str, tmp_path) -> None:
    ends = []
    for world in (1, 2):
        launch(world, SCRIPT, tmp_path, how)
        ends.append(torch.load(tmp_path / f"{how}-{world}.pt", weights_only=True))
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], atol=1e-6, rtol=1e-5, msg=name)


def test_by_name_it_is_the_same_and_says_what_does_not_fit(images: Tensor, labels: Tensor) -> None:
    nets = tiny_net(4, 1), tiny_net(6, 2)
    with sh.objective("kd", *nets, images, labels, temperature=2.0) as named:
        by_name = named(images, labels).loss
    with kd(*nets, temperature=2.0).open(images, labels) as objective:
        assert torch.equal(objective(images, labels).loss, by_name)
    wrong = {
        "no method 'kdd'": ("kdd", nets[1], {}),
        "no setting 'temprature'": ("kd", nets[1], {"temprature": 2.0}),
        "needs a teacher": ("kd", None, {}),
        "takes no teacher": ("label_smoothing", nets[1], {}),
        "a list of networks": ("dml", nets[1], {}),
        "temperature is -1": ("kd", nets[1], {"temperature": -1}),
    }
    for said, (method, teacher, settings) in wrong.items():
        with pytest.raises(RecipeError, match=said):
            sh.objective(method, nets[0], teacher, images, labels, **settings)


def test_the_public_names_and_nothing_else() -> None:
    wanted = {"Objective", "Settings", "losses", "bridges", "diagnostics", "testing", "__version__"}
    assert wanted <= set(dir(sh)) == set(sh.__all__)
    for name in dir(sh):
        assert getattr(sh, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sh.nothing

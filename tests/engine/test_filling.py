"""What is told of sentences is told of their own tokens: against loops in float64, one by one."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.engine.listen import listen
from stillhouse.errors import WiringError
from stillhouse.functional.filling import by_length, by_position, without_filling
from stillhouse.methods import at, cwd, fitnet, ft, mgd, nst, pkd, projector_logsum, review_kd, vid
from stillhouse.models import build_model
from stillhouse.models.family import TokenFacts

LENGTHS = (7, 2, 5, 5)
PAIRS = (("layers.1", "layers.0"),)
LOOKS = (("layers.1.attention.probs", "layers.0.attention.probs"),)
READS = ["batch.input_ids", "batch.attention_mask"]


def nets() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    facts = TokenFacts(vocabulary=30, length=7)
    names = "encoder-8-2-2", "encoder-12-1-2"
    made = tuple(build_model(name, classes=2, tokens=facts).eval() for name in names)
    with torch.no_grad():
        for weight in (w for net in made for name, w in net.named_parameters() if "qkv.w" in name):
            weight *= 40  # so that tokens look at others unlike
    return made


def batch() -> dict[str, Tensor]:
    torch.manual_seed(1)
    mask = (torch.arange(7) < torch.tensor(LENGTHS)[:, None]).long()
    return {"input_ids": torch.randint(1, 30, (4, 7)), "attention_mask": mask}


def value(method, shown: dict[str, Tensor], name: str, **settings) -> tuple[float, object, object]:
    student, teacher = nets()
    stage = method(student, teacher, **settings).with_inputs(READS)
    label = torch.tensor([0, 1, 0, 1])
    objective = stage.open(labels=label, **shown, seed=3)
    student.eval()
    found = objective(labels=label, **shown)
    objective.close()
    return float(found.terms[name].detach()), objective, (student, teacher)


def heard(net: nn.Module, tap: str, ids: Tensor) -> Tensor:
    """Of one sentence alone, without filling, in float64."""
    net, kept = copy.deepcopy(net).double(), {}
    net.get_submodule(tap).register_forward_hook(lambda _m, _i, out: kept.update(out=out))
    with torch.no_grad():
        net(ids[None], torch.ones_like(ids)[None])
    return kept["out"][0]


def alone(nets, pair, shown) -> list[tuple[Tensor, Tensor]]:
    """Both features of each sentence, channels first."""
    rows = zip(shown["input_ids"], shown["attention_mask"].bool(), strict=True)
    both = [[heard(net, tap, ids[kept]) for net, tap in zip(nets, pair, strict=True)]
            for ids, kept in rows]  # fmt: skip
    return [tuple(x.mT if x.ndim == 2 else x.flatten(1) for x in each) for each in both]


def test_hidden_states_are_compared_token_by_token_without_filling() -> None:
    shown = batch()
    found, objective, both = value(fitnet, shown, "hint", pairs=PAIRS)
    bridge = objective.stage.node("hinted").module
    rows = alone(both, PAIRS[0], shown)
    weight = bridge.conv.weight.detach().double()[:, :, 0, 0]
    moved = torch.cat([weight @ mine for mine, _ in rows], 1)  # [C, all tokens]
    if bridge.training:
        moved = (moved - moved.mean(1, True)) / (moved.var(1, correction=0)[:, None] + 1e-5).sqrt()
    ends = torch.tensor([mine.shape[1] for mine, _ in rows]).cumsum(0).tolist()
    cut = torch.tensor_split(moved, ends[:-1], 1)
    gaps = [(x - theirs).square().mean() for x, (_, theirs) in zip(cut, rows, strict=True)]
    assert found == pytest.approx(float(torch.stack(gaps).mean()), rel=1e-4)
    assert bridge.training


def by_attention(mine: Tensor, theirs: Tensor) -> Tensor:
    one, two = (F.normalize(x.square().mean(0), dim=0) for x in (mine, theirs))
    return (one - two).square().mean()


def by_channel(mine: Tensor, theirs: Tensor) -> Tensor:
    p, q = (x.softmax(1) for x in (mine, theirs))
    return (q * (q.log() - p.log())).sum(1).mean()


def by_selectivity(mine: Tensor, theirs: Tensor) -> Tensor:
    one, two = (F.normalize(x, dim=1) for x in (mine, theirs))
    return sum(
        sign * (a @ b.mT).square().mean()
        for a, b, sign in ((one, one, 1), (two, two, 1), (one, two, -2))
    )


@pytest.mark.parametrize(
    ("method", "name", "pairs", "formula"),
    [(at, "at1", PAIRS, by_attention), (at, "at1", LOOKS, by_attention),
     (nst, "nst1", PAIRS, by_selectivity), (cwd, "cwd1", LOOKS, by_channel)],
)  # fmt: skip
def test_each_sentence_counts_as_it_would_alone(method, name, pairs, formula) -> None:
    shown = batch()
    found, _, both = value(method, shown, name, pairs=pairs)
    rows = alone(both, pairs[0], shown)
    wanted = torch.stack([formula(*each) for each in rows]).mean()
    assert found == pytest.approx(float(wanted), rel=2e-3)


def test_filling_may_stand_anywhere_and_gets_no_gradient() -> None:
    torch.manual_seed(2)
    mask = torch.tensor([[0, 1, 0, 1], [1, 1, 1, 0], [1, 0, 1, 0], [0, 0, 0, 0]])
    for x in (torch.randn(4, 4, 3), torch.randn(4, 3, 1, 4), torch.randn(4, 3, 4, 4)):
        x.requires_grad_()
        channels = x.mT if x.ndim == 3 else x
        kept = [row.bool() for row in mask[:3]]
        square = [each.nonzero()[:, 0] for each in kept]
        cut = [c[..., at] if c.shape[-2] != 4 or x.ndim == 3 else c[:, at][..., at]
               for c, at in zip(channels, square, strict=False)]  # fmt: skip
        wanted = torch.stack([c.exp().mean() for c in cut])
        found = by_length(lambda row: row.flatten(1).exp().mean(1), [x], mask)
        assert torch.allclose(found, F.pad(wanted, (0, 1)), rtol=1e-6)
        (slope,) = torch.autograd.grad(found.sum(), x, retain_graph=True)
        assert torch.equal(slope, without_filling(slope, mask))
        same = by_length(lambda each: each, [x], mask) if x.ndim == 4 else without_filling(x, mask)
        assert torch.equal(same, without_filling(x, mask))
        twice = by_position(lambda each: 2 * each, [x], mask)
        twice = twice[:, :, 0].mT if x.ndim == 3 else twice
        assert torch.equal(twice, 2 * without_filling(x, mask))


def test_pearson_is_over_the_tokens_of_a_batch() -> None:
    shown = batch()
    found, _, both = value(pkd, shown, "pkd1", pairs=LOOKS)
    mine, theirs = (torch.cat([each[at] for each in alone(both, LOOKS[0], shown)], 1)
                    for at in (0, 1))  # fmt: skip
    normal = [(x - x.mean(1, True)) / (x.std(1, keepdim=True) + 1e-6) for x in (mine, theirs)]
    assert found == pytest.approx(float((normal[0] - normal[1]).square().mean() / 2), rel=1e-3)


@pytest.mark.parametrize("method", [fitnet, vid, at, nst])
def test_tokens_of_the_filling_change_no_bit(method) -> None:
    shown = batch()
    other = dict(shown)
    other["input_ids"] = torch.where(shown["attention_mask"].bool(), shown["input_ids"], 17)
    name = {fitnet: "hint"}.get(method, f"{method.__name__}1")
    one, two = (value(method, each, name, pairs=PAIRS)[0] for each in (shown, other))
    assert one == pytest.approx(two, rel=1e-6)


def test_tokens_may_be_pooled_to_an_embedding() -> None:
    taps = {"student_feature": "layers.1:pooled", "teacher_feature": "layers.0:pooled"}
    shown = batch()
    _, objective, both = value(projector_logsum, shown, "feature", **taps)
    rows = alone(both, PAIRS[0], shown)
    signals = {f"batch.{name}": value for name, value in shown.items()}
    for role, place in (("student", 0), ("teacher", 1)):
        node = objective.stage.role(role)
        heard = listen(node, [taps[f"{role}_feature"]], signals)
        wanted = torch.stack([each[place].mean(1) for each in rows])
        assert torch.allclose(
            heard[f"{role}.{taps[f'{role}_feature']}"].double(), wanted, atol=1e-5
        )


def test_layers_over_neighbouring_positions_are_refused() -> None:
    with pytest.raises(WiringError, match="convolutions of 3x3 over neighbouring positions"):
        value(mgd, batch(), "generation", student_feature="layers.1", teacher_feature="layers.0")
    for method, name in ((ft, "ft1"), (review_kd, "review1")):
        with pytest.raises(WiringError, match="over neighbouring positions"):
            value(method, batch(), name, pairs=PAIRS)

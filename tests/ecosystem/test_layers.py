"""Layers and heads of real architectures, beside what their sources and their packages say."""

import math
from typing import Any

import pytest
import torch
from ecosystem.architectures import CLASSES, LAYERS, of_timm
from ecosystem.layers_table import PAGE, page
from torch import Tensor, nn

from stillhouse.engine.maps import MapLayout
from stillhouse.engine.nodes import Role
from stillhouse.errors import ModelError, WiringError
from stillhouse.methods import at, rkd
from stillhouse.models import build_model
from stillhouse.pairing import heard_maps, last_map, levels
from stillhouse.students.quantised import quantised

pytestmark = pytest.mark.ecosystem


@pytest.mark.parametrize("name", LAYERS)
def test_levels_last_map_and_head_are_those_of_the_sources(name: str) -> None:
    """And the maps have the values that the package itself gives for its features."""
    torch.manual_seed(0)
    asked = LAYERS[name]
    module, image = asked.make().eval(), torch.randn(3, 3, asked.side, asked.side)
    found = levels(module, image)
    told = [f"{each.tap}={'x'.join(map(str, each.shape[:2]))}" for each in found]
    assert " ".join(told) == asked.levels
    assert all(each.shape[1] == each.shape[2] > 1 for each in found)  # the images are square
    assert last_map(module, image) == asked.last
    assert Role("teacher", module).head == asked.head
    maps = heard_maps(module, image)
    truth = of_its_package(module, image, asked.extra)
    grids = {tuple(each.shape[2:]) for each in truth}
    compared = [maps[each.tap] for each in found if each.shape[1:] in grids]
    torch.testing.assert_close(compared, ends(truth), rtol=1e-5, atol=1e-5)


def of_its_package(module: nn.Module, image: Tensor, extra: int) -> list[Tensor]:
    """The maps [B, C, H, W] that the package's own interface for features gives, if it has one."""
    with torch.no_grad():
        if hasattr(module, "forward_intermediates"):  # timm
            given = module.forward_intermediates(image, intermediates_only=True)
            first = len(given) // 2 if type(module).__name__ == "CrossVit" else len(given)
            return [each for each in given[:first] if each.shape[2] > 1]
        if not hasattr(module, "config"):  # torchvision has none
            return []
        stages: list[Tensor] = []  # what ends a stage, before the next one's patches are merged
        handles = [
            each
            for part in module.modules()
            if type(part).__name__ in ("SwinStage", "Swinv2Stage", "FocalNetStage")
            for each in (
                part.register_forward_pre_hook(before_merging, with_kwargs=True),
                part.register_forward_hook(lambda _, __, output: stages.append(output[1])),
            )
        ]
        output = module(image, output_hidden_states=True)
        for handle in handles:
            handle.remove()
    states = stages or list(output.hidden_states)
    states = states[1:] if len({each.shape for each in states}) == 1 else states  # the embedding
    return [each if each.ndim == 4 else in_rows(each[:, extra:]) for each in states]


def before_merging(stage: nn.Module, args: Any, settings: dict[str, Any]) -> Any:
    asked = {"output_hidden_states_before_downsampling": True}
    return args, {**settings, **(asked if type(stage).__name__ == "SwinStage" else {})}


def in_rows(tokens: Tensor) -> Tensor:
    side = math.isqrt(tokens.shape[1])
    return tokens.mT.reshape(len(tokens), tokens.shape[2], side, side)


def ends(maps: list[Tensor]) -> list[Tensor]:
    """The last of each resolution; of blocks of one resolution, those at each third."""
    last = {tuple(each.shape[2:]): each for each in maps}
    if len(last) > 1 or not maps:
        return list(last.values())
    return [maps[len(maps) * part // 3 - 1] for part in (1, 2, 3)]


def test_there_are_at_least_twenty_five() -> None:
    assert len(LAYERS) >= 25


def signals(module: nn.Module, tap: str, image: torch.Tensor) -> torch.Tensor:
    role = Role("teacher", module.eval())
    role.open([tap])
    try:
        with torch.no_grad():
            return role.run({"batch.image": image})[f"teacher.{tap}"]
    finally:
        role.close()


def test_a_stage_of_one_position_is_left_out_and_the_others_stay() -> None:
    network = of_timm("shvit_s1")().eval()
    found = {size: levels(network, torch.rand(2, 3, size, size)) for size in (64, 128)}
    assert [each.tap for each in found[128]] == ["stages.0", "stages.1", "stages.2"]
    assert [each.tap for each in found[64]] == ["stages.0", "stages.1"]


def test_registers_are_left_out_and_patches_stand_where_they_are() -> None:
    module = LAYERS["timm vit_small_patch14_reg4_dinov2"].make()
    image = torch.randn(2, 3, 56, 56)
    tokens = signals(module, "blocks.3", image)
    assert tokens.shape == (2, 5 + 16, 384)
    read = signals(module, "blocks.3:as_map", image)
    for row in range(4):
        for column in range(4):
            assert torch.equal(read[:, :, row, column], tokens[:, 5 + 4 * row + column])


@pytest.mark.parametrize(
    ("name", "tap", "shape"),
    [
        ("timm swin_tiny_patch4_window7_224", "layers.0", (2, 56, 56, 96)),
        ("torchvision swin_t", "features.1", (2, 16, 16, 96)),
    ],
)
def test_channels_last_are_recognised(name: str, tap: str, shape: tuple[int, ...]) -> None:
    asked = LAYERS[name]
    module, image = asked.make(), torch.randn(2, 3, asked.side, asked.side)
    given = signals(module, tap, image)
    assert given.shape == shape
    assert torch.equal(signals(module, f"{tap}:as_map", image), given.permute(0, 3, 1, 2))


def test_tokens_in_the_order_of_windows_are_refused() -> None:
    module, image = of_timm("hiera_tiny_224")(), torch.zeros(2, 3, 224, 224)
    for find in (levels, last_map):
        with pytest.raises(ModelError, match="order of its windows"):
            find(module, image)
    with pytest.raises(WiringError, match=r"tap 'blocks\.2' gives .* no map"):
        signals(module, "blocks.2:as_map", image)


def test_a_rectangle_of_patches_is_no_row() -> None:
    module = of_timm("vit_tiny_patch16_224", img_size=(64, 32))()
    layout = MapLayout.of(module)
    read = layout.read(torch.zeros(2, 9, 192), torch.Size([2, 3, 64, 32]))
    assert read is not None
    assert read.shape == (2, 192, 4, 2)


@pytest.mark.parametrize(
    "name", ["timm deit_tiny_distilled_patch16_224", "torchvision squeezenet1_1"]
)
def test_methods_of_embeddings_and_of_maps_take_heads_of_another_kind(name: str) -> None:
    make, side = LAYERS[name].make, LAYERS[name].side
    images, labels = torch.randn(4, 3, side, side), torch.tensor([0, 1, 2, 3])
    small = build_model("resnet8", classes=CLASSES)
    for stage in (rkd(small, make()), at(small, make(), pairs="levels")):
        with stage.open(images, labels) as objective:
            assert torch.isfinite(objective(images, labels).loss)


def test_arguments_reach_timm_and_what_it_does_not_take_is_told() -> None:
    name = "timm:vit_tiny_patch16_224"
    net = build_model(name, classes=3, arguments={"img_size": 32, "drop_path_rate": 0.1})
    assert net(torch.zeros(1, 3, 32, 32)).shape == (1, 3)
    assert net.blocks[11].drop_path1.drop_prob == pytest.approx(0.1)
    with pytest.raises(ModelError, match=r"cannot be built with arguments .*no_such"):
        build_model(name, classes=3, arguments={"no_such": 1})
    with pytest.raises(ModelError, match="did you mean timm:convnext_atto"):
        build_model("convnext_atto", classes=3)


def test_a_folder_of_transformers_is_read_and_an_absent_name_is_one_sentence(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = LAYERS["transformers ResNet"].make()
    known.save_pretrained(tmp_path)
    taken = build_model(f"hf:{tmp_path}:pretrained", classes=CLASSES)
    assert all(torch.equal(v, known.state_dict()[k]) for k, v in taken.state_dict().items())
    image = torch.zeros(1, 3, 64, 64)
    fresh = build_model(f"hf:{tmp_path}", classes=3).eval()
    assert fresh(image).logits.shape == (1, 3)
    with pytest.raises(ModelError, match=r"no setting 'no_such'"):
        build_model(f"hf:{tmp_path}", classes=3, arguments={"no_such": 1})
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"no folder 'no/such', and the hub .*hf:FOLDER"):
        build_model("hf:no/such", classes=3)


def test_mobilenetv4_is_rounded_and_the_keep_that_a_message_names_works() -> None:
    image = torch.zeros(2, 3, 64, 64)
    quantised(of_timm("mobilenetv4_conv_small_035")(), image)
    same = of_timm("tf_efficientnet_b0")()
    with pytest.raises(ModelError) as refused:
        quantised(same, image)
    named = str(refused.value).partition("keep: [")[2].partition("]")[0].split(", ")
    assert "conv_stem" in named
    quantised(same, image, keep=named)


def test_the_table_of_the_docs_is_this_one() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()

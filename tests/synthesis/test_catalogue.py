"""Every method of synthesis, on the same interface."""

from pathlib import Path

import pytest
import torch
from tiny import GREY, grey_net

from stillhouse.data import load
from stillhouse.data.tables import FloatTable
from stillhouse.synthesis import synthesis_names, synthesize


@pytest.mark.parametrize("name", sorted(set(synthesis_names()) - {"adi", "unrelated"}))
def test_every_method_goes_to_a_data_set(name: str, tmp_path: Path) -> None:
    net = {"student": grey_net(seed=3), "width": 4}
    small = {**net, "steps": 2, "batch_size": 8}
    table = FloatTable(torch.rand(30, *GREY[1:], 1), torch.zeros(30, dtype=torch.int64))
    own = {"dafl": small, "dfad": small, "noise_uniform": {}, "noise_gaussian": {},
           "real": {"table": table},
           "fast_dfkd": {**net, "batch": 8, "student_steps": 1, "warmup": 2}}  # fmt: skip
    settings = own.get(name, {"steps": 2})
    synthesize(grey_net(norm=True), method={"name": name, **settings}, count=24, image_shape=GREY,
               out=tmp_path, device="cpu")  # fmt: skip
    assert len(load(tmp_path, validation=0, test=0).train) == 24

"""Settings out of range: a method tells all of them at once, with what would do."""

import re
from ast import literal_eval
from math import nan

import pytest
from torch import nn

from stillhouse.errors import RecipeError
from stillhouse.methods import find_method

REFUSALS = """
kd: temperature is 0.0; it must be above 0
    weight is -1.0; it must be at least 0
kd: temperature is nan; it must be a finite number
logits_mse: weight is -1.0; it must be at least 0
    label_weight is -0.5; it must be at least 0
dkd: alpha is -1.0; it must be at least 0
    beta is -2.0; it must be at least 0
    temperature is 0.0; it must be above 0
    warmup is -20.0; it must be at least 0
dist: form is 'papre'; nearest: paper
    inter_weight is -1.0; it must be at least 0
    temperature is 0.0; it must be above 0
nkd: gamma is -1.0; it must be at least 0
    temperature is 0.0; it must be above 0
standardised_kd: temperature is 0.0; it must be above 0
    weight is -1.0; it must be at least 0
deit: alpha is 1.5; it must be at most 1
fitnet: stages is 'three'; there is: one, two
    hint_share is 1.5; it must be at most 1
at: weight is -1.0; it must be at least 0
    power is 0.0; it must be above 0
    label_weight is nan; it must be a finite number
mgd: masked is 1.5; it must be at most 1
ofd: margins is 'zeros'; nearest: zero
projector_logsum: projector is 'mlp4'; nearest: mlp3, mlp2
    alpha is 0.5; it must be at least 1
    temperature is 0.0; it must be above 0
review_kd: warmup is -1.0; it must be at least 0
simkd: factor is 0; it must be at least 1
vid: variance is 1e-06; it must be above 1e-05
vkd: normalise is 'whitn'; nearest: whiten
    weight is -1.0; it must be at least 0
rkd: distance_weight is -25.0; it must be at least 0
    angle_weight is nan; it must be a finite number
sp: weight is -1.0; it must be at least 0
pkt: label_weight is -0.1; it must be at least 0
cc_rbf: gamma is 0.0; it must be above 0
    order is 0; it must be at least 1
cc_embedded: width is 0; it must be at least 1
irg: edge_weight is -1.0; it must be at least 0
crd: negatives is 0; it must be at least 1
    contrast_temperature is 0.0; it must be above 0
    momentum is 1.5; it must be at most 1
byot: alpha is 2.0; it must be at most 1
cs_kd: temperature is 0.0; it must be above 0
ema_kd: decay is 1.5; it must be at most 1
ps_kd: alpha is 1.5; it must be at most 1
snapshot_kd: cycles is 1; it must be at least 2
embedding_kd: distance is 'cosin'; nearest: cosine
th_kd: form is 'papre'; nearest: paper
    alpha is 1.2; it must be at most 1
annealing_kd: steps is 0; it must be at least 1
    first is 1.5; it must be at most 1
    weight is -1.0; it must be at least 0
label_smoothing: smoothing is 1.1; it must be at most 1
    off_target is 'other'; nearest: others
    label_weight is -1.0; it must be at least 0
tf_kd_reg: form is 'papr'; nearest: paper
    alpha is 1.5; it must be at most 1
    multiplier is -1.0; it must be at least 0
    temperature is 0.0; it must be above 0
    correct is 2.0; it must be at most 1
dml: update is 'alternate'; nearest: alternating
    temperature is 0.0; it must be above 0
kdcl: ensemble is 'minlogit'; nearest: min_logit
one: branches is 0; it must be at least 1
pcl: decay is 1.5; it must be at most 1
adversarial_kd: on is 'features'; there is: logits, embedding
    hidden is 0; it must be at least 1
"""
"""What a method says, of the settings that are named in it."""


@pytest.mark.parametrize("told", re.split(r"\n(?=\w)", REFUSALS.strip()))
def test_all_settings_out_of_range_are_told_at_once(told: str) -> None:
    name, problems = told.split(": ", 1)
    lines = [line.strip() for line in problems.splitlines()]
    said = dict(re.findall(r"^(\w+) is (.+?);", "\n".join(lines), re.MULTILINE))
    settings = {k: nan if value == "nan" else literal_eval(value) for k, value in said.items()}
    method, net = find_method(name), nn.Linear(1, 1)
    others = [net] if method.needs_teacher else [[net]] if method.needs_peers else []
    with pytest.raises(RecipeError) as caught:
        method.build(net, *others, **settings)
    assert list(caught.value.problems) == lines

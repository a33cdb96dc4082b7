"""How large a network is."""

from torch import nn

from stillhouse.models import ModelSize, describe


def test_bytes_hold_buffers_and_parameters_do_not():
    # weight, bias, mean, variance of 4 floats each and one 8-byte counter
    assert describe(nn.BatchNorm2d(4)) == ModelSize(parameters=8, bytes=4 * 4 * 4 + 8)


def test_precision_counts():
    assert describe(nn.Linear(3, 2).half()) == ModelSize(parameters=8, bytes=16)


def test_shared_weights_count_once():
    first, second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
    second.weight = first.weight
    assert describe(nn.Sequential(first, second)) == ModelSize(parameters=16, bytes=64)

"""Weights of a network: how they start and how many they are."""

from dataclasses import dataclass

from torch import Tensor, nn


def he_normal_(module: nn.Module, *, linear_std: float | None = None) -> None:
    """Initialise every convolution below `module` with N(0, 2 / fan_out), in place.

    fan_out = kernel height * kernel width * output channels. Biases of convolutions become 0,
    batch norms the identity.

    Args:
        module: network to initialise.
        linear_std: where given, linear layers become N(0, linear_std^2) with bias 0 (0.01 in
            the authors' VGG and MobileNetV2); otherwise they keep PyTorch's default.

    Paper: He et al., Delving Deep into Rectifiers, ICCV 2015, section 2.2 (backward case).

    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> conv = nn.Conv2d(16, 64, 3)
    >>> he_normal_(conv)
    >>> round(conv.weight.std().item() / (2 / (9 * 64)) ** 0.5, 1)
    1.0
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            # fan_out ignores groups, also for depthwise convolutions: so do the authors' codes.
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Linear) and linear_std is not None:
            nn.init.normal_(layer.weight, std=linear_std)
            nn.init.zeros_(layer.bias)


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Number of parameters, and bytes of all tensors in the state dict."""

    parameters: int
    bytes: int


def describe(module: nn.Module) -> ModelSize:
    """Count parameters, and bytes of parameters and buffers; shared ones count once.

    >>> describe(nn.Linear(3, 2))
    ModelSize(parameters=8, bytes=32)
    """
    kept = module.state_dict(keep_vars=True).values()
    tensors = {id(each): each for each in kept if isinstance(each, Tensor)}
    return ModelSize(
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        bytes=sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()),
    )

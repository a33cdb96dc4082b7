"""The adversary: what draws images to where a student is still to learn."""

from torch import Tensor

from stillhouse.functional import kl


def conceded(student: Tensor, teacher: Tensor) -> Tensor:
    """How little two classifiers differ where they decide alike: ``-[s = t] KL(p_t || p_s)``.

    Minimised, it looks for images that the student would still get wrong, and stops at each that it
    gets wrong. Brackets: 1 where the largest logits are of one class, else 0.

    Shapes:
        student, teacher: [B, K] logits; returns [B], float32, in nats.

    Paper: Fang et al., "Contrastive Model Inversion for Data-Free Knowledge Distillation", IJCAI
        2021.

    >>> import torch
    >>> near, far = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    >>> round(conceded(near, 3 * near).item(), 4), conceded(near, far).item() + 0.0
    (-0.1698, 0.0)
    """
    alike = student.argmax(1) == teacher.argmax(1)
    return -kl(student, teacher, temperature=1.0) * alike

"""A bag of embeddings: the mean of what each token is, and a linear classifier."""

import re

from torch import Tensor, nn

from stillhouse.errors import ModelError
from stillhouse.models.family import ModelRequest, TokenFacts


def mean_over(x: Tensor, mask: Tensor) -> Tensor:
    """The mean over the tokens that are no filling; 0 where there are none.

    Shapes:
        x: [B, L, D]; mask: [B, L] of 1 and 0; returns [B, D].

    >>> import torch
    >>> mean_over(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[1, 1, 0]])).item()
    2.0
    """
    weight = mask.to(x.dtype)[..., None]
    return (x * weight).sum(1) / weight.sum(1).clamp_min(1)


class BagOfEmbeddings(nn.Module):
    """``fc(mean over tokens of embedding)``: the order of the words does not matter.

    Paper: Joulin et al. 2017, arXiv 1607.01759 (fastText), with words alone.

    Shapes:
        input_ids, attention_mask: [B, L] int64; returns [B, classes].

    >>> import torch
    >>> net = BagOfEmbeddings(10, 4, 2)
    >>> one, two = net(torch.tensor([[1, 2], [2, 1]]), torch.ones(2, 2)).unbind()
    >>> torch.allclose(one, two)
    True
    """

    def __init__(self, vocabulary: int, width: int, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.fc = nn.Linear(width, classes)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.fc(mean_over(self.embedding(input_ids), attention_mask))
        return logits


def build_bag(found: re.Match[str], ask: ModelRequest) -> nn.Module:
    """``bag-WIDTH``."""
    tokens = tokens_of(ask)
    if tokens.causal:
        raise ModelError(f"'{ask.name}' tells sentences apart, and a language model is asked for; "
                         "take decoder-WIDTH-DEPTH-HEADS")  # fmt: skip
    return BagOfEmbeddings(tokens.vocabulary, int(found["width"]), ask.classes)


def tokens_of(ask: ModelRequest) -> TokenFacts:
    """What is known of the tokens. Raises ModelError where images are read."""
    if ask.tokens is None:
        raise ModelError(
            f"'{ask.name}' reads sentences, and the rows of these data are images; take a network "
            "of images, or task: text_classification"
        )
    return ask.tokens

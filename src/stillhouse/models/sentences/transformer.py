"""Small transformers of sentences: an encoder that tells classes apart, a decoder that writes."""

import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.errors import ModelError
from stillhouse.models.family import ModelRequest
from stillhouse.models.sentences.bag import mean_over, tokens_of

STD = 0.02
"""Of embeddings and weights at the start, as of BERT and GPT-2."""
DROPOUT = 0.1
WIDENING = 4


class Attention(nn.Module):
    """Attention of several heads; what each token looks at can be tapped: ``probs``.

    Shapes:
        x: [B, L, D]; allowed: bool, [B, 1, L, L] or as broadcast; returns [B, L, D]. The tap
        ``probs`` gives [B, heads, L, L], each row a distribution.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.probs = nn.Identity()
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, allowed: Tensor) -> Tensor:
        """Attend."""
        rows, length, width = x.shape
        cut = self.qkv(x).view(rows, length, 3, self.heads, width // self.heads)
        query, key, value = cut.permute(2, 0, 3, 1, 4)
        scores = query @ key.mT / (width // self.heads) ** 0.5
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
        mixed = self.probs(scores.softmax(-1)) @ value
        attended: Tensor = self.out(mixed.transpose(1, 2).reshape(rows, length, width))
        return attended


class Layer(nn.Module):
    """``x + attention(norm(x))``, then ``x + mlp(norm(x))``.

    Shapes:
        x: [B, L, D]; allowed: as of `Attention`; returns [B, L, D].
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.up, self.down = nn.Linear(width, WIDENING * width), nn.Linear(WIDENING * width, width)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor, allowed: Tensor) -> Tensor:
        """One layer."""
        x = x + self.dropout(self.attention(self.norm1(x), allowed))
        moved: Tensor = x + self.dropout(self.down(F.gelu(self.up(self.norm2(x)))))
        return moved


class Transformer(nn.Module):
    """Tokens and their places through layers; the taps are ``layers.0``, ``layers.1``, ...

    As a classifier (``causal`` false) each token sees all that are no filling, and the mean of them
    is the embedding. As a language model each sees those before it, and the head (the embedding of
    tokens again, as Press and Wolf, arXiv 1608.05859) gives the logits of the next token.

    Paper: Vaswani et al. 2017, arXiv 1706.03762; with norms before the layers (Xiong et al.,
        arXiv 2002.04745).

    Shapes:
        input_ids, attention_mask: [B, L] int64, L at most ``length``; returns [B, classes], or
        [B, L, vocabulary].

    >>> net = Transformer(vocabulary=20, length=6, width=8, depth=1, heads=2, classes=3).eval()
    >>> ids, mask = torch.tensor([[3, 4, 5, 0], [3, 4, 5, 9]]), torch.tensor([[1, 1, 1, 0]] * 2)
    >>> one, two = net(ids, mask).unbind()
    >>> one.shape, torch.allclose(one, two, atol=1e-6)
    (torch.Size([3]), True)
    """

    def __init__(
        self,
        *,
        vocabulary: int,
        length: int,
        width: int,
        depth: int,
        heads: int,
        classes: int,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.causal = causal
        self.tokens = nn.Embedding(vocabulary, width)
        self.places = nn.Embedding(length, width)
        self.dropout = nn.Dropout(DROPOUT)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.fc = nn.Linear(width, vocabulary if causal else classes, bias=not causal)
        self.apply(_started)
        if causal:
            self.fc.weight = self.tokens.weight

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits."""
        length = input_ids.shape[1]
        allowed = attention_mask.bool()[:, None, None, :]
        if self.causal:
            before = torch.ones(length, length, dtype=torch.bool, device=input_ids.device).tril()
            allowed = allowed & before
        x = self.tokens(input_ids) + self.places.weight[:length]
        x = self.dropout(x)
        for layer in self.layers:
            x = layer(x, allowed)
        x = self.norm(x)
        logits: Tensor = self.fc(x if self.causal else mean_over(x, attention_mask))
        return logits


def _started(part: nn.Module) -> None:
    if isinstance(part, nn.Linear | nn.Embedding):
        nn.init.normal_(part.weight, std=STD)
    if isinstance(part, nn.Linear) and part.bias is not None:
        nn.init.zeros_(part.bias)


def build_transformer(found: re.Match[str], ask: ModelRequest) -> nn.Module:
    """``encoder-WIDTH-DEPTH-HEADS`` of sentences, ``decoder-...`` of running text."""
    tokens, causal = tokens_of(ask), found["kind"] == "decoder"
    if causal != tokens.causal:
        wanted = "decoder" if tokens.causal else "encoder"
        said = "writes running text" if causal else "tells sentences apart"
        raise ModelError(f"'{ask.name}' {said}, and the task asks for the other; take {wanted}-"
                         f"{found['width']}-{found['depth']}-{found['heads']}")  # fmt: skip
    width, heads = int(found["width"]), int(found["heads"])
    if width % heads:
        raise ModelError(f"'{ask.name}': width {width} is no multiple of {heads} heads")
    return Transformer(
        vocabulary=tokens.vocabulary,
        length=tokens.length,
        width=width,
        depth=int(found["depth"]),
        heads=heads,
        classes=ask.classes,
        causal=causal,
    )

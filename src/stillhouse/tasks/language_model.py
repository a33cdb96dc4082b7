"""The next token: causal language models, measured by perplexity."""

import math
from collections.abc import Mapping

from torch import Tensor

from stillhouse.functional.tokens import next_token_loss
from stillhouse.records.metric import Metric
from stillhouse.tasks.task import Task

PERPLEXITY, LOSS, TOKENS = "perplexity", "loss", "tokens"


class LanguageModel(Task):
    """Each token is told from those before it; the label of a row are its tokens.

    The output is [B, L, V], the label int64 [B, L]: position i says token i + 1, so the last
    position and the first label count for nothing, and neither does a label of -100. The loss is
    the mean over the tokens of the batch that count (`next_token_loss`); perplexity is
    ``exp(sum of -log p / tokens)`` over a whole table.

    >>> import torch
    >>> task = LanguageModel()
    >>> logits = torch.zeros(2, 3, 5)
    >>> answers = task.answers(logits, torch.ones(2, 3, dtype=torch.int64))
    >>> round(task.of_table(answers, None)["perplexity"], 4)
    5.0
    """

    name = "language_model"
    rows_are = "passages"
    reads = ("input_ids", "attention_mask")
    metric = Metric(name=PERPLEXITY, higher_is_better=False)
    whole = (PERPLEXITY,)

    def loss(self, output: Tensor, label: Tensor, /) -> Tensor:
        """Of each row its share of the mean over tokens, [B], float32."""
        sums, counts = next_token_loss(output, label)
        return sums * len(counts) / counts.sum().clamp_min(1)

    def rows(self, output: Tensor, label: Tensor, /) -> Mapping[str, Tensor]:
        """The mean of each row over its tokens, in nats."""
        sums, counts = next_token_loss(output, label)
        return {LOSS: sums / counts.clamp_min(1)}

    def answers(self, output: Tensor, label: Tensor, /) -> Mapping[str, Tensor]:
        """The mean of each row, and how many tokens of it count."""
        sums, counts = next_token_loss(output, label)
        return {LOSS: sums / counts.clamp_min(1), TOKENS: counts}

    def of_table(self, answers: Mapping[str, Tensor], pairs: object, /) -> Mapping[str, float]:
        """Perplexity over all tokens."""
        counts = answers[TOKENS].double()
        mean = float((answers[LOSS].double() * counts).sum() / counts.sum().clamp_min(1))
        return {PERPLEXITY: math.exp(min(mean, 700.0))}

    def predict(self, output: Tensor, /) -> Tensor:
        """The most likely next token at each position."""
        return output.argmax(-1)

    def output_problem(self, output: Tensor) -> str | None:
        """Logits of each position are [B, L, V], floats."""
        if output.ndim != 3:
            return "logits of each position [B, length, vocabulary]"
        return None if output.is_floating_point() else "logits of floats"

    def width_problem(self, width: int, classes: int) -> str | None:
        """As many logits as there are tokens."""
        if width == classes:
            return None
        return (
            f"gives logits of {width:,} tokens, and the tokeniser of the data has {classes:,}; "
            "token by token two models are compared over one vocabulary: give the data the "
            "tokeniser of the teacher (data: {tokens: {tokenizer: FOLDER}}) and a student of "
            "that vocabulary"
        )

    def guessing(self, classes: int) -> float | None:
        """All tokens alike: as many as there are."""
        return float(classes)

    def guessed(self, classes: int) -> str:
        """Among so many tokens."""
        return f"guessing among {classes:,} tokens"


LANGUAGE_MODEL = LanguageModel()


def language_model() -> LanguageModel:
    """Causal language models, see `LanguageModel`."""
    return LANGUAGE_MODEL

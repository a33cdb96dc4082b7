"""Which methods fit texts: what two networks of sentences, or of running text, have in common."""

from stillhouse.engine.signals import EMBEDDING, LOGITS, owner, part
from stillhouse.engine.stage import Stage
from stillhouse.errors import RecipeError
from stillhouse.functional.token_heads import hidden_token_divergence, hidden_token_loss
from stillhouse.functional.tokens import token_divergence
from stillhouse.runs.job.data import JobData

BY_TOKEN = (token_divergence, hidden_token_divergence, hidden_token_loss)
ONE_FOR_A_ROW = (LOGITS, EMBEDDING)


def check_rows_fit(stage: Stage, method: str, data: JobData) -> None:
    """Refuse a method that compares what two networks do not have in common.

    Raises:
        RecipeError: with what would work.
    """
    if data.task.rows_are == "passages":
        _check_tokens(stage, method)
    elif data.reads("teacher") != data.reads():
        _check_apart(stage, method)


def _check_tokens(stage: Stage, method: str) -> None:
    """A language model answers for each token, and most losses are about one answer for a row."""
    for term in stage.terms():
        of_labels = term.by_task or term.loss == stage.task.loss
        if of_labels or term.loss in BY_TOKEN:
            continue
        read = [part(each) for each in term.reads if part(each) in ONE_FOR_A_ROW]
        if read:
            said = f"its term '{term.name}' compares the {read[0]} of whole rows, and a language "
            said += "model gives one for each token; take method: token_kd, or one of layers that "
            raise RecipeError(f"method '{method}'", [f"{said}are named (pairs)"])


def _check_apart(stage: Stage, method: str) -> None:
    """What two tokenisers cut differently has no positions in common."""
    reads = [each for term in stage.terms() for each in term.reads]
    reads += [need for node in stage.nodes for need in node.needs]
    shared = sorted({part(each) for each in reads
                     if owner(each) == "teacher" and part(each) not in ONE_FOR_A_ROW})  # fmt: skip
    if shared:
        raise RecipeError(
            f"method '{method}'",
            [
                f"it compares teacher.{shared[0]} token by token, and the teacher has a tokeniser "
                "of its own (data.tokens.teacher): its positions are other pieces of the text; "
                "take a method of logits or embeddings (kd, dkd, projector_logsum, rkd), or one "
                "tokeniser for both"
            ],
        )

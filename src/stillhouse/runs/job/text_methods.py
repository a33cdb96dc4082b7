"""Which methods fit texts: what two networks of sentences, or of running text, have in common."""

import torch
from torch import Tensor, nn

from stillhouse.engine.flags import Flags
from stillhouse.engine.nodes import Role
from stillhouse.engine.signals import EMBEDDING, LOGITS, owner, part
from stillhouse.engine.stage import Stage
from stillhouse.errors import ModelError, RecipeError
from stillhouse.functional.token_heads import hidden_token_divergence, hidden_token_loss
from stillhouse.functional.tokens import token_divergence
from stillhouse.models.family import TokenFacts
from stillhouse.models.given import set_eval
from stillhouse.runs.job.data import JobData

BY_TOKEN = (token_divergence, hidden_token_divergence, hidden_token_loss)
ONE_FOR_A_ROW = (LOGITS, EMBEDDING)


def check_rows_fit(stage: Stage, method: str, data: JobData) -> None:
    """Refuse a method that compares what two networks do not have in common.

    Raises:
        RecipeError: with what would work.
        ModelError: a network has no embedding for a token that the tokeniser may give.
    """
    for node in stage.nodes:
        tokens = data.tokens(node.name) if isinstance(node, Role) else None
        if isinstance(node, Role) and tokens is not None:
            _check_ids(node, tokens)
    if data.task.rows_are == "passages":
        _check_tokens(stage, method)
        return
    _refuse_by_token(stage, method, data)
    if data.reads("teacher") != data.reads():
        _check_apart(stage, method)


def _check_ids(role: Role, tokens: TokenFacts) -> None:
    """Show it a whole row of the largest id: an embedding that is too small fails in mid-training.

    Raises:
        ModelError: which embedding, and what it would have to hold.
    """
    if set(role.parameters) != {"input_ids", "attention_mask"}:
        return

    def look(path: str, table: nn.Embedding, given: tuple[Tensor, ...]) -> None:
        largest = int(given[0].max()) if given and given[0].numel() else 0
        if largest >= table.num_embeddings:
            said = f"its embedding '{path}' holds {table.num_embeddings:,} ids and is asked for id "
            raise ModelError(f"{role.title}: {said}{largest:,}; {wanted}")

    wanted = (
        f"the tokeniser has {tokens.vocabulary:,} tokens, and rows have {tokens.length:,} of them "
        "(data.tokens): build the network for these, or give its own tokeniser and a max_length "
        "that it takes"
    )
    device = next((each.device for each in role.module.parameters()), None)
    ids = torch.full((1, tokens.length), tokens.vocabulary - 1, device=device)
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    flags = Flags([role.module])
    hooks = [part.register_forward_pre_hook(lambda part, x, path=path: look(path, part, x))
             for path, part in role.module.named_modules()
             if isinstance(part, nn.Embedding)]  # fmt: skip
    try:
        set_eval(role.module)
        with torch.no_grad():
            role.call([given[name] for name in role.parameters])
    except IndexError:  # of an embedding that is no layer
        said = f"{role.title} has no embedding for id {tokens.vocabulary - 1:,}"
        raise ModelError(f"{said}; {wanted}") from None
    except (RuntimeError, TypeError, ValueError):
        return  # whatever else it is: the dry run tells that in full
    finally:
        flags.restore()
        for hook in hooks:
            hook.remove()


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


def _refuse_by_token(stage: Stage, method: str, data: JobData) -> None:
    """What is said token by token needs models that are asked for the next one."""
    if any(term.loss in BY_TOKEN for term in stage.terms()):
        said = "it compares two language models token by token, and task: "
        said += (
            f"{data.task.name} has one answer for a row; take a method of logits (kd, dkd, dist)"
        )
        raise RecipeError(f"method '{method}'", [f"{said}, or task: language_model"])


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

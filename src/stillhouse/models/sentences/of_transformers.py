"""Sequence classifiers and causal language models of transformers."""

from pathlib import Path
from typing import Any

from stillhouse.errors import ModelError, nearest
from stillhouse.faults import first_line
from stillhouse.models.family import ModelRequest, TokenFacts

ATTENTION, WAYS = "attn_implementation", ("eager", "sdpa")
"""How attention is computed: only 'eager' gives what tokens look at, as second output of a layer's
attention (tap ``...attention.self:1``); an argument of all networks, and of no config."""


def config_of(transformers: Any, source: str, ask: ModelRequest, tokens: TokenFacts) -> Any:
    """The config of a folder or of a kind of network, with the vocabulary of the data.

    Raises:
        ModelError: there is neither such a folder nor such a kind, an argument is unknown, or the
            folder's vocabulary is smaller than that of the data.
    """
    kinds = transformers.CONFIG_MAPPING
    given = dict(ask.arguments)
    attention = given.pop(ATTENTION, None)
    if not Path(source).exists() and source in kinds:
        given = {"vocab_size": tokens.vocabulary, **_lengths(tokens), **given}
        config = of_kind(kinds[source], source, ask, given)
    else:
        try:
            config = transformers.AutoConfig.from_pretrained(source, trust_remote_code=False)
        except Exception as error:  # of many kinds: files, network, code of the model's own
            close = nearest(source, list(kinds.keys()))
            raise ModelError(
                f"'{ask.name}': there is no such folder of transformers ({first_line(error)}), and "
                f"no kind of network of that name; {close}"
            ) from error
        unknown = [name for name in given if not hasattr(config, name)]
        if unknown:
            said = f"{type(config).__name__} has no setting '{unknown[0]}'"
            raise ModelError(f"'{ask.name}': {said}; leave it out or correct its name")
        for name, value in given.items():
            setattr(config, name, value)
        if config.vocab_size < tokens.vocabulary:
            raise ModelError(
                f"'{ask.name}' knows {config.vocab_size:,} tokens, and the tokeniser of the data "
                f"has {tokens.vocabulary:,}; give it its own: data: {{tokens: {{tokenizer: "
                f"{source}}}}}, or of a teacher {{tokens: {{teacher: {source}}}}}"
            )
    if not tokens.causal:
        config.num_labels = ask.classes
    config.pad_token_id = tokens.pad
    config.use_cache = False
    if attention is not None:
        if attention not in WAYS:
            close = nearest(str(attention), WAYS)
            raise ModelError(f"'{ask.name}': no {ATTENTION} '{attention}'; {close}")
        config._attn_implementation = attention  # what transformers set by this argument
    return config


def classes_of(transformers: Any, tokens: TokenFacts) -> Any:
    """The class of transformers that builds it."""
    if tokens.causal:
        return transformers.AutoModelForCausalLM
    return transformers.AutoModelForSequenceClassification


def _lengths(tokens: TokenFacts) -> dict[str, int]:
    # RoBERTa counts places from the pad id on.
    return {"max_position_embeddings": tokens.length + tokens.pad + 2}


def of_kind(kind: Any, source: str, ask: ModelRequest, given: dict[str, Any]) -> Any:
    """The config of a kind of network with these settings.

    Raises:
        ModelError: an argument that was asked for is no setting of it, or it refuses a value.
    """
    plain = kind()
    renamed = getattr(plain, "attribute_map", {})
    asked = [name for name in ask.arguments if name != ATTENTION]
    unknown = [name for name in asked if not hasattr(plain, name) and name not in renamed]
    if unknown:
        close = nearest(unknown[0], list(plain.to_dict()))
        said = f"a config of {source} has no setting '{unknown[0]}'"
        raise ModelError(f"'{ask.name}': {said}; {close}")
    try:
        return kind(**{n: v for n, v in given.items() if hasattr(plain, n) or n in renamed})
    except Exception as error:  # its own checks
        raise ModelError(f"'{ask.name}': {first_line(error)}") from error

"""The contract of a method: a list of promises, each tried by training a tiny student."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Weights
from stillhouse.functional import cross_entropy
from stillhouse.methods import Method
from stillhouse.testing.contract import (
    ContractError,
    name_of,
    positional,
    setting_problem,
    told,
)
from stillhouse.testing.method_trial import MethodTrial, TrialRun
from stillhouse.testing.toy import untaught

LOSS_FALLS = 0.2
ACCURACY_GAINS = 0.2
"""What counts as having learned the toy problem: either of the two shares."""

LOSS_GROWS = 4.0
"""So many times the cross-entropy of the untrained student is not learning, whatever falls."""

SAME_LOSS = 1e-4
"""How far a product may be from what was measured: the rounding of a folded head."""


def check_method(
    method: Method | Callable[..., Stage],
    *,
    options: Mapping[str, Any] | None = None,
    widths: Sequence[tuple[int, int]] = ((4, 4), (4, 6)),
) -> None:
    """Put a method to the contract; says nothing when it keeps all promises.

    A tiny student learns from a tiny trained teacher, once for each pair of widths. The promises,
    in the order in which they are tried:

    - ``keyword-only``: settings are keyword-only and have defaults; student and teacher are not;
    - ``composes``: it gives a Stage that fits together and can be trained;
    - ``learns``: the training loss or the accuracy of a measure improves clearly;
    - ``teacher unchanged``: parameters and buffers of the teacher keep their bits;
    - ``no gradient``: none reaches the teacher;
    - ``flags``: requires_grad and train/eval of every module of both are as before, and a frozen
      parameter of the student keeps its bits;
    - ``hooks``: none is left on either;
    - ``product``: the weights that it keeps load strictly into the bare student, and are it;
    - ``products``: each further product is the inference that the measure of its label scores;
    - ``metrics``: each term has a mean and a weight, each measure a score;
    - ``same seed``: a second run ends with the same bits;
    - ``resume``: so does a run that was stopped amid an epoch and went on from its checkpoint;
    - ``plain loop``: so does a plain torch loop over its objective, on the same batches;
    - ``replay``: so does a run with a cached teacher, where a frozen role of the stage is it.

    Args:
        method: a function ``(student, *, ...)``, ``(student, teacher, *, ...)`` or
            ``(student, peers, *, ...)`` that gives a Stage, or a Method of the catalogue.
        options: its settings.
        widths: of the embeddings of student and teacher; leave out pairs that it does not take.

    Raises:
        ContractError: the first broken promise; ``.promise`` is its name.

    >>> from stillhouse.methods import kd
    >>> check_method(kd, options={"temperature": 2.0}, widths=[(4, 6)])
    >>> try:
    ...     check_method(kd, options={"weight": 0.0, "label_weight": 0.0}, widths=[(4, 6)])
    ... except ContractError as error:
    ...     print(error.promise)
    learns
    """
    build = method.build if isinstance(method, Method) else method
    who, given = f"method '{name_of(build)}'", dict(options or {})
    problem = _signature_problem(build, given)
    if problem:
        raise ContractError(who, "keyword-only", problem)
    for pair in widths:
        with tempfile.TemporaryDirectory() as folder:
            trial = MethodTrial(build, given, pair, Path(folder))
            for promise, broken in PROMISES.items():
                _try(who, promise, broken, trial)


def _signature_problem(build: Callable[..., Stage], options: Mapping[str, Any]) -> str | None:
    problem = setting_problem(build, options, inputs=("student", "teacher", "peers"))
    names = list(positional(build))
    if problem or names in (["student"], ["student", "teacher"], ["student", "peers"]):
        return problem
    found = ", ".join(names)
    return f"by position it takes student and, if it has them, teacher or peers; not {found}"


def _try(
    who: str, promise: str, broken: Callable[[MethodTrial], str | None], trial: MethodTrial
) -> None:
    where = "(widths of student and teacher: {} and {})".format(*trial.widths)
    try:
        problem = broken(trial)
    except Exception as error:
        raise ContractError(who, promise, f"{told(error)} {where}") from error
    if problem:
        raise ContractError(who, promise, f"{problem} {where}")


def _composes(trial: MethodTrial) -> str | None:
    return None if trial.first.result.history else "it was trained for no epoch"


def _learns(trial: MethodTrial) -> str | None:
    history = trial.first.result.history
    before, after = trial.scores_before, history[-1]["validation"]
    gains = {label: after[label]["accuracy"] - before[label]["accuracy"] for label in before}
    label = max(gains, key=lambda name: gains[name])
    first, last = history[0]["loss"], history[-1]["loss"]
    falls = first - last >= LOSS_FALLS * abs(first) and last != first and gains[label] >= 0
    # A loss that falls without end while the student is ever more wrong has the wrong sign.
    falls = falls and after[label]["loss"] <= LOSS_GROWS * before[label]["loss"]
    if falls or gains[label] >= ACCURACY_GAINS:
        return None
    return (
        f"in {len(history)} epochs the loss went from {first:.4g} to {last:.4g} and the accuracy "
        f"of '{label}' changed by {gains[label]:+.2f}"
    )


def _teacher_unchanged(trial: MethodTrial) -> str | None:
    changed = trial.first.teacher_before.changed(trial.first.teacher)
    if not changed:
        return None
    return f"{', '.join(changed)} of the teacher changed; a teacher is frozen and in eval mode"


def _no_gradient(trial: MethodTrial) -> str | None:
    given = [k for k, p in trial.first.teacher.named_parameters() if p.grad is not None]
    if not given:
        return None
    return f"{', '.join(given)} of the teacher got a gradient; run it as a node of the stage"


def _flags(trial: MethodTrial) -> str | None:
    run = trial.first
    for who, before, module in _both(run):
        problem = before.flags_problem(module)
        if problem:
            return f"of the {who}, {problem}; leave flags to the engine, which puts them back"
    frozen = [name for name, learns in run.student_before.learning.items() if not learns]
    moved = [name for name in run.student_before.changed(run.student) if name in frozen]
    return f"{', '.join(moved)} of the student was frozen and has moved" if moved else None


def _hooks(trial: MethodTrial) -> str | None:
    for who, before, module in _both(trial.first):
        problem = before.hooks_problem(module)
        if problem:
            return f"of the {who}, {problem}; read a tap ('{who}.layer') in place of a hook"
    return None


def _both(run: TrialRun) -> tuple[tuple[str, Any, Any], ...]:
    return (
        ("student", run.student_before, run.student),
        ("teacher", run.teacher_before, run.teacher),
    )


def _product(trial: MethodTrial) -> str | None:
    run, name = trial.first, trial.first.stage.keeps
    kept = run.result.last.get(name)
    if kept is None:
        return f"it keeps '{name}', which does not learn"
    bare = untaught(trial.widths[0]).eval()
    try:
        bare.load_state_dict(kept, strict=True)
    except RuntimeError as error:
        said = " ".join(str(error).split())
        return f"the weights of '{name}' do not load into the bare student: {said}"
    image = trial.batches.sample()["batch.image"]
    with torch.no_grad():
        gap = (bare(image) - run.student.eval()(image)).abs().max().item()
    return f"the product differs from the student that was trained by {gap:.4g}" if gap else None


def _products(trial: MethodTrial) -> str | None:
    run = trial.first
    measured = run.result.history[-1]["validation"]
    for label, make in run.stage.products.items():
        if label not in measured:
            return (
                f"no measure is called '{label}', as a product is; there is {', '.join(measured)}"
            )
        module = make().eval()
        with torch.no_grad():
            pairs = [(module(b["batch.image"]), b["batch.label"]) for b in trial.batches.once()]
        logits, truth = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        gap = abs(cross_entropy(logits, truth).mean().item() - measured[label]["loss"])
        if not gap <= SAME_LOSS:
            return f"the product '{label}' and its measure differ by {gap:.4g} in their mean loss"
    return None


def _metrics(trial: MethodTrial) -> str | None:
    stage, record = trial.first.stage, trial.first.result.history[-1]
    for key, names in {
        "terms": [term.name for term in stage.terms()],
        "weights": [term.name for term in stage.terms()],
        "validation": list(stage.measures),
    }.items():
        missing = [name for name in names if name not in record[key]]
        if missing:
            return f"'{key}' of the metrics lacks {', '.join(missing)}"
    return None


def _same_seed(trial: MethodTrial) -> str | None:
    what = "a second run with the same seed"
    if _difference(trial, trial.resumed, what) is None:
        return None  # a resumed run with the same bits is a second run with the same bits
    return _difference(trial, trial.train(trial.begin()), what)


def _resume(trial: MethodTrial) -> str | None:
    problem = _difference(trial, trial.resumed, "a run that was stopped and resumed")
    hint = "keep what a loss remembers in buffers or parameters of a module"
    return f"{problem}; {hint}" if problem else None


def _plain_loop(trial: MethodTrial) -> str | None:
    mine, theirs = _flat(trial.first.result.last), _flat(trial.looped())
    differ = [name for name in mine if not torch.equal(mine[name], theirs[name])]
    if not differ:
        return None
    return (
        f"a plain loop over its objective ends with other weights: {', '.join(differ[:3])} "
        f"({len(differ)} tensors); a weight or a bridge depends on more than the step and its batch"
    )


def _replay(trial: MethodTrial) -> str | None:
    replayed = trial.replayed()
    return _difference(trial, replayed, "a run with a cached teacher") if replayed else None


def _difference(trial: MethodTrial, other: TrialRun, what: str) -> str | None:
    mine, theirs = _flat(trial.first.result.last), _flat(other.result.last)
    differ = [
        name for name in mine if name not in theirs or not torch.equal(mine[name], theirs[name])
    ]
    if differ or mine.keys() != theirs.keys():
        return f"{what} ends with other weights: {', '.join(differ[:3])} ({len(differ)} tensors)"
    if [h["terms"] for h in trial.first.result.history] != [
        h["terms"] for h in other.result.history
    ]:
        return f"{what} ends with the same weights, but with other means of the terms"
    return None


def _flat(weights: Weights) -> dict[str, torch.Tensor]:
    return {f"{node}.{key}": v for node, state in weights.items() for key, v in state.items()}


PROMISES: Mapping[str, Callable[[MethodTrial], str | None]] = {
    "composes": _composes,
    "learns": _learns,
    "teacher unchanged": _teacher_unchanged,
    "no gradient": _no_gradient,
    "flags": _flags,
    "hooks": _hooks,
    "product": _product,
    "products": _products,
    "metrics": _metrics,
    "same seed": _same_seed,
    "resume": _resume,
    "plain loop": _plain_loop,
    "replay": _replay,
}

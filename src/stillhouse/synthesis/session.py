"""A session: a stage that stays open while batch after batch is optimised."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor, nn

from stillhouse.engine.objective import Objective
from stillhouse.engine.optimisers import OptimizerFactory
from stillhouse.engine.platform import Platform
from stillhouse.engine.schedules import constant
from stillhouse.engine.signals import Signals
from stillhouse.engine.stage import Stage
from stillhouse.engine.stepper import Stepper
from stillhouse.errors import NonFiniteLoss


class Session:
    """A stage of one update, checked and opened: hooks are on until `close`.

    A method of synthesis opens its stage once. For each batch of images, what the batch holds is
    put into the stage's modules, `reset` gives it an optimiser without a memory, `step` makes its
    updates, and `finish` sees that all of them were finite.

    Args:
        stage: its one update is what is stepped.
        batch: signals of a few images that it is checked on, on the device of the platform.
        platform: device and precision.
        optimizer: of the update, at a constant learning rate.
        steps: of a batch.
        compile: compile the step. Changes the last bits.

    Raises:
        WiringError: the stage does not fit together, or has nothing to learn.

    >>> from stillhouse.engine.nodes import Bridge
    >>> from stillhouse.engine.platform import open_platform
    >>> from stillhouse.engine.stage import Update
    >>> from stillhouse.engine.terms import Term
    >>> from stillhouse.synthesis.inputs import ParameterBatch
    >>> pixels = ParameterBatch(torch.zeros(1, 1))
    >>> near_one = Term("near_one", lambda x: (x - 1).square().mean(1), ["pixels"])
    >>> stage = Stage("images", [Bridge("pixels", pixels, "batch.index")],
    ...               [Update("pixels", [near_one])], measures={}, keeps="pixels")
    >>> batch, sgd = {"batch.index": torch.arange(1)}, lambda p: torch.optim.SGD(p, lr=0.25)
    >>> with Session(stage, batch, open_platform(device="cpu"), optimizer=sgd, steps=2) as session:
    ...     for number in range(2):
    ...         session.step(batch, number)
    ...     session.finish()
    >>> pixels.values.item()
    0.75
    """

    def __init__(
        self,
        stage: Stage,
        batch: Signals,
        platform: Platform,
        *,
        optimizer: OptimizerFactory,
        steps: int,
        compile: bool = False,
    ) -> None:
        self._steps = steps
        self._objective = Objective(stage, batch, epochs=steps, autocast=platform.autocast_dtype)
        (update,) = self._objective.updates
        self._stepper = Stepper(
            update,
            platform,
            optimizer=optimizer,
            schedule=constant(),
            steps=steps,
            per_epoch=1,
            compile=compile,
        )
        self._as_opened = copy.deepcopy(self._stepper.state_dict())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimiser of the update."""
        return self._stepper.optimizer

    def reset(self) -> None:
        """Bring optimiser, scaler and the terms' own state back to what they were when opened."""
        self._stepper.load_state_dict(copy.deepcopy(self._as_opened))

    def step(self, batch: Signals, number: int, *, epoch: float | None = None) -> None:
        """One update.

        Args:
            batch: its signals.
            number: of the step within the batch of images, from 0.
            epoch: what weights of terms are a function of; the number when not given.

        Raises:
            NonFiniteLoss: a term became nan or inf, in this step or one since the last look.
        """
        at = float(number) if epoch is None else epoch
        self._objective.set_progress(at / self._steps)
        self._stepper.step(batch, number=number)

    def finish(self) -> None:
        """See that every step was finite. Raises NonFiniteLoss."""
        self._stepper.meter.look()
        self._stepper.meter.reset()

    def keep_rows(self, parameter: nn.Parameter, rows: Tensor) -> None:
        """Keep some rows of a parameter, and of what the optimiser remembers of them."""
        remembered = self.optimizer.state[parameter]
        for name, value in remembered.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                remembered[name] = value[rows]
        parameter.data, parameter.grad = parameter.data[rows], None

    def close(self) -> None:
        """Leave no hook behind."""
        self._objective.close()

    def state_dict(self) -> dict[str, Any]:
        """What a later session of the same stage needs to go on with the same bits."""
        return self._stepper.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        self._stepper.load_state_dict(state)


@contextmanager
def batches_kept(row: int) -> Iterator[None]:
    """Say which batches are kept when a loss in the block is not finite.

    Args:
        row: the first image of the batch that is being made.

    Raises:
        NonFiniteLoss: with the same term and step.

    >>> with batches_kept(256):
    ...     raise NonFiniteLoss("bn", 3)
    Traceback (most recent call last):
    ...
    stillhouse.errors.NonFiniteLoss: term 'bn' is not finite at step 3; batches that were finished before image 256 are kept. Lower the learning rate or the term's weight, or clip gradients (clip: 5.0).
    """  # noqa: E501  (one line of output)
    try:
        yield
    except NonFiniteLoss as error:
        raise error.kept(f"batches that were finished before image {row} are kept") from None

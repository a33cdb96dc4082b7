"""What a process on another machine must have in common with the one that asked for it."""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from stillhouse.errors import RunError, StillhouseError
from stillhouse.faults import fault_of, own_words
from stillhouse.records.environment import torch_version


@dataclass(frozen=True)
class Home:
    """The directory and the version of torch of whoever asks; the threads of a task."""

    threads: int
    directory: str = field(default_factory=os.getcwd)
    torch: str = field(default_factory=torch_version)

    def enter(self) -> None:
        """Be there, as the command is.

        Raises:
            RunError: the directory is not there, or torch is of another version.
        """
        here, machine = torch_version(), socket.gethostname()
        if here != self.torch:
            said = f"{machine} has torch {here}, and the command was given with {self.torch}"
            raise RunError(f"{said}: their numbers differ; install the same on all machines")
        try:
            os.chdir(self.directory)
        except OSError as error:
            raise RunError(
                f"{self.directory} is not there on {machine} ({error.strerror}); all machines of "
                "the cluster need one file system, with the same paths"
            ) from error
        torch.set_num_threads(self.threads)


@dataclass(frozen=True)
class Answer:
    """What came of a task: its value, or the sentence of what it could not do."""

    value: Any = None
    problem: str = ""


def answered(work: Callable[[], Any]) -> Answer:
    """Do it; what a user or the system can mend becomes a sentence, which travels as it is."""
    try:
        return Answer(work())
    except StillhouseError as error:
        return Answer(problem=own_words(error))
    except Exception as error:
        fault = fault_of(error)
        if fault is None:
            raise
        return Answer(problem=str(fault))

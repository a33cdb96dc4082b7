"""A study in pieces, done in any order that they allow: table and bits are those of the whole."""

import hashlib
from pathlib import Path
from typing import Any

from stillhouse.recipes import Study, make_study
from stillhouse.studies.pieces import Piece, claim_arms, do_piece, pieces_of
from stillhouse.studies.study import PreparedStudy, prepare_study, run_study

VALUES = {
    "data": {"source": "digits", "limit": 128},
    "teacher": {"model": "convnet-8", "epochs": 1},
    "student": "convnet-4",
    "epochs": 1,
    "seeds": 2,
    "precision": "fp32",
    "compile": False,
    "arms": {
        "kd": None,
        "dkd": {"method": "dkd"},
        "alone": {"method": "tf_kd_reg", "teacher": None, "seeds": 1},
        "wild": {"optimizer": {"name": "sgd", "lr": 1e30}, "epochs": 2, "teacher.epochs": 2},
    },
    "against": "kd",
}
OF_TIME = ("seconds", "created", "costs")


def study() -> Study:
    return make_study(VALUES)


def told(value: Any) -> Any:
    """A table without what depends on when it was made."""
    if isinstance(value, dict):
        return {key: told(each) for key, each in value.items() if key not in OF_TIME}
    return [told(each) for each in value] if isinstance(value, list) else value


def weights(folder: Path) -> dict[str, str]:
    files = folder.rglob("*.safetensors")
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if "teacher-cache" not in file.as_posix()
    }


def backwards(prepared: PreparedStudy, waiting):
    """The last piece that may be done first, by jobs that know nothing of those that they need."""
    pieces = pieces_of({name: prepared.jobs[name] for name in waiting})
    claim_arms({name: prepared.jobs[name] for name in waiting})
    jobs = prepare_study(study(), prepared.out).jobs
    done: set[int] = set()
    while len(done) < len(pieces):
        ready = [k for k, piece in enumerate(pieces) if k not in done and done >= {*piece.needs}]
        piece = pieces[ready[-1]]
        state = do_piece(piece, jobs[piece.arm], waiting[piece.arm])
        done.add(ready[-1])
        if piece.kind == "arm":
            yield piece.arm, state


def test_pieces_in_any_order_leave_the_study_and_train_nothing_twice(tmp_path: Path) -> None:
    whole = run_study(prepare_study(study(), tmp_path / "whole/s")).scores
    prepared = prepare_study(study(), tmp_path / "pieces/s")
    pieces = pieces_of(prepared.jobs)
    teachers = [piece for piece in pieces if piece.kind == "teacher"]
    assert [piece.arm for piece in teachers] == ["kd", "wild"], "two arms share a teacher"
    assert sum(piece.kind == "control" for piece in pieces) == 4
    students = [piece for piece in pieces if piece.kind == "student" and piece.arm == "dkd"]
    assert students == [Piece("student", "dkd", seed, (0,)) for seed in (0, 1)]
    outcome = run_study(prepared, arms=backwards)
    assert told(outcome.scores) == told(whole)
    assert {arm["state"] for arm in whole["arms"]} == {"finished", "diverged"}
    assert weights(tmp_path / "pieces/s") == weights(tmp_path / "whole/s")

"""What is said of a value that does not fit is plain English, and the same as in Python."""

import pytest

from stillhouse.errors import RecipeError
from stillhouse.recipes import make_recipe

WRONG = {
    "'epochs' is 'three'; it must be a whole number": {"epochs": "three"},
    "'epochs' is 2.5; it must be a whole number": {"epochs": 2.5},
    "'epochs' is 0; it must be at least 1": {"epochs": 0},
    "'optimizer.lr' is null; it must be a number": {"optimizer": {"name": "sgd", "lr": None}},
    "'control' is 'maybe'; it must be true or false": {"control": "maybe"},
    "'method.temperature' is 0; it must be above 0": {"method": {"name": "kd", "temperature": 0}},
    "'optimizer.momentum' is 1.5; it must be below 1": {
        "optimizer": {"name": "sgd", "momentum": 1.5}
    },
    "'student' is 5; it must be a word, or a section of keys": {"student": 5},
    "'verdict' is 3; it must be a section of keys": {"verdict": 3},
    "'method' is 7; it must be a name, or a section with name: ...": {"method": 7},
    "'method.pairs' is 3; it must be a list, 'levels' or 'auto'": {
        "method": {"name": "fitnet", "pairs": 3}
    },
    "'epochs' is nan; it must be a finite number": {"epochs": float("nan")},
    "'compile' is 'graph'; it must be true or false, 'auto' or 'graphs'": {"compile": "graph"},
    "'compile' is []; it must be true or false, 'auto' or 'graphs'": {"compile": []},
    "'data.views' is 0; it must be a number of at least 1, 'auto' or 'live'": {
        "data": {"source": "digits", "views": 0}
    },
    "'cache.dtype.logits' is 'half'; it must be 'float32', 'float16' or 'bfloat16'": {
        "cache": {"use": "always", "dtype": {"logits": "half"}}
    },
    "data.validation: it is 'some'; give a share such as 0.1, or a number of rows": {
        "data": {"source": "digits", "validation": "some"}
    },
    "tune: it is 'yes please'; say true, or list what is tried: {weight: [0.5, 1, 2]}": {
        "tune": "yes please"
    },
    "'precision' is 'fp8'; it must be 'auto', 'fp32', 'bf16' or 'fp16'": {"precision": "fp8"},
}


@pytest.mark.parametrize("said", WRONG)
def test_a_value_that_does_not_fit_hears_what_it_must_be(said: str) -> None:
    values = {"data": "digits", "student": "resnet8", "teacher": "resnet20", **WRONG[said]}
    with pytest.raises(RecipeError) as error:
        make_recipe(values)
    assert error.value.problems == (said,)

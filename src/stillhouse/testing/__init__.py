"""The contract that every loss and method of the catalogue keeps, and that your own can be put to.

>>> from stillhouse.functional import mse
>>> check_loss(mse, kind="features", zero_at_equal=True)
"""

from stillhouse.testing.contract import ContractError
from stillhouse.testing.losses import check_loss
from stillhouse.testing.methods import check_method

__all__ = ["ContractError", "check_loss", "check_method"]

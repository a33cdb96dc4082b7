"""Nodes: what reads signals and returns signals. Four kinds and no more.

Role: a model with taps. Bridge: a module that derives one signal. Replay (in `cache`): a cached
role. Ema: a role that follows another one. A node never knows a method or a loss.
"""

from stillhouse.engine.nodes.bridge import Bridge
from stillhouse.engine.nodes.ema import Ema
from stillhouse.engine.nodes.node import Node, in_precision
from stillhouse.engine.nodes.role import Role

__all__ = ["Bridge", "Ema", "Node", "Role", "in_precision"]

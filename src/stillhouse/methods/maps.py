"""Maps of a pair of layers: the bridges that make them comparable, and what they add to a stage."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import replace

from torch import Size, Tensor, nn

from stillhouse.bridges.maps import AtSize
from stillhouse.bridges.normalisation import Normalisation, normaliser
from stillhouse.bridges.projectors import projector
from stillhouse.bridges.shapes import Connector, as_map, map_shape, resized
from stillhouse.engine.nodes import Bridge, Node
from stillhouse.engine.stage import Stage
from stillhouse.engine.terms import Term
from stillhouse.pairing import Pair


def signals_of(pair: Pair) -> tuple[str, str]:
    """The signals behind a pair of taps, the student's first.

    >>> signals_of(("layer1", "layer2.0"))
    ('student.layer1', 'teacher.layer2.0')
    """
    mine, theirs = pair
    return f"student.{mine}", f"teacher.{theirs}"


def plain_map(x: Tensor) -> Tensor:
    """A feature as a map whose memory is in the order of its dimensions.

    A live teacher gives channels_last, a cached one does not: sums in another order would have
    other bits.

    >>> import torch
    >>> plain_map(torch.zeros(2, 5)).shape
    torch.Size([2, 5, 1, 1])
    """
    return as_map(x).contiguous()


def one_size(mine: str, theirs: str, *, names: tuple[str, str]) -> tuple[Bridge, Bridge]:
    """Two features as maps of one size: the smaller of the two heights and of the two widths."""

    def fit(own: Size, other: Size) -> Callable[[Tensor], Tensor]:
        sides = zip(map_shape(own)[2:], map_shape(other)[2:], strict=True)
        height, width = (min(pair) for pair in sides)
        return lambda x: resized(plain_map(x), (height, width))

    return (
        Bridge.sized(names[0], fit, mine, by=[mine, theirs]),
        Bridge.sized(names[1], fit, theirs, by=[theirs, mine]),
    )


def connector(mine: Size, theirs: Size) -> nn.Module | Callable[[Tensor], Tensor]:
    """A `Connector` where two features differ in width or size; else the feature, as a map.

    >>> connector(Size([2, 4, 8, 8]), Size([2, 4, 8, 8])).__name__
    'as_map'
    """
    return as_map if map_shape(mine)[1:] == map_shape(theirs)[1:] else Connector(mine, theirs)


def widener(mine: Size, theirs: Size) -> nn.Module | Callable[[Tensor], Tensor]:
    """A `Connector` of the student's own size where two features differ in width; else none.

    >>> widener(Size([2, 4, 8, 8]), Size([2, 6, 4, 4]))(Tensor(2, 4, 8, 8)).shape
    torch.Size([2, 6, 8, 8])
    """
    mine, theirs = map_shape(mine), map_shape(theirs)
    if mine[1] == theirs[1]:
        return as_map
    return Connector(mine, Size([mine[0], theirs[1], *mine[2:]]))


def with_more(
    stage: Stage, *, nodes: Iterable[Node], terms: Iterable[Term], learns: Iterable[str] = ()
) -> Stage:
    """The same stage with more nodes, and more terms and learners in its first update."""
    update, *rest = stage.updates
    update = replace(update, learns=(*update.learners, *learns), terms=(*update.terms, *terms))
    return replace(stage, nodes=(*stage.nodes, *nodes), updates=(update, *rest))


def compared(
    stage: Stage, pairs: Iterable[Pair], term: Callable[[str, tuple[str, str]], Term], *, name: str
) -> Stage:
    """A term for each pair of maps, brought to one size: 'at1' of 'student_map1', 'teacher_map1'.

    Args:
        stage: with 'student' and 'teacher'.
        pairs: of taps.
        term: of (its name, the names of the two maps).
        name: of the terms, which are numbered from 1.
    """
    nodes: list[Node] = []
    terms: list[Term] = []
    for number, pair in enumerate(pairs, start=1):
        names = f"student_map{number}", f"teacher_map{number}"
        nodes += one_size(*signals_of(pair), names=names)
        terms.append(term(f"{name}{number}", names))
    return with_more(stage, nodes=nodes, terms=terms)


def aligned(
    stage: Stage, pairs: Iterable[Pair], term: Callable[[str, tuple[str, str]], Term], *, name: str
) -> Stage:
    """A term for each pair of maps, the student's brought to the teacher's width and size.

    That is done by a `Connector` 'aligned1' where they differ, which learns with the student and
    is dropped.

    Args:
        stage, pairs, term, name: as of `compared`.
    """
    nodes: list[Node] = []
    terms: list[Term] = []
    learns: list[str] = []
    for number, pair in enumerate(pairs, start=1):
        mine, theirs = signals_of(pair)
        names = f"aligned{number}", f"target{number}"
        nodes.append(Bridge.sized(names[0], connector, mine, by=[mine, theirs]))
        nodes.append(Bridge(names[1], plain_map, theirs))
        terms.append(term(f"{name}{number}", names))
        learns.append(names[0])
    return with_more(stage, nodes=nodes, terms=terms, learns=learns)


def projected_maps(
    stage: Stage, pairs: tuple[Pair, ...], normalise: Normalisation, like: Term
) -> Stage:
    """A term for each pair of maps, behind a projector and a normalisation of its own.

    Args:
        stage: with 'student' and 'teacher'.
        pairs: of taps.
        normalise: a kind of `stillhouse.bridges.normaliser`.
        like: a term with the loss, the weight and the name, to which numbers are added.
    """

    def projection(mine: Size, theirs: Size) -> nn.Module:
        mine, theirs = map_shape(mine), map_shape(theirs)
        layers = [
            ("projector", projector("conv1x1", mine[1], theirs[1])),
            ("normaliser", normaliser(normalise, theirs[1])),
        ]
        size = (int(theirs[2]), int(theirs[3]))
        same = mine[2:] == theirs[2:]
        return AtSize(nn.Sequential(OrderedDict(layers)), None if same else size, plain=True)

    def target(theirs: Size) -> nn.Module:
        kind = normaliser(normalise, map_shape(theirs)[1])
        return AtSize(kind, None, plain=True)

    for number, pair in enumerate(pairs, start=1):
        mine, theirs = signals_of(pair)
        names = f"projected{number}", f"target{number}"
        bridges = [
            Bridge.sized(names[0], projection, mine, by=[mine, theirs]),
            Bridge.sized(names[1], target, theirs, by=theirs),
        ]
        term = Term(f"{like.name}{number}", like.loss, names, weight=like.weight,
                    options=like.options, pooled=like.pooled, cropped=True)  # fmt: skip
        stage = with_more(stage, nodes=bridges, terms=[term], learns=[names[0]])
    return stage

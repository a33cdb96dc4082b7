"""No import goes in a circle, in whatever function it stands; types count, too."""

import grimp
from networkx import DiGraph, strongly_connected_components


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph("stillhouse", cache_dir=None)
    pairs = [(name, other) for name in graph.modules
             for other in graph.find_modules_directly_imported_by(name)]  # fmt: skip
    assert len(pairs) > 500, "the graph was read"
    circles = [sorted(circle) for circle in strongly_connected_components(DiGraph(pairs))
               if len(circle) > 1]  # fmt: skip
    assert circles == []

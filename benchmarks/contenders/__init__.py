"""What the engine is measured against, made of the same networks, so that only machinery differs.

A script in ``benchmarks/`` imports them as they are::

    from contenders.research_loop import research_loop
    from contenders.torchdistill_loop import torchdistill_loop

``python benchmarks/contenders/agree.py`` checks that all of them do the same work.
"""

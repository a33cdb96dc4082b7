"""The statistics of a verdict, as pure functions of numbers.

`paired` what one comparison says by itself, `moderated` what the arms of a study know together,
`corrections` for many comparisons, `equivalence` within a margin, `judgement` the one rule for the
words of a run and of a study, `power` what so many seeds can show, `rows` what one answer per test
row adds.
"""

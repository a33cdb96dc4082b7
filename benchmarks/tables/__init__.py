"""The tables of the docs out of result files: one module for each kind of table.

`restored` judges the study of a result file anew; `arms`, `students`, `projector` and `runs` write
tables, `claims` what papers claim beside what was measured, `seeds` how many a gain needs, `words`
what the tests of before and of today say of the same numbers, `recorded` what a result file does
not hold, `bare` what students say where Stillhouse is not, `machines` what object stores and
workers did.
"""

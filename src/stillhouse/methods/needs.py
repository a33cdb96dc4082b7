"""What a method needs beside the student, as its signature and family say it."""

from stillhouse.methods.method import Method


def needs_said(method: Method) -> str:
    """In a line.

    >>> from stillhouse.methods import find_method
    >>> needs_said(find_method("kd")), needs_said(find_method("dml"))
    ('a teacher', 'other networks that learn beside the student')
    >>> needs_said(find_method("tf_kd_reg"))
    'no other network'
    """
    if method.needs_peers:
        return "other networks that learn beside the student"
    if not method.needs_teacher:
        return "no other network"
    if "pairs" in method.settings:
        return "a teacher; pairs of layers (by themselves, or named)"
    return "several teachers" if method.family == "several teachers" else "a teacher"

from stillhouse.report import read_run
from stillhouse.report.rows import seed_rows, table_rows


def test_means_with_half_widths_and_how_much_smaller_the_student_is(made):
    teacher, control, student = table_rows(read_run(made.write()))

    assert (teacher.test_last, teacher.note) == ("97.50", "1 seed")
    # s = 0.28 points over three seeds: 4.303 * 0.28 / sqrt(3) = 0.70
    assert (control.test_last, control.seconds) == ("95.00 ± 0.70", "10 s")
    assert (student.test_last, student.note) == ("96.20 ± 1.06", "3 seeds")
    assert (student.parameters, student.fewer) == ("43,250", "6.3\u00d7 fewer")
    assert (student.size, student.smaller) == ("175 kB", "6.3\u00d7 smaller")
    assert (control.fewer, teacher.smaller) == ("", "")
    assert (teacher.test_ends, student.test_ends) == ("", "95.83 to 96.67")  # worst to best


def test_what_a_network_knows_of_its_training_rows_stands_beside(made):
    for run, seen in zip(made.model("student")["runs"], (0.97, 0.98, 0.99), strict=True):
        run["training"] = seen
    record = read_run(made.write())
    assert table_rows(record)[-1].training == "98.00"
    assert [row.training for row in seed_rows(record)][-3:] == [0.97, 0.98, 0.99]
    assert table_rows(record)[0].training == "\u2013"  # of the teacher it was not recorded


def test_a_student_as_large_as_its_teacher_is_said_to_be(made):
    made.model("student").update(parameters=272474, bytes=2 * 1104280)

    student = table_rows(read_run(made.write()))[-1]

    assert (student.fewer, student.smaller) == ("as many", "2.0\u00d7 larger")


def test_further_heads_have_rows_of_their_own(made):
    for run, last in zip(made.model("student")["runs"], (0.95, 0.96, 0.97), strict=True):
        run["heads"] = {"teacher head": {"last": last, "best": None}}

    head = table_rows(read_run(made.write()))[-1]

    assert head.head
    assert (head.model, head.test_last, head.test_best) == (
        "teacher head",
        "96.00 ± 2.48",
        "\u2013",
    )


def test_given_and_reused_models_are_said_to_be(made):
    made.model("teacher")["runs"][0].update(given=True, seconds=0, epochs=0)
    for run in made.model("control")["runs"]:
        run["reused"] = True
    record = read_run(made.write())

    teacher, control, _ = table_rows(record)

    assert (teacher.note, teacher.seconds) == ("given", "given")
    assert control.note == "3 seeds, reused"
    assert [row.note for row in seed_rows(record)] == ["given", *["reused"] * 3, *[""] * 3]


def test_gaps_are_not_finished_until_the_run_is(made):
    made.model("student")["runs"] = []
    made.scores["finished"] = False
    assert table_rows(read_run(made.write()))[-1].test_last == "not finished"

    made.scores["finished"] = True
    assert table_rows(read_run(made.write()))[-1].test_last == "\u2013"


def test_every_training_has_a_line(made):
    rows = seed_rows(read_run(made.write()))

    assert [(row.role, row.seed) for row in rows[:3]] == [
        ("teacher", "0"),
        ("control", "0"),
        ("control", "1"),
    ]
    assert len(rows) == 7
    assert rows[-1].test.last == 0.9583

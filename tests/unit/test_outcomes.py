"""What suites of other people print, read."""
from __future__ import annotations

from languages import outcomes


def test_regrtest_tells_files_and_the_tests_in_them():
    """Of files that passed, only the number of their tests remains."""
    read = outcomes.regrtest(
        "0:00:00 load avg: 1.00 [1/3] test_os passed\nRan 4 tests in 1.5s\n"
        "0:00:01 load avg: 1.00 [2/3/1] test_posix failed (1 failure)\n"
        "FAIL: test_lchown (test.test_posix.PosixTester.test_lchown)\nRan 1 test in 0.5s\n"
        "0:00:02 load avg: 1.00 [3/3/1] test_gdb skipped\n")

    assert outcomes.Outcomes(5, {
        "test_posix": "failed", "test_gdb": "skipped",
        "test_lchown (test.test_posix.PosixTester.test_lchown)": "FAIL"}) == read


def test_go_tells_tests_subtests_and_packages():
    """A package that fails without a failed test, as by a panic, is not lost."""
    read = outcomes.go("=== RUN   TestA\n--- PASS: TestA (0.00s)\n    --- SKIP: TestA/x (0.00s)\n"
                       "ok  \tos\t1.0s\npanic: no\nFAIL\tsyscall\t0.1s\n")

    assert outcomes.Outcomes(2, {"TestA/x": "SKIP", "syscall": "FAIL"}) == read


def test_redis_tells_each_test():
    """Times and the name of the file are left out of a test's name."""
    read = outcomes.redis("[ok]: SET and GET (12 ms)\n"
                          "[err]: Process title set as expected in tests/unit/other.tcl\n")

    assert outcomes.Outcomes(2, {"Process title set as expected": "err"}) == read


def test_a_testfixture_that_does_not_end_is_not_a_success():
    """Its last line has the total."""
    assert outcomes.Outcomes(3, {"a-1.2": "failed"}) == outcomes.testfixture(
        "a-1.1... Ok\na-1.2...\n! a-1.2 expected: [1]\n1 errors out of 3 tests on host\n")
    assert {"all": "not finished"} == outcomes.testfixture("a-1.1... Ok\n").odd


def test_tap_is_read_by_file():
    """Skipped, known to fail, and failed are three things."""
    read = outcomes.tap("# file a.t\nok 1 - one\nnot ok 2 - two\nok 3 # skip no root\n"
                        "not ok 4 - four # TODO known breakage\n# file b.t\n1..0 # SKIP nothing\n")

    assert outcomes.Outcomes(4, {"a.t 2": "failed", "a.t 3": "skipped", "a.t 4": "known to fail",
                                 "b.t": "skipped"}) == read


def test_marks_are_a_word_and_a_name():
    """automake's have a colon, rsync's have not; reasons are left out."""
    read = outcomes.marks("PASS: tests/rm/a.sh\nFAIL: tests/rm/b.sh\nXFAIL: test/nfs.test\n"
                          "SKIP    devices (Rsync needs root)\nPASS    hands\n# FAIL:  1\n")

    assert outcomes.Outcomes(5, {"tests/rm/b.sh": "FAIL", "devices": "SKIP"}) == read


def test_numbered_are_a_number_a_name_and_a_word():
    """As autotest prints."""
    read = outcomes.numbered("  1: tar version                                     ok\n"
                             " 12: zero padded: names                   FAILED (a.at:5)\n"
                             " 13: sparse                               skipped (a.at:7)\n")

    assert outcomes.Outcomes(3, {"12 zero padded: names": "FAILED", "13 sparse": "skipped"}) == read


def test_pytest_tells_each_test_and_how_often_a_line_skips():
    """As with -rA."""
    read = outcomes.pytest("PASSED a/test_b.py::test_c\nFAILED a/test_b.py::test_d - OSError: no\n"
                           "SKIPPED [3] a/test_b.py:12: no reason\n==== 1 failed, 1 passed ====\n")

    assert outcomes.Outcomes(5, {"a/test_b.py::test_d": "FAILED", "a/test_b.py:12:": "SKIPPED 3"}) == read


def test_programs_are_told_one_by_one() -> None:
    """What a program printed that failed is not taken for a mark."""
    assert outcomes.Outcomes(2, {"a b": "FAIL"}, ["a b", "c"]) == outcomes.programs(
        "FAIL a b\n    PASS not one\nPASS c\n")

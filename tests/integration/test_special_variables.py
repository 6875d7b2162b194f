"""Variables that libraries read for themselves: what a live change of them does, as docs/how-to/environment.md
has it in its table. In a copy of this machine, whose compiler makes the program."""
from __future__ import annotations

import os
import subprocess

import pytest

#: For each line of its input, what the libraries make of the variables.
PROGRAM = r"""
#include <langinfo.h>
#include <locale.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
int answer(void);
int main(void)
{
    char line[8];
    time_t begin = 0;

    setvbuf(stdout, 0, _IOLBF, 0);
    while (fgets(line, sizeof(line), stdin)) {
        tzset();
        setlocale(LC_ALL, "");
        printf("TZ %d LANG %s OMP_NUM_THREADS %d CUDA_VISIBLE_DEVICES %s LD_LIBRARY_PATH %d PATH %d\n",
               localtime(&begin)->tm_hour, nl_langinfo(CODESET), omp_get_max_threads(),
               getenv("CUDA_VISIBLE_DEVICES"), answer(), WEXITSTATUS(system("lpmx-test-tool")));
    }
    return 0;
}
"""
OLD, NEW = 3, 5
OLD_SET, NEW_SET = "ANSI_X3.4-1968", "UTF-8"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The program; a library and a tool in two makes, in the directories OLD and NEW."""
    top = tmp_path_factory.mktemp("special")
    for number in (OLD, NEW):
        place = top / str(number)
        place.mkdir()
        (place / "answer.c").write_text(f"int answer(void) {{ return {number}; }}\n")
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", place / "libanswer.so", place / "answer.c"], check=True)
        (place / "lpmx-test-tool").write_text(f"#!/bin/sh\nexit {number}\n")
        (place / "lpmx-test-tool").chmod(0o755)
    (top / "program.c").write_text(PROGRAM)
    subprocess.run(["gcc", "-fopenmp", "-o", top / "program", top / "program.c", f"-L{top}/{OLD}", "-lanswer"],
                   check=True)
    return top


def variables(built, number, locale):
    return {"TZ": f"XXX-{number}", "LANG": locale, "LC_ALL": locale, "OMP_NUM_THREADS": str(number),
            "CUDA_VISIBLE_DEVICES": str(number), "LD_LIBRARY_PATH": f"{built}/{number}",
            "PATH": f"{built}/{number}:{os.defpath}"}


def test_special_variables_do_what_the_table_says(built, opened):
    """A program that runs keeps what its libraries have read; getenv, which the driver of a GPU asks when that
    is first used, and the shells that it starts are up to date. One that is started has all of it."""
    from lpmx_runtime.container import Container, Options, process
    container = Container.create(opened, opened.images.find("host"),
                                 options=Options(env=variables(built, OLD, "C")))

    def start():
        return process.popen(container.launch([str(built / "program")], entrypoint=False),
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(child):
        child.stdin.write("\n")
        child.stdin.flush()
        words = child.stdout.readline().split()
        return dict(zip(words[::2], words[1::2]))

    running = start()
    try:
        of_old = {**dict.fromkeys(variables(built, OLD, ""), str(OLD)), "LANG": OLD_SET}
        del of_old["LC_ALL"]
        assert of_old == ask(running)

        for name, value in variables(built, NEW, "C.UTF-8").items():
            container.environment.set(name, value)

        assert {**of_old, "CUDA_VISIBLE_DEVICES": str(NEW), "PATH": str(NEW)} == ask(running)
        started = start()
        try:
            of_new = {**dict.fromkeys(of_old, str(NEW)), "LANG": NEW_SET}
            assert of_new == ask(started)
        finally:
            started.communicate(timeout=30)
    finally:
        running.communicate(timeout=30)
        container.remove(force=True)


def test_running_shell_keeps_its_path(make, begin):
    """And starts what has the new one; `exec` of itself begins anew."""
    container = make()
    child = begin(container, "mkdir /tools; printf '#!/bin/sh\\necho found\\n' >/tools/tool; "
                             "chmod 755 /tools/tool; echo made\n", "made\n")

    container.environment.set("PATH", "/tools:/bin")

    said = child.communicate("tool 2>/dev/null || echo not found\nsh -c tool\nexec sh -c tool\n", timeout=30)[0]
    assert ["not found", "found", "found"] == said.splitlines()

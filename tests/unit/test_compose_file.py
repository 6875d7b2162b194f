"""Compose files: what is read, in which order, and what is refused."""
from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest
from lpmx_runtime.compose.file import ExposeEntry, LinkEntry, Project, find, load
from lpmx_runtime.errors import ComposeFailed


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], Project]:
    """Read a text as a compose file."""
    def read(text: str) -> Project:
        (tmp_path / "c.yaml").write_text(text)
        return load(tmp_path / "c.yaml")
    return read


def test_everything_that_can_be_said(read: Callable[[str], Project], tmp_path: Path) -> None:
    """Scalars are the text that they are."""
    project = read("""
name: study
containers:
  pipe:
    image: debian:12
    environment: {N: 010, T: 10:30, NO: no, E: ''}
    binds: [./data:/data:ro, /srv]
    user: host
    workdir: /data
    contain: true
    preload: false
    links:
      squeue: host:squeue
      sam: {target: "tools:/usr/bin/sam", cwd: /tmp, environment: [A=b=c], pass: ["S_*"], over: true}
    depends_on: [base]
  tools:
    image: acme/tools
    exposes: [/usr/bin/sam]
  base:
    image: busybox
    exposes: {bb: busybox, b2: {program: /bin/ls, dir: ~/x}}
""")

    assert ("study", ["tools", "base", "pipe"]) == (project.name, [one.name for one in project.containers])
    tools, base, pipe = project.containers
    assert {"N": "010", "T": "10:30", "NO": "no", "E": ""} == pipe.env
    assert (f"{tmp_path}/data:/data:ro", "/srv") == pipe.binds
    assert ("host", "/data", True, False, True) == (pipe.user, pipe.workdir, pipe.contain, pipe.preload, pipe.gpu)
    assert (LinkEntry("squeue", "host:squeue"),
            LinkEntry("sam", "tools:/usr/bin/sam", "/tmp", {"A": "b=c"}, ("S_*",), True)) == pipe.links
    assert (ExposeEntry("sam", "/usr/bin/sam"),) == tools.exposes
    assert (ExposeEntry("bb", "busybox"), ExposeEntry("b2", "/bin/ls", "~/x")) == base.exposes


def test_name_is_the_folders_by_itself(read: Callable[[str], Project], tmp_path: Path) -> None:
    """And the order the file's, where nothing else says so."""
    project = read("containers: {b: {image: x}, a: {image: x}, c: {image: x}}")

    assert tmp_path.name == project.name
    assert ["b", "a", "c"] == [one.name for one in project.containers]


@pytest.mark.parametrize("text,cause", [
    ("containers: {}", "containers: it has none"),
    ("[1]", "the file: it is not a mapping"),
    ("services: {}", 'the file: there is no such key as "services"'),
    ("containers: {a: {}}", "containers.a: it has no image"),
    ("containers: {a: {image: x, ports: [1]}}", 'containers.a: there is no such key as "ports"'),
    ("containers: {host: {image: x}}", "containers.host: this cannot be the name of a container"),
    ("containers: {a/b: {image: x}}", "containers.a/b: this cannot be the name of a container"),
    ("containers: {a: {image: x, contain: yes}}", "containers.a.contain: it is neither true nor false"),
    ("containers: {a: {image: x, links: {l: ls}}}", 'containers.a.links.l: its target "ls" is not'),
    ("containers: {a: {image: x, environment: [A]}}", 'containers.a.environment: "A" is not NAME=VALUE'),
    ("containers: {a: {image: x, environment: {A: [1]}}}", 'environment: "A" cannot be a variable'),
    ("containers: {a: {image: x, binds: /x}}", "containers.a.binds: it is not a list"),
    ("containers: {a: {image: x, depends_on: [b]}}", 'containers.a.depends_on: "b" is not in the file'),
    ("containers: {a: {image: x}, a: {image: y}}", '"a" is there twice'),
    ("containers: {a: {image: x, depends_on: [b]}, b: {image: x, links: {l: a:/bin/l}}}",
     "in a circle: a -> b -> a"),
    ("containers: {a: {image: x, depends_on: [a]}}", "in a circle: a -> a"),
    ("a: [", "while parsing"),
    ("name: a/b\ncontainers: {a: {image: x}}", 'name: "a/b" cannot be a name'),
])
def test_what_makes_no_sense_is_refused_with_its_place(read: Callable[[str], Project], text: str,
                                                       cause: str) -> None:
    """Nothing is guessed and nothing ignored."""
    with pytest.raises(ComposeFailed) as refused:
        read(text)
    assert cause in str(refused.value) and refused.value.hint


def test_tags_make_no_objects(read: Callable[[str], Project]) -> None:
    """A value with a tag is the text that it is: nothing is run and nothing made."""
    assert "exit 1" == read("containers: {a: {image: !!python/object/apply:os.system 'exit 1'}}").containers[0].image


def test_own_programs_may_be_linked(read: Callable[[str], Project]) -> None:
    """A container that links to itself does not wait for itself."""
    assert 1 == len(read("containers: {a: {image: x, links: {l: a:/bin/l}}}").containers)


def test_usual_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the working directory; without it the error says its name."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ComposeFailed, match='there is no "lpmx-compose.yaml" here'):
        find(None)
    with pytest.raises(ComposeFailed, match="no such file"):
        load(find("other.yaml"))

    (tmp_path / "lpmx-compose.yml").write_text("")

    assert Path("lpmx-compose.yml") == find(None)

"""`lpmx compose`: a set of containers from a file."""
from __future__ import annotations

import json
import subprocess

import pytest

FILE = """
name: {name}
containers:
  {name}-front:
    image: {image}
    environment: {{GREETING: hello}}
    links:
      back: {{target: "{name}-back:/bin/sh", environment: {{VIA: link}}}}
      un: host:uname
    exposes: {{{name}-say: {{program: echo, dir: {bin}}}}}
  {name}-back:
    image: {image}
"""


@pytest.fixture
def compose(loaded, shell, tmp_path):
    """Write a compose file, and run `lpmx compose` with it; afterwards all is down."""
    image, name = loaded("tiny"), f"c{tmp_path.name.replace('_', '')[-20:]}"

    class Compose:
        file = tmp_path / "lpmx-compose.yaml"
        front, back, bin = f"{name}-front", f"{name}-back", tmp_path / "bin"

        def write(self, text=FILE):
            self.file.write_text(text.format(name=name, image=image, bin=self.bin))

        def __call__(self, *words, **options):
            return shell("compose", *words, "-f", self.file, **options)

        def ps(self):
            return {one["name"]: one for one in json.loads(self("ps", "--json", check=True).stdout)}

    own = Compose()
    own.write()
    yield own
    own.write()
    own("down", "-t", "1", check=True)
    assert [] == [one["name"] for one in json.loads(shell("ps", "--json").stdout)
                  if one["name"].startswith(name)]


def test_up_makes_what_down_removes(compose, shell):
    """In the order of need; again, it changes nothing."""
    done = compose("up", check=True)
    assert f"{compose.back}: made\n{compose.front}: made\n" == done.stdout

    assert "hello link\n" == shell("exec", compose.front, "sh", "-c", "echo $(echo $GREETING) $(back -c 'echo $VIA')",
                                   check=True).stdout
    say = next(compose.bin.iterdir())
    assert "a  b\n" == subprocess.run([say, "a  b"], stdout=subprocess.PIPE, text=True, check=True,
                                      cwd=compose.bin).stdout
    shell("exec", compose.front, "touch", "/kept", check=True)
    assert f"{compose.back}: there\n{compose.front}: there\n" == compose("up", check=True).stdout
    shell("exec", compose.front, "test", "-e", "/kept", check=True)
    state = compose.ps()
    assert [compose.back, compose.front] == list(state)
    assert [f"back={compose.back}:/bin/sh"] == state[compose.front]["links"][:1]
    assert [str(say)] == state[compose.front]["commands"]

    assert f"{compose.front}: removed\n{compose.back}: removed\n" == compose("down", check=True).stdout

    assert ["", ""] == [one["image"] for one in compose.ps().values()] and not say.exists()
    assert "(not there)" in compose("ps", check=True).stdout
    assert "" == compose("down", check=True).stdout


def test_what_the_file_has_no_more_goes(compose, shell):
    """Links and commands that it asked for last time; those made by hand stay."""
    compose("up", check=True)
    shell("link", compose.front, "mine=host:uname", check=True)
    compose.write("name: {name}\ncontainers: {{'{name}-front': {{image: '{image}', "
                  "environment: {{GREETING: hello}}}}}}")

    compose("up", check=True)

    state = compose.ps()
    assert ["mine"] == [link.split("=")[0] for link in state[compose.front]["links"]]
    assert [] == state[compose.front]["commands"] and [] == list(compose.bin.iterdir())
    assert (True, False) == (state[compose.front]["known"], state[compose.back]["known"])
    assert "not in the file" in compose("ps").stderr

    done = compose("down", check=True)

    assert f"{compose.front}: removed\n" == done.stdout and "--remove-orphans" in done.stderr
    shell("exec", compose.back, "true", check=True)
    assert f"{compose.back}: removed\n" == compose("down", "--remove-orphans", check=True).stdout


def test_container_that_was_made_otherwise_is_made_again_only_if_asked(compose, shell):
    """What was changed in it would be lost."""
    compose("up", check=True)
    shell("exec", compose.front, "touch", "/kept", check=True)
    compose.write(FILE.replace("hello", "changed"))

    done = compose("up")

    assert 1 == done.returncode and "was made with another value of environment\nhint: --recreate" in done.stderr
    shell("exec", compose.front, "test", "-e", "/kept", check=True)
    assert f"{compose.front}: made again" in compose("up", "--recreate", check=True).stdout
    assert 1 == shell("exec", compose.front, "test", "-e", "/kept").returncode


def test_what_a_failed_up_made_goes_once_the_file_has_it_no_more(compose):
    """Also if no `up` came to its end between."""
    compose.write(FILE.replace("un: host:uname", "un: host:uname\n      no: host:nosuch"))
    assert 'the host has no program "nosuch"' in compose("up").stderr
    assert 2 == len(compose.ps()[compose.front]["links"])
    compose.write(FILE.replace("      un: host:uname\n", ""))

    compose("up", check=True)

    assert [f"back={compose.back}:/bin/sh"] == compose.ps()[compose.front]["links"]


def test_label_of_the_project_alone_is_no_definition(compose, opened, loaded):
    """Nothing is known of what the container was made with."""
    from lpmx_runtime.container import Container
    Container.create(opened, opened.images.find(loaded("tiny")), name=compose.front,
                     labels={"compose.project": compose.front.removesuffix("-front")})

    assert "was made with another value of image, " in compose("up").stderr
    assert f"{compose.front}: made again" in compose("up", "--recreate", check=True).stdout


def test_container_of_another_is_left_alone(compose, shell, loaded):
    """A name that is taken, and an image that is not there."""
    shell("create", "--name", compose.front, loaded("tiny"), check=True)
    done = compose("up")
    shell("rm", compose.front, check=True)

    assert 1 == done.returncode and "did not make\nhint: " in done.stderr
    assert [""] * 2 == [one["image"] for one in compose.ps().values()]
    compose.write(FILE.replace("{image}", "nosuch.invalid/image:1"))
    done = compose("up", "--no-pull")
    assert done.returncode and "nosuch.invalid/image" in done.stderr and "\nhint: " in done.stderr

"""Names of images, by the rules that Docker has for them."""
from __future__ import annotations

import pytest

from lpmx_runtime.errors import InvalidReference
from lpmx_runtime.oci.reference import Reference

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize("text, canonical, familiar", [
    ("ubuntu", "docker.io/library/ubuntu:latest", "ubuntu:latest"),
    ("ubuntu:18.04", "docker.io/library/ubuntu:18.04", "ubuntu:18.04"),
    ("library/ubuntu:18.04", "docker.io/library/ubuntu:18.04", "ubuntu:18.04"),
    ("docker.io/ubuntu", "docker.io/library/ubuntu:latest", "ubuntu:latest"),
    ("index.docker.io/library/ubuntu", "docker.io/library/ubuntu:latest", "ubuntu:latest"),
    ("registry-1.docker.io/a/b", "docker.io/a/b:latest", "a/b:latest"),
    ("rocker/r-ver:4.4.1", "docker.io/rocker/r-ver:4.4.1", "rocker/r-ver:4.4.1"),
    ("a/b/c", "docker.io/a/b/c:latest", "a/b/c:latest"),
    ("ghcr.io/acme/solver:2.4", "ghcr.io/acme/solver:2.4", "ghcr.io/acme/solver:2.4"),
    ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
    ("localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest"),
    ("host:5000/a/b:c", "host:5000/a/b:c", "host:5000/a/b:c"),
    ("127.0.0.1:5801/team/demo:v1", "127.0.0.1:5801/team/demo:v1", "127.0.0.1:5801/team/demo:v1"),
    ("[::1]:5000/a:b", "[::1]:5000/a:b", "[::1]:5000/a:b"),
    ("GHCR.io/acme/solver", "ghcr.io/acme/solver:latest", "ghcr.io/acme/solver:latest"),
    ("Registry/x", "Registry/x:latest", "Registry/x:latest"),
    ("a/b__c--d.e:T_1.2-x", "docker.io/a/b__c--d.e:T_1.2-x", "a/b__c--d.e:T_1.2-x"),
    (f"ubuntu@{DIGEST}", f"docker.io/library/ubuntu@{DIGEST}", f"ubuntu@{DIGEST}"),
    (f"ubuntu:18.04@{DIGEST}", f"docker.io/library/ubuntu:18.04@{DIGEST}",
     f"ubuntu:18.04@{DIGEST}"),
    ("docker.io/foo.bar/x:1", "docker.io/foo.bar/x:1", "docker.io/foo.bar/x:1"),
    ("docker.io/library/localhost/x", "docker.io/library/localhost/x:latest",
     "library/localhost/x:latest"),
])
def test_reference_is_read_as_docker_reads_it(text: str, canonical: str, familiar: str) -> None:
    """The canonical and the familiar form, and both mean what was typed."""
    reference = Reference.parse(text)

    assert canonical == str(reference)
    assert familiar == reference.familiar
    assert reference == Reference.parse(canonical)
    assert reference == Reference.parse(familiar)


def test_reference_has_its_parts() -> None:
    """Registry, repository, tag and digest, each where it belongs."""
    reference = Reference.parse(f"host:5000/a/b:t@{DIGEST}")

    assert ("host:5000", "a/b", "t", DIGEST) == (reference.registry, reference.repository,
                                                 reference.tag, reference.digest)


@pytest.mark.parametrize("text, cause, hint", [
    ("", "it is empty", 'looks like "ubuntu:18.04"'),
    ("Ubuntu:18.04", "repositories have names in lower case", 'try "ubuntu:18.04"'),
    ("ghcr.io/Acme/Solver", "repositories have names in lower case", 'try "ghcr.io/acme/solver"'),
    ("docker://ubuntu", "it is a URL", 'leave "docker://" out'),
    ("https://ghcr.io/a/b", "it is a URL", 'leave "https://" out'),
    ("a//b", '"a//b" is not the name of a repository', "looks like"),
    ("a b", '"a b" is not the name of a repository', "looks like"),
    ("ubuntu\n", "is not the name of a repository", "looks like"),
    ("-x", '"-x" is not the name of a repository', "looks like"),
    ("a___b", '"a___b" is not the name of a repository', "looks like"),
    ("a:b:c", '"a:b" is not the name of a repository', "looks like"),
    ("../../etc/passwd", "is not the name of a", "looks like"),
    ("a/../b", '"a/../b" is not the name of a repository', "looks like"),
    ("ubuntu:", '"" is not a tag', "a tag has at most 128"),
    ("ubuntu:.x", '".x" is not a tag', "a tag has at most 128"),
    ("ubuntu:" + "x" * 129, "is not a tag", "a tag has at most 128"),
    ("ubuntu:18.04\n", "is not a tag", "a tag has at most 128"),
    ("ubuntu@sha256:12", '"sha256:12" is not a digest', '"sha256:" and 64 hexadecimal digits'),
    ("ubuntu@", '"" is not a digest', "a digest looks like"),
    (f"ubuntu@{DIGEST.upper()}", "is not a digest", "a digest looks like"),
    ("ghcr.io/", "it names no repository", "looks like"),
    ("gh_cr.io/x", '"gh_cr.io" is not the name of a registry', "looks like"),
    ("host:port/x", '"host:port" is not the name of a registry', "looks like"),
    ("a" * 64, "64 hexadecimal digits are a digest", 'write "REPOSITORY@sha256:aaaaaaaa..."'),
    ("x/" * 130 + "x", "its name has more than 255 characters", "looks like"),
])
def test_what_is_no_reference_is_refused_with_the_reason(text: str, cause: str, hint: str) -> None:
    """The message has what was typed and why it cannot be; the hint, what could."""
    with pytest.raises(InvalidReference) as refused:
        Reference.parse(text)

    assert refused.value.message.startswith(f'cannot use "{text}" as the name of an image: ')
    assert cause in refused.value.message
    assert hint in (refused.value.hint or "")
    assert 1 == refused.value.exit_code

"""The image config, as its writers have it."""
from __future__ import annotations

import json
from typing import Any

import pytest

from lpmx_runtime.errors import ImageDamaged
from lpmx_runtime.oci.config import ImageConfig

DIFF_ID = "sha256:" + "2" * 64


def test_config_is_read() -> None:
    """All that running a program of the image needs."""
    config = ImageConfig.parse(json.dumps({
        "architecture": "arm", "os": "linux", "variant": "v7", "created": "2026-01-01T00:00:00Z",
        "config": {"Env": ["PATH=/bin", "A=b=c", "A=d"], "Entrypoint": ["/e", "x y"],
                   "Cmd": ["c"], "WorkingDir": "/w", "User": "1000:1000",
                   "Labels": {"k": "v"}, "StopSignal": "SIGINT", "Volumes": {"/data": {}},
                   "ExposedPorts": {"8888/tcp": {}}},
        "rootfs": {"type": "layers", "diff_ids": [DIFF_ID]},
        "history": [{"created_by": "base"}],
    }).encode())

    assert ("arm", "linux", "v7") == (config.architecture, config.os, config.variant)
    assert {"PATH": "/bin", "A": "d"} == config.env
    assert (("/e", "x y"), ("c",)) == (config.entrypoint, config.cmd)
    assert ("/w", "1000:1000", "SIGINT") == (config.working_dir, config.user, config.stop_signal)
    assert ({"k": "v"}, ("/data",), ("8888/tcp",)) == \
        (config.labels, config.volumes, config.exposed_ports)
    assert ((DIFF_ID,), "2026-01-01T00:00:00Z") == (config.diff_ids, config.created)
    assert "base" == config.history[0]["created_by"]


@pytest.mark.parametrize("run", [{}, {"config": None}, {"config": {}}, {"config": {
    "Env": None, "Entrypoint": None, "Cmd": None, "Labels": None, "Volumes": None,
    "ExposedPorts": None, "User": None, "WorkingDir": None, "StopSignal": None}}])
def test_what_is_absent_is_filled_in(run: dict[str, Any]) -> None:
    """Go writes null where Python would write nothing; both mean the same."""
    config = ImageConfig.parse(run)

    assert ({}, (), (), "", "") == (config.env, config.entrypoint, config.cmd, config.user,
                                    config.working_dir)
    assert ("linux", None, None) == (config.os, config.variant, config.stop_signal)


def test_a_command_that_is_one_text_is_one_word() -> None:
    """As Docker reads what its first versions wrote."""
    assert ("run me",) == ImageConfig.parse({"config": {"Cmd": "run me"}}).cmd


@pytest.mark.parametrize("value, cause", [
    (b"nothing", "it is not JSON"),
    (b"[]", "all of it is not a JSON object"),
    (b'{"config": []}', "config is not a JSON object"),
    (b'{"config": {"Env": {"A": "b"}}}', "Env is not a list"),
    (b'{"config": {"Env": [1]}}', "Env is not a list of texts"),
    (b'{"config": {"Cmd": ["a\\u0000b"]}}', "Cmd is not a list of texts"),
    (b'{"config": {"User": 5}}', "User is not a text"),
    (b'{"config": {"Labels": []}}', "Labels is not a JSON object"),
    (b'{"rootfs": {"type": "zfs"}}', "unknown type 'zfs'"),
    (b'{"rootfs": {"diff_ids": ["../x"]}}', "'../x' is not a diff ID"),
    (b'{"rootfs": {"diff_ids": "x"}}', "diff_ids is not a list"),
    (b'{"history": ["x"]}', "history is not a JSON object"),
    (b'{"a":' * 50_000, "nested too deeply"),
])
def test_config_that_makes_no_sense_is_refused_with_the_reason(value: bytes, cause: str) -> None:
    """The message says what was being done and what is wrong."""
    with pytest.raises(ImageDamaged) as refused:
        ImageConfig.parse(value, failing='cannot pull "x"')

    assert refused.value.message.startswith('cannot pull "x": ')
    assert cause in refused.value.message

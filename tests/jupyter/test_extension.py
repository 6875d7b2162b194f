"""The server extension over HTTP: a real server, real images, every answer as it is described."""
from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any, Iterator
from urllib.parse import urlsplit

import pytest
from lpmx_jupyter.extension.calls import _on_path, programs
from support import leftovers
from support.api import TINY, ApiServer, own_store
from support.notebooks import Jupyter
from support.waiting import until
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

PATIENCE = 20.0   # seconds


@pytest.fixture(scope="module")
def place(images: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    with own_store(tmp_path_factory.mktemp("api"), images) as own:
        yield own


@pytest.fixture(scope="module")
def api(place: Jupyter) -> Iterator[ApiServer]:
    running = ApiServer(place.folder, place.runtime)
    yield running
    running.close()


@pytest.fixture
def box(api: ApiServer) -> Iterator[str]:
    """A container of the tiny image."""
    name = str(api.ask("POST", "/containers", {"image": TINY}, status=201)["name"])
    yield name
    api.send("DELETE", f"/containers/{name}", params={"force": "true"})


@pytest.fixture
def sleeper(box: str, place: Jupyter, installed: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """A program that runs in it."""
    program = subprocess.Popen([installed.lpmx, "exec", box, "--", "sleep", "300"])
    yield program
    program.kill()
    program.wait()


def run(installed: Any, box: str, *command: str) -> str:
    return subprocess.run([installed.lpmx, "exec", box, "--", *command], check=True,
                          stdout=subprocess.PIPE, text=True).stdout


# -- images and tasks -------------------------------------------------------------------


def test_images_are_listed_with_sizes_sharing_and_what_uses_them(api: ApiServer, box: str) -> None:
    """The list has the store's images and the host, and says which containers are made of each."""
    found = {image["familiar"]: image for image in api.ask("GET", "/images")}

    assert box in found[TINY]["containers"]
    assert found[TINY]["size"] > 0 and found["host"]["live"]
    details = api.ask("GET", "/image", query={"image": TINY})
    assert {**details["image"], "containers": []} == {**found[TINY], "containers": []}
    assert ["sh"] == details["config"]["config"]["Cmd"]
    assert [details["image"]["diff_ids"][0]] == [
        step["diff_id"] for step in api.ask("GET", "/image/history", query={"image": TINY})
        if step["diff_id"]]


@pytest.fixture
def layered(api: ApiServer, box: str, registry: Any, installed: Any) -> str:
    """An image of the registry, of which the store has the first layer of three."""
    reference = str(registry.reference("api/layered"))
    for number in (1, 2):
        run(installed, box, "dd", "if=/dev/urandom", f"of=/root/{number}", "bs=1M", "count=2")
        api.finish(api.ask("POST", "/containers/{container}/commit", {"image": reference},
                           container=box))
        api.ask("DELETE", "/containers/{container}", container=box)
        api.ask("POST", "/containers", {"image": reference, "name": box})
    subprocess.run([installed.lpmx, "push", reference], check=True)
    api.ask("DELETE", "/containers/{container}", container=box)
    api.ask("DELETE", "/image", query={"image": reference})
    return reference


def test_pull_reports_every_layer_and_is_heard_in_two_tabs(api: ApiServer, registry: Any,
                                                            layered: str) -> None:
    """A pull answers at once; both tabs hear its progress, its end and the new image."""
    reference = layered
    first, second = api.events(), api.events()

    task = api.ask("POST", "/images/pull", {"reference": reference}, status=202)

    ends = [tab.next("task", lambda value: value["state"] == "succeeded") for tab in (first, second)]
    assert ends[0] == ends[1] == api.finish(task)
    assert [reference] == ends[0]["result"]["images"]
    layers = [part for part in ends[0]["parts"] if part["id"].startswith("sha256:")]
    assert 3 == len(layers) and all(part["finished"] for part in layers)
    assert ["already in the store"] == [part["note"] for part in layers if part["note"]]
    assert ends[0]["done"] == ends[0]["total"] == sum(part["total"] or 0 for part in layers) > 4e6
    first.changed("images")
    third = api.events()   # the page was opened again
    assert ends[0] in third.hello["tasks"] and first.hello["server"] == third.hello["server"]
    assert "1" in api.ask("GET", "/registry/tags", query={"repository": reference.rpartition(":")[0]})
    assert [reference.rpartition(":")[0]] == [
        one["name"] for one in api.ask("GET", "/registry/search", query={
            "term": f"{registry.address}/api/layered"})]

    api.ask("DELETE", "/image", query={"image": reference}, status=204)
    second.changed("images")
    api.ask("DELETE", "/tasks/{task}", task=task["id"], status=204)
    assert {"id": task["id"]} == third.next("forgotten")
    for tab in (first, second, third):
        tab.close()


async def websocket(api: ApiServer, may: str = "read write") -> Any:
    """A websocket of events, for somebody who may do so much."""
    return await websocket_connect(HTTPRequest(f"ws{api.url[4:]}lpmx/api/events/socket", headers={
        "Authorization": "token token-of-the-tests", "X-Test-May": may}))


def test_events_come_over_a_websocket_too(api: ApiServer, box: str) -> None:
    """The same text, a frame an event; who may not look is not let in."""
    async def heard(may: str) -> list[str]:
        connection = await websocket(api, may)
        frames = [str(await connection.read_message())]
        await asyncio.to_thread(api.ask, "PATCH", "/containers/{container}/environment",
                                {"set": {"A": "1"}}, container=box)
        while "environment" not in frames[-1]:
            frames.append(str(await connection.read_message()))
        connection.close()
        return frames
    frames = asyncio.run(asyncio.wait_for(heard("read write"), 30))

    assert frames[0].startswith("event: hello\ndata: {") and frames[0].endswith("}\n\n")
    assert f'event: changed\ndata: {{"what": "environment", "container": "{box}"}}\n\n' == frames[-1]
    with pytest.raises(HTTPClientError, match="403"):
        asyncio.run(heard("write"))


def test_websocket_says_hello_when_changes_are_looked_for(api: ApiServer, box: str,
                                                           place: Jupyter, installed: Any) -> None:
    """Not while the first look is on, by which a change after it may already be known."""
    slow = place.loaded.path / "containers" / "a-slow-disk"
    slow.mkdir()
    os.mkfifo(slow / "control")

    async def heard() -> list[str]:
        connection = await websocket(api)
        hello = asyncio.ensure_future(connection.read_message())
        await asyncio.to_thread(subprocess.run, [installed.lpmx, "env", "set", box, "A=1"], check=True)
        early = hello.done()
        end = await asyncio.to_thread(os.open, slow / "control", os.O_WRONLY)   # reading goes on
        shutil.rmtree(slow)
        os.close(end)
        assert not early, await hello
        frames = [str(await hello)]
        await asyncio.to_thread(subprocess.run, [installed.lpmx, "env", "set", box, "A=2"], check=True)
        while "environment" not in frames[-1]:
            frames.append(str(await connection.read_message()))
        connection.close()
        return frames
    assert asyncio.run(asyncio.wait_for(heard(), 30))[0].startswith("event: hello\n")


def test_all_is_told_after_a_look_that_failed(api: ApiServer, box: str, place: Jupyter) -> None:
    """What changed until the next one cannot be told apart from the rest."""
    containers = place.loaded.path / "containers"
    mode = containers.stat().st_mode
    containers.chmod(0)
    try:
        tab = api.events()
    finally:
        containers.chmod(mode)

    tab.changed("environment", box)
    tab.close()


def test_pull_that_fails_says_why(api: ApiServer, registry: Any) -> None:
    """The task ends with the library's message, hint and code."""
    task = api.ask("POST", "/images/pull", {"reference": registry.reference("api/absent")})

    error = api.finish(task, "failed")["error"]

    assert "not-found-in-registry" == error["code"]
    assert error["message"].startswith("cannot pull")


def test_pull_can_be_cancelled_while_the_registry_is_silent(api: ApiServer, place: Jupyter) -> None:
    """A worker that waits for the network ends as soon as it is told, and leaves nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        reference = f"127.0.0.1:{silent.getsockname()[1]}/team/slow:1"
        task = api.ask("POST", "/images/pull", {"reference": reference})
        connection, _ = silent.accept()   # it is at work

        assert "cancelling" == api.ask("DELETE", "/tasks/{task}", task=task["id"],
                                       status=202)["state"]

        assert api.finish(task, "cancelled")["result"] is None
        connection.close()
    assert [] == [path for path in (place.root / "store" / "tmp").iterdir()
                  if path.suffix != ".lock"]


def test_archive_goes_down_and_comes_up_again(api: ApiServer, box: str, installed: Any) -> None:
    """What is downloaded as a bundle can be uploaded: images and containers under new names."""
    run(installed, box, "touch", "/root/kept")
    archive = api.send("GET", "/images/archive", params={"image": TINY})
    bundle = api.send("GET", "/bundle", params={"container": box})
    assert {"application/x-tar"} == {one.headers["Content-Type"] for one in (archive, bundle)}
    with tarfile.open(fileobj=io.BytesIO(archive.content)) as tar:
        assert "index.json" in tar.getnames()

    task = api.ask("POST", "/images/upload", data=archive.content, status=202,
                   query={"filename": "my image.tar", "name": "uploaded:1"})
    assert ["uploaded:1"] == api.finish(task)["result"]["images"]
    api.ask("DELETE", "/containers/{container}", container=box, status=204)
    task = api.ask("POST", "/images/upload", data=bundle.content, query={"filename": "b.tar"})

    assert [box] == api.finish(task)["result"]["containers"]
    assert {"kind": "A", "path": "/root/kept"} in api.ask(
        "GET", "/containers/{container}/diff", container=box)["changes"]
    api.ask("DELETE", "/image", query={"image": "uploaded:1"})


def test_upload_that_is_no_image_or_breaks_off_leaves_nothing(api: ApiServer,
                                                              place: Jupyter) -> None:
    """The message names the file; half a file is forgotten."""
    task = api.ask("POST", "/images/upload", data=b"no image" * 1000, query={"filename": "x.tar"})
    assert "archive-damaged" == api.finish(task, "failed")["error"]["code"]

    port = urlsplit(api.url).port
    with socket.create_connection(("127.0.0.1", port)) as half:
        half.sendall(b"POST /user/me/lpmx/api/images/upload?filename=half.tar HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                     b"Authorization: token token-of-the-tests\r\n"
                     b"Content-Length: 100000000\r\n\r\n" + b"x" * 3000000)
        until(lambda: list((place.root / "store" / "tmp").glob("*/half.tar")), PATIENCE)
    until(lambda: not list((place.root / "store" / "tmp").glob("*/half.tar")), PATIENCE)


def test_files_of_the_servers_machine_are_written_and_loaded(api: ApiServer, place: Jupyter,
                                                             box: str) -> None:
    """Paths begin in the server's root folder; a file that is there is not replaced unasked."""
    saved = api.finish(api.ask("POST", "/images/save", {"images": [TINY], "path": "out.tar"}))
    assert str(place.folder / "out.tar") == saved["result"]["path"]
    again = api.ask("POST", "/images/save", {"images": [TINY], "path": "out.tar"})
    assert "write-failed" == api.finish(again, "failed")["error"]["code"]
    bundled = api.ask("POST", "/bundle", {"containers": [box], "path": "out.tar", "replace": True})
    api.finish(bundled)

    loaded = api.ask("POST", "/images/load", {"path": "out.tar", "rename": {box: "another"}})

    assert ["another"] == api.finish(loaded)["result"]["containers"]
    api.ask("DELETE", "/containers/{container}", container="another")


# -- containers ---------------------------------------------------------------------------


def test_container_shows_what_runs_and_can_be_stopped(api: ApiServer, box: str,
                                                      sleeper: Any) -> None:
    """Programs with CPU and memory; removing wants them ended first."""
    def running() -> Any:
        [found] = [one for one in api.ask("GET", "/containers") if one["name"] == box]
        return found if found["processes"] and found["processes"][0]["program"] else None
    until(running, PATIENCE)
    found = until(lambda: (lambda one: one if one and one["cpu"] is not None else None)(running()),
                  PATIENCE)

    [process] = found["processes"]
    assert (sleeper.pid, ["sleep", "300"]) == (process["pid"], process["argv"])
    assert found["memory"] == process["memory"] > 0 and "trap" in process["ways"]
    assert [process["pid"]] == [one["pid"] for one in api.ask(
        "GET", "/containers/{container}/processes", container=box)]
    assert box == api.ask("GET", "/containers/{container}", container=box)["container"]["name"]
    for method, path in (("DELETE", "/containers/{container}"),
                         ("POST", "/containers/{container}/reset")):
        assert "container-running" == api.ask(method, path, container=box, status=409)["code"]
    assert {"asked": False} == api.ask("POST", "/containers/{container}/stop", {"timeout": 0},
                                       container=box)
    assert -signal.SIGKILL == sleeper.wait(10)


def test_changes_are_told_kept_and_taken_back(api: ApiServer, box: str, installed: Any) -> None:
    """diff, commit to an image, reset; a command line beside the server is noticed, too."""
    tab = api.events()
    run(installed, box, "sh", "-c", "echo new >/root/new; rm /etc/group")
    tab.changed("containers", box)
    diff = api.ask("GET", "/containers/{container}/diff", container=box)
    assert {"kind": "A", "path": "/root/new"} in diff["changes"]
    assert {"kind": "D", "path": "/etc/group"} in diff["changes"]
    assert len(diff["changes"]) == diff["total"]

    task = api.ask("POST", "/containers/{container}/commit",
                   {"image": "kept:1", "changes": ["ENV KEPT=yes MY_TOKEN=hush"],
                    "message": "why"}, container=box)
    assert ["kept:1"] == api.finish(task)["result"]["images"]
    [image] = [one for one in api.ask("GET", "/images") if one["familiar"] == "kept:1"]
    assert 0 < image["shared"] < image["size"]
    for may, told in (("read write", "MY_TOKEN=hush"), ("read", "MY_TOKEN=")):
        config = api.ask("GET", "/image", query={"image": "kept:1"}, may=may)["config"]["config"]
        assert {"KEPT=yes", told} <= set(config["Env"])

    api.ask("POST", "/containers/{container}/reset", container=box)
    assert {"total": 0, "changes": []} == api.ask("GET", "/containers/{container}/diff",
                                                  container=box)
    assert "root" in run(installed, box, "cat", "/etc/group")
    plain, own = (api.ask("POST", "/kernelspecs", {"image": "kept:1", **more})[0]["name"]
                  for more in ({}, {"name": "lpmx-own", "display_name": "Mine"}))
    api.ask("DELETE", "/image", query={"image": "kept:1"})
    left = [spec["name"] for spec in api.ask("GET", "/kernelspecs")]
    assert own in left and plain not in left
    api.ask("DELETE", "/kernelspecs/{kernelspec}", kernelspec=own)
    tab.close()


def test_terminal_is_one_of_the_servers_and_shows_the_containers_files(api: ApiServer,
                                                                       box: str) -> None:
    """Its name opens it as any terminal of Lab's."""
    made = api.ask("POST", "/containers/{container}/terminals", {"cwd": "/etc"}, container=box,
                   status=201)
    assert made["name"] in [one["name"] for one in api.request("GET", "terminals").json()]

    async def typed() -> str:
        url = f"ws{api.url[4:]}terminals/websocket/{made['name']}"
        connection = await websocket_connect(HTTPRequest(
            url, headers={"Authorization": "token token-of-the-tests"}))
        await connection.write_message(json.dumps(
            ["stdin", "echo $((40+2)) $LPMX_CONTAINER; pwd; cat passwd\r"]))
        heard = ""
        while "root:x:0:0" not in heard:
            kind, *rest = json.loads(await connection.read_message() or '["end"]')
            assert kind != "end", heard
            heard += rest[0] if kind == "stdout" else ""
        connection.close()
        return heard
    heard = asyncio.run(asyncio.wait_for(typed(), 30))

    assert f"42 {box}" in heard and "/etc\r\n" in heard
    assert 204 == api.request("DELETE", f"terminals/{made['name']}").status_code


# -- environment ----------------------------------------------------------------------------


def test_variables_change_live_and_secret_ones_are_masked(
        api: ApiServer, box: str, place: Jupyter, installed: Any) -> None:
    """A table with origins and history, in which no token can be read over one's shoulder."""
    tab = api.events()
    found = api.ask("PATCH", "/containers/{container}/environment",
                    {"set": {"API_TOKEN": "hush", "PLAIN": "1"}, "unset": ["HOME"]}, container=box)
    tab.changed("environment", box)
    tab.close()

    by_name = {one["name"]: one for one in found}
    assert (None, True, "live") == tuple(
        by_name["API_TOKEN"][key] for key in ("value", "masked", "origin"))
    assert "1" == by_name["PLAIN"]["value"] and by_name["HOME"]["unset"]
    assert "hush 1" == run(installed, box, "sh", "-c", "echo $API_TOKEN $PLAIN $HOME").strip()
    path = "/containers/{container}/environment"
    shown = api.ask("GET", path, container=box, query={"secrets": "true"})
    assert "hush" in [one["value"] for one in shown]
    assert "forbidden" == api.ask("GET", path, container=box, query={"secrets": "true"},
                                  may="read", status=403)["code"]
    assert "hush" not in str(api.ask("GET", path + "/history", container=box, may="read"))
    loaded = api.ask("POST", path + "/load", {"text": "A='b c' # why\n"}, container=box)
    assert "b c" in [one["value"] for one in loaded]
    os.mkfifo(place.folder / "pipe")
    for body in ({"text": "no"}, {"path": "pipe"}, {"path": "absent"}):
        assert "invalid-setting" == api.ask("POST", path + "/load", body, container=box,
                                            status=400)["code"]
    (place.folder / ".env").write_text("FROM_FILE=1\n")
    assert "FROM_FILE" in [one["name"] for one in api.ask(
        "POST", path + "/load", {"path": ".env"}, container=box)]


# -- calls ----------------------------------------------------------------------------------


def test_programs_are_linked_exposed_called_and_found_in_the_log(api: ApiServer, box: str,
                                                                 place: Jupyter, installed: Any) -> None:
    """Search on the host's PATH, link, call, see the call, expose; and take it all back."""
    settings = Path(os.environ["HOME"]) / ".config" / "lpmx" / "config.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps({"call_log": str(place.root / "calls")}))
    try:
        programs = api.ask("GET", "/host/programs", query={"query": "unam", "limit": 5})
        target = next(one["path"] for one in programs["programs"] if one["name"] == "uname")
        links = "/containers/{container}/links"
        added = api.ask("POST", links, {"name": "host-uname", "target": f"host:{target}",
                                        "env": {"MY_SECRET": "hush"}}, container=box, status=201)
        assert {"MY_SECRET": None} == added["link"]["env"]
        assert [added["link"]] == api.ask("GET", links, container=box)
        assert os.uname().release == run(installed, box, "host-uname", "-r").strip()

        [call] = api.ask("GET", "/calls", query={"container": box})["calls"]

        assert (f"host:{target}", True, None) == (call["called"], call["allowed"], call["exit_code"])
        assert "link-failed" == api.ask("POST", links, {"name": "x", "target": "host:/absent"},
                                        container=box, status=409)["code"]
        api.ask("DELETE", links, container=box, query={"link": "host-uname"}, status=204)
        exposed = "/containers/{container}/exposed"
        offered = api.ask("GET", "/containers/{container}/programs", container=box,
                          query={"query": "ECH", "limit": 1})
        assert [{"name": "echo", "path": "/bin/echo"}] == offered["programs"]
        command = api.ask("POST", exposed, {"program": "echo", "name": "boxed-echo",
                                            "directory": "bin"}, container=box, status=201)["exposed"]
        assert str(place.folder / "bin/boxed-echo") == command["path"]
        assert [command] == api.ask("GET", exposed, container=box)
        assert "hi\n" == subprocess.check_output([command["path"], "hi"], text=True)
        api.ask("DELETE", exposed, container=box, query={"command": "boxed-echo"}, status=204)
        assert not os.path.exists(command["path"])
    finally:
        settings.unlink()


def test_a_link_that_leads_to_itself_hides_no_program(tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a directory of PATH all is found, whatever stands between."""
    for name in ("a", "b", "y", "z"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
        (tmp_path / f"loop-{name}").symlink_to(f"loop-{name}")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert ["a", "b", "y", "z"] == [one["name"] for one in
                                    programs(_on_path(), "", 10)["programs"]]


# -- kernels --------------------------------------------------------------------------------


def test_kernel_and_its_container_are_found_by_each_other(api: ApiServer) -> None:
    """From an image to a spec in the launcher, to a running kernel, to its container and back."""
    kernels = api.ask("GET", "/image/kernels", query={"image": TINY})
    assert ("host-python", "kernel view") == (kernels["chosen"], kernels["kernels"][0]["kind"])
    assert kernels["reason"] == kernels["kernels"][0]["why"] != ""
    [spec] = api.finish(api.ask("POST", "/kernelspecs", {
        "image": TINY, "env": {"FOR": "kernels"}, "task": True}, status=202))["result"]["kernelspecs"]
    assert [{**spec, "note": ""}] == api.ask("GET", "/kernelspecs")
    assert [spec] == api.ask("POST", "/kernelspecs", {"image": TINY, "env": {"FOR": "kernels"}},
                             status=201)
    tab = api.events()
    kernel = api.start(spec["name"])
    name = until(lambda: [one["name"] for one in api.ask("GET", "/containers") if one["kernels"]
                          and one["kernels"][0]["pid"]], PATIENCE)[0]
    tab.changed("kernels", name)
    tab.close()

    found = api.ask("GET", "/kernels/{kernel}", kernel=kernel)

    assert (name, TINY, True, True, spec["name"]) == tuple(
        found[key] for key in ("container", "image", "own", "here", "name"))
    assert found["pid"] in [one["pid"] for one in api.ask(
        "GET", "/containers/{container}/processes", container=name) if one["kernel"] == kernel]
    assert "kernel view" in found["description"]
    assert [found["id"]] == [one["id"] for one in api.ask("GET", "/kernels")]
    assert ("ok", "kernels None\n") == api.execute(
        kernel, "import os; print(os.environ['FOR'], os.environ.get('LATER'))")
    api.ask("PATCH", "/containers/{container}/environment", {"set": {"LATER": "now"}}, container=name)
    assert ("ok", "now\n") == api.execute(kernel, "print(os.environ['LATER'])")
    api.delete(kernel)
    assert "kernel-unknown" == api.ask("GET", "/kernels/{kernel}", kernel=kernel, status=404)["code"]
    api.ask("DELETE", "/kernelspecs/{kernelspec}", kernelspec=spec["name"], status=204)
    assert [] == api.ask("GET", "/kernelspecs")


# -- this host and the store ------------------------------------------------------------------


def test_host_and_store_are_told(api: ApiServer, box: str, place: Jupyter) -> None:
    """Check, GPUs, use of space, collecting, versions and permissions."""
    info = api.ask("GET", "/info", may="read")
    assert (str(place.root / "store"), False) == (info["store"], info["permissions"]["write"])
    assert "3.1.0" == api.ask("GET", "/openapi")["openapi"]
    assert "kernel" in [finding["subject"] for finding in api.ask("GET", "/check")]
    usage = api.ask("GET", "/usage")
    assert TINY in [image["name"] for image in usage["images"]]
    assert box in [container["name"] for container in usage["containers"]]
    for query in ({}, {"image": TINY}, {"container": box}):
        gpu = api.ask("GET", "/gpu", query=query)
        assert gpu["devices"] or not gpu["drivers"]
    api.ask("GET", "/gpu/usage")
    assert api.finish(api.ask("POST", "/gc", status=202))["result"]["freed"] is not None
    assert "gc" in [task["kind"] for task in api.ask("GET", "/tasks")]


@pytest.mark.parametrize("method, path, body, status, code", [
    ("GET", "/image?image=absent:1", None, 404, "image-unknown"),
    ("GET", "/image?image=UPPER", None, 400, "invalid-reference"),
    ("GET", "/image", None, 400, "invalid-request"),
    ("GET", "/images?strange=1", None, 400, "invalid-request"),
    ("GET", "/containers/absent", None, 404, "container-unknown"),
    ("GET", "/containers/..%2F..", None, 400, "invalid-request"),
    ("POST", "/images/pull", {"reference": "x", "more": 1}, 400, "invalid-request"),
    ("POST", "/images/pull", {}, 400, "invalid-request"),
    ("POST", "/images/pull", None, 400, "invalid-request"),
    ("POST", "/containers", {"image": TINY, "name": "-"}, 400, "invalid-request"),
    ("POST", "/containers", {"image": TINY, "user": "nobody-here"}, 422, "run-failed"),
    ("POST", "/containers", {"image": TINY, "env": {"A": "\ud800"}}, 400, "invalid-request"),
    ("POST", "/images/upload", None, 400, "invalid-request"),
    ("POST", "/images/upload?filename=..", None, 400, "invalid-setting"),
    ("POST", "/bundle", {"path": "x"}, 400, "invalid-request"),
    ("GET", "/gpu?image=x&container=y", None, 400, "invalid-request"),
    ("GET", "/tasks/0123456789abcdef", None, 404, "task-unknown"),
    ("PUT", "/images", None, 405, "method-not-allowed"),
    ("GET", "/nothing", None, 404, "not-found"),
    ("DELETE", "/image?image=host", None, 409, "image-in-use"),
    ("DELETE", "/kernelspecs/python3", None, 404, "kernel-failed"),
])
def test_what_makes_no_sense_is_refused_with_a_code(api: ApiServer, method: str, path: str, body: Any,
                                                    status: int, code: str) -> None:
    """Message, hint and code, with a status that fits."""
    from lpmx_jupyter.extension import description
    answer = api.send(method, path, json=body)

    assert (status, code) == (answer.status_code, answer.json()["code"]), answer.text
    description.check("Error", answer.json())


# -- who may what -----------------------------------------------------------------------------


def _requests() -> Iterator[Any]:
    from lpmx_jupyter.extension.app import ROUTES
    for route in ROUTES:
        for method in ("get", "head", "post", "put", "patch", "delete"):
            if getattr(route, method).__module__ not in ("tornado.web",):
                path = route.path.format(container="absent", task="0" * 16, kernel="0" * 32,
                                         kernelspec="absent")
                yield pytest.param(method.upper(), path, id=f"{method} {route.path}")


@pytest.mark.parametrize("method, path", [*_requests(), ("GET", "/nothing")])
def test_every_route_wants_a_known_user_who_may(api: ApiServer, method: str, path: str) -> None:
    """No login: 403. A login that may nothing here: 403. A cookie without the XSRF token: 403."""
    import requests
    url = f"{api.url}lpmx/api{path}"
    with requests.Session() as stranger:
        stranger.trust_env = False
        assert 403 == stranger.request(method, url, timeout=20).status_code
        stranger.get(api.url + "login", params={"token": "token-of-the-tests"}, timeout=20)
        if method not in ("GET", "HEAD"):
            assert 403 == stranger.request(method, url, timeout=20).status_code

    answer = api.send(method, path, headers={"X-Test-May": ""})

    assert 403 == answer.status_code, answer.text
    assert "forbidden" == answer.json()["code"]


@pytest.mark.parametrize("method, path, may, status", [
    ("POST", "/containers/absent/terminals", "read write", 403),
    ("POST", "/containers/absent/terminals", "execute", 404),
    ("GET", "/bundle?container=absent", "read", 403),
    ("GET", "/bundle?container=absent", "write", 404),
    ("GET", "/containers/absent/environment?secrets=true", "read", 403),
    ("GET", "/containers/absent/environment", "read", 404),
    ("POST", "/gc", "read", 403),
])
def test_who_may_some_may_not_all(api: ApiServer, method: str, path: str, may: str,
                                  status: int) -> None:
    """A terminal is for who may execute; secrets, and bundles that have them, for who may write."""
    assert status == api.send(method, path, headers={"X-Test-May": may}).status_code


def test_a_cookie_and_the_xsrf_token_are_a_login(api: ApiServer) -> None:
    """As the panel's requests are: what is refused without the token is done with it."""
    import requests
    with requests.Session() as browser:
        browser.trust_env = False
        browser.get(api.url + "login", params={"token": "token-of-the-tests"}, timeout=20)
        assert 200 == browser.get(f"{api.url}lpmx/api/info", timeout=20).status_code
        answer = browser.post(f"{api.url}lpmx/api/gc", timeout=20,
                              headers={"X-XSRFToken": browser.cookies["_xsrf"]})

    assert answer.headers["Location"].startswith("/user/me/lpmx/api/tasks/")
    api.finish(answer.json())


def test_another_sites_page_and_strange_numbers_are_refused(api: ApiServer, box: str) -> None:
    """A link on a page elsewhere does nothing here; NaN is within no limit; and who sends a file
    that he may not is told so, and not cut off."""
    foreign = api.send("GET", "/containers", headers={"Sec-Fetch-Site": "same-site"})
    strange = api.send("POST", f"/containers/{box}/stop", data='{"timeout": NaN}')
    refused = api.ask("POST", "/images/upload", data=b"x" * 8_000_000, query={"filename": "x.tar"},
                      may="read", status=403)

    assert (403, "forbidden") == (foreign.status_code, foreign.json()["code"])
    assert (400, "invalid-request") == (strange.status_code, strange.json()["code"])
    assert "forbidden" == refused["code"]


def test_what_waits_holds_up_nobody(api: ApiServer) -> None:
    """Registries that never answer, more of them than may be asked at once, and all else goes on."""
    import threading
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"127.0.0.1:{silent.getsockname()[1]}/a/b"
        asked = [threading.Thread(target=api.send, args=("GET", "/registry/tags"),
                                  kwargs={"params": {"repository": where}}) for _ in range(12)]
        for one in asked:
            one.start()
        connection, _ = silent.accept()

        assert [] != api.ask("GET", "/images")

        assert all(one.is_alive() for one in asked)
        connection.close()
    for one in asked:
        one.join(30)


def test_server_that_is_killed_leaves_no_work_behind(place: Jupyter) -> None:
    """The worker ends, as if it had been cancelled."""
    (place.root / "second" / "folder").mkdir(parents=True)
    spec = place.data / "kernels" / "elsewhere" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": ["x"], "display_name": "Elsewhere", "language": "python", "metadata": {
        "kernel_provisioner": {"provisioner_name": "lpmx-provisioner", "config": {"image": "elsewhere:1"}}}}))
    server = ApiServer(place.root / "second" / "folder", place.runtime)
    try:
        assert "elsewhere" in [one["name"] for one in server.ask("GET", "/kernelspecs")], \
            "its image may be in another store"
        with socket.create_server(("127.0.0.1", 0)) as silent:
            server.ask("POST", "/images/pull",
                       {"reference": f"127.0.0.1:{silent.getsockname()[1]}/team/slow:1"})
            connection, _ = silent.accept()

            server.kill()

            connection.settimeout(20)
            while connection.recv(1000):
                pass   # it closes the connection
            connection.close()
    finally:
        server.close()
    assert [] == leftovers.wait_for_none([place.root / "store"])
    assert spec.exists()
    shutil.rmtree(spec.parent)


def test_wheel_enables_it() -> None:
    """`pip install` is all that is to be done."""
    listed = subprocess.run([Path(sys.executable).parent / "jupyter-server", "extension", "list"],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)

    assert "lpmx_jupyter.extension" in listed.stdout
    [said] = [line for line in listed.stdout.splitlines() if "lpmx_jupyter.extension" in line
              and "OK" in line]
    assert "enabled" in listed.stdout and said


def test_description_and_routes_are_the_same() -> None:
    """Each operation that is described is served, each that is served is described, and all that
    the extension registers are such operations."""
    from lpmx_jupyter.extension import description
    from lpmx_jupyter.extension.app import ROUTES, LpmxExtension
    from lpmx_jupyter.extension.handlers import Unknown

    served = {(route.path, method) for route in ROUTES for method in description.METHODS
              if getattr(getattr(route, method), "operation", False)}
    others = [(route, method) for route in ROUTES for method in (*description.METHODS, "head")
              if getattr(route, method).__module__ != "tornado.web"
              and (route.path, method) not in served]
    extension = LpmxExtension()
    extension.initialize_handlers()

    assert {(one.path, one.method) for one in description.operations()} == served
    assert [] == others
    assert {*ROUTES, Unknown} == {handler for _, handler in extension.handlers}


def test_nobody_else_needs_jupyter_server() -> None:
    """The command line, kernels and magics do without it; the extension is loaded by Jupyter only."""
    code = ("import sys; import lpmx_runtime.cli, lpmx_jupyter.commands, lpmx_jupyter.provisioner, "
            "lpmx_jupyter.launch, lpmx_jupyter.extension, lpmx_jupyter.magics; "
            "print([name for name in sys.modules if name.startswith('jupyter_server')])")

    assert "[]\n" == subprocess.check_output([sys.executable, "-c", code], text=True)


def test_every_operation_was_seen_to_answer_as_described(api: ApiServer, request: Any) -> None:
    """The tests above are a round over all there is; of those that are not JSON, too."""
    from lpmx_jupyter.extension import description
    if request.config.option.keyword or len(request.session.items) < 20:
        return   # a part was asked for
    other = {"getEvents", "getEventsBySocket", "downloadArchive", "downloadBundle"}

    assert {one.id for one in description.operations()} - other == api.answered

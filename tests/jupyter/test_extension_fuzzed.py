"""The server extension under schemathesis: requests that fit its description, and that do not."""
from __future__ import annotations

import copy
import tempfile
from typing import Any, Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.configuration import set_hypothesis_home_dir
from support.api import TINY, ApiServer, own_store
from support.labserver import TOKEN

BOX = "box"
#: Never ends, asks machines elsewhere, takes long or takes away what the others need, makes files
#: wherever it is told.
LEFT_OUT = ("getEvents", "getEventsBySocket", "pullImage", "listTags", "searchRegistry", "check", "removeImage",
            "removeContainer", "expose", "openTerminal")
EXAMPLES = 3


@pytest.fixture(scope="module")
def api(images: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server with an image and a container."""
    from lpmx_runtime.container import Container
    from lpmx_runtime.store import Store
    with own_store(tmp_path_factory.mktemp("fuzzed"), images) as own:
        store = Store.open()
        Container.create(store, store.images.find(TINY), name=BOX)
        running = ApiServer(own.folder, own.runtime)
        yield running
        running.close()
        for one in Container.list(store):
            one.remove(force=True)


def described() -> Any:
    """The description, in which names are those of what there is, or of what there is not."""
    from lpmx_jupyter.extension import description
    document = copy.deepcopy(dict(description.document()))
    names = document["components"]["schemas"]
    names["ContainerName"] = {"type": "string", "enum": [BOX, "absent"]}
    names["Reference"] = {"type": "string", "enum": [TINY, "absent:1", "NO IMAGE"]}
    names["Path"] = {"type": "string", "enum": ["absent/file", "/proc/self/mem", "x"]}
    document["paths"] = {path: {key: value for key, value in item.items()
                                if key == "parameters" or value["operationId"] not in LEFT_OUT}
                         for path, item in document["paths"].items()}
    return schemathesis.openapi.from_dict(document)


# it looks for a place for its files when it is imported, though it is to keep none
set_hypothesis_home_dir(tempfile.gettempdir())
SCHEMA = described()


@SCHEMA.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
          phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_answers_are_as_described_whatever_is_sent(case: Any, api: ApiServer) -> None:
    """No failure of the server, and nothing in an answer that is not said to be there."""
    from lpmx_jupyter.extension import description
    answer = case.call(base_url=f"{api.url}lpmx/api", headers={"Authorization": f"token {TOKEN}"})

    operation = description.by_path()[case.operation.path][case.operation.method.lower()]
    assert answer.status_code < 500, answer.text
    if answer.status_code < 400:
        operation.check_answer(answer.status_code, answer.json() if answer.content
                               and "json" in answer.headers["content-type"][0] else None)
    else:
        description.check("Error", answer.json())

"""The site's rules for what containers may call."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
from lpmx_runtime import _native, settings
from lpmx_runtime.container.spec import Bind, ViewSpec
from lpmx_runtime.errors import InvalidSetting


@pytest.fixture
def judge(tmp_path: Path) -> Callable[..., Any]:
    """Whether rules allow a call, and the one that refuses it."""
    def judge(called: str, *rules: str) -> Any:
        spec = ViewSpec(kind="container", name="allow", loader="/allow", layers=["/"], rules="/site",
                        allow=list(rules), binds=[Bind("/rules", "/allow"), Bind("/tmp", "/bind")])
        (tmp_path / "view").write_bytes(spec.encode())
        with _native.View(tmp_path / "view") as view:
            return view.call_allowed(called)
    return judge


@pytest.mark.parametrize("called,rules,allowed,rule", [
    ("host:/usr/bin/x", (), False, None),
    ("host:/usr/bin/x", ("host:/usr/bin/x",), True, None),
    ("host:/usr/bin/xy", ("host:/usr/bin/x",), False, None),
    ("host:/usr/bin/x", ("host:/usr/bin/*",), True, None),
    ("host:/usr/bin/a/x", ("host:/usr/bin/*",), False, None),
    ("host:/usr/bin/a/x", ("host:/usr/**",), True, None),
    ("host:/opt/a/b/bin/x", ("host:/opt/**/bin/?",), True, None),
    ("host:/opt/a/b/bin/xy", ("host:/opt/**/bin/?",), False, None),
    ("host:/usr/bin/x", ("!host:/usr/bin/x", "host:**"), False, "!host:/usr/bin/x"),
    ("host:/usr/bin/y", ("!host:/usr/bin/x", "host:**"), True, None),
    ("host:/usr/bin/x", ("host:**", "!host:/usr/bin/x"), True, None),
    ("container:tools:/bin/sh", ("host:**",), False, None),
    ("container:tools:/bin/sh", ("container:tools:**",), True, None),
    ("lpmx", ("lpmx",), True, None),
    ("host:/a*b", ("host:/a\\*b",), False, None),
    ("host:/opt/b/a/c/bin/x/bin/y", ("host:/opt/**/*c/bin/?/*/y",), True, None),
    ("host:/aab/ab", ("host:/*ab/*b",), True, None),
    ("host:/aab/ab", ("host:/*a/*b",), False, None),
    ("host:/" + "a" * 900, ("host:/" + "*a" * 400 + "b",), False, None),
    ("host:" + "/a" * 450, ("host:" + "**/a*" * 150 + "b",), False, None),
])
def test_first_rule_that_matches_decides(judge: Callable[..., Any], called: str, rules: tuple,
                                         allowed: bool, rule: Optional[str]) -> None:
    """A star keeps within a name, two do not; what none matches is refused."""
    assert (allowed, rule) == judge(called, *rules)


def test_without_rules_everything_is_allowed(tmp_path: Path) -> None:
    """A site that says nothing bounds nothing."""
    (tmp_path / "view").write_bytes(ViewSpec(kind="container", name="x", loader="/x").encode())

    with _native.View(tmp_path / "view") as view:
        assert (True, None) == view.call_allowed("host:/usr/bin/x")


@pytest.mark.parametrize("value", ["host:**", [1], [""], ["a\0b"], ["x" * 1001], ["x"] * 501, {}])
def test_rules_that_are_none_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                         value: Any) -> None:
    """Rather than taken for "everything is allowed"."""
    monkeypatch.setattr(settings, "SITE_FILE", str(tmp_path / "site.json"))
    (tmp_path / "site.json").write_text(json.dumps({"allowed_calls": value}))

    with pytest.raises(InvalidSetting, match="it is not a list of rules"):
        settings.call_rules()


def test_user_cannot_set_the_rules_but_may_have_a_log(monkeypatch: pytest.MonkeyPatch,
                                                      tmp_path: Path) -> None:
    """The site's log comes first; a rule in the user's file is an error, not ignored."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    site, user = tmp_path / "site.json", tmp_path / "lpmx" / "config.json"
    user.parent.mkdir()
    monkeypatch.setattr(settings, "SITE_FILE", str(site))
    user.write_text('{"call_log": "/mine"}')
    assert (None, "/mine") == (settings.call_rules(), settings.call_log())

    site.write_text('{"call_log": "/site", "allowed_calls": ["host:**"]}')
    assert ((str(site), ["host:**"]), "/site") == (settings.call_rules(), settings.call_log())

    user.write_text('{"allowed_calls": ["host:**"]}')
    with pytest.raises(InvalidSetting, match="only the site can bound what is called"):
        settings.call_rules()
    site.write_text('{"call_log": "relative"}')
    with pytest.raises(InvalidSetting, match="it is not an absolute path"):
        settings.call_log()

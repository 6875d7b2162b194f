"""The build backend: setuptools, which asks for a packaged Node only where one is needed.

From an sdist nothing of JavaScript is built, and Node is not asked for.
"""
from __future__ import annotations

from typing import Any

import build_panel
from setuptools import build_meta as _setuptools
from setuptools.build_meta import *  # noqa: F403


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    return [*_setuptools.get_requires_for_build_wheel(config_settings), *_node()]


def get_requires_for_build_editable(config_settings: Any = None) -> list[str]:
    return [*_setuptools.get_requires_for_build_editable(config_settings), *_node()]


def get_requires_for_build_sdist(config_settings: Any = None) -> list[str]:
    return [*_setuptools.get_requires_for_build_sdist(config_settings), *_node()]


def _node() -> list[str]:
    return build_panel.requirements(build_panel.version())

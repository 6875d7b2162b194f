"""Which variables the server extension's lists keep the values of."""
from __future__ import annotations

import re

import pytest
from lpmx_jupyter.extension.app import LpmxExtension
from lpmx_jupyter.extension.environment import is_secret

PATTERN = re.compile(LpmxExtension.secret_names.default_value)


@pytest.mark.parametrize("name, value", [
    ("API_TOKEN", ""), ("HF_TOKENS", ""), ("GITHUBTOKEN", ""), ("DB_PASS", ""), ("SSHPASS", ""),
    ("PGPASSWORD", ""), ("MY_SECRET_1", ""), ("AWS_SECRET_ACCESS_KEY", ""), ("OPENAI_API_KEY", ""),
    ("AZURE_STORAGE_CONNECTION_STRING", ""), ("GOOGLE_APPLICATION_CREDENTIALS", ""),
    ("SLURM_JWT", ""), ("DATABASE_URL", "postgresql://me:p/w@db:5432/x"),
    ("http_proxy", "http://me@site.example:pw@proxy:3128"), ("URL", "https://me:pw@host/path"),
])
def test_secret_is_known_by_its_name_or_an_address_with_a_password(name: str, value: str) -> None:
    assert is_secret(name, value, PATTERN)


@pytest.mark.parametrize("name, value", [
    ("TOKENIZERS_PARALLELISM", "false"), ("PATH", "/bin"), ("KEYBOARD", "de"),
    ("AUTHOR", "me"), ("URL", "https://host:443/ab"), ("TIME", "12:30@home"),
])
def test_what_everybody_may_read_is_not(name: str, value: str) -> None:
    assert not is_secret(name, value, PATTERN)

"""lpmx login, logout: access to registries."""
from __future__ import annotations

import argparse
import sys

from .output import say
from .parsing import explain


def register_login(parser: argparse.ArgumentParser) -> None:
    """Log in to a registry."""
    explain(parser, ".\nThe login is tried, then kept where Podman and Docker would find it, too. "
                    "The secret is\nasked for on the terminal or read from standard input; it "
                    "never is an argument.")
    parser.add_argument("registry", metavar="REGISTRY", nargs="?", default="docker.io",
                        help="such as ghcr.io or registry.site:5000; default: Docker Hub")
    parser.add_argument("-u", "--user", metavar="USER", help="default: asked for")
    parser.add_argument("--password-stdin", action="store_true",
                        help="read the secret from standard input; needs --user")
    parser.add_argument("--insecure", action="store_true",
                        help="speak plain HTTP, or HTTPS with any certificate, to the registry")
    parser.add_argument("--get-login", action="store_true",
                        help="only print the user who is logged in; exits with 1 if nobody is")
    parser.set_defaults(run=_login)


def register_logout(parser: argparse.ArgumentParser) -> None:
    """Forget the login for a registry."""
    parser.add_argument("registry", metavar="REGISTRY", nargs="?", default="docker.io",
                        help="default: Docker Hub")
    parser.set_defaults(run=_logout)


def _login(arguments: argparse.Namespace) -> int:
    from .. import settings
    from ..registry.credentials import Login, registry_of
    from ..registry.logins import save_login, try_login
    registry = registry_of(arguments.registry)
    if arguments.get_login:
        return _get_login(registry)
    user, secret = _ask(arguments, registry)
    if not user or not secret:
        print(f'lpmx: cannot log in to "{registry}": the {"secret" if user else "user"} is missing',
              file=sys.stderr)
        print("hint: a secret from a file: lpmx login -u USER --password-stdin REGISTRY < FILE",
              file=sys.stderr)
        return 1
    login = Login(user, secret)
    try_login(registry, login, insecure=arguments.insecure)
    place = save_login(settings.kept_login_file(), registry, login)
    say(f"logged in to {registry} as {user}; the login is in {place}")
    return 0


def _get_login(registry: str) -> int:
    from .. import settings
    from ..registry.credentials import find_login
    found = find_login(registry, "", settings.login_files())
    if found is None:
        print(f'lpmx: nobody is logged in to "{registry}"', file=sys.stderr)
        return 1
    print(found.user or "(a token, which names no user)")
    return 0


def _ask(arguments: argparse.Namespace, registry: str) -> tuple[str, str]:
    if arguments.password_stdin:
        return arguments.user or "", sys.stdin.read().rstrip("\r\n")
    if not sys.stdin.isatty():
        return arguments.user or "", ""
    import getpass
    user = arguments.user or input(f"user at {registry}: ")
    return user, getpass.getpass(f"secret of {user} at {registry}: ")


def _logout(arguments: argparse.Namespace) -> int:
    from .. import settings
    from ..registry.credentials import registry_of
    from ..registry.logins import remove_login
    registry = registry_of(arguments.registry)
    found = [place for path in settings.login_files() for place in remove_login(path, registry)]
    for place in found:
        say(f"the login for {registry} is no longer in {place}")
    if not found:
        print(f'lpmx: cannot log out of "{registry}": there is no login for it', file=sys.stderr)
        print(f"hint: looked in {', '.join(map(str, settings.login_files()))}", file=sys.stderr)
        return 1
    return 0

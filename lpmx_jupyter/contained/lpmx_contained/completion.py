"""What may follow on a line of `%lpmx`, offered to IPython."""
from typing import Any, Callable, List

_MAGICS = ("%lpmx", "%%lpmx")

#: Given the words before the one that is being typed: all that may stand there.
Candidates = Callable[[List[str]], List[str]]


def install(shell: Any, candidates: Candidates) -> None:
    """Have `shell` complete lines of %lpmx, and nothing else on them."""
    def fitting(line: str, token: str) -> List[str]:
        words = line.split()
        if not line.endswith((" ", "\t")):
            words.pop()
        return sorted(word for word in candidates(words[1:]) if word.startswith(token))

    try:
        from IPython.core.completer import SimpleCompletion, context_matcher
    except ImportError:  # before IPython 8.6; other completions are offered beside ours
        for name in _MAGICS:
            shell.set_hook("complete_command", lambda _, event: fitting(event.line, event.symbol),
                           str_key=name)
        return

    @context_matcher(identifier="lpmx")
    def match(context: Any) -> Any:
        line = context.text_until_cursor
        if line.split(None, 1)[:1] not in ([_MAGICS[0]], [_MAGICS[1]]) or line.strip() in _MAGICS \
                and not line.endswith((" ", "\t")):
            return {"completions": []}
        return {"completions": [SimpleCompletion(text=word, type="magic")
                                for word in fitting(line, context.token)], "suppress": True}

    shell.Completer.custom_matchers.append(match)


def remove(shell: Any) -> None:
    """Take it away again."""
    matchers = getattr(shell.Completer, "custom_matchers", [])
    matchers[:] = [one for one in matchers if getattr(one, "matcher_identifier", "") != "lpmx"]

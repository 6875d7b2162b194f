"""The server extension: the only face that the runtime has over HTTP (openapi.yaml).

Nothing but this package needs jupyter_server, which comes with the extra `lab`.
"""

"""The same application on Spin: `cargo xtask test --on spin`."""

import os
import socket
import subprocess
import time

from . import checks

ON = os.environ.get("VENTANILLA_ON") == "spin"
# The first start on a machine compiles every component.
PATIENCE = 600


def start(folder, env, cwd, log, listen, arguments):
    """A process and the URL it serves at. What only our own program has can't be tried here."""
    profile = ["--profile", arguments[1]] if list(arguments[:1]) == ["--profile"] else []
    arguments = arguments[len(profile):]
    if arguments:
        raise checks.OurHostOnly(f"needs {arguments[0]} of our own program")
    if listen.endswith(":0"):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            listen = f"127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen(
        [os.environ["VENTANILLA_SPIN"], "up", "--from", "spin.toml", "--listen", listen, "--state-dir", folder, "--quiet", *profile],
        env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
    )
    host, port = listen.rsplit(":", 1)
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return process, f"http://{listen}"
        except OSError:
            time.sleep(0.05)
    return process, None


def database(folder):
    """Where Spin has the database `default`."""
    return os.path.join(folder, "sqlite_db.db")

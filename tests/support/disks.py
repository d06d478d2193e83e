"""A small disk that a test may fill."""

import contextlib
import os
import subprocess

from . import checks, server


@contextlib.contextmanager
def small(size):
    """The folder of a file system of `size` (`64m`), open to everybody; taken away at the end, whatever still uses it."""
    if os.geteuid() != 0:
        raise checks.Skip("a small file system can be mounted by root only")
    folder = server.folder()
    options = f"size={size},mode=0777"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        raise checks.Skip(f"mount does not work here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=False)


def fill(disk, leave=0):
    """Takes the room of a disk but for so many bytes. The file it is taken with: removing that gives the room back."""
    ballast = os.path.join(disk, "ballast")
    space = os.statvfs(disk)
    with open(ballast, "wb") as file:
        file.write(bytes(max(0, space.f_bavail * space.f_bsize - leave)))
    return ballast


def fill_up(disk):
    """To the last byte, also where something else has freed some since."""
    ballast = os.path.join(disk, "ballast")
    for size in (1 << 16, 4096, 1):
        try:
            with open(ballast, "ab", buffering=0) as file:
                while file.write(bytes(size)):
                    pass
        except OSError:
            pass
    return ballast

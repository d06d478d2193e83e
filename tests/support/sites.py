"""A `spin.toml` of one's own, beside the built components."""

import os

from . import server


def site(change=lambda text: text, components=None):
    """A folder to start `ventanilla up` in: the repository's manifest, changed, and links to the built components. `components`
    gives further ones: file name to bytes."""
    path = server.folder()
    built = os.path.join(path, "target", "components")
    os.makedirs(built)
    ours = os.path.join(server.ROOT, "target", "components")
    for name in os.listdir(ours):
        if name.endswith(".wasm") and name not in (components or {}):
            os.symlink(os.path.join(ours, name), os.path.join(built, name))
    for name, data in (components or {}).items():
        with open(os.path.join(built, name), "wb") as file:
            file.write(data)
    with open(os.path.join(server.ROOT, "spin.toml")) as file:
        manifest = file.read()
    changed = change(manifest)
    with open(os.path.join(path, "spin.toml"), "w") as file:
        file.write(changed)
    return path

"""Commands for which some folders cannot be written, even where the tests run as root."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

BIND = 'for folder in $READ_ONLY; do mount --bind "$folder" "$folder" && mount -o remount,bind,ro "$folder"; done && '


def run(command: Sequence[str], read_only: Sequence[Path], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command that must not write in some folders; skips where they cannot be protected."""
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **env}
    if not read_only:
        return _done(command, environment)
    if os.geteuid() != 0:
        before = [(path, path.stat().st_mode) for folder in read_only for path in [folder, *folder.rglob("*")]]
        try:
            for path, mode in before:
                path.chmod(mode & ~0o222)
            return _done(command, environment)
        finally:
            for path, mode in before:
                path.chmod(mode)
    if not mounting_works():
        pytest.skip("runs as root, for whom no folder is read-only, and may not mount one so")
    environment["READ_ONLY"] = " ".join(map(str, read_only))
    return _done(["unshare", "-m", "sh", "-c", BIND + 'exec "$@"', "sh", *command], environment)


def mounting_works() -> bool:
    """Whether this process may make mounts of its own."""
    if shutil.which("unshare") is None or os.geteuid() != 0:
        return False
    return (
        subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0
    )


def _done(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)

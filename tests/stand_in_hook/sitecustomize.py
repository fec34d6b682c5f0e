"""In processes that find this folder, `synthanom-train` is a stand-in that trains nothing: it starts in no time.

It keeps the protocol of a run: its lock, a state per epoch that a second start goes on from, one JSON answer. In the
folder of the environment variable STAND_IN lie orders (`hold-NAME`, `kill-NAME`, `fail-NAME`, NAME being the run's
folder), obeyed before the second epoch, and the journal of all that began and ended.
"""

import json
import os
import signal
import sys
import time
import types
from pathlib import Path

EPOCHS = 3


def main() -> None:
    from synthanom.training.folder import RESUME, locked

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    place, out = Path(os.environ["STAND_IN"]), Path(sys.argv[sys.argv.index("--out") + 1])
    with locked(out):
        state = out / RESUME
        state.parent.mkdir(exist_ok=True)
        first = int(state.read_text()) if state.exists() else 0
        note(place, f"begun {out.name} {os.getppid()} {os.getpid()} {first} {os.environ['OMP_NUM_THREADS']}")
        for epoch in range(first, EPOCHS):
            if epoch == 1:
                obey(place, out.name)
            state.write_text(str(epoch + 1))
        note(place, f"ended {out.name} {os.getppid()} {os.getpid()}")
    print(json.dumps({"runs": [{"folder": str(out), "epochs": EPOCHS, "from": first}]}))  # noqa: T201


def obey(place: Path, name: str) -> None:
    if (place / f"kill-{name}").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    if (place / f"fail-{name}").exists():
        print(json.dumps({"error": f"{name} was told to fail"}))  # noqa: T201
        sys.exit(2)
    if (place / f"hold-{name}").exists():
        note(place, f"held {name} {os.getppid()} {os.getpid()}")
    while (place / f"hold-{name}").exists():
        time.sleep(0.02)


def note(place: Path, text: str) -> None:
    with (place / "journal").open("a") as file:
        file.write(f"{text}\n")


if "STAND_IN" in os.environ:
    sys.modules["synthanom.training.cli"] = types.SimpleNamespace(main=main)  # type: ignore[assignment]

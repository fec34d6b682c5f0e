"""The command `synthanom-train` as another process runs it: it ends when that process is gone, however that went."""

import os
import signal
import sys
import threading
import time

PATIENCE = 30.0  # seconds to clean up


def main() -> None:
    """Run the command, as long as somebody holds the other end of standard input."""
    threading.Thread(target=_end_with, args=(sys.stdin.fileno(),), daemon=True).start()
    from synthanom.training import cli

    cli.main()


def _end_with(pipe: int) -> None:
    while os.read(pipe, 1):  # ends with this process at the latest: the thread is a daemon
        pass
    if os.name == "nt":  # os.kill ends it at once there
        signal.raise_signal(signal.SIGTERM)
    else:
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


if __name__ == "__main__":
    main()

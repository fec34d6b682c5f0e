"""One of several processes that train a model together, besides the first: started by it, writes nothing."""

import json
import os
import sys
import threading
import time
from pathlib import Path

from synthanom.errors import SynthanomError

SECONDS = 1.0  # between looks at whether the first process is still there


def main(request: str, ready: int) -> int:
    """Train a share of every batch, after telling the pipe `ready` that the model is made; the exit status."""
    _leave_with(os.getppid())
    from synthanom.shards import DataSet
    from synthanom.training.config import parse_config
    from synthanom.training.fit import fit, planned_fit
    from synthanom.training.plan import plan
    from synthanom.training.processes import READY

    asked = json.loads(request)
    try:
        with DataSet.open(Path(asked["data"])) as data:
            config = parse_config(asked["config"])
            run, index = plan(data, config, train_tasks=asked["train_tasks"], run=asked["run"])
            planned = planned_fit(
                data,
                Path(asked["out"]),
                config=config,
                run=run,
                index=index,
                workers=asked["workers"],
                device=asked["device"],
                ranks=asked["ranks"],
                donors=[Path(folder) for folder in asked["donors"]],
            )
            os.write(ready, READY)
            fit(planned)
    except (SynthanomError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _leave_with(parent: int) -> None:
    """End this process when the first one is gone, however it went."""

    def watch() -> None:
        while os.getppid() == parent:  # ends with this process at the latest: the thread is a daemon
            time.sleep(SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))

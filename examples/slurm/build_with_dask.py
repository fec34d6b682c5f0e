"""A data set built by workers that come and go, on a file system that all machines see:

    srun --mem=2G --time=04:00:00 python examples/slurm/build_with_dask.py /scans --out /data --variants 10

SLURM starts the workers as jobs of their own. The build begins with the first of them and ends with this command; one
that was killed is missed by nobody, and the same command goes on with what is finished. Run it on a machine like those
of the workers, because the plan is made here, or add --mixed-fingerprints.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from dask_jobqueue import SLURMCluster

QUEUED_SECONDS = 7 * 86400  # that the first worker may take to begin


def main() -> int:
    """Start the workers, build, and end them."""
    given, options = arguments()
    cluster = SLURMCluster(
        cores=1,  # a worker makes one unit at a time
        processes=1,
        memory=given.memory,
        walltime=given.walltime,
        queue=given.partition,
        log_directory=str(given.logs),
    )
    with cluster:
        cluster.adapt(minimum_jobs=given.workers, maximum_jobs=given.workers)  # jobs that end are submitted again
        print(f"{given.workers} workers asked for; scheduler at {cluster.scheduler_address}", flush=True)
        cluster.wait_for_workers(1, timeout=QUEUED_SECONDS)
        build = ["build-dataset", "folder", given.raw, "--out", given.out, "--scheduler", cluster.scheduler_address]
        return subprocess.run([*map(str, build), *options], check=False).returncode


def arguments() -> tuple[argparse.Namespace, list[str]]:
    """What the command line says, and options of build-dataset in it."""
    parser = argparse.ArgumentParser(
        description="Build a data set on workers that SLURM starts; other options go to build-dataset folder.",
        allow_abbrev=False,
    )
    parser.add_argument("raw", type=Path, help="folder of the scans")
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set to be")
    parser.add_argument("--workers", type=int, default=20, help="jobs of one process each")
    parser.add_argument("--memory", default="4GB", help="of each")
    parser.add_argument("--walltime", default="04:00:00", help="of each")
    parser.add_argument("--partition", default=None)
    parser.add_argument("--logs", type=Path, default=Path("slurm-logs"), help="folder for what the workers print")
    return parser.parse_known_args()


if __name__ == "__main__":
    sys.exit(main())

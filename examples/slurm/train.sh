#!/usr/bin/env bash
# Every run of a data set as a job of its own, on a file system that all of them see:
#   synthanom-train /data --list --out /runs >jobs.txt
#   sbatch --array="1-$(wc -l <jobs.txt)" --export=ALL,JOBS=jobs.txt examples/slurm/train.sh
# A job that was killed is submitted again: it goes on from its last finished epoch. When all are done:
#   synthanom-train /data --summarise --out /runs
#SBATCH --job-name=synthanom-train
#SBATCH --gpus=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=32G
#SBATCH --time=24:00:00
set -euo pipefail
: "${JOBS:?file that synthanom-train --list wrote}"

bash -c "exec $(sed -n "${SLURM_ARRAY_TASK_ID}p" "$JOBS")"

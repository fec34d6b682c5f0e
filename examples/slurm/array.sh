#!/usr/bin/env bash
# A data set built by twenty jobs on a file system that all of them see:
#   job=$(sbatch --parsable --export=ALL,RAW=/scans,DATA=/data examples/slurm/array.sh)
#   sbatch --dependency=afterok:$job --export=ALL,DATA=/data examples/slurm/merge.sh
# A job that was killed is submitted again: what it finished is kept.
#SBATCH --job-name=build-dataset
#SBATCH --array=1-20
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=04:00:00
set -euo pipefail
: "${RAW:?folder of the scans}" "${DATA:?folder of the data set to be}"

# shellcheck disable=SC2086  # OPTIONS are several words: --variants 10 --folds 5
exec build-dataset folder "$RAW" --out "$DATA" --workers "$SLURM_CPUS_PER_TASK" \
    --part "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" ${OPTIONS:-}

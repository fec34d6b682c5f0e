#!/usr/bin/env bash
# After all jobs of array.sh: writes dataset.json, or says which parts have to be run again.
#SBATCH --job-name=merge
#SBATCH --mem=2G
#SBATCH --time=01:00:00
set -euo pipefail
: "${DATA:?folder of the data set}"

exec synthanom merge "$DATA"

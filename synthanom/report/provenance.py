"""Where a data set comes from: configuration, seed, versions and digests, as text."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from synthanom.exporting.room import size_text
from synthanom.shards import DataSet

SHOWN_FILES = 100  # of a data set; its own digest covers all
LONGEST = 20_000  # characters of the configuration


def provenance(data: DataSet) -> dict[str, Any]:
    """What the template shows."""
    manifest = data.manifest
    files = [(file.path, size_text(file.bytes), file.rows, file.sha256) for file in manifest.files[:SHOWN_FILES]]
    return {
        "facts": [
            ("seed", str(manifest.seed)),
            ("built by", f"synthanom {manifest.version}"),
            ("digest of dataset.json", manifest.to_dict()["digest"]),
            ("files", f"{len(manifest.files)}, {size_text(sum(file.bytes for file in manifest.files))}"),
            *((f"external donors, fold {fold}", f"{n} subjects") for fold, n in _donors(manifest.donor_folds)),
        ],
        "fingerprint": sorted(manifest.fingerprint.items()),
        "texts": [
            ("configuration", _text(manifest.configuration)),
            ("preprocessing", _text(manifest.preprocessing)),
            ("settings of the tasks", _text({task.name: dict(task.settings) for task in manifest.tasks})),
        ],
        "files": files,
        "total": len(manifest.files),
    }


def _donors(folds: Mapping[str, int]) -> list[tuple[int, int]]:
    return sorted(Counter(folds.values()).items())


def _text(content: Mapping[str, Any]) -> str:
    text = json.dumps(dict(content), indent=1, sort_keys=True, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n… {len(text)} characters in dataset.json"

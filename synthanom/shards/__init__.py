"""The HDF5 files of a data set, format 1: writing, reading, checking. Nothing else names h5py."""

from synthanom.shards.boxes import AnomalyRow, Box
from synthanom.shards.check import check
from synthanom.shards.fingerprint import fingerprint
from synthanom.shards.layout import unit_rows
from synthanom.shards.reader import AnomalyPicture, DataSet
from synthanom.shards.writer import write_anomalies, write_healthy

__all__ = [
    "DataSet",
    "AnomalyPicture",
    "AnomalyRow",
    "Box",
    "write_healthy",
    "write_anomalies",
    "unit_rows",
    "check",
    "fingerprint",
]

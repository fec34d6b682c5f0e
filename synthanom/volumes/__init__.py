"""Reading and writing scans: NIfTI, DICOM, PNG, JPEG, and NRRD and MetaImage through SimpleITK."""

from synthanom.volumes.discover import discover
from synthanom.volumes.read import read, read_mask
from synthanom.volumes.reading import Reading
from synthanom.volumes.volume import Source, Volume
from synthanom.volumes.write import write_picture, write_volume

__all__ = ["Reading", "Source", "Volume", "discover", "read", "read_mask", "write_picture", "write_volume"]

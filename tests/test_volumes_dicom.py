"""DICOM: series sorted and placed by their positions, pixel values, broken files refused by name."""

import io
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import CTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian, generate_uid

from synthanom.errors import MissingExtra, SynthanomError
from synthanom.volumes import Reading, discover, read
from synthanom.volumes.dicom_codecs import check_codec, jpeg_size

ROWS, COLUMNS = 5, 7
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
OBLIQUE = (0.8, 0.6, 0.0, -0.36, 0.48, 0.8)


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4000, (ROWS, COLUMNS)).astype(np.uint16)


def dataset(array: np.ndarray, **elements: Any) -> Dataset:
    """A small single-frame image; `elements` override what it holds, None removes."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = CTImageStorage
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = generate_uid()
    image.SeriesInstanceUID, image.SeriesNumber, image.Modality = "1.2.3", 4, "CT"
    image.Rows, image.Columns = array.shape[-2:]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation = 15, int(array.dtype == np.int16)
    image.PixelData = array.tobytes()
    for keyword, value in elements.items():
        if value is None:
            delattr(image, keyword)
        else:
            setattr(image, keyword, value)
    return image


def save(path: Path, image: Dataset) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save_as(path, enforce_file_format=True)
    return path


def save_series(
    folder: Path, count: int = 4, orientation: tuple[float, ...] = AXIAL, step: Any = None, **elements: Any
) -> np.ndarray:
    """Slices whose names do not follow their positions; returns the first position and the step (2, 3)."""
    rows, columns = np.array(orientation).reshape(2, 3)
    origin = np.array([-100.0, -120.0, 30.0])
    step = np.cross(rows, columns) * 2.5 if step is None else np.array(step)
    for i in range(count):
        name = f"{(i * 3 + 1) % 7}-{i}.dcm"
        place = {
            "ImagePositionPatient": [round(float(v), 4) for v in origin + i * step],
            "ImageOrientationPatient": list(orientation),
            "PixelSpacing": [0.8, 0.6],
        }
        save(folder / name, dataset(pixels(i), **(place | elements)))
    return np.stack([origin, step])


@pytest.mark.parametrize("orientation", [AXIAL, OBLIQUE])
@pytest.mark.parametrize("tilt", [0.0, 0.7])
def test_a_series_is_stacked_by_position(tmp_path: Path, orientation: tuple[float, ...], tilt: float) -> None:
    rows, columns = np.array(orientation).reshape(2, 3)
    step = np.cross(rows, columns) * 2.5 + columns * tilt  # a tilted gantry shifts slices sideways
    origin, step = save_series(tmp_path / "ct", orientation=orientation, step=step)
    (source,) = discover(tmp_path)
    assert (source.id, source.format, len(source.files)) == ("ct", "dicom", 4)
    volume = read(source)
    np.testing.assert_array_equal(volume.image[0], np.stack([pixels(i) for i in range(4)]))
    assert volume.kind == "volume"
    x, y, z = 3, 2, 1  # column, row, slice; DICOM says where their centre is, in LPS
    lps = origin + z * step + rows * 0.6 * x + columns * 0.8 * y
    np.testing.assert_allclose((volume.affine @ [x, y, z, 1])[:3], lps * [-1, -1, 1], atol=1e-3)
    np.testing.assert_allclose(volume.spacing, [np.linalg.norm(step), 0.8, 0.6], rtol=1e-3)


def test_slices_against_the_normal_are_turned_into_its_direction(tmp_path: Path) -> None:
    save_series(tmp_path / "ct", step=[0.0, 0.0, -2.0])
    volume = read(tmp_path / "ct")
    np.testing.assert_array_equal(volume.image[0], np.stack([pixels(i) for i in (3, 2, 1, 0)]))
    assert volume.affine[2, 2] == pytest.approx(2.0)


def test_series_of_one_folder_are_kept_apart(tmp_path: Path) -> None:
    save_series(tmp_path / "p" / "scan", 3)
    rename(tmp_path / "p" / "scan", "a")
    save_series(tmp_path / "p" / "scan", 4, SeriesInstanceUID="1.2.4", SeriesNumber=9)
    rename(tmp_path / "p" / "scan", "b")
    save_series(tmp_path / "p" / "scan", 2, OBLIQUE)  # a localiser in the first one's series, with its number
    sources = discover(tmp_path)
    assert [(source.id, len(source.files)) for source in sources] == [
        ("p/scan#1", 2),
        ("p/scan#2", 3),
        ("p/scan#3", 4),
    ]
    assert sorted({file for source in sources for file in source.files}) == sorted((tmp_path / "p/scan").iterdir())
    assert [read(source).image.shape[1] for source in sources] == [2, 3, 4]


def rename(folder: Path, mark: str) -> None:
    for file in list(folder.glob("*-*.dcm")):
        file.rename(folder / f"{mark}{file.name.replace('-', '_')}")


def test_series_numbers_name_the_series_of_a_folder(tmp_path: Path) -> None:
    save_series(tmp_path / "scan", 2)
    rename(tmp_path / "scan", "a")
    save_series(tmp_path / "scan", 2, SeriesInstanceUID="1.2.4", SeriesNumber=9)
    assert [source.id for source in discover(tmp_path)] == ["scan#4", "scan#9"]


def test_missing_slices_are_named(tmp_path: Path) -> None:
    save_series(tmp_path / "ct", 6)
    (tmp_path / "ct" / "0-2.dcm").unlink()
    with pytest.raises(SynthanomError, match=r"ct: slices must be evenly spaced.*4-1\.dcm to 3-3\.dcm 5 mm"):
        read(tmp_path / "ct")


def test_two_slices_at_one_place_are_named(tmp_path: Path) -> None:
    save_series(tmp_path / "ct", 3)
    again = pydicom.dcmread(tmp_path / "ct" / "4-1.dcm")
    save(tmp_path / "ct" / "copy.dcm", again)
    with pytest.raises(SynthanomError, match=r"4-1\.dcm and copy\.dcm lie at the same one \(1 such pairs of 4"):
        read(tmp_path / "ct")


def test_a_slice_off_the_line_is_named(tmp_path: Path) -> None:
    save_series(tmp_path / "ct", 5)
    moved = pydicom.dcmread(tmp_path / "ct" / "0-2.dcm")
    moved.ImagePositionPatient[0] += 1.0
    save(tmp_path / "ct" / "0-2.dcm", moved)
    with pytest.raises(SynthanomError, match=r"straight line, 0-2\.dcm is off by 1 mm"):
        read(tmp_path / "ct")


def test_slices_that_do_not_say_where_they_are_are_refused(tmp_path: Path) -> None:
    save_series(tmp_path / "ct", 3, ImagePositionPatient=[])
    with pytest.raises(SynthanomError, match=r"0-2\.dcm: a slice of a series must state position.*dcm2niix"):
        read(tmp_path / "ct")


def test_pictures_of_one_series_are_single_pictures(tmp_path: Path) -> None:
    for name in ("pa", "lateral"):
        save(tmp_path / f"{name}.dcm", dataset(pixels(0), Modality="DX", PixelSpacing=[0.2, 0.1]))
    sources = discover(tmp_path)
    assert [source.id for source in sources] == ["lateral", "pa"]
    volume = read(sources[0])
    assert volume.kind == "picture" and volume.image.shape == (1, ROWS, COLUMNS)
    assert volume.spacing == (0.2, 0.1) and volume.affine is None


def test_rescale_applies_to_each_slice(tmp_path: Path) -> None:
    save_series(tmp_path / "pt", 3, RescaleSlope=0.5, RescaleIntercept=-1024)
    first = pydicom.dcmread(tmp_path / "pt" / "1-0.dcm")
    first.RescaleSlope = 2
    save(tmp_path / "pt" / "1-0.dcm", first)
    image = read(tmp_path / "pt").image[0]
    np.testing.assert_allclose(image[0], pixels(0) * 2.0 - 1024)
    np.testing.assert_allclose(image[1], pixels(1) * 0.5 - 1024)


def test_signed_pixels_keep_their_sign(tmp_path: Path) -> None:
    array = pixels(0).astype(np.int16) - 2000
    np.testing.assert_array_equal(read(save(tmp_path / "a.dcm", dataset(array))).image[0], array)


def test_bits_beyond_those_stored_do_not_count(tmp_path: Path) -> None:
    values = np.resize(np.array([-5, -2048, 2047, 0, 1, 7, -1], np.int16), (ROWS, COLUMNS))
    stored = (values & 0x0FFF).astype(np.uint16)  # no sign in the upper bits
    bits = {"BitsStored": 12, "HighBit": 11, "Modality": "CR"}
    for overlay in (0, 0x3000):  # of another plane
        path = save(tmp_path / "a.dcm", dataset(stored | overlay, PixelRepresentation=1, **bits))
        np.testing.assert_array_equal(read(path).image[0], values)
        path = save(tmp_path / "b.dcm", dataset(stored | overlay, **bits))
        np.testing.assert_array_equal(read(path).image[0], stored)


def test_packed_12_bits_are_taken_apart(tmp_path: Path) -> None:
    values = pixels(0)  # an odd number: the last three bytes hold one
    flat = np.append(values.reshape(-1), 0).reshape(-1, 2)
    packed = np.stack([flat[:, 0] & 255, flat[:, 0] >> 8 | (flat[:, 1] & 15) << 4, flat[:, 1] >> 4], axis=-1)
    image = dataset(values, Modality="CR", BitsAllocated=12, BitsStored=12, HighBit=11)
    image.PixelData = packed.astype(np.uint8).tobytes()
    np.testing.assert_array_equal(read(save(tmp_path / "a.dcm", image)).image[0], values)
    image.PixelData = image.PixelData[:-4]
    with pytest.raises(SynthanomError, match=r"a\.dcm: its pixels cannot be decoded .*53 bytes of packed pixels"):
        read(save(tmp_path / "a.dcm", image))


def test_monochrome1_is_inverted_by_the_stored_range_in_every_slice(tmp_path: Path) -> None:
    save_series(tmp_path / "ct", 3, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(read(tmp_path / "ct").image[0], 4095.0 - np.stack([pixels(i) for i in range(3)]))
    scaled = dataset(pixels(0), Modality="CR", PhotometricInterpretation="MONOCHROME1", RescaleSlope=2)
    scaled.RescaleIntercept = 100  # values run from 100 to 2 * 65535 + 100
    expected = 100 + (2 * 65535 + 100) - (2.0 * pixels(0) + 100)
    np.testing.assert_array_equal(read(save(tmp_path / "a.dcm", scaled)).image[0], expected)


def test_windows_are_applied_to_pictures_only(tmp_path: Path) -> None:
    window = {"WindowCenter": [2000, 100], "WindowWidth": [1001, 50]}
    single = read(save(tmp_path / "a.dcm", dataset(pixels(0), Modality="CR", **window)))
    np.testing.assert_allclose(single.image[0], pixels(0).clip(1499.5, 2499.5))
    save_series(tmp_path / "ct", 3, **window)
    assert read(tmp_path / "ct").image.max() > 2500
    half = save(tmp_path / "b.dcm", dataset(pixels(0), Modality="CR", WindowCenter=2000))
    np.testing.assert_array_equal(read(half).image[0], pixels(0))


def test_a_modality_table_is_looked_up(tmp_path: Path) -> None:
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [4096, 0, 16], "US"
    table.LUTData = (np.arange(4096, dtype=np.uint16) * 3 + 1).tobytes()
    table["LUTData"].VR = "OW"
    volume = read(save(tmp_path / "a.dcm", dataset(pixels(0), Modality="DX", ModalityLUTSequence=[table])))
    np.testing.assert_array_equal(volume.image[0], pixels(0) * 3.0 + 1)


def enhanced(positions: list[float], **elements: Any) -> Dataset:
    """A multi-frame image whose functional groups place each frame."""
    array = np.stack([pixels(i) for i in range(len(positions))])
    groups = []
    for z in positions:
        group, place = Dataset(), Dataset()
        place.ImagePositionPatient = [0.0, 0.0, z]
        group.PlanePositionSequence = [place]
        groups.append(group)
    direction, measures, transformation, shared = Dataset(), Dataset(), Dataset(), Dataset()
    direction.ImageOrientationPatient = list(AXIAL)
    measures.PixelSpacing = [0.8, 0.6]
    transformation.RescaleSlope, transformation.RescaleIntercept = 2, -5
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [direction], [measures]
    shared.PixelValueTransformationSequence = [transformation]
    return dataset(
        array,
        SOPClassUID=EnhancedMRImageStorage,
        NumberOfFrames=len(positions),
        PerFrameFunctionalGroupsSequence=groups,
        SharedFunctionalGroupsSequence=[shared],
        **elements,
    )


def test_enhanced_frames_form_a_volume(tmp_path: Path) -> None:
    volume = read(save(tmp_path / "a.dcm", enhanced([6.0, 0.0, 3.0])))
    np.testing.assert_array_equal(volume.image[0], np.stack([pixels(i) for i in (1, 2, 0)]) * 2.0 - 5)
    assert volume.spacing == pytest.approx((3.0, 0.8, 0.6)) and volume.kind == "volume"
    with pytest.raises(SynthanomError, match="frame 1 and frame 3 lie at the same one"):
        read(save(tmp_path / "b.dcm", enhanced([0.0, 3.0, 0.0])))


def test_films_are_refused(tmp_path: Path) -> None:
    film = dataset(np.stack([pixels(0), pixels(1)]), NumberOfFrames=2, Modality="US")
    with pytest.raises(SynthanomError, match=r"a\.dcm: frames of a volume .* 0 of 2 do"):
        read(save(tmp_path / "a.dcm", film))


def test_colour_is_refused(tmp_path: Path) -> None:
    for name in ("SC_rgb_small_odd.dcm", "examples_palette.dcm", "SC_ybr_full_422_uncompressed.dcm"):
        with pytest.raises(SynthanomError, match=rf"{name}: grey values are needed, got colour"):
            read(bundled(name))


def bundled(name: str) -> str:
    """One of the files in pydicom's wheel; never downloaded."""
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    return path


@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "MR_small.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "image_dfl.dcm"],
)
def test_pydicoms_files_come_as_pydicom_reads_them(name: str) -> None:
    volume = read(bundled(name))
    image = pydicom.dcmread(bundled(name))
    expected = image.pixel_array * float(image.get("RescaleSlope", 1)) + float(image.get("RescaleIntercept", 0))
    window = image.get("WindowCenter"), image.get("WindowWidth")
    if None not in window:
        expected = expected.clip(window[0] - 0.5 - (window[1] - 1) / 2, window[0] - 0.5 + (window[1] - 1) / 2)
    np.testing.assert_allclose(volume.image[0], expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"])
def test_lossless_compression_changes_nothing(name: str) -> None:
    image = pydicom.dcmread(bundled(name))
    from pydicom.pixels import get_decoder

    if not get_decoder(image.file_meta.TransferSyntaxUID).is_available:
        pytest.skip("needs a decoder of the extra dicom, which is not installed")
    np.testing.assert_array_equal(read(bundled(name)).image, read(bundled("MR_small.dcm")).image)


def test_the_extra_brings_a_decoder_for_every_syntax_in_use() -> None:
    from importlib.metadata import requires

    from pydicom import uid

    named = "".join(line for line in requires("synthanom") or [] if "extra == 'dicom'" in line)
    assert all(package in named for package in ("pyjpegls", "pylibjpeg>", "-openjpeg", "-rle"))
    for package in ("jpeg_ls", "pylibjpeg", "openjpeg", "rle"):
        pytest.importorskip(package, reason="needs the extra dicom")
    syntaxes = [uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1, uid.RLELossless]
    syntaxes += [uid.JPEGLSLossless, uid.JPEGLSNearLossless, uid.JPEG2000Lossless, uid.JPEG2000]
    for syntax in (*syntaxes, uid.HTJ2K, uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL):
        packed = dataset(pixels(0))
        packed.file_meta.TransferSyntaxUID = syntax
        check_codec(packed, Path("a.dcm"))


def test_decoders_that_fail_are_named_without_their_headings(tmp_path: Path) -> None:
    broken = pydicom.dcmread(bundled("MR_small_jp2klossless.dcm"))
    broken.PixelData = encapsulate([b"no stream at all"])
    with pytest.raises(SynthanomError, match=r"decoded \(RuntimeError: (pylibjpeg|pillow): ") as caught:
        read(save(tmp_path / "a.dcm", broken))
    assert "plugins" not in str(caught.value) and "0x" not in str(caught.value)


def test_jpeg_that_only_gdcm_decodes_goes_through_simpleitk() -> None:
    for name in ("JPGExtended.dcm", "JPEG-lossy.dcm"):
        volume = read(bundled(name))
        reader = SimpleITK.ImageFileReader()
        reader.SetFileName(bundled(name))
        expected = SimpleITK.GetArrayFromImage(reader.Execute())
        np.testing.assert_array_equal(volume.image[0], expected.reshape(volume.image.shape[1:]))


def test_a_damaged_jpeg_is_an_error_and_ends_no_process(tmp_path: Path) -> None:
    code = (
        "import sys; from synthanom.errors import SynthanomError; from synthanom.volumes import Reading, read\n"
        "for path in sys.argv[1:]:\n"
        "    try: read(path, Reading(grey=True))\n"
        "    except SynthanomError: print('refused')\n"
        "print('done')"
    )
    whole = bytearray(Path(bundled("SC_rgb_small_odd_jpeg.dcm")).read_bytes())
    table = whole.rindex(b"\xff\xc4")  # of Huffman codes: python-gdcm aborts when one is broken
    files = []
    for number, at in enumerate(range(table + 2, table + 30)):
        broken = whole.copy()
        broken[at] ^= 0x81
        files.append(tmp_path / f"{number}.dcm")
        files[-1].write_bytes(broken)
    command = [sys.executable, "-c", code, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("done\n") and "refused" in done.stdout


def test_a_panic_of_a_decoder_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    import pydicom.pixels.utils

    class PanicException(BaseException):
        """What Rust raises through Python."""

    def panics(*args: Any, **kwargs: Any) -> None:
        raise PanicException("index out of bounds")

    monkeypatch.setattr(pydicom.pixels.utils, "pixel_array", panics)
    with pytest.raises(SynthanomError, match=r"cannot be decoded .*index out of bounds"):
        read(bundled("MR_small_RLE.dcm"))


def test_an_empty_pixel_element_is_no_image(tmp_path: Path) -> None:
    empty = dataset(pixels(0))
    empty.PixelData = b""
    with pytest.raises(SynthanomError, match=r"a\.dcm: holds no pixels \(CT Image Storage\)"):
        read(save(tmp_path / "a.dcm", empty))


def test_what_a_damaged_header_holds_is_shown_short_and_printable(tmp_path: Path) -> None:
    broken = dataset(pixels(0), PixelData=None)
    path = save(tmp_path / "a.dcm", broken)
    data = bytearray(path.read_bytes())
    at = data.index(b"\x02\x00\x02\x00UI") + 6  # the length of the storage class in the meta information
    data[at : at + 2] = b"\xb0\x00"
    where = data.index(b"\x08\x00\x16\x00UI")
    data[where : where + 2] = b"\x09\x00"  # the storage class proper is no longer there
    path.write_bytes(bytes(data))
    with pytest.raises(SynthanomError, match=r"a\.dcm: holds no pixels") as caught:
        read(path)
    assert str(caught.value).isprintable() and len(str(caught.value)) < len(str(path)) + 200


def test_a_missing_decoder_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom.pixels.decoders.base import Decoder

    monkeypatch.setattr(Decoder, "is_available", property(lambda self: False))
    with pytest.raises(MissingExtra, match=r'JPEG 2000.*pip install "synthanom\[dicom\]"'):
        read(bundled("MR_small_jp2klossless.dcm"))


@pytest.mark.parametrize("name", ["MR_truncated.dcm", "badVR.dcm", "rtplan.dcm", "no_meta.dcm", "rtdose.dcm"])
def test_truncated_and_pixelless_files_are_refused_by_name(name: str) -> None:
    with pytest.raises(SynthanomError, match=name) as caught:
        read(bundled(name))
    assert "\n" not in str(caught.value)


def test_every_truncation_is_refused_or_read_whole(tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", dataset(pixels(0)))
    whole, array = path.read_bytes(), read(path).image
    for keep in range(0, len(whole), 17):
        path.write_bytes(whole[:keep])
        with pytest.raises(SynthanomError, match=r"a\.dcm"):
            read(path)
    path.write_bytes(whole)
    np.testing.assert_array_equal(read(path).image, array)


def test_damaged_headers_never_escape_as_other_errors(tmp_path: Path) -> None:
    save_series(tmp_path / "ct", 3)
    whole = {file: file.read_bytes() for file in (tmp_path / "ct").iterdir()}
    first = sorted(whole)[0]
    rng = np.random.default_rng(0)
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom remarks on what it finds
        for _ in range(400):
            broken = bytearray(whole[first])
            for at in rng.integers(132, len(broken) - 70, 3):
                broken[at] = rng.integers(256)
            first.write_bytes(bytes(broken))
            try:
                for source in discover(tmp_path):
                    read(source)
            except SynthanomError:
                refused += 1
    assert refused > 20


def test_a_header_that_declares_too_much_is_refused(tmp_path: Path) -> None:
    huge = dataset(pixels(0), Rows=60000, Columns=60000)
    with pytest.raises(SynthanomError, match=r"a\.dcm: the header declares .* at most 4 GiB"):
        read(save(tmp_path / "a.dcm", huge))


def test_files_without_preamble_or_extension_are_found(tmp_path: Path) -> None:
    save(tmp_path / "IM0001", dataset(pixels(0), Modality="DX"))
    plain = (tmp_path / "IM0001").read_bytes()
    (tmp_path / "IM0002").write_bytes(plain[132:])
    (tmp_path / "notes").write_text("no image at all")
    assert [source.id for source in discover(tmp_path)] == ["IM0001", "IM0002"]
    for name in ("IM0001", "IM0002"):
        np.testing.assert_array_equal(read(tmp_path / name).image[0], pixels(0))


def test_reports_and_directories_are_no_sources(tmp_path: Path) -> None:
    for name in ("reportsi.dcm", "rtplan.dcm", "test-SR.dcm", "dicomdirtests/DICOMDIR"):
        data = Path(bundled(name)).read_bytes()
        (tmp_path / Path(name).name).write_bytes(data)
    with pytest.raises(SynthanomError, match="no image found among 4 files"):
        discover(tmp_path)
    save(tmp_path / "a.dcm", dataset(pixels(0)))
    assert [source.id for source in discover(tmp_path)] == ["a"]


def test_a_broken_file_among_slices_is_a_source_of_its_own(tmp_path: Path) -> None:
    save_series(tmp_path / "ct", 3)
    (tmp_path / "ct" / "broken.dcm").write_bytes(b"\0" * 500)
    sources = discover(tmp_path)
    assert [(source.id, len(source.files)) for source in sources] == [("ct", 3), ("ct/broken", 1)]
    assert read(sources[0]).image.shape == (1, 3, ROWS, COLUMNS)
    with pytest.raises(SynthanomError, match=r"broken\.dcm: holds no pixels"):
        read(sources[1])


@pytest.mark.parametrize(
    ("count", "elements", "words"),
    [
        (4, {"PixelSpacing": [1e300, 1e300]}, "voxel sizes must be positive, got .*inf"),
        (4, {"ImageOrientationPatient": [1e200, 0, 0, 0, 1e200, 0]}, "voxel sizes must be positive, got .*inf"),
        (1, {"ImageOrientationPatient": [1e200, 0, 0, 0, 1e200, 0]}, "the affine must be finite and invertible"),
    ],
)
def test_headers_that_overflow_are_refused_without_a_warning(
    tmp_path: Path, count: int, elements: dict[str, Any], words: str
) -> None:
    save_series(tmp_path / "ct", count, **elements)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.raises(SynthanomError, match=words):
            read(tmp_path / "ct")


def test_pydicoms_exam_folders_are_read_or_refused() -> None:
    root = Path(bundled("dicomdirtests/DICOMDIR")).parent
    sources = {source.id: source for source in discover(root)}
    assert read(sources["98892001/CT5N"]).image.shape == (1, 5, 16, 16)
    with pytest.raises(SynthanomError, match="17106 to 17136"):
        read(sources["77654033/CT2"])
    assert len(sources["TINY_ALPHA/PT000000/ST000000/SE000000"].files) == 50


def jpeg(rows: int, columns: int, mode: str) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (columns, rows), 7).save(buffer, "JPEG", progressive=mode == "RGB")
    return buffer.getvalue()


@pytest.mark.parametrize(("rows", "columns", "mode", "samples"), [(13, 300, "L", 1), (257, 9, "RGB", 3)])
def test_the_size_of_a_jpeg_stream_is_found(rows, columns, mode, samples):
    stream = jpeg(rows, columns, mode)
    assert jpeg_size(stream) == (rows, columns, samples)
    assert jpeg_size(b"\xff\xd8" + b"\xff" * 9 + stream[2:]) == (rows, columns, samples), "fill bytes"
    for damaged in (b"", b"\xff\xd8", stream[:20], b"\xff\xd8" + b"\0" * 50, b"\xff\xd8" + b"\xff\xe0\0\0" * 500):
        assert jpeg_size(damaged) is None


def test_a_jpeg_stream_of_another_size_never_reaches_the_decoder(tmp_path: Path) -> None:
    """The decoder would make room for what the stream says, whatever the header says."""
    dataset = pydicom.dcmread(bundled("SC_rgb_jpeg_gdcm.dcm"))
    stream = next(generate_frames(dataset.PixelData, number_of_frames=1))
    place = next(k for k in range(2, len(stream)) if stream[k] == 0xFF and stream[k + 1] == 0xC3)
    huge = stream[: place + 5] + (60000).to_bytes(2, "big") * 2 + stream[place + 9 :]
    assert read(save(tmp_path / "a.dcm", dataset), Reading(grey=True)).image.shape == (1, 100, 100)
    dataset.PixelData = encapsulate([huge])
    with pytest.raises(SynthanomError, match=r"the JPEG stream must hold \(100, 100, 3\) .*, got \(60000, 60000, 3\)"):
        read(save(tmp_path / "b.dcm", dataset), Reading(grey=True))

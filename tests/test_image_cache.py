"""Decoded images are kept between starts, made anew where files changed or the cache is damaged, and not in the way."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evonas import image_cache, image_files
from evonas.errors import DataError
from evonas.image_cache import images_of
from evonas.progress import Silent


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVONAS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(5):
        Image.fromarray(rng.integers(0, 256, (6, 4, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    return sorted(folder.iterdir())


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were decoded, in order of their beginning."""
    done: list[Path] = []
    decode = image_files._decode

    def counted(file: Path, channels: int, size: tuple[int, int]) -> np.ndarray:
        done.append(file)
        return decode(file, channels, size)

    monkeypatch.setattr(image_files, "_decode", counted)
    return done


def read(files: list[Path], size: tuple[int, int] | None = None) -> np.ndarray:
    return images_of(files[0].parent, files, size, Silent())


def pixels(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file)).transpose(2, 0, 1)


def test_images_are_decoded_once_and_mapped(files: list[Path], cache: Path, decodings: list[Path]) -> None:
    for _ in range(2):
        found = read(files)
        assert isinstance(found.base, np.memmap) or isinstance(found, np.memmap)
        assert not found.flags.writeable
        assert found.shape == (5, 3, 6, 4)
        assert all(np.array_equal(found[index], pixels(file)) for index, file in enumerate(files))
    assert sorted(decodings) == files


def test_each_size_has_its_own_array(files: list[Path], cache: Path) -> None:
    assert read(files, (3, 3)).shape == (5, 3, 3, 3)
    assert read(files).shape == (5, 3, 6, 4)
    assert len(list(cache.glob("*.npy"))) == 2


def _replaced(file: Path) -> None:
    Image.new("RGB", (4, 6), (1, 2, 3)).save(file)


def _touched(file: Path) -> None:
    os.utime(file, ns=(0, 0))


@pytest.mark.parametrize("change", [_replaced, _touched, lambda file: file.rename(file.with_name("9.png"))])
def test_a_change_of_a_file_is_noticed_and_the_old_array_replaced(
    files: list[Path], cache: Path, change: Callable[[Path], object]
) -> None:
    read(files)
    change(files[2])
    files = sorted(files[0].parent.iterdir())
    found = read(files)
    assert all(np.array_equal(found[index], pixels(file)) for index, file in enumerate(files))
    assert len(list(cache.glob("*.npy"))) == 1


def _truncated(array: Path, about: Path) -> None:
    array.write_bytes(array.read_bytes()[:-10])


def _one_bit(array: Path, about: Path) -> None:
    data = bytearray(array.read_bytes())
    data[-5] ^= 1
    array.write_bytes(data)


def _pickled(array: Path, about: Path) -> None:
    np.save(array, np.array([{}], dtype=object), allow_pickle=True)


def _other_shape(array: Path, about: Path) -> None:
    about.write_text(json.dumps({**json.loads(about.read_text()), "shape": [5, 3, 4, 6]}))


@pytest.mark.parametrize(
    "damage",
    [
        _truncated,
        _one_bit,
        _pickled,
        _other_shape,
        lambda array, about: about.write_text("[]"),
        lambda array, about: about.write_bytes(b"\xff{"),
        lambda array, about: about.unlink(),
        lambda array, about: array.unlink(),
        lambda array, about: array.write_bytes(b""),
    ],
)
def test_a_damaged_cache_is_made_anew(
    files: list[Path], cache: Path, decodings: list[Path], damage: Callable[[Path, Path], object]
) -> None:
    read(files)
    (array,) = cache.glob("*.npy")
    damage(array, array.with_suffix(".json"))
    found = read(files)
    assert all(np.array_equal(found[index], pixels(file)) for index, file in enumerate(files))
    assert len(decodings) == 10
    read(files)
    assert len(decodings) == 10


def test_nothing_is_left_behind_where_an_image_is_broken(files: list[Path], cache: Path) -> None:
    files[3].write_bytes(files[3].read_bytes()[:60])
    with pytest.raises(DataError, match=r"3\.png cannot be decoded"):
        read(files, (6, 4))
    assert {path.suffix for path in cache.iterdir()} == {".lock"}


def test_where_nothing_can_be_kept_images_are_read_into_memory(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("EVONAS_CACHE_DIR", str(tmp_path / "file"))
    assert np.array_equal(read(files)[1], pixels(files[1]))
    assert "decoded images are not kept" in caplog.text


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVONAS_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert image_cache.cache_folder() == Path("/elsewhere/evonas/images")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert image_cache.cache_folder() == Path.home() / ".cache" / "evonas" / "images"


def test_two_that_start_together_decode_once(files: list[Path], cache: Path, decodings: list[Path]) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: read(files), range(2))
    assert np.array_equal(first, second)
    assert len(decodings) == 5


def test_memory_does_not_grow_with_the_images(files: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "TOGETHER", 8)
    many = files * 40

    def peak() -> int:
        tracemalloc.start()
        read(many, (64, 64))
        largest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return largest

    whole = len(many) * 3 * 64 * 64
    assert peak() < whole / 3
    assert peak() < whole / 30  # from the cache

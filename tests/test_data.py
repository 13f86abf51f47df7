"""Data sets: what is read, how it is split, that the test part stays sealed, and how batches are made and varied."""

import hashlib
import pickle
import shutil
import socket
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torch import Tensor

from evonas.augmentation import Normaliser, augment, cutout
from evonas.class_names import CLASS_NAMES
from evonas.config import DatasetSettings
from evonas.data import ImageData, Part, batches_per_epoch, fixed_batches, load, training_batches
from evonas.datasets import DATASETS, Spec
from evonas.errors import DataError

CPU = torch.device("cpu")
REAL_IMAGES = Path(__file__).parents[2] / "shared" / "data"  # beside a checkout of ours, and nowhere else


def read(**settings: Any) -> ImageData:
    return load(DatasetSettings(**settings), CPU)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def counts(part: Part) -> list[int]:
    return torch.bincount(part.labels).tolist()


def rows(images: Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


def write_images(
    root: Path,
    classes: tuple[str, ...],
    train: int = 6,
    test: int = 2,
    mode: str = "RGB",
    size: tuple[int, int] = (8, 8),
) -> Path:
    """root/train/<class>/*.png and root/test/<class>/*.png of noise; each image's first pixel is its class's number."""
    rng = np.random.default_rng(0)
    for split, number in (("train", train), ("test", test)):
        for label, name in enumerate(classes):
            (root / split / name).mkdir(parents=True)
            for index in range(number):
                image = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).convert(mode)
                image.putpixel((0, 0), label if mode == "L" else (label,) * len(image.getbands()))
                image.save(root / split / name / f"{index}.png")
    return root


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Nothing gets out, and whatever tried to is in this list."""
    tried: list[str] = []

    def refuse(*address: object, **_: object) -> None:
        tried.append(repr(address))
        raise URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tried


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return read()


# Splits ---------------------------------------------------------------------------------------------------------


def test_digits_is_whole_and_scaled_to_bytes(digits: ImageData) -> None:
    assert (digits.shape, len(digits.classes), digits.flip, digits.crop) == ((1, 8, 8), 10, False, 1)
    assert (len(digits.weights), len(digits.fitness), len(digits.open_test("size"))) == (718, 719, 360)
    assert (digits.weights.images.dtype, digits.weights.labels.dtype) == (torch.uint8, torch.int64)
    assert torch.unique(digits.weights.images).tolist() == [round(value * 255 / 16) for value in range(17)]


def test_parts_share_no_image(digits: ImageData) -> None:
    weights, fitness = rows(digits.weights.images), rows(digits.fitness.images)
    test = rows(digits.open_test("overlap").images)
    assert len(weights) + len(fitness) + len(test) == 1797  # no two digits are alike, so this counts images
    assert not weights & fitness and not (weights | fitness) & test


@pytest.mark.parametrize("share", [0.2, 0.5, 0.7])
def test_every_class_is_divided_by_the_fitness_share(share: float) -> None:
    data = read(fitness_share=share)
    for weights, fitness in zip(counts(data.weights), counts(data.fitness), strict=True):
        assert abs(fitness - share * (weights + fitness)) <= 1


def test_each_part_mixes_the_classes(digits: ImageData, tmp_path: Path) -> None:
    folder = read(name="imagefolder", dir=str(write_images(tmp_path, ("a", "b"), train=40, test=20)))
    for part in (digits.weights, digits.fitness, digits.open_test("order"), folder.fitness, folder.open_test("order")):
        assert len(set(part.labels[:16].tolist())) > 1


def test_split_depends_on_the_settings_alone() -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    first = read()
    torch.manual_seed(2)
    np.random.seed(2)
    second = read()
    assert first.digest == second.digest
    assert torch.equal(first.weights.images, second.weights.images)
    assert torch.equal(first.open_test("").images, second.open_test("").images)


@pytest.mark.parametrize(
    "change",
    [{"split_seed": 1}, {"fitness_share": 0.4}, {"train_images": 400}, {"image_size": 6}],
)
def test_another_split_has_another_digest(digits: ImageData, change: dict[str, Any]) -> None:
    assert read(**change).digest != digits.digest


def test_what_does_not_touch_the_split_keeps_the_digest(digits: ImageData) -> None:
    assert read(flip=True, crop=3).digest == digits.digest


def test_split_seed_leaves_the_test_part_alone(digits: ImageData) -> None:
    assert torch.equal(read(split_seed=5).open_test("").images, digits.open_test("").images)


def test_train_is_both_parts(digits: ImageData) -> None:
    assert len(digits.train) == len(digits.weights) + len(digits.fitness)
    assert rows(digits.train.images) == rows(digits.weights.images) | rows(digits.fitness.images)


def test_statistics_are_those_of_the_weights_part(digits: ImageData) -> None:
    std, mean = torch.std_mean(digits.weights.images.double() / 255, dim=(0, 2, 3), correction=0)
    assert digits.mean == pytest.approx(mean.tolist(), rel=1e-12)
    assert digits.std == pytest.approx(std.tolist(), rel=1e-12)


@pytest.mark.parametrize("wanted", [40, 100, 401, 1427, 1437])
def test_a_subset_has_exactly_the_images_asked_for_and_is_stratified(wanted: int) -> None:
    data = read(train_images=wanted)
    assert len(data.train) == wanted
    shares = np.array(counts(data.train)) / np.array(counts(read().train))
    assert np.abs(shares - wanted / 1437).max() < 0.01


@pytest.mark.parametrize(
    ("wanted", "message"),
    [(39, "10 classes need at least 40"), (1438, "digits has 1437"), (1430, "at most 1427")],
)
def test_a_subset_that_cannot_be_had_is_refused(wanted: int, message: str) -> None:
    with pytest.raises(DataError, match=f"dataset.train_images is {wanted}.*{message}"):
        read(train_images=wanted)


def test_a_share_that_leaves_a_part_without_classes_is_refused() -> None:
    with pytest.raises(DataError, match=r"40 training images .* dataset.fitness_share 0.01 .*share nearer to 0.5"):
        read(train_images=40, fitness_share=0.01)


def test_own_flip_and_crop_give_way_to_settings() -> None:
    assert (read(flip=True, crop=0).flip, read(flip=True, crop=0).crop) == (True, 0)


def test_images_are_resized_once_at_loading_and_the_crop_grows_with_them() -> None:
    data = read(image_size=16)
    assert data.shape == (1, 16, 16)
    assert data.open_test("").images.shape == (360, 1, 16, 16)
    assert data.crop == 2


# The sealed test part -------------------------------------------------------------------------------------------


def test_every_opening_of_the_test_part_is_written_down() -> None:
    data = read()
    _ = (data.train, data.shape, data.mean, data.to(CPU).train, repr(data))
    assert data.test_openings == []
    data.open_test("report of best")
    data.to(CPU).open_test("report of largest")
    assert data.test_openings == ["report of best", "report of largest"]


def test_nothing_but_open_test_shows_the_test_part(digits: ImageData) -> None:
    public = {name: getattr(digits, name) for name in dir(digits) if not name.startswith("_")}
    assert {name for name, value in public.items() if isinstance(value, Part)} == {"weights", "fitness", "train"}
    assert "_test=" not in repr(digits)


def test_data_moves_whole(digits: ImageData) -> None:
    moved = digits.to(torch.device("meta"))
    assert {part.images.device.type for part in (moved.weights, moved.fitness, moved.open_test(""))} == {"meta"}
    assert moved.weights.to(torch.device("meta")).labels.device.type == "meta"
    assert (moved.digest, moved.mean) == (digits.digest, digits.mean)


# Names and places -----------------------------------------------------------------------------------------------


def test_an_unknown_name_gets_the_nearest_and_all() -> None:
    with pytest.raises(DataError, match=r"'cifar-10' is unknown; did you mean 'cifar10'\?") as caught:
        read(name="cifar-10")
    assert all(name in str(caught.value) for name in DATASETS)


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_shipped_class_names_are_as_many_as_the_registry_says(name: str) -> None:
    assert len(set(CLASS_NAMES[name])) == len(CLASS_NAMES[name]) == DATASETS[name].classes
    if name.startswith("cifar"):
        assert list(CLASS_NAMES[name]) == sorted(CLASS_NAMES[name])  # as torchvision's label numbers are


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_nothing_is_downloaded_where_a_folder_is_given(name: str, tmp_path: Path, network: list[str]) -> None:
    with pytest.raises(DataError, match="train/<class>") as caught:
        read(name=name, dir=str(tmp_path))
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(DataError, match="no folder"):
        read(name=name, dir=str(tmp_path / "absent"))
    assert network == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_a_failed_download_is_one_line_with_the_folder_and_the_way_out(
    name: str, tmp_path: Path, network: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVONAS_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError, match="--data-dir") as caught:
        read(name=name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert network


def test_imagefolder_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs --data-dir with train/<class>"):
        read(name="imagefolder")
    with pytest.raises(DataError, match="is empty; expected train"):
        read(name="imagefolder", dir=str(tmp_path))


def test_one_line_makes_a_data_set_of_torchvision_a_known_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: list[str]
) -> None:
    raw = tmp_path / "KMNIST" / "raw"
    raw.mkdir(parents=True)
    for split, count in (("train", 60), ("t10k", 20)):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = np.tile(labels[:, None, None], (1, 28, 28))
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = np.array([0x800 + array.ndim, *array.shape], dtype=">i4").tobytes()
            (raw / f"{split}-{name}-ubyte").write_bytes(header + array.tobytes())
    monkeypatch.setitem(DATASETS, "kmnist", Spec("Kuzushiji-MNIST", 10, 28, False, 2, "KMNIST"))
    data = read(name="kmnist", dir=str(tmp_path))
    assert data.classes == ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    assert torch.equal(data.train.images[:, 0, 0, 0].long(), data.train.labels)
    assert (data.shape, len(data.train), len(data.open_test("size"))) == ((1, 28, 28), 60, 20)
    assert network == []


# Folders of images ----------------------------------------------------------------------------------------------


def test_imagefolder_sorts_its_classes_whatever_order_they_were_made_in(tmp_path: Path) -> None:
    data = read(name="imagefolder", dir=str(write_images(tmp_path, ("zebra", "ant", "Mole"))))
    assert data.classes == ("Mole", "ant", "zebra")
    written = torch.tensor([2, 1, 0])  # the class's number when it was written, by label
    for part in (data.train, data.open_test("labels")):
        assert torch.equal(part.images[:, 0, 0, 0].long(), written[part.labels])
    assert (len(data.train), len(data.open_test("size"))) == (18, 6)
    assert (data.flip, data.crop) == (True, 1)


def test_files_are_read_in_one_order_whatever_the_file_system_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(tmp_path, ("a", "b"))
    first = read(name="imagefolder", dir=str(tmp_path))
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: sorted(listed(folder), reverse=True))
    second = read(name="imagefolder", dir=str(tmp_path))
    assert first.digest == second.digest
    assert torch.equal(first.open_test("").images, second.open_test("").images)


def test_known_data_sets_keep_the_official_labels_in_folders(tmp_path: Path, network: list[str]) -> None:
    names = CLASS_NAMES["fashion_mnist"]  # its official order is not the alphabet's
    data = read(name="fashion_mnist", dir=str(write_images(tmp_path, names, mode="L", size=(28, 28))))
    assert data.classes == names
    assert torch.equal(data.train.images[:, 0, 0, 0].long(), data.train.labels)
    assert data.shape == (1, 28, 28)
    assert network == []


def test_known_data_sets_are_brought_to_their_own_size(tmp_path: Path) -> None:
    write_images(tmp_path, CLASS_NAMES["cifar10"], size=(12, 10))
    data = read(name="cifar10", dir=str(tmp_path))
    assert (data.shape, data.flip, data.crop) == ((3, 32, 32), True, 4)
    assert read(name="cifar10", dir=str(tmp_path), image_size=16).shape == (3, 16, 16)


@pytest.mark.parametrize(("split", "number"), [("train", 10), ("test", 10)])
def test_a_missing_class_folder_is_named(tmp_path: Path, split: str, number: int) -> None:
    write_images(tmp_path, CLASS_NAMES["cifar10"])
    (tmp_path / split / "cat").rename(tmp_path / split / "lion")
    with pytest.raises(DataError, match=rf"{split} lacks 1 of {number} class folders, 'cat' first; expected airplane"):
        read(name="cifar10", dir=str(tmp_path))


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_extra_class_folder_is_named(tmp_path: Path, split: str) -> None:
    write_images(tmp_path, CLASS_NAMES["cifar10"])
    (tmp_path / split / "lion").mkdir()
    with pytest.raises(DataError, match=f"{split} has a class folder 'lion'"):
        read(name="cifar10", dir=str(tmp_path))


def test_an_empty_class_is_named(tmp_path: Path) -> None:
    write_images(tmp_path, ("a", "b"))
    (tmp_path / "train" / "c").mkdir()
    (tmp_path / "test" / "c").mkdir()
    (tmp_path / "train" / "c" / "notes.txt").write_text("not an image")
    with pytest.raises(DataError, match="class 'c' has no images"):
        read(name="imagefolder", dir=str(tmp_path))


def test_a_class_of_two_images_cannot_be_split(tmp_path: Path) -> None:
    write_images(tmp_path, ("a", "b"))
    for image in sorted((tmp_path / "train" / "b").iterdir())[2:]:
        image.unlink()
    with pytest.raises(DataError, match="class 'b' has 2 training images; at least 3"):
        read(name="imagefolder", dir=str(tmp_path))


def test_one_class_is_not_enough(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="one class folder, 'a'"):
        read(name="imagefolder", dir=str(write_images(tmp_path, ("a",))))


def test_grey_images_keep_one_channel_and_a_single_colour_image_makes_three(tmp_path: Path) -> None:
    write_images(tmp_path, ("a", "b"), mode="L")
    assert read(name="imagefolder", dir=str(tmp_path)).shape == (1, 8, 8)
    Image.new("RGB", (8, 8), (9, 8, 7)).save(tmp_path / "test" / "b" / "colour.png")
    data = read(name="imagefolder", dir=str(tmp_path))
    assert data.shape == (3, 8, 8)
    assert torch.equal(data.weights.images[:, 0], data.weights.images[:, 2])


def test_alpha_is_dropped(tmp_path: Path) -> None:
    write_images(tmp_path, ("a", "b"))
    kept = read(name="imagefolder", dir=str(tmp_path))
    for file in tmp_path.rglob("*.png"):
        image = Image.open(file).convert("RGBA")
        image.putalpha(17)
        image.save(file)
    assert read(name="imagefolder", dir=str(tmp_path)).digest == kept.digest


def test_sixteen_bit_grey_is_scaled_and_a_transparent_palette_keeps_its_colours(tmp_path: Path) -> None:
    from evonas.image_files import read_images

    values = np.array([[0, 257], [32896, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert read_images([tmp_path / "deep.png"], 1, (2, 2))[0, 0].tolist() == [[0, 1], [128, 255]]
    palette = Image.new("P", (2, 2), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.save(tmp_path / "palette.png", transparency=bytes([0, 255]))
    assert read_images([tmp_path / "palette.png"], 3, (2, 2))[0, :, 0, 0].tolist() == [10, 20, 30]


def test_digits_are_read_from_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leave --data-dir out"):
        read(dir=str(tmp_path))


def test_images_of_one_size_that_is_not_square_are_kept(tmp_path: Path) -> None:
    assert read(name="imagefolder", dir=str(write_images(tmp_path, ("a", "b"), size=(12, 8)))).shape == (3, 8, 12)


@pytest.mark.parametrize("place", ["train", "test"])
def test_images_of_differing_sizes_are_brought_to_the_median_of_their_shorter_sides(tmp_path: Path, place: str) -> None:
    write_images(tmp_path, ("a", "b"))
    for file in (tmp_path / place / "b").iterdir():
        Image.new("RGB", (9, 10)).save(file)
    assert read(name="imagefolder", dir=str(tmp_path)).shape == (3, 8, 8)
    assert read(name="imagefolder", dir=str(tmp_path), image_size=9).shape == (3, 9, 9)


def test_large_images_are_brought_to_a_size_that_can_be_searched_unless_another_is_set(tmp_path: Path) -> None:
    write_images(tmp_path, ("a", "b"), size=(100, 80))
    assert read(name="imagefolder", dir=str(tmp_path)).shape == (3, 64, 64)
    assert read(name="imagefolder", dir=str(tmp_path), image_size=72).shape == (3, 72, 72)


def test_photos_are_turned_as_their_camera_was_held(tmp_path: Path) -> None:
    from evonas.image_files import read_images, survey

    image = Image.new("RGB", (30, 10))
    image.paste((255, 255, 255), (0, 0, 15, 10))
    exif = image.getexif()
    exif[0x0112] = 6  # the top of the scene is on the right
    image.save(tmp_path / "turned.jpg", exif=exif, quality=100)
    assert survey([tmp_path / "turned.jpg"], None) == (3, (30, 10))
    upright = read_images([tmp_path / "turned.jpg"], 3, (30, 10))[0, 0]
    assert upright[:12].min() > 200 and upright[18:].max() < 50


# Without splits -------------------------------------------------------------------------------------------------


def flattened(root: Path, classes: tuple[str, ...] = ("a", "b"), **counts: int) -> Path:
    """Class folders without splits around them; `counts` replace the 20 images of a class."""
    write_images(root, classes, train=20, test=1)
    for name, count in counts.items():
        for file in sorted((root / "train" / name).iterdir())[count:]:
            file.unlink()
    return root / "train"


def test_without_a_test_folder_the_same_fifth_of_each_class_is_sealed_whatever_the_settings(tmp_path: Path) -> None:
    folder = flattened(tmp_path, a=40, b=10)
    flat = read(name="imagefolder", dir=str(folder), fitness_share=0.25)
    assert (counts(flat.open_test("size")), counts(flat.weights), counts(flat.fitness)) == ([4, 2], [12, 6], [4, 2])
    other = read(name="imagefolder", dir=str(folder), split_seed=3, fitness_share=0.5)
    assert torch.equal(other.open_test("").images, flat.open_test("").images)
    assert not rows(flat.open_test("").images) & rows(flat.train.images)
    shutil.rmtree(tmp_path / "test")
    assert read(name="imagefolder", dir=str(tmp_path), fitness_share=0.25).digest == flat.digest


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_a_validation_folder_is_the_test_part_where_there_is_no_other(tmp_path: Path, name: str) -> None:
    write_images(tmp_path, ("a", "b"))
    expected = read(name="imagefolder", dir=str(tmp_path))
    (tmp_path / "test").rename(tmp_path / name)
    found = read(name="imagefolder", dir=str(tmp_path))
    assert torch.equal(found.open_test("").images, expected.open_test("").images)
    assert found.digest == expected.digest


def test_a_class_too_small_to_be_split_in_three_is_named(tmp_path: Path) -> None:
    folder = flattened(tmp_path, b=4)
    with pytest.raises(DataError, match="class 'b' has 4 training images; at least 5"):
        read(name="imagefolder", dir=str(folder))


def test_what_archives_and_editors_leave_behind_is_no_class(tmp_path: Path) -> None:
    write_images(tmp_path, ("a", "b"))
    for name in ("__MACOSX", ".ipynb_checkpoints"):
        (tmp_path / "train" / name).mkdir()
    (tmp_path / "train" / "a" / "._0.png").write_bytes(b"no image")
    assert read(name="imagefolder", dir=str(tmp_path)).classes == ("a", "b")


@pytest.mark.parametrize("content", [b"", b"not an image", "truncated"])
def test_a_corrupt_image_is_named(tmp_path: Path, content: bytes | str) -> None:
    file = write_images(tmp_path, ("a", "b")) / "train" / "b" / "3.png"
    file.write_bytes(content if isinstance(content, bytes) else file.read_bytes()[:100])
    with pytest.raises(DataError) as caught:
        read(name="imagefolder", dir=str(tmp_path))
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_real_images_carry_the_shipped_class_names(name: str) -> None:
    names = REAL_IMAGES / "names.tsv.xz"
    tars = sorted(REAL_IMAGES.glob(f"{name}-*.tar")) if names.is_file() else []
    if not tars:
        pytest.skip("the real images are not beside this checkout")
    with tarfile.open(tars[0]) as tar:
        found = {member.name.split("/")[1] for member in tar if member.isfile()}
    assert found == set(CLASS_NAMES[name])


# torchvision's files --------------------------------------------------------------------------------------------


class Trap:
    """Unpickling it leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()


def write_cifar10(root: Path) -> Path:
    """torchvision's layout of CIFAR-10, 20 images a file; each image's first byte is its label."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]:
        labels = [index % 10 for index in range(20)]
        images = rng.integers(0, 256, (20, 3072), dtype=np.uint8)
        images[:, 0] = labels
        (folder / name).write_bytes(pickle.dumps({"data": images, "labels": labels}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list(CLASS_NAMES["cifar10"])}))
    return folder


@pytest.fixture
def cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small CIFAR-10 whose MD5 sums torchvision takes for the published ones."""
    from torchvision.datasets import CIFAR10

    folder = write_cifar10(tmp_path / "cifar10")
    for listing in ("train_list", "test_list"):
        sums = [[name, md5(folder / name)] for name, _ in getattr(CIFAR10, listing)]
        monkeypatch.setattr(CIFAR10, listing, sums)
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5(folder / "batches.meta")})
    return folder


def test_torchvisions_layout_is_read_without_the_network(cifar10: Path, network: list[str]) -> None:
    data = read(name="cifar10", dir=str(cifar10.parent))
    assert (len(data.train), len(data.open_test("size")), data.shape) == (100, 20, (3, 32, 32))
    for part in (data.train, data.open_test("labels")):
        assert torch.equal(part.images[:, 0, 0, 0].long(), part.labels)
    assert network == []


def test_what_was_downloaded_before_is_found_again(
    cifar10: Path, network: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVONAS_DATA_DIR", str(cifar10.parents[1]))
    assert len(read(name="cifar10").train) == 100
    assert network == []


@pytest.mark.parametrize("file", ["data_batch_1", "data_batch_5", "test_batch", "batches.meta"])
def test_a_tampered_pickle_is_refused_and_never_run(cifar10: Path, tmp_path: Path, file: str) -> None:
    mark = tmp_path / "executed"
    (cifar10 / file).write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(DataError, match=r"CIFAR10 is not in .*corrupted"):
        read(name="cifar10", dir=str(cifar10.parent))
    assert not mark.exists()
    pickle.loads((cifar10 / file).read_bytes())
    assert mark.exists()  # the trap does work


def write_idx(file: Path, values: np.ndarray) -> None:
    header = bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
    file.write_bytes(header + values.tobytes())


def test_fashion_mnist_is_read_from_torchvisions_layout(tmp_path: Path, network: list[str]) -> None:
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for split in ("train", "t10k"):
        labels = np.arange(60, dtype=np.uint8) % 10
        write_idx(folder / f"{split}-images-idx3-ubyte", np.broadcast_to(labels[:, None, None], (60, 28, 28)))
        write_idx(folder / f"{split}-labels-idx1-ubyte", labels)
    data = read(name="fashion_mnist", dir=str(tmp_path))
    assert data.shape == (1, 28, 28)
    assert torch.equal(data.train.images[:, 0, 5, 5].long(), data.train.labels)
    (folder / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03 cut off")
    with pytest.raises(DataError, match="FashionMNIST is not in"):
        read(name="fashion_mnist", dir=str(tmp_path))
    assert network == []


def test_svhn_is_read_from_torchvisions_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import SVHN

    labels = np.arange(60) % 10 + 1  # SVHN calls the digit 0 ten
    images = np.broadcast_to(labels.astype(np.uint8), (32, 32, 3, 60))
    files = {}
    for split in ("train", "test"):
        file = tmp_path / f"{split}_32x32.mat"
        savemat(file, {"X": images, "y": labels[:, None]})
        files[split] = ["", file.name, md5(file)]
    monkeypatch.setattr(SVHN, "split_list", files)
    data = read(name="svhn", dir=str(tmp_path))
    assert (data.shape, data.flip) == ((3, 32, 32), False)
    assert torch.equal(data.train.images[:, 2, 7, 7].long() % 10, data.train.labels)


# Augmentation ---------------------------------------------------------------------------------------------------


@pytest.fixture
def images() -> Tensor:
    """256 images of 3x6x5, all pixels of an image different, none zero."""
    pixels = torch.stack([torch.randperm(255, generator=generator(n))[:90] + 1 for n in range(256)])
    return pixels.to(torch.uint8).reshape(256, 3, 6, 5)


def test_augmentation_follows_from_its_generator_alone(images: Tensor) -> None:
    torch.manual_seed(0)
    first = augment(images, generator(7), crop=2, flip=True)
    torch.manual_seed(1)
    assert torch.equal(first, augment(images, generator(7), crop=2, flip=True))
    assert not torch.equal(first, augment(images, generator(8), crop=2, flip=True))


def test_augmentation_keeps_shape_type_and_input(images: Tensor) -> None:
    before = images.clone()
    varied = augment(images, generator(), crop=2, flip=True)
    assert (varied.shape, varied.dtype) == (images.shape, torch.uint8)
    assert torch.equal(images, before)


def test_no_crop_and_no_flip_is_the_identity(images: Tensor) -> None:
    assert torch.equal(augment(images, generator(), crop=0, flip=False), images)


def test_half_of_the_images_are_flipped_and_each_is_whole(images: Tensor) -> None:
    varied = augment(images, generator(), crop=0, flip=True)
    flipped = (varied == images.flip(3)).flatten(1).all(1)
    kept = (varied == images).flatten(1).all(1)
    assert (flipped ^ kept).all()
    assert 96 < int(flipped.sum()) < 160  # 4 standard deviations about 128


@pytest.mark.parametrize("flip", [False, True])
def test_every_crop_is_a_window_of_the_padded_image(images: Tensor, flip: bool) -> None:
    crop = 2
    varied = augment(images, generator(), crop=crop, flip=flip)
    seen = set()
    for image, output in zip(images, varied, strict=True):
        for mirrored in (image, image.flip(2)) if flip else (image,):
            padded = torch.nn.functional.pad(mirrored, (crop,) * 4)
            windows = padded.unfold(1, 6, 1).unfold(2, 5, 1)  # (C, 5, 5, H, W)
            places = (windows == output[:, None, None]).all(0).flatten(2).all(2).nonzero().tolist()
            if places:
                break
        assert len(places) == 1
        seen.add(tuple(places[0]))
    assert seen == {(row, column) for row in range(5) for column in range(5)}


def test_normalised_images_have_zero_mean_and_unit_deviation(digits: ImageData) -> None:
    values = Normaliser(digits.mean, digits.std, CPU)(digits.weights.images)
    assert values.dtype == torch.float32
    assert values.mean().item() == pytest.approx(0, abs=1e-5)
    assert values.std().item() == pytest.approx(1, abs=1e-4)


def test_normalising_is_a_channels_own() -> None:
    pixel = torch.tensor([51, 102, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    assert Normaliser((0.1, 0.2, 0.5), (0.1, 0.4, 0.25), CPU)(pixel).flatten().tolist() == pytest.approx([1, 0.5, 2])


@pytest.mark.parametrize("side", [1, 2, 3, 4])
def test_cutout_clears_one_square_in_all_channels(side: int) -> None:
    images = torch.ones(200, 2, 8, 8)
    cleared = cutout(images, generator(), side) == 0
    assert torch.equal(cleared[:, 0], cleared[:, 1])
    tall, wide = cleared[:, 0].any(2).sum(1), cleared[:, 0].any(1).sum(1)
    assert torch.equal(cleared[:, 0].flatten(1).sum(1), tall * wide)
    assert int(tall.max()) == int(wide.max()) == side
    assert int(tall.min()) >= 1  # its centre is in the image, an edge may lie outside
    assert torch.equal(cutout(images, generator(), side) == 0, cleared)


# Batches --------------------------------------------------------------------------------------------------------


def numbered(count: int) -> Part:
    """Images whose only pixel is their label."""
    labels = torch.arange(count)
    return Part(labels.to(torch.uint8).view(-1, 1, 1, 1), labels)


def drawn(batches: Iterator[tuple[Tensor, Tensor]]) -> list[list[int]]:
    result = []
    for images, labels in batches:
        assert torch.equal(images.flatten().long(), labels)
        result.append(labels.tolist())
    return result


@pytest.mark.parametrize(
    ("count", "size", "sizes"), [(10, 3, [3, 3, 3]), (12, 4, [4, 4, 4]), (5, 8, [5]), (7, 7, [7]), (3, 1, [1, 1, 1])]
)
def test_an_epoch_takes_full_batches_and_no_image_twice(count: int, size: int, sizes: list[int]) -> None:
    batches = drawn(training_batches(numbered(count), size, generator()))
    assert [len(batch) for batch in batches] == sizes
    assert batches_per_epoch(count, size) == len(sizes)
    taken = [index for batch in batches for index in batch]
    assert len(set(taken)) == len(taken)


def test_the_rest_is_another_one_each_epoch() -> None:
    draws = generator()
    epochs = [drawn(training_batches(numbered(10), 4, draws)) for _ in range(8)]
    assert len({frozenset(index for batch in epoch for index in batch) for epoch in epochs}) > 1


def test_batches_follow_from_their_generator_alone() -> None:
    part = numbered(20)
    assert drawn(training_batches(part, 6, generator(3))) == drawn(training_batches(part, 6, generator(3)))
    assert drawn(training_batches(part, 6, generator(3))) != drawn(training_batches(part, 6, generator(4)))


@pytest.mark.parametrize("count", [1, 5, 8, 9, 15, 16, 17, 23, 100])
def test_fixed_batches_are_all_images_in_order_in_near_equal_sizes(count: int) -> None:
    batches = drawn(fixed_batches(numbered(count), 8))
    assert [index for batch in batches for index in batch] == list(range(count))
    sizes = [len(batch) for batch in batches]
    assert sizes == [len(chunk) for chunk in np.array_split(np.arange(count), max(1, count // 8))]
    assert min(sizes) >= min(8, count)

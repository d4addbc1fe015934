"""Data from strangers: what may lie in folders, tables and files, and what a user then reads."""

import json
import os
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shared import Ended

from trainer.data import listing
from trainer.data.decode import Frame, decode
from trainer.data.folder import folder
from trainer.data.listing import in_two_parts
from trainer.size import square

Train = Callable[..., Ended]
Golden = Callable[..., None]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """train/ and val/ with two classes of six and two different pictures."""
    number = 0
    for part, count in (("train", 6), ("val", 2)):
        for name in ("cat", "dog"):
            (tmp_path / "photos" / part / name).mkdir(parents=True)
            for index in range(count):
                number += 1
                noisy(tmp_path / "photos" / part / name / f"{index}.png", number)
    return tmp_path / "photos"


def noisy(path: Path, seed: int) -> Path:
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def run(train: Train, photos: Path, tmp_path: Path) -> Train:
    """Trains on the photos, or on what data.root= says."""

    def command(*words: str) -> Ended:
        root = () if any(word.startswith("data.root=") for word in words) else (f"data.root={photos}",)
        told = ("model.widths=[2]", "epochs=1", "batch_size=4", "device=cpu", "precision=fp32", "workers=0")
        keep = f"data.cache_dir={tmp_path / 'cache'}"
        return train("data=folder", keep, *told, *root, *words, tiny=False)

    return command


def said(ended: Ended, *words: str) -> str:
    """The one line of what was printed that holds the words."""
    lines = [line for line in (ended.out + ended.err).splitlines() if all(word in line for word in words)]
    assert len(lines) == 1, ended.out + ended.err
    return lines[0] + "\n"


def broken(path: Path, kind: str) -> None:
    whole = path.read_bytes()
    path.write_bytes({"truncated": whole[:-60], "empty": b"", "text": b"no image", "header": whole[:33]}[kind])


BROKEN = ("truncated", "empty", "text", "header")


@pytest.mark.row(26)
def test_broken_images_stop_the_run_with_the_first_ten_and_their_number(
    run: Train, photos: Path, golden: Golden
) -> None:
    for index in range(6):
        broken(photos / "train" / "cat" / f"{index}.png", BROKEN[index % 4])
        broken(photos / "train" / "dog" / f"{index}.png", BROKEN[index % 4])
    for name in ("cat", "dog"):
        noisy(photos / "train" / name / "good.png", 99)
    ended = run()
    assert ended.code == 3
    golden("row26_broken_images", ended.err)


@pytest.mark.row(26)
def test_broken_images_are_left_out_on_request_with_a_whole_list_and_stay_as_they_are(
    run: Train, photos: Path, tmp_path: Path, golden: Golden
) -> None:
    bad = [photos / "train" / "cat" / f"{index}.png" for index in range(4)]
    for path, kind in zip(bad, BROKEN, strict=True):
        broken(path, kind)
    before = {path: path.read_bytes() for path in sorted(photos.rglob("*.png"))}
    ended = run("data.on_error=skip", "name=x")
    assert ended.code == 0, ended.err
    listed = (tmp_path / "outputs" / "x" / "left_out.txt").read_text()
    assert [line.split(": ")[0] for line in listed.splitlines()] == [str(path) for path in bad]
    assert {path: path.read_bytes() for path in sorted(photos.rglob("*.png"))} == before
    golden("row26_left_out", said(ended, "Left out"))
    about = json.loads((tmp_path / "outputs" / "x" / "run.json").read_text())
    assert about["images"]["train"] == 8


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935\nsize 12345\n"


@pytest.mark.row(26)
@pytest.mark.parametrize("words", ["data.on_error=stop", "data.on_error=skip"])
def test_where_no_image_can_be_read_their_number_and_the_reasons_are_told(
    run: Train, photos: Path, golden: Golden, words: str
) -> None:
    for path in photos.rglob("*.png"):
        path.write_bytes(POINTER)
    broken(noisy(photos / "train" / "dog" / "9.png", 9), "truncated")
    ended = run(words)
    assert ended.code == 3
    golden(f"row26_none_readable_{words.partition('=')[2]}", ended.err)


@pytest.mark.row(26)
def test_a_class_that_lost_all_its_images_is_told_with_their_number_and_the_reasons(
    run: Train, photos: Path, golden: Golden
) -> None:
    for index in range(6):
        (photos / "train" / "dog" / f"{index}.png").write_bytes(POINTER if index else b"")
    (photos / "train" / "dog" / "notes.txt").touch()
    ended = run("data.on_error=skip")
    assert ended.code == 3
    golden("row26_class_lost", ended.err)


@pytest.mark.row(26)
@pytest.mark.parametrize(
    "words", [("limit_train=11",), ("data.root=PHOTOS/train", "data.folds=20", "data.fold=0")], ids=["limit", "folds"]
)
def test_an_error_that_comes_later_tells_what_was_left_out_before(
    run: Train, photos: Path, words: tuple[str, ...]
) -> None:
    for index in range(4):
        (photos / "train" / "cat" / f"{index}.png").write_bytes(POINTER)
    ended = run("data.on_error=skip", *(word.replace("PHOTOS", str(photos)) for word in words))
    assert ended.code == 3 and "there are only 8" in ended.err.splitlines()[0]
    assert said(ended, "Left out (data.on_error=skip): 4 of 12 images cannot be read")
    assert ended.err.count("a Git LFS pointer, not the file itself") == 4


@pytest.mark.slow
@pytest.mark.row(26)
def test_images_that_can_no_longer_be_read_are_told_where_a_run_cannot_go_on(run: Train, photos: Path) -> None:
    assert run("name=x", "data.on_error=skip").code == 0
    (photos / "train" / "cat" / "3.png").write_bytes(POINTER)
    ended = run("name=x", "resume=auto", "epochs=2", "data.on_error=skip")
    assert ended.code == 3 and "The data have changed" in ended.err and "1 removed (train/cat/3.png)" in ended.err
    assert said(ended, "cat/3.png: a Git LFS pointer")


@pytest.mark.row(26)
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.zip", ("data=folder", "data.root=FILE")),
        ("a.tar.gz", ("data=folder", "data.root=FILE")),
        ("a.csv", ("data=table", "data.file=FILE")),
        ("train-images-idx3-ubyte.gz", ("data=fashion_mnist", "data.root=FOLDER")),
        ("a.pt", ("data.images=40", "model=backbone", "model.arch=resnet18", "model.weights=FILE")),
        ("a.safetensors", ("data.images=40", "model=backbone", "model.arch=resnet18", "model.weights=FILE")),
    ],
)
def test_what_git_lfs_has_not_fetched_is_named_whatever_it_stands_for(
    train: Train, tmp_path: Path, name: str, words: tuple[str, ...]
) -> None:
    for each in (name, "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        (tmp_path / each).write_bytes(POINTER)
    told = [word.replace("FILE", str(tmp_path / name)).replace("FOLDER", str(tmp_path)) for word in words]
    ended = train(*told, "epochs=1", "device=cpu", tiny=False)
    assert ended.code in (3, 4) and str(tmp_path / name) in ended.err
    assert "a Git LFS pointer, not the file itself (git lfs pull fetches it)" in ended.err.splitlines()[-1]


PIXELS = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[255, 255, 255], [0, 0, 0], [90, 90, 90]]], np.uint8)
GREY = np.array([[0, 76, 150], [29, 255, 90]], np.uint8)


def kinds() -> dict[str, tuple[str, Image.Image, dict[str, object], np.ndarray]]:
    """name -> suffix, picture, options of saving, and the RGB pixels that must come out."""
    colour, grey = Image.fromarray(PIXELS), Image.fromarray(GREY)
    three = np.repeat(GREY[..., None], 3, axis=2)
    alpha = np.dstack([PIXELS, np.array([[255, 255, 0], [255, 255, 255]], np.uint8)])
    on_white = PIXELS.copy()
    on_white[0, 2] = 255
    grey_alpha = np.dstack([GREY, np.array([[255, 255, 0], [255, 255, 255]], np.uint8)])
    grey_on_white = three.copy()
    grey_on_white[0, 2] = 255
    palette = colour.quantize(8)
    clear = Image.fromarray(alpha)
    cmyk = Image.fromarray(np.dstack([255 - PIXELS, np.zeros((2, 3), np.uint8)]), mode="CMYK")
    turned = Image.Exif()
    turned[0x0112] = 6
    return {
        "RGB": (".png", colour, {}, PIXELS),
        "RGBA": (".png", clear, {}, on_white),
        "L": (".png", grey, {}, three),
        "LA": (".png", Image.fromarray(grey_alpha, mode="LA"), {}, grey_on_white),
        "P": (".png", palette, {}, PIXELS),
        "P with alpha": (".webp", clear, {"lossless": True, "exact": True}, on_white),
        "1": (".png", Image.fromarray(GREY > 80), {}, np.repeat(((GREY > 80) * 255)[..., None], 3, axis=2)),
        "I;16": (".png", Image.fromarray(GREY.astype(np.uint16) * 257), {}, three),
        "I;16 TIFF": (".tif", Image.fromarray(GREY.astype(np.uint16) * 257), {}, three),
        "F": (".tif", Image.fromarray(GREY.astype(np.float32) / 255), {}, three),
        "CMYK": (".tif", cmyk, {}, PIXELS),
        "animated GIF": (".gif", palette, {"save_all": True, "append_images": [palette.rotate(180)]}, PIXELS),
        "animated WebP": (
            ".webp",
            colour,
            {"save_all": True, "append_images": [colour.rotate(180)], "lossless": True},
            PIXELS,
        ),
        "EXIF 6": (".png", colour, {"exif": turned}, np.rot90(PIXELS, -1)),
        "PNG named JPEG": (".jpg", colour, {"format": "PNG"}, PIXELS),
        "BMP": (".bmp", colour, {}, PIXELS),
        "PPM": (".ppm", colour, {}, PIXELS),
    }


@pytest.mark.row(27)
@pytest.mark.parametrize("kind", kinds())
def test_every_kind_of_picture_gives_these_very_pixels(tmp_path: Path, kind: str) -> None:
    suffix, picture, options, expected = kinds()[kind]
    path = tmp_path / f"a{suffix}"
    picture.save(path, **options)  # type: ignore[arg-type]
    assert decode(path).permute(1, 2, 0).tolist() == expected.tolist()


@pytest.mark.row(27)
@pytest.mark.parametrize("size", [(1, 1), (1, 4000)])
def test_a_picture_of_one_pixels_width_is_a_picture(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, (9, 8, 7)).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png", Frame(square(8))).amax((1, 2)).tolist() == [9, 8, 7]


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header claims this size, and whose pixels are a kilobyte."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def icon_of(png: bytes) -> bytes:
    """An icon that claims 16 x 16, and holds this PNG."""
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(png), 22) + png


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"


@pytest.mark.row(28)
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bomb", png_of(20_000, 20_000)),
        ("lesser_bomb", png_of(10_000, 10_000)),
        ("eps", EPS),
        ("bomb_in_an_icon", icon_of(png_of(10_000, 10_000))),
    ],
)
def test_a_bomb_and_a_program_are_refused_before_anything_is_taken(
    run: Train, photos: Path, golden: Golden, taken: Callable[[], float], name: str, content: bytes
) -> None:
    (photos / "train" / "cat" / "bad.png").write_bytes(content)
    ended = run()
    assert ended.code == 3 and taken() < 100
    golden(f"row28_{name}", ended.err)


@pytest.mark.row(28)
def test_memory_that_is_taken_is_seen_behind_an_earlier_peak(request: pytest.FixtureRequest) -> None:
    np.ones(2**28, np.uint8)
    taken = request.getfixturevalue("taken")
    assert taken() < 20
    np.ones(2**27, np.uint8)
    assert 100 < taken() < 200


def clear(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def fold(photos: Path) -> None:
    """One folder more around the classes than is looked for."""
    (photos / "train" / "photos").mkdir()
    for name in ("cat", "dog"):
        (photos / "train" / name).rename(photos / "train" / "photos" / name)


@pytest.mark.row(29)
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("empty_class", lambda photos: clear(photos / "train" / "dog")),
        ("one_class", lambda photos: (photos / "train" / "dog").rename(photos / "train" / ".dog")),
        ("nested_too_deep", fold),
        ("missing", lambda photos: photos.rename(photos.with_name("gone"))),
        ("no_train", lambda photos: (photos / "train").rename(photos / ".train")),
        ("other_class_in_val", lambda photos: (photos / "val" / "dog").rename(photos / "val" / "emu")),
    ],
)
def test_folders_that_make_no_set_are_refused_in_one_line_that_says_why(
    run: Train, photos: Path, golden: Golden, name: str, make: Callable[[Path], object]
) -> None:
    make(photos)
    ended = run()
    assert ended.code == 3 and len(ended.err.splitlines()) == 1
    golden(f"row29_{name}", ended.err, r"looked from [^)]*")


@pytest.mark.slow
@pytest.mark.row(29)
def test_a_folder_that_may_not_be_read_is_said(
    run: Train, photos: Path, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = Path.iterdir

    def refuse(path: Path) -> object:
        if path.name == "dog":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", refuse)  # root may read everything
    ended = run()
    assert ended.code == 3
    golden("row29_no_permission", ended.err)


@pytest.mark.row(29)
def test_folders_beside_train_are_counted_and_said(run: Train, photos: Path, golden: Golden) -> None:
    for name in ("raw", "thumbs", ".hidden"):
        (photos / name).mkdir()
    golden("row29_beside_train", said(run(), "left out", "raw"))


@pytest.mark.row(30)
@pytest.mark.parametrize(
    ("name", "twin"), [("case_twins", "Cat"), ("accent_twins", "caf\u00e9"), ("linked_twins", "kitten")]
)
def test_two_names_for_one_class_are_refused(run: Train, photos: Path, golden: Golden, name: str, twin: str) -> None:
    if name == "linked_twins":
        (photos / "train" / twin).symlink_to(photos / "train" / "cat")
    else:
        (photos / "train" / twin).mkdir()
        (photos / "train" / "cafe\u0301").mkdir()
    ended = run()
    assert ended.code == 3 and len(ended.err.splitlines()) == 1
    golden(f"row30_{name}", ended.err)


@pytest.mark.row(30)
def test_names_of_any_script_work_from_end_to_end(run: Train, photos: Path, tmp_path: Path) -> None:
    names = {"cat": 'chat 🐈 "très", beau', "dog": "собака\u3000犬"}
    for part in ("train", "val"):
        for old, new in names.items():
            (photos / part / old).rename(photos / part / new)
    (photos / "train" / names["cat"] / "0.png").rename(photos / "train" / names["cat"] / "é, 'x' 🐶.PNG")
    assert run("name=x").code == 0
    folder = tmp_path / "outputs" / "x"
    assert sorted(json.loads((folder / "run.json").read_text(encoding="utf-8"))["classes"]) == sorted(names.values())


@pytest.mark.row(30)
@pytest.mark.parametrize("what", ["class", "file", "root"])
def test_names_that_are_not_utf_8_are_refused_in_one_line(run: Train, photos: Path, golden: Golden, what: str) -> None:
    odd = os.fsdecode(b"caf\xe9")
    if what == "class":
        for part in ("train", "val"):
            (photos / part / "cat").rename(photos / part / odd)
    elif what == "file":
        (photos / "train" / "cat" / "0.png").rename(photos / "train" / "cat" / f"{odd}.png")
    else:
        photos.rename(photos.with_name(odd))
    ended = run(*([f"data.root={photos.with_name(odd)}"] if what == "root" else []))
    assert ended.code == 3 and len(ended.err.splitlines()) == 1
    golden(f"row30_not_utf8_{what}", ended.err)


@pytest.mark.row(30)
def test_images_that_lie_in_two_parts_are_counted_and_named(run: Train, photos: Path, golden: Golden) -> None:
    assert in_two_parts(folder(root=str(photos))) == []
    for index in range(4):
        (photos / "val" / "cat" / f"again{index}.png").write_bytes((photos / "train" / "cat" / "2.png").read_bytes())
    same_length = bytearray((photos / "train" / "dog" / "1.png").read_bytes())
    same_length[-3] ^= 1  # in the last checksum, which is read by no one
    (photos / "val" / "dog" / "other.png").write_bytes(same_length)
    golden("row30_in_two_parts", said(run(), "byte for byte"))


@pytest.mark.row(30)
def test_copies_that_the_split_divides_are_found_too(photos: Path) -> None:
    for index in range(20):
        (photos / "train" / "cat" / f"copy{index}.png").write_bytes((photos / "train" / "cat" / "0.png").read_bytes())
    (line,) = in_two_parts(folder(root=str(photos / "train"), val=0.5))
    assert "validation images are training images too" in line


@pytest.mark.row(30)
@pytest.mark.parametrize(("limit", "most", "opened"), [("_MOST_OPENED", 12, 12), ("_MOST_READ", 12 * 306, 80 + 12)])
def test_the_look_for_images_in_two_parts_is_bounded_on_both_sides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: int, opened: int
) -> None:
    for name in ("cat", "dog"):
        for part in ("train", "val"):
            (tmp_path / part / name).mkdir(parents=True)
        for index in range(20):
            picture = Image.new("RGB", (9, 9))  # of one length, and with the same last bytes
            picture.putpixel((index % 9, 8), (index, 0, 9 * (name == "cat")))
            for part in ("train", "val"):
                picture.save(tmp_path / part / name / f"{index}.bmp")
    source, hash_of = folder(root=str(tmp_path)), listing._hash
    hashed: list[object] = []
    monkeypatch.setattr(listing, "_TAIL", 30)
    monkeypatch.setattr(listing, "_hash", lambda *words: (hashed.append(words), hash_of(*words))[1])
    assert in_two_parts(source)[0].startswith("40 of the 40") and len(hashed) == 160
    monkeypatch.setattr(listing, limit, most)
    hashed.clear()
    assert in_two_parts(source)[0].startswith("at least ") and opened - 2 <= len(hashed) <= 2 * opened


@pytest.mark.row(31)
def test_loops_dangling_links_and_fifos_do_not_hang_and_are_counted(
    run: Train, photos: Path, golden: Golden, tmp_path: Path
) -> None:
    cat = photos / "train" / "cat"
    (cat / "loop").symlink_to(cat)
    (cat / "up").symlink_to(photos)
    (cat / "top").symlink_to("/")
    (cat / "gone.png").symlink_to(photos / "nowhere.png")
    (cat / "self.png").symlink_to(cat / "self.png")
    os.mkfifo(cat / "pipe.png")
    began = time.monotonic()
    ended = run("name=x")
    assert ended.code == 0 and time.monotonic() - began < 20
    lines = [line for line in ended.out.splitlines() if "left out" in line and "data.root" not in line]
    golden("row31_left_out", "\n".join(lines) + "\n")
    assert json.loads((tmp_path / "outputs" / "x" / "run.json").read_text())["images"]["train"] == 12


@pytest.mark.row(31)
@pytest.mark.timeout(20)
@pytest.mark.parametrize("words", ["data.root", "data=table data.file"])
def test_a_fifo_in_the_place_of_the_data_is_refused(train: Train, tmp_path: Path, words: str, golden: Golden) -> None:
    os.mkfifo(tmp_path / "pipe.zip")
    part, _, option = words.rpartition(" ")
    ended = train(part or "data=folder", f"{option}={tmp_path / 'pipe.zip'}", tiny=False)
    assert ended.code == 3
    golden(f"row31_fifo_{option.removeprefix('data.')}", ended.err)


def replaced_dog(photos: Path) -> None:
    noisy(photos / "train" / "cat" / "new.png", 50)
    (photos / "train" / "dog" / "3.png").unlink()
    Image.new("RGB", (9, 9)).save(photos / "val" / "dog" / "0.png")


@pytest.mark.slow
@pytest.mark.row(34)
def test_data_that_changed_since_are_refused_with_what_changed_or_allowed_on_request(
    run: Train, photos: Path, golden: Golden
) -> None:
    assert run("name=x").code == 0
    again = ("name=x", "resume=auto", "epochs=2")
    replaced_dog(photos)
    ended = run(*again)
    assert ended.code == 3 and len(ended.err.splitlines()) == 1
    golden("row34_changed", ended.err)
    ended = run(*again, "resume_allow=[data]")
    assert ended.code == 0, ended.err
    golden("row34_allowed", said(ended, "Not bit-exact", "data"))


@pytest.mark.row(34)
def test_a_label_that_changed_in_a_table_is_named(train: Train, photos: Path, tmp_path: Path, golden: Golden) -> None:
    table = tmp_path / "labels.csv"
    rows = [f"{path.relative_to(photos)},{path.parent.name}" for path in sorted(photos.rglob("*.png"))]
    words = ("data=table", f"data.file={table}", f"data.root={photos}", "model.widths=[2]", "name=x", "device=cpu")
    table.write_text("\n".join(["path,label", *rows]))
    assert train(*words, "epochs=1", tiny=False).code == 0
    table.write_text("\n".join(["path,label", *rows]).replace("train/cat/0.png,cat", "train/cat/0.png,dog"))
    ended = train(*words, "epochs=2", "resume=auto", tiny=False)
    assert ended.code == 3
    golden("row34_relabelled", ended.err)


@pytest.mark.row(29)
@pytest.mark.parametrize("name", ["photos", "photos.zip"])
def test_data_below_a_folder_that_may_not_be_looked_into_are_told(train: Train, locked: Path, name: str) -> None:
    ended = train("data=folder", f"data.root={locked / name}", tiny=False)
    assert ended.code == 3
    assert ended.err == f"data.root: {locked / name} may not be looked at. Make it readable, or move it.\n"

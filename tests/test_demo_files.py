"""The demo's file work stays below its directory, and leaves whole files or none."""

import os
import time
from pathlib import Path

import pytest
from hivelog.demo.files import UnsafePathError, below, old_files, remove_old, write_atomically
from hivelog.demo.run import leave_scratch_files
from hivelog.demo.text import encode_index, index_files, sentences, summarise, words

OUTSIDE = ["../secret", "/etc/passwd", "a/../../b", ".", "", "reports/../..", "x\0y"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_cannot_leave_the_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsafePathError):
        below(tmp_path, name)


def test_a_link_out_of_the_directory_is_refused(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "door").symlink_to(outside)
    with pytest.raises(UnsafePathError):
        below(root, "door/file")


def test_remove_old_takes_only_old_files_below_its_folder(tmp_path: Path) -> None:
    root, now = tmp_path / "root", time.time()
    write_atomically(tmp_path / "precious.txt", b"keep")
    write_atomically(root / "other" / "old.txt", b"keep")
    write_atomically(root / "scratch" / "fresh.txt", b"keep")
    write_atomically(root / "scratch" / "deep" / "old.txt", b"12345")
    (root / "scratch" / "link").symlink_to(tmp_path)
    for path in (tmp_path / "precious.txt", root / "other/old.txt", root / "scratch/deep/old.txt"):
        os.utime(path, (now - 9000, now - 9000))
    assert remove_old(root, "scratch", now - 3600, 100) == (1, 5)
    assert not (root / "scratch/deep/old.txt").exists()
    for kept in ("precious.txt", "root/other/old.txt", "root/scratch/fresh.txt"):
        assert (tmp_path / kept).read_bytes() == b"keep"


@pytest.mark.parametrize("folder", ["..", "../..", "/", "."])
def test_remove_old_refuses_to_work_outside(tmp_path: Path, folder: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    write_atomically(tmp_path / "precious.txt", b"keep")
    with pytest.raises(UnsafePathError):
        remove_old(root, folder, time.time() + 1, 100)
    assert (tmp_path / "precious.txt").exists()


def test_scratch_files_are_old_enough_and_the_limit_holds(tmp_path: Path) -> None:
    leave_scratch_files(tmp_path, seed=4, count=6)
    before = time.time() - 3600
    assert remove_old(tmp_path, "scratch", before, limit=4).files == 4
    assert len(list(old_files(tmp_path / "scratch", before))) == 2
    assert remove_old(tmp_path, "scratch", before, limit=100).files == 2


def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    write_atomically(path, b"first")
    with pytest.raises(TypeError):
        write_atomically(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_index_finds_the_files_that_hold_a_word(tmp_path: Path) -> None:
    write_atomically(tmp_path / "docs/a.txt", b"Invoice paid. The invoice is late.")
    write_atomically(tmp_path / "docs/b.txt", b"A late backup")
    paths = [tmp_path / "docs/a.txt", tmp_path / "docs/b.txt"]
    steps = list(index_files(paths, tmp_path))
    assert [count for count, _ in steps] == [1, 2]
    index = steps[-1][1]
    assert index["invoice"] == ["docs/a.txt"]
    assert index["late"] == ["docs/a.txt", "docs/b.txt"]
    assert b'"backup"' in encode_index(index)


def test_summary_keeps_order_and_prefers_common_words() -> None:
    chat = ["backup failed", "hello there", "backup region failed again", "bye", "backup failed"]
    assert summarise(chat, 2) == ["backup failed", "backup failed"]
    assert summarise([], 3) == []
    assert summarise(["??"], 3) == ["??"]
    assert sentences(1, 5) == sentences(1, 5) != sentences(2, 5)
    assert words("The Invoice, a cat") == ["invoice", "cat"]

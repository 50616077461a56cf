"""Files in folders: whatever the paths, each file has its row once, where it belongs."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from jobdeck_client import BlobEntry
from jobdeck_tui.console.tree import ARTIFACT, FOLDER, VALUE, Branch, Tree, TreeList
from jobdeck_tui.console.widgets.tree_table import TreeTable

PATHS = st.lists(st.text(alphabet="ab/.\x1b1\u202e", min_size=1, max_size=8), unique=True, max_size=30)


def entry(path: str, size_bytes: int | None = 5) -> BlobEntry:
    return BlobEntry(path=path, type="softLink", hash="f" * 40, size_bytes=size_bytes)


def artifact(*paths: str) -> tuple[Tree, Branch]:
    root = Branch(id="a", name="all.zip", kind=ARTIFACT, blob="a" * 40)
    tree = Tree([root])
    tree.add(root, [entry(path) for path in paths])
    return tree, root


def unfold(branch: Branch) -> None:
    left = [branch]
    while left:
        each = left.pop()
        each.open = True
        left += each.below.values()


@given(PATHS)
def test_each_file_has_its_row(paths: list[str]) -> None:
    tree, root = artifact(*paths)
    unfold(root)
    rows = tree.rows(inside=root)
    files = [branch.path for row in rows if (branch := tree.get(row.id)) is not None and branch.path is not None]
    assert sorted(map(str, files)) == sorted(paths)
    assert len({row.id for row in rows}) == len(rows)
    assert root.file_count == len(paths)
    for row in rows:  # what a row is in stands above it
        if row.up is not None and row.up != root.id:
            assert row.up in {each.id for each in rows[: rows.index(row)]}


def test_folders_come_first_and_numbers_count() -> None:
    tree, root = artifact("b.txt", "run-10/x", "run-9/y", "a.txt", "run-9/deep/z", "file2", "file10", "file002")
    assert [row.name for row in tree.rows(inside=root)] == [
        *("run-9", "run-10", "a.txt", "b.txt", "file002", "file2", "file10"),
    ]
    folder = tree.rows(inside=root)[0]
    assert (folder.kind, folder.file_count, folder.size_bytes) == (FOLDER, 2, 10)
    branch = tree.get(folder.id)
    assert branch is not None
    branch.open = True
    assert [(row.name, row.depth) for row in tree.rows(inside=root)][:4] == [
        *(("run-9", 0), ("deep", 1), ("y", 1), ("run-10", 0)),
    ]


def test_what_comes_later_finds_its_folder() -> None:
    tree, root = artifact("a/1", "b/1")
    tree.add(root, [entry("a/0"), entry("a/gone", None)])
    unfold(root)
    assert [row.name for row in tree.rows(inside=root)] == ["a", "0", "1", "gone", "b", "1"]
    assert tree.rows(inside=root)[3].size_bytes is None


def test_roots_that_stay_keep_what_is_below_them() -> None:
    tree, root = artifact("x")
    root.open = True
    value = Branch(id="v", name="v", kind=VALUE, value=1)
    tree.set_roots([Branch(id="a", name="all.zip", kind=VALUE), value])
    assert [row.name for row in tree.rows()] == ["all.zip", "x", "v"]
    assert tree.roots[0] is root


def test_very_deep_paths_cost_no_stack() -> None:
    deep = "/".join("d" * 3000)
    tree, root = artifact(deep, deep + "x")
    unfold(root)
    rows = tree.rows(inside=root)
    assert len(rows) < 70
    assert {branch.path for row in rows if (branch := tree.get(row.id)) and branch.path} == {deep, deep + "x"}


def test_ten_thousand_files_are_quick() -> None:
    started_s = time.process_time()
    tree, root = artifact(*(f"d{n % 37}/s{n % 11}/file-{n:05d}.txt" for n in range(10_000)))
    unfold(root)
    rows = tree.rows(inside=root)
    assert len(rows) == 10_000 + 37 + 37 * 11
    assert time.process_time() - started_s < 5  # a fraction of a second; a tenfold is left for slow machines


def test_foreign_names_are_shown_and_not_obeyed() -> None:
    tree, root = artifact("\x1b[2J\u202e[bold]evil.txt", "")
    table = TreeTable()
    table.columns = table.fit(60)
    listed = TreeList(rows=tree.rows(inside=root))
    lines = ["".join(cell.text for cell in table.cells(row, None, marked=False)) for row in listed.rows]
    assert any("␛[2J<U+202E>[bold]evil.txt" in line for line in lines)
    assert any("(no name)" in line for line in lines)
    assert all(line.isprintable() for line in lines)

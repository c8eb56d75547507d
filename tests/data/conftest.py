"""Shared by the tests of images: a set of photographs, and a memory that has no room for them."""

import pytest
import tfds_sets

from tf_logreg.data import kept_rows


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    return tfds_sets.prepare(tfds_sets.Photographs, tmp_path_factory.mktemp("photographs"))


@pytest.fixture
def on_disk(monkeypatch):
    """Has no memory for rows, notes the progress after each block, and takes a few rows a block."""
    monkeypatch.setattr(kept_rows, "SHARE", 0)
    monkeypatch.setattr(kept_rows, "_SECONDS_TO_SAVE", 0)
    monkeypatch.setattr("tf_logreg.data.sources.tfds._MOST_ROWS", 5)

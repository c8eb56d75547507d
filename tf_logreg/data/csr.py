"""Sparse rows: what is done to `scipy.sparse.csr_array`s that stand where rows are dense arrays elsewhere.

x of a `Batch` is an array [B, p], or such a matrix: row by row the ids of columns, ascending, and their
values; all other values are zero. It is never laid out as an array, but for small problems.
"""

import numpy as np
import scipy.sparse
from scipy.sparse import csr_array, issparse


def canonical(x) -> csr_array:
    """CSR [n, p] of any matrix of `scipy.sparse`, ids ascending, duplicates added; no copy if it is so."""
    found = csr_array(x)
    if not found.has_canonical_format:
        found = found.copy() if np.shares_memory(found.data, getattr(x, "data", found.data)) else found
        found.sum_duplicates()
    return found


def with_values(x: csr_array, values: np.ndarray) -> csr_array:
    """The same places with other values [nnz]; the indices are shared."""
    found = csr_array((values, x.indices, x.indptr), shape=x.shape, copy=False)
    found.has_canonical_format = True
    return found


def part(x: np.ndarray | csr_array, which: slice | np.ndarray) -> np.ndarray | csr_array:
    """Some rows; a stretch of sparse rows is a view, as one of dense rows is."""
    if not issparse(x) or not isinstance(which, slice):
        return x[which]
    start, stop, _ = which.indices(x.shape[0])
    if (start, stop) == (0, x.shape[0]):
        return x
    places = x.indptr[start : max(start, stop) + 1]
    inside = slice(places[0], places[-1])
    found = csr_array((len(places) - 1, x.shape[1]), dtype=x.dtype)
    # The constructor would look at each index to choose their dtype.
    found.data, found.indices, found.indptr = x.data[inside], x.indices[inside], places - places[0]
    found.has_canonical_format = True
    return found


def with_columns(x: csr_array, place: np.ndarray, columns: int) -> csr_array:
    """The same rows with column j in place[j] of so many columns; left out where place[j] is -1.

    Args:
        x: canonical, [n, p].
        place: [p] int, distinct where not -1.
        columns: of the result, which is canonical too.
    """
    indices, values, indptr = place[x.indices], x.data, x.indptr
    kept = indices >= 0
    if not kept.all():
        indptr = np.concatenate([[0], np.cumsum(kept)])[indptr]
        indices, values = indices[kept], values[kept]
    found = csr_array((values, indices.astype(x.indices.dtype), indptr), shape=(x.shape[0], columns))
    if not found.has_sorted_indices:  # `place` is another order
        found = found.sorted_indices()  # a copy, as values are those of x
    found.has_canonical_format = True
    return found


def stacked(parts: list) -> np.ndarray | csr_array:
    """Parts of rows, one below the other."""
    if issparse(parts[0]):
        return scipy.sparse.vstack(parts, format="csr")
    return np.concatenate(parts)


def laid_out(x: np.ndarray | csr_array) -> np.ndarray:
    """Rows as an array [B, p]: for a few, or for few columns."""
    return x.toarray() if issparse(x) else x


def coordinates(x: csr_array, at: int) -> tuple[int, int]:
    """Row and column of the value x.data[at]."""
    return int(np.searchsorted(x.indptr, at, side="right")) - 1, int(x.indices[at])

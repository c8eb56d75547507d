"""Pictures of a model, as matplotlib figures."""

import numpy as np
from matplotlib.figure import Figure


def weight_images(kernel: np.ndarray, shape: tuple[int, int], class_names: tuple[str, ...]) -> Figure:
    """The kernel of an image model, one picture a class: where ink speaks for it and where against.

    Args:
        kernel: [p, C], or [p, 1] for the sigmoid's class 1; p = height * width.
        shape: (height, width) of the images.
        class_names: C names.

    Returns:
        A figure; red is positive, blue negative, on one scale for all classes.
    """
    outputs = kernel.shape[1]
    titles = class_names[1:] if outputs == 1 else class_names
    columns = min(outputs, 5)
    rows = -(-outputs // columns)
    figure = Figure(figsize=(1.6 * columns + 0.8, 1.8 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    limit = np.abs(kernel).max() or 1.0
    for axis in axes:
        axis.set_axis_off()
    for axis, weights, title in zip(axes, kernel.T, titles, strict=False):
        image = axis.imshow(weights.reshape(shape), cmap="RdBu_r", vmin=-limit, vmax=limit)
        axis.set_title(title)
    figure.colorbar(image, ax=list(axes), label="weight", shrink=0.8)
    return figure

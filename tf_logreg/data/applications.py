"""Keras' own models of images by name, with weights from a file: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tf_logreg.data import keras_file
from tf_logreg.errors import InputError, brief

if TYPE_CHECKING:
    import keras

# Keras' applications by their modules, whose `preprocess_input` brings bytes to what each was trained on.
_MODULES = {
    "convnext": ("ConvNeXtTiny", "ConvNeXtSmall", "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtXLarge"),
    "densenet": ("DenseNet121", "DenseNet169", "DenseNet201"),
    "efficientnet": tuple(f"EfficientNetB{k}" for k in range(8)),
    "efficientnet_v2": tuple(f"EfficientNetV2{k}" for k in ("B0", "B1", "B2", "B3", "S", "M", "L")),
    "inception_resnet_v2": ("InceptionResNetV2",),
    "inception_v3": ("InceptionV3",),
    "mobilenet": ("MobileNet",),
    "mobilenet_v2": ("MobileNetV2",),
    "mobilenet_v3": ("MobileNetV3Small", "MobileNetV3Large"),
    "nasnet": ("NASNetMobile", "NASNetLarge"),
    "resnet": ("ResNet50", "ResNet101", "ResNet152"),
    "resnet_v2": ("ResNet50V2", "ResNet101V2", "ResNet152V2"),
    "vgg16": ("VGG16",),
    "vgg19": ("VGG19",),
    "xception": ("Xception",),
}
APPLICATIONS = {name: module for module, names in _MODULES.items() for name in names}


def load(name: str, weights: str, row_shape: tuple[int, ...]) -> tuple[keras.Model, Callable]:
    """An application of Keras without its last layer, its features averaged over the image.

    Args:
        name: one of APPLICATIONS. weights: path of the file of its weights. row_shape: (height, width, 3).

    Returns:
        The model, and what brings bytes [B, height, width, 3] to the numbers that it was trained on.

    Raises:
        InputError: rows of another shape, or a file that has no such weights.
    """
    import keras

    if len(row_shape) != 3 or row_shape[-1] != 3:
        raise InputError(
            f"data.encoder: expected rows that are images (height, width, 3) for {name}. Received: rows of "
            f"shape {row_shape}."
        )
    module = getattr(keras.applications, APPLICATIONS[name])
    try:
        made = getattr(keras.applications, name)(
            include_top=False, weights=None, pooling="avg", input_shape=row_shape
        )
    except ValueError as error:  # images that are too small
        raise InputError(
            f"data.encoder: {name} cannot take images of shape {row_shape}: {brief(error)}"
        ) from None
    expected = f"weights of {name} without its last layer ('notop')"
    with keras_file.reading(weights, "data.encoder_weights", expected):
        made.load_weights(weights)
    return made, module.preprocess_input

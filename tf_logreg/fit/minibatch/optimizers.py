"""Keras optimisers by name, limited to arguments that mean the same on any number of replicas."""

import inspect
import math
from collections.abc import Mapping

import keras

from tf_logreg.fit.minibatch import proximal

# Arguments that are refused; Keras would apply some of them before the sum over replicas.
_REFUSED = {
    "clipnorm": "use minibatch.clip_norm, which clips the whole reduced gradient",
    "clipvalue": "use minibatch.clip_norm, which clips the whole reduced gradient",
    "global_clipnorm": "use minibatch.clip_norm, which clips the whole reduced gradient",
    "gradient_accumulation_steps": "use a larger minibatch.batch_size",
    "l1_regularization_strength": "use config.l1, which spares the bias",
    "l2_regularization_strength": "use config.l2, which spares the bias",
    "l2_shrinkage_regularization_strength": "use config.l2, which spares the bias",
    "learning_rate": "use minibatch.learning_rate",
    "loss_scale_factor": "the loss needs none: sums are in 32 bit",
    "use_ema": "averaged weights are not supported",
    "ema_momentum": "averaged weights are not supported",
    "ema_overwrite_frequency": "averaged weights are not supported",
    "name": "it is set by tf_logreg",
}


def known() -> list[str]:
    """The class names of Keras's optimisers."""
    wrappers = {"Optimizer", "LossScaleOptimizer", "MultiOptimizer"}
    return sorted(
        name
        for name, value in vars(keras.optimizers).items()
        if inspect.isclass(value) and issubclass(value, keras.optimizers.Optimizer) and name not in wrappers
    )


def faults(name: str, args: Mapping, l1: float) -> list[str]:
    """Faults of an optimiser's name and arguments, one message each; [] when there are none."""
    if _class_name(name) is None:
        return [f"minibatch.optimizer: expected one of {', '.join(known())}. Received: {name!r}."]
    name, lines = _class_name(name), []
    if l1 > 0 and name not in proximal.known():
        lines.append(
            f"minibatch.optimizer: with l1 > 0 expected one of {', '.join(proximal.known())}, whose step "
            f"sizes give exact zeros. Received: {name!r}, l1={l1}."
        )
    taken = [key for key in _parameters(name) if key not in _REFUSED]
    for key in args:
        if key in _REFUSED:
            lines.append(f"minibatch.optimizer_args.{key}: not taken; {_REFUSED[key]}.")
        elif key not in taken:
            lines.append(
                f"minibatch.optimizer_args.{key}: no such argument of {name}. "
                f"It takes: {', '.join(taken) or 'none'}."
            )
        else:
            lines += _value_faults(name, key, args[key])
    if not lines:
        try:
            make(name, 1.0, args, l1)
        except (ValueError, TypeError) as error:
            lines.append(f"minibatch.optimizer_args: {name} refuses {dict(args)}: {error}")
    return lines


def _value_faults(name: str, key: str, value: object) -> list[str]:
    """Faults of an argument's value that Keras would find only inside a step, or never."""
    default = inspect.signature(getattr(keras.optimizers, name).__init__).parameters[key].default
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not isinstance(default, float) and not (default is None and number):
        return []
    # Adafactor and Ftrl have exponents that are negative.
    least = -math.inf if isinstance(default, float) and default < 0 else 0.0
    most, expected = math.inf, "a finite number" if least else "a finite number >= 0"
    if key in ("beta_1", "beta_2", "rho"):  # decay rates of running means
        most, expected = 1.0, "a number in [0, 1)"
    if number and least <= value < most and math.isfinite(value):
        return []
    return [f"minibatch.optimizer_args.{key}: expected {expected}. Received: {value!r}."]


def make(
    name: str,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
    args: Mapping,
    l1: float,
) -> keras.optimizers.Optimizer:
    """Makes an optimiser; call it within the strategy's scope.

    Args:
        name: one of `known()`, in any case.
        learning_rate: a number or a schedule.
        args: further arguments of the optimiser.
        l1: penalty on the first variable; a positive one needs one of `proximal.known()`.
    """
    name, kwargs = _class_name(name), {"learning_rate": learning_rate, **args}
    # AdamW and Muon decay weights by default. Decay is not part of the objective, so the default here is 0.
    if inspect.signature(getattr(keras.optimizers, name)).parameters["weight_decay"].default:
        kwargs.setdefault("weight_decay", 0.0)
    if l1 > 0:
        return proximal.make(name, l1, **kwargs)
    return getattr(keras.optimizers, name)(**kwargs)


def _class_name(name: str) -> str | None:
    return {known_name.lower(): known_name for known_name in known()}.get(name.lower())


def _parameters(name: str) -> list[str]:
    """Names of the arguments of an optimiser's constructor."""
    parameters = inspect.signature(getattr(keras.optimizers, name).__init__).parameters
    return [key for key, value in parameters.items() if key != "self" and value.kind != value.VAR_KEYWORD]

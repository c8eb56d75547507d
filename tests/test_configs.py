"""Every config loads, validates and runs; every field can be overridden; all faults come at once."""

import inspect
import json

import numpy as np
import pytest
import tfds_sets
from absl import flags
from ml_collections import ConfigDict

from tf_logreg import command_line_flags, training
from tf_logreg import config as configs
from tf_logreg.errors import InputError

# The scores that the docstrings promise.
SCORES = {"iris": ("accuracy", 0.9), "breast_cancer": ("roc_auc", 0.98), "synthetic": ("accuracy", 0.75)}


def parse(*arguments):
    values = flags.FlagValues()
    command_line_flags.parse(["tf_logreg", *arguments], values)
    return values


def fields(config, prefix=""):
    """Dotted name -> default, for every field that is not a section."""
    for name, value in config.items():
        if isinstance(value, ConfigDict) and not name.endswith("args"):
            yield from fields(value, f"{prefix}{name}.")
        elif not isinstance(value, ConfigDict):
            yield prefix + name, value


def test_the_shipped_configs():
    assert sorted(configs.shipped()) == [
        "breast_cancer",
        "digits",
        "imagenet",
        "iris",
        "libsvm",
        "linear_probe",
        "mnist",
        "numpy_arrays",
        "synthetic",
        "table",
    ]


@pytest.mark.parametrize("name", sorted(configs.shipped()))
def test_each_loads_validates_and_shows_its_command(name):
    config = parse(f"--config={name}").config
    if name in ("libsvm", "linear_probe", "numpy_arrays", "table"):
        config.data.args = {"path": "some.npz"}
    configs.validate(config)
    assert f"--config=configs/{name}.py" in configs.shipped()[name].read_text()


@pytest.mark.parametrize("name", sorted(SCORES))
def test_small_configs_reach_their_docstrings_scores(name, strategies, tmp_path):
    result = training.train_and_evaluate(
        configs.load(name), str(tmp_path / "run"), strategy=strategies["one_device"]
    )
    metric, least = SCORES[name]
    assert result["metrics"]["test"][metric] >= least


def test_digits_reaches_its_docstrings_score(digits_run):
    assert digits_run[1]["metrics"]["test"]["accuracy"] >= 0.95


def test_mnist_runs_on_data_of_its_shape(strategies, tmp_path):
    tfds_sets.prepare(tfds_sets.Mnist, tmp_path / "data")
    config = configs.load("mnist")
    config.data.args.update(data_dir=str(tmp_path / "data"), download=False)
    config.minibatch.update(batch_size=128, learning_rate=0.01)
    result = training.train_and_evaluate(config, str(tmp_path / "run"), strategy=strategies["mirrored"])
    assert result["num_features"] == 784
    assert {role: values["num_rows"] for role, values in result["metrics"].items()} == {
        "train": 1080,
        "validation": 120,
        "test": 597,
    }
    assert result["metrics"]["test"]["accuracy"] > 0.85


@pytest.mark.parametrize("labels", [["no", "yes"], [1, 2], [-5, 10]])
def test_numpy_arrays_runs_on_a_users_file(labels, strategies, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3)) * [1, 100, 0.01] + [5, 0, 3]
    y = np.array(labels)[(x[:, 1] / 100 + rng.logistic(size=400) / 10 > 0).astype(int)]
    np.savez(tmp_path / "my.npz", x=x, y=y, weight=rng.uniform(1, 2, 400))
    config = parse("--config=numpy_arrays", f"--config.data.args.path={tmp_path}/my.npz").config
    result = training.train_and_evaluate(config, str(tmp_path / "run"), strategy=strategies["one_device"])
    assert result["metrics"]["test"]["accuracy"] > 0.8
    with np.load(tmp_path / "run" / "coefficients.npz") as arrays:
        assert arrays["class_names"].tolist() == [str(label) for label in sorted(labels)]


OVERRIDES = {bool: "false", int: "3", float: "0.25", str: "text", tuple: "(1.0, 0.0)"}


@pytest.mark.parametrize("field", [name for name, _ in fields(configs.get_config())])
def test_every_field_can_be_overridden(field):
    default = dict(fields(configs.get_config()))[field]
    config = parse("--config=digits", f"--config.{field}={OVERRIDES[type(default)]}").config
    value = dict(fields(config))[field]
    assert value == {bool: False, int: 3, float: 0.25, str: "text", tuple: (1.0, 0.0)}[type(default)]
    assert type(value) is type(default)


def test_open_sections_take_new_arguments():
    config = parse(
        "--config=digits",
        "--config.data.source=npz",
        "--config.data.args.path=a.npz",
        "--config.minibatch.optimizer_args.beta_1=0.8",
        "--config.minibatch.optimizer_args.amsgrad=true",
    ).config
    assert config.data.args.path == "a.npz"
    assert config.minibatch.optimizer_args.to_dict() == {"beta_1": 0.8, "amsgrad": True}


def test_configs_are_locked_after_parsing():
    config = parse("--config=digits").config
    with pytest.raises(AttributeError):
        config.unknown = 1


BAD = {
    "seed": (-1, "whole number in"),
    "data.source": ("excel", "one of csv, frame, libsvm, npy, npz"),
    "data.validation_fraction": (1.0, "fraction in"),
    "data.test_fraction": (-0.1, "fraction in"),
    "model.output": ("probit", "one of auto, sigmoid, softmax"),
    "l1": (-1.0, "number >= 0"),
    "l2": (float("nan"), "number >= 0"),
    "solver.name": ("magic", "one of auto, minibatch, gradient_descent, lbfgs, newton, proximal_newton"),
    "solver.tol": (-1e-6, "number >= 0"),
    "solver.max_passes": (-1, "whole number >= 0"),
    "penalty_factor": ((1.0, -1.0), "finite numbers >= 0"),
    "minibatch.optimizer": ("Magic", "one of Adadelta"),
    "minibatch.clip_norm": (-1.0, "number >= 0"),
    "minibatch.learning_rate": (0.0, "number > 0"),
    "minibatch.batch_size": (-1, "whole number >= 0"),
    "minibatch.epochs": (0, "whole number >= 1"),
    "minibatch.steps_per_loop": (0, "whole number >= 1"),
    "minibatch.schedule.name": ("step", "one of"),
    "minibatch.schedule.warmup_steps": (-1, "whole number >= 0"),
    "minibatch.schedule.decay_steps": (-1, "whole number >= 0"),
    "minibatch.schedule.final_fraction": (1.5, "fraction in [0, 1]"),
    "minibatch.early_stopping.metric": ("loss", "one of log_loss, accuracy, roc_auc"),
    "minibatch.early_stopping.patience": (-1, "whole number >= 0"),
    "checkpoint.every_steps": (-1, "whole number >= 0"),
    "checkpoint.keep": (0, "whole number >= 1"),
    "evaluate.max_rows": (-1, "whole number >= 0"),
    "evaluate.max_bytes": (-1, "whole number >= 0"),
}


def test_all_faults_at_once():
    config = configs.get_config()
    for field, (value, _) in BAD.items():
        section, _, name = field.rpartition(".")
        (config[section] if section else config)[name] = value
    with pytest.raises(InputError) as error:
        configs.validate(config)
    lines = str(error.value).splitlines()
    for field, (value, message) in BAD.items():
        (line,) = [line for line in lines if line.startswith(field + ":")]
        assert message in line
        assert repr(value) in line


def test_structure_is_checked_before_values():
    config = configs.get_config()
    with config.unlocked():
        config.colour = "red"
        config.data.sources = "npz"
        config.model = ConfigDict({"bias": 1, "output": "auto"})
        del config.minibatch["epochs"]
    with pytest.raises(InputError) as error:
        configs.validate(config)
    text = str(error.value)
    assert "colour: no such field" in text
    assert "data.sources: no such field. Known here: args," in text
    assert "model.bias: expected bool. Received: 1." in text
    assert "minibatch.epochs: missing" in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validation_fraction": 0.5, "test_fraction": 0.5}, "leave training rows"),
        ({"validation_fraction": 0.5, "validation_split": "dev"}, "0.0 beside data.validation_split"),
        ({"args": {"colour": 1}}, "no such argument of source 'sklearn'"),
    ],
)
def test_fields_that_do_not_go_together(changes, message):
    config = configs.get_config()
    config.data.update(changes)
    with pytest.raises(InputError, match=message):
        configs.validate(config)


def test_every_field_is_explained_where_it_is_set():
    """By the comment above it, or above the fields that it stands beside."""
    lines = [line.strip() for line in inspect.getsource(configs.get_config).splitlines()]
    for name in dict(fields(configs.get_config())):
        section, _, field = f"config.{name}".rpartition(".")
        ways = f"{section}.{field} = ", f'{section}["{field}"] = '  # `values` is a method's name too
        (at,) = (k for k, line in enumerate(lines) if line.startswith(ways))
        above = next(line for line in reversed(lines[:at]) if not line.startswith("config."))
        assert above.startswith("#"), name


def test_a_config_of_an_older_version_has_the_defaults_of_newer_fields():
    config = configs.load("linear_probe")
    config.data.args.path = "my.npz"
    values = config.to_dict()
    assert configs.from_json(json.loads(json.dumps(values))) == config
    del values["evaluate"]["max_bytes"], values["cv"]
    found = configs.from_json(json.loads(json.dumps(values)))
    assert found == config
    configs.validate(found)


def test_load_names_the_known():
    with pytest.raises(InputError, match="breast_cancer, digits"):
        configs.load("digit")

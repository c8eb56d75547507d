"""Shared by all tests: four logical CPUs, so that any strategy can be made in one process."""

import contextlib
import io
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pets
import pytest
from absl import flags
from tensorflow_alone import TensorFlowAlone

# What other versions break: what comes in and goes out, Keras's optimisers, the mathematics beside scikit-learn's, its
# checks of estimators, the command line. Three minutes of `make test-versions` an environment.
VERSIONS = (
    "data/test_sources.py",
    "fit/test_l1.py",
    "fit/test_penalized.py",
    "export/",
    "objective/",
    "results/",
    "test_cli.py",
    "test_configs.py",
    "test_errors.py",
    "test_estimator.py",
    "test_estimator_inputs.py",
    "test_packaging.py",
    "test_storage.py",
)

# The files that take longest, in that order: they begin first, so that no process waits at the end for the other.
LONGEST = (
    "fit/test_minibatch.py",
    "test_workers.py",
    "fit/test_full_batch.py",
    "test_estimator_cv.py",
    "fit/test_feed.py",
    "test_cli.py",
    "data/test_pipeline.py",
    "fit/test_proximal.py",
    "test_worker_errors.py",
    "fit/test_many_problems.py",
    "report/test_report.py",
    "data/test_kept_rows.py",
    "exact/test_certificate.py",
    "data/test_embeddings.py",
    "engines/test_engines.py",
    "fit/test_training_options.py",
    "fit/test_checkpoint.py",
    "test_configs.py",
)


def pytest_configure(config):
    """Makes the devices, and keeps pytest-xdist from beginning with the files of most tests, which are short."""
    config.option.loadscopereorder = False
    # The process that only hands out tests to others needs no TensorFlow, whose import all would wait for.
    if hasattr(config, "workerinput") or config.getoption("dist", "no") == "no":
        import tensorflow as tf

        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 4
        )
        tf.config.list_logical_devices()  # from here on the devices are what they are


def pytest_collection_modifyitems(items):
    """Marks the tests of VERSIONS, and puts those of LONGEST first."""
    places = {name: place for place, name in enumerate(LONGEST)}

    def name(item):
        return item.path.relative_to(Path(__file__).parent).as_posix()

    for item in items:
        if name(item).startswith(VERSIONS):
            item.add_marker(pytest.mark.versions)
    items.sort(key=lambda item: places.get(name(item), len(LONGEST)))


@pytest.fixture(scope="session")
def strategies():
    """A strategy a name: off, one_device, mirrored on 2 logical CPUs, four on 4."""
    from tf_logreg.devices.strategies import make_strategy

    return {
        "off": make_strategy("off"),
        "one_device": make_strategy("one_device"),
        "mirrored": make_strategy("mirrored", num_virtual_cpus=2),
        "four": make_strategy("mirrored", num_virtual_cpus=4),
    }


@pytest.fixture(scope="session")
def tensorflow_alone():
    """tensorflow_alone.run(script, folder): what it prints in a process with TensorFlow and none of our code."""
    process = TensorFlowAlone()
    yield process
    process.end()


@pytest.fixture
def command():
    """Runs the command line in this process: command(*flags) -> (exit code, stdout, stderr).

    A run writes its page only where --report is among the flags: drawing takes a second.
    """
    from tf_logreg import cli

    def run(*arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            pages = () if "--report" in arguments else ("--noreport",)
            code = cli.exit_code(["tf_logreg", *arguments, *pages], flags.FlagValues())
        return code, out.getvalue(), err.getvalue()

    return run


@pytest.fixture
def small_config():
    """A config of a fraction of a second: 300 x 5 planted rows, two classes."""
    from tf_logreg import config as configs

    config = configs.get_config()
    config.data.source = "synthetic"
    config.data.args = {"num_rows": 300, "num_features": 5}
    config.data.test_fraction = 0.2
    config.solver.name = "minibatch"
    config.minibatch.epochs = 2
    config.minibatch.batch_size = 50
    return config


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory, strategies):
    """The shipped digits config, run once: (workdir, result)."""
    from tf_logreg import config as configs
    from tf_logreg import training

    workdir = str(tmp_path_factory.mktemp("digits") / "run")
    result = training.train_and_evaluate(configs.load("digits"), workdir, strategy=strategies["one_device"])
    return workdir, result


@pytest.fixture(scope="session")
def pet_files(tmp_path_factory):
    """A folder with the bundled table as pets.csv and pets.parquet, and without its label as new.csv."""
    return pets.write(tmp_path_factory.mktemp("pets"))


@pytest.fixture(scope="session")
def pet_run(pet_files, tmp_path_factory):
    """A finished run on pets.csv; no test changes its model."""
    from tf_logreg import cli

    work = tmp_path_factory.mktemp("table") / "run"
    argv = [
        "tf_logreg",
        f"--data={pet_files}/pets.csv",
        "--label=animal",
        f"--workdir={work}",
        *pets.WITH_TEXT,
        "--noreport",
    ]
    assert cli.exit_code(argv, flags.FlagValues()) == 0
    return work

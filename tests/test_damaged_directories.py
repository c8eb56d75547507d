"""Damaged, hostile and older work directories, and disks that refuse: one line that names the file, or no harm."""

import contextlib
import hashlib
import io
import json
import pickle
import resource
import shutil
import zipfile

import numpy as np
import pytest
from problems import random_problem

from tf_logreg import ownership, storage
from tf_logreg.fit.checkpoint import Checkpoints


class Command:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.fixture(scope="module")
def original(tmp_path_factory, strategies):
    """A finished run, its data, and the flags that repeat it."""
    folder = tmp_path_factory.mktemp("original")
    x, y, _ = random_problem(90, 3, 3)
    np.savez(folder / "rows.npz", x=x, y=np.array(["low", "mid", "top"])[y])
    return folder


@pytest.fixture(scope="module")
def flags(original):
    return ["--config=numpy_arrays", f"--config.data.args.path={original}/rows.npz", "--config.l2=0.01"]


@pytest.fixture
def run(original, flags, command, tmp_path):
    """A copy of the finished run, to damage."""
    if not (original / "run").exists():
        code, _, err = command(*flags, f"--workdir={original}/run")
        assert code == 0, err
    shutil.copytree(original / "run", tmp_path / "run")
    return tmp_path / "run"


def modes(flags, run):
    """Command lines that read a finished run."""
    return {
        "repeat": [*flags, f"--workdir={run}"],
        "evaluate": ["--mode=evaluate", f"--workdir={run}"],
        "export": ["--mode=export", f"--workdir={run}"],
        "warm start": [*flags, f"--config.solver.warm_start={run}", f"--workdir={run.parent}/warm"],
    }


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


DAMAGES = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "pickled": lambda path: path.write_bytes(pickle.dumps(Command(str(path.parent / "ran")))),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}
READ_BY = {
    "config.json": ("repeat", "evaluate", "export"),
    "result.json": ("repeat", "evaluate", "export"),
    "coefficients.npz": ("repeat", "evaluate", "export", "warm start"),
    "metrics.npz": ("repeat",),
    "model.keras": ("repeat",),
    "export/saved_model.pb": ("repeat",),
}


def refused(command, given, name, run):
    """The command ends with one line that names the file."""
    before = files(run)
    code, out, err = command(*given)
    assert (code, out) == (2, ""), err
    assert name in err
    assert str(run) in err
    assert len(err.splitlines()) == 1
    assert files(run) == before


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", READ_BY)
def test_a_damaged_file_is_named(command, flags, run, name, damage):
    DAMAGES[damage](run / name)
    # A result that is gone is a run to go on with.
    readers = set(READ_BY[name]) - ({"repeat"} if (name, damage) == ("result.json", "missing") else set())
    expected = "other files" if (name, damage) == ("config.json", "missing") else name.split("/")[-1]
    for reader in sorted(readers):
        refused(command, modes(flags, run)[reader], expected, run)
    assert not (run / "ran").exists()


@pytest.mark.parametrize("damage", ["missing", "empty", "a folder"])
@pytest.mark.parametrize("name", ["variables.index", "variables.data-00000-of-00001"])
def test_a_saved_model_without_its_variables_is_named(command, flags, run, name, damage):
    DAMAGES[damage](run / "export" / "variables" / name)
    refused(command, modes(flags, run)["repeat"], name, run)
    assert command(*modes(flags, run)["export"])[0] == 0
    assert command(*modes(flags, run)["repeat"])[0] == 0


def with_arrays(**changes):
    def damage(run):
        with np.load(run / "coefficients.npz") as arrays:
            found = {name: arrays[name] for name in arrays.files} | changes
        np.savez(run / "coefficients.npz", **{k: v for k, v in found.items() if v is not None})

    return damage


def in_json(name, *keys, value=None):
    def damage(run):
        found = json.loads((run / name).read_text())
        inner = found
        for key in keys[:-1]:
            inner = inner[key]
        if value is None:
            del inner[keys[-1]]
        else:
            inner[keys[-1]] = value
        (run / name).write_text(json.dumps(found))

    return damage


COEFFICIENTS = {
    **{f"without {name}": with_arrays(**{name: None}) for name in ("kernel", "bias", "feature_names", "class_names", "output")},
    "NaN": with_arrays(kernel=np.full((3, 3), np.nan)),
    "infinite": with_arrays(bias=np.full(3, np.inf)),
    "another shape": with_arrays(kernel=np.zeros((3, 2))),
    "another rank": with_arrays(kernel=np.zeros(9)),
    "a bias too many": with_arrays(bias=np.zeros(4)),
    "complex": with_arrays(kernel=np.zeros((3, 3), complex)),
    "a feature too many": with_arrays(feature_names=np.array(list("abcd"))),
    "a class too few": with_arrays(class_names=np.array(["low", "top"])),
    "names of numbers": with_arrays(class_names=np.arange(3)),
    "objects": with_arrays(class_names=np.array(["low", None, "top"], object)),
    "another output": with_arrays(output=np.array("tanh")),
    "another dtype": with_arrays(dtype=np.array("int8")),
    "bounds of other features": with_arrays(error_bound=np.zeros((5, 3))),
    "a bound of words": with_arrays(error_bound=np.full((4, 3), "x")),
}  # fmt: skip
RESULTS = {
    **{f"without {name}": in_json("result.json", name) for name in ("status", "objective", "metrics", "passes", "num_classes")},
    "a text for a number": in_json("result.json", "objective", value="small"),
    "a split without its loss": in_json("result.json", "metrics", "train", "log_loss"),
    "a split of text": in_json("result.json", "metrics", "train", value="good"),
    "a path of text": in_json("result.json", "path", value={"values": "x"}),
    "other features": in_json("result.json", "num_features", value=4),
}  # fmt: skip
CONFIGS = {
    "no config": in_json("config.json", "config"),
    "no data": in_json("config.json", "config", "data"),
    "no source": in_json("config.json", "config", "data", "source"),
    "a number for a section": in_json("config.json", "config", "data", value=3),
    "a wrong value": in_json("config.json", "config", "l2", value="much"),
    "no digests": in_json("config.json", "data", value=[]),
}


@pytest.mark.parametrize("damage", COEFFICIENTS.values(), ids=COEFFICIENTS)
def test_coefficients_that_disagree(command, flags, run, damage):
    damage(run)
    for given in modes(flags, run).values():
        refused(command, given, "coefficients.npz", run)


@pytest.mark.parametrize("damage", RESULTS.values(), ids=RESULTS)
def test_results_without_a_section(command, flags, run, damage):
    damage(run)
    for reader in READ_BY["result.json"]:
        refused(command, modes(flags, run)[reader], "result.json", run)


@pytest.mark.parametrize("damage", CONFIGS.values(), ids=CONFIGS)
def test_configs_without_a_section(command, flags, run, damage):
    damage(run)
    refused(command, modes(flags, run)["evaluate"], "config.json", run)
    # Where it is JSON of ours, another config is another run.
    refused(command, modes(flags, run)["repeat"], "", run)


def crafted_keras(path, ran):
    """A Keras archive whose config names a function of the system to call (as CVE-2025-1550 does)."""
    call = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    node = {"args": [f"touch {ran}"], "kwargs": {}}
    layers = [{"module": "keras.layers", "class_name": "Lambda", "name": "l",
               "config": {"name": "l", "function": call}, "inbound_nodes": [node]}]  # fmt: skip
    config = {"module": "keras.src.models.functional", "class_name": "Functional", "registered_name": "Functional",
              "config": {"name": "m", "layers": layers, "input_layers": [], "output_layers": []}}  # fmt: skip
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.6.0"}))
        archive.writestr("model.weights.h5", b"")


def test_a_crafted_keras_file_is_never_loaded(command, flags, run, tmp_path, monkeypatch):
    ran = tmp_path / "ran"
    crafted_keras(run / "model.keras", ran)

    def load(*_args, **_kwargs):
        ran.write_text("loaded")

    for owner in ("keras.models.load_model", "keras.saving.load_model", "tensorflow.saved_model.load"):
        monkeypatch.setattr(owner, load)
    for given in modes(flags, run).values():
        code, _, err = command(*given)
        assert code == 0, err
    assert not ran.exists()


def test_pickles_in_checkpoints_are_not_loaded(tmp_path, caplog):
    ran, file = tmp_path / "ran", io.BytesIO()
    checkpoints = Checkpoints(storage.Folder(str(tmp_path / "checkpoints")), {}, every_steps=0, keep=1)
    checkpoints.save(1, {"w": np.ones(2)})
    np.savez(file, fingerprint="{}", step=2, w=np.array([Command(str(ran))], object))
    head = b"tf_logreg checkpoint 1 sha256=" + hashlib.sha256(file.getvalue()).hexdigest().encode() + b"\n"
    checkpoints.folder.write("step-000000000002", head + file.getvalue())
    assert checkpoints.latest()[0] == 1
    assert "damaged checkpoint" in caplog.text
    assert not ran.exists()


@pytest.mark.parametrize("output", ["softmax", "one_vs_rest"])
def test_directories_of_the_version_before_are_read(command, flags, tmp_path, output):
    """They kept no output beside the weights, no format and no digests."""
    run = tmp_path / "run"
    given = [*flags, f"--config.model.output={output}", f"--workdir={run}"]
    code, printed, err = command(*given)
    assert code == 0, err
    for key in ("format", "version", "data"):
        in_json("config.json", key)(run)
    with_arrays(output=None, dtype=None)(run)
    assert command(*given)[:2] == (0, printed)
    assert command("--mode=evaluate", f"--workdir={run}")[0] == 0
    result = json.loads((run / "result.json").read_text())
    assert json.loads((run / "evaluation.json").read_text())["metrics"] == result["metrics"]
    assert command("--mode=export", f"--workdir={run}")[0] == 0
    code, _, err = command(*given, "--overwrite")
    assert code == 0, err


@contextlib.contextmanager
def file_size(size):
    """Lets no file grow beyond so many bytes, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 60, 800, 4_000, 9_000, 15_000])
def test_a_disk_that_is_full(command, flags, tmp_path, size):
    run = tmp_path / "run"
    with file_size(size):
        code, out, err = command(*flags, f"--workdir={run}")
    assert (code, out) == (2, ""), err
    assert str(run) in err
    assert "Traceback" not in err
    there = files(run)
    assert "result.json" not in there
    assert not [name for name in there if name.startswith(".")]
    for name, data in there.items():
        if name.endswith(".json"):
            json.loads(data)
        if name.endswith((".npz", ".keras")):
            assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None
    code, _, err = command(*flags, f"--workdir={run}")
    assert code == 0, err


@pytest.mark.parametrize("size", [0, 200])
@pytest.mark.parametrize("mode", ["evaluate", "export"])
def test_a_full_disk_leaves_what_was_there(command, flags, run, mode, size):
    given = modes(flags, run)[mode]
    assert command(*given)[0] == 0
    before = files(run)
    with file_size(size):
        code, out, err = command(*given)
    assert (code, out) == (2, ""), err
    assert str(run) in err
    assert files(run) == before


def test_what_a_killed_run_left_goes_with_the_next(command, flags, tmp_path):
    run = tmp_path / "run"
    (run / ".writing-dead" / "export").mkdir(parents=True)
    (run / ".writing-dead" / "export" / "saved_model.pb").write_bytes(b"half")
    (run / ownership.OWNER).write_text('{"token": "x", "host": "h", "pid": 1, "started": 0}')
    code, _, err = command(*flags, f"--workdir={run}")
    assert code == 0, err
    assert not [path.name for path in run.iterdir() if path.name.startswith(".")]

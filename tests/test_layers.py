"""Imports point one way, functions stay short, and the design lists the files that are there."""

import ast
import re
from pathlib import Path

import pytest

import tf_logreg
from tf_logreg.data import load
from tf_logreg.solvers import load as solvers

ROOT = Path(tf_logreg.__file__).parent
# A room may import its own modules and those of the rooms to its right.
ALLOWED = {
    "__main__": {"cli", "signals"},
    "cli": {"command_line_flags", "commands", "startup", "config", "devices", "signals", "errors"},
    "commands": {"startup", "modes", "training", "plan", "results", "model", "devices", "errors"},
    "command_line_flags": {"config", "precedence", "export", "devices", "storage", "errors"},
    "precedence": {"config", "faults"},
    "modes": {
        "report", "config", "fit", "results", "export", "tables", "engines", "data", "model", "devices", "storage", "machine", "errors",
    },
    "plan": {
        "config", "fit", "engines", "data", "model", "objective", "exact", "devices", "storage", "machine", "errors",
    },
    "priors": {"results", "data", "model", "devices"},
    "decision": {"results", "fit", "data", "model", "devices", "errors"},
    "frame_training": {
        "notebook", "training", "decision", "priors", "outcome", "config", "results", "fit", "tables", "data", "model", "devices", "errors",
    },
    "estimator_cv": {"notebook", "estimator", "search", "arguments", "fit", "data", "model", "devices", "errors"},
    "search": {"arguments", "outcome", "fit", "data", "model", "devices", "errors"},
    "estimator": {
        "notebook", "arguments", "outcome", "training", "results", "fit", "tables", "data", "model", "devices", "storage", "signals", "machine",
        "errors",
    },
    "arguments": {"config", "fit", "tables", "data", "model", "devices", "errors"},
    "artefacts": {"results", "fit", "tables", "export", "model", "storage"},
    "outcome": {"results", "fit", "data", "model", "devices", "names"},
    "training": {
        "artefacts", "decision", "priors", "outcome", "config", "fit", "results", "tables", "export", "data", "model", "devices", "storage", "signals", "errors",
    },
    "serving": {"tables", "errors"},
    "config": {"faults", "storage", "errors"},
    "faults": {"data", "fit", "solvers", "storage"},
    "fit": {
        "notebook", "engines", "solvers", "data", "model", "objective", "exact", "devices", "storage", "machine", "signals",
        "names", "errors",
    },
    "results": {"export", "tables", "data", "model", "objective", "devices", "storage", "machine", "errors", "names"},
    "report": {"results", "tables", "model", "storage", "names", "errors"},
    "export": {"tables", "objective", "storage", "errors"},
    "engines": {"data", "objective", "devices", "machine", "errors"},
    "data": {"model", "tables", "devices", "storage", "machine", "errors", "names"},
    "tables": {"storage", "machine", "errors", "names"},
    "model": {"export", "tables", "storage", "errors", "names"},
    "objective": {"errors"},
    "exact": {"machine", "errors"},
    "solvers": set(),
    "devices": {"signals", "machine", "errors"},
    "storage": {"ownership", "signals", "errors"},
    "ownership": {"errors"},
    "startup": {"signals", "errors"},
    "signals": set(),
    "machine": set(),
    "names": {"errors"},
    "notebook": set(),
    "errors": set(),
}  # fmt: skip
MODULES = sorted(
    path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py" and "configs" not in path.parts
)


def room(name: str) -> str:
    """'tf_logreg.data.load' -> 'data'."""
    return name.split(".")[1]


def imports(path: Path) -> set[str]:
    """Full names of the modules of ours that a file imports, in functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it points"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("tf_logreg.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    name = ".".join(("tf_logreg", *path.relative_to(ROOT).with_suffix("").parts))
    own = room(name)
    assert own in ALLOWED, f"{own} has no place in the layers yet"
    for imported in imports(path):
        if imported == "tf_logreg.__version__":
            continue
        assert room(imported) in ALLOWED[own] | {own}, f"{name} imports {imported}"


def test_nothing_but_the_command_line_imports_plan():
    for path in MODULES:
        if path.parent.name != "plan" and path.name != "commands.py":
            assert not any(room(name) == "plan" for name in imports(path)), path


def test_modules_loaded_by_name_stay_in_their_room():
    loaders = {path for path in MODULES if "import_module(" in path.read_text()}
    expected = {ROOT / "data" / "load.py", ROOT / "solvers" / "load.py"}
    assert loaders == expected, "a new loader by name needs its arrow checked here"
    for name in load.known():
        assert load._loader(name).__module__ == f"tf_logreg.data.sources.{name}"
    for name in solvers.known():
        assert solvers.load(name).__name__ == f"tf_logreg.solvers.methods.{name}"


def test_no_circles():
    graph = {}
    for path in MODULES:
        name = ".".join(("tf_logreg", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(
            ".__init__"
        )
        graph[name] = imports(path)
    names = set(graph)

    def targets(name):
        return {
            next(t for t in (i, i.rpartition(".")[0]) if t in names)
            for i in graph[name]
            if room(i) in ALLOWED
        }

    done = set()

    def visit(name, trail):
        assert name not in trail, f"a circle: {' -> '.join([*trail, name])}"
        if name not in done:
            for target in targets(name):
                visit(target, [*trail, name])
            done.add(name)

    for name in graph:
        visit(name, [])


@pytest.mark.parametrize("name", ["solvers", "exact"])
def test_what_checks_and_what_solves_are_numpy(name):
    for path in (ROOT / name).rglob("*.py"):
        assert not re.search(r"^\s*(import|from) (tensorflow|keras)", path.read_text(), re.MULTILINE), path


# Functions that open, list, write or remove files; and what else than a run's files some modules read.
MODULES_OF_FILES = {"glob", "io", "keras", "np", "os", "pickle", "shutil", "tempfile", "tf", "zipfile"}
FILE_FUNCTIONS = {
    "open", "fdopen", "save", "savez", "savez_compressed", "savetxt", "load", "loadtxt", "memmap", "fromfile", "dump",
    "unlink", "remove", "rmdir", "mkdir", "makedirs", "rename", "replace", "removedirs", "rmtree", "move", "copy",
    "copyfile", "copytree", "listdir", "scandir", "walk", "glob", "ZipFile", "mkdtemp", "mkstemp",
    "NamedTemporaryFile", "TemporaryDirectory", "create_file_writer", "load_model", "GFile", "TFRecordWriter",
}  # fmt: skip
OTHER_FILES = {
    "command_line_flags.py": {"pathlib"},  # a config file
    "config.py": {"pathlib"},  # the shipped configs
    "devices/hardware.py": {"glob.glob", "open", "os.listdir"},  # devices and locks of the system
    "data/digest.py": {"open"},
    "data/sources/libsvm.py": {"open"},
    "data/keras_file.py": {"keras.saving.load_model", "zipfile.ZipFile"},
    "data/npy_file.py": {"open"},
    "data/npz_file.py": {"np.load", "open", "zipfile.ZipFile"},
    "ownership.py": {"open", "os.makedirs", "os.unlink"},  # the owner's file
    "devices/preemption.py": {"pathlib"},  # the maker of the machine
    "results/events.py": {"tf.summary.create_file_writer"},  # where storage says
    "export/saved_model.py": {"tf.saved_model.save"},  # where storage says
    "export/warm_up.py": {"tf.io.gfile.makedirs", "tf.io.TFRecordWriter"},
    "export/tflite_file.py": {"zipfile.ZipFile"},  # in memory
}


def file_calls(path: Path) -> set[str]:
    """What of a module touches files: 'open', 'np.load', 'pathlib'."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", "")}
            found |= {"pathlib"} & names
        elif isinstance(node, ast.Call):
            parts = ast.unparse(node.func).split(".")
            if "(" in ast.unparse(node.func):
                continue  # a method of what a call gave
            if parts == ["open"] or (parts[0] in MODULES_OF_FILES and parts[-1] in FILE_FUNCTIONS):
                found |= {".".join(parts)}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_storage_touches_the_files_of_a_run(path):
    name = path.relative_to(ROOT).as_posix()
    if not name.startswith("storage/"):
        assert file_calls(path) <= OTHER_FILES.get(name, set())


def test_no_module_loads_what_can_run_code():
    for path in MODULES:
        text = path.read_text()
        for word in ("load_model", "allow_pickle=True", "import pickle", "unsafe", "safe_mode=False"):
            if (path.name, word) == (
                "keras_file.py",
                "load_model",
            ):  # after a look at every class in the file
                assert text.count(word) == text.count("load_model(path, compile=False, safe_mode=True)") == 1
            else:
                assert word not in text, f"{path}: {word}"


MOST_LINES, MOST_PARAMETERS = 80, 9
LISTS = {("config.py", "get_config")}  # of fields, line by line
CONSTRUCTORS = {
    ("devices/strategies.py", "make_strategy"),  # public; its parameters are the flags
    ("data/sources/csv.py", "load"),  # what data.args takes
    ("estimator.py", "__init__"),  # and here scikit-learn's
    ("estimator_cv.py", "__init__"),
}


def test_functions_are_short_and_take_few_parameters():
    long, many = set(), set()
    for path in ROOT.rglob("*.py"):
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                given = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
                if node.end_lineno - node.lineno + 1 > MOST_LINES:
                    long.add((name, node.name))
                if sum(one.arg not in ("self", "cls") for one in given) > MOST_PARAMETERS:
                    many.add((name, node.name))
    assert (long, many) == (LISTS, CONSTRUCTORS)


def files_in_the_layout() -> set[str]:
    """The modules of tf_logreg/ that docs/design.md lists: those named below a folder, up to 'later'."""
    text = (ROOT.parent / "docs" / "design.md").read_text()
    block = text.partition("\n## Layout\n")[2].partition("\n    tf_logreg/\n")[2].partition("\n    tests/")[0]
    found, folders = [], {}
    for line in block.splitlines():
        depth = len(line) - len(line.lstrip())
        folders = {at: folder for at, folder in folders.items() if at < depth}
        if folder := re.match(r"\s+(\w+/)", line):
            folders[depth] = folder[1]
        found += [
            "".join(folders.values()) + name for name in re.findall(r"\w+\.py\b", line.partition("later")[0])
        ]
    assert len(found) == len(set(found)), "a file stands there twice"
    return set(found)


def test_the_design_lists_the_files_that_are_there():
    # A folder's own __init__.py only says what the folder is.
    there = {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py")}
    there = {name for name in there if not name.endswith("/__init__.py")}
    assert files_in_the_layout() == there

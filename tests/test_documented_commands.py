"""Every command and Python block of the documents runs, or stands here with the reason why it cannot run."""

import os
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import prepared
import pytest
import yaml
from absl import flags
from sklearn.datasets import load_digits

from tf_logreg import command_line_flags

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(
    r"!?(?:[A-Z_]+=\S+ )*(?:(?:python|python3) (?:-|[\w/]+\.py)|tf_logreg --|(?:make|pip|ls) \S|H=\S)"
)
IN_A_JOB = re.compile(r'\["(python run\.py [^"]*)"\]')  # as a container's argument, in YAML
# A part of a command -> why it does not run here. The first that fits counts.
ELSEWHERE = {
    "pip install": "installs; `make test-versions` makes environments",
    "make ": "the tests themselves",
    "benchmarks/": "takes hours, beside peers that are not installed",
    "--mode=plan": "needs the TPU compiler; `make test-tpu` has it",
    "=multi_worker_mirrored": "two machines; tests/test_workers.py runs two processes",
    "H=": "names two machines",
    "ls /dev": "lists a TPU's chips",
    "gs://BUCKET": "needs a bucket; tests/test_store_runs.py has stores of its own",
    "--config=imagenet": "downloads 3.5 GB",
    "--config=mnist": "downloads; tests/test_wheel.py goes on to the network",
    "=my_set": "a placeholder for the reader's own set",
}


def blocks(document: Path) -> list[str]:
    """Indented and fenced blocks, without their margin."""
    text = document.read_text()
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    text = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    indented = re.findall(r"(?:(?<=\n\n)|^)((?: {4}.*\n)(?:(?: {4}.*)?\n)*)", text)
    return [re.sub(r"^ {4}", "", block, flags=re.MULTILINE).strip("\n") for block in [*indented, *fenced]]


def is_python(block: str) -> bool:
    return bool(re.match(r"import \w|from \w+ import|np\.", block))


def commands(block: str) -> list[str]:
    """The shell commands of a block, comments cut, continued lines joined."""
    lines = re.sub(r"\\\n\s*", "", block).splitlines()
    return [line.split(" #")[0].strip() for line in lines if COMMAND.match(line)]


def reason(command: str) -> str:
    return next((why for part, why in ELSEWHERE.items() if part in command), "")


COMMANDS = [(path, command) for path in DOCUMENTS for block in blocks(path) for command in commands(block)]


def test_the_documents_have_commands_and_each_reason_is_used():
    runnable = [command for _, command in COMMANDS if not reason(command)]
    assert "python run.py --config=configs/digits.py --workdir=runs/digits" in runnable
    for part in ELSEWHERE:
        assert any(part in command for _, command in COMMANDS), f"no document has {part!r} any more"


def test_every_flag_and_make_target_exists():
    known = flags.FlagValues()
    command_line_flags.define(known, ["tf_logreg"])
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    given = [*COMMANDS, *[(path, job) for path in DOCUMENTS for job in IN_A_JOB.findall(path.read_text())]]
    assert len(given) > len(COMMANDS)
    for path, command in given:
        words = shlex.split(command)
        if "run.py" in words or words[0] == "tf_logreg":
            for flag in (word[2:].partition("=")[0] for word in words if word.startswith("--")):
                assert flag in known or flag.startswith("config."), f"{path.name}: {command}"
    for path in DOCUMENTS:
        for target in re.findall(r"`make ([\w-]+)`|^    make ([\w-]+)", path.read_text(), re.MULTILINE):
            assert "".join(target) in targets, f"{path.name}: make {target}"


def test_jobs_are_yaml():
    jobs = re.findall(
        r"^```yaml\n(.*?)^```", (ROOT / "docs" / "scale.md").read_text(), re.MULTILINE | re.DOTALL
    )
    parsed = [list(yaml.safe_load_all(job)) for job in jobs]
    assert [len(documents) for documents in parsed] == [1, 2]
    (vertex,), (service, job) = parsed
    assert vertex["workerPoolSpecs"][0]["containerSpec"]["args"][0].endswith("--workdir=$AIP_MODEL_DIR")
    assert service["metadata"]["name"] == job["spec"]["template"]["spec"]["subdomain"]


def program(command: str) -> list[str]:
    """A shell command as what `prepared.Process` takes."""
    words = shlex.split(command)
    if words[:2] == ["python", "run.py"]:
        return words[1:]
    if words[0] == "tf_logreg":
        return ["-m", *words]
    return [
        "-c",
        "import subprocess, sys; sys.exit(subprocess.run(['bash', '-c', sys.argv[1]]).returncode)",
        command,
    ]


@pytest.fixture
def checkout(tmp_path):
    """A folder like a checkout's, in which a reader's files may be made."""
    for name in ("run.py", "configs", "tf_logreg"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.mark.long
@pytest.mark.parametrize(
    "document",
    [path for path in DOCUMENTS if any(path == other and not reason(command) for other, command in COMMANDS)],
    ids=lambda path: path.name,
)
def test_what_a_document_says_runs(document, checkout):
    """All its blocks in their order: later ones read what earlier ones leave."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    digits, y = load_digits(return_X_y=True)
    np.savez(checkout / "arrays.npz", x=digits, y=y)
    given = (  # a reader's own arrays, by the names that the documents have for them
        "import numpy as np\nX, y = embeddings, labels = [np.load('arrays.npz')[name] for name in 'xy']\n"
    )
    done_before = set()
    for block in blocks(document):
        python = (
            "\n".join(line for line in block.splitlines() if not COMMAND.match(line))
            if is_python(block)
            else ""
        )
        jobs = [(python, ["-c", given + python])] if python else []
        new = [one for one in commands(block) if not reason(one) and one not in done_before]
        done_before |= {one for one in new if "--mode=selftest" in one}  # which finds the same again
        jobs += [(command, program(command)) for command in new]
        for said, command in jobs:
            done = prepared.Process(command, checkout, environment)
            out, err = done.communicate(timeout=600)
            assert done.returncode == 0, f"{document.name}: {said}\n{out}{err}"

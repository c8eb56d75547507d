"""A set of ImageNet's form: resized, kept on the disk, trained on by batches from there; whole, and killed.

    python benchmarks/images.py --folder=images

Makes JPEGs of any size, up to 500 x 375, cut from scikit-learn's two photographs in other colours for each
class, and prepares them through TensorFlow Datasets. Then the command line runs twice, with no memory for
rows: once whole, once killed by SIGKILL among its images and again among its steps. Prints a Markdown table
of rows a second and peak memory, and whether both runs left the same bytes. Memory is a process' own
(RssAnon) and, apart, pages of mapped files (RssFile), TensorFlow's own included, which the system takes back
when it needs them.
"""

import argparse
import contextlib
import glob
import hashlib
import os
import re
import signal
import subprocess
import sys
import time

import psutil
from machine import aligned, cpu_model

BATCH = 256
DECODED = re.compile(r"(\d+) of (\d+) rows of .*?, (\d+) rows/s")
STEPS = re.compile(r"step (\d+) of (\d+): .*?, (\d+) rows/s")


def main() -> None:
    """Parses the arguments and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", required=True, help="where images, rows and runs go; a gigabyte or two")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=3)
    if sys.argv[1:2] == ["--child"]:  # the command line, with no memory for rows
        run(sys.argv[2:])
        return
    arguments = parser.parse_args()
    images = prepare(arguments.folder, arguments.images, arguments.classes)
    whole = measured(arguments, images, "whole")
    killed = [measured(arguments, images, "killed", kill) for kill in ("images", "steps", "")]
    size = arguments.size
    print(f"{cpu_model()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{arguments.images:,} JPEGs of {image_bytes(images) / arguments.images / 1e3:.0f} kB, ", end="")
    print(f"{arguments.classes} classes, to {size} x {size}; batches of {BATCH}, {arguments.epochs} epochs\n")
    head = ["run", "seconds", "CPU seconds", "images/s", "rows/s, steps", "own memory, MB", "mapped, MB"]
    names = ["whole", "killed among the images", "gone on, killed among the steps", "gone on to the end"]
    rows = [[name, *cells(found)] for name, found in zip(names, [whole, *killed], strict=True)]
    print(aligned([head, *rows]))
    same = digests(arguments.folder, "whole") == digests(arguments.folder, "killed")
    print("Rows on the disk and coefficients are equal, byte for byte." if same else "THE RUNS DIFFER.")


def prepare(folder: str, count: int, classes: int) -> str:
    """Writes the set through TensorFlow Datasets; the folder that holds it."""
    import numpy as np
    import tensorflow_datasets as tfds
    from sklearn.datasets import load_sample_images

    class Photographs(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
                "label": tfds.features.ClassLabel(num_classes=classes),
            }
            features = tfds.features.FeaturesDict(features)
            return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=("image", "label"))

        def _split_generators(self, dl_manager):
            train = count * 9 // 10
            parts = {"train": (0, train), "validation": (train, count)}
            return {split: self._generate_examples(*part) for split, part in parts.items()}

        def _generate_examples(self, start, stop):
            photographs, draw = load_sample_images().images, np.random.default_rng(start)
            for i in range(start, stop):
                label = i % classes
                height, width = draw.integers(150, 376), draw.integers(200, 501)
                top, left = draw.integers(0, 427 - height), draw.integers(0, 640 - width)
                image = photographs[label % 2][top : top + height, left : left + width]
                colours = np.random.default_rng(label).uniform(0.4, 1.0, 3)
                yield i, {"image": (image * colours).astype(np.uint8), "label": label}

    builder = Photographs(data_dir=os.path.join(folder, f"{count} of {classes}"))
    builder.download_and_prepare()
    return str(builder.data_path)


def image_bytes(images: str) -> int:
    """Bytes of the set's files of records."""
    return sum(os.path.getsize(path) for path in glob.glob(os.path.join(images, "*tfrecord*")))


def run(arguments: list[str]) -> None:
    """The command line, as if there were no memory for rows."""
    from tf_logreg import __main__ as program
    from tf_logreg import signals

    signals.hear()
    from tf_logreg.data import kept_rows

    kept_rows.SHARE = 0.0
    kept_rows._SECONDS = kept_rows._SECONDS_TO_SAVE = 1.0  # short enough for a set of a few seconds
    sys.argv = ["tf_logreg", *arguments]
    program.main()


def measured(arguments: argparse.Namespace, images: str, name: str, kill: str = "") -> dict:
    """What one run took, or one that is killed among its 'images' or 'steps'."""
    size, folder = arguments.size, os.path.join(arguments.folder, name)
    os.makedirs(folder, exist_ok=True)
    command = [
        sys.executable, __file__, "--child", "--config=imagenet", f"--config.data.args.folder={images}",
        "--config.data.args.name=", f"--config.data.args.resize=({size}, {size})",
        f"--config.data.cache_dir={folder}/rows", f"--workdir={folder}/run", "--device_memory_fraction=0",
        f"--config.minibatch.batch_size={BATCH}", f"--config.minibatch.epochs={arguments.epochs}",
        "--config.minibatch.steps_per_loop=5", "--config.checkpoint.every_steps=20",
        "--distribution_strategy=one_device",
    ]  # fmt: skip
    whole = {"images": f"{folder}/rows/*/progress.json", "steps": f"{folder}/run/checkpoints/*"}.get(kill)
    found, start = {"own": 0, "mapped": 0, "CPU": 0.0}, time.perf_counter()
    with open(os.path.join(folder, f"log {kill or 'end'}"), "w+") as log:
        process = subprocess.Popen(command, stderr=log, stdout=log)
        while process.poll() is None:
            for key, field in (("own", "RssAnon"), ("mapped", "RssFile")):
                found[key] = max(found[key], status(process.pid, field))
            with contextlib.suppress(psutil.Error):
                found["CPU"] = sum(psutil.Process(process.pid).cpu_times()[:2])
            if whole and glob.glob(whole):
                process.send_signal(signal.SIGKILL)
            time.sleep(0.05)
        found["seconds"] = time.perf_counter() - start
        log.seek(0)
        text = log.read()
    if process.returncode != (-signal.SIGKILL if kill else 0):
        raise SystemExit(f"{name}: exit code {process.returncode}\n{text[-2000:]}")
    for key, pattern in (("decoded", DECODED), ("steps", STEPS)):
        speeds = [int(line[2]) for line in pattern.findall(text)]
        found[key] = speeds[-1] if speeds else None
    return found


def status(pid: int, field: str) -> int:
    """A field of /proc/PID/status in bytes; 0 for a process that has ended."""
    try:
        with open(f"/proc/{pid}/status") as file:
            return next((1024 * int(line.split()[1]) for line in file if line.startswith(field + ":")), 0)
    except OSError:
        return 0


def cells(found: dict) -> list[str]:
    """A row of the table."""
    speeds = [f"{found[key]:,}" if found[key] else "" for key in ("decoded", "steps")]
    seconds = [f"{found[key]:.0f}" for key in ("seconds", "CPU")]
    return [*seconds, *speeds, *(f"{found[key] / 1e6:,.0f}" for key in ("own", "mapped"))]


def digests(folder: str, name: str) -> list[str]:
    """Digests of the rows and of the coefficients that a run left."""
    paths = [glob.glob(os.path.join(folder, name, "rows", "*", one)) for one in ("x", "y")]
    paths += [glob.glob(os.path.join(folder, name, "run", "coefficients.npz"))]
    found = []
    for some in paths:
        (path,) = some
        if path.endswith(".npz"):
            import numpy as np

            arrays = np.load(path)
            found += [hashlib.sha256(arrays[one].tobytes()).hexdigest() for one in ("kernel", "bias")]
        else:
            with open(path, "rb") as file:
                found.append(hashlib.file_digest(file, "sha256").hexdigest())
    return found


if __name__ == "__main__":
    main()

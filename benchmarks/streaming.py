"""Rows a second that a minibatch fit takes: ours, PyTorch, Lightning, scikit-learn and Keras, side by side.

    pip install -e '.[cpu,benchmark]' && python benchmarks/streaming.py

Every contender runs in a process of its own: random normal float32 X of 784 features, 10 classes,
Adam, the same global batch. Prints Markdown tables: the median of five repeats of about a second
each, after a warm-up, and its ratio to the bare PyTorch loop of the same batch.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time

from machine import cpu_model

FEATURES, CLASSES = 784, 10
BATCHES = (256, 1024, 8192)
CONTENDERS = (
    "ours, resident",
    "ours, streamed",
    "ours, resident, X in bfloat16",
    "ours, resident, 2 virtual devices",
    "PyTorch, bare loop",
    "Lightning, as Bolts runs it",
    "Keras fit",
    "scikit-learn SGDClassifier",
)
PEER = "PyTorch, bare loop"


def main() -> None:
    """Parses the arguments and prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[65_536, 1_000_000])
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="", help="contenders whose name holds this")
    parser.add_argument("--contender", help=argparse.SUPPRESS)  # what a child process measures
    arguments = parser.parse_args()
    if arguments.contender:
        print(
            json.dumps(
                measure(arguments.contender, arguments.rows[0], arguments.batches[0], arguments.repeats)
            )
        )
        return
    isa = os.environ.get("ONEDNN_MAX_CPU_ISA", "default")
    print(f"{cpu_model()}, {len(os.sched_getaffinity(0))} cores; ONEDNN_MAX_CPU_ISA: {isa}\n")
    for rows in arguments.rows:
        found = {
            name: [child(name, rows, batch, arguments.repeats) for batch in arguments.batches]
            for name in CONTENDERS
            if arguments.only in name
        }
        print(table(rows, arguments.batches, found), flush=True)


def table(rows: int, batches: list[int], found: dict[str, list[dict]]) -> str:
    """A Markdown table: contenders down, batches across; rows a second (ratio to PyTorch)."""
    lines = [f"| {rows:,} rows | " + " | ".join(f"batch {batch:,}" for batch in batches) + " |"]
    lines.append("|---" * (len(batches) + 1) + "|")
    peer = [result.get("speed") for result in found.get(PEER, [{}] * len(batches))]
    for name, results in found.items():
        cells = []
        for result, base in zip(results, peer, strict=True):
            speed = result.get("speed")
            ratio = f" ({speed / base:.2f})" if speed and base else ""
            cells.append(f"{speed:,.0f}{ratio}" if speed else "n/a")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    memory = [r["peak_batches"] for r in found.get("ours, streamed", []) if "peak_batches" in r]
    if memory:
        lines.append(f"\nPeak memory of ours, streamed, above the source's own, in batches: {memory}.")
    return "\n".join([*lines, ""])


def child(name: str, rows: int, batch: int, repeats: int) -> dict:
    """One contender in a process of its own; {} and a line on stderr when it fails."""
    command = [sys.executable, __file__, f"--contender={name}", f"--rows={rows}", f"--batches={batch}"]
    done = subprocess.run([*command, f"--repeats={repeats}"], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return {}
    return json.loads(done.stdout.splitlines()[-1])


def measure(name: str, rows: int, batch: int, repeats: int) -> dict:
    """Median rows a second of one contender, each repeat about a second of steps."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if name.startswith("scikit"):
        return {"speed": scikit_learn(rows, repeats)}
    make = {"PyTorch": pytorch, "Lightnin": lightning, "Keras fi": keras_fit}.get(name[:8].rstrip(","), ours)
    steps_of, extra = make(name, rows, batch)
    steps_of(5)
    start = time.perf_counter()
    steps_of(20)
    count = max(5, int(20 / (time.perf_counter() - start)))
    with PeakMemory() as memory:
        speeds = []
        for _ in range(repeats):
            start = time.perf_counter()
            seconds = steps_of(count) or time.perf_counter() - start
            speeds.append(count * batch / seconds)
    if name == "ours, streamed":
        extra["peak_batches"] = round((memory.peak - extra.pop("before")) / (batch * FEATURES * 4), 1)
    return {"speed": statistics.median(speeds), **extra}


def data(rows: int):
    """X [rows, 784] float32 and labels [rows] int32."""
    import numpy as np

    rng = np.random.default_rng(0)
    return rng.standard_normal((rows, FEATURES), np.float32), rng.integers(0, CLASSES, rows, np.int32)


def ours(name: str, rows: int, batch: int):
    """The steps of a real run, from the library's own parts."""
    import numpy as np
    import psutil
    import tensorflow as tf

    from tf_logreg import config as configs
    from tf_logreg.data import dataset as datasets
    from tf_logreg.data import moments, pipeline
    from tf_logreg.data.arrays import from_arrays
    from tf_logreg.devices.devices import Devices
    from tf_logreg.devices.strategies import make_strategy
    from tf_logreg.fit.minibatch import feed, loop, optimizers
    from tf_logreg.model import keras_model
    from tf_logreg.model.head import Head

    kind, count = ("mirrored", 2) if "2 virtual" in name else ("one_device", 0)
    dtype = "bfloat16" if "bfloat16" in name else "float32"
    devices = Devices(make_strategy(kind, num_virtual_cpus=count), dtype)
    x, y = data(rows)
    source = from_arrays(x, y, class_names=tuple(map(str, range(CLASSES))))
    del x
    with devices.strategy.scope():
        model = keras_model.build(FEATURES, Head("softmax", CLASSES), bias=True, dtype="float32")
        optimizer = optimizers.make("Adam", 1e-3, {}, 0.0)
    loop.build_optimizer(devices.strategy, optimizer, model)
    update = loop.make_update(model, optimizer, l1=0.0, l2=0.0, clip_norm=0.0)
    dataset = datasets.of_rows(source, {"train": np.arange(rows)}, configs.get_config(), devices)
    columns, extra = moments.Affine(np.zeros(FEATURES), np.ones(FEATURES)), {}
    order = pipeline.Order(batch_size=batch, epochs=10**6, seed=0)
    if "resident" in name:
        run, _ = feed.resident(devices, dataset, columns, order, update)
    else:
        # TensorFlow's own first function is no part of what a stream needs.
        tf.function(lambda: tf.matmul(tf.ones([8, 8]), tf.ones([8, 8])))()
        source.read(tf.constant([0], tf.int64))  # nor is the source's tensor of X, which its first read makes
        extra["before"] = psutil.Process().memory_info().rss
        run, _ = feed.streamed(devices, dataset, columns, order, update)
    done = 0

    def steps(count):
        nonlocal done
        run(done, count)
        done += count

    return steps, extra


def pytorch(name: str, rows: int, batch: int):
    """A bare loop over tensors in memory, shuffled anew each epoch."""
    import torch

    x, y = (torch.from_numpy(array) for array in data(rows))
    y = y.long()
    model = torch.nn.Linear(FEATURES, CLASSES)
    optimizer, loss = torch.optim.Adam(model.parameters(), lr=1e-3), torch.nn.CrossEntropyLoss()

    def epochs():
        while True:
            yield from torch.randperm(rows).split(batch)

    index = epochs()

    def steps(count):
        for _ in range(count):
            taken = next(index)
            optimizer.zero_grad()
            loss(model(x[taken]), y[taken]).backward()
            optimizer.step()

    return steps, {}


def lightning(name: str, rows: int, batch: int):
    """LightningModule and DataLoader, in the form of Lightning Bolts' LogisticRegression."""
    import logging
    import warnings

    import lightning as pl
    import torch

    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    x, y = (torch.from_numpy(array) for array in data(rows))
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(x, y.long()), batch_size=batch, shuffle=True
    )

    class LogisticRegression(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(FEATURES, CLASSES)

        def training_step(self, batch, _):
            x, y = batch
            return torch.nn.functional.cross_entropy(self.linear(x), y, reduction="sum") / x.size(0)

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=1e-3)

    model = LogisticRegression()
    options = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }

    class Clock(pl.Callback):
        """Starts after ten steps, so that the Trainer's own setup does not count."""

        def on_train_batch_start(self, trainer, *_):
            if trainer.global_step == 10:
                self.start = time.perf_counter()

    def steps(count):
        clock = Clock()
        pl.Trainer(max_steps=count + 10, accelerator="cpu", callbacks=[clock], **options).fit(model, loader)
        return time.perf_counter() - clock.start

    return steps, {}


def keras_fit(name: str, rows: int, batch: int):
    """Model.fit on a tf.data of batches, shuffled by rows."""
    import keras
    import tensorflow as tf

    x, y = data(rows)
    model = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(CLASSES)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, jit_compile=False)
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(10_000).repeat()
    dataset = dataset.batch(batch, drop_remainder=True).prefetch(tf.data.AUTOTUNE)

    def steps(count):
        model.fit(dataset, steps_per_epoch=count, epochs=1, verbose=0)

    return steps, {}


def scikit_learn(rows: int, repeats: int) -> float:
    """Rows a second of SGDClassifier's pass over at most 50,000 rows; it knows no batch."""
    from sklearn.linear_model import SGDClassifier

    x, y = data(min(rows, 50_000))
    speeds = []
    for _ in range(min(repeats, 3)):
        start = time.perf_counter()
        SGDClassifier(loss="log_loss").partial_fit(x, y, classes=list(range(CLASSES)))
        speeds.append(len(y) / (time.perf_counter() - start))
    return statistics.median(speeds)


class PeakMemory:
    """The greatest resident set of this process while the block runs, in bytes."""

    def __enter__(self):
        """Begins to watch."""
        import psutil

        self.peak, self._done = 0, threading.Event()
        process = psutil.Process()

        def watch():
            while not self._done.wait(0.01):
                self.peak = max(self.peak, process.memory_info().rss)

        self._thread = threading.Thread(target=watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        """Ends it."""
        self._done.set()
        self._thread.join()


if __name__ == "__main__":
    main()

"""Seconds of CPU that a bootstrap takes, in fits: `python benchmarks/bootstrap.py 1000000 28 200`."""

import sys
import time

import numpy as np

from tf_logreg import config as configs
from tf_logreg.data import arrays
from tf_logreg.data import dataset as make
from tf_logreg.devices.devices import Devices
from tf_logreg.fit import learn
from tf_logreg.fit.monitor import Monitor


def main(num_rows: int, num_features: int, replicates: int) -> None:
    """Fits planted rows and bootstraps the fit."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(num_rows, num_features)).astype(np.float32)
    kernel = 2 * rng.normal(size=num_features).astype(np.float32) / np.sqrt(num_features)
    y = (x @ kernel + rng.logistic(size=num_rows) > 0).astype(np.int32)
    config, devices = configs.get_config(), Devices()
    config.inference.bootstrap = replicates
    source = arrays.from_arrays(x, y, class_names=("0", "1"))
    dataset = make.of_rows(source, {"train": np.arange(num_rows)}, config, devices)
    began = time.process_time()
    fit = learn.learn(config, dataset, devices, Monitor())
    fitted = time.process_time()
    found = learn.with_bootstrap(config, dataset, devices, fit).model.bootstrap
    seconds = fitted - began, time.process_time() - fitted
    near = f"{found.done.sum()} near an optimum, at most {found.error.max():.2g} standard deviations from it"
    print(
        f"{num_rows:,} x {num_features}: fit {seconds[0]:.2f} s, {replicates} replicates {seconds[1]:.2f} s "
        f"of CPU, the time of {seconds[1] / seconds[0]:.1f} fits; {near}"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

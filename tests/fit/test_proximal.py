"""l1 by proximal steps: every optimiser that takes it gets to the optimum, with exact zeros."""

import numpy as np
import pytest
from problems import fit_arrays, objective, saga

from tf_logreg.fit.minibatch import optimizers, proximal

SETTINGS = {
    "SGD": [{"learning_rate": 1.0}, {"learning_rate": 0.1, "momentum": 0.9}]
    + [{"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}],
    "Adagrad": [{"learning_rate": 1.0}],
    "RMSprop": [
        {"learning_rate": 2e-2},
        {"learning_rate": 2e-3, "momentum": 0.9},
    ],
    "Adam": [{"learning_rate": 0.08}, {"learning_rate": 0.08, "amsgrad": True}],
    "Ftrl": [{"learning_rate": 1.0}],
}
# Each optimiser's further settings take their time in the long run.
CASES = [
    pytest.param(name, setting, marks=[pytest.mark.long] if i else [], id=f"{name}-{setting}")
    for name, settings in SETTINGS.items()
    for i, setting in enumerate(settings)
]


@pytest.fixture(scope="module", params=[2, 3])
def sparse_problem(request):
    """20 columns of which 4 matter, scaled; l1 large enough to drop most of the others."""
    rng = np.random.default_rng(request.param)
    x = rng.normal(size=(400, 20)) @ (np.eye(20) + 0.05)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    kernel = np.zeros((20, request.param))
    kernel[:4] = rng.normal(size=(4, request.param)) * 1.5
    y = (x @ kernel + rng.gumbel(size=(400, request.param))).argmax(axis=1).astype(np.int32)
    l1 = 0.02
    peer = saga(1.0, C=1 / (l1 * len(y)), tol=1e-8, max_iter=20_000).fit(x, y)
    return x, y, l1, objective(x, y, peer.coef_.T, peer.intercept_, l1=l1), peer.coef_.T


def test_every_proximal_optimiser_is_tried():
    assert sorted(SETTINGS) == proximal.known()


@pytest.fixture(scope="module")
def ends(strategies, tmp_path_factory, sparse_problem):
    """Where an optimiser of some setting ends: kernel and bias. Each is fitted once for all tests."""
    x, y, l1, _, _ = sparse_problem
    found = {}

    def of(name, setting):
        if (name, str(setting)) not in found:
            args = {key: value for key, value in setting.items() if key != "learning_rate"}
            found[name, str(setting)] = fit_arrays(
                x, y, strategy=strategies["one_device"], tmp_path=tmp_path_factory.mktemp("ends"), optimizer=name,
                optimizer_args=args, learning_rate=setting["learning_rate"], l1=l1, batch_size=0, epochs=500,
                steps_per_loop=500,
            )[:2]  # fmt: skip
        return found[name, str(setting)]

    return of


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_ends_within_one_percent_of_the_optimum_with_exact_zeros(sparse_problem, ends, name, setting):
    x, y, l1, optimum, peer = sparse_problem
    kernel, bias = ends(name, setting)
    assert objective(x, y, kernel, bias, l1=l1) <= optimum * 1.01
    zeros = (kernel == 0).sum()
    assert zeros >= 0.5 * (peer == 0).sum(), f"{zeros} exact zeros, scikit-learn has {(peer == 0).sum()}"
    assert (bias != 0).all()


@pytest.mark.parametrize("name", proximal.known())
def test_the_fixed_point_is_the_optimum(sparse_problem, ends, name):
    """At the end the gradient is -l1 * sign(w) where w != 0 and within l1 where it is 0."""
    x, y, l1, _, _ = sparse_problem
    tolerance = 0.05 * l1
    kernel, bias = ends(name, SETTINGS[name][0])
    z = x @ kernel + bias
    z = np.hstack([np.zeros_like(z), z]) if z.shape[1] == 1 else z
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    gradient = x.T @ (p - np.eye(p.shape[1])[y]) / len(y)
    gradient = gradient[:, 1:] if kernel.shape[1] == 1 else gradient
    active = kernel != 0
    assert active.any()
    assert (~active).any()
    assert np.abs(gradient[~active]).max() <= l1 + tolerance
    np.testing.assert_allclose(gradient[active], -l1 * np.sign(kernel[active]), atol=tolerance)


def test_mirrored_has_the_same_zeros(strategies, tmp_path, sparse_problem):
    x, y, l1, _, _ = sparse_problem
    one, two = (
        fit_arrays(
            x,
            y,
            strategy=strategies[kind],
            tmp_path=tmp_path,
            optimizer="Adam",
            l1=l1,
            batch_size=64,
            epochs=10,
        )[0]
        for kind in ("one_device", "mirrored")
    )
    np.testing.assert_array_equal(one == 0, two == 0)
    np.testing.assert_allclose(one, two, atol=1e-9)


def test_minibatches_reach_the_optimum_too(strategies, tmp_path, sparse_problem):
    x, y, l1, optimum, _ = sparse_problem
    kernel, bias, _ = fit_arrays(
        x, y, strategy=strategies["one_device"], tmp_path=tmp_path, optimizer="Adagrad", learning_rate=0.5, l1=l1,
        batch_size=200, epochs=200, steps_per_loop=400,
    )  # fmt: skip
    assert objective(x, y, kernel, bias, l1=l1) <= optimum * 1.01
    assert (kernel == 0).any()


def test_soft_threshold():
    values = np.array([-3.0, -0.5, 0.0, 0.5, 3.0])
    np.testing.assert_array_equal(proximal.soft_threshold(values, 1.0), [-2, 0, 0, 0, 2])


def test_faults():
    assert "one of Adagrad, Adam, Ftrl, RMSprop, SGD" in optimizers.faults("Lion", {}, 0.1)[0]
    assert optimizers.faults("Lion", {}, 0.0) == []
    assert "expected one of Adadelta" in optimizers.faults("Newton", {}, 0.0)[0]
    assert optimizers.faults("aDaM", {"beta_1": 0.8}, 0.0) == []
    for key in ("clipnorm", "global_clipnorm", "clipvalue"):
        assert "use minibatch.clip_norm" in optimizers.faults("Adam", {key: 1.0}, 0.0)[0]
    assert "no such argument" in optimizers.faults("Adam", {"momentum": 0.9}, 0.0)[0]
    assert "refuses" in optimizers.faults("SGD", {"momentum": 1.5}, 0.0)[0]

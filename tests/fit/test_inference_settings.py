"""What rules standard errors out is named, in the settings and in the rows; shipped configs need one flag."""

import numpy as np
import pytest
from fitted_errors import fitted, noisy_iris

from tf_logreg import config as configs
from tf_logreg import precedence
from tf_logreg.errors import InputError
from tf_logreg.fit import inference_settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"l2": 1e-3}, "l1, l2, C: expected none with inference.cov_type"),
        ({"class_weight": "balanced"}, "class_weight: expected none"),
        ({"solver.name": "minibatch"}, "solver.name: expected none"),
        ({"inference.cov_type": "HC3"}, "inference.cov_type: expected one of nonrobust"),
        ({"inference.cov_type": "cluster"}, "data.group: expected the column of the groups"),
        ({"inference.weights": "sampling"}, "expected a robust kind"),
        ({"inference.level": 1.0}, "inference.level: expected a share"),
        ({"inference.tests": ("lr",), "inference.cov_type": "HC0"}, "expected 'wald' alone with a robust"),
        ({"inference.tests": ("f",)}, "inference.tests: expected some of wald, lr, score"),
    ],
)
def test_refused(changes, message):
    config = configs.get_config()
    config.inference.cov_type = "nonrobust"
    config.update_from_flattened_dict(changes)
    with pytest.raises(InputError, match=message):
        configs.validate(config)


def test_refused_with_the_data():
    x, y = noisy_iris()
    with pytest.raises(InputError, match=r"inference\.reference: expected one of"):
        fitted(x, y, reference="setosa")
    with pytest.raises(InputError, match=r"expected more rows than 10 coefficients for 'HC1'"):
        fitted(x, y, weight=np.full(150, 1 / 150), cov_type="HC1")
    with pytest.raises(InputError, match=r"data\.group: expected at least two groups"):
        fitted(x, y, group=np.zeros(150), cov_type="cluster")
    with pytest.raises(InputError, match=r"data\.group: expected a group in each training row.*1 rows"):
        fitted(x, y, group=np.r_[np.nan, np.arange(149)], cov_type="cluster")
    with pytest.raises(InputError, match=r"expected row weights between"):
        fitted(x, y, weight=np.full(150, 1e30))
    with pytest.raises(InputError, match=r"inference\.reference: expected '0', the first of two classes"):
        fitted(x, (y > 1).astype(int), reference="1")


@pytest.mark.parametrize("name", ["linear_probe", "iris", "synthetic", "table", "digits"])
def test_shipped_configs_need_no_other_flag(name):
    config = configs.load(name)
    config.inference.cov_type = "nonrobust"
    precedence.settle(config, ["inference.cov_type"])
    faults = [
        line
        for line in faults_of(config)
        if not line.startswith("data.")  # the table's own path and label
    ]
    assert not faults


def faults_of(config):
    try:
        configs.validate(config)
    except InputError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"inference.bootstrap": -1}, "inference.bootstrap: expected 0 to 10,000 replicates. Received: -1."),
        (
            {"inference.bootstrap": 9, "solver.name": "minibatch"},
            "inference.bootstrap: expected 0 with solver.name",
        ),
        (
            {"inference.bootstrap": 9, "model.output": "one_vs_rest"},
            "inference.bootstrap: expected one model of all",
        ),
    ],
)
def test_what_a_bootstrap_does_not_take(change, expected):
    config = configs.get_config()
    config.update_from_flattened_dict(change)
    assert any(expected in line for line in inference_settings.faults(config))


@pytest.mark.parametrize("change", [{"cov_type": "HC0"}, {"cov_type": "", "profile": ("x0",)}])
def test_profiles_need_a_likelihood(change):
    config = configs.get_config()
    config.inference.update({"profile": ("x0",), **change})
    assert any("inference.profile" in line for line in inference_settings.faults(config))


def test_a_profile_of_no_column_is_refused():
    with pytest.raises(InputError, match=r"inference\.profile: expected some of 'x0', 'x1'.*Received: 'age'"):
        fitted(*noisy_iris(), profile=("age",))

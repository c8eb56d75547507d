"""The programs of a fit, lowered and compiled for TPUs that are not there."""

import json

import keras
import pytest
import tensorflow as tf
import tpu_checks

from tf_logreg.data import encoders
from tf_logreg.objective import linear, row_sums
from tf_logreg.objective.row_sums import Problems, Rows
from tf_logreg.plan import compiler, hlo, programs

pytestmark = pytest.mark.tpu
tpu_kernels = pytest.mark.skipif(not programs.has_tpu_kernels(), reason="needs tensorflow-tpu")
cpu_kernels = pytest.mark.skipif(programs.has_tpu_kernels(), reason="needs tensorflow-cpu: variables")

ROWS, FEW_ROWS = 131_072, 8192  # a smaller block compiles faster
DTYPES = ("float32", "bfloat16")
# A fit by conjugate gradients, one by Cholesky, several problems at once.
JOBS = {"softmax": (784, 10, 1), "sigmoid": (20, 2, 1), "many": (20, 3, 4)}
PRECISE = ("value_and_gradient", "hessian_product")
REQUESTS = [
    pytest.param(request, job, id=f"{name}-{request.name}")
    for name, job in JOBS.items()
    for request in programs.requests(ROWS, *job)
]


@tpu_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("request_", "job"), REQUESTS)
def test_every_pass_lowers_by_the_tpus_kernels(request_, job, dtype):
    p, classes, k = job
    text = programs.pass_over_rows(request_, ROWS, p, classes, num_problems=k, dtype=dtype, stage="hlo")
    tpu_checks.check_types(text)
    if request_.name in PRECISE:
        tpu_checks.check_precision(hlo.Module(text))


@tpu_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["v5e", "v5p", "v6e"])
@pytest.mark.parametrize(("request_", "job"), REQUESTS)
def test_every_pass_compiles(request_, job, kind, dtype):
    p, classes, k = job
    text = programs.pass_over_rows(request_, FEW_ROWS, p, classes, num_problems=k, dtype=dtype)
    module = compiler.compile_for(kind, text).module
    tpu_checks.check_types(module.text)
    # With one output XLA makes no matrix product: it multiplies and adds in float32.
    if request_.name in PRECISE and job != JOBS["sigmoid"]:
        tpu_checks.check_precision(module)


@tpu_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["v5e", "v5p", "v6e"])
def test_the_gradient_of_a_step_compiles(kind, dtype):
    module = compiler.compile_for(kind, programs.step_gradient(1024, 784, 10, dtype=dtype)).module
    tpu_checks.check_types(module.text)
    tpu_checks.check_precision(module)


@cpu_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["v5e", "v5p", "v6e"])
def test_a_whole_step_compiles(kind, dtype):
    text = programs.step(1024, 784, 10, dtype=dtype, l1=1e-4, l2=1e-4, clip_norm=1.0)
    module = compiler.compile_for(kind, text).module
    tpu_checks.check_types(module.text)
    tpu_checks.check_precision(module)


@tpu_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PRECISE)
@pytest.mark.parametrize(("p", "classes", "most"), [(784, 10, 2.2), (1024, 1000, 2.5)])
def test_x_is_read_few_times(p, classes, most, name, dtype):
    request_ = next(r for r in programs.requests(ROWS, p, classes) if r.name == name)
    text = programs.pass_over_rows(request_, ROWS, p, classes, dtype=dtype)
    module = compiler.compile_for("v5e", text).module
    products = 2 if name == "value_and_gradient" else 3
    x_bytes = ROWS * p * tf.as_dtype(dtype).size
    moved = tpu_checks.check_reads(module, x_bytes, most)
    share = tpu_checks.check_matrix_work(module, products * 2 * ROWS * p * classes)
    print(f"{name}, {ROWS:,} x {p} x {classes}, {dtype}: X moved {moved:.2f} times, work {share:.3f}")


def _whole(program, num_rows, p, classes, precise):
    """The program over all rows at once, as StableHLO."""
    rows = Rows(*programs.row_specs(num_rows, p, "float32"), tf.TensorSpec([num_rows], tf.int32))
    one = tf.TensorSpec([1], tf.int32)
    problems = Problems(one, tf.TensorSpec([1, classes]), one, one)

    def function(w, problems, rows):
        with linear.tracing_for_tpu(precise):
            return program(w, problems, rows)

    return programs.lower(function, (tf.TensorSpec([1, p + 1, classes]), problems, rows))


@tpu_kernels
def test_a_plain_product_is_caught():
    text = _whole(row_sums.value_and_gradient, 4096, 784, 10, precise=False)
    module = compiler.compile_for("v5e", text).module
    with pytest.raises(AssertionError, match="low precision"):
        tpu_checks.check_precision(module)


@tpu_kernels
def test_rows_without_blocks_are_caught():
    text = _whole(row_sums.value_and_gradient, ROWS, 1024, 1000, precise=True)
    module = compiler.compile_for("v5e", text).module
    with pytest.raises(AssertionError, match="times the bytes of X"):
        tpu_checks.check_reads(module, 4 * ROWS * 1024, 2.5)


@tpu_kernels
def test_a_second_evaluation_is_caught():
    def twice(w, problems, rows):
        first = row_sums.value_and_gradient(w, problems, rows)
        return [*first, *row_sums.value_and_gradient(2 * w, problems, rows)]

    module = compiler.compile_for("v5e", _whole(twice, 4096, 784, 10, precise=True)).module
    with pytest.raises(AssertionError, match="operations of the formula"):
        tpu_checks.check_matrix_work(module, 2 * 2 * 4096 * 784 * 10)


@tpu_kernels
def test_float64_is_caught():
    def wide(x):
        return tf.reduce_sum(tf.cast(x, tf.float64))

    with pytest.raises(AssertionError, match="float64"):
        tpu_checks.check_types(programs.lower(wide, (tf.TensorSpec([8]),), "hlo"))


@tpu_kernels
def test_a_dynamic_length_does_not_lower():
    def part(x, i):
        return tf.ensure_shape(x[i : i + 64], [64])

    with pytest.raises(ValueError, match="not compatible"):
        programs.lower(part, (tf.TensorSpec([256]), tf.TensorSpec([], tf.int32)))


@cpu_kernels
@pytest.mark.parametrize("kind", ["v5e", "v6e"])
def test_an_encoder_compiles(kind, strategies):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
        ]
    )
    encoder = encoders.load(encoders.IN_PYTHON, "", (32, 32, 3), strategies["one_device"], model)
    text = programs.lower(encoder.encode, (tf.TensorSpec([128, 32, 32, 3]),))
    tpu_checks.check_types(compiler.compile_for(kind, text).module.text)


@cpu_kernels
def test_plan_from_the_command_line(command, tmp_path):
    code, out, err = command(
        "--mode=plan",
        "--config=digits",
        "--topology=v5e:1x1",
        f"--workdir={tmp_path}/plan",
        "--plan_passes=50",
    )
    assert code == 0, err
    assert "estimate" in out
    assert "fits" in out
    assert (tmp_path / "plan" / "plan.json").is_file()


@cpu_kernels
def test_plans_of_three_slices_with_prices(command, tmp_path):
    code, out, err = command(
        "--mode=plan",
        "--config=digits",
        "--topology=v5e:1x1,v5e:2x4,v6e:2x2",
        "--price_per_hour=v5e=1.2,v6e=2.7",
        "--deadline_minutes=5",
        f"--workdir={tmp_path}/plan",
        "--plan_passes=50",
    )
    assert code == 0, err
    found = json.loads((tmp_path / "plan" / "plan.json").read_text())
    assert [one["topology"] for one in found["plans"]] == ["v5e:1x1", "v5e:2x4", "v6e:2x2"]
    assert found["cheapest"] == min(found["plans"], key=lambda one: one["offer"]["cost"])["topology"]
    assert f"cheapest that fits within 5 minutes: {found['cheapest']}" in out

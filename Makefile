# `make run` and `make test` each do all the set-up on a machine with Python 3.11 to 3.13 and make.
PYTHON ?= python3
VENV := .venv/bin/
# Two processes, each with whole files of tests: one leaves a core idle while TensorFlow traces.
PYTEST := -m pytest -n 2 --dist loadfile

# The environments of test-versions are of three Pythons where those are installed, else all of $(PYTHON).
python = $(or $(shell $(1) -c 'import sys; print(sys.executable)' 2>/dev/null),$(PYTHON))

# Where processes share the cores, threads of linear algebra wait for each other in loops, a sixth of the time.
test test-long test-deep test-versions: export OPENBLAS_NUM_THREADS = 1
test test-long test-deep test-versions: export OMP_NUM_THREADS = 1

# Asked for nothing, libtpu does not wait for the metadata server of a machine that has a TPU.
NO_TPU := TPU_SKIP_MDS_QUERY=1 TPU_ACCELERATOR_TYPE=v5litepod-4 TPU_WORKER_HOSTNAMES=localhost TPU_WORKER_ID=0 \
	TPU_CHIPS_PER_HOST_BOUNDS=2,2,1 TPU_HOST_BOUNDS=1,1,1 ALLOW_MULTIPLE_LIBTPU_LOAD=1 JAX_PLATFORMS=cpu

.PHONY: run test test-long test-deep test-tpu test-versions lint venvs clean

# The whole idea: minibatches, then the certified solver from where these ended, and how far that was from the optimum.
run: .venv/program
	$(VENV)python run.py --config=configs/digits.py --workdir=runs/minibatch --config.solver.name=minibatch
	$(VENV)python run.py --config=configs/digits.py --workdir=runs/optimum --config.solver.warm_start=runs/minibatch

test: .venv/installed
	$(VENV)python $(PYTEST) -m "not long and not deep and not tpu and not wheel"

test-long: .venv/installed
	$(VENV)python $(PYTEST) -m "long and not deep"

test-deep: .venv/installed
	$(VENV)python $(PYTEST) -m deep

# The marked subset with the oldest versions allowed, with Colab's and with the newest; then what a user gets from the
# wheel alone. A whole suite: .venv-oldest/bin/python -m pytest -n 2 -m "not long and not deep and not tpu"
test-versions: .venv-oldest/installed .venv-colab/installed .venv-newest/installed .venv-wheel/installed .venv/installed
	.venv-oldest/bin/python $(PYTEST) -m "versions and not long and not deep"
	.venv-colab/bin/python $(PYTEST) -m "versions and not long and not deep"
	.venv-newest/bin/python $(PYTEST) -m "versions and not long and not deep"
	$(VENV)python -m pytest -m wheel

# TensorFlow for TPUs lowers by the TPU's kernels; TensorFlow for CPUs is what --mode=plan runs on.
test-tpu: .venv-tpu/installed .venv-plan/installed
	$(NO_TPU) .venv-tpu/bin/python -m pytest -m tpu tests/tpu
	$(NO_TPU) .venv-plan/bin/python -m pytest -m tpu tests/tpu

lint: .venv/installed
	$(VENV)ruff format --check .
	$(VENV)ruff check .

# What all of the above needs; `make -j2 venvs` installs two at a time.
venvs: .venv/installed .venv-tpu/installed .venv-plan/installed .venv-oldest/installed .venv-colab/installed \
	.venv-newest/installed .venv-wheel/installed

# A stamp is newer than what it was made from exactly when nothing needs to be installed. What `make run` needs comes
# first, and is compiled when it is imported, not all of it now: a third of the time less.
.venv/program: pyproject.toml constraints-cpu.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(f"Python 3.11 to 3.13 is needed, $(PYTHON) is {v}; try make PYTHON=python3.12 ..." if not (3, 11) <= v <= (3, 13) else 0)'
	$(PYTHON) -m venv .venv
	$(VENV)pip install --quiet --disable-pip-version-check --no-compile --constraint constraints-cpu.txt --editable '.[cpu]'
	touch $@

.venv/installed: .venv/program
	$(VENV)pip install --quiet --disable-pip-version-check --constraint constraints-cpu.txt --editable '.[cpu,dev]'
	touch $@

.venv-tpu/installed: pyproject.toml constraints-tpu.txt
	$(PYTHON) -m venv .venv-tpu
	.venv-tpu/bin/pip install --quiet --disable-pip-version-check --constraint constraints-tpu.txt --editable '.[tpu,plan]' pytest
	touch $@

.venv-plan/installed: pyproject.toml constraints-cpu.txt
	$(PYTHON) -m venv .venv-plan
	.venv-plan/bin/pip install --quiet --disable-pip-version-check --constraint constraints-cpu.txt --editable '.[cpu,plan]' pytest
	touch $@

.venv-oldest/installed: made_by = $(call python,python3.11)
.venv-colab/installed: made_by = $(call python,python3.13)
.venv-newest/installed: made_by = $(call python,python3.12)
.venv-oldest/installed .venv-colab/installed .venv-newest/installed: .venv-%/installed: pyproject.toml constraints-%.txt
	$(made_by) -m venv .venv-$*
	.venv-$*/bin/pip install --quiet --disable-pip-version-check --constraint constraints-$*.txt --editable '.[cpu,dev]'
	touch $@

# Neither constraints nor test tools: what `pip install` of the wheel brings is all that is there.
.venv-wheel/installed: pyproject.toml $(shell find tf_logreg configs -name '*.py')
	rm -rf .venv-wheel
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir .venv-wheel/dist .
	.venv-wheel/bin/pip install --quiet --disable-pip-version-check "$$(echo .venv-wheel/dist/*.whl)[cpu]"
	touch $@

clean:
	rm -rf .venv .venv-tpu .venv-plan .venv-oldest .venv-colab .venv-newest .venv-wheel runs dist

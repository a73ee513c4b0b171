# `make demo` and `make test` do all their set-up by themselves, inside this folder.

# The first Python that Airflow runs on.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
# Packages as they were on this day: the whole tree of Airflow's dependencies, without a constraints file.
PACKAGES_AS_OF ?= 2026-11-15
AIRFLOW ?= apache-airflow

VENV := .venv
BIN := $(VENV)/bin
export UV_CACHE_DIR := $(CURDIR)/.cache/uv
export PIP_NO_CACHE_DIR := 1
# A company's certificate is in the system's store, which pip reads by itself.
export UV_SYSTEM_CERTS ?= true

.PHONY: demo demo-celery test test-warehouses test-faults test-faults-quick reliability bench test-live test-form test-matrix lint docs clean

demo: $(VENV)/.ready
	@$(BIN)/python -m dev.demo

# The page of deliveries in Airflow's UI, over a month that its tasks deliver to the sandbox, until Ctrl-C.
.PHONY: demo-ui
demo-ui: $(VENV)/.ready
	@$(BIN)/python -m dev.demo.ui

# Airflow on two Celery workers, with a broker and PostgreSQL, all on this machine. Some minutes.
demo-celery: .cache/celery/.ready
	@.cache/celery/bin/python -m dev.demo.many_workers

# An environment of its own: what Celery wants would take older packages into that of the tests.
.cache/celery/.ready: $(VENV)/.ready
	@echo "Setting up .cache/celery: Airflow and Celery (less than a minute, once) ..."
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .cache/celery
	@$(BIN)/uv pip install --quiet --python .cache/celery/bin/python --compile-bytecode \
		--exclude-newer $(PACKAGES_AS_OF) --editable '.[sandbox]' --group celery '$(AIRFLOW)'
	@touch $@

test: $(VENV)/.ready
	@$(BIN)/python -m pytest -n 2 $(ARGS)

# The unit tests, which need neither Airflow nor a database: less than a minute.
.PHONY: test-fast
test-fast: $(VENV)/.ready
	@$(BIN)/python -m pytest -n 2 tests/unit $(ARGS)

# Every fault, kills and cut databases, with a ledger of what arrived; `make reliability` does more of it, and writes
# what came of it to docs/reliability.md.
test-faults: $(VENV)/.ready
	@$(BIN)/python -m pytest -n 3 --dist worksteal tests/faults $(ARGS)

test-faults-quick: $(VENV)/.ready
	@SEQUENCE_FAULTS=quick $(BIN)/python -m pytest -n 2 tests/faults $(ARGS)

reliability: $(VENV)/.ready
	@$(BIN)/python -m tests.faults.report

# What it costs and how fast it is, beside other tools; an hour for all of it. Writes docs/performance.md. Some parts
# alone: make bench ARGS="push pull".
bench: $(VENV)/.ready .cache/bench/venv/.ready
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --exclude-newer $(PACKAGES_AS_OF) --group bench
	@$(BIN)/python -m tests.benchmarks $(ARGS)

# The other tools, whose dependencies are not ours.
.cache/bench/venv/.ready: tests/benchmarks/peers/requirements.txt $(VENV)/.ready
	@echo "Setting up the tools that a pull is held against ..."
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(@D)
	@$(BIN)/uv pip install --quiet --python $(@D)/bin/python --compile-bytecode --exclude-newer $(PACKAGES_AS_OF) \
		--requirements $<
	@touch $@

# A real Airflow, its components as processes: backfills, the triggerer, watchers. Some minutes.
test-live: $(VENV)/.ready
	@$(BIN)/python -m pytest tests/live --ignore=tests/live/form --ignore=tests/live/page -s $(ARGS)

# Warehouses and other databases through their own Airflow hooks and drivers, on stand-ins; MariaDB is a real one. Some
# minutes, and two to set up once.
WAREHOUSES := .cache/warehouses
WAREHOUSES_ENVS := clouds snowflake mysql clickhouse
DEBIAN := mariadb-server libmariadb-dev pkg-config gcc python3-dev
.PHONY: debian-packages
debian-packages:
	@command -v mariadbd >/dev/null && command -v gcc >/dev/null && pkg-config --exists libmariadb || \
		{ echo "This needs a MariaDB, and what its client is built with: apt-get install $(DEBIAN)"; exit 1; }

test-warehouses: debian-packages $(patsubst %,$(WAREHOUSES)/%/.ready,$(WAREHOUSES_ENVS) bigquery-emulator clickhouse-emulator snowflake-emulator)
	@SEQUENCE_STANDINS="redshift bigquery databricks" SEQUENCE_BIGQUERY_PYTHON=$(CURDIR)/$(WAREHOUSES)/bigquery-emulator/bin/python \
		$(WAREHOUSES)/clouds/bin/python -m pytest $(addprefix tests/warehouses/test_,warehouses.py cookbook.py engines.py bigquery.py redshift.py databricks.py) $(ARGS)
	@SEQUENCE_STANDINS=snowflake SEQUENCE_SNOWFLAKE_PYTHON=$(CURDIR)/$(WAREHOUSES)/snowflake-emulator/bin/python \
		$(WAREHOUSES)/snowflake/bin/python -m pytest $(addprefix tests/warehouses/test_,warehouses.py cookbook.py snowflake.py) $(ARGS)
	@SEQUENCE_STANDINS=mariadb \
		$(WAREHOUSES)/mysql/bin/python -m pytest tests/warehouses/test_warehouses.py tests/warehouses/test_mysql.py $(ARGS)
	@SEQUENCE_STANDINS=clickhouse SEQUENCE_CLICKHOUSE_PYTHON=$(CURDIR)/$(WAREHOUSES)/clickhouse-emulator/bin/python \
		$(WAREHOUSES)/clickhouse/bin/python -m pytest tests/warehouses/test_read_only.py $(ARGS)

# Airflow with the providers of warehouses, by the package's extras, which are tried so. Snowflake's wants an older SQLAlchemy
# than the others; rows are only read from the databases of the group clickhouse, which have no extra.
$(WAREHOUSES)/clouds/.ready: INSTALL := --editable '.[sandbox,postgres,duckdb,amazon,databricks,google]'
$(WAREHOUSES)/snowflake/.ready: INSTALL := --editable '.[sandbox,postgres,duckdb,snowflake]'
$(WAREHOUSES)/mysql/.ready: INSTALL := --editable '.[sandbox,postgres,duckdb,mysql]'
$(WAREHOUSES)/clickhouse/.ready: INSTALL := --editable '.[sandbox,postgres,duckdb]' --group clickhouse
$(WAREHOUSES_ENVS:%=$(WAREHOUSES)/%/.ready): $(VENV)/.ready
	@echo "Setting up $(@D): Airflow with the providers of warehouses (a minute, once) ..."
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(@D)
	@$(BIN)/uv pip install --quiet --python $(@D)/bin/python --compile-bytecode --exclude-newer $(PACKAGES_AS_OF) \
		$(INSTALL) --group dev '$(AIRFLOW)'
	@touch $@

$(WAREHOUSES)/%-emulator/.ready: $(VENV)/.ready
	@echo "Setting up $(@D) (less than a minute, once) ..."
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(@D)
	@$(BIN)/uv pip install --quiet --python $(@D)/bin/python --exclude-newer $(PACKAGES_AS_OF) --group $(notdir $(@D))
	@touch $@

# The sandbox, asked two minutes of what schemathesis makes up from the description of the API.
.PHONY: test-sandbox
test-sandbox: .cache/schema/.ready
	@$(BIN)/python -m tests.contract.fuzz $(CURDIR)/.cache/schema/bin/schemathesis $(ARGS)

.cache/schema/.ready: $(VENV)/.ready
	@echo "Setting up $(@D) (less than a minute, once) ..."
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(@D)
	@$(BIN)/uv pip install --quiet --python $(@D)/bin/python --exclude-newer $(PACKAGES_AS_OF) --group schema
	@touch $@

# The connection's form in a real browser. It needs a Chromium: apt-get install chromium.
test-form: $(VENV)/.ready
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirements dev/playwright.txt
	@$(BIN)/python -m pytest tests/live/form $(ARGS)

# The page of deliveries in a real browser, likewise. Some minutes.
.PHONY: test-page
test-page: $(VENV)/.ready
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirements dev/playwright.txt
	@$(BIN)/python -m pytest tests/live/page $(ARGS)

# Mutation testing: which small faults in the package the tests do not find. make mutation ARGS="--per-module 4"
.PHONY: mutation
mutation: $(VENV)/.ready
	@$(BIN)/python -m dev.mutation $(ARGS)

# What a live account tells about the assumptions of docs/assumptions.md: GET requests only, 60 at most, no data shown.
# It takes SEQUENCE_CLIENT_ID, SEQUENCE_CLIENT_SECRET and perhaps SEQUENCE_URL from the environment.
.PHONY: check-account
check-account: $(VENV)/.ready
	@$(BIN)/python -m dev.check_account

# What is new, gone or changed in a newer OpenAPI description of Sequence's: make vendor-diff SPEC=2024-07-30.product.json
.PHONY: vendor-diff
vendor-diff: $(VENV)/.ready
	@$(BIN)/python -m dev.vendor_diff $(SPEC)

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	AIRFLOW_HOME=$(CURDIR)/.cache/airflow $(BIN)/mypy
	$(BIN)/lint-imports

# Every warning fails it; nothing is downloaded.
docs: $(VENV)/.ready
	@$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --nitpicky --builder html docs .cache/docs
	@echo "The guides are in .cache/docs/index.html"

$(VENV)/.ready: pyproject.toml Makefile dev/uv.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed; set PYTHON to one."; exit 1; }
	@test ! -L $(VENV) || { echo "$(VENV) is a link; remove it: setting up would empty what it leads to."; exit 1; }
	@echo "Setting up $(VENV) with $(PYTHON): Airflow and what the tests need (a minute or two, once) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement dev/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --exclude-newer $(PACKAGES_AS_OF) \
		--editable '.[sandbox,postgres,duckdb]' --group dev --group databases --group docs '$(AIRFLOW)'
	@touch $@

# Every line of Airflow that is supported, each in an environment of its own: the unit and the integration tests, with the
# packages of the day of its release. Its constraints agree with those: they name what was newest on that day.
DAY_2.11.0 := 2025-05-20
DAY_2.11.2 := 2026-03-14
DAY_3.0.6 := 2025-08-29
DAY_3.1.0 := 2025-09-25
DAY_3.1.8 := 2026-03-11
DAY_3.2.2 := 2026-05-29
DAY_3.3.0 := 2026-07-06
DAY_3.3.2 := 2026-09-17

TESTS ?= tests/unit tests/integration
MATRIX := 2.11.2 3.0.6 3.1.8 3.2.2 3.3.2
# Airflow's provider for DuckDB is younger than all of them, and wants a common-sql that is younger than 3.0.6; and what the tests
# import from common-compat, because its place differs between releases, was not there yet.
LATER := --exclude-newer-package apache-airflow-providers-duckdb=$(PACKAGES_AS_OF)
LATER_3.0.6 := --exclude-newer-package apache-airflow-providers-common-sql=2025-11-05 \
	--exclude-newer-package apache-airflow-providers-common-compat=2026-03-14

test-matrix: $(addprefix test-airflow-,$(MATRIX))

test-airflow-%: $(VENV)/.ready
	@echo "Airflow $*"
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .cache/matrix/$*
	@$(BIN)/uv pip install --quiet --python .cache/matrix/$*/bin/python --compile-bytecode \
		--exclude-newer $(DAY_$*) $(LATER) $(LATER_$*) 'apache-airflow==$*' --editable '.[sandbox,postgres,duckdb]' --group dev
	@.cache/matrix/$*/bin/python -m pytest -n 2 $(TESTS) $(ARGS)

# The least that has to work with other versions than those of the tests above: the oldest ones that pyproject.toml lets in, and
# those of the day of another release.
BOUNDS := lowest 2.11.2 3.0.6 3.1.8 3.2.2 3.3.0 3.3.2
OLDEST := 2.11.0

.PHONY: test-bounds
test-bounds: $(addprefix test-bounds-,$(BOUNDS))

test-bounds-lowest: INSTALL = --resolution lowest-direct --exclude-newer $(DAY_$(OLDEST)) 'apache-airflow==$(OLDEST)'
test-bounds-%: INSTALL = --exclude-newer $(DAY_$*) 'apache-airflow==$*'
test-bounds-%: $(VENV)/.ready
	@echo "Bounds: $*"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .cache/bounds/$*
	@$(BIN)/uv pip install --quiet --python .cache/bounds/$*/bin/python --compile-bytecode $(INSTALL) \
		--requirements pyproject.toml --extra sandbox --group bounds
	@$(BIN)/uv pip install --quiet --python .cache/bounds/$*/bin/python --no-deps --editable .
	@.cache/bounds/$*/bin/python -m pytest tests/bounds $(ARGS)

# Both archives, and what comes of them: the wheel, installed without the checkout beside packages of the newest constraints,
# passes the tests of the sdist. With RELEASE=v1.2.3 the version and the project's address have to be those of a release.
NEWEST := 3.3.2
RELEASED := .cache/release
.PHONY: release-check
release-check: $(VENV)/.ready
	@test -z "$(RELEASE)" || { test "$(RELEASE)" = "v$$($(BIN)/python -c 'import airflow_provider_sequence as p; print(p.__version__)')" \
		&& ! grep -n ORGANISATION pyproject.toml .airflow-registry.yaml; }
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --exclude-newer $(PACKAGES_AS_OF) --group release
	@rm -rf dist $(RELEASED)
	@$(BIN)/python -m build --no-isolation --outdir dist
	@$(BIN)/python -m twine check --strict dist/*
	@mkdir -p $(RELEASED)
	@tar --extract --file dist/*.tar.gz --directory $(RELEASED) --strip-components 1
	@rm -r $(RELEASED)/airflow_provider_sequence
	@$(BIN)/uv venv --quiet --python $(BIN)/python $(RELEASED)/venv
	@$(BIN)/uv pip install --quiet --python $(RELEASED)/venv/bin/python --compile-bytecode --exclude-newer $(DAY_$(NEWEST)) \
		'apache-airflow==$(NEWEST)' "$$(ls dist/*.whl)[sandbox]" --group bounds hypothesis
	@cd $(RELEASED) && venv/bin/python -m pytest tests/bounds tests/unit $(ARGS)

clean:
	rm -rf $(VENV) .cache .demo .demo-celery .demo-ui dist

# The trainer on a CPU, with pictures and runs in the folder where it is called:
#
#   docker build --tag trainer .
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/work" trainer data=folder data.root=photos
#
# EXTRAS=timm,export,hub is added by --build-arg. Decoded pictures are kept from run to run with
# --volume trainer-cache:/home/trainer/.cache; workers that decode (data.workers) want --shm-size=1g.

FROM python:3.11-slim AS base
# The compiler is for our kernels, which are made for the processor that they run on: on the first run, not here.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
# Whoever it is run as, by --user, finds a home to write to.
RUN useradd --create-home trainer \
    && install --directory --mode=1777 /home/trainer /home/trainer/.cache /work
ENV HOME=/home/trainer \
    PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu \
    PIP_NO_CACHE_DIR=1

# What .devcontainer/ takes: what `make setup` needs, and nothing installed yet.
FROM base AS dev
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*
USER trainer

FROM base
WORKDIR /source
# What it depends on changes seldom: a layer of its own, in the versions that are tested together.
COPY pyproject.toml requirements.lock ./
ARG EXTRAS=
RUN python -c "import tomllib; said = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*said['dependencies'], *(each for extra in '$EXTRAS'.split(',') if extra \
for each in said['optional-dependencies'][extra]), sep='\n')" > /tmp/wanted \
    && pip install --constraint requirements.lock --requirement /tmp/wanted hatchling
COPY README.md LICENSE ./
COPY conf conf
COPY trainer trainer
RUN pip install --no-deps --no-build-isolation .
USER trainer
WORKDIR /work
ENTRYPOINT ["trainer"]

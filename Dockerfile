# CPU:   docker build --tag histoloom .
# CUDA:  docker build --tag histoloom:cuda --build-arg DEVICE=cu130 .
#
# DEVICE names one of PyTorch's own package indexes: cpu, cu126, cu128, cu130, ...; CUDA comes with those packages, so the
# machine needs no more than NVIDIA's driver and container toolkit.
ARG PYTHON=3.11
FROM python:${PYTHON}-slim-bookworm AS build
ARG DEVICE=cpu
# Extras of pyproject.toml with their brackets: [cloud] reads and writes buckets; [cloud,kubernetes-pool] and others.
ARG EXTRAS=[cloud]
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /opt/histoloom
COPY constraints.txt ./
# torch comes first and alone: the resolver then keeps that build. Its own index counts as the later version (2.13.0+cpu is
# after 2.13.0); what torch needs comes from the usual one, in the versions of constraints.txt.
RUN pip install --constraint constraints.txt --extra-index-url "https://download.pytorch.org/whl/${DEVICE}" torch
# What histoloom needs, before its code: a change of the code then makes one small layer anew.
COPY pyproject.toml README.md LICENSE ./
RUN mkdir flows models pipeline && pip install --constraint constraints.txt --editable ".${EXTRAS}"

FROM python:${PYTHON}-slim-bookworm
# tini passes signals on and buries what ended: a stop reaches the run, and workers leave no zombies.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-log-init --create-home --home-dir /home/histoloom histoloom
COPY --from=build /opt/venv /opt/venv
COPY . /opt/histoloom
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    DO_NOT_TRACK=1 \
    NUMBA_CACHE_DIR=/tmp/numba \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
# A number, so that Kubernetes can see that it is not root's.
USER 10001
WORKDIR /opt/histoloom
ENTRYPOINT ["tini", "--"]
CMD ["histoloom", "--help"]

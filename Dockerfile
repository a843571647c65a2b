# syntax=docker/dockerfile:1
# The course in JupyterLab. Without a graphics card:
#     docker build -t imgcls .
#     docker run --rm -it --init --shm-size 2g -p 127.0.0.1:8888:8888 -v imgcls:/home/learner imgcls
# With an NVIDIA card, where the driver and the NVIDIA Container Toolkit are installed:
#     docker build -t imgcls-cuda --build-arg TORCH=cu130 .
#     docker run --gpus all --rm -it --init --shm-size 2g -p 127.0.0.1:8888:8888 -v imgcls:/home/learner imgcls-cuda
# Then open the address that JupyterLab prints. Its token is new at each start; none is kept in the image.
FROM python:3.12.12-slim-bookworm@sha256:593bd06efe90efa80dc4eee3948be7c0fde4134606dd40d8dd8dbcade98e669c

# Which torch: cpu, or for a CUDA version, such as cu130
ARG TORCH=cpu
ENV PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/${TORCH} \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

# git and make are for Codespaces. They have no pins, because Debian serves one version of each.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 --shell /bin/bash learner \
    && install --directory --owner=learner --group=learner /home/learner/course

# The large packages come first, so that a change in imgcls doesn't download them again. Newest versions, as everywhere.
# hadolint ignore=DL3013
RUN pip install --no-cache-dir torch torchvision fastai timm jupyterlab

WORKDIR /opt/imgcls
COPY LICENSE MANIFEST.in README.md pyproject.toml settings.ini setup.py ./
COPY imgcls imgcls
RUN pip install --no-cache-dir .

# learner, as a number, for hosts that check that this is not root
USER 1000
WORKDIR /home/learner/course
COPY --chown=1000:1000 nbs/course .
EXPOSE 8888
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--port=8888", "--no-browser", "--LabApp.default_url=/lab/tree/01_first_classifier.ipynb"]

# One image for every node: head, drivers, workers, and the job that submits. Dependencies are the pins of pyproject.toml.
#   docker build -t pading:0.1.0 .                              from the index's build of torch, with CUDA
#   docker build -t pading:0.1.0-cpu --build-arg INDEX=https://download.pytorch.org/whl/cpu .
FROM python:3.11.13-slim-bookworm

ARG INDEX=https://pypi.org/simple
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

# A compiler for DeepSpeed's operators, wget for KubeRay's probes, rsync and ssh for the VM launcher.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential git openssh-client procps rsync wget \
    && rm -rf /var/lib/apt/lists/*

# Everything runs as this user; the id is the one that cluster/kubernetes asks for.
RUN useradd --uid 1000 --create-home --shell /bin/bash ray \
    && install --directory --owner ray --group ray /opt/pading /storage

# Dependencies first: they change less often than the code, and this layer takes minutes.
WORKDIR /opt/pading
COPY --chown=ray:ray pyproject.toml README.md ./
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; print(*p['dependencies'], sep='\n')" \
    > /tmp/requirements.txt \
    && torch="$(grep '^torch==' /tmp/requirements.txt)" \
    && pip install --index-url "$INDEX" --extra-index-url https://pypi.org/simple "$torch" \
    && pip install --requirement /tmp/requirements.txt boto3==1.40.0 psycopg2-binary==2.9.10 \
    && rm /tmp/requirements.txt

COPY --chown=ray:ray pading pading
COPY --chown=ray:ray cluster cluster
COPY --chown=ray:ray jobs jobs
COPY --chown=ray:ray tuning tuning
RUN pip install --no-deps .

USER ray
ENV RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
CMD ["pading", "--help"]

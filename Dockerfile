# For the processor: docker build -t nst .
# For an NVIDIA GPU: docker build -t nst-gpu --build-arg EXTRAS=cuda .
# docs/install.md shows how to run it.
FROM python:3.12-slim

ARG EXTRAS=figures
ENV NST_GRAPH_HOME=/weights MPLCONFIGDIR=/tmp/matplotlib

COPY setup.py pyproject.toml LICENSE /nst_graph/
COPY nst_graph /nst_graph/nst_graph
RUN pip install --no-cache-dir "/nst_graph[${EXTRAS}]" && nst-get-weights vgg19 && chmod -R a+rX /weights

WORKDIR /pictures
ENTRYPOINT ["nst-paint"]

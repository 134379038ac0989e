# kg for those who run it in a container:
#   docker build -t kg .
#   docker run --rm -v kg_home:/data -v ~/transcripts:/transcripts:ro -e OPENAI_API_KEY kg process /transcripts

FROM python:3.12-slim

WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY kg_batch kg_batch
COPY cli cli
COPY core_engine core_engine
COPY metrics metrics
RUN pip install --no-cache-dir --constraint constraints.txt . && rm -rf /src

# What a workspace holds is its owner's: one user, and a volume that is theirs.
RUN useradd --create-home --uid 1000 kg && mkdir /data /metrics && chown kg /data /metrics
USER kg
WORKDIR /data
ENV KG_HOME=/data/.kg
VOLUME ["/data", "/metrics"]

ENTRYPOINT ["kg"]
CMD ["--help"]

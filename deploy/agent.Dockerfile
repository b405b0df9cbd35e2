# The agent that runs inside a Kubernetes cluster (docs/clusters.md). Build from the project's folder:
#   docker build -f deploy/agent.Dockerfile -t registry.example.org/inference-portal-agent:0.1.0 .
FROM python:3.11-slim-bookworm
COPY requirements/agent.txt /tmp/agent.txt
RUN pip install --no-cache-dir --require-hashes -r /tmp/agent.txt && useradd --uid 10001 --no-create-home agent
COPY clusters/__init__.py /app/clusters/
COPY clusters/agent /app/clusters/agent
WORKDIR /app
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
ENTRYPOINT ["python", "-m", "clusters.agent.in_cluster"]

# vizlib's app for others: docs/operators.md says how to run it. The image was not built where it was written.
FROM python:3.11-slim

# torch from PyPI brings CUDA's libraries, several GB. Without a GPU build with
#   --build-arg PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
ARG PIP_EXTRA_INDEX_URL=""
ENV PIP_EXTRA_INDEX_URL=${PIP_EXTRA_INDEX_URL} PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1

WORKDIR /app
COPY requirements.txt requirements-real.txt constraints.txt ./
RUN pip install -c constraints.txt -r requirements.txt \
 && pip install --no-deps --require-hashes -r requirements-real.txt
COPY . .

# Nothing is written but below /tmp, which may be a tmpfs: uploads, weights that visitors fetch, caches.
ENV HOME=/tmp TMPDIR=/tmp VIZLIB_CACHE=/tmp/vizlib HF_HOME=/tmp/huggingface XDG_CACHE_HOME=/tmp/cache MPLCONFIGDIR=/tmp/matplotlib VIZLIB_SERVED=1
USER nobody
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
ENTRYPOINT ["python", "-m", "vizlib", "app", "--served", "--no-browser", "--address", "0.0.0.0", "--port", "8501"]

# Hivelog in a container: `hivelog serve` unless another command is given.
# Built in the versions of the lock file; runs as a user without rights.
FROM python:3.12-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/hivelog
WORKDIR /source
COPY pyproject.toml requirements.lock README.md LICENSE ./
# The lock file holds the tools of development too: only what the product and its demo need is installed,
# in the versions that it names.
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; print('\n'.join(p['dependencies'] + p['optional-dependencies']['demo'] + ['setuptools']))" > wanted.txt \
    && sed -E '/^ +--hash/d; s/ *\\$//; /^ +#/d; s/^([A-Za-z0-9_.-]+)\[[^]]*\]/\1/' requirements.lock > versions.txt \
    && /opt/hivelog/bin/pip install --requirement wanted.txt --constraint versions.txt
COPY . .
RUN /opt/hivelog/bin/pip install --no-deps --no-build-isolation .

FROM python:3.12-slim-bookworm
RUN useradd --system --uid 10001 --create-home --home-dir /home/hivelog hivelog \
    && mkdir -p /app/data && chown hivelog:hivelog /app/data
COPY --from=build /opt/hivelog /opt/hivelog
ENV PATH=/opt/hivelog/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HIVELOG_HOST=0.0.0.0 HIVELOG_DATA=/app/data LOG_FORMAT=json
USER hivelog
WORKDIR /app
VOLUME /app/data
EXPOSE 8889
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=5 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8889/health/ready', timeout=4)"]
ENTRYPOINT ["hivelog"]
CMD ["serve"]

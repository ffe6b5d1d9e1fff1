# One image for all flows; which of them runs is the command's to say.

FROM python:3.12.12-slim-bookworm AS build
WORKDIR /build
COPY requirements.lock pyproject.toml ./
# All wheels are checked against the hashes of the lock; what is only for development is then left behind.
RUN pip download --quiet --require-hashes --no-deps --dest /wheels -r requirements.lock
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > runtime.txt \
    && python -m venv /venv \
    && /venv/bin/pip install --quiet --no-index --find-links /wheels -r runtime.txt \
    && /venv/bin/pip check

FROM python:3.12.12-slim-bookworm
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin brewline
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 NUMBA_CACHE_DIR=/var/cache/brewline
WORKDIR /app
COPY alerts alerts
COPY features features
COPY operators operators
COPY flows flows
COPY config config
COPY brewline brewline
COPY board board
COPY sim sim
RUN install -d -o brewline /var/cache/brewline
USER 10001
RUN python -m brewline.compiled

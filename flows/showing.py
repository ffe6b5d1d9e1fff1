"""What every flow shows of itself, on its port of the settings."""

from __future__ import annotations

from config.settings import Settings, WrongSettings
from operators.health import Pulse, serve_health
from operators.traces import open_traces


def show_health(settings: Settings, name: str, pulse: Pulse) -> None:
    """Serves /metrics and /healthz. Raises WrongSettings when the port is taken."""
    metrics, port = settings.metrics, getattr(settings.metrics, name)
    try:
        serve_health(metrics.host, port, pulse)
    except OSError as error:
        raise WrongSettings(
            f"metrics cannot be served at {metrics.host}:{port} ({error.strerror}): name another port with"
            f" [metrics] {name} or BREWLINE_METRICS__{name.upper()}, or 0 for none"
        ) from error
    try:
        open_traces(settings.traces.endpoint, name)
    except ImportError as error:
        raise WrongSettings(
            f"[traces] endpoint: found {settings.traces.endpoint!r}, and OpenTelemetry is not installed:"
            " pip install 'brewline[traces]', or leave it empty"
        ) from error

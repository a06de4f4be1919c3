"""What Prometheus reads: the sum over all workers, by a collector of our own on a registry of our own.

Importing this imports ``prometheus_client``; the counting (:mod:`.metrics`) does without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from .mapped import Values, add
from .metrics import BUCKETS, FRAME_ROWS, FRAME_SECONDS, FRAMES, LABELS, LOST, OK, OTHER, REQUESTS, ROWS, SUM, Recorder

DOOR = ("model", "version", "door")


class Counter(NamedTuple):
    """One family: what of which kind of series is summed under the first of its labels."""

    name: str
    text: str
    labels: tuple[str, ...]
    kind: int
    value: Callable[[Sequence[float]], float]


COUNTERS = (
    Counter("carafe_requests", "Requests answered; code is ok, or the error's.", (*DOOR, "code"), REQUESTS, lambda cells: sum(cells[:SUM])),
    Counter("carafe_rows", "Rows answered.", DOOR[:2], REQUESTS, itemgetter(ROWS)),
    Counter("carafe_frames", "Frames that came back from hosts.", DOOR[:1], FRAMES, itemgetter(0)),
    Counter("carafe_frame_rows", "Rows in those frames.", DOOR[:1], FRAMES, itemgetter(FRAME_ROWS)),
    Counter("carafe_frame_seconds", "Seconds that hosts took for those frames.", DOOR[:1], FRAMES, itemgetter(FRAME_SECONDS)),
    Counter("carafe_journal_lost", "Predictions answered that the journal does not have.", DOOR[:1], LOST, itemgetter(0)),
)


class CarafeCollector(Collector):
    """Families made at each scrape; parameters as of :func:`exposition`."""

    def __init__(self, recorder: Recorder, ready: int, restarts: Mapping[str, int]) -> None:
        self._recorder, self._ready, self._restarts = recorder, ready, restarts

    def collect(self) -> Iterator[Metric]:
        values = {series: numbers for series, numbers in self._recorder.read().items() if series[1][:1] != (OTHER,) or any(numbers)}
        for counter in COUNTERS:
            yield _counted(values, counter)
        yield _errors(values)
        yield _latencies(values)
        restarts = CounterMetricFamily("carafe_host_restarts", "Hosts that had to be replaced.", labels=DOOR[:1])
        for model, times in self._restarts.items():
            restarts.add_metric([model], times)
        yield restarts
        yield GaugeMetricFamily("carafe_models_ready", "Models that can answer in this moment.", self._ready)


def _counted(values: Values, counter: Counter) -> CounterMetricFamily:
    family = CounterMetricFamily(counter.name, counter.text, labels=counter.labels)
    for texts, cells in _summed(values, counter.kind, len(counter.labels)).items():
        family.add_metric(texts, counter.value(cells))
    return family


def _errors(values: Values) -> CounterMetricFamily:
    """By model alone, for the alert that everybody wants first."""
    family = CounterMetricFamily("carafe_errors", "Requests answered with an error, by its code.", labels=("model", "code"))
    sums: dict[tuple[str, str], float] = {}
    for (kind, texts), cells in values.items():
        if kind == REQUESTS and len(texts) == LABELS[REQUESTS] and texts[3] != OK:
            sums[texts[0], texts[3]] = sums.get((texts[0], texts[3]), 0.0) + sum(cells[:SUM])
    for labels, value in sums.items():
        family.add_metric(labels, value)
    return family


def _latencies(values: Values) -> HistogramMetricFamily:
    family = HistogramMetricFamily("carafe_request_seconds", "From the request's body to its answer.", labels=DOOR)
    for texts, cells in _summed(values, REQUESTS, len(DOOR)).items():
        family.add_metric(texts, _buckets(cells), cells[SUM])
    return family


def _summed(values: Values, kind: int, labels: int) -> dict[tuple[str, ...], list[float]]:
    """The series of ``kind`` by the first ``labels`` of their labels."""
    sums: Values = {}
    for (series_kind, texts), cells in values.items():
        if series_kind == kind and len(texts) == LABELS[kind]:
            add(sums, (kind, texts[:labels]), cells)
    return {texts: cells for (_, texts), cells in sums.items()}


def _buckets(cells: Sequence[float]) -> list[tuple[str, float]]:
    """Cumulative, as Prometheus wants them: ``[("0.0005", 3.0), …, ("+Inf", 9.0)]``."""
    total, buckets = 0.0, []
    for bound, number in zip((*map(str, BUCKETS), "+Inf"), cells, strict=False):
        total += number
        buckets.append((bound, total))
    return buckets


def exposition(recorder: Recorder, ready: int, accept: str = "", restarts: Mapping[str, int] | None = None) -> tuple[bytes, str]:
    """The page ``/metrics``: body and Content-Type; Prometheus text, or OpenMetrics where ``accept`` asks for it.

    The registry lives as long as the call, so two applications in one process share nothing.

    :param ready: how many models can answer in this moment, from the routing table.
    :param restarts: model -> how often a host of it had to be replaced; the steward counts them in the same table.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(CarafeCollector(recorder, ready, restarts or {}))
    try:
        encoder, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # it wants a version that is no number
        encoder, content_type = choose_encoder("")
    return encoder(registry), content_type

"""Which process keeps a served model from answering more requests, and what to do about it. Numbers in, sentences out."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .bench import Busy, Level

FULL = 0.85  # of a CPU: a process that waits for sockets in between never reaches all of it
ALL_FULL = 0.85  # of all CPUs together
MUCH = 0.25  # of a CPU, by programs that are no part of this
CHEAPER = "Make the model cheaper to ask: compiled to ONNX, or with fewer trees or words. More web workers do not help."
LOOK = "To see which process is the limit, run it on the server's machine and with its --home."


class Limit(msgspec.Struct):
    """``what``: ``host``, ``web``, ``load``, ``cpus``, ``wait``, ``failures`` or ``unknown``; ``text`` a sentence, ``hint`` the next step."""

    what: str
    text: str
    hint: str


def limit(levels: Sequence[Level]) -> Limit:
    """The limit at the level with most answers a second.

    >>> from .load import Counts
    >>> counts = Counts(answered=1200, seconds=2.0, p50_s=0.1, p99_s=0.2, slowest_s=0.3, failed={}, first_failure="", different=0, cpu_s=0.2)
    >>> busy = Busy(web=[0.3], hosts=[0.98], load=0.1, machine=0.7, cpus=2, server_cpus=2)
    >>> found = limit([Level(connections=64, per_s=600.0, counts=counts, rows_a_frame=21.0, busy=busy)])
    >>> print(found.what, found.text)
    host The model's process is the limit: 98 % of a CPU at 64 connections, 1.63 ms a row.
    """
    best = max(levels, key=lambda level: level.per_s)
    if not best.counts.answered:
        return Limit("failures", "No request was answered in time.", "Look at the server's log, or give --seconds 30.")
    if best.busy is None:
        return Limit("unknown", f"Most requests a second: {best.per_s:,.0f}, with {best.connections} at the same time.", LOOK)
    return _of(best, best.busy)


def _of(level: Level, busy: Busy) -> Limit:
    at = f"at {level.connections} connection{'s' * (level.connections > 1)}"
    web, host = max(busy.web, default=0.0), max(busy.hosts, default=0.0)
    if busy.load >= FULL and busy.load >= max(web, host):
        text = f"The load generator is the limit: {_percent(busy.load)} of a CPU {at}, so the server can do more than this."
        return Limit("load", text, "Run several at the same time, from another machine: carafe bench MODEL --url …")
    if host >= FULL and host >= web:
        row_ms = host * level.counts.seconds / level.counts.answered * 1000
        return Limit("host", f"The model's process is the limit: {_percent(host)} of a CPU {at}, {row_ms:.2f} ms a row.", CHEAPER)
    if web >= FULL:
        return _web(level, busy, at)
    if busy.machine >= ALL_FULL or sum(busy.web) + sum(busy.hosts) >= ALL_FULL * busy.server_cpus:
        return _cpus(busy, at)
    text = f"No process is at its limit {at}: the answers wait for something else, as a model does that sleeps or asks a network."
    return Limit("wait", text, "Try more connections, as --connections 256; if it stays so, look at what the model waits for.")


def _web(level: Level, busy: Busy, at: str) -> Limit:
    count, least, request_ms = len(busy.web), min(busy.web), sum(busy.web) / level.per_s * 1000
    if least < FULL:
        text = f"One web worker of {count} is the limit: {_percent(max(busy.web))} of a CPU {at}, another has {_percent(least)}."
        return Limit("web", text, "The system spreads connections, not requests: with more of them the workers share better.")
    who = "The web worker is" if count == 1 else f"All {count} web workers are"
    text = f"{who} the limit: {_percent(least)} of a CPU {at}, {request_ms:.3f} ms a request."
    if count < busy.server_cpus:
        return Limit("web", text, f"Start more of them: --workers {count + 1}. Or send several rows in a request.")
    return Limit("web", text, f"There are as many as CPUs ({busy.server_cpus}): send several rows in a request, or use a machine with more.")


def _cpus(busy: Busy, at: str) -> Limit:
    web, hosts = sum(busy.web), sum(busy.hosts)
    shares = f"web {_percent(web)}, model {_percent(hosts)}"
    if busy.machine < ALL_FULL:
        return Limit("cpus", f"The server's CPUs ({busy.server_cpus} of {busy.cpus}) are in use {at}: {shares} of one.", "Let it use more of them.")
    others = max(0.0, busy.machine * busy.cpus - web - hosts - busy.load)
    shares += f", load generator {_percent(busy.load)}, others {_percent(others)}"
    text = f"All {busy.cpus} CPUs of this machine are in use {at}: {shares} of one."
    if others >= MUCH:
        return Limit("cpus", text, "Other programs take their part: end them and measure again.")
    return Limit("cpus", text, "Server and load generator take them from each other: measure from another machine with --url.")


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"

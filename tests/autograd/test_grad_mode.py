"""Grad modes as decorators: with and without parentheses, on generators, nested."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import fastnn

X = fastnn.ones(1, requires_grad=True)


def test_without_parentheses() -> None:
    @fastnn.no_grad
    def off() -> bool:
        return fastnn.is_grad_enabled()

    @fastnn.enable_grad
    def on() -> bool:
        return fastnn.is_grad_enabled()

    @fastnn.inference_mode
    def inference() -> bool:
        return fastnn.is_inference_mode_enabled() and not fastnn.is_grad_enabled()

    assert not off()
    assert inference()
    with fastnn.no_grad():
        assert on()
    assert fastnn.is_grad_enabled()


def test_set_grad_enabled_as_a_decorator() -> None:
    @fastnn.set_grad_enabled(False)
    def off() -> bool:
        return fastnn.is_grad_enabled()

    assert fastnn.is_grad_enabled()
    assert not off()
    assert fastnn.is_grad_enabled()


def test_generators() -> None:
    @fastnn.no_grad()
    def steps() -> Iterator[bool]:
        got = yield fastnn.is_grad_enabled()
        assert got == 7
        yield fastnn.is_grad_enabled()
        return 3

    running = steps()
    assert next(running) is False
    assert fastnn.is_grad_enabled()
    assert running.send(7) is False  # type: ignore[attr-defined]
    assert fastnn.is_grad_enabled()
    with pytest.raises(StopIteration, match="3"):
        next(running)
    closed = steps()
    next(closed)
    closed.close()  # type: ignore[attr-defined]
    assert fastnn.is_grad_enabled()

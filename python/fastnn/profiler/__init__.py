"""Where the time goes: operations, their gradients, and modules, as a table or a Chrome trace.

>>> import fastnn
>>> from fastnn.profiler import ProfilerActivity, profile, record_function
>>> with profile(activities=[ProfilerActivity.CPU]) as prof:
...     with record_function("square"):
...         y = fastnn.ones(3) * fastnn.ones(3)
>>> [row.key for row in prof.key_averages()]
['square', 'ones', 'mul']
"""

from __future__ import annotations

from ._events import Event, EventAverage, EventList
from ._profile import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    schedule,
    tensorboard_trace_handler,
)
from ._recorder import record_function

__all__ = [
    "Event",
    "EventAverage",
    "EventList",
    "ProfilerAction",
    "ProfilerActivity",
    "profile",
    "record_function",
    "schedule",
    "tensorboard_trace_handler",
]

"""Writes tfevents_test.bin, the bytes that tensorboard itself writes, and reads an event file back.

pip install tensorboard==2.21.0 "setuptools<81"
python tfevents_test.py                 writes the frozen bytes
python tfevents_test.py <event file>    prints what TensorBoard reads of it: step, name, value
"""
import io
import math
import pathlib
import sys

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


def scalars(wall_time, step, values):
    summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values])
    return Event(wall_time=wall_time, step=step, summary=summary)


if len(sys.argv) > 1:
    for raw in RawEventFileLoader(sys.argv[1]).Load():
        event = Event.FromString(raw)
        for value in event.summary.value:
            print(event.step, value.tag, value.simple_value)
else:
    file = io.BytesIO()
    file.close = lambda: None
    writer = RecordWriter(file)
    writer.write(Event(wall_time=1_700_000_000.5, file_version="brain.Event:2").SerializeToString())
    writer.write(scalars(1_700_000_001.0, 300, [("train/loss", 0.25), ("val/accuracy", 0.75)]).SerializeToString())
    writer.write(scalars(1_700_000_002.0, 301, [("val/loss", math.nan)]).SerializeToString())
    writer.flush()
    (pathlib.Path(__file__).parent / "tfevents_test.bin").write_bytes(file.getvalue())

"""The reader of pickled batches: plain data come out, and nothing is ever executed."""

import contextlib
import os
import pickle
import pickletools
import struct

import numpy as np
import pytest

from fastnn.vision.datasets.pickled import read_batch

DATA = np.arange(24, dtype=np.uint8).reshape(2, 12)
BATCH = {
    "batch_label": "training batch 1 of 5",
    "labels": [6, 9],
    "data": DATA,
    "filenames": ["a", "b"],
}


def python2_batch():
    """BATCH as Python 2's cPickle and NumPy wrote it: str as BINSTRING, labels as BININT1."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    def names(module, name):
        return b"c" + module + b"\n" + name + b"\n"

    content = DATA.tobytes()
    dtype = (
        names(b"numpy", b"dtype") + text(b"u1") + b"K\0K\x01\x87Rq\x0a(K\x03" + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    )  # fmt: skip
    array = (
        names(b"numpy.core.multiarray", b"_reconstruct")
        + b"q\x04" + names(b"numpy", b"ndarray") + b"q\x05K\0\x85" + text(b"b") + b"\x87Rq\x06(K\x01"
        + b"K\x02K\x0c\x86" + dtype + b"\x89T" + struct.pack("<i", len(content)) + content + b"tb"
    )  # fmt: skip
    return (
        b"\x80\x02}q\x01(" + text(b"batch_label") + b"q\x02" + text(b"training batch 1 of 5")
        + text(b"labels") + b"]q\x03(K\x06K\x09e" + text(b"data") + array
        + text(b"filenames") + b"]q\x07(" + text(b"a") + text(b"b") + b"eu."
    )  # fmt: skip


def check(result):
    assert list(result) == list(BATCH)
    assert result["labels"] == [6, 9]
    assert result["data"].dtype == np.uint8
    np.testing.assert_array_equal(result["data"], DATA)
    assert result["filenames"] in (["a", "b"], [b"a", b"b"])


def test_a_batch_of_python_2(tmp_path):
    path = tmp_path / "batch"
    path.write_bytes(python2_batch())
    # The fixture is what Python takes it for.
    np.testing.assert_array_equal(pickle.loads(path.read_bytes(), encoding="latin1")["data"], DATA)
    check(read_batch(path))


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_batch_of_python_3(tmp_path, protocol, order):
    path = tmp_path / "batch"
    batch = {**BATCH, "data": np.array(DATA, order=order)}
    path.write_bytes(pickle.dumps(batch, protocol))
    check(read_batch(path))
    path.write_bytes(pickletools.optimize(pickle.dumps(batch, protocol)))
    check(read_batch(path))


def test_every_cut_is_an_error(tmp_path):
    path = tmp_path / "batch"
    content = python2_batch()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=f"batch: not a readable.*{length} bytes"):
            read_batch(path)


def test_changed_bytes_give_data_or_an_error(tmp_path):
    path = tmp_path / "batch"
    content = python2_batch()
    for position in range(len(content)):
        for flip in (0x01, 0x20, 0x80, 0xFF):
            changed = bytearray(content)
            changed[position] ^= flip
            path.write_bytes(changed)
            with contextlib.suppress(ValueError):  # anything else fails the test
                assert isinstance(read_batch(path), dict)


class Evil:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    "call",
    [(os.mkdir,), (eval, "1"), (getattr, "x", "upper"), (np.dtype, "f8"), (np.fromfile, "x")],
)
def test_calls_are_refused(tmp_path, call, protocol):
    victim = tmp_path / "made by the pickle"
    evil = Evil(os.mkdir, str(victim)) if call == (os.mkdir,) else Evil(*call)
    path = tmp_path / "batch"
    path.write_bytes(pickle.dumps({"data": evil}, protocol))
    with pytest.raises(ValueError, match=r"asks to call .* refused|has no place"):
        read_batch(path)
    assert not victim.exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "expected a dict"),
        ({"x": 1.5}, "BINFLOAT has no place"),
        ({"x": {1, 2}}, "refused|no place"),
        ({"x": np.zeros(2)}, "refused"),
        ({"x": np.ndarray}, "Symbol where data"),
        ({("a",): 1}, "key that is not"),
    ],
)
def test_other_types_are_refused(tmp_path, value, message):
    path = tmp_path / "batch"
    path.write_bytes(pickle.dumps(value, 2))
    with pytest.raises(ValueError, match=message):
        read_batch(path)


def test_a_shape_that_does_not_fit_its_bytes(tmp_path):
    path = tmp_path / "batch"
    content = python2_batch()
    path.write_bytes(content.replace(b"K\x02K\x0c\x86", b"K\x7fK\x7f\x86"))
    with pytest.raises(ValueError, match=r"\(127, 127\) needs 16129 bytes, found 24"):
        read_batch(path)


def test_nested_references_do_not_grow(tmp_path):
    # Thirty tuples, each holding the one before twice: a billion elements to whoever copies or prints them.
    body = b"]q\0"
    for level in range(30):
        body += b"h" + bytes([level]) + b"\x86q" + bytes([level + 1])
    path = tmp_path / "batch"
    path.write_bytes(b"\x80\x02}U\x01x" + body + b"s.")
    size = len(read_batch(path)["x"])
    assert size == 2
    path.write_bytes(b"\x80\x02" + body + b"h\x1eR.")
    with pytest.raises(ValueError, match="asks to call a tuple, which is refused"):
        read_batch(path)

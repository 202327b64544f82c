"""PyTorch's checkpoints by hand: what is read, and that hostile files are refused without harm."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from typing import Any

import numpy as np
import pytest

import fastnn

FOUR = np.arange(4, dtype=np.float32)


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def number(value: int) -> bytes:
    if 0 <= value < 256:
        return b"K" + bytes([value])
    raw = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def numbers(values: Any) -> bytes:
    return b"(" + b"".join(number(v) for v in values) + b"t"


def storage(
    kind: str = "FloatStorage", key: str = "0", numel: int = 4, place: str = "cpu"
) -> bytes:
    return b"(" + text("storage") + name("torch", kind) + text(key) + text(place) + number(numel) + b"tQ"  # fmt: skip


def tensor(
    size: Any = (4,),
    stride: Any = (1,),
    offset: int = 0,
    of: bytes | None = None,
    grad: bool = False,
) -> bytes:
    hooks = name("collections", "OrderedDict") + b")R"
    return (
        name("torch._utils", "_rebuild_tensor_v2") + b"(" + (of or storage()) + number(offset)
        + numbers(size) + numbers(stride) + (b"\x88" if grad else b"\x89") + hooks + b"tR"
    )  # fmt: skip


def program(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


def archive(
    body: bytes,
    data: dict[str, bytes] | None = None,
    extra: dict[str, bytes] | None = None,
    compression: int = zipfile.ZIP_STORED,
) -> bytes:
    entries = {"m/data.pkl": program(body)}
    entries |= {f"m/data/{k}": v for k, v in ({"0": FOUR.tobytes()} if data is None else data).items()}  # fmt: skip
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as z:
        for key, value in (entries | (extra or {})).items():
            z.writestr(key, value)
    return out.getvalue()


def load(content: bytes, **options: Any) -> Any:
    return fastnn.load(io.BytesIO(content), **options)


def test_a_tensor() -> None:
    t = load(archive(tensor()))
    assert t.dtype is fastnn.float32
    assert t.tolist() == [0, 1, 2, 3]
    t[0] = 5  # memory of its own
    assert load(archive(tensor(grad=True))).requires_grad


def test_strides_and_shared_storages() -> None:
    a = tensor((2, 2), (1, 2))
    b = tensor((2,), (1,), 2)
    result = load(
        archive(b"](" + a + b + tensor((3, 4), (0, 1)) + tensor((0, 7), (9, 9), 3) + b"e")
    )
    assert result[0].tolist() == [[0, 2], [1, 3]]
    result[1][0] = 9
    assert result[0].tolist() == [[0, 9], [1, 3]]
    assert result[2].shape == (3, 4)
    assert result[3].shape == (0, 7)
    with pytest.raises(RuntimeError, match="read-only"):
        result[2].zero_()


def test_byte_order() -> None:
    for code, kind, item in (("f4", "FloatStorage", 4), ("i8", "LongStorage", 8), ("u2", "BFloat16Storage", 2), ("u1", "ByteStorage", 1)):  # fmt: skip
        values = np.arange(4, dtype=code)
        for order, char in ((b"little", "<"), (b"big", ">")):
            content = archive(
                tensor(of=storage(kind)),
                {"0": values.astype(values.dtype.newbyteorder(char)).tobytes()},
                {"m/byteorder": order},
            )
            t = load(content)
            assert t.element_size() == item
            assert t.numpy().tobytes() == values.tobytes()
    with pytest.raises(ValueError, match="byte order is b'middle'"):
        load(archive(tensor(), extra={"m/byteorder": b"middle"}))


def test_bools_of_other_bytes() -> None:
    t = load(archive(tensor(of=storage("BoolStorage")), {"0": b"\x00\x01\x07\xff"}))
    assert t.numpy().tobytes() == b"\x00\x01\x01\x01"


def test_map_location() -> None:
    content = archive(tensor(of=storage(place="cuda:0")))
    places: list[Any] = [
        None,
        "cpu",
        fastnn.device("cpu"),
        {"cuda:0": "cpu"},
        {},
        lambda s, place: s,
    ]
    for place in places:
        assert load(content, map_location=place).tolist() == [0, 1, 2, 3]
    for place in ("nowhere", {"cuda:0": "nowhere"}, lambda s, place: "nowhere"):
        with pytest.raises(ValueError, match="map_location.*nowhere"):
            load(content, map_location=place)


def test_mapped(tmp_path: Any) -> None:
    path = tmp_path / "m.pt"
    content = archive(b"](" + tensor() + tensor((2,), (1,), 1) + b"e")
    path.write_bytes(content)
    a, b = fastnn.load(path, mmap=True)
    assert a.tolist() == [0, 1, 2, 3]
    a[1] = 7
    assert b.tolist() == [7, 2]
    assert path.read_bytes() == content
    assert a.data_ptr() % 4 == 0


ODD = np.iinfo(np.int64).max
HOSTILE: dict[str, tuple[bytes, str]] = {
    "call": (archive(name("os", "system") + text("true") + b"\x85R"), "asks for os.system, which is refused"),
    "eval": (archive(name("builtins", "eval") + text("1") + b"\x85R"), "asks for builtins.eval"),
    "stack_global": (archive(text("os") + text("system") + b"\x93" + b")R"), "asks for os.system"),
    "getattr": (archive(name("torch", "load") + b")R"), "asks for torch.load"),
    "dotted": (archive(name("torch", "_utils.os.system") + b")R"), "refused"),
    "model": (archive(name("torch.nn.modules.linear", "Linear") + b")\x81"), "Linear, which is refused; save a model's state_dict"),
    "numpy": (archive(name("numpy.core.multiarray", "scalar") + b")R"), "refused; save NumPy's numbers as Python's"),
    "inst": (archive(b"(ios\nsystem\n"), "opcode INST has no place"),
    "newobj": (archive(name("collections", "OrderedDict") + b")\x81"), "opcode NEWOBJ has no place"),
    "ext": (archive(b"\x82\x01"), "opcode EXT1 has no place|extension"),
    "build": (archive(b"}}b"), "cannot set the state of a dict"),
    "build_ordered": (archive(name("collections", "OrderedDict") + b")R}" + text("items") + b"Nsb"), "cannot set the state"),
    "build_tensor": (archive(tensor() + b"}" + text("_data") + b"Nsb"), "cannot set the state of a Tensor"),
    "symbol_left": (archive(name("torch", "FloatStorage")), "stands where data are expected"),
    "symbol_inside": (archive(b"]" + name("torch", "Size") + b"a"), "torch.Size stands where data"),
    "storage_left": (archive(storage()), "a storage stands where data"),
    "call_of_data": (archive(b"]" + b")R"), "asks to call a list"),
    "arguments": (archive(name("torch", "Size") + text("x") + b"\x85R"), "torch.Size with arguments"),
    "bad_reference": (archive(b"NQ"), "not to a storage"),
    "negative_numel": (archive(tensor(of=b"(" + text("storage") + name("torch", "FloatStorage") + text("0") + text("cpu") + b"J\xff\xff\xff\xfftQ")), "not to a storage"),
    "other_storage": (archive(tensor(of=storage(numel=5))), "16 bytes, its tensors need 20"),
    "huge_storage": (archive(tensor(of=storage(numel=2**62))), "its tensors need"),
    "absent_storage": (archive(tensor(of=storage(key="1"))), "no entry 'm/data/1'"),
    "path": (archive(tensor(of=storage(key="../data.pkl"))), "no entry 'm/data/../data.pkl'"),
    "absolute": (archive(tensor(of=storage(key="/etc/passwd"))), "no entry"),
    "two_kinds": (archive(b"](" + tensor() + tensor(of=storage("IntStorage")) + b"e"), "described in two ways"),
    "beyond": (archive(tensor((5,))), "in a storage of 4 elements"),
    "beyond_by_stride": (archive(tensor((2, 2), (3, 1))), "in a storage of 4 elements"),
    "beyond_by_offset": (archive(tensor((2,), (1,), 3)), "in a storage of 4 elements"),
    "overflow": (archive(tensor((2,), (ODD,))), "in a storage of 4 elements"),
    "overflow_size": (archive(tensor((ODD, ODD), (0, 0))), "too big|too large|Maximum|maximum|bytes"),
    "negative": (archive(tensor((2,), (1,)).replace(numbers((1,)), b"J\xff\xff\xff\xff\x85", 1)), "stride"),
    "dims": (archive(tensor((1,) * 65, (1,) * 65)), "65 dims"),
    "ranks": (archive(tensor((2, 2), (1,))), "size .* stride"),
    "complex": (archive(tensor(of=storage("ComplexFloatStorage"))), "complex64, which fastnn does not have"),
    "dtype": (archive(name("torch", "uint16")), "uint16, which fastnn does not have"),
    "quantized": (archive(tensor(of=storage("QInt8Storage"))), "asks for torch.QInt8Storage"),
    "integer_grad": (archive(tensor(of=storage("IntStorage"), grad=True)), "requires grad"),
    "unhashable": (archive(b"}]Ns"), "a key that is not one of"),
    "deep_key": (archive(b"}N" + b"\x85" * 100_000 + b"Ns"), "a key that is not one of"),
    "odd_items": (archive(b"}(Nu"), "a key without a value"),
    "no_mark": (archive(b"Nu"), "without a beginning"),
    "empty": (archive(b""), "too few"),
    "unknown_entry": (archive(b"h\x07"), "entry 7, which does not exist"),
    "two_pickles": (archive(b"N", extra={"x/data.pkl": b""}), "no PyTorch checkpoint"),
    "script": (archive(b"N", extra={"m/code/a.py": b""}), "TorchScript"),
    "compressed": (archive(tensor(), {"0": b"\0" * 16}, compression=zipfile.ZIP_DEFLATED), "compressed"),
    "attribute": (archive(name("torch._utils", "_rebuild_parameter_with_state") + b"(" + tensor() + b"\x88N}" + text("_data") + b"NstR"), "attribute '_data'"),
}  # fmt: skip


@pytest.mark.parametrize("which", HOSTILE)
def test_hostile(which: str) -> None:
    content, message = HOSTILE[which]
    with pytest.raises(ValueError, match=rf"^load: the file: .*({message})"):
        load(content)


def test_bombs() -> None:
    body = b"]q\0"
    for level in range(
        60
    ):  # lists that hold the one before twice: 2**60 elements to whoever walks them all
        body += b"](h" + bytes([level]) + b"h" + bytes([level]) + b"eq" + bytes([level + 1])
    assert len(load(archive(body))) == 2
    deep = load(archive(b"N" + b"\x85" * 100_000))
    assert len(deep) == 1
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("m/data.pkl", program(tensor(of=storage(numel=2**24))))
        z.writestr("m/data/0", b"\0" * 2**26)
    assert len(out.getvalue()) < 2**17
    with pytest.raises(ValueError, match="larger than the file"):
        load(out.getvalue())


def test_names_that_come_twice() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("m/data.pkl", program(b"N"))
        with pytest.warns(UserWarning, match="Duplicate"):
            z.writestr("m/data.pkl", program(b"N"))
    with pytest.raises(ValueError, match="several entries of one name"):
        load(out.getvalue())


def test_every_cut_is_an_error() -> None:
    content = archive(tensor())
    for length in range(4, len(content)):
        with pytest.raises(ValueError, match="load: "):
            load(content[:length])


def test_changed_bytes_give_data_or_an_error() -> None:
    content = archive(b"}" + text("w") + tensor() + b"s", extra={"m/byteorder": b"little"})
    for position in range(len(content)):
        for flip in (0x01, 0x20, 0x80, 0xFF):
            changed = bytearray(content)
            changed[position] ^= flip
            try:
                load(bytes(changed))
            except ValueError as error:
                assert str(error).startswith("load: ")  # noqa: PT017 - anything else fails the test


def test_a_damaged_storage() -> None:
    content = bytearray(archive(tensor()))
    content[content.index(FOUR.tobytes())] ^= 1
    with pytest.raises(ValueError, match="checksum of entry 'm/data/0' is wrong"):
        load(bytes(content))


def test_nothing_runs(tmp_path: Any) -> None:
    victim = tmp_path / "made"

    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(victim),)

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        body = pickle.dumps({"a": Evil()}, protocol)
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as z:
            z.writestr("m/data.pkl", body)
        with pytest.raises(ValueError, match="mkdir, which is refused|refused"):
            load(out.getvalue())
    assert not victim.exists()

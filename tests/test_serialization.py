"""save and load: round trips, other programs' files, hostile files, atomicity."""

import io
import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import zlib
from collections import Counter, OrderedDict, defaultdict

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

import fastnn
from fastnn import nn

SUPPORTED = [
    np.float64, np.float32, np.float16, ml_dtypes.bfloat16, np.int64, np.int32, np.int16,
    np.int8, np.uint8, np.bool_,
]  # fmt: skip


def dumps(obj):
    file = io.BytesIO()
    fastnn.save(obj, file)
    return file.getvalue()


def loads(content):
    return fastnn.load(io.BytesIO(content))


def round_trip(obj):
    return loads(dumps(obj))


def assert_same(a, b):
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif isinstance(a, (fastnn.Tensor, np.ndarray)):
        x, y = (v.detach().numpy() if isinstance(v, fastnn.Tensor) else v for v in (a, b))
        assert (x.dtype, x.shape) == (y.dtype, y.shape)
        assert x.tobytes() == y.tobytes()
        assert getattr(a, "requires_grad", None) == getattr(b, "requires_grad", None)
    else:
        assert repr(a) == repr(b)


CHECKPOINT = {
    "model": {"weight": fastnn.tensor([[1.0, -2.5], [3.0, 0.0]]), "steps": fastnn.tensor(7)},
    "optimizer": {
        "state": {0: {"step": 3, "exp_avg": fastnn.zeros(2, 2)}, 1: {}},
        "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999), "params": [0, 1], "foreach": None}],
    },
    "text": 'Grüße, "quoted"\n\ud800',
    "big": 2**100,
    "flags": [True, False],
    "floats": [float("nan"), float("inf"), -float("inf"), -0.0, 1e-300],
    (1, "a"): OrderedDict(b=1, a=2),
    "": (),
}


def test_nested_structures():
    assert_same(round_trip(CHECKPOINT), CHECKPOINT)


@pytest.mark.parametrize("obj", [None, 3, "x", [], {}, (), fastnn.tensor(1.5), [[[]]]])
def test_single_objects(obj):
    assert_same(round_trip(obj), obj)


@pytest.mark.parametrize("dtype", SUPPORTED)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3), (1, 2, 3, 4)])
def test_dtypes_and_shapes(dtype, shape):
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    assert_same(round_trip([array, fastnn.from_numpy(array)]), [array, fastnn.from_numpy(array)])


def test_layouts():
    base = np.arange(24.0).reshape(2, 3, 4)
    views = [base.T, base[::-1, :, ::2], np.broadcast_to(base[0, 0], (5, 4)), base.astype(">f8")]
    for result, view in zip(round_trip(views), views, strict=True):
        np.testing.assert_array_equal(result, view)
        assert result.dtype.isnative
        assert result.flags.writeable


def test_special_values_keep_their_bits():
    bits = np.array([0x7FC00001, 0xFF800000, 0x80000000, 0x00000001], np.uint32).view(np.float32)
    assert round_trip(bits).tobytes() == bits.tobytes()


def test_tied_weights_are_stored_once_and_stay_tied():
    weight = fastnn.zeros(1000)
    content = dumps({"encoder": weight, "decoder": weight, "again": weight.detach()})
    assert len(content) < 5500
    loaded = loads(content)
    loaded["encoder"].numpy()[0] = 5
    assert loaded["decoder"][0].item() == loaded["again"][0].item() == 5


def test_overlapping_views_are_stored_apart():
    base = fastnn.from_numpy(np.arange(6.0))
    assert_same(round_trip([base, base[1:], base[:5]]), [base, base[1:], base[:5]])


def test_requires_grad_and_parameters():
    leaf = fastnn.ones(2).requires_grad_()
    parameter, frozen = nn.Parameter(fastnn.ones(3)), nn.Parameter(fastnn.ones(1), False)
    result = round_trip([leaf, parameter, frozen, leaf * 2])
    assert [t.requires_grad for t in result] == [True, True, False, True]
    assert [isinstance(t, nn.Parameter) for t in result] == [False, True, True, False]
    assert all(t.is_leaf for t in result)


def test_names_that_collide():
    obj = {"a.b": fastnn.zeros(1), "a": {"b": fastnn.ones(1)}, "__metadata__": fastnn.ones(2)}
    assert_same(round_trip(obj), obj)


def test_model_and_optimizer(tmp_path):
    def make():
        model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        return model, fastnn.optim.Adam(model.parameters(), lr=0.01)

    def step(model, optimizer):
        optimizer.zero_grad()
        model(fastnn.ones(2, 3)).sum().backward()
        optimizer.step()

    model, optimizer = make()
    step(model, optimizer)
    path = tmp_path / "checkpoint.safetensors"
    fastnn.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
    step(model, optimizer)

    again, again_optimizer = make()
    checkpoint = fastnn.load(path)
    again.load_state_dict(checkpoint["model"])
    again_optimizer.load_state_dict(checkpoint["optimizer"])
    step(again, again_optimizer)
    for a, b in zip(model.parameters(), again.parameters(), strict=True):
        assert a.detach().numpy().tobytes() == b.detach().numpy().tobytes()


# -- the format --------------------------------------------------------------------------------------------


def test_other_programs_read_a_state_dict(tmp_path):
    path = tmp_path / "model.safetensors"
    fastnn.save({"a.weight": fastnn.ones(2, 2), "a.bias": fastnn.zeros(2)}, path)
    arrays = safetensors.numpy.load_file(path)
    assert sorted(arrays) == ["a.bias", "a.weight"]
    np.testing.assert_array_equal(arrays["a.weight"], np.ones((2, 2)))


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_a_safetensors_file_from_elsewhere(tmp_path, metadata):
    arrays = {"w": np.ones((2, 2), np.float32), "h": np.ones(3, ml_dtypes.bfloat16)}
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(arrays, path, metadata)
    loaded = fastnn.load(path)
    assert sorted(loaded) == ["h", "w"]
    for name, array in arrays.items():
        assert_same(loaded[name], fastnn.from_numpy(array))


def test_bfloat16_is_read_by_others():
    array = np.array([1.5, -2.0], ml_dtypes.bfloat16)
    header_size = int.from_bytes(dumps({"x": array})[:8], "little")
    content = dumps({"x": array})
    header = json.loads(content[8 : 8 + header_size])
    assert header["x"] == {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}
    assert content[8 + header_size :] == array.tobytes()


def test_paths_and_files(tmp_path):
    for path in (tmp_path / "a", str(tmp_path / "b")):
        fastnn.save(CHECKPOINT, path)
        assert_same(fastnn.load(path), CHECKPOINT)
        with open(path, "rb") as file:
            assert_same(fastnn.load(file, map_location="cpu"), CHECKPOINT)
        for place in (fastnn.device("cpu"), {"cuda:0": "cpu"}, lambda storage, place: storage):
            assert_same(fastnn.load(path, map_location=place), CHECKPOINT)


# -- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        ({"a": [object()]}, r"the object\[a\]\[0\] is a object"),
        ({"m": nn.ReLU()}, r"\[m\] is a ReLU; save its state_dict"),
        ([np.float32(1)], r"\[0\] is a float32; use \.item\(\)"),
        ({1, 2}, "is a set"),
        (b"x", "is a bytes"),
        (defaultdict(list), "is a defaultdict"),
        (lambda: 0, "is a function"),
        (np.zeros(1, np.complex128), "dtype complex128"),
        ([np.array(["a"])], r"\[0\] has dtype <U1"),
    ],
)
def test_what_cannot_be_saved(tmp_path, obj, message):
    path = tmp_path / "x"
    with pytest.raises(TypeError, match=message):
        fastnn.save(obj, path)
    assert os.listdir(tmp_path) == []


def test_an_object_inside_itself():
    loop = []
    loop.append(loop)
    with pytest.raises(ValueError, match="contains itself"):
        dumps(loop)


def test_wrong_arguments(tmp_path):
    with pytest.raises(FileNotFoundError):
        fastnn.load(tmp_path / "absent")
    with pytest.raises(TypeError, match="got int"):
        fastnn.load(3)
    with pytest.raises(TypeError, match="got int"):
        fastnn.save({}, 3)
    with pytest.raises(ValueError, match="weights_only=False"):
        fastnn.load(io.BytesIO(dumps(1)), weights_only=False)
    with pytest.raises(ValueError, match="map_location must be None or 'cpu', got 'cuda'"):
        fastnn.load(io.BytesIO(dumps(1)), map_location="cuda")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({}, 2), "is a pickle.*before PyTorch 1.6"),
        (pickle.dumps(0x1950A86A20F9469CFC6C, 2), "is a pickle.*before PyTorch 1.6"),
        (b"PK\x03\x04" + b"\0" * 40, "no whole zip archive"),
    ],
)
def test_pickles_are_recognized(content, message):
    with pytest.raises(ValueError, match=message):
        loads(content)


def test_training_state(tmp_path):
    optimizer = fastnn.optim.SGD([fastnn.ones(1, requires_grad=True)], lr=0.1, momentum=0.9)
    scheduler = fastnn.optim.lr_scheduler.MultiStepLR(optimizer, [2, 2, 5])
    state = {
        "scheduler": scheduler.state_dict(),
        "optimizer": optimizer.state_dict(),
        "rng": fastnn.get_rng_state(),
        "numpy": np.random.get_state(),
        "dtype": fastnn.bfloat16,
        "shape": fastnn.Size([2, 3]),
        "device": fastnn.device("cpu"),
        "epoch": 3,
    }
    assert_same(round_trip(state), state)
    assert type(round_trip(state)["scheduler"]["milestones"]) is Counter


@pytest.mark.parametrize("dtype", SUPPORTED)
def test_mapped(tmp_path, dtype):
    path = tmp_path / "x"
    array = np.random.default_rng(0).integers(0, 2, (3, 5)).astype(dtype)
    fastnn.save({"a": np.ones(3, np.int8), "w": fastnn.from_numpy(array)}, path)
    before = path.read_bytes()
    loaded = fastnn.load(path, mmap=True)
    assert_same(loaded["w"], fastnn.from_numpy(array))
    loaded["w"].zero_()
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="needs the name of a file"):
        fastnn.load(io.BytesIO(before), mmap=True)
    with pytest.raises(ValueError, match="pickle_module"):
        fastnn.load(path, pickle_module=pickle)
    for length in (0, 7, 8, len(before) // 2, len(before) - 1):
        path.write_bytes(before[:length])
        with pytest.raises(ValueError, match="not a safetensors file"):
            fastnn.load(path, mmap=True)


def test_bools_of_other_bytes():
    content = bytearray(safetensors.numpy.save({"b": np.array([True, False])}))
    content[-2] = 7
    loaded = loads(bytes(content))["b"]
    assert loaded.numpy().tobytes() == b"\x01\x00"


def test_a_header_whose_size_looks_like_a_pickle():
    # 640 = 0x0280: the file begins with a pickle's first bytes, and is none.
    file = file_with_header(json.dumps({"w": ENTRY}).encode().ljust(640), b"1234")
    assert file[:2] == b"\x80\x02"
    assert list(loads(file)) == ["w"]


# -- damage ------------------------------------------------------------------------------------------------

SMALL = {"w": fastnn.tensor([[1.0, 2.0]]), "n": [3, None, "x"], "b": np.zeros(2, np.uint8)}


def test_every_cut_is_an_error(tmp_path):
    content = dumps(SMALL)
    path = tmp_path / "cut.safetensors"
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=rf"cut.safetensors \({length} bytes\)"):
            fastnn.load(path)
    with pytest.raises(ValueError, match="not a safetensors file"):
        loads(content + b"\0")


def test_every_flipped_bit_of_the_header_is_noticed():
    content = dumps(SMALL)
    header_size = 8 + int.from_bytes(content[:8], "little")
    padding = len(content[8:header_size].rstrip(b" ")) + 8
    for position in range(header_size):
        for bit in range(8):
            changed = bytearray(content)
            changed[position] ^= 1 << bit
            if position >= padding and changed[position] in b"\t\n\r":
                continue  # white space for white space: the same header
            with pytest.raises((ValueError, RuntimeError)):
                loads(bytes(changed))


ENTRY = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


def file_with_header(header, data=b""):
    if not isinstance(header, bytes):
        header = json.dumps(header).encode()
    return len(header).to_bytes(8, "little") + header + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 8,
        (2**63).to_bytes(8, "little") + b"{}",
        (99_999_999).to_bytes(8, "little") + b"{}",
        file_with_header(b"[]"),
        file_with_header(b"[" * 100_000),
        file_with_header(b'{"a":' * 100_000),
        file_with_header({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}),
        file_with_header(
            {"a": {"dtype": "F32", "shape": [2**32, 2**32], "data_offsets": [0, 4]}}, b"1234"
        ),
        file_with_header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, b"1234"),
        file_with_header({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"1234"),
        file_with_header({"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}, b"1234"),
        file_with_header({"a": {"dtype": "F8_E8M0", "shape": [1], "data_offsets": [0, 1]}}, b"1"),
        file_with_header(
            {
                "a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
                "b": {"dtype": "U8", "shape": [4], "data_offsets": [2, 6]},
            },
            b"123456",
        ),
    ],
)
def test_hostile_headers(content):
    with pytest.raises(ValueError, match="load: "):
        loads(content)


def file_with_tree(tree, /, **changes):
    text = tree if isinstance(tree, str) else json.dumps(tree)
    header = {"version": 1, "crc32": zlib.crc32(text.encode()), "tree": text, **changes}
    metadata = {"format": "fastnn", "fastnn": json.dumps(header)}
    return safetensors.numpy.save({"w": np.zeros(2, np.float32)}, metadata)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (file_with_tree({"tensor": "absent"}), "tensor 'absent' is missing"),
        (file_with_tree({"tensor": 3}), "unknown node 'tensor'"),
        (file_with_tree({"call": "os.system"}), "unknown node 'call'"),
        (file_with_tree({}), "has the keys"),
        (file_with_tree({"tuple": [], "dict": []}), "has the keys"),
        (file_with_tree({"dict": [[1]]}), "not made of pairs"),
        (file_with_tree({"dict": [[[], 1]]}), "a key that is no key"),
        (file_with_tree({"float": "1e999"}), "unknown node 'float'"),
        (file_with_tree("[" * 100_000), "recursion|damaged"),
        (file_with_tree("[1,"), "damaged"),
        (file_with_tree({"dtype": "object"}), "unknown node 'dtype'"),
        (file_with_tree({"size": ["a"]}), "unknown node 'size'"),
        (file_with_tree({"device": "nowhere"}), "nowhere"),
        (file_with_tree([], crc32=1), "checksum"),
        (file_with_tree([], version=2), "format version 2, and this fastnn reads 1"),
        (file_with_tree([], tree=None), "structure is missing"),
        (safetensors.numpy.save({}, {"format": "fastnn"}), "damaged"),
        (safetensors.numpy.save({}, {"fastnn": "{}"}), "format entry is None"),
    ],
)
def test_hostile_structures(content, message):
    with pytest.raises(ValueError, match=message):
        loads(content)


# -- atomicity ---------------------------------------------------------------------------------------------


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x"
    fastnn.save({"old": 1}, path)

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        fastnn.save({"new": 2}, path)
    monkeypatch.undo()
    assert fastnn.load(path) == {"old": 1}
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.skipif(os.name != "posix", reason="kills a process by a POSIX signal")
def test_a_killed_process_leaves_a_whole_file(tmp_path):
    path = tmp_path / "x"
    script = textwrap.dedent(
        f"""
        import numpy as np, fastnn
        for i in range(1, 10**6):
            fastnn.save({{"i": i, "w": np.full(100_000, i)}}, {str(path)!r})
            print(i, flush=True)
        """
    )
    for wait in range(1, 6):
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        for _ in range(wait):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        loaded = fastnn.load(path)
        assert (loaded["w"] == loaded["i"]).all()
        assert loaded["i"] >= wait


def test_permissions_and_links(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    fastnn.save({"a": 1}, link)
    assert link.is_symlink()
    assert fastnn.load(target) == {"a": 1}
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert target.stat().st_mode == plain.stat().st_mode


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(IsADirectoryError):
        fastnn.save({}, tmp_path)
    with pytest.raises(FileNotFoundError):
        fastnn.save({}, tmp_path / "absent" / "x")

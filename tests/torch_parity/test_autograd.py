"""autograd.functional, func, hooks and custom functions against PyTorch's."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import fastnn

torch = pytest.importorskip("torch", reason="PyTorch is not installed: an optional reference")

A = [[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]]
B = [0.3, -0.6, 1.2]


def points(lib: Any, requires_grad: bool = False) -> tuple[Any, Any]:
    return tuple(lib.tensor(v, dtype=lib.float64).requires_grad_(requires_grad) for v in (A, B))  # type: ignore[return-value]


def nest(value: Any) -> Any:
    """Tensors as arrays, with a mark of whether they are recorded."""
    if isinstance(value, (fastnn.Tensor, torch.Tensor)):
        return value.requires_grad, np.asarray(value.detach().numpy())
    if isinstance(value, dict):
        return {k: nest(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(nest(v) for v in value)
    return value


def assert_same(a: Any, b: Any) -> None:
    if isinstance(b, np.ndarray):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)  # float64, sums of six
    elif isinstance(b, dict):
        assert list(a) == list(b)
        for k in b:
            assert_same(a[k], b[k])
    elif isinstance(b, (list, tuple)):
        assert type(a) is type(b)
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


def compare(program: Any) -> None:
    """The same value, or an error of the same type, from both libraries."""
    results: list[Any] = []
    for lib in (fastnn, torch):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if lib is torch else "error")
            try:
                results.append(nest(program(lib)))
            except Exception as error:
                if lib is torch:
                    results.append(type(error).__name__)
                else:
                    results.append(type(error).__name__)
                    last: Exception = error
    if isinstance(results[0], str) and results[0] != results[1]:
        raise last
    assert_same(*results)


def f(a: Any, b: Any) -> Any:
    return (a * b).sin() @ b, (a * a).sum()


def scalar(a: Any, b: Any) -> Any:
    return ((a * b).sin() @ b).sum() + (a**3).sum() + (b.exp()).prod()


def F(lib: Any) -> Any:
    return lib.autograd.functional


FUNCTIONAL: dict[str, Any] = {
    "jacobian": lambda lib, p: F(lib).jacobian(f, p),
    "jacobian_one": lambda lib, p: F(lib).jacobian(lambda b: b.exp(), p[1]),
    "jacobian_tuple_of_one": lambda lib, p: F(lib).jacobian(lambda b: (b.exp(),), (p[1],)),
    "jacobian_unused": lambda lib, p: F(lib).jacobian(lambda a, b: a * 2, p),
    "jacobian_unused_strict": lambda lib, p: F(lib).jacobian(lambda a, b: a * 2, p, strict=True),
    "jacobian_constant": lambda lib, p: F(lib).jacobian(lambda b: lib.ones(2), p[1]),
    "jacobian_constant_strict": lambda lib, p: F(lib).jacobian(lambda b: lib.ones(2), p[1], strict=True),
    "jacobian_graph": lambda lib, p: F(lib).jacobian(f, p, create_graph=True),
    "jacobian_graph_strict": lambda lib, p: F(lib).jacobian(lambda b: b * 2, p[1], create_graph=True, strict=True),
    "jacobian_vectorized": lambda lib, p: F(lib).jacobian(f, p, vectorize=True),
    "jacobian_bad_strategy": lambda lib, p: F(lib).jacobian(f, p, strategy="x"),
    "jacobian_forward": lambda lib, p: F(lib).jacobian(f, p, strategy="forward-mode"),
    "jacobian_strict_vectorized": lambda lib, p: F(lib).jacobian(f, p, strict=True, vectorize=True),
    "jacobian_no_tensor": lambda lib, p: F(lib).jacobian(lambda b: 3, p[1]),
    "jacobian_of_none": lambda lib, p: F(lib).jacobian(lambda b: b, 3),
    "hessian": lambda lib, p: F(lib).hessian(scalar, p),
    "hessian_one": lambda lib, p: F(lib).hessian(lambda b: (b**3).sum(), p[1]),
    "hessian_graph": lambda lib, p: F(lib).hessian(scalar, p, create_graph=True),
    "hessian_linear": lambda lib, p: F(lib).hessian(lambda b: (b * 3).sum(), p[1]),
    "hessian_linear_strict": lambda lib, p: F(lib).hessian(lambda b: (b * 3).sum(), p[1], strict=True),
    "hessian_of_several": lambda lib, p: F(lib).hessian(lambda b: b**2, p[1]),
    "vjp": lambda lib, p: F(lib).vjp(f, p, (p[0][:, 0].detach(), p[1][0].detach())),
    "vjp_one": lambda lib, p: F(lib).vjp(lambda b: (b**2).sum(), p[1]),
    "vjp_no_v": lambda lib, p: F(lib).vjp(lambda b: b**2, p[1]),
    "vjp_wrong_shape": lambda lib, p: F(lib).vjp(lambda b: b**2, p[1], lib.ones(7)),
    "vjp_wrong_number": lambda lib, p: F(lib).vjp(lambda b: b**2, p[1], p),
    "vjp_graph": lambda lib, p: F(lib).vjp(lambda b: b**2, p[1], p[1], create_graph=True),
    "vjp_strict": lambda lib, p: F(lib).vjp(lambda a, b: a.sum(), p, strict=True),
    "jvp": lambda lib, p: F(lib).jvp(f, p, p),
    "jvp_graph": lambda lib, p: F(lib).jvp(f, p, p, create_graph=True),
    "jvp_no_v": lambda lib, p: F(lib).jvp(f, p),
    "jvp_unused": lambda lib, p: F(lib).jvp(lambda a, b: b * 2, p, p),
    "jvp_strict": lambda lib, p: F(lib).jvp(lambda a, b: b * 2, p, p, strict=True),
    "vhp": lambda lib, p: F(lib).vhp(scalar, p, p),
    "vhp_linear": lambda lib, p: F(lib).vhp(lambda b: b.sum(), p[1], p[1]),
    "hvp": lambda lib, p: F(lib).hvp(scalar, p, p),
    "hvp_graph": lambda lib, p: F(lib).hvp(scalar, p, p, create_graph=True),
    "hvp_strict": lambda lib, p: F(lib).hvp(lambda a, b: (a * a).sum() + b.sum(), p, p, strict=True),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONAL)
@pytest.mark.parametrize("requires_grad", [False, True])
def test_functional(name: str, requires_grad: bool) -> None:
    compare(lambda lib: FUNCTIONAL[name](lib, points(lib, requires_grad)))


def dot(lib: Any) -> Any:
    return lambda x, y: (x * y).sum()


FUNC: dict[str, Any] = {
    "grad": lambda lib, p: lib.func.grad(scalar)(*p),
    "grad_argnums": lambda lib, p: lib.func.grad(scalar, argnums=(1, 0))(*p),
    "grad_negative": lambda lib, p: lib.func.grad(scalar, argnums=-1)(*p),
    "grad_out_of_range": lambda lib, p: lib.func.grad(scalar, argnums=2)(*p),
    "grad_aux": lambda lib, p: lib.func.grad(lambda a, b: (scalar(a, b), {"a": a * 2}), has_aux=True)(*p),
    "grad_bad_aux": lambda lib, p: lib.func.grad(scalar, has_aux=True)(*p),
    "grad_not_scalar": lambda lib, p: lib.func.grad(lambda a: a)(p[0]),
    "grad_nest": lambda lib, p: lib.func.grad(lambda d: scalar(d["a"], d["b"][0]))({"a": p[0], "b": [p[1]]}),
    "grad_unused": lambda lib, p: lib.func.grad(lambda a, b: a.sum(), argnums=(0, 1))(*p),
    "grad_grad": lambda lib, p: lib.func.grad(lambda a, b: lib.func.grad(scalar)(a, b).sum(), argnums=1)(*p),
    "grad_kwargs": lambda lib, p: lib.func.grad(lambda a, b: scalar(a, b))(p[0], b=p[1]),
    "grad_in_no_grad": lambda lib, p: _in_no_grad(lib, p),
    "grad_and_value": lambda lib, p: lib.func.grad_and_value(scalar)(*p),
    "grad_and_value_aux": lambda lib, p: lib.func.grad_and_value(lambda a, b: (scalar(a, b), a + 1), has_aux=True)(*p),
    "vjp": lambda lib, p: _vjp(lib, f, p, (p[0][:, 0], p[1][0])),
    "vjp_one": lambda lib, p: _vjp(lib, lambda b: b.exp(), p[1:], (p[1],)),
    "vjp_aux": lambda lib, p: lib.func.vjp(lambda b: (b.exp(), b + 1), p[1], has_aux=True)[2],
    "vjp_wrong": lambda lib, p: _vjp(lib, lambda b: b.exp(), p[1:], (lib.ones(7),)),
    "jvp": lambda lib, p: lib.func.jvp(f, p, p),
    "jvp_aux": lambda lib, p: lib.func.jvp(lambda b: (b.exp(), b), (p[1],), (p[1],), has_aux=True),
    "jvp_wrong": lambda lib, p: lib.func.jvp(lambda b: b.exp(), (p[1],), (lib.ones(7),)),
    "jacrev": lambda lib, p: lib.func.jacrev(f, argnums=(0, 1))(*p),
    "jacrev_one": lambda lib, p: lib.func.jacrev(f)(*p),
    "jacrev_nest": lambda lib, p: lib.func.jacrev(lambda d: {"y": d["a"] * d["b"]})({"a": p[0], "b": p[1]}),
    "jacrev_aux": lambda lib, p: lib.func.jacrev(lambda b: (b.exp(), b), has_aux=True)(p[1]),
    "jacfwd": lambda lib, p: lib.func.jacfwd(lambda a, b: f(a, b)[0], argnums=1)(*p),
    "hessian": lambda lib, p: lib.func.hessian(scalar)(*p),
    "hessian_both": lambda lib, p: lib.func.hessian(scalar, argnums=(0, 1))(*p),
    "vmap": lambda lib, p: lib.func.vmap(dot(lib), in_dims=(0, None))(*p),
    "vmap_nest": lambda lib, p: lib.func.vmap(lambda d: (d["a"] * 2, d["b"].sum()), in_dims=({"a": 1, "b": 0},), out_dims=(1, 0))({"a": p[0], "b": p[1]}),
    "vmap_out_dims": lambda lib, p: lib.func.vmap(lambda x: (x, x * 2), out_dims=(0, 1))(p[0]),
    "vmap_of_grad": lambda lib, p: lib.func.vmap(lib.func.grad(lambda b, x: ((b * x).sum()) ** 2), in_dims=(None, 0))(p[1], p[0]),
    "vmap_vmap": lambda lib, p: lib.func.vmap(lib.func.vmap(lambda x, y: x * y), in_dims=(0, None))(*p),
    "grad_of_vmap": lambda lib, p: lib.func.grad(lambda b: lib.func.vmap(dot(lib), in_dims=(0, None))(p[0], b).sin().sum())(p[1]),
    "vmap_sizes": lambda lib, p: lib.func.vmap(dot(lib))(*p),
    "vmap_no_tensor": lambda lib, p: lib.func.vmap(lambda x: 3)(p[0]),
    "vmap_out_none": lambda lib, p: lib.func.vmap(lambda x: (x, 3), out_dims=(0, None))(p[0]),
    "vmap_random": lambda lib, p: lib.func.vmap(lambda x: x + lib.rand(()))(p[0]),
    "vmap_bad_randomness": lambda lib, p: lib.func.vmap(lambda x: x, randomness="x")(p[0]),
    "vmap_all_none": lambda lib, p: lib.func.vmap(lambda x: x, in_dims=None)(p[0]),
    "vmap_kwargs": lambda lib, p: lib.func.vmap(lambda x, y: x * y)(p[0], y=p[0]),
    "vmap_negative": lambda lib, p: lib.func.vmap(lambda x: x.sum(), in_dims=-1)(p[0]),
    "stack": lambda lib, p: {k: tuple(v.shape) for k, v in lib.func.stack_module_state([lib.nn.BatchNorm1d(2) for _ in range(3)])[0].items()},
    "stack_none": lambda lib, p: lib.func.stack_module_state([]),
    "stack_modes": lambda lib, p: lib.func.stack_module_state([lib.nn.Linear(1, 1), lib.nn.Linear(1, 1).eval()]),
    "ensemble": lambda lib, p: _ensemble(lib, p),
    "per_sample": lambda lib, p: _per_sample(lib, p),
    "closure": lambda lib, p: lib.func.grad(lambda b: (p[0] * b * b).sum())(p[1]),
}  # fmt: skip


def _linear(lib: Any, value: float) -> Any:
    model = lib.nn.Linear(3, 2, dtype=lib.float64)
    for q in model.parameters():
        q.data.fill_(value)
    return model


def _ensemble(lib: Any, p: Any) -> Any:
    models = [_linear(lib, v) for v in (0.5, 2.0)]
    parameters, buffers = lib.func.stack_module_state(models)

    def call(q: Any, b: Any, x: Any) -> Any:
        return lib.func.functional_call(models[0], (q, b), (x,))

    return lib.func.vmap(call, in_dims=(0, 0, None))(parameters, buffers, p[0])


def _per_sample(lib: Any, p: Any) -> Any:
    model = _linear(lib, 0.3)
    parameters = {k: v.detach() for k, v in model.named_parameters()}

    def loss(q: Any, x: Any) -> Any:
        return (lib.func.functional_call(model, q, (x,)) ** 2).sum()

    return lib.func.vmap(lib.func.grad(loss), in_dims=(None, 0))(parameters, p[0].detach())


def _in_no_grad(lib: Any, p: Any) -> Any:
    with lib.no_grad():
        return lib.func.grad(scalar)(*p)


def _vjp(lib: Any, function: Any, primals: Any, v: Any) -> Any:
    value, back = lib.func.vjp(function, *primals)
    return value, back(v if len(v) > 1 else v[0])


@pytest.mark.parametrize("name", FUNC)
@pytest.mark.parametrize("requires_grad", [False, True])
def test_func(name: str, requires_grad: bool) -> None:
    compare(lambda lib: FUNC[name](lib, points(lib, requires_grad)))


# -- grad, backward, functions, hooks ------------------------------------------------------------------


def _grads_batched(lib: Any, p: Any) -> Any:
    return lib.autograd.grad(p[1] ** 2, p[1], lib.eye(3, dtype=lib.float64), is_grads_batched=True)


def _setup_context(lib: Any, p: Any) -> Any:
    class Cube(lib.autograd.Function):
        @staticmethod
        def forward(x: Any, power: int) -> Any:
            return x**power

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            x, ctx.power = inputs
            ctx.save_for_backward(x)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            assert ctx.needs_input_grad == (True, False)
            return ctx.power * x ** (ctx.power - 1) * g, None

    (g,) = lib.autograd.grad(Cube.apply(p[1], 3).sum(), p[1], create_graph=True)
    return g, lib.autograd.grad(g.sum(), p[1])


def _once(lib: Any, p: Any) -> Any:
    class Double(lib.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @lib.autograd.function.once_differentiable
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return 2 * x * g

    (g,) = lib.autograd.grad(Double.apply(p[1]).sum(), p[1], create_graph=True)
    return g.detach(), lib.autograd.grad(g.sum(), p[1])


def _node_hooks(lib: Any, p: Any) -> Any:
    seen: list[Any] = []
    y = p[1] * 3
    z = y.exp()
    z.grad_fn.register_prehook(lambda g: (g[0] * 2,))
    z.grad_fn.register_hook(lambda gi, go: (seen.append((gi[0].clone(), go[0].clone())), (gi[0] * 5,))[1])  # fmt: skip
    handle = y.grad_fn.register_hook(lambda gi, go: seen.append("removed"))
    handle.remove()
    z.sum().backward()
    return p[1].grad, seen


def _multi(mode: str) -> Any:
    def program(lib: Any, p: Any) -> Any:
        seen: list[Any] = []
        a, b = p
        c = b.exp()
        other = lib.ones(2, requires_grad=True)

        def all_(gs: Any) -> None:
            seen.append([None if g is None else g.clone() for g in gs])

        hook = all_ if mode == "all" else (lambda g: seen.append(1))
        handle = lib.autograd.graph.register_multi_grad_hook([a, other, c], hook, mode=mode)
        for _ in range(2):
            ((a * c).sum() + b.sum()).backward(retain_graph=True)
        handle.remove()
        (a * c).sum().backward()
        return seen

    return program


OTHERS: dict[str, Any] = {
    "grads_batched": _grads_batched,
    "grad_of_dict": lambda lib, p: lib.autograd.grad(scalar(*p), {"b": p[1], "a": p[0]}),
    "grad_unused_false": lambda lib, p: lib.autograd.grad(p[0].sum(), p[1], allow_unused=False, materialize_grads=True),
    "setup_context": _setup_context,
    "once_differentiable": _once,
    "node_hooks": _node_hooks,
    "multi_all": _multi("all"),
    "multi_any": _multi("any"),
    "multi_bad": _multi("some"),
    "edge": lambda lib, p: lib.autograd.graph.get_gradient_edge(p[0].exp()).output_nr,
    "edge_of_none": lambda lib, p: lib.autograd.graph.get_gradient_edge(lib.ones(1)),
    "variable": lambda lib, p: lib.autograd.Variable(lib.ones(2), requires_grad=True),
    "backward_inputs": lambda lib, p: (scalar(*p).backward(inputs=p[1]), p[0].grad, p[1].grad),
    "backward_no_inputs": lambda lib, p: scalar(*p).backward(inputs=[]),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_others(name: str) -> None:
    compare(lambda lib: OTHERS[name](lib, points(lib, True)))


def test_signatures() -> None:
    import inspect

    pairs = [
        *((getattr(fastnn.func, n), getattr(torch.func, n)) for n in fastnn.func.__all__),
        *((getattr(F(fastnn), n), getattr(F(torch), n)) for n in F(fastnn).__all__),
        *((getattr(fastnn.autograd, n), getattr(torch.autograd, n)) for n in ("gradcheck", "gradgradcheck", "grad", "backward", "detect_anomaly", "set_detect_anomaly")),
    ]  # fmt: skip
    for ours, theirs in pairs:
        a, b = inspect.signature(ours).parameters, inspect.signature(theirs).parameters
        assert [(p.name, p.default, p.kind) for p in a.values()] == [
            (p.name, p.default, p.kind) for p in b.values()
        ], ours.__name__

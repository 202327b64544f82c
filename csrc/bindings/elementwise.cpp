// Elementwise functions: shapes are broadcast, axes ordered as in memory and collapsed.
#include "elementwise/elementwise.h"

#include <utility>

#include "bindings/fast_call.h"

namespace fastnn::bindings {
namespace {

int64_t magnitude(int64_t x) {
    return x < 0 ? -x : x;
}

// Axis i belongs outside axis j if its strides are the larger ones; the first operand that has both
// decides.
bool outside(const ElementwiseCall& call, int i, int j) {
    const int64_t ai = magnitude(call.a_stride[i]), aj = magnitude(call.a_stride[j]);
    const int64_t bi = magnitude(call.b_stride[i]), bj = magnitude(call.b_stride[j]);
    if (ai && aj && ai != aj)
        return ai > aj;
    if (bi && bj && bi != bj)
        return bi > bj;
    return i < j;
}

// Strides of an operand along the axes of the result, in elements; 0 where it is broadcast. False:
// not whole elements.
bool operand_strides(PyObject* operand, int ndim, const int64_t* shape, int64_t item,
                     int64_t* strides) {
    const auto* array = array_of(operand);
    const int lead = ndim - array->nd;
    for (int i = 0; i < ndim; ++i) {
        const int64_t step = i < lead || (array->dimensions[i - lead] == 1 && shape[i] != 1)
                                 ? 0
                                 : array->strides[i - lead];
        if (step % item != 0)
            return false;
        strides[i] = shape[i] == 1 ? 0 : step / item;
    }
    return true;
}

// Null, with no error set: the kernels do not serve these strides.
PyObject* general(ElementwiseCall& call, PyObject* a, PyObject* b, DType dtype) {
    const int64_t item = call.is_double ? 8 : 4;
    const auto* aa = array_of(a);
    const auto* bb = array_of(b);
    const int ndim = aa->nd > bb->nd ? aa->nd : bb->nd;
    int64_t shape[64];
    int64_t size = 1;
    for (int i = 0; i < ndim; ++i) {
        const int ia = i - (ndim - aa->nd), ib = i - (ndim - bb->nd);
        const int64_t na = ia < 0 ? 1 : aa->dimensions[ia], nb = ib < 0 ? 1 : bb->dimensions[ib];
        if (na != nb && na != 1 && nb != 1)
            return nullptr; // NumPy words the error
        shape[i] = na == 1 ? nb : na;
        size *= shape[i];
    }
    if (!operand_strides(a, ndim, shape, item, call.a_stride) ||
        !operand_strides(b, ndim, shape, item, call.b_stride))
        return nullptr;

    int order[64]; // the axes, outermost in memory first
    for (int i = 0; i < ndim; ++i) {
        int at = i;
        for (; at > 0 && outside(call, i, order[at - 1]); --at)
            order[at] = order[at - 1];
        order[at] = i;
    }
    int64_t strides[64];
    int64_t step = item;
    for (int i = ndim; i-- > 0;) {
        strides[order[i]] = step;
        step *= shape[order[i]];
    }

    // Collapse: an axis joins the one inside it where all operands step from the one into the
    // other.
    int64_t a_stride[64], b_stride[64];
    int first = 64; // the collapsed axes are first..63
    for (int i = ndim; i-- > 0;) {
        const int axis = order[i];
        if (shape[axis] == 1)
            continue;
        const int64_t as = call.a_stride[axis], bs = call.b_stride[axis];
        if (first < 64 && as == a_stride[first] * call.shape[first] &&
            bs == b_stride[first] * call.shape[first]) {
            call.shape[first] *= shape[axis];
        } else {
            --first;
            call.shape[first] = shape[axis];
            a_stride[first] = as;
            b_stride[first] = bs;
        }
    }
    call.ndim = 64 - first;
    for (int i = 0; i < call.ndim; ++i) {
        call.shape[i] = call.shape[first + i];
        call.a_stride[i] = a_stride[first + i];
        call.b_stride[i] = b_stride[first + i];
    }
    if (call.ndim > 0 && size > 0) {
        const int64_t as = call.a_stride[call.ndim - 1], bs = call.b_stride[call.ndim - 1];
        if ((as != 0 && as != 1) || (bs != 0 && bs != 1))
            return nullptr;
    }
    PyObject* result = new_result(dtype, ndim, shape, strides);
    if (size > 0) {
        call.y = data_of<void>(result);
        const MaybeReleaseGil release(size);
        elementwise(call);
    }
    return result;
}

bool same_shape(PyObject* a, PyObject* b) {
    const auto* aa = array_of(a);
    const auto* bb = array_of(b);
    if (aa->nd != bb->nd)
        return false;
    for (int i = 0; i < aa->nd; ++i)
        if (aa->dimensions[i] != bb->dimensions[i])
            return false;
    return true;
}

PyObject* serve(Elementwise function, PyObject* a, PyObject* b, double parameter) {
    const DType dtype = float_dtype(a);
    if (dtype == DType::other || (b != a && float_dtype(b) != dtype))
        return nullptr;
    ElementwiseCall call;
    call.function = function;
    call.is_double = dtype == DType::float64;
    call.a = data_of<void>(a);
    call.b = data_of<void>(b);
    call.parameter = parameter;
    if (!is_c_contiguous(a) || (b != a && (!is_c_contiguous(b) || !same_shape(a, b))))
        return general(call, a, b, dtype);
    const int64_t size = size_of(a);
    PyObject* result = new_result(dtype, array_of(a)->nd,
                                  reinterpret_cast<const int64_t*>(array_of(a)->dimensions));
    if (size == 0)
        return result;
    call.ndim = 1;
    call.shape[0] = size;
    call.a_stride[0] = call.b_stride[0] = 1;
    call.y = data_of<void>(result);
    const MaybeReleaseGil release(size);
    elementwise(call);
    return result;
}

template <Elementwise Function>
PyObject* binary(PyObject* const* args, Py_ssize_t count) {
    return count == 2 ? serve(Function, args[0], args[1], 0) : nullptr;
}

template <Elementwise Function>
PyObject* unary(PyObject* const* args, Py_ssize_t count) {
    return count == 1 ? serve(Function, args[0], args[0], 0) : nullptr;
}

PyObject* leaky_relu(PyObject* const* args, Py_ssize_t count) {
    double slope = 0;
    if (count != 2 || !float_argument(args[1], &slope))
        return nullptr;
    return serve(Elementwise::leaky_relu, args[0], args[0], slope);
}

PyObject* leaky_relu_backward(PyObject* const* args, Py_ssize_t count) {
    double slope = 0;
    if (count != 3 || !float_argument(args[2], &slope))
        return nullptr;
    return serve(Elementwise::leaky_relu_backward, args[0], args[1], slope);
}

// (x, approximate)
PyObject* gelu(PyObject* const* args, Py_ssize_t count) {
    bool approximate = false;
    if (count != 2 || !bool_argument(args[1], &approximate))
        return nullptr;
    return serve(approximate ? Elementwise::gelu_tanh : Elementwise::gelu, args[0], args[0], 0);
}

// (g, x, approximate)
PyObject* gelu_backward(PyObject* const* args, Py_ssize_t count) {
    bool approximate = false;
    if (count != 3 || !bool_argument(args[2], &approximate))
        return nullptr;
    return serve(approximate ? Elementwise::gelu_tanh_backward : Elementwise::gelu_backward,
                 args[0], args[1], 0);
}

} // namespace

void register_elementwise() {
    using enum Elementwise;
    register_fast<&binary<add>>("add");
    register_fast<&binary<subtract>>("subtract");
    register_fast<&binary<multiply>>("multiply");
    register_fast<&binary<divide>>("divide");
    register_fast<&binary<maximum>>("maximum");
    register_fast<&binary<minimum>>("minimum");
    register_fast<&binary<Elementwise::tanh_backward>>("tanh_backward");
    register_fast<&binary<Elementwise::sigmoid_backward>>("sigmoid_backward");
    register_fast<&binary<Elementwise::relu_backward>>("relu_backward");
    register_fast<&bindings::leaky_relu_backward>("leaky_relu_backward");
    register_fast<&unary<negative>>("negative");
    register_fast<&unary<absolute>>("absolute");
    register_fast<&unary<square>>("square");
    register_fast<&unary<Elementwise::sqrt>>("sqrt");
    register_fast<&unary<Elementwise::exp>>("exp");
    register_fast<&unary<Elementwise::log>>("log");
    register_fast<&unary<Elementwise::tanh>>("tanh");
    register_fast<&unary<sigmoid>>("sigmoid");
    register_fast<&unary<relu>>("relu");
    register_fast<&bindings::leaky_relu>("leaky_relu");
    register_fast<&unary<Elementwise::erf>>("erf");
    register_fast<&unary<silu>>("silu");
    register_fast<&binary<Elementwise::silu_backward>>("silu_backward");
    register_fast<&bindings::gelu>("gelu");
    register_fast<&bindings::gelu_backward>("gelu_backward");
}

} // namespace fastnn::bindings

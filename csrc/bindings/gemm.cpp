#include "gemm/gemm.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "bindings/array.h"
#include "bindings/bindings.h"
#include "bindings/fast_call.h"

namespace fastnn::bindings {
namespace {

constexpr int kMaxAxes = 64; // NumPy's limit

// A stack of matrices: batch axes, then rows, then columns; strides in elements. Length-1 batch
// axes have stride 0.
template <class T>
struct Stack {
    const T* data;
    int batch_axes = 0;
    std::array<int64_t, kMaxAxes> batch_shape, batch_stride;
    int64_t rows = 1, row_stride = 0;
    int64_t columns = 1, column_stride = 0;

    // Joins the batch axes to the rows, if they are evenly spaced.
    bool flatten() {
        int64_t all_rows = rows, step = row_stride;
        for (int i = batch_axes; i-- > 0;) {
            if (batch_shape[i] == 1)
                continue;
            if (all_rows == 1)
                step = batch_stride[i];
            else if (batch_stride[i] != step * all_rows)
                return false;
            all_rows *= batch_shape[i];
        }
        rows = all_rows;
        row_stride = step;
        batch_axes = 0;
        return true;
    }
};

// A 1-d operand on the left is a row, on the right a column.
template <class T>
Stack<T> stack_of(const py::array& a, bool left) {
    Stack<T> s;
    s.data = data<T>(a);
    const int axes = static_cast<int>(a.ndim());
    const auto set = [&](int axis, int64_t& length, int64_t& step) {
        length = a.shape(axis);
        step = stride<T>(a, axis);
    };
    if (axes == 1) {
        left ? set(0, s.columns, s.column_stride) : set(0, s.rows, s.row_stride);
        return s;
    }
    set(axes - 2, s.rows, s.row_stride);
    set(axes - 1, s.columns, s.column_stride);
    s.batch_axes = axes - 2;
    for (int i = 0; i < s.batch_axes; ++i) {
        set(i, s.batch_shape[i], s.batch_stride[i]);
        if (s.batch_shape[i] == 1)
            s.batch_stride[i] = 0;
    }
    return s;
}

// c[...] = epilogue(a[...] @ b[...]): batches broadcast, and c is contiguous with one matrix after
// the other.
template <class T>
void multiply(Stack<T> a, const Stack<T>& b, T* c, const T* bias = nullptr, bool relu = false) {
    if (b.batch_axes == 0 && a.batch_axes > 0)
        a.flatten();
    GemmBatch<T> batch{};
    GemmArgs<T>& item = batch.item;
    item = {a.rows, b.columns,    a.columns,       a.data, a.row_stride, a.column_stride,
            b.data, b.row_stride, b.column_stride, c,      b.columns,    1};
    item.column_bias = bias;
    item.relu = relu;
    const int axes = std::max(a.batch_axes, b.batch_axes);
    if (axes == 0) {
        const MaybeReleaseGil release(item.m * item.n * item.k);
        gemm(item);
        return;
    }
    std::array<int64_t, kMaxAxes> shape, a_step, b_step, index{};
    int64_t count = 1;
    for (int i = 0; i < axes; ++i) {
        const int ai = i - (axes - a.batch_axes), bi = i - (axes - b.batch_axes);
        const int64_t a_length = ai >= 0 ? a.batch_shape[ai] : 1;
        shape[i] = a_length != 1 || bi < 0 ? a_length : b.batch_shape[bi];
        a_step[i] = ai >= 0 ? a.batch_stride[ai] : 0;
        b_step[i] = bi >= 0 ? b.batch_stride[bi] : 0;
        count *= shape[i];
    }
    std::vector<int64_t> offsets(static_cast<size_t>(3 * count));
    int64_t* const a_offset = offsets.data();
    int64_t* const b_offset = a_offset + count;
    int64_t* const c_offset = b_offset + count;
    for (int64_t i = 0; i < count; ++i) {
        a_offset[i] = b_offset[i] = 0;
        for (int axis = 0; axis < axes; ++axis) {
            a_offset[i] += index[axis] * a_step[axis];
            b_offset[i] += index[axis] * b_step[axis];
        }
        c_offset[i] = i * item.m * item.n;
        for (int axis = axes; axis-- > 0 && ++index[axis] == shape[axis];)
            index[axis] = 0;
    }
    batch.count = count;
    batch.a_offset = a_offset;
    batch.b_offset = b_offset;
    batch.c_offset = c_offset;
    const MaybeReleaseGil release(count * item.m * item.n * item.k);
    gemm_batch(batch);
}

py::object matmul(const py::array& a, const py::array& b) {
    const DType dtype = common_float(a, b);
    if (dtype == DType::other)
        return {};
    if (a.ndim() == 0 || b.ndim() == 0)
        throw py::value_error("matmul: wants arrays of 1 or more axes, got shapes " +
                              shape_text(a) + " and " + shape_text(b));
    const bool a_vector = a.ndim() == 1, b_vector = b.ndim() == 1;
    const ssize_t a_batch = a_vector ? 0 : a.ndim() - 2, b_batch = b_vector ? 0 : b.ndim() - 2;
    bool fits = a.shape(a.ndim() - 1) == b.shape(b_batch);
    std::array<int64_t, kMaxAxes> shape;
    ssize_t axes = std::max(a_batch, b_batch);
    for (ssize_t i = 0; i < axes; ++i) {
        const ssize_t ai = i - (axes - a_batch), bi = i - (axes - b_batch);
        const ssize_t an = ai >= 0 ? a.shape(ai) : 1, bn = bi >= 0 ? b.shape(bi) : 1;
        fits = fits && (an == bn || an == 1 || bn == 1);
        shape[static_cast<size_t>(i)] = an == 1 ? bn : an;
    }
    if (!fits)
        throw py::value_error("matmul: shapes " + shape_text(a) + " and " + shape_text(b) +
                              " do not fit");
    if (!a_vector)
        shape[static_cast<size_t>(axes++)] = a.shape(a_batch);
    if (!b_vector)
        shape[static_cast<size_t>(axes++)] = b.shape(b_batch + 1);
    py::array c =
        py::reinterpret_steal<py::array>(new_result(dtype, static_cast<int>(axes), shape.data()));
    if (c.size() != 0) {
        if (dtype == DType::float32)
            multiply(stack_of<float>(a, true), stack_of<float>(b, false), mutable_data<float>(c));
        else
            multiply(stack_of<double>(a, true), stack_of<double>(b, false),
                     mutable_data<double>(c));
    }
    return c;
}

template <class T>
void linear_into(const py::array& x, const py::array& weight, const std::optional<py::array>& bias,
                 bool relu, const py::array& y) {
    Stack<T> b = stack_of<T>(weight, false);
    std::swap(b.rows, b.columns);
    std::swap(b.row_stride, b.column_stride);
    multiply(stack_of<T>(x, true), b, mutable_data<T>(y), bias ? data<T>(*bias) : nullptr, relu);
}

py::object linear(const py::array& x, const py::array& weight, const std::optional<py::array>& bias,
                  bool relu) {
    const DType dtype = bias ? common_float(x, weight, *bias) : common_float(x, weight);
    if (dtype == DType::other)
        return {};
    if (x.ndim() < 1 || weight.ndim() != 2 || x.shape(x.ndim() - 1) != weight.shape(1))
        throw py::value_error("linear: x " + shape_text(x) + " and weight " + shape_text(weight) +
                              " do not fit: want (..., K) and (N, K)");
    if (bias && (bias->ndim() != 1 || bias->shape(0) != weight.shape(0)))
        throw py::value_error("linear: bias wants shape (" + std::to_string(weight.shape(0)) +
                              ",), got " + shape_text(*bias));
    std::array<int64_t, kMaxAxes> shape;
    const size_t axes = static_cast<size_t>(x.ndim());
    for (size_t i = 0; i < axes; ++i)
        shape[i] = x.shape(static_cast<ssize_t>(i));
    shape[axes - 1] = weight.shape(0);
    py::array y =
        py::reinterpret_steal<py::array>(new_result(dtype, static_cast<int>(axes), shape.data()));
    if (y.size() != 0) {
        if (dtype == DType::float32)
            linear_into<float>(x, weight, bias, relu, y);
        else
            linear_into<double>(x, weight, bias, relu, y);
    }
    return y;
}

// (a, b)
PyObject* matmul_entry(PyObject* const* args, Py_ssize_t count) {
    if (count != 2 || !is_array(args[0]) || !is_array(args[1]))
        return nullptr;
    return matmul(borrow(args[0]), borrow(args[1])).release().ptr();
}

// (x, weight, bias or None, activation or None)
PyObject* linear_entry(PyObject* const* args, Py_ssize_t count) {
    std::optional<py::array> bias;
    bool relu = false;
    if (count < 3 || count > 4 || !is_array(args[0]) || !is_array(args[1]) ||
        !optional_array(args[2], &bias) || !activation(count > 3 ? args[3] : Py_None, &relu))
        return nullptr;
    return linear(borrow(args[0]), borrow(args[1]), bias, relu).release().ptr();
}

} // namespace

void register_gemm() {
    register_fast<matmul_entry>("matmul");
    register_fast<linear_entry>("linear");
}

} // namespace fastnn::bindings

#include "gemm/gemm.h"
#include "gemm/narrow.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "bindings/array.h"
#include "bindings/bindings.h"
#include "bindings/fast_call.h"
#include "gemm/linear.h"

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

// As MaybeReleaseGil counts: the kernels multiply this many elements at a time.
template <class T>
int64_t gil_work(const GemmArgs<T>& g) {
    return g.m * g.n * g.k / 8 + 1;
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
    item.may_split = true;
    const int axes = std::max(a.batch_axes, b.batch_axes);
    if (axes == 0) {
        const MaybeReleaseGil release(gil_work(item));
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
    const MaybeReleaseGil release(count * gil_work(item));
    gemm_batch(batch);
}

// Calls f(T{}) with the C++ type of a dtype of product_dtype.
template <class F>
void with_product(DType dtype, F&& f) {
    if (dtype == DType::bfloat16)
        f(bfloat16{});
    else
        with_float(dtype, f);
}

// The type that all arrays share: float32, float64, bfloat16 or `other`.
template <class... Arrays>
DType product_dtype(const py::array& first, const Arrays&... rest) {
    const DType dtype = dtype_of(first);
    const bool served =
        dtype == DType::float32 || dtype == DType::float64 || dtype == DType::bfloat16;
    return served && ((dtype_of(rest) == dtype) && ...) ? dtype : DType::other;
}

py::object matmul(const py::array& a, const py::array& b) {
    const DType dtype = product_dtype(a, b);
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
    if (c.size() != 0)
        with_product(dtype, [&](auto t) {
            using T = decltype(t);
            multiply(stack_of<T>(a, true), stack_of<T>(b, false), mutable_data<T>(c));
        });
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
    const DType dtype = bias ? product_dtype(x, weight, *bias) : product_dtype(x, weight);
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
    if (y.size() != 0)
        with_product(dtype, [&](auto t) { linear_into<decltype(t)>(x, weight, bias, relu, y); });
    return y;
}

py::object int_mm(const py::array& a, const py::array& b) {
    if (dtype_of(a) != DType::int8 || dtype_of(b) != DType::int8)
        return {};
    if (a.ndim() != 2 || b.ndim() != 2 || a.shape(1) != b.shape(0))
        throw py::value_error("int_mm: shapes " + shape_text(a) + " and " + shape_text(b) +
                              " do not fit: want (M, K) and (K, N)");
    const int64_t shape[] = {a.shape(0), b.shape(1)};
    py::array c = py::reinterpret_steal<py::array>(new_result(DType::int32, 2, shape));
    const NarrowGemm<int8_t, int32_t> product = {shape[0],
                                                 shape[1],
                                                 a.shape(1),
                                                 data<int8_t>(a),
                                                 stride<int8_t>(a, 0),
                                                 stride<int8_t>(a, 1),
                                                 data<int8_t>(b),
                                                 stride<int8_t>(b, 0),
                                                 stride<int8_t>(b, 1),
                                                 mutable_data<int32_t>(c),
                                                 shape[1]};
    const MaybeReleaseGil release(product.m * product.n * product.k);
    narrow_kernels().int8(product);
    return c;
}

// (a, b)
PyObject* matmul_entry(PyObject* const* args, Py_ssize_t count) {
    if (count != 2 || !is_array(args[0]) || !is_array(args[1]))
        return nullptr;
    return matmul(borrow(args[0]), borrow(args[1])).release().ptr();
}

// (a, b)
PyObject* int_mm_entry(PyObject* const* args, Py_ssize_t count) {
    if (count != 2 || !is_array(args[0]) || !is_array(args[1]))
        return nullptr;
    return int_mm(borrow(args[0]), borrow(args[1])).release().ptr();
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

// Whether an array is such as the kernel of linear_backward reads: dense, and of that dtype.
bool is_dense(PyObject* object, DType dtype) {
    return float_dtype(object) == dtype && is_c_contiguous(object);
}

// Of the shape of `like`, but for the length of the last axis.
Ref new_rows(PyObject* like, DType dtype, int64_t last) {
    int64_t shape[kMaxAxes];
    const int axes = array_of(like)->nd;
    for (int i = 0; i < axes; ++i)
        shape[i] = i < axes - 1 ? dim(like, i) : last;
    return Ref(new_result(dtype, axes, shape));
}

bool same_but_last(PyObject* a, PyObject* b) {
    if (array_of(a)->nd != array_of(b)->nd)
        return false;
    for (int i = 0; i < array_of(a)->nd - 1; ++i)
        if (dim(a, i) != dim(b, i))
            return false;
    return true;
}

// (g, x or None, weight or None, y or None, bias)
PyObject* linear_backward_entry(PyObject* const* args, Py_ssize_t count) {
    bool bias = false;
    if (count != 5 || !bool_argument(args[4], &bias))
        return nullptr;
    PyObject *const g = args[0], *const x = args[1], *const weight = args[2], *const y = args[3];
    const DType dtype = float_dtype(g);
    if (dtype == DType::other || !is_c_contiguous(g) || size_of(g) == 0 || array_of(g)->nd == 0)
        return nullptr;
    const int last = array_of(g)->nd - 1;
    const int64_t n = dim(g, last), rows = size_of(g) / n;
    if ((x != Py_None && (!is_dense(x, dtype) || !same_but_last(x, g))) ||
        (y != Py_None && (!is_dense(y, dtype) || !same_but_last(y, g) || dim(y, last) != n)) ||
        (weight != Py_None &&
         (!is_dense(weight, dtype) || array_of(weight)->nd != 2 || dim(weight, 0) != n)))
        return nullptr;
    const int64_t k = weight != Py_None ? dim(weight, 1) : x != Py_None ? dim(x, last) : 0;
    if (x != Py_None && dim(x, last) != k)
        return nullptr;
    const int64_t weight_shape[] = {n, k};
    Ref gx = weight == Py_None ? Ref(Py_NewRef(Py_None)) : new_rows(g, dtype, k);
    Ref gweight(x == Py_None ? Py_NewRef(Py_None) : new_result(dtype, 2, weight_shape));
    Ref gbias(bias ? new_result(dtype, 1, &n) : Py_NewRef(Py_None));
    {
        const auto read = [](PyObject* array) {
            return array == Py_None ? nullptr : data_of<void>(array);
        };
        const MaybeReleaseGil release(rows * n * (1 + k / 8));
        linear_backward({dtype == DType::float64, rows, n, k, read(g), read(x), read(weight),
                         read(y), read(gx.get()), read(gweight.get()), read(gbias.get())});
    }
    return new_tuple({gx.release(), gweight.release(), gbias.release()});
}

} // namespace

void register_gemm() {
    register_fast<matmul_entry>("matmul");
    register_fast<linear_entry>("linear");
    register_fast<linear_backward_entry>("linear_backward");
    register_fast<int_mm_entry>("int_mm");
}

} // namespace fastnn::bindings

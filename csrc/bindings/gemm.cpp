#include "bindings/bindings.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "bindings/array.h"
#include "gemm/gemm.h"

namespace fastnn::bindings {
namespace {

// The product of the last two axes, which the caller has checked, for every index of the leading
// axes.
template <class T>
void matmul_into(const py::array& a, const py::array& b, const py::array& c, bool a_vector,
                 bool b_vector) {
    const int a_batch = static_cast<int>(a.ndim()) - (a_vector ? 1 : 2);
    const int b_batch = static_cast<int>(b.ndim()) - (b_vector ? 1 : 2);
    const int batch = std::max(a_batch, b_batch);
    GemmArgs<T> args{};
    args.k = a.shape(a.ndim() - 1);
    args.m = a_vector ? 1 : a.shape(a_batch);
    args.n = b_vector ? 1 : b.shape(b_batch + 1);
    args.a_row = a_vector ? 0 : stride<T>(a, a_batch);
    args.a_col = stride<T>(a, static_cast<int>(a.ndim()) - 1);
    args.b_row = stride<T>(b, b_batch);
    args.b_col = b_vector ? 0 : stride<T>(b, b_batch + 1);
    args.c_row = args.n;
    args.c_col = 1;
    int64_t shape[64], a_step[64], b_step[64], index[64] = {};
    int64_t count = 1;
    for (int i = 0; i < batch; ++i) {
        shape[i] = c.shape(i);
        count *= shape[i];
        const int ai = i - (batch - a_batch), bi = i - (batch - b_batch);
        a_step[i] = ai >= 0 && a.shape(ai) != 1 ? stride<T>(a, ai) : 0;
        b_step[i] = bi >= 0 && b.shape(bi) != 1 ? stride<T>(b, bi) : 0;
    }
    const T* a_data = data<T>(a);
    const T* b_data = data<T>(b);
    T* c_data = mutable_data<T>(c);
    const py::gil_scoped_release release;
    for (int64_t item = 0; item < count; ++item) {
        args.a = a_data;
        args.b = b_data;
        args.c = c_data + item * args.m * args.n;
        for (int i = 0; i < batch; ++i) {
            args.a += index[i] * a_step[i];
            args.b += index[i] * b_step[i];
        }
        gemm(args);
        for (int i = batch; i-- > 0 && ++index[i] == shape[i];)
            index[i] = 0;
    }
}

py::object matmul(const py::array& a, const py::array& b) {
    const DType dtype = common_float(a, b);
    if (dtype == DType::other)
        return not_implemented();
    const auto mismatch = [&] {
        return py::value_error("matmul: shapes " + shape_text(a) + " and " + shape_text(b) +
                               " do not fit");
    };
    if (a.ndim() == 0 || b.ndim() == 0)
        throw py::value_error("matmul: wants arrays of 1 or more axes, got " + shape_text(a) +
                              " and " + shape_text(b));
    const bool a_vector = a.ndim() == 1, b_vector = b.ndim() == 1;
    const ssize_t a_batch = a.ndim() - (a_vector ? 1 : 2), b_batch = b.ndim() - (b_vector ? 1 : 2);
    if (a.shape(a.ndim() - 1) != b.shape(b_batch))
        throw mismatch();
    std::vector<ssize_t> shape(static_cast<size_t>(std::max(a_batch, b_batch)));
    const ssize_t batch = static_cast<ssize_t>(shape.size());
    for (ssize_t i = 0; i < batch; ++i) {
        const ssize_t ai = i - (batch - a_batch), bi = i - (batch - b_batch);
        const ssize_t an = ai >= 0 ? a.shape(ai) : 1, bn = bi >= 0 ? b.shape(bi) : 1;
        if (an != bn && an != 1 && bn != 1)
            throw mismatch();
        shape[static_cast<size_t>(i)] = an == 1 ? bn : an;
    }
    if (!a_vector)
        shape.push_back(a.shape(a_batch));
    if (!b_vector)
        shape.push_back(b.shape(b_batch + 1));
    py::array c = new_array(a.dtype(), shape);
    if (c.size() != 0) {
        if (dtype == DType::float32)
            matmul_into<float>(a, b, c, a_vector, b_vector);
        else
            matmul_into<double>(a, b, c, a_vector, b_vector);
    }
    return c;
}

} // namespace

void init_gemm(py::module_& m) {
    m.def("matmul", &matmul, py::arg("a").noconvert(), py::arg("b").noconvert(),
          "a @ b with NumPy's rules, for float32 and float64; NotImplemented for other dtypes.");
}

} // namespace fastnn::bindings

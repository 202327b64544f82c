#include "gemm/gemm.h"

#include <array>
#include <vector>

#include "bindings/array.h"
#include "bindings/bindings.h"
#include "bindings/product.h"

namespace fastnn::cuda::bindings {

namespace {

struct BatchDim {
    int64_t size, a, b, c;
};

// The dims of a batch, slowest first: without those of size 1, and neighbours as one where every
// operand allows it.
std::vector<BatchDim> batch_dims(const Array& a, const Array& b, const Array& c) {
    std::vector<BatchDim> dims;
    for (int i = 0; i + 2 < c.ndim; i++) {
        if (c.shape[i] == 1)
            continue;
        const BatchDim d{c.shape[i], a.stride[i], b.stride[i], c.stride[i]};
        if (!dims.empty() && dims.back().a == d.a * d.size && dims.back().b == d.b * d.size &&
            dims.back().c == d.c * d.size)
            dims.back() = {dims.back().size * d.size, d.a, d.b, d.c};
        else
            dims.push_back(d);
    }
    return dims;
}

void matmul(py::handle a_object, py::handle b_object, py::handle c_object, py::handle bias_object,
            bool relu, bool accumulate, const std::string& precision, const std::string& tile,
            int splits, py::handle workspace_object, std::uintptr_t stream) {
    const char* name = "matmul";
    const Array a(a_object, name, "a");
    const Array b(b_object, name, "b");
    const Array c(c_object, name, "c", Access::write);
    b.require_dtype(a.dtype);
    c.require_dtype(a.dtype).require_contiguous();
    if (!is_float(a.dtype))
        throw py::type_error("matmul: a must be of a floating dtype, got " +
                             std::string(name_of(a.dtype)));
    const int n = c.ndim;
    if (n < 2)
        throw py::value_error("matmul: c must have at least 2 dims, got " + shape_text(c));
    a.require_ndim(n);
    b.require_ndim(n);
    bool fits = a.shape[n - 2] == c.shape[n - 2] && b.shape[n - 1] == c.shape[n - 1] &&
                a.shape[n - 1] == b.shape[n - 2];
    for (int i = 0; i + 2 < n; i++)
        fits = fits && a.shape[i] == c.shape[i] && b.shape[i] == c.shape[i];
    if (!fits)
        throw py::value_error("matmul: a " + shape_text(a) + " and b " + shape_text(b) +
                              " do not give c " + shape_text(c));
    if (splits < 0)
        throw py::value_error("matmul: splits must not be negative");

    Gemm p{};
    p.dtype = a.dtype;
    p.m = c.shape[n - 2], p.n = c.shape[n - 1], p.k = a.shape[n - 1], p.batch = 1;
    p.a = {a.data, a.stride[n - 2], a.stride[n - 1], 0};
    p.b = {b.data, b.stride[n - 2], b.stride[n - 1], 0};
    p.c = c.data;
    p.ldc = p.n;
    p.activation = relu ? Activation::relu : Activation::none;
    p.accumulate = accumulate;
    p.precision = parse_precision(name, precision);
    p.tile = parse_tile(name, tile);
    p.splits = splits;
    if (c.size() == 0)
        return;
    p.batch = c.size() / (p.m * p.n);
    p.splits = splits_of(p); // as matmul_workspace() has it, before the batch is divided
    p.batch = 1;
    std::vector<Array> optional;
    optional.reserve(2);
    if (!bias_object.is_none()) {
        optional.emplace_back(bias_object, name, "bias");
        optional.back()
            .require_dtype(a.dtype)
            .require_ndim(1)
            .require_size(p.n)
            .require_contiguous();
        p.bias = optional.back().data;
    }
    auto dims = batch_dims(a, b, c);
    if (!dims.empty()) {
        const BatchDim inner = dims.back();
        if (inner.b == 0 && inner.a == p.m * p.a.row_stride && inner.c == p.m * p.ldc) {
            p.m *= inner.size; // one matrix b under all rows
        } else {
            p.batch = inner.size;
            p.a.batch_stride = inner.a, p.b.batch_stride = inner.b, p.c_batch_stride = inner.c;
        }
        dims.pop_back();
    }
    const auto scratch = static_cast<int64_t>(gemm_workspace(p));
    if (scratch > 0 && !workspace_object.is_none()) {
        optional.emplace_back(workspace_object, name, "workspace", Access::write);
        const Array& w = optional.back();
        w.require_dtype(DType::uint8).require_contiguous();
        if (w.size() < scratch)
            throw py::value_error("matmul: workspace must have " + std::to_string(scratch) +
                                  " bytes, got " + shape_text(w));
        p.workspace = w.data;
    }
    // One launch for each matrix of the outer dims; they are few, since most batches are one dim by
    // now.
    const auto item = static_cast<int64_t>(size_of(a.dtype));
    std::vector<int64_t> at(dims.size(), 0);
    for (;;) {
        Gemm q = p;
        int64_t offset_a = 0, offset_b = 0, offset_c = 0;
        for (size_t i = 0; i < dims.size(); i++) {
            offset_a += at[i] * dims[i].a;
            offset_b += at[i] * dims[i].b;
            offset_c += at[i] * dims[i].c;
        }
        q.a.data = static_cast<const char*>(p.a.data) + offset_a * item;
        q.b.data = static_cast<const char*>(p.b.data) + offset_b * item;
        q.c = static_cast<char*>(p.c) + offset_c * item;
        check(name, gemm(q, as_stream(stream)));
        size_t i = dims.size();
        while (i > 0 && ++at[i - 1] == dims[i - 1].size)
            at[--i] = 0;
        if (i == 0)
            return;
    }
}

} // namespace

void init_gemm(py::module_& m) {
    m.def("matmul", &matmul, py::arg("a"), py::arg("b"), py::arg("c"), py::arg("bias"),
          py::arg("relu"), py::arg("accumulate"), py::arg("precision"), py::arg("tile"),
          py::arg("splits"), py::arg("workspace"), py::arg("stream"));
    m.def(
        "matmul_workspace",
        [](int64_t rows, int64_t columns, int64_t k, int64_t batch, bool is_float64, int splits) {
            Gemm p{};
            p.dtype = is_float64 ? DType::float64 : DType::float32;
            p.m = rows, p.n = columns, p.k = k, p.batch = batch;
            p.splits = splits;
            return gemm_workspace(p);
        },
        py::arg("m"), py::arg("n"), py::arg("k"), py::arg("batch"), py::arg("is_float64"),
        py::arg("splits"));
}

} // namespace fastnn::cuda::bindings

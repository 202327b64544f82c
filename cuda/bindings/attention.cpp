#include "attention/attention.h"

#include <optional>
#include <string>

#include "bindings/array.h"
#include "bindings/bindings.h"

namespace fastnn::cuda::bindings {

namespace {

void require_shape(const Array& a, const char* operation, const char* argument,
                   std::initializer_list<int64_t> wanted) {
    std::string text;
    bool same = a.ndim == static_cast<int>(wanted.size());
    int i = 0;
    for (const int64_t n : wanted) {
        same = same && a.shape[i] == n;
        text += (i++ ? ", " : "") + std::to_string(n);
    }
    if (!same)
        throw py::value_error(std::string(operation) + ": " + argument + " must have shape (" +
                              text + "), got " + shape_text(a));
}

// (batch, heads, rows, size), with the elements of a row side by side.
AttentionOperand operand(const Array& a, const char* operation, const char* argument, DType dtype) {
    a.require_ndim(4).require_dtype(dtype);
    if (a.stride[3] != 1 && a.shape[3] > 1)
        throw py::value_error(std::string(operation) + ": " + argument +
                              " must have the elements of a row side by side");
    return {a.data, a.stride[0], a.stride[1], a.stride[2]};
}

int small(int64_t n, const char* operation) {
    if (n > INT32_MAX)
        throw py::value_error(std::string(operation) + ": at most 2**31 - 1 rows, got " +
                              std::to_string(n));
    return static_cast<int>(n);
}

struct Dropout {
    double p;
    std::uint64_t seed;
    std::uint64_t offset;
};

Attention problem(const char* operation, const Array& query, const Array& key, const Array& value,
                  const Array* mask, double scale, bool causal, const Dropout& dropout) {
    Attention a;
    a.dtype = query.dtype;
    if (a.dtype != DType::float32 && a.dtype != DType::float16 && a.dtype != DType::bfloat16)
        throw py::type_error(std::string(operation) + ": query must be float32, float16 or " +
                             "bfloat16, got " + name_of(a.dtype));
    a.query = operand(query, operation, "query", a.dtype);
    a.key = operand(key, operation, "key", a.dtype);
    a.value = operand(value, operation, "value", a.dtype);
    a.batch = small(query.shape[0], operation);
    a.heads = small(query.shape[1], operation);
    a.queries = small(query.shape[2], operation);
    a.keys = small(key.shape[2], operation);
    a.kv_heads = small(key.shape[1], operation);
    require_shape(key, operation, "key", {a.batch, a.kv_heads, a.keys, query.shape[3]});
    require_shape(value, operation, "value", {a.batch, a.kv_heads, a.keys, value.shape[3]});
    for (const int64_t size : {query.shape[3], value.shape[3]})
        if (size < 1 || size > max_attention_size)
            throw py::value_error(std::string(operation) + ": heads must have 1 to " +
                                  std::to_string(max_attention_size) + " elements, got " +
                                  std::to_string(size));
    if (a.heads > 0 && (a.kv_heads == 0 || a.heads % a.kv_heads != 0))
        throw py::value_error(std::string(operation) + ": the heads of key must divide those of " +
                              "query, got " + std::to_string(a.kv_heads) + " and " +
                              std::to_string(a.heads));
    a.size = static_cast<int>(query.shape[3]);
    a.value_size = static_cast<int>(value.shape[3]);
    if (mask != nullptr) {
        require_shape(*mask, operation, "mask", {a.batch, a.heads, a.queries, a.keys});
        auto kind = MaskKind::boolean;
        if (mask->dtype == a.dtype)
            kind = MaskKind::additive;
        else if (mask->dtype != DType::boolean) {
            mask->require_dtype(DType::float32);
            kind = MaskKind::additive_float32;
        }
        a.mask = {mask->data,      kind,           mask->stride[0], mask->stride[1],
                  mask->stride[2], mask->stride[3]};
    }
    a.scale = static_cast<float>(scale);
    a.causal = causal;
    if (!(dropout.p >= 0 && dropout.p <= 1))
        throw py::value_error(std::string(operation) + ": dropout_p must be in [0, 1], got " +
                              std::to_string(dropout.p));
    a.drop(dropout.p, dropout.seed, dropout.offset);
    return a;
}

void forward(py::handle query, py::handle key, py::handle value, py::object mask, py::handle y,
             py::handle top, py::handle total, double scale, bool causal, double dropout_p,
             std::uint64_t seed, std::uint64_t offset, std::uintptr_t stream) {
    const char* const name = "attention";
    const Array q(query, name, "query"), k(key, name, "key"), v(value, name, "value");
    const auto m = mask.is_none() ? std::optional<Array>() : Array(mask, name, "mask");
    const Attention a =
        problem(name, q, k, v, m ? &*m : nullptr, scale, causal, {dropout_p, seed, offset});
    const Array out(y, name, "y", Access::write), high(top, name, "top", Access::write),
        sum(total, name, "total", Access::write);
    require_shape(out.require_contiguous().require_dtype(a.dtype), name, "y",
                  {a.batch, a.heads, a.queries, a.value_size});
    require_shape(high.require_contiguous().require_dtype(DType::float32), name, "top",
                  {a.batch, a.heads, a.queries});
    require_shape(sum.require_contiguous().require_dtype(DType::float32), name, "total",
                  {a.batch, a.heads, a.queries});
    check(name, attention(a, out.data, high.as<float>(), sum.as<float>(), as_stream(stream)));
}

} // namespace

void init_attention(py::module_& m) {
    m.def("attention", &forward, py::arg("query"), py::arg("key"), py::arg("value"),
          py::arg("mask").none(true), py::arg("y"), py::arg("top"), py::arg("total"),
          py::arg("scale"), py::arg("causal"), py::arg("dropout_p"), py::arg("seed"),
          py::arg("offset"), py::arg("stream"));
}

} // namespace fastnn::cuda::bindings

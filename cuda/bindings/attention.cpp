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

// The arrays of one call: what the kernels read, each kept while they run.
struct Arguments {
    Array query, key, value;
    std::optional<Array> mask;
    Attention a;

    Arguments(const char* operation, py::handle q, py::handle k, py::handle v,
              const py::object& mask_object, double scale, bool causal, const Dropout& dropout)
        : query(q, operation, "query"), key(k, operation, "key"), value(v, operation, "value") {
        if (!mask_object.is_none())
            mask.emplace(mask_object, operation, "mask");
        a = problem(operation, query, key, value, mask ? &*mask : nullptr, scale, causal, dropout);
    }
};

// A dense array of that dtype and shape.
const Array& dense(const Array& x, const char* operation, const char* argument, DType dtype,
                   std::initializer_list<int64_t> shape) {
    require_shape(x.require_contiguous().require_dtype(dtype), operation, argument, shape);
    return x;
}

void forward(py::handle query, py::handle key, py::handle value, const py::object& mask,
             py::handle y, py::handle top, py::handle total, double scale, bool causal,
             double dropout_p, std::uint64_t seed, std::uint64_t offset, std::uintptr_t stream) {
    const char* const name = "attention";
    const Arguments given(name, query, key, value, mask, scale, causal, {dropout_p, seed, offset});
    const Attention& a = given.a;
    const Array out(y, name, "y", Access::write), high(top, name, "top", Access::write),
        sum(total, name, "total", Access::write);
    dense(out, name, "y", a.dtype, {a.batch, a.heads, a.queries, a.value_size});
    dense(high, name, "top", DType::float32, {a.batch, a.heads, a.queries});
    dense(sum, name, "total", DType::float32, {a.batch, a.heads, a.queries});
    check(name, attention(a, out.data, high.as<float>(), sum.as<float>(), as_stream(stream)));
}

void backward(py::handle g, py::handle query, py::handle key, py::handle value,
              const py::object& mask, py::handle y, py::handle top, py::handle total,
              py::handle gquery, py::handle gkey, py::handle gvalue, const py::object& gmask,
              py::handle workspace, double scale, bool causal, double dropout_p, std::uint64_t seed,
              std::uint64_t offset, std::uintptr_t stream) {
    const char* const name = "attention_backward";
    const Arguments given(name, query, key, value, mask, scale, causal, {dropout_p, seed, offset});
    const Attention& a = given.a;
    const Array gradient(g, name, "g"), output(y, name, "y"), high(top, name, "top"),
        sum(total, name, "total");
    AttentionGradients d;
    d.g = operand(gradient, name, "g", a.dtype);
    d.y = operand(output, name, "y", a.dtype);
    require_shape(gradient, name, "g", {a.batch, a.heads, a.queries, a.value_size});
    require_shape(output, name, "y", {a.batch, a.heads, a.queries, a.value_size});
    d.top = dense(high, name, "top", DType::float32, {a.batch, a.heads, a.queries}).as<float>();
    d.total = dense(sum, name, "total", DType::float32, {a.batch, a.heads, a.queries}).as<float>();

    const Array to_query(gquery, name, "gquery", Access::write),
        to_key(gkey, name, "gkey", Access::write), to_value(gvalue, name, "gvalue", Access::write),
        scratch(workspace, name, "workspace", Access::write);
    d.query = dense(to_query, name, "gquery", a.dtype, {a.batch, a.heads, a.queries, a.size}).data;
    d.key = dense(to_key, name, "gkey", a.dtype, {a.batch, a.kv_heads, a.keys, a.size}).data;
    d.value =
        dense(to_value, name, "gvalue", a.dtype, {a.batch, a.kv_heads, a.keys, a.value_size}).data;
    std::optional<Array> to_mask;
    if (!gmask.is_none()) {
        to_mask.emplace(gmask, name, "gmask", Access::write);
        d.mask =
            dense(*to_mask, name, "gmask", a.dtype, {a.batch, a.heads, a.queries, a.keys}).data;
    }
    scratch.require_dtype(DType::uint8)
        .require_contiguous()
        .require_size(static_cast<int64_t>(attention_workspace(a)));
    d.workspace = scratch.data;
    check(name, attention_backward(a, d, as_stream(stream)));
}

} // namespace

void init_attention(py::module_& m) {
    m.def("attention", &forward, py::arg("query"), py::arg("key"), py::arg("value"),
          py::arg("mask").none(true), py::arg("y"), py::arg("top"), py::arg("total"),
          py::arg("scale"), py::arg("causal"), py::arg("dropout_p"), py::arg("seed"),
          py::arg("offset"), py::arg("stream"));
    m.def("attention_backward", &backward, py::arg("g"), py::arg("query"), py::arg("key"),
          py::arg("value"), py::arg("mask").none(true), py::arg("y"), py::arg("top"),
          py::arg("total"), py::arg("gquery"), py::arg("gkey"), py::arg("gvalue"),
          py::arg("gmask").none(true), py::arg("workspace"), py::arg("scale"), py::arg("causal"),
          py::arg("dropout_p"), py::arg("seed"), py::arg("offset"), py::arg("stream"));
    m.def(
        "attention_workspace",
        [](int64_t batch, int64_t heads, int64_t queries) {
            Attention a;
            a.batch = batch, a.heads = heads, a.queries = static_cast<int>(queries);
            return attention_workspace(a);
        },
        py::arg("batch"), py::arg("heads"), py::arg("queries"));
}

} // namespace fastnn::cuda::bindings

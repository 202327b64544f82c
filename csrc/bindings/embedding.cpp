// Embedding: arguments as in the protocol. An index out of range is left to the specification,
// which words the error.
#include "embedding/embedding.h"

#include "bindings/fast_call.h"

namespace fastnn::bindings {
namespace {

bool parse_index(PyObject* object, int64_t rows, const int64_t** index) {
    if (array_dtype(object) != DType::int64 || !is_c_contiguous(object))
        return false;
    *index = data_of<int64_t>(object);
    const int64_t count = size_of(object);
    bool outside = false; // without a branch for each
    for (int64_t i = 0; i < count; ++i)
        outside |= static_cast<uint64_t>((*index)[i]) >= static_cast<uint64_t>(rows);
    return !outside;
}

// (weight, indices)
PyObject* embedding(PyObject* const* args, Py_ssize_t count) {
    const int64_t* index = nullptr;
    const DType dtype = count == 2 ? float_dtype(args[0]) : DType::other;
    if (dtype == DType::other || array_of(args[0])->nd != 2 || !is_c_contiguous(args[0]) ||
        !is_array(args[1]) || array_of(args[1])->nd >= 32 ||
        !parse_index(args[1], dim(args[0], 0), &index))
        return nullptr;
    int64_t shape[32];
    const int ndim = array_of(args[1])->nd;
    for (int i = 0; i < ndim; ++i)
        shape[i] = dim(args[1], i);
    shape[ndim] = dim(args[0], 1);
    Ref y(new_result(dtype, ndim + 1, shape));
    {
        const MaybeReleaseGil release(size_of(y.get()));
        fastnn::embedding(data_of<void>(args[0]), index, size_of(args[1]),
                          shape[ndim] * (dtype == DType::float64 ? 8 : 4), data_of<void>(y.get()));
    }
    return y.release();
}

// (g, indices, rows, padding_idx, scale_grad_by_freq)
PyObject* embedding_backward(PyObject* const* args, Py_ssize_t count) {
    EmbeddingGradient call{};
    const DType dtype = count == 5 ? float_dtype(args[0]) : DType::other;
    if (dtype == DType::other || array_of(args[0])->nd != 2 || !is_c_contiguous(args[0]) ||
        !is_array(args[1]) || array_of(args[1])->nd != 1 || dim(args[1], 0) != dim(args[0], 0) ||
        !int_argument(args[2], &call.rows) || call.rows < 0 ||
        !int_argument(args[3], &call.padding_row) || !bool_argument(args[4], &call.by_frequency) ||
        !parse_index(args[1], call.rows, &call.index))
        return nullptr;
    call.g = data_of<void>(args[0]);
    call.count = dim(args[0], 0);
    call.size = dim(args[0], 1);
    call.is_double = dtype == DType::float64;
    const int64_t shape[2] = {call.rows, call.size};
    Ref table(new_result(dtype, 2, shape));
    call.table = data_of<void>(table.get());
    {
        const MaybeReleaseGil release(size_of(args[0]) + size_of(table.get()));
        fastnn::embedding_backward(call);
    }
    return table.release();
}

} // namespace

void register_embedding() {
    register_fast<&bindings::embedding>("embedding");
    register_fast<&bindings::embedding_backward>("embedding_backward");
}

} // namespace fastnn::bindings

// Scaled dot-product attention: arguments as in the protocol. The elements of a row must lie side
// by side; any other strides serve.
#include "attention/attention.h"

#include <algorithm>
#include <vector>

#include "bindings/fast_call.h"

namespace fastnn::bindings {
namespace {

constexpr int kMaxAxes = 64; // NumPy's limit

struct Leading {
    int axes;
    const Py_ssize_t* shape;
    int64_t count;
};

Leading leading(PyObject* array) {
    const auto* fields = array_of(array);
    Leading lead{fields->nd - 2, fields->dimensions, 1};
    for (int i = 0; i < lead.axes; ++i)
        lead.count *= fields->dimensions[i];
    return lead;
}

// The offset in elements of each matrix of the leading axes of `array`, which broadcast to `lead`.
std::vector<int64_t> offsets(PyObject* array, const Leading& lead, int64_t item) {
    const auto* fields = array_of(array);
    int64_t step[kMaxAxes] = {}, index[kMaxAxes] = {};
    const int missing = lead.axes + 2 - fields->nd;
    for (int i = std::max(missing, 0); i < lead.axes; ++i)
        if (fields->dimensions[i - missing] != 1)
            step[i] = fields->strides[i - missing] / item;
    std::vector<int64_t> found(static_cast<size_t>(lead.count));
    int64_t at = 0;
    for (int64_t& offset : found) {
        offset = at;
        for (int axis = lead.axes; axis-- > 0;) {
            at += step[axis];
            if (++index[axis] < lead.shape[axis])
                break;
            at -= step[axis] * lead.shape[axis];
            index[axis] = 0;
        }
    }
    return found;
}

// An array (lead..., rows, size), the lead's last axis `group` times as short where it is not 0.
bool fits(PyObject* array, DType dtype, const Leading& lead, int64_t group, int64_t rows,
          int64_t size) {
    if (float_dtype(array) != dtype)
        return false;
    const auto* fields = array_of(array);
    if (fields->nd != lead.axes + 2)
        return false;
    for (int i = 0; i < lead.axes; ++i)
        if (fields->dimensions[i] * (i == lead.axes - 1 ? group : 1) != lead.shape[i])
            return false;
    const int64_t item = dtype == DType::float64 ? 8 : 4;
    return dim(array, fields->nd - 2) == rows && dim(array, fields->nd - 1) == size &&
           (size <= 1 || size_of(array) == 0 || fields->strides[fields->nd - 1] == item);
}

// One stack of matrices, and its offsets.
template <class T>
struct Stack {
    Stack(PyObject* array, const Leading& lead) : offset(offsets(array, lead, sizeof(T))) {
        const auto* fields = array_of(array);
        rows = {data_of<T>(array),
                static_cast<int64_t>(fields->strides[fields->nd - 2]) /
                    static_cast<int64_t>(sizeof(T)),
                offset.data()};
    }
    operator Rows<const T>() const { return {rows.data, rows.row, rows.offset}; }

    std::vector<int64_t> offset;
    Rows<T> rows;
};

// A new array of `size` columns with the leading axes and rows of `like`, whose axes lie in memory
// in the same order: where heads lie beside each other, what follows joins them with no copy.
PyObject* new_rows_like(PyObject* like, DType dtype, int64_t size) {
    const auto* fields = array_of(like);
    const int nd = std::max(fields->nd, 2);
    int64_t shape[kMaxAxes], strides[kMaxAxes];
    int order[kMaxAxes]; // of the axes but the last, innermost first
    std::copy_n(fields->dimensions, nd, shape);
    shape[nd - 1] = size;
    for (int i = 0; i < nd - 1; ++i) {
        if (fields->strides[i] <= 0)
            return new_result(dtype, nd, shape);
        order[i] = nd - 2 - i;
    }
    std::stable_sort(order, order + nd - 1,
                     [&](int a, int b) { return fields->strides[a] < fields->strides[b]; });
    int64_t step = dtype == DType::float64 ? 8 : 4;
    strides[nd - 1] = step;
    step *= std::max<int64_t>(size, 1);
    for (int i = 0; i < nd - 1; ++i) {
        strides[order[i]] = step;
        step *= std::max<int64_t>(shape[order[i]], 1);
    }
    return new_result(dtype, nd, shape, strides);
}

struct Arguments {
    PyObject *query, *key, *value, *mask;
    DType dtype{};
    Leading lead{}, key_lead{};
    int64_t group = 1;
    double scale = 0, p = 0;
    bool causal = false;
    uint64_t seed = 0, offset = 0;

    // drop: dropout's three arguments, or fewer.
    bool parse(PyObject* const* arrays, PyObject* scale_object, PyObject* causal_object,
               PyObject* const* drop, Py_ssize_t drops) {
        query = arrays[0], key = arrays[1], value = arrays[2], mask = arrays[3];
        dtype = float_dtype(query);
        if (dtype == DType::other || float_dtype(key) != dtype || float_dtype(value) != dtype)
            return false;
        const int nd = array_of(query)->nd;
        if (nd < 2 || array_of(key)->nd != nd || array_of(value)->nd != nd)
            return false;
        lead = leading(query);
        key_lead = leading(key);
        if (nd > 2) {
            const int64_t heads = dim(query, nd - 3), key_heads = dim(key, nd - 3);
            if (heads == 0 || key_heads == 0 || heads % key_heads != 0)
                return false;
            group = heads / key_heads;
        }
        const int64_t keys = dim(key, nd - 2), size = dim(query, nd - 1);
        return fits(query, dtype, lead, 1, dim(query, nd - 2), size) &&
               fits(key, dtype, lead, group, keys, size) &&
               fits(value, dtype, lead, group, keys, dim(value, nd - 1)) && mask_fits() &&
               float_argument(scale_object, &scale) && bool_argument(causal_object, &causal) &&
               (drops < 1 || float_argument(drop[0], &p)) && p >= 0 && p <= 1 &&
               (drops < 2 || bits_argument(drop[1], &seed)) &&
               (drops < 3 || bits_argument(drop[2], &offset));
    }

    int64_t queries() const { return dim(query, lead.axes); }
    int64_t keys() const { return dim(key, lead.axes); }
    int64_t work() const { return lead.count * queries() * keys(); }

    bool mask_fits() const {
        if (mask == Py_None)
            return true;
        const DType own = array_dtype(mask);
        if (own != DType::boolean && own != dtype)
            return false;
        const int nd = array_of(mask)->nd, all = lead.axes + 2;
        if (nd > all)
            return false;
        for (int i = 0; i < nd; ++i) {
            const int axis = all - nd + i;
            const int64_t wanted = axis < lead.axes    ? lead.shape[axis]
                                   : axis == lead.axes ? queries()
                                                       : keys();
            if (dim(mask, i) != wanted && dim(mask, i) != 1)
                return false;
        }
        return true;
    }
};

// The problem, and the offsets that it refers to.
template <class T>
struct Problem {
    explicit Problem(const Arguments& given)
        : query(given.query, given.lead), key(given.key, given.key_lead),
          value(given.value, given.key_lead) {
        const int rows = given.lead.axes;
        a.heads = given.lead.count;
        a.group = given.group;
        a.queries = given.queries();
        a.keys = given.keys();
        a.size = dim(given.query, rows + 1);
        a.value_size = dim(given.value, rows + 1);
        a.query = query;
        a.key = key;
        a.value = value;
        a.scale = static_cast<T>(given.scale);
        a.causal = given.causal;
        if (given.p > 0)
            set_dropout(a, given.p, given.seed, given.offset);
        if (given.mask == Py_None)
            return;
        a.mask.data = data_of<void>(given.mask);
        a.mask.boolean = array_dtype(given.mask) == DType::boolean;
        const int64_t item = a.mask.boolean ? 1 : sizeof(T);
        mask = offsets(given.mask, given.lead, item);
        a.mask.offset = mask.data();
        const auto* fields = array_of(given.mask);
        const auto step = [&](int from_end) {
            const int axis = fields->nd - from_end;
            return axis < 0 || fields->dimensions[axis] == 1 ? 0 : fields->strides[axis] / item;
        };
        a.mask.key = step(1);
        a.mask.query = step(2);
    }

    Stack<T> query, key, value;
    std::vector<int64_t> mask;
    Attention<T> a{};
};

// (query, key, value, mask or None, scale, causal, dropout_p, seed, offset)
PyObject* attention(PyObject* const* args, Py_ssize_t count) {
    Arguments given{};
    if (count < 6 || count > 9 || !given.parse(args, args[4], args[5], args + 6, count - 6))
        return nullptr;
    const DType dtype = given.dtype;
    const int rows = given.lead.axes;
    Ref y(new_rows_like(given.query, dtype, dim(given.value, rows + 1)));
    const int64_t* shape = reinterpret_cast<const int64_t*>(array_of(given.query)->dimensions);
    Ref top(new_result(dtype, rows + 1, shape)), total(new_result(dtype, rows + 1, shape));
    with_float(dtype, [&](auto zero) {
        using T = decltype(zero);
        const Problem<T> problem(given);
        const Stack<T> out(y.get(), given.lead);
        const MaybeReleaseGil release(given.work());
        fastnn::attention<T>(problem.a, {out.rows, data_of<T>(top.get()), data_of<T>(total.get())});
    });
    return new_tuple({y.release(), top.release(), total.release()});
}

bool is_vector_of_rows(PyObject* array, const Arguments& given) {
    if (array_dtype(array) != given.dtype || array_of(array)->nd != given.lead.axes + 1 ||
        !is_c_contiguous(array))
        return false;
    return std::equal(array_of(array)->dimensions,
                      array_of(array)->dimensions + given.lead.axes + 1,
                      array_of(given.query)->dimensions);
}

// (g, query, key, value, mask or None, y, top, total, scale, causal, mask_grad, dropout_p, seed,
// offset)
PyObject* attention_backward(PyObject* const* args, Py_ssize_t count) {
    Arguments given{};
    bool mask_grad = false;
    if (count < 11 || count > 14 || !given.parse(args + 1, args[8], args[9], args + 11, count - 11))
        return nullptr;
    const DType dtype = given.dtype;
    const int rows = given.lead.axes;
    const int64_t size = dim(given.query, rows + 1), value_size = dim(given.value, rows + 1);
    PyObject *const g = args[0], *const y = args[5], *const top = args[6], *const total = args[7];
    if (!fits(g, dtype, given.lead, 1, given.queries(), value_size) ||
        !fits(y, dtype, given.lead, 1, given.queries(), value_size) ||
        !is_vector_of_rows(top, given) || !is_vector_of_rows(total, given) ||
        !bool_argument(args[10], &mask_grad))
        return nullptr;
    Ref gquery(new_rows_like(given.query, dtype, size)),
        gkey(new_rows_like(given.key, dtype, size)),
        gvalue(new_rows_like(given.value, dtype, value_size));
    PyObject* gmask_array = nullptr;
    if (mask_grad) {
        int64_t shape[kMaxAxes];
        std::copy_n(array_of(given.query)->dimensions, rows + 1, shape);
        shape[rows + 1] = given.keys();
        gmask_array = new_result(dtype, rows + 2, shape);
    }
    Ref gmask(gmask_array);
    with_float(dtype, [&](auto zero) {
        using T = decltype(zero);
        const Problem<T> problem(given);
        const Stack<T> to_query(gquery.get(), given.lead), to_key(gkey.get(), given.key_lead),
            to_value(gvalue.get(), given.key_lead), from_g(g, given.lead), from_y(y, given.lead);
        AttentionGradients<T> gradients{
            from_g,        from_y,  data_of<T>(top), data_of<T>(total), to_query.rows, to_key.rows,
            to_value.rows, nullptr, nullptr};
        const MaybeReleaseGil release(given.work());
        if (mask_grad) {
            gradients.mask = data_of<T>(gmask.get());
            if (given.causal) // blocks that no query sees are skipped
                std::fill_n(gradients.mask, given.work(), T{});
        }
        attention_gradients<T>(problem.a, gradients);
    });
    if (!mask_grad) {
        Py_INCREF(Py_None);
        gmask_array = Py_None;
    } else {
        gmask_array = gmask.release();
    }
    return new_tuple({gquery.release(), gkey.release(), gvalue.release(), gmask_array});
}

} // namespace

void register_attention() {
    register_fast<&bindings::attention>("attention");
    register_fast<&bindings::attention_backward>("attention_backward");
}

} // namespace fastnn::bindings

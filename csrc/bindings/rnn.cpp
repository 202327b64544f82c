// Recurrent layers: arguments as in the protocol, all of one float dtype.
#include "rnn/rnn.h"

#include <memory>
#include <vector>

#include "bindings/fast_call.h"

namespace fastnn::bindings {
namespace {

// Reads arguments one after the other; `served` turns false where one does not fit. What is not
// contiguous (one direction's half of a gradient) is copied.
class Arguments {
  public:
    Arguments(PyObject* const* args, Py_ssize_t count, DType dtype)
        : next_(args), end_(args + count), dtype_(dtype) {}

    // An array (rows, columns), or (columns,) for rows < 0; where optional, None gives null.
    template <class T>
    void array(const T** to, int64_t rows, int64_t columns, bool optional = false) {
        *to = nullptr;
        PyObject* const object = take();
        if (optional && object == Py_None)
            return;
        const int axes = rows < 0 ? 1 : 2;
        if (!served || array_dtype(object) != dtype_ || array_of(object)->nd != axes ||
            (axes == 2 && dim(object, 0) != rows) || dim(object, axes - 1) != columns) {
            served = false;
        } else if (is_c_contiguous(object)) {
            *to = data_of<const T>(object);
        } else {
            copies_.push_back(std::make_unique<Ref>(contiguous_array(object)));
            *to = data_of<const T>(copies_.back()->get());
        }
    }

    bool served = true;

  private:
    PyObject* take() {
        if (next_ == end_) {
            served = false;
            return Py_None;
        }
        return *next_++;
    }

    PyObject* const* next_;
    PyObject* const* end_;
    DType dtype_;
    std::vector<std::unique_ptr<Ref>> copies_;
};

// The shape of a layer from its arrays and batch_sizes, whose offsets it holds.
struct Layer {
    RnnShape shape{};
    DType dtype = DType::other;

    bool parse(RnnCell cell, PyObject* x, PyObject* w_ih, PyObject* h0, PyObject* state,
               PyObject* batch_sizes) {
        dtype = float_dtype(x);
        if (dtype == DType::other || array_of(x)->nd != 2 || !is_array(w_ih) ||
            array_of(w_ih)->nd != 2 || !is_array(h0) || array_of(h0)->nd != 2 || !is_array(state) ||
            array_of(state)->nd != 2 || array_dtype(batch_sizes) != DType::int64 ||
            array_of(batch_sizes)->nd != 1 || !is_c_contiguous(batch_sizes))
            return false;
        shape = {cell,       dim(batch_sizes, 0),
                 dim(h0, 0), dim(x, 0),
                 dim(x, 1),  dim(state, 1),
                 dim(h0, 1), data_of<const int64_t>(batch_sizes),
                 nullptr,    false};
        if (shape.steps == 0 || shape.samples == 0 || shape.input == 0 || shape.hidden == 0 ||
            shape.output == 0)
            return false;
        offsets_.reserve(static_cast<std::size_t>(shape.steps));
        int64_t before = shape.samples, sum = 0;
        for (int64_t t = 0; t < shape.steps; ++t) {
            const int64_t n = shape.sizes[t];
            if (n < 1 || n > before || (t == 0 && n != shape.samples))
                return false;
            offsets_.push_back(sum);
            sum += n;
            before = n;
        }
        shape.offsets = offsets_.data();
        return sum == shape.rows;
    }

    int64_t gates() const { return rnn_gates(shape.cell) * shape.hidden; }
    int64_t work() const { return shape.rows * gates() * (shape.input + shape.output); }

  private:
    std::vector<int64_t> offsets_;
};

PyObject* none() {
    Py_INCREF(Py_None);
    return Py_None;
}

// A new array (rows, columns), or (columns,) for rows < 0, for a result; None where not wanted.
template <class T>
class Result {
  public:
    Result(T** to, DType dtype, int64_t rows, int64_t columns, bool wanted = true)
        : ref_(wanted ? make(dtype, rows, columns) : none()) {
        *to = wanted ? data_of<T>(ref_.get()) : nullptr;
    }
    PyObject* release() { return ref_.release(); }

  private:
    static PyObject* make(DType dtype, int64_t rows, int64_t columns) {
        const int64_t shape[2] = {rows, columns};
        return rows < 0 ? new_result(dtype, 1, shape + 1) : new_result(dtype, 2, shape);
    }
    Ref ref_;
};

// (x, weight_ih, weight_hh, bias_ih, bias_hh, [weight_hr,] h0, [c0,] ...)
template <class T>
PyObject* forward(Layer& layer, PyObject* const* args, Py_ssize_t count, bool keep, bool reverse) {
    RnnShape& s = layer.shape;
    const bool lstm = s.cell == RnnCell::lstm, gru = s.cell == RnnCell::gru;
    RnnForward<T> f{};
    Arguments in(args, count, layer.dtype);
    in.array(&f.x, s.rows, s.input);
    in.array(&f.w_ih, layer.gates(), s.input);
    in.array(&f.w_hh, layer.gates(), s.output);
    in.array(&f.b_ih, -1, layer.gates(), true);
    in.array(&f.b_hh, -1, layer.gates(), true);
    if (lstm)
        in.array(&f.w_hr, s.output, s.hidden, true);
    in.array(&f.h0, s.samples, s.output);
    if (lstm)
        in.array(&f.c0, s.samples, s.hidden);
    if (!in.served || (!f.w_hr && s.output != s.hidden))
        return nullptr;
    s.reverse = reverse;
    f.shape = s;
    Result y(&f.y, layer.dtype, s.rows, s.output), hn(&f.hn, layer.dtype, s.samples, s.output),
        cn(&f.cn, layer.dtype, s.samples, s.hidden, lstm),
        activations(&f.activations, layer.dtype, s.rows, layer.gates(), keep),
        extra(&f.extra, layer.dtype, s.rows, s.hidden, keep);
    {
        const MaybeReleaseGil release(layer.work());
        rnn_forward(f);
    }
    if (lstm)
        return new_tuple(
            {y.release(), hn.release(), cn.release(), activations.release(), extra.release()});
    if (gru)
        return new_tuple({y.release(), hn.release(), activations.release(), extra.release()});
    return new_tuple({y.release(), hn.release()});
}

// (gy, ghn, [gcn,] x, weight_ih, weight_hh, [weight_hr,] h0, [c0,] y, [activations, extra,]
//  ...)
template <class T>
PyObject* backward(Layer& layer, PyObject* const* args, Py_ssize_t count, bool x_wanted,
                   bool reverse) {
    RnnShape& s = layer.shape;
    const bool lstm = s.cell == RnnCell::lstm, gru = s.cell == RnnCell::gru;
    RnnBackward<T> b{};
    Arguments in(args, count, layer.dtype);
    in.array(&b.gy, s.rows, s.output, true);
    in.array(&b.ghn, s.samples, s.output, true);
    if (lstm)
        in.array(&b.gcn, s.samples, s.hidden, true);
    in.array(&b.x, s.rows, s.input);
    in.array(&b.w_ih, layer.gates(), s.input);
    in.array(&b.w_hh, layer.gates(), s.output);
    if (lstm)
        in.array(&b.w_hr, s.output, s.hidden, true);
    in.array(&b.h0, s.samples, s.output);
    if (lstm)
        in.array(&b.c0, s.samples, s.hidden);
    in.array(&b.y, s.rows, s.output);
    if (lstm || gru) {
        in.array(&b.activations, s.rows, layer.gates());
        in.array(&b.extra, s.rows, s.hidden);
    }
    if (!in.served || (!b.w_hr && s.output != s.hidden))
        return nullptr;
    s.reverse = reverse;
    b.shape = s;
    const DType dtype = layer.dtype;
    Result gx(&b.gx, dtype, s.rows, s.input, x_wanted),
        gw_ih(&b.gw_ih, dtype, layer.gates(), s.input),
        gw_hh(&b.gw_hh, dtype, layer.gates(), s.output), gb_ih(&b.gb_ih, dtype, -1, layer.gates()),
        gb_hh(&b.gb_hh, dtype, -1, layer.gates(), gru),
        gw_hr(&b.gw_hr, dtype, s.output, s.hidden, b.w_hr != nullptr),
        gh0(&b.gh0, dtype, s.samples, s.output), gc0(&b.gc0, dtype, s.samples, s.hidden, lstm);
    {
        const MaybeReleaseGil release(layer.work());
        rnn_backward(b);
    }
    if (lstm)
        return new_tuple({gx.release(), gw_ih.release(), gw_hh.release(), gb_ih.release(),
                          gw_hr.release(), gh0.release(), gc0.release()});
    if (gru)
        return new_tuple({gx.release(), gw_ih.release(), gw_hh.release(), gb_ih.release(),
                          gb_hh.release(), gh0.release()});
    return new_tuple(
        {gx.release(), gw_ih.release(), gw_hh.release(), gb_ih.release(), gh0.release()});
}

bool nonlinearity(PyObject* object, RnnCell* cell) {
    if (!PyUnicode_Check(object))
        return false;
    *cell = PyUnicode_CompareWithASCIIString(object, "relu") == 0 ? RnnCell::relu : RnnCell::tanh;
    return *cell == RnnCell::relu || PyUnicode_CompareWithASCIIString(object, "tanh") == 0;
}

PyObject* rnn(PyObject* const* args, Py_ssize_t count) {
    RnnCell cell{};
    Layer layer;
    bool reverse = false;
    if (count != 9 || !nonlinearity(args[8], &cell) || !bool_argument(args[7], &reverse) ||
        !layer.parse(cell, args[0], args[1], args[5], args[5], args[6]))
        return nullptr;
    return with_float(layer.dtype,
                      [&]<class T>(T) { return forward<T>(layer, args, 6, false, reverse); });
}

PyObject* lstm(PyObject* const* args, Py_ssize_t count) {
    Layer layer;
    bool reverse = false, keep = false;
    if (count != 11 || !bool_argument(args[9], &reverse) || !bool_argument(args[10], &keep) ||
        !layer.parse(RnnCell::lstm, args[0], args[1], args[6], args[7], args[8]))
        return nullptr;
    return with_float(layer.dtype,
                      [&]<class T>(T) { return forward<T>(layer, args, 8, keep, reverse); });
}

PyObject* gru(PyObject* const* args, Py_ssize_t count) {
    Layer layer;
    bool reverse = false, keep = false;
    if (count != 9 || !bool_argument(args[7], &reverse) || !bool_argument(args[8], &keep) ||
        !layer.parse(RnnCell::gru, args[0], args[1], args[5], args[5], args[6]))
        return nullptr;
    return with_float(layer.dtype,
                      [&]<class T>(T) { return forward<T>(layer, args, 6, keep, reverse); });
}

PyObject* rnn_backward(PyObject* const* args, Py_ssize_t count) {
    RnnCell cell{};
    Layer layer;
    bool reverse = false, x_wanted = false;
    if (count != 11 || !bool_argument(args[8], &reverse) || !nonlinearity(args[9], &cell) ||
        !bool_argument(args[10], &x_wanted) ||
        !layer.parse(cell, args[2], args[3], args[5], args[5], args[7]))
        return nullptr;
    return with_float(layer.dtype,
                      [&]<class T>(T) { return backward<T>(layer, args, 7, x_wanted, reverse); });
}

PyObject* lstm_backward(PyObject* const* args, Py_ssize_t count) {
    Layer layer;
    bool reverse = false, x_wanted = false;
    if (count != 15 || !bool_argument(args[13], &reverse) || !bool_argument(args[14], &x_wanted) ||
        !layer.parse(RnnCell::lstm, args[3], args[4], args[7], args[8], args[12]))
        return nullptr;
    return with_float(layer.dtype,
                      [&]<class T>(T) { return backward<T>(layer, args, 12, x_wanted, reverse); });
}

PyObject* gru_backward(PyObject* const* args, Py_ssize_t count) {
    Layer layer;
    bool reverse = false, x_wanted = false;
    if (count != 12 || !bool_argument(args[10], &reverse) || !bool_argument(args[11], &x_wanted) ||
        !layer.parse(RnnCell::gru, args[2], args[3], args[5], args[5], args[9]))
        return nullptr;
    return with_float(layer.dtype,
                      [&]<class T>(T) { return backward<T>(layer, args, 9, x_wanted, reverse); });
}

} // namespace

void register_rnn() {
    register_fast<rnn>("rnn");
    register_fast<rnn_backward>("rnn_backward");
    register_fast<lstm>("lstm");
    register_fast<lstm_backward>("lstm_backward");
    register_fast<gru>("gru");
    register_fast<gru_backward>("gru_backward");
}

} // namespace fastnn::bindings

#include "rnn/rnn.h"

#include <pybind11/stl.h>

#include <deque>
#include <numeric>

#include "bindings/array.h"
#include "bindings/bindings.h"

namespace fastnn::cuda::bindings {

namespace {

// The arrays of a call, which live until it ends.
class Arrays {
  public:
    Arrays(const char* name, py::handle first, const std::vector<int64_t>& sizes, bool reverse)
        : sequence{sizes, reverse}, name_(name) {
        const Array probe(first, name, "gates");
        dtype = probe.dtype;
        if (dtype != DType::float32 && dtype != DType::float64)
            throw py::type_error(std::string(name) + ": arrays must be float32 or float64, got " +
                                 name_of(dtype));
        if (sizes.empty() || sizes.back() < 1 ||
            !std::is_sorted(sizes.begin(), sizes.end(), std::greater<>()))
            throw py::value_error(std::string(name) +
                                  ": batch sizes must be positive and must not grow");
        rows = std::accumulate(sizes.begin(), sizes.end(), int64_t(0));
        samples = sizes[0];
    }

    Sequence sequence;
    DType dtype;
    int64_t rows, samples;

    void* add(py::handle object, const char* argument, int64_t height, int64_t width,
              Access access) {
        const Array& a = arrays_.emplace_back(object, name_, argument, access);
        a.require_dtype(dtype).require_contiguous().require_ndim(2);
        if (a.shape[0] != height || a.shape[1] != width)
            throw py::value_error(std::string(name_) + ": " + argument + " must be (" +
                                  std::to_string(height) + ", " + std::to_string(width) +
                                  "), got " + shape_text(a));
        return a.data;
    }
    const void* in(py::handle object, const char* argument, int64_t height, int64_t width) {
        return add(object, argument, height, width, Access::read);
    }
    void* out(py::handle object, const char* argument, int64_t height, int64_t width) {
        return add(object, argument, height, width, Access::write);
    }
    // Weights with `height` rows of at least `width` columns; sets *columns.
    const void* weight(py::handle object, const char* argument, int64_t height, int64_t width,
                       int64_t* columns) {
        *columns = width_of(object, argument);
        if (*columns < width || *columns % 4 != 0)
            throw py::value_error(std::string(name_) + ": " + argument +
                                  " must have a multiple of 4 columns, at least " +
                                  std::to_string(width) + ", got " + std::to_string(*columns));
        const void* data = in(object, argument, height, *columns);
        if (reinterpret_cast<std::uintptr_t>(data) % 16 != 0)
            throw py::value_error(std::string(name_) + ": " + argument +
                                  " must be aligned to 16 bytes");
        return data;
    }
    int64_t width_of(py::handle object, const char* argument) {
        const Array a(object, name_, argument);
        a.require_ndim(2);
        if (a.shape[1] < 1)
            throw py::value_error(std::string(name_) + ": " + argument + " has no columns");
        return a.shape[1];
    }

  private:
    const char* name_;
    std::deque<Array> arrays_;
};

using Sizes = std::vector<int64_t>;

} // namespace

void init_rnn(py::module_& m) {
    m.def("rnn", [](py::handle gates, py::handle weight, py::handle h0, const Sizes& sizes,
                    bool reverse, bool relu, py::handle y, py::handle hn, std::uintptr_t stream) {
        Arrays a("rnn", gates, sizes, reverse);
        Rnn call{};
        call.dtype = a.dtype;
        call.relu = relu;
        const int64_t size = call.hidden = a.width_of(h0, "h0");
        call.gates = a.in(gates, "gates", a.rows, size);
        call.weight = a.weight(weight, "weight", size, size, &call.columns);
        call.h0 = a.in(h0, "h0", a.samples, size);
        call.y = a.out(y, "y", a.rows, size);
        call.hn = a.out(hn, "hn", a.samples, size);
        check("rnn", rnn(call, a.sequence, as_stream(stream)));
    });
    m.def("rnn_backward",
          [](py::handle gy, py::handle ghn, py::handle y, py::handle weight, const Sizes& sizes,
             bool reverse, bool relu, py::handle ggates, py::handle gh0, std::uintptr_t stream) {
              Arrays a("rnn_backward", gy, sizes, reverse);
              RnnGradient call{};
              call.dtype = a.dtype;
              call.relu = relu;
              const int64_t size = call.hidden = a.width_of(ghn, "ghn");
              call.gy = a.in(gy, "gy", a.rows, size);
              call.ghn = a.in(ghn, "ghn", a.samples, size);
              call.y = a.in(y, "y", a.rows, size);
              call.weight = a.weight(weight, "weight", size, size, &call.columns);
              call.ggates = a.out(ggates, "ggates", a.rows, size);
              call.gh0 = a.out(gh0, "gh0", a.samples, size);
              check("rnn_backward", rnn_backward(call, a.sequence, as_stream(stream)));
          });
    m.def("lstm", [](py::handle gates, py::handle weight, py::handle projection, py::handle h0,
                     py::handle c0, const Sizes& sizes, bool reverse, py::handle y, py::handle hn,
                     py::handle cn, py::handle activations, py::handle cells, py::handle product,
                     std::uintptr_t stream) {
        Arrays a("lstm", gates, sizes, reverse);
        Lstm call{};
        call.dtype = a.dtype;
        const int64_t size = call.hidden = a.width_of(c0, "c0");
        const int64_t out = call.output = a.width_of(h0, "h0");
        int64_t columns;
        call.gates = a.in(gates, "gates", a.rows, 4 * size);
        call.weight = a.weight(weight, "weight", out, 4 * size, &columns);
        if (columns != 4 * size)
            throw py::value_error("lstm: weight must have 4 columns a unit");
        if (!projection.is_none()) {
            call.projection =
                a.weight(projection, "projection", size, out, &call.projection_columns);
            call.product = a.out(product, "product", a.samples, size);
        } else if (out != size) {
            throw py::value_error("lstm: h0 and c0 differ, and there is no projection");
        }
        call.h0 = a.in(h0, "h0", a.samples, out);
        call.c0 = a.in(c0, "c0", a.samples, size);
        call.y = a.out(y, "y", a.rows, out);
        call.hn = a.out(hn, "hn", a.samples, out);
        call.cn = a.out(cn, "cn", a.samples, size);
        call.activations = a.out(activations, "activations", a.rows, 4 * size);
        call.cells = a.out(cells, "cells", a.rows, size);
        check("lstm", lstm(call, a.sequence, as_stream(stream)));
    });
    m.def("lstm_backward", [](py::handle gy, py::handle ghn, py::handle gcn, py::handle activations,
                              py::handle cells, py::handle weight, py::handle projection,
                              py::handle c0, const Sizes& sizes, bool reverse, py::handle ggates,
                              py::handle gh0, py::handle gc0, py::handle total,
                              std::uintptr_t stream) {
        Arrays a("lstm_backward", gy, sizes, reverse);
        LstmGradient call{};
        call.dtype = a.dtype;
        const int64_t size = call.hidden = a.width_of(gcn, "gcn");
        const int64_t out = call.output = a.width_of(ghn, "ghn");
        call.gy = a.in(gy, "gy", a.rows, out);
        call.ghn = a.in(ghn, "ghn", a.samples, out);
        call.gcn = a.in(gcn, "gcn", a.samples, size);
        call.activations = a.in(activations, "activations", a.rows, 4 * size);
        call.cells = a.in(cells, "cells", a.rows, size);
        call.weight = a.weight(weight, "weight", 4 * size, out, &call.columns);
        if (!projection.is_none()) {
            call.projection =
                a.weight(projection, "projection", out, size, &call.projection_columns);
            call.total = a.out(total, "total", a.rows, out);
        } else if (out != size) {
            throw py::value_error("lstm_backward: ghn and gcn differ, and there is no projection");
        }
        call.c0 = a.in(c0, "c0", a.samples, size);
        call.ggates = a.out(ggates, "ggates", a.rows, 4 * size);
        call.gh0 = a.out(gh0, "gh0", a.samples, out);
        call.gc0 = a.out(gc0, "gc0", a.samples, size);
        check("lstm_backward", lstm_backward(call, a.sequence, as_stream(stream)));
    });
    m.def("gru", [](py::handle gates, py::handle weight, py::handle bias, py::handle h0,
                    const Sizes& sizes, bool reverse, py::handle y, py::handle hn,
                    py::handle activations, py::handle hidden, std::uintptr_t stream) {
        Arrays a("gru", gates, sizes, reverse);
        Gru call{};
        call.dtype = a.dtype;
        const int64_t size = call.hidden = a.width_of(h0, "h0");
        int64_t columns;
        call.gates = a.in(gates, "gates", a.rows, 3 * size);
        call.weight = a.weight(weight, "weight", size, 4 * size, &columns);
        if (columns != 4 * size)
            throw py::value_error("gru: weight must have 4 columns a unit");
        if (!bias.is_none())
            call.bias = a.in(bias, "bias", 1, 3 * size);
        call.h0 = a.in(h0, "h0", a.samples, size);
        call.y = a.out(y, "y", a.rows, size);
        call.hn = a.out(hn, "hn", a.samples, size);
        call.activations = a.out(activations, "activations", a.rows, 3 * size);
        call.hidden_part = a.out(hidden, "hidden", a.rows, size);
        check("gru", gru(call, a.sequence, as_stream(stream)));
    });
    m.def("gru_backward",
          [](py::handle gy, py::handle ghn, py::handle y, py::handle activations, py::handle hidden,
             py::handle weight, py::handle h0, const Sizes& sizes, bool reverse, py::handle ggates,
             py::handle ghidden, py::handle gh0, std::uintptr_t stream) {
              Arrays a("gru_backward", gy, sizes, reverse);
              GruGradient call{};
              call.dtype = a.dtype;
              const int64_t size = call.hidden = a.width_of(h0, "h0");
              call.gy = a.in(gy, "gy", a.rows, size);
              call.ghn = a.in(ghn, "ghn", a.samples, size);
              call.y = a.in(y, "y", a.rows, size);
              call.activations = a.in(activations, "activations", a.rows, 3 * size);
              call.hidden_part = a.in(hidden, "hidden", a.rows, size);
              call.weight = a.weight(weight, "weight", 3 * size, size, &call.columns);
              call.h0 = a.in(h0, "h0", a.samples, size);
              call.ggates = a.out(ggates, "ggates", a.rows, 3 * size);
              call.ghidden = a.out(ghidden, "ghidden", a.rows, 3 * size);
              call.gh0 = a.out(gh0, "gh0", a.samples, size);
              check("gru_backward", gru_backward(call, a.sequence, as_stream(stream)));
          });
    m.def("previous_states", [](py::handle y, py::handle h0, const Sizes& sizes, bool reverse,
                                py::handle out, std::uintptr_t stream) {
        Arrays a("previous_states", y, sizes, reverse);
        const int64_t width = a.width_of(y, "y");
        const void* of_steps = a.in(y, "y", a.rows, width);
        const void* first = a.in(h0, "h0", a.samples, width);
        check("previous_states",
              previous_states(a.dtype, width, of_steps, first, a.out(out, "out", a.rows, width),
                              a.sequence, as_stream(stream)));
    });
}

} // namespace fastnn::cuda::bindings

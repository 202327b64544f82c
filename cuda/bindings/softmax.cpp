#include "softmax/softmax.h"

#include "bindings/array.h"
#include "bindings/bindings.h"

namespace fastnn::cuda::bindings {

namespace {

struct Axes {
    int64_t outer = 1, n = 1, inner = 1;
};

Axes around(const Array& x, int axis) {
    Axes axes;
    for (int i = 0; i < x.ndim; i++)
        (i < axis ? axes.outer : i == axis ? axes.n : axes.inner) *= x.shape[i];
    return axes;
}

CrossEntropy call_of(const Array& logits, const Array& target, const Array* weight,
                     int64_t ignore_index, double label_smoothing) {
    logits.require_contiguous().require_ndim(2);
    target.require_contiguous().require_dtype(DType::int64).require_size(logits.shape[0]);
    if (weight)
        weight->require_contiguous().require_dtype(logits.dtype).require_size(logits.shape[1]);
    return {logits.dtype, logits.shape[0],      logits.shape[1],
            logits.data,  target.as<int64_t>(), weight ? weight->data : nullptr,
            ignore_index, label_smoothing};
}

} // namespace

void init_softmax(py::module_& m) {
    m.def("softmax", [](bool log, py::handle x, py::handle y, int axis, std::uintptr_t stream) {
        const Array in(x, "softmax", "x");
        const Array out(y, "softmax", "y", Access::write);
        in.require_contiguous();
        out.require_contiguous().require_dtype(in.dtype).require_size(in.size());
        const Axes axes = around(in, axis);
        check("softmax", softmax(log, in.dtype, in.data, out.data, axes.outer, axes.n, axes.inner,
                                 as_stream(stream)));
    });
    m.def("softmax_backward", [](bool log, py::handle g, py::handle y, py::handle gx, int axis,
                                 std::uintptr_t stream) {
        const Array gradient(g, "softmax_backward", "g");
        const Array result(y, "softmax_backward", "y");
        const Array out(gx, "softmax_backward", "gx", Access::write);
        gradient.require_contiguous();
        result.require_contiguous().require_dtype(gradient.dtype).require_size(gradient.size());
        out.require_contiguous().require_dtype(gradient.dtype).require_size(gradient.size());
        const Axes axes = around(gradient, axis);
        check("softmax_backward",
              softmax_backward(log, gradient.dtype, gradient.data, result.data, out.data,
                               axes.outer, axes.n, axes.inner, as_stream(stream)));
    });
    m.def("cross_entropy", [](py::handle logits, py::handle target, py::object weight,
                              int64_t ignore_index, double label_smoothing, py::handle loss,
                              py::handle lse, py::handle wrong, std::uintptr_t stream) {
        const Array x(logits, "cross_entropy", "logits");
        const Array t(target, "cross_entropy", "target");
        std::optional<Array> w;
        if (!weight.is_none())
            w.emplace(weight, "cross_entropy", "weight");
        const Array out(loss, "cross_entropy", "loss", Access::write);
        const Array log_sum(lse, "cross_entropy", "lse", Access::write);
        const Array bad(wrong, "cross_entropy", "wrong", Access::write);
        const CrossEntropy call = call_of(x, t, w ? &*w : nullptr, ignore_index, label_smoothing);
        out.require_contiguous().require_dtype(x.dtype).require_size(x.shape[0]);
        log_sum.require_contiguous()
            .require_dtype(accumulator_of(x.dtype))
            .require_size(x.shape[0]);
        bad.require_dtype(DType::int32).require_size(1);
        check("cross_entropy",
              cross_entropy(call, out.data, log_sum.data, bad.as<int32_t>(), as_stream(stream)));
    });
    m.def("cross_entropy_backward",
          [](py::handle g, py::handle logits, py::handle target, py::handle lse, py::object weight,
             int64_t ignore_index, double label_smoothing, py::handle gx, std::uintptr_t stream) {
              const char* const name = "cross_entropy_backward";
              const Array gradient(g, name, "g");
              const Array x(logits, name, "logits");
              const Array t(target, name, "target");
              const Array log_sum(lse, name, "lse");
              std::optional<Array> w;
              if (!weight.is_none())
                  w.emplace(weight, name, "weight");
              const Array out(gx, name, "gx", Access::write);
              const CrossEntropy call =
                  call_of(x, t, w ? &*w : nullptr, ignore_index, label_smoothing);
              gradient.require_contiguous().require_dtype(x.dtype).require_size(x.shape[0]);
              log_sum.require_contiguous()
                  .require_dtype(accumulator_of(x.dtype))
                  .require_size(x.shape[0]);
              out.require_contiguous().require_dtype(x.dtype).require_size(x.size());
              check(name, cross_entropy_backward(call, gradient.data, log_sum.data, out.data,
                                                 as_stream(stream)));
          });
}

} // namespace fastnn::cuda::bindings

// Pooling: arguments as in the protocol. Images are C-contiguous (NCHW) or channels last.
#include "pool/pool.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "bindings/fast_call.h"

namespace fastnn::bindings {
namespace {

// See backends/numpy/pool.py.
int64_t pooled_size(int64_t size, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation,
                    bool ceil_mode) {
    const int64_t span = size + 2 * padding - dilation * (kernel - 1) - 1;
    if (span < 0)
        return 0;
    if (!ceil_mode)
        return span / stride + 1;
    const int64_t out = (span + stride - 1) / stride + 1;
    return (out - 1) * stride >= size + padding ? out - 1 : out;
}

bool positive(const int64_t v[2]) {
    return v[0] > 0 && v[1] > 0;
}

// Kernel, stride and padding (and dilation 1) from three pairs; false if they make no sense.
bool parse_window(PyObject* const* args, PoolShape* s) {
    s->dilation[0] = s->dilation[1] = 1;
    return pair_argument(args[0], s->kernel) && pair_argument(args[1], s->stride) &&
           pair_argument(args[2], s->padding) && positive(s->kernel) && positive(s->stride) &&
           s->padding[0] >= 0 && s->padding[1] >= 0;
}

bool parse_image(PyObject* x, DType* dtype, bool* channels_last) {
    *dtype = float_dtype(x);
    if (*dtype == DType::other || array_of(x)->nd != 4 || size_of(x) == 0)
        return false;
    *channels_last = is_channels_last(x);
    return *channels_last || is_c_contiguous(x);
}

bool set_image(PoolShape* s, const int64_t shape[4], bool channels_last) {
    s->n = shape[0];
    s->c = shape[1];
    s->h = shape[2];
    s->w = shape[3];
    s->channels_last = channels_last;
    return shape[0] > 0 && shape[1] > 0 && shape[2] > 0 && shape[3] > 0 &&
           s->h <= std::numeric_limits<int32_t>::max() / s->w; // indices are int32
}

bool set_image(PoolShape* s, PyObject* x, bool channels_last) {
    const int64_t shape[4] = {dim(x, 0), dim(x, 1), dim(x, 2), dim(x, 3)};
    return set_image(s, shape, channels_last);
}

bool set_output(PoolShape* s, bool ceil_mode) {
    s->oh = pooled_size(s->h, s->kernel[0], s->stride[0], s->padding[0], s->dilation[0], ceil_mode);
    s->ow = pooled_size(s->w, s->kernel[1], s->stride[1], s->padding[1], s->dilation[1], ceil_mode);
    return s->oh > 0 && s->ow > 0;
}

// g is the gradient of this shape's output.
bool output_is(const PoolShape& s, PyObject* g) {
    return dim(g, 0) == s.n && dim(g, 1) == s.c && dim(g, 2) == s.oh && dim(g, 3) == s.ow;
}

// (x, kernel, stride, padding, dilation, ceil_mode, indices = True)
PyObject* max_pool2d(PyObject* const* args, Py_ssize_t count) {
    PoolShape s;
    DType dtype{};
    bool channels_last = false, ceil_mode = false, wanted = true;
    if (count < 6 || count > 7 || (count > 6 && !bool_argument(args[6], &wanted)) ||
        !parse_image(args[0], &dtype, &channels_last) || !parse_window(args + 1, &s) ||
        !pair_argument(args[4], s.dilation) || !positive(s.dilation) ||
        !bool_argument(args[5], &ceil_mode) || !set_image(&s, args[0], channels_last) ||
        !set_output(&s, ceil_mode))
        return nullptr;
    const int64_t shape[4] = {s.n, s.c, s.oh, s.ow};
    Ref y(new_image(dtype, shape, channels_last));
    Ref indices(wanted ? new_image(DType::int32, shape, channels_last) : Py_NewRef(Py_None));
    {
        const MaybeReleaseGil release(size_of(args[0]));
        max_pool(s, dtype == DType::float64, data_of<void>(args[0]), data_of<void>(y.get()),
                 wanted ? data_of<int32_t>(indices.get()) : nullptr);
    }
    return new_tuple({y.release(), indices.release()});
}

// (g, indices, input_shape)
PyObject* max_pool2d_backward(PyObject* const* args, Py_ssize_t count) {
    PoolShape s;
    DType dtype{};
    bool channels_last = false;
    int64_t shape[4];
    if (count != 3 || !parse_image(args[0], &dtype, &channels_last) ||
        array_dtype(args[1]) != DType::int32 || array_of(args[1])->nd != 4 ||
        !shape_argument(args[2], 4, shape) || !set_image(&s, shape, channels_last))
        return nullptr;
    s.oh = dim(args[0], 2);
    s.ow = dim(args[0], 3);
    if (!output_is(s, args[0]) || !output_is(s, args[1]) ||
        !(channels_last ? is_channels_last(args[1]) : is_c_contiguous(args[1])))
        return nullptr;
    Ref gx(new_image(dtype, shape, channels_last));
    const MaybeReleaseGil release(size_of(gx.get()));
    max_pool_backward(s, dtype == DType::float64, data_of<void>(args[0]), data_of<int32_t>(args[1]),
                      data_of<void>(gx.get()));
    return gx.release();
}

// The tables of PoolWindows, with their memory.
class Windows {
  public:
    explicit Windows(const PoolShape& s) : s_(s) {
        for (int axis = 0; axis < 2; ++axis) {
            const auto n = static_cast<std::size_t>(axis ? s.ow : s.oh);
            start_[axis].resize(n);
            end_[axis].resize(n);
            scale_[axis].resize(n);
        }
    }

    void fixed(bool count_include_pad, double divisor_override) {
        for (int axis = 0; axis < 2; ++axis) {
            const int64_t size = axis ? s_.w : s_.h;
            for (std::size_t i = 0; i < start_[axis].size(); ++i) {
                const int64_t start = static_cast<int64_t>(i) * s_.stride[axis] - s_.padding[axis];
                const int64_t end = std::min(start + s_.kernel[axis], size + s_.padding[axis]);
                start_[axis][i] = std::max<int64_t>(start, 0);
                end_[axis][i] = std::max(std::min(end, size), start_[axis][i]);
                scale_[axis][i] =
                    1.0 / static_cast<double>(count_include_pad ? end - start
                                                                : end_[axis][i] - start_[axis][i]);
                uniform_ &= start >= 0 && start + s_.kernel[axis] <= size;
                if (divisor_override != 0)
                    scale_[axis][i] = axis ? 1 : 1 / divisor_override;
            }
        }
    }

    void adaptive() {
        stride_ = 0;
        uniform_ = false;
        for (int axis = 0; axis < 2; ++axis) {
            const int64_t size = axis ? s_.w : s_.h;
            const auto out = static_cast<int64_t>(start_[axis].size());
            for (int64_t i = 0; i < out; ++i) {
                const auto at = static_cast<std::size_t>(i);
                start_[axis][at] = i * size / out;
                end_[axis][at] = ((i + 1) * size + out - 1) / out;
                scale_[axis][at] = 1.0 / static_cast<double>(end_[axis][at] - start_[axis][at]);
            }
        }
    }

    PoolWindows get() const {
        return {start_[0].data(), end_[0].data(),   start_[1].data(), end_[1].data(),
                scale_[0].data(), scale_[1].data(), stride_,          uniform_};
    }

  private:
    const PoolShape& s_;
    std::vector<int64_t> start_[2], end_[2];
    std::vector<double> scale_[2];
    int64_t stride_ = s_.stride[1];
    bool uniform_ = true;
};

PyObject* run_average(const PoolShape& s, const Windows& windows, PyObject* x, DType dtype) {
    const int64_t shape[4] = {s.n, s.c, s.oh, s.ow};
    Ref y(new_image(dtype, shape, s.channels_last));
    const MaybeReleaseGil release(size_of(x));
    average_pool(s, windows.get(), dtype == DType::float64, data_of<void>(x),
                 data_of<void>(y.get()));
    return y.release();
}

PyObject* run_average_backward(const PoolShape& s, const Windows& windows, PyObject* g,
                               DType dtype) {
    const int64_t shape[4] = {s.n, s.c, s.h, s.w};
    Ref gx(new_image(dtype, shape, s.channels_last));
    const MaybeReleaseGil release(size_of(gx.get()));
    average_pool_backward(s, windows.get(), dtype == DType::float64, data_of<void>(g),
                          data_of<void>(gx.get()));
    return gx.release();
}

// (..., kernel, stride, padding, ceil_mode, count_include_pad, divisor_override) from args on
bool parse_average(PyObject* const* args, PoolShape* s, bool* count_include_pad,
                   double* divisor_override) {
    bool ceil_mode = false;
    int64_t divisor = 0;
    if (!parse_window(args, s) || !bool_argument(args[3], &ceil_mode) ||
        !bool_argument(args[4], count_include_pad) ||
        (args[5] != Py_None && (!int_argument(args[5], &divisor) || divisor == 0)))
        return false;
    *divisor_override = static_cast<double>(divisor);
    return set_output(s, ceil_mode);
}

// (x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)
PyObject* avg_pool2d(PyObject* const* args, Py_ssize_t count) {
    PoolShape s;
    DType dtype{};
    bool channels_last = false, count_include_pad = false;
    double divisor = 0;
    if (count != 7 || !parse_image(args[0], &dtype, &channels_last) ||
        !set_image(&s, args[0], channels_last) ||
        !parse_average(args + 1, &s, &count_include_pad, &divisor))
        return nullptr;
    Windows windows(s);
    windows.fixed(count_include_pad, divisor);
    return run_average(s, windows, args[0], dtype);
}

// (g, input_shape, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)
PyObject* avg_pool2d_backward(PyObject* const* args, Py_ssize_t count) {
    PoolShape s;
    DType dtype{};
    bool channels_last = false, count_include_pad = false;
    double divisor = 0;
    int64_t shape[4];
    if (count != 8 || !parse_image(args[0], &dtype, &channels_last) ||
        !shape_argument(args[1], 4, shape) || !set_image(&s, shape, channels_last) ||
        !parse_average(args + 2, &s, &count_include_pad, &divisor) || !output_is(s, args[0]))
        return nullptr;
    Windows windows(s);
    windows.fixed(count_include_pad, divisor);
    return run_average_backward(s, windows, args[0], dtype);
}

// (x, output_size)
PyObject* adaptive_avg_pool2d(PyObject* const* args, Py_ssize_t count) {
    PoolShape s;
    DType dtype{};
    bool channels_last = false;
    int64_t output[2];
    if (count != 2 || !parse_image(args[0], &dtype, &channels_last) ||
        !pair_argument(args[1], output) || !positive(output) ||
        !set_image(&s, args[0], channels_last))
        return nullptr;
    s.oh = output[0];
    s.ow = output[1];
    Windows windows(s);
    windows.adaptive();
    return run_average(s, windows, args[0], dtype);
}

// (g, input_shape)
PyObject* adaptive_avg_pool2d_backward(PyObject* const* args, Py_ssize_t count) {
    PoolShape s;
    DType dtype{};
    bool channels_last = false;
    int64_t shape[4];
    if (count != 2 || !parse_image(args[0], &dtype, &channels_last) ||
        !shape_argument(args[1], 4, shape) || !set_image(&s, shape, channels_last))
        return nullptr;
    s.oh = dim(args[0], 2);
    s.ow = dim(args[0], 3);
    if (!output_is(s, args[0]))
        return nullptr;
    Windows windows(s);
    windows.adaptive();
    return run_average_backward(s, windows, args[0], dtype);
}

} // namespace

void register_pool() {
    register_fast<&bindings::max_pool2d>("max_pool2d");
    register_fast<&bindings::max_pool2d_backward>("max_pool2d_backward");
    register_fast<&bindings::avg_pool2d>("avg_pool2d");
    register_fast<&bindings::avg_pool2d_backward>("avg_pool2d_backward");
    register_fast<&bindings::adaptive_avg_pool2d>("adaptive_avg_pool2d");
    register_fast<&bindings::adaptive_avg_pool2d_backward>("adaptive_avg_pool2d_backward");
}

} // namespace fastnn::bindings

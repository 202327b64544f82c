// Optimizer kernels: see optim.h. The formulas are those of backends/numpy/optim.py.
#include "optim/optim.h"

#include "simd/loops.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
void sgd(const SgdStep& step, const Parameter& p, int64_t begin, int64_t end) {
    T* x = static_cast<T*>(p.data) + begin;
    const T* grad = static_cast<const T*>(p.grad) + begin;
    T* buffer = p.state[0] ? static_cast<T*>(p.state[0]) + begin : nullptr;
    const T lr = static_cast<T>(step.lr), momentum = static_cast<T>(step.momentum);
    const T take = static_cast<T>(1 - step.dampening), decay = static_cast<T>(step.weight_decay);
    const bool has_decay = step.weight_decay != 0;
    for_vectors<T>(end - begin, [&](int64_t i, int64_t n) {
        const Vec<T> value = get(x + i, n);
        Vec<T> g = get(grad + i, n);
        if (step.maximize)
            g = -g;
        if (has_decay)
            g += value * decay;
        if (buffer) {
            const Vec<T> b = step.first ? g : get(buffer + i, n) * momentum + g * take;
            put(buffer + i, b, n);
            g = step.nesterov ? g + b * momentum : b;
        }
        put(x + i, value - g * lr, n);
    });
}

template <class T>
void adam(const AdamStep& step, const Parameter& p, int64_t begin, int64_t end) {
    T* x = static_cast<T*>(p.data) + begin;
    const T* grad = static_cast<const T*>(p.grad) + begin;
    T* m = static_cast<T*>(p.state[0]) + begin;
    T* v = static_cast<T*>(p.state[1]) + begin;
    T* top = p.state[2] ? static_cast<T*>(p.state[2]) + begin : nullptr;
    const T take1 = static_cast<T>(1 - step.beta1), take2 = static_cast<T>(1 - step.beta2);
    const T beta2 = static_cast<T>(step.beta2), eps = static_cast<T>(step.eps);
    const T step_size = static_cast<T>(step.step_size);
    const T inverse = static_cast<T>(1 / step.correction);
    const T decay = static_cast<T>(step.weight_decay), shrink = static_cast<T>(step.shrink);
    const bool has_decay = step.weight_decay != 0;
    for_vectors<T>(end - begin, [&](int64_t i, int64_t n) {
        Vec<T> value = get(x + i, n) * shrink;
        Vec<T> g = get(grad + i, n);
        if (step.maximize)
            g = -g;
        if (has_decay)
            g += value * decay;
        const Vec<T> first = get(m + i, n), new_first = first + (g - first) * take1;
        const Vec<T> second = get(v + i, n) * beta2 + g * g * take2;
        put(m + i, new_first, n);
        put(v + i, second, n);
        Vec<T> largest = second;
        if (top) {
            const Vec<T> before = get(top + i, n);
            largest = ((before > second) | (before != before)) ? before : second;
            put(top + i, largest, n);
        }
        put(x + i, value - new_first * step_size / (sqrt(largest) * inverse + eps), n);
    });
}

} // namespace

const OptimTable optim_table = {{sgd<float>, sgd<double>}, {adam<float>, adam<double>}};

} // namespace fastnn::FASTNN_ISA

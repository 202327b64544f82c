// Optimizer kernels: see optim.h. The formulas are those of backends/numpy/optim.py.
#include "optim/optim.h"

#include "simd/loops.h"

namespace fastnn::FASTNN_ISA {
namespace {

// -- formulas: each updates a vector of x, the parameter, and of its state by g, the gradient ----
template <class T>
struct Formula {
    using V = Vec<T>;
    T rate, beta1, beta2, take1, take2, eps, correction;

    Formula(const OptimStep& s, const Parameter&)
        : rate(static_cast<T>(s.rate)), beta1(static_cast<T>(s.beta1)),
          beta2(static_cast<T>(s.beta2)), take1(static_cast<T>(1 - s.beta1)),
          take2(static_cast<T>(1 - s.beta2)), eps(static_cast<T>(s.eps)),
          correction(static_cast<T>(s.correction)) {}

    FASTNN_INLINE void mean(V& m, V g) const { m += (g - m) * take1; }
    FASTNN_INLINE void mean_square(V& v, V g) const { v = v * beta2 + g * g * take2; }
};

// NaN where either is.
template <class V>
FASTNN_INLINE V larger(V a, V b) {
    return ((a > b) | (a != a)) ? a : b;
}

template <class T>
struct Sgd : Formula<T> {
    using V = Vec<T>;
    static constexpr int states = 1;
    T take;
    bool first, nesterov, has_momentum;

    Sgd(const OptimStep& s, const Parameter& p)
        : Formula<T>(s, p), take(static_cast<T>(s.take)), first(s.first), nesterov(s.nesterov),
          has_momentum(p.state[0] != nullptr) {}

    FASTNN_INLINE void operator()(V& x, V g, V (&state)[3]) const {
        if (has_momentum) {
            V& b = state[0];
            b = first ? g : b * this->beta1 + g * take;
            g = nesterov ? g + b * this->beta1 : b;
        }
        x -= g * this->rate;
    }
};

template <class T>
struct Adam : Formula<T> {
    using V = Vec<T>;
    static constexpr int states = 3;
    bool amsgrad;

    Adam(const OptimStep& s, const Parameter& p)
        : Formula<T>(s, p), amsgrad(p.state[2] != nullptr) {}

    FASTNN_INLINE void operator()(V& x, V g, V (&state)[3]) const {
        auto& [m, v, top] = state;
        this->mean(m, g);
        this->mean_square(v, g);
        V largest = v;
        if (amsgrad)
            largest = top = larger(top, v);
        x -= m * this->rate / (sqrt(largest) * this->correction + this->eps);
    }
};

template <class T>
struct Adagrad : Formula<T> {
    using V = Vec<T>;
    static constexpr int states = 1;
    using Formula<T>::Formula;

    FASTNN_INLINE void operator()(V& x, V g, V (&state)[3]) const {
        state[0] += g * g;
        x -= g / (sqrt(state[0]) + this->eps) * this->rate;
    }
};

template <class T>
struct Adadelta : Formula<T> {
    using V = Vec<T>;
    static constexpr int states = 2;
    using Formula<T>::Formula;

    FASTNN_INLINE void operator()(V& x, V g, V (&state)[3]) const {
        V &v = state[0], &u = state[1];
        this->mean_square(v, g);
        const V d = sqrt(u + this->eps) / sqrt(v + this->eps) * g;
        this->mean_square(u, d);
        x -= d * this->rate;
    }
};

template <class T>
struct Adamax : Formula<T> {
    using V = Vec<T>;
    static constexpr int states = 2;
    using Formula<T>::Formula;

    FASTNN_INLINE void operator()(V& x, V g, V (&state)[3]) const {
        V &m = state[0], &u = state[1];
        this->mean(m, g);
        u = larger((g < T(0) ? -g : g) + this->eps, u * this->beta2);
        x -= m / u * this->rate;
    }
};

template <class T>
struct NAdam : Formula<T> {
    using V = Vec<T>;
    static constexpr int states = 2;
    T of_gradient, of_mean;

    NAdam(const OptimStep& s, const Parameter& p)
        : Formula<T>(s, p), of_gradient(static_cast<T>(p.own[0])),
          of_mean(static_cast<T>(p.own[1])) {}

    FASTNN_INLINE void operator()(V& x, V g, V (&state)[3]) const {
        V &m = state[0], &v = state[1];
        this->mean(m, g);
        this->mean_square(v, g);
        x -= (g * of_gradient + m * of_mean) / (sqrt(v * this->correction) + this->eps);
    }
};

template <class T>
struct RAdam : Formula<T> {
    using V = Vec<T>;
    static constexpr int states = 2;
    bool rectified;

    RAdam(const OptimStep& s, const Parameter& p) : Formula<T>(s, p), rectified(s.rectified) {}

    FASTNN_INLINE void operator()(V& x, V g, V (&state)[3]) const {
        V &m = state[0], &v = state[1];
        this->mean(m, g);
        this->mean_square(v, g);
        x -= (rectified ? m / (sqrt(v) + this->eps) : m) * this->rate;
    }
};

template <class T>
struct RMSprop : Formula<T> {
    using V = Vec<T>;
    static constexpr int states = 3;
    T momentum;
    bool centered, has_momentum;

    RMSprop(const OptimStep& s, const Parameter& p)
        : Formula<T>(s, p), momentum(static_cast<T>(s.take)), centered(p.state[1] != nullptr),
          has_momentum(p.state[2] != nullptr) {}

    FASTNN_INLINE void operator()(V& x, V g, V (&state)[3]) const {
        auto& [v, average, b] = state;
        this->mean_square(v, g);
        V variance = v;
        if (centered) {
            average += (g - average) * this->take2;
            variance -= average * average;
        }
        V direction = g / (sqrt(variance) + this->eps);
        if (has_momentum)
            direction = b = b * momentum + direction;
        x -= direction * this->rate;
    }
};

template <class T>
struct Rprop : Formula<T> {
    using V = Vec<T>;
    static constexpr int states = 2;
    T low, high;

    Rprop(const OptimStep& s, const Parameter& p)
        : Formula<T>(s, p), low(static_cast<T>(s.low)), high(static_cast<T>(s.high)) {}

    FASTNN_INLINE void operator()(V& x, V g, V (&state)[3]) const {
        V &before = state[0], &size = state[1];
        const V product = before * g;
        const V changed = product < T(0) ? size * this->beta1 : size;
        size = min(broadcast(high),
                   max(broadcast(low), product > T(0) ? size * this->beta2 : changed));
        before = product < T(0) ? V{} : g;
        // Its sign times the size: 0 and NaN stay.
        x -= before > T(0) ? size : before < T(0) ? -size : before * size;
    }
};

template <class T>
struct Asgd : Formula<T> {
    using V = Vec<T>;
    static constexpr int states = 1;
    T keep, eta, weight;

    Asgd(const OptimStep& s, const Parameter& p)
        : Formula<T>(s, p), keep(static_cast<T>(1 - s.rate * p.own[0])),
          eta(static_cast<T>(p.own[0])), weight(static_cast<T>(p.own[1])) {}

    FASTNN_INLINE void operator()(V& x, V g, V (&state)[3]) const {
        x = x * keep - g * eta;
        state[0] = weight == 1 ? x : state[0] + (x - state[0]) * weight;
    }
};

// -- their loop ---------------------------------------------------------------------------------
template <class T, template <class> class Update>
void update(const OptimStep& step, const Parameter& p, int64_t begin, int64_t end) {
    T* const x = static_cast<T*>(p.data) + begin;
    const T* const grad = static_cast<const T*>(p.grad) + begin;
    T* const state[3] = {p.state[0] ? static_cast<T*>(p.state[0]) + begin : nullptr,
                         p.state[1] ? static_cast<T*>(p.state[1]) + begin : nullptr,
                         p.state[2] ? static_cast<T*>(p.state[2]) + begin : nullptr};
    const T decay = static_cast<T>(step.weight_decay), shrink = static_cast<T>(step.shrink);
    const bool has_decay = step.weight_decay != 0, maximize = step.maximize;
    const Update<T> formula(step, p);
    for_vectors<T>(end - begin, [&](int64_t i, int64_t n) __attribute__((always_inline)) {
        Vec<T> value = get(x + i, n) * shrink;
        Vec<T> g = get(grad + i, n);
        if (maximize)
            g = -g;
        if (has_decay)
            g += value * decay;
        Vec<T> kept[3] = {};
#pragma GCC unroll 3
        for (int k = 0; k < Update<T>::states; ++k)
            if (state[k])
                kept[k] = get(state[k] + i, n);
        formula(value, g, kept);
#pragma GCC unroll 3
        for (int k = 0; k < Update<T>::states; ++k)
            if (state[k])
                put(state[k] + i, kept[k], n);
        put(x + i, value, n);
    });
}

template <template <class> class... Updates>
constexpr OptimTable make_table() {
    return {{{update<float, Updates>, update<double, Updates>}...}};
}

} // namespace

// In the order of Optimizer.
const OptimTable optim_table =
    make_table<Sgd, Adam, Adagrad, Adadelta, Adamax, NAdam, RAdam, RMSprop, Rprop, Asgd>();

} // namespace fastnn::FASTNN_ISA

// What each optimizer does to one element: rule(v) maps v = (p, g, state...) to the new values, in
// arithmetic of type A. g stays as it is in memory.
#pragma once

#include <cmath>

#include "core/reduce.cuh"
#include "optim/optim.h"

namespace fastnn::cuda {

// The gradient to descend along.
template <class A>
struct Descent {
    A weight_decay;
    bool maximize;

    explicit Descent(const OptimizerOptions& o)
        : weight_decay(A(o.decoupled ? 0 : o.weight_decay)), maximize(o.maximize) {}
    __device__ __forceinline__ A operator()(A p, A g) const {
        if (maximize)
            g = -g;
        return weight_decay != A(0) ? g + weight_decay * p : g; // 0 * infinity must not enter
    }
};

// Running means: mean += (1 - decay) * (x - mean), and of squares.
template <class A>
struct Decay {
    A keep, rest;

    explicit Decay(double decay) : keep(A(decay)), rest(A(1 - decay)) {}
    __device__ __forceinline__ A mean(A old, A x) const { return old + rest * (x - old); }
    __device__ __forceinline__ A square(A old, A x) const { return keep * old + rest * (x * x); }
};

// 1 - decay^step
inline double correction(double decay, const OptimizerOptions& o) {
    return 1 - std::pow(decay, o.step);
}
// By which decoupled weight decay shrinks a parameter.
inline double shrinkage(const OptimizerOptions& o) {
    return o.decoupled ? 1 - o.lr * o.weight_decay : 1;
}

template <class A, bool buffered>
struct SgdRule {
    static constexpr int arrays = buffered ? 3 : 2;
    Descent<A> descent;
    A lr, momentum, share; // of the gradient in the buffer
    bool nesterov, first;

    explicit SgdRule(const OptimizerOptions& o)
        : descent(o), lr(A(o.lr)), momentum(A(o.momentum)), share(A(1 - o.dampening)),
          nesterov(o.nesterov), first(o.first) {}
    __device__ __forceinline__ void operator()(A (&v)[arrays]) const {
        A g = descent(v[0], v[1]);
        if constexpr (buffered) {
            const A b = first ? g : momentum * v[2] + share * g;
            v[2] = b;
            g = nesterov ? g + momentum * b : b;
        }
        v[0] -= lr * g;
    }
};

template <class A, bool amsgrad>
struct AdamRule {
    static constexpr int arrays = amsgrad ? 5 : 4;
    Descent<A> descent;
    Decay<A> first, second;
    A shrink, rate, inverse, eps;

    explicit AdamRule(const OptimizerOptions& o)
        : descent(o), first(o.beta1), second(o.beta2), shrink(A(shrinkage(o))),
          rate(A(o.lr / correction(o.beta1, o))), inverse(A(1 / std::sqrt(correction(o.beta2, o)))),
          eps(A(o.eps)) {}
    __device__ __forceinline__ void operator()(A (&v)[arrays]) const {
        const A g = descent(v[0], v[1]);
        v[2] = first.mean(v[2], g);
        v[3] = second.square(v[3], g);
        A top = v[3];
        if constexpr (amsgrad)
            v[4] = top = Max::merge(v[4], v[3]);
        v[0] = v[0] * shrink - rate * v[2] / (sqrt(top) * inverse + eps);
    }
};

template <class A>
struct AdagradRule {
    static constexpr int arrays = 3;
    Descent<A> descent;
    A rate, eps;

    explicit AdagradRule(const OptimizerOptions& o)
        : descent(o), rate(A(o.lr / (1 + (o.step - 1) * o.lr_decay))), eps(A(o.eps)) {}
    __device__ __forceinline__ void operator()(A (&v)[arrays]) const {
        const A g = descent(v[0], v[1]);
        v[2] += g * g;
        v[0] -= rate * g / (sqrt(v[2]) + eps);
    }
};

template <class A>
struct AdadeltaRule {
    static constexpr int arrays = 4;
    Descent<A> descent;
    Decay<A> decay;
    A lr, eps;

    explicit AdadeltaRule(const OptimizerOptions& o)
        : descent(o), decay(o.rho), lr(A(o.lr)), eps(A(o.eps)) {}
    __device__ __forceinline__ void operator()(A (&v)[arrays]) const {
        const A g = descent(v[0], v[1]);
        v[2] = decay.square(v[2], g);
        const A d = sqrt(v[3] + eps) / sqrt(v[2] + eps) * g;
        v[3] = decay.square(v[3], d);
        v[0] -= lr * d;
    }
};

template <class A>
struct AdamaxRule {
    static constexpr int arrays = 4;
    Descent<A> descent;
    Decay<A> first;
    A beta2, rate, eps;

    explicit AdamaxRule(const OptimizerOptions& o)
        : descent(o), first(o.beta1), beta2(A(o.beta2)), rate(A(o.lr / correction(o.beta1, o))),
          eps(A(o.eps)) {}
    __device__ __forceinline__ void operator()(A (&v)[arrays]) const {
        const A g = descent(v[0], v[1]);
        v[2] = first.mean(v[2], g);
        v[3] = Max::merge(beta2 * v[3], (g < A(0) ? -g : g) + eps);
        v[0] -= rate * v[2] / v[3];
    }
};

template <class A>
struct NadamRule {
    static constexpr int arrays = 4;
    Descent<A> descent;
    Decay<A> first, second;
    A shrink, of_gradient, of_mean, inverse, eps; // the rates of g and m

    explicit NadamRule(const OptimizerOptions& o)
        : descent(o), first(o.beta1), second(o.beta2), shrink(A(shrinkage(o))),
          of_gradient(A(o.lr * (1 - o.mu) / (1 - o.mu_product))),
          of_mean(A(o.lr * o.mu_next / (1 - o.mu_product * o.mu_next))),
          inverse(A(1 / correction(o.beta2, o))), eps(A(o.eps)) {}
    __device__ __forceinline__ void operator()(A (&v)[arrays]) const {
        const A g = descent(v[0], v[1]);
        v[2] = first.mean(v[2], g);
        v[3] = second.square(v[3], g);
        const A d = sqrt(v[3] * inverse) + eps;
        v[0] = v[0] * shrink - of_gradient * g / d - of_mean * v[2] / d;
    }
};

template <class A>
struct RadamRule {
    static constexpr int arrays = 4;
    Descent<A> descent;
    Decay<A> first, second;
    A shrink, rate, eps;
    bool rectified;

    explicit RadamRule(const OptimizerOptions& o)
        : descent(o), first(o.beta1), second(o.beta2), shrink(A(shrinkage(o))), eps(A(o.eps)) {
        const double left = correction(o.beta2, o), limit = 2 / (1 - o.beta2) - 1;
        const double rho = limit - 2 * o.step * std::pow(o.beta2, o.step) / left;
        rectified = rho > 5;
        const double r = (rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho) * left;
        rate = A(o.lr / correction(o.beta1, o) * (rectified ? std::sqrt(r) : 1));
    }
    __device__ __forceinline__ void operator()(A (&v)[arrays]) const {
        const A g = descent(v[0], v[1]);
        v[2] = first.mean(v[2], g);
        v[3] = second.square(v[3], g);
        v[0] = v[0] * shrink - rate * (rectified ? v[2] / (sqrt(v[3]) + eps) : v[2]);
    }
};

template <class A, bool centered, bool buffered>
struct RmsPropRule {
    static constexpr int arrays = 3 + centered + buffered;
    Descent<A> descent;
    Decay<A> decay;
    A lr, eps, momentum;

    explicit RmsPropRule(const OptimizerOptions& o)
        : descent(o), decay(o.alpha), lr(A(o.lr)), eps(A(o.eps)), momentum(A(o.momentum)) {}
    __device__ __forceinline__ void operator()(A (&v)[arrays]) const {
        const A g = descent(v[0], v[1]);
        v[2] = decay.square(v[2], g);
        A variance = v[2];
        if constexpr (centered) {
            v[3] = decay.mean(v[3], g);
            variance -= v[3] * v[3];
        }
        A step = g / (sqrt(variance) + eps);
        if constexpr (buffered)
            v[arrays - 1] = step = momentum * v[arrays - 1] + step;
        v[0] -= lr * step;
    }
};

template <class A>
struct RpropRule {
    static constexpr int arrays = 4;
    Descent<A> descent;
    A minus, plus, least, most;

    explicit RpropRule(const OptimizerOptions& o)
        : descent(o), minus(A(o.eta_minus)), plus(A(o.eta_plus)), least(A(o.step_size_min)),
          most(A(o.step_size_max)) {}
    __device__ __forceinline__ void operator()(A (&v)[arrays]) const {
        const A g = descent(v[0], v[1]);
        const A product = v[2] * g;
        const A step = v[3] * (product > A(0) ? plus : product < A(0) ? minus : A(1));
        v[3] = step < least ? least : step > most ? most : step;
        v[2] = product < A(0) ? A(0) : g;
        const A sign = v[2] > A(0) ? A(1) : v[2] < A(0) ? A(-1) : v[2]; // of NaN NaN
        v[0] -= sign * v[3];
    }
};

template <class A>
struct AsgdRule {
    static constexpr int arrays = 3;
    Descent<A> descent;
    A eta, shrink, mu;

    explicit AsgdRule(const OptimizerOptions& o)
        : descent(o), eta(A(o.eta)), shrink(A(1 - o.lambd * o.eta)), mu(A(o.mu)) {}
    __device__ __forceinline__ void operator()(A (&v)[arrays]) const {
        const A g = descent(v[0], v[1]);
        v[0] = v[0] * shrink - eta * g;
        v[2] = mu == A(1) ? v[0] : v[2] + mu * (v[0] - v[2]);
    }
};

} // namespace fastnn::cuda

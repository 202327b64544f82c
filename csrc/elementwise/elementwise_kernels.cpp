// Elementwise kernels: see elementwise.h. Tails of rows go through the same vector code, so that an
// element's result does not depend on its position.
#include "elementwise/elementwise.h"

#include "simd/math.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Hendrycks and Gimpel's tanh(sqrt(2 / pi) (x + 0.044715 x^3)).
template <class T>
FASTNN_INLINE Vec<T> gelu_gate(Vec<T> x) {
    return tanh<T>((x + x * x * x * T(0.044715)) * T(0.79788456080286535588));
}

template <class T>
FASTNN_INLINE Vec<T> gelu_slope(Vec<T> x) {
    Vec<T> gauss;
    const Vec<T> z = min(broadcast(kNormalZero<T>), abs<T>(x));
    const Vec<T> tail = normal_tail<T>(z, &gauss);
    const Vec<T> cdf = x < T(0) ? tail : T(1) - tail;
    return cdf + x * (gauss * (T(0.39894228040143267794) * kExpScale<T>));
}

template <class T>
FASTNN_INLINE Vec<T> gelu_tanh_slope(Vec<T> x) {
    const Vec<T> gate = gelu_gate<T>(x);
    const Vec<T> steepness = (x * x * T(3 * 0.044715) + T(1)) * T(0.39894228040143267794);
    return (gate + T(1)) * T(0.5) + x * ((T(1) - gate * gate) * steepness);
}

// x P(X <= x), as max(x, -0) - |x| P(X > |x|): nothing cancels, and the sign of 0 is x's.
template <class T>
FASTNN_INLINE Vec<T> gelu_of(Vec<T> x) {
    Vec<T> gauss;
    const Vec<T> z = min(broadcast(kNormalZero<T>), abs<T>(x));
    return max(broadcast(T(-0.0)), x) - z * normal_tail<T>(z, &gauss);
}

template <class T>
FASTNN_INLINE Vec<T> silu_slope(Vec<T> x) {
    const Vec<T> s = sigmoid<T>(x);
    return s * (T(1) + x * (T(1) - s));
}

#define FASTNN_FUNCTION(Name, expression)                                                          \
    template <class T>                                                                             \
    struct Name {                                                                                  \
        using V = Vec<T>;                                                                          \
        static FASTNN_INLINE V apply([[maybe_unused]] V a, [[maybe_unused]] V b,                   \
                                     [[maybe_unused]] T parameter) {                               \
            return expression;                                                                     \
        }                                                                                          \
    };

FASTNN_FUNCTION(Add, a + b)
FASTNN_FUNCTION(Subtract, a - b)
FASTNN_FUNCTION(Multiply, a* b)
FASTNN_FUNCTION(Divide, a / b)
// A NaN in either operand is the result, as in NumPy.
FASTNN_FUNCTION(Maximum, ((a > b) | (a != a)) ? a : b)
FASTNN_FUNCTION(Minimum, ((a < b) | (a != a)) ? a : b)
FASTNN_FUNCTION(TanhBackward, a*(T(1) - b * b))
FASTNN_FUNCTION(SigmoidBackward, a*(b*(T(1) - b)))
FASTNN_FUNCTION(ReluBackward, b > T(0) ? a : V{})
FASTNN_FUNCTION(LeakyReluBackward, b > T(0) ? a : a * parameter)
FASTNN_FUNCTION(SiluBackward, a* silu_slope<T>(b))
FASTNN_FUNCTION(GeluBackward, a* gelu_slope<T>(b))
FASTNN_FUNCTION(GeluTanhBackward, a* gelu_tanh_slope<T>(b))
FASTNN_FUNCTION(Negative, -a)
FASTNN_FUNCTION(Absolute, abs<T>(a))
FASTNN_FUNCTION(Square, a* a)
FASTNN_FUNCTION(Sqrt, sqrt(a))
FASTNN_FUNCTION(Exp, exp<T>(a))
FASTNN_FUNCTION(Log, log<T>(a))
FASTNN_FUNCTION(Tanh, tanh<T>(a))
FASTNN_FUNCTION(Sigmoid, sigmoid<T>(a))
FASTNN_FUNCTION(Relu, max(V{}, a)) // NaN stays
FASTNN_FUNCTION(LeakyRelu, a > T(0) ? a : a * parameter)
FASTNN_FUNCTION(Erf, erf<T>(a))
FASTNN_FUNCTION(Silu, a* sigmoid<T>(a))
FASTNN_FUNCTION(Gelu, gelu_of<T>(a))
FASTNN_FUNCTION(GeluTanh, a*((gelu_gate<T>(a) + T(1)) * T(0.5)))
#undef FASTNN_FUNCTION

// Whether an operand's columns move or stand is known at compile time.
template <class T, class F, bool AMoves, bool BMoves>
FASTNN_INLINE void rows_of(int64_t rows, int64_t cols, const T* a, int64_t a_row, const T* b,
                           int64_t b_row, T* y, T parameter) {
    constexpr int lanes = kLanes<T>;
    for (int64_t r = 0; r < rows; ++r, a += a_row, b += b_row, y += cols) {
        Vec<T> va = {}, vb = {};
        if constexpr (!AMoves)
            va = broadcast(*a);
        if constexpr (!BMoves)
            vb = broadcast(*b);
        int64_t c = 0;
#pragma GCC unroll 4
        for (; c + lanes <= cols; c += lanes) {
            if constexpr (AMoves)
                va = load(a + c);
            if constexpr (BMoves)
                vb = load(b + c);
            store(y + c, F::apply(va, vb, parameter));
        }
        if (c < cols) {
            if constexpr (AMoves)
                va = load_partial(a + c, cols - c);
            if constexpr (BMoves)
                vb = load_partial(b + c, cols - c);
            store_partial(y + c, F::apply(va, vb, parameter), cols - c);
        }
    }
}

template <class T, class F>
void binary(int64_t rows, int64_t cols, const void* a, int64_t a_row, int64_t a_col, const void* b,
            int64_t b_row, int64_t b_col, void* y, double parameter) {
    const T* pa = static_cast<const T*>(a);
    const T* pb = static_cast<const T*>(b);
    T* py = static_cast<T*>(y);
    const T p = static_cast<T>(parameter);
    if (a_col && b_col)
        rows_of<T, F, true, true>(rows, cols, pa, a_row, pb, b_row, py, p);
    else if (a_col)
        rows_of<T, F, true, false>(rows, cols, pa, a_row, pb, b_row, py, p);
    else if (b_col)
        rows_of<T, F, false, true>(rows, cols, pa, a_row, pb, b_row, py, p);
    else
        rows_of<T, F, false, false>(rows, cols, pa, a_row, pb, b_row, py, p);
}

// b stands for nothing: the row pointer of a is read in its place.
template <class T, class F>
void unary(int64_t rows, int64_t cols, const void* a, int64_t a_row, int64_t a_col, const void*,
           int64_t, int64_t, void* y, double parameter) {
    const T* pa = static_cast<const T*>(a);
    T* py = static_cast<T*>(y);
    const T p = static_cast<T>(parameter);
    if (a_col)
        rows_of<T, F, true, false>(rows, cols, pa, a_row, pa, a_row, py, p);
    else
        rows_of<T, F, false, false>(rows, cols, pa, a_row, pa, a_row, py, p);
}

} // namespace

#define FASTNN_KERNELS(T)                                                                          \
    {binary<T, Add<T>>,                                                                            \
     binary<T, Subtract<T>>,                                                                       \
     binary<T, Multiply<T>>,                                                                       \
     binary<T, Divide<T>>,                                                                         \
     binary<T, Maximum<T>>,                                                                        \
     binary<T, Minimum<T>>,                                                                        \
     binary<T, TanhBackward<T>>,                                                                   \
     binary<T, SigmoidBackward<T>>,                                                                \
     binary<T, ReluBackward<T>>,                                                                   \
     binary<T, LeakyReluBackward<T>>,                                                              \
     binary<T, SiluBackward<T>>,                                                                   \
     binary<T, GeluBackward<T>>,                                                                   \
     binary<T, GeluTanhBackward<T>>,                                                               \
     unary<T, Negative<T>>,                                                                        \
     unary<T, Absolute<T>>,                                                                        \
     unary<T, Square<T>>,                                                                          \
     unary<T, Sqrt<T>>,                                                                            \
     unary<T, Exp<T>>,                                                                             \
     unary<T, Log<T>>,                                                                             \
     unary<T, Tanh<T>>,                                                                            \
     unary<T, Sigmoid<T>>,                                                                         \
     unary<T, Relu<T>>,                                                                            \
     unary<T, LeakyRelu<T>>,                                                                       \
     unary<T, Erf<T>>,                                                                             \
     unary<T, Silu<T>>,                                                                            \
     unary<T, Gelu<T>>,                                                                            \
     unary<T, GeluTanh<T>>}

const ElementwiseTable elementwise_table = {FASTNN_KERNELS(float), FASTNN_KERNELS(double)};

} // namespace fastnn::FASTNN_ISA

#include "norm/norm.h"

#include <algorithm>
#include <cmath>

#include "core/buffer_pool.h"
#include "core/integers.h"
#include "core/parallel.h"

namespace fastnn {
namespace {

constexpr int64_t kGrain = 16384;
constexpr int64_t kMaxParts = 16; // into which the rows are cut for sums
constexpr int64_t kGroup = 512;   // channels of one task

// How the rows and channels are cut into tasks, by the shape alone.
struct Partition {
    explicit Partition(const NormShape& s) {
        group = std::min(s.channels,
                         s.run > 1 ? std::clamp<int64_t>(kGrain / s.run, 1, kGroup) : kGroup);
        groups = ceil_div(s.channels, group);
        rows = std::max(kGrain / (group * s.run), ceil_div(s.rows, kMaxParts));
        rows = std::clamp<int64_t>(rows, 1, s.rows);
        parts = ceil_div(s.rows, rows);
    }
    int64_t group, groups, rows, parts;
};

// Calls sum(part, first row, rows, first channel, channels) for each task.
template <class Sum>
void for_tasks(const NormShape& s, const Partition& cut, Sum sum) {
    parallel_for(cut.parts * cut.groups, [&](int64_t task) {
        const int64_t part = task / cut.groups, row = part * cut.rows;
        const int64_t c = task % cut.groups * cut.group;
        sum(part, row, std::min(cut.rows, s.rows - row), c, std::min(cut.group, s.channels - c));
    });
}

template <class T>
void apply(const NormShape& s, const T* x, const T* g, const T* mean, const T* scale,
           const T* shift, const T* g_scale, T* y, bool relu = false) {
    const NormTable& table = norm_table();
    const auto kernel = (relu ? table.apply_relu : table.apply)[sizeof(T) == 8];
    const int64_t row = s.channels * s.run;
    if (row > 4 * kGrain && s.run > 1) { // few large images: a task for some channels of a row
        const int64_t group = std::clamp<int64_t>(kGrain / s.run, 1, s.channels);
        const int64_t groups = ceil_div(s.channels, group);
        parallel_for(s.rows * groups, [&](int64_t task) {
            const int64_t c = task % groups * group;
            const int64_t at = task / groups * row + c * s.run;
            kernel(x + at, g ? g + at : nullptr, mean + c, scale + c, shift + c,
                   g ? g_scale + c : nullptr, 1, std::min(group, s.channels - c), s.run, y + at);
        });
        return;
    }
    parallel_range(s.rows, std::max<int64_t>(kGrain / row, 1), [&](int64_t begin, int64_t end) {
        const int64_t at = begin * row;
        kernel(x + at, g ? g + at : nullptr, mean, scale, shift, g_scale, end - begin, s.channels,
               s.run, y + at);
    });
}

template <class T>
void forward(const NormShape& s, const T* x, const T* weight, const T* bias, double eps, T* y,
             T* mean_out, T* var_out) {
    const auto& table = norm_table();
    const Partition cut(s);
    const int64_t item = sizeof(T), channels = s.channels;
    const Scratch scratch(static_cast<std::size_t>(2 * cut.parts * channels) * sizeof(double));
    double* means = scratch.as<double>(); // [part][channel]
    double* m2s = means + cut.parts * channels;
    for_tasks(s, cut, [&](int64_t part, int64_t row, int64_t rows, int64_t c, int64_t count) {
        Moments into{0, means + part * channels + c, m2s + part * channels + c};
        std::fill(into.mean, into.mean + count, 0.0);
        std::fill(into.m2, into.m2 + count, 0.0);
        if (s.run > 1) {
            for (int64_t r = row; r < row + rows; ++r, into.count += static_cast<double>(s.run))
                table.moments_runs[item == 8](x + (r * channels + c) * s.run, count, s.run, into);
        } else {
            for (int64_t r = row; r < row + rows; r += kNormRows) {
                const int64_t block = std::min(kNormRows, row + rows - r);
                table.moments_columns[item == 8](x + r * channels + c, block, channels, count,
                                                 into);
                into.count += static_cast<double>(block);
            }
        }
    });

    const Scratch coefficients(static_cast<std::size_t>(2 * channels) * sizeof(T));
    T* scale = coefficients.as<T>();
    T* shift = scale + channels;
    for (int64_t c = 0; c < channels; ++c) {
        double count = 0, mean = 0, m2 = 0;
        for (int64_t part = 0; part < cut.parts; ++part) {
            const int64_t rows = std::min(cut.rows, s.rows - part * cut.rows);
            const double n = static_cast<double>(rows * s.run), total = count + n;
            const double delta = means[part * channels + c] - mean;
            mean += delta * (n / total);
            m2 += m2s[part * channels + c] + delta * delta * (count * n / total);
            count = total;
        }
        const double var = m2 / count;
        mean_out[c] = static_cast<T>(mean);
        var_out[c] = static_cast<T>(var);
        const double factor =
            (weight ? static_cast<double>(weight[c]) : 1.0) / std::sqrt(var + eps);
        scale[c] = static_cast<T>(factor);
        shift[c] = static_cast<T>((bias ? static_cast<double>(bias[c]) : 0.0) -
                                  (mean - static_cast<double>(mean_out[c])) * factor);
    }
    apply<T>(s, x, nullptr, mean_out, scale, shift, nullptr, y);
}

template <class T>
void inference(const NormShape& s, const T* x, const T* weight, const T* bias, const T* mean,
               const T* var, double eps, bool relu, T* y) {
    const Scratch coefficients(static_cast<std::size_t>(2 * s.channels) * sizeof(T));
    T* scale = coefficients.as<T>();
    T* shift = scale + s.channels;
    for (int64_t c = 0; c < s.channels; ++c) {
        scale[c] = static_cast<T>((weight ? static_cast<double>(weight[c]) : 1.0) /
                                  std::sqrt(static_cast<double>(var[c]) + eps));
        shift[c] = bias ? bias[c] : T{0};
    }
    apply<T>(s, x, nullptr, mean, scale, shift, nullptr, y, relu);
}

template <class T>
void backward(const NormShape& s, const T* g, const T* x, const T* weight, const T* mean,
              const T* var, double eps, T* gx, T* gweight, T* gbias) {
    const auto& table = norm_table();
    const Partition cut(s);
    const int64_t item = sizeof(T), channels = s.channels;
    const Scratch scratch(static_cast<std::size_t>(2 * cut.parts * channels) * sizeof(double));
    double* sum_g = scratch.as<double>(); // [part][channel]
    double* sum_gx = sum_g + cut.parts * channels;
    for_tasks(s, cut, [&](int64_t part, int64_t row, int64_t rows, int64_t c, int64_t count) {
        double* a = sum_g + part * channels + c;
        double* b = sum_gx + part * channels + c;
        std::fill(a, a + count, 0.0);
        std::fill(b, b + count, 0.0);
        if (s.run > 1) {
            for (int64_t r = row; r < row + rows; ++r) {
                const int64_t at = (r * channels + c) * s.run;
                table.sums_runs[item == 8](g + at, x + at, mean + c, count, s.run, a, b);
            }
        } else {
            for (int64_t r = row; r < row + rows; r += kNormRows) {
                const int64_t at = r * channels + c;
                table.sums_columns[item == 8](g + at, x + at, mean + c,
                                              std::min(kNormRows, row + rows - r), channels, count,
                                              a, b);
            }
        }
    });

    // gx = w s (g - sum_g / m - (x - mean) s^2 sum_gx / m) with s = 1 / sqrt(var + eps)
    const Scratch coefficients(static_cast<std::size_t>(3 * channels) * sizeof(T));
    T* scale = coefficients.as<T>();
    T* shift = scale + channels;
    T* g_scale = shift + channels;
    const double m = static_cast<double>(s.rows * s.run);
    for (int64_t c = 0; c < channels; ++c) {
        double a = 0, b = 0;
        for (int64_t part = 0; part < cut.parts; ++part) {
            a += sum_g[part * channels + c];
            b += sum_gx[part * channels + c];
        }
        const double invstd = 1 / std::sqrt(static_cast<double>(var[c]) + eps);
        const double factor = (weight ? static_cast<double>(weight[c]) : 1.0) * invstd;
        gbias[c] = static_cast<T>(a);
        gweight[c] = static_cast<T>(b * invstd);
        g_scale[c] = static_cast<T>(factor);
        scale[c] = static_cast<T>(-factor * invstd * invstd * b / m);
        shift[c] = static_cast<T>(-factor * a / m);
    }
    apply<T>(s, x, g, mean, scale, shift, g_scale, gx);
}

} // namespace

void batch_norm(const NormShape& shape, bool is_double, const void* x, const void* weight,
                const void* bias, double eps, void* y, void* mean, void* var) {
    const auto run = [&]<class T>(T) {
        forward(shape, static_cast<const T*>(x), static_cast<const T*>(weight),
                static_cast<const T*>(bias), eps, static_cast<T*>(y), static_cast<T*>(mean),
                static_cast<T*>(var));
    };
    is_double ? run(double{}) : run(float{});
}

void batch_norm_inference(const NormShape& shape, bool is_double, const void* x, const void* weight,
                          const void* bias, const void* mean, const void* var, double eps,
                          bool relu, void* y) {
    const auto run = [&]<class T>(T) {
        inference(shape, static_cast<const T*>(x), static_cast<const T*>(weight),
                  static_cast<const T*>(bias), static_cast<const T*>(mean),
                  static_cast<const T*>(var), eps, relu, static_cast<T*>(y));
    };
    is_double ? run(double{}) : run(float{});
}

void batch_norm_backward(const NormShape& shape, bool is_double, const void* g, const void* x,
                         const void* weight, const void* mean, const void* var, double eps,
                         void* gx, void* gweight, void* gbias) {
    const auto run = [&]<class T>(T) {
        backward(shape, static_cast<const T*>(g), static_cast<const T*>(x),
                 static_cast<const T*>(weight), static_cast<const T*>(mean),
                 static_cast<const T*>(var), eps, static_cast<T*>(gx), static_cast<T*>(gweight),
                 static_cast<T*>(gbias));
    };
    is_double ? run(double{}) : run(float{});
}

} // namespace fastnn

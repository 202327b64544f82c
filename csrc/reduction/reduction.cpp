#include "reduction/reduction.h"

#include <algorithm>
#include <limits>

#include "core/buffer_pool.h"
#include "core/integers.h"
#include "core/parallel.h"

namespace fastnn {
namespace {

constexpr int64_t kGrain = 32768;          // elements of one chunk
constexpr int64_t kMaxAccumulators = 1024; // of one task, on its stack
constexpr int64_t kMaxParts = 16;          // into which the reduced axis is cut
constexpr int64_t kStripStep = 128;        // columns: whole tiles, and some cache lines of a row

int operation(Reduction f) {
    return f == Reduction::amax ? 1 : f == Reduction::amin ? 2 : 0;
}

double combine(Reduction f, double a, double b) {
    if (f == Reduction::amax)
        return a > b || a != a ? a : b;
    if (f == Reduction::amin)
        return a < b || a != a ? a : b;
    return a + b;
}

class Reducer {
  public:
    explicit Reducer(const ReductionCall& call)
        : call_(call), item_(call.is_double ? 8 : 4), op_(operation(call.function)),
          kept_(call.columns ? call.outer * call.inner : call.middle),
          count_(static_cast<double>(call.columns ? call.middle : call.outer * call.inner)) {
        constexpr double infinity = std::numeric_limits<double>::infinity();
        start_ = op_ == 0 ? 0 : op_ == 1 ? -infinity : infinity;
    }

    void run() {
        if (call_.columns)
            run_columns();
        else
            run_runs();
    }

  private:
    const void* at(int64_t element) const {
        return static_cast<const char*>(call_.x) + element * item_;
    }

    // Outputs first .. first + count - 1 from their accumulators, which are used up.
    void write(int64_t first, double* acc, int64_t count) {
        if (call_.function == Reduction::mean)
            for (int64_t i = 0; i < count; ++i)
                acc[i] /= count_;
        if (call_.is_double)
            std::copy(acc, acc + count, static_cast<double*>(call_.y) + first);
        else
            std::transform(acc, acc + count, static_cast<float*>(call_.y) + first,
                           [](double value) { return static_cast<float>(value); });
    }

    // Runs tasks (part, group): each reduces part `part` of the reduced elements for the outputs of
    // a group, calling body(part, group, acc), where acc has place for the group's outputs,
    // first_of(group)..first_of(group + 1).
    template <class FirstOf, class Body>
    void run_tasks(int64_t parts, int64_t groups, FirstOf first_of, Body body) {
        const std::size_t bytes =
            parts == 1 ? 0 : static_cast<std::size_t>(parts * kept_) * sizeof(double);
        const Scratch scratch(bytes);
        double* partial = scratch.as<double>(); // [part][k]
        parallel_for(parts * groups, [&](int64_t task) {
            const int64_t part = task / groups, group = task % groups;
            const int64_t first = first_of(group), count = first_of(group + 1) - first;
            double local[kMaxAccumulators];
            double* acc = parts == 1 ? local : partial + part * kept_ + first;
            std::fill(acc, acc + count, start_);
            body(part, group, acc);
            if (parts == 1)
                write(first, acc, count);
        });
        if (parts == 1)
            return;
        for (int64_t part = 1; part < parts; ++part) {
            const double* from = partial + part * kept_;
            if (op_ == 0)
                for (int64_t k = 0; k < kept_; ++k)
                    partial[k] += from[k];
            else
                for (int64_t k = 0; k < kept_; ++k)
                    partial[k] = combine(call_.function, partial[k], from[k]);
        }
        write(0, partial, kept_);
    }

    void run_runs() {
        const auto kernel = reduction_table().runs[call_.is_double][op_];
        const int64_t r1 = call_.outer, k = call_.middle, r2 = call_.inner;
        // A part is a piece of the runs, or some of the runs.
        const int64_t pieces = r1 == 1 || r2 > kGrain ? ceil_div(r2, kGrain) : 1;
        const int64_t piece = ceil_div(r2, pieces);
        const int64_t k_group =
            std::clamp<int64_t>(kGrain / piece, 1, std::min(k, kMaxAccumulators));
        const int64_t r_group =
            pieces > 1 ? 1
                       : std::clamp<int64_t>(
                             std::max(kGrain / (k_group * r2), ceil_div(r1, kMaxParts)), 1, r1);
        const int64_t r_parts = ceil_div(r1, r_group);
        run_tasks(
            r_parts * pieces, ceil_div(k, k_group),
            [&](int64_t group) { return std::min(group * k_group, k); },
            [&](int64_t part, int64_t group, double* acc) {
                const int64_t j = part / pieces * r_group, begin = part % pieces * piece;
                const int64_t i = group * k_group;
                kernel(at(j * call_.outer_stride + i * call_.middle_stride + begin),
                       std::min(r_group, r1 - j), call_.outer_stride, std::min(k_group, k - i),
                       call_.middle_stride, std::min(piece, r2 - begin), acc);
            });
    }

    void run_columns() {
        const auto kernel = reduction_table().columns[call_.is_double][op_];
        const int64_t k1 = call_.outer, r = call_.middle, k2 = call_.inner;
        // Strips of columns occupy the threads, and their sums are whole; only where they are too
        // few, rows are cut too.
        const int64_t strip = std::min(
            k2, std::clamp(kGrain / r / kStripStep * kStripStep, kStripStep, kMaxAccumulators));
        const int64_t strips = ceil_div(k2, strip);
        const int64_t tasks = k1 * strips;
        const int64_t wanted = std::clamp<int64_t>(tasks * r * strip / kGrain, 1, kMaxParts);
        const int64_t rows = ceil_div(r, ceil_div(wanted, tasks));
        // Several small matrices make one task.
        const int64_t together =
            strips == 1
                ? std::clamp<int64_t>(kGrain / (rows * k2), 1,
                                      std::min(k1, std::max<int64_t>(kMaxAccumulators / k2, 1)))
                : 1;
        const int64_t groups = ceil_div(k1, together) * strips;
        run_tasks(
            ceil_div(r, rows), groups,
            [&](int64_t group) {
                if (group == groups)
                    return kept_;
                return group / strips * together * k2 + group % strips * strip;
            },
            [&](int64_t part, int64_t group, double* acc) {
                const int64_t first = group / strips * together, c = group % strips * strip;
                const int64_t j = part * rows;
                for (int64_t i = first; i < std::min(first + together, k1); ++i, acc += k2)
                    kernel(at(i * call_.outer_stride + j * call_.middle_stride + c),
                           std::min(rows, r - j), call_.middle_stride, std::min(strip, k2 - c),
                           acc);
            });
    }

    const ReductionCall& call_;
    int64_t item_;
    int op_;
    int64_t kept_;
    double count_;
    double start_;
};

} // namespace

void reduce(const ReductionCall& call) {
    Reducer(call).run();
}

void arg_reduce(bool is_double, bool minimum, const void* x, int64_t rows, int64_t row_stride,
                int64_t n, int64_t* y) {
    const auto kernel = reduction_table().position[is_double][minimum];
    const auto at = [&](int64_t element) {
        return static_cast<const char*>(x) + element * (is_double ? 8 : 4);
    };
    if (rows > 1 || n <= kGrain) {
        parallel_range(rows, std::max<int64_t>(kGrain / n, 1), [&](int64_t begin, int64_t end) {
            kernel(at(begin * row_stride), end - begin, row_stride, n, y + begin);
        });
        return;
    }
    // One long row: the position within each chunk, then the first of the best.
    const int64_t chunks = ceil_div(n, kGrain);
    const Scratch scratch(static_cast<std::size_t>(chunks) * sizeof(int64_t));
    int64_t* where = scratch.as<int64_t>();
    parallel_for(chunks, [&](int64_t chunk) {
        const int64_t begin = chunk * kGrain;
        kernel(at(begin), 1, 0, std::min(kGrain, n - begin), where + chunk);
        where[chunk] += begin;
    });
    const auto value = [&](int64_t i) {
        return is_double ? static_cast<const double*>(x)[i]
                         : static_cast<double>(static_cast<const float*>(x)[i]);
    };
    int64_t best = where[0];
    for (int64_t chunk = 1; chunk < chunks && value(best) == value(best); ++chunk) {
        const double candidate = value(where[chunk]);
        if (candidate != candidate || (minimum ? candidate < value(best) : candidate > value(best)))
            best = where[chunk];
    }
    *y = best;
}

} // namespace fastnn

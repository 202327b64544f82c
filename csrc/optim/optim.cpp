#include "optim/optim.h"

#include <algorithm>
#include <vector>

#include "core/parallel.h"

namespace fastnn {
namespace {

constexpr int64_t kChunk = 16384; // elements

// Calls body(parameter, begin, end) for all elements.
template <class Body>
void for_elements(const Parameter* parameters, std::size_t count, Body body) {
    int64_t total = 0;
    std::vector<int64_t> start(count); // of each parameter in the sequence of all elements
    for (std::size_t i = 0; i < count; ++i) {
        start[i] = total;
        total += parameters[i].size;
    }
    // A chunk may begin and end inside a parameter, at whole cache lines.
    parallel_range(total, total <= 2 * kChunk ? total : kChunk, [&](int64_t first, int64_t last) {
        auto i = static_cast<std::size_t>(std::upper_bound(start.begin(), start.end(), first) -
                                          start.begin()) -
                 1;
        for (; i < count && start[i] < last; ++i) {
            const auto edge = [&](int64_t at) { // the last edge of a line before this element
                const int64_t inside = at - start[i];
                return inside >= parameters[i].size ? parameters[i].size
                       : inside <= 0                ? 0
                                                    : inside / 16 * 16;
            };
            const int64_t begin = edge(first), end = edge(last);
            if (begin < end)
                body(parameters[i], begin, end);
        }
    });
}

} // namespace

void optimizer_step(Optimizer optimizer, const OptimStep& step, const Parameter* parameters,
                    std::size_t count) {
    const auto& kernels = optim_table().step[static_cast<int>(optimizer)];
    for_elements(parameters, count, [&](const Parameter& p, int64_t begin, int64_t end) {
        kernels[p.is_double](step, p, begin, end);
    });
}

} // namespace fastnn

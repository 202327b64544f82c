// The steps of a packed sequence in the order in which they are worked out.
#pragma once

#include <algorithm>

#include "rnn/rnn.h"

namespace fastnn::cuda {

struct Rows {
    int64_t offset, count;
};
struct Step {
    Rows rows, before; // before: the rows of the step before; none at the start
    int64_t kept;      // the samples that go on: those at `kept` and beyond end here
};

inline std::vector<Step> steps_of(const Sequence& sequence) {
    std::vector<Step> steps;
    int64_t offset = 0;
    for (const int64_t size : sequence.sizes) {
        steps.push_back({{offset, size}, {0, 0}, 0});
        offset += size;
    }
    if (sequence.reverse)
        std::reverse(steps.begin(), steps.end());
    for (size_t i = 1; i < steps.size(); i++) {
        steps[i].before = steps[i - 1].rows;
        steps[i - 1].kept = std::min(steps[i].rows.count, steps[i - 1].rows.count);
    }
    return steps;
}

// f(rows, after, before) for every step, last to first; `after` are the rows of the step that was
// worked out after it. The last call has no rows: what comes from the first step goes to h0.
template <class F>
cudaError_t backward_steps(const Sequence& sequence, F&& f) {
    const std::vector<Step> steps = steps_of(sequence);
    Rows after{0, 0};
    for (size_t i = steps.size(); i-- > 0;) {
        const cudaError_t error = f(steps[i].rows, after, steps[i].before);
        if (error != cudaSuccess)
            return error;
        after = steps[i].rows;
    }
    return f(Rows{0, 0}, after, Rows{0, 0});
}

} // namespace fastnn::cuda

#include "roofline/roofline.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <type_traits>
#include <vector>

#include "core/buffer_pool.h"
#include "core/parallel.h"

namespace fastnn {
namespace {

constexpr int kSpells = 8;
constexpr int64_t kSteps = 100'000; // tens of microseconds

double now() {
    using namespace std::chrono;
    return duration<double>(steady_clock::now().time_since_epoch()).count();
}

// work(thread) does one portion and gives its amount; the best amount a second of kSpells, in which
// each thread works until the spell is over.
template <class Work>
double best_rate(double seconds, const Work& work) {
    const int64_t threads = num_threads();
    std::vector<double> done(static_cast<std::size_t>(threads));
    double best = 0;
    for (int spell = 0; spell < kSpells; ++spell) {
        const double start = now(), end = start + seconds / kSpells;
        parallel_for(threads, [&](int64_t thread) {
            double amount = 0;
            do
                amount += work(thread);
            while (now() < end);
            done[static_cast<std::size_t>(thread)] = amount;
        });
        double total = 0;
        for (double amount : done)
            total += amount;
        best = std::max(best, total / (now() - start));
    }
    return best;
}

} // namespace

template <class T>
double peak_flops(double seconds) {
    const RooflineKernels& kernels = roofline_kernels();
    std::atomic<T> kept{}; // so that the sums count as used
    return best_rate(seconds, [&](int64_t) {
        T sum;
        double flops;
        if constexpr (std::is_same_v<T, float>)
            flops = kernels.f32(kSteps, 0.5f, &sum);
        else
            flops = kernels.f64(kSteps, 0.5, &sum);
        kept.store(sum, std::memory_order_relaxed);
        return flops;
    });
}
template double peak_flops<float>(double);
template double peak_flops<double>(double);

double copy_bandwidth(int64_t bytes, double seconds) {
    const int64_t each = std::max<int64_t>(bytes / num_threads(), 1);
    const auto total = static_cast<std::size_t>(each * num_threads());
    const Scratch from(total), to(total);
    std::memset(from.as<char>(), 1, total); // pages exist before they are timed
    std::memset(to.as<char>(), 1, total);
    return best_rate(seconds, [&](int64_t thread) {
        std::memcpy(to.as<char>() + thread * each, from.as<char>() + thread * each,
                    static_cast<std::size_t>(each));
        return 2.0 * static_cast<double>(each);
    });
}

} // namespace fastnn

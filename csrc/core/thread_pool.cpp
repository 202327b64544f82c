// The thread pool behind parallel_for.
//
// Workers wait for a new job: for some time by spinning, since the next operation of a model
// follows as soon as Python has prepared it (40 us of spinning: 0.51 ms for a step of a small MLP;
// 200 us: 0.43), then asleep on a futex. A job is open while its caller works on it
// too; a worker enters an open job, takes chunks, and leaves. The caller takes chunks until none is
// left, closes the job and waits for the workers inside, never for those that are still waking up.
//
// A scheduler may wake a worker on the CPU of its caller, who keeps it from running until the job
// is done. A worker that finds itself there says so, and from then on the workers are kept off the
// CPU that their caller is on (Linux): 512 x 512 products after pauses of 20 ms, on a kernel that
// packs threads, took 3.7 to 4.2 ms on two threads before, as on one, and 2.3 to 3.0 since.
//
// Each thread has a contiguous part of the chunks, the same in every job of that size, so that one
// kernel finds in the thread's own cache what the last one left there. Who is done takes from the
// others' parts.
#include "core/parallel.h"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif
#if !defined(_WIN32)
#include <pthread.h>
#include <signal.h>
#endif

namespace fastnn {
namespace {

constexpr auto kSpinTime = std::chrono::microseconds(200);

void pause_cpu() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// Spins until done() holds or the spin time is over; returns whether it holds.
template <class Done>
bool spin_until(Done done) {
    for (int i = 0; i < 64; ++i) {
        if (done())
            return true;
        pause_cpu();
    }
    const auto end = std::chrono::steady_clock::now() + kSpinTime;
    do {
        for (int i = 0; i < 32; ++i) {
            if (done())
                return true;
            pause_cpu();
        }
    } while (std::chrono::steady_clock::now() < end);
    return false;
}

thread_local bool t_inside = false; // this thread runs a chunk

// The CPU that this thread is on; -1 where the system does not tell.
int current_cpu() {
#if defined(__linux__)
    return sched_getcpu();
#else
    return -1;
#endif
}

class ThreadPool {
  public:
    explicit ThreadPool(int workers) : parts_(static_cast<std::size_t>(workers) + 1) {
#if !defined(_WIN32)
        // Signals are Python's main thread's business.
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
#endif
        try {
            for (int i = 0; i < workers; ++i)
                threads_.emplace_back([this, i] { work(static_cast<std::size_t>(i) + 1); });
        } catch (const std::exception&) {
            // The system allows no more threads: those that started do the work.
        }
#if !defined(_WIN32)
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
#endif
    }

    ~ThreadPool() {
        stop_.store(true);
        epoch_.fetch_add(1);
        epoch_.notify_all();
        for (std::thread& thread : threads_)
            thread.join();
    }

    void run(int64_t chunks, void (*body)(void*, int64_t), void* context) {
        body_ = body;
        context_ = context;
        const int64_t parts = static_cast<int64_t>(parts_.size());
        int64_t begin = 0;
        for (int64_t i = 0; i < parts; ++i) {
            Part& part = parts_[static_cast<std::size_t>(i)];
            part.end = begin + chunks / parts + (i < chunks % parts ? 1 : 0);
            part.next.store(begin, std::memory_order_relaxed);
            begin = part.end;
        }
        const int cpu = current_cpu();
        caller_cpu_.store(cpu, std::memory_order_relaxed);
        if (stacked_.load(std::memory_order_relaxed) || (avoided_cpu_ >= 0 && cpu != avoided_cpu_))
            keep_workers_off(cpu);
        failed_.store(false, std::memory_order_relaxed);
        gate_.store(kOpen, std::memory_order_release);
        epoch_.fetch_add(1);
        epoch_.notify_all();
        take_chunks(0);
        uint32_t gate = gate_.fetch_and(~kOpen, std::memory_order_acq_rel) & ~kOpen;
        const auto nobody_inside = [&] {
            return (gate = gate_.load(std::memory_order_acquire)) == 0;
        };
        while (!spin_until(nobody_inside))
            gate_.wait(gate, std::memory_order_acquire);
        if (failed_.load(std::memory_order_relaxed)) {
            const std::exception_ptr error = std::exchange(error_, nullptr);
            std::rethrow_exception(error);
        }
    }

  private:
    static constexpr uint32_t kOpen = 1u
                                      << 31; // the other bits of the gate count the workers inside

    void work(std::size_t self) {
        uint32_t seen = 0;
        for (;;) {
            const auto news = [&] { return epoch_.load(std::memory_order_acquire) != seen; };
            while (!spin_until(news))
                epoch_.wait(seen, std::memory_order_acquire);
            seen = epoch_.load(std::memory_order_acquire);
            if (stop_.load())
                return;
            const int cpu = current_cpu();
            if (cpu >= 0 && cpu == caller_cpu_.load(std::memory_order_relaxed))
                stacked_.store(true, std::memory_order_relaxed);
            uint32_t gate = gate_.load(std::memory_order_relaxed);
            bool entered = false;
            while ((gate & kOpen) && !entered)
                entered = gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acq_rel);
            if (!entered)
                continue;
            take_chunks(self);
            if (gate_.fetch_sub(1, std::memory_order_acq_rel) == 1) // closed, and the last one out
                gate_.notify_all();
        }
    }

    // Lets workers run on the caller's CPUs but this one.
    void keep_workers_off(int cpu) {
        stacked_.store(false, std::memory_order_relaxed);
        avoided_cpu_ = cpu;
#if defined(__linux__)
        cpu_set_t set;
        CPU_ZERO(&set);
        if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof set, &set) != 0 ||
            CPU_COUNT(&set) < 2)
            return;
        CPU_CLR(static_cast<std::size_t>(cpu), &set);
        for (std::thread& thread : threads_)
            pthread_setaffinity_np(thread.native_handle(), sizeof set, &set);
#endif
    }

    struct alignas(64) Part {
        std::atomic<int64_t> next{0};
        int64_t end = 0;
    };

    // Its own part first, then what is left of the others'.
    void take_chunks(std::size_t self) {
        t_inside = true;
        for (std::size_t i = 0; i < parts_.size(); ++i) {
            Part& part = parts_[(self + i) % parts_.size()];
            while (part.next.load(std::memory_order_relaxed) < part.end &&
                   !failed_.load(std::memory_order_relaxed)) {
                const int64_t chunk = part.next.fetch_add(1, std::memory_order_relaxed);
                if (chunk >= part.end)
                    break;
                try {
                    body_(context_, chunk);
                } catch (...) {
                    if (!failed_.exchange(true, std::memory_order_relaxed))
                        error_ = std::current_exception();
                }
            }
        }
        t_inside = false;
    }

    // Written by the caller while the gate is shut and empty.
    void (*body_)(void*, int64_t) = nullptr;
    void* context_ = nullptr;
    std::exception_ptr error_;
    int avoided_cpu_ = -1; // that workers are kept off

    std::vector<Part> parts_;
    alignas(64) std::atomic<bool> failed_{false};
    alignas(64) std::atomic<uint32_t> gate_{0};
    alignas(64) std::atomic<uint32_t> epoch_{0};
    std::atomic<bool> stop_{false};
    std::atomic<int> caller_cpu_{-1};
    std::atomic<bool> stacked_{false}; // a worker woke on the caller's CPU
    std::vector<std::thread> threads_;
};

// The pool starts at the first call that needs it. `busy` is held while a job runs or the pool
// changes.
struct Runtime {
    std::mutex busy;
    ThreadPool* pool = nullptr;
    std::atomic<int> threads{1};
};

Runtime& runtime() {
    alignas(Runtime) static unsigned char storage[sizeof(Runtime)];
    static Runtime* const instance = new (storage) Runtime; // never destroyed: workers outlive main
    return *instance;
}

int usable_cpus() {
#if defined(__linux__)
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
#endif
    const unsigned n = std::thread::hardware_concurrency();
    return n ? static_cast<int>(n) : 1;
}

#if !defined(_WIN32)
// fork() copies the calling thread alone. No job may run meanwhile, and the child forgets the
// parent's workers: their memory is left as it is, and a new pool starts when it is needed.
void before_fork() {
    runtime().busy.lock();
}
void after_fork_in_parent() {
    runtime().busy.unlock();
}
void after_fork_in_child() {
    runtime().pool = nullptr;
    runtime().busy.unlock();
}
#endif

} // namespace

void parallel_for_erased(int64_t chunks, void (*body)(void*, int64_t), void* context) {
    Runtime& rt = runtime();
    const int threads = rt.threads.load(std::memory_order_relaxed);
    std::unique_lock<std::mutex> lock(rt.busy, std::defer_lock);
    if (chunks <= 1 || threads == 1 || t_inside || !lock.try_lock()) {
        for (int64_t chunk = 0; chunk < chunks; ++chunk)
            body(context, chunk);
        return;
    }
    if (!rt.pool)
        rt.pool = new ThreadPool(threads - 1);
    rt.pool->run(chunks, body, context);
}

int num_threads() {
    return t_inside ? 1 : runtime().threads.load(std::memory_order_relaxed);
}

void set_num_threads(int n) {
    if (n < 1)
        throw std::invalid_argument("set_num_threads wants a positive number, got " +
                                    std::to_string(n));
    if (t_inside)
        throw std::runtime_error("set_num_threads: called from inside a parallel region");
    Runtime& rt = runtime();
    const std::lock_guard<std::mutex> lock(rt.busy);
    if (n == rt.threads.load(std::memory_order_relaxed))
        return;
    delete std::exchange(rt.pool, nullptr);
    rt.threads.store(n, std::memory_order_relaxed);
}

void init_threads() {
    int n = usable_cpus();
    if (const char* text = std::getenv("FASTNN_NUM_THREADS"); text && *text) {
        char* end = nullptr;
        errno = 0;
        const long value = std::strtol(text, &end, 10);
        if (*end || errno || value < 1 || value > 4096)
            throw std::runtime_error(
                "FASTNN_NUM_THREADS wants a number of threads from 1 to 4096, got '" +
                std::string(text) + "'");
        n = static_cast<int>(value);
    }
    runtime().threads.store(n, std::memory_order_relaxed);
#if !defined(_WIN32)
    static const int registered =
        pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    if (registered != 0)
        throw std::runtime_error("pthread_atfork failed");
#endif
}

} // namespace fastnn

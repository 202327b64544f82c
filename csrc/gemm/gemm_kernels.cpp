// C (m, n) = activation(A (m, k) B (k, n) + bias), for one ISA level.
//
// B is packed whole for a group of columns, by all threads, into panels [k][tile columns]; then
// blocks of rows of C are chunks of work: each packs its rows of A for one block of k, and runs the
// micro-kernel over all panels. Floor: 2 m n k FLOPs at the FMA peak; reading A and B and writing C
// once.
#include "gemm/gemm.h"

#include "core/buffer_pool.h"
#include "core/parallel.h"
#include "gemm/micro_kernel.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int64_t kBlockK = 384;

int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}
int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

template <class T>
void pack_a(T* to, const GemmArgs<T>& g, int64_t i0, int64_t rows, int64_t k0, int64_t kc) {
    const T* from = g.a + i0 * g.a_row + k0 * g.a_col;
    for (int64_t p = 0; p < kc; ++p)
        for (int64_t i = 0; i < rows; ++i)
            to[p * rows + i] = from[i * g.a_row + p * g.a_col];
}

template <class T>
void pack_b(T* to, const GemmArgs<T>& g, int64_t k0, int64_t kc, int64_t j0, int64_t columns,
            int64_t width) {
    const T* from = g.b + k0 * g.b_row + j0 * g.b_col;
    for (int64_t p = 0; p < kc; ++p) {
        for (int64_t j = 0; j < columns; ++j)
            to[p * width + j] = from[p * g.b_row + j * g.b_col];
        for (int64_t j = columns; j < width; ++j)
            to[p * width + j] = T{};
    }
}

template <class T>
void compute(const GemmArgs<T>& g) {
    constexpr int64_t tile_columns = kTileColumns<T>;
    const int64_t panels = ceil_div(g.n, tile_columns);
    const int64_t k_blocks = g.k > 0 ? ceil_div(g.k, kBlockK) : 1;
    const int64_t row_tiles = ceil_div(g.m, kTileRows);
    const Scratch packed_b(static_cast<size_t>(panels * tile_columns * g.k) * sizeof(T));
    const auto panel_columns = [&](int64_t panel) {
        return min64(tile_columns, g.n - panel * tile_columns);
    };
    const auto panel_vectors = [&](int64_t panel) {
        return panel_columns(panel) > kLanes<T> ? 2 : 1;
    };

    parallel_for(panels, [&](int64_t panel) {
        const int64_t columns = panel_columns(panel);
        const int64_t width = panel_vectors(panel) * kLanes<T>;
        pack_b(packed_b.as<T>() + panel * tile_columns * g.k, g, 0, g.k, panel * tile_columns,
               columns, width);
    });
    parallel_for(row_tiles, [&](int64_t tile) {
        const int64_t i0 = tile * g.m / row_tiles;
        const int64_t rows = (tile + 1) * g.m / row_tiles - i0;
        const Scratch packed_a(static_cast<size_t>(kTileRows * min64(g.k, kBlockK)) * sizeof(T));
        for (int64_t block = 0; block < k_blocks; ++block) {
            const int64_t k0 = block * kBlockK;
            const int64_t kc = min64(kBlockK, g.k - k0);
            const bool last = block == k_blocks - 1;
            pack_a(packed_a.as<T>(), g, i0, rows, k0, kc);
            for (int64_t panel = 0; panel < panels; ++panel) {
                const int64_t j0 = panel * tile_columns;
                const int vectors = panel_vectors(panel);
                const TileOut<T> out = {g.c + i0 * g.c_row + j0 * g.c_col,
                                        g.c_row,
                                        g.c_col,
                                        panel_columns(panel),
                                        g.bias && last ? g.bias + j0 : nullptr,
                                        nullptr,
                                        g.accumulate || block > 0,
                                        g.relu && last};
                run_tile<T>(rows, vectors, kc, packed_a.as<T>(),
                            packed_b.as<T>() + j0 * g.k + k0 * vectors * kLanes<T>, out);
            }
        }
    });
}

void gemm_f32(const GemmArgs<float>& args) {
    compute(args);
}
void gemm_f64(const GemmArgs<double>& args) {
    compute(args);
}

} // namespace

const GemmKernels gemm_kernels = {gemm_f32, gemm_f64};

} // namespace fastnn::FASTNN_ISA

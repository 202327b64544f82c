#include "bindings/bindings.h"

#ifdef FASTNN_CUDA_EMULATED
#define FASTNN_CUDA_MODULE _cuda_emulated
#else
#define FASTNN_CUDA_MODULE _cuda
#endif

PYBIND11_MODULE(FASTNN_CUDA_MODULE, m) {
    using namespace fastnn::cuda::bindings;
    m.doc() = "fastnn's CUDA kernels; fastnn.backends.gpu is what uses them.";
    init_runtime(m);
    init_emulator(m);
    init_conv(m);
    init_elementwise(m);
    init_embedding(m);
    init_norm(m);
    init_optim(m);
    init_pool(m);
    init_random(m);
    init_reduction(m);
    init_rnn(m);
    init_softmax(m);
    init_gemm(m);
    init_attention(m);
}

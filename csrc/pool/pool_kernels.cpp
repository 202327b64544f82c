#include "pool/average_kernels.h"
#include "pool/max_backward_kernels.h"
#include "pool/max_kernels.h"

namespace fastnn::FASTNN_ISA {

const PoolTable pool_table = {
    {{max_nchw<true, float>, max_nhwc<true, float>},
     {max_nchw<true, double>, max_nhwc<true, double>}},
    {{max_nchw<false, float>, max_nhwc<false, float>},
     {max_nchw<false, double>, max_nhwc<false, double>}},
    {{max_backward_nchw<float>, max_backward_nhwc<float>},
     {max_backward_nchw<double>, max_backward_nhwc<double>}},
    {{average_nchw<float>, average_nhwc<float>}, {average_nchw<double>, average_nhwc<double>}},
    {{average_backward_nchw<float>, average_backward_nhwc<float>},
     {average_backward_nchw<double>, average_backward_nhwc<double>}},
};

} // namespace fastnn::FASTNN_ISA

// Attention of query rows over cached keys: what its kernels share, the kernel that serves every element type and
// head size (`attend_generic`), and the merge of partial results (`merge`).
//
// One translation unit is made by putting pieces after each other, in this order (no #include anywhere):
//     order.cu, attention.cu, attention_tensor.cu, attention_few.cu, attention_many.cu, attention_wide.cu
// with the macros  ELEMENT  0 = f32, 1 = f16, 2 = bf16  and  HEAD_DIM  (even, <= 512) given by -D.
// All names but the kernels' own are inside `namespace attention`.
//
// ---------------------------------------------------------------------------------------------------------------
// Kernels (extern "C", no mangling); each takes one struct by value.
//
//   name            argument  for                                     rows a block  threads  dynamic shared memory, bytes
//   attend_generic  Attend    any ELEMENT, any HEAD_DIM               16            128      64 * HEAD_DIM
//   attend_few      Attend    16-bit ELEMENT, HEAD_DIM % 16 == 0,     16            128      (FEW_STAGES * 256 + 32)
//                             HEAD_DIM <= 256, sm_80 on                                        * (HEAD_DIM + 8)
//                                                                                            FEW_STAGES = 3 up to 128, else 2
//   attend_many     Attend    the same                                128           128 up   256 * (HEAD_DIM + 8)
//                                                                                   to 128,    + 8 * MANY_KEYS * (HEAD_DIM + 8)
//                                                                                   else 256 MANY_KEYS = 64 up to 128, else 32
//   attend_wide     Attend    16-bit ELEMENT, HEAD_DIM 64 or 128,     128           384      1024 + 1280 * HEAD_DIM + 256
//                             compiled for sm_90a only
//   merge           Merge     everything                              1 (one head)  128      0
//
//   Which: f32, or HEAD_DIM outside the above, or compute capability < 8.0 -> attend_generic;
//   else rows = longest_sequence * (heads / kv_heads) <= 16 -> attend_few;
//   else compute capability 9.0 (and only it: `a` features do not carry over) and HEAD_DIM 64 or 128 -> attend_wide;
//   else attend_many. (The three take any number of rows; the rule is one of speed.)
//   attend_few and merge may be started before the kernel before them has ended (module.rs).
//   Dynamic shared memory above 48 KiB needs CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES set once per function.
//
//   Grid of the attend kernels:  x = ceil(longest_sequence * group / rows a block),  y = kv_heads,
//                                z = sequences            when joint,
//                                z = sequences * (shared_splits + own_splits)  when split.     (z <= 65535)
//   Grid of merge:               x = tokens, y = heads.
//
// struct Attend, 152 bytes, alignment 8                                        struct Merge, 48 bytes, alignment 8
//   offset  type  field                                                          offset  type  field
//        0  u64   query               E [tokens, heads, HEAD_DIM]                      0  u64   partial  f32 [splits, tokens, heads, HEAD_DIM]
//        8  u64   shared_keys         E [kv_heads, ., HEAD_DIM]                        8  u64   lse      f32 [splits, tokens, heads]
//       16  u64   shared_values                                                       16  u64   output   E [tokens, heads, HEAD_DIM]
//       24  u64   own_keys                                                            24  u32   shared_splits
//       32  u64   own_values                                                          28  u32   own_splits
//       40  u64   sequence_start      u32 [sequences + 1], token index                32  u32   tokens
//       48  u64   own_offset          u32 [sequences], or 0: all 0                    36  u32   heads
//       56  u64   own_count_of        u32 [sequences], or 0: all own_count            40  f32   temperature
//       64  u64   output              E [tokens, heads, HEAD_DIM]   (joint)           44  f32   scale
//       72  u64   partial             f32 [splits, tokens, heads, HEAD_DIM] (split)
//       80  u64   lse                 f32 [splits, tokens, heads]           (split)
//       88  u64   shared_head_stride  elements between KV heads
//       96  u64   own_head_stride
//      104  u32   shared_count
//      108  u32   own_count
//      112  u32   sequences
//      116  u32   tokens              of all sequences together
//      120  u32   heads
//      124  u32   kv_heads            divides heads
//      128  u32   shared_splits       split mode; may be 0 (then no shared keys are read)
//      132  u32   own_splits          split mode; may be 0
//      136  f32   scale_shared
//      140  f32   scale_own
//      144  u32   joint               1: one softmax over both, `output`; 0: split, `partial` and `lse`
//      148  u32   shared_is_old       1: no kernel just before this one writes shared keys or values
//   Every address and every head stride is a multiple of 16 bytes. Rows of `partial` and `lse`: the shared splits
//   first, then the own ones. A row that sees no key gets output 0 and, in split mode, LSE -inf.
//
// plan_splits(tokens, heads, kv_heads, shared, own, multiprocessors), whole numbers, division rounding down:
//   tiles  = ceil(tokens * group / rows a block) * kv_heads
//   wave   = multiprocessors * blocks a multiprocessor holds (attend_few 2, attend_many 2 up to HEAD_DIM 128 else 1,
//            attend_wide 1, attend_generic 8)
//   budget = max(1, wave / tiles)
//   shared_splits = 0 where shared = 0, else clamp((budget * shared + (shared + own) / 2) / (shared + own), 1, ceil(shared / 256))
//   own_splits    = 0 where own = 0,    else clamp(budget - shared_splits,           1, ceil(own / 256))
//   (Blocks of own splits are started first: the few that a wave is over by are short ones.)
// ---------------------------------------------------------------------------------------------------------------

namespace attention {

typedef unsigned int u32;
typedef unsigned long long u64;

#if ELEMENT == 0
typedef float Element;
#else
typedef unsigned short Element;
#endif

constexpr int DIM = HEAD_DIM;
constexpr float LOG2_E = 1.4426950408889634f;
constexpr float LN_2 = 0.6931471805599453f;

struct Attend {
    u64 query, shared_keys, shared_values, own_keys, own_values;
    u64 sequence_start, own_offset, own_count_of, output, partial, lse;
    u64 shared_head_stride, own_head_stride;
    u32 shared_count, own_count, sequences, tokens, heads, kv_heads, shared_splits, own_splits;
    float scale_shared, scale_own;
    u32 joint, shared_is_old;
};
static_assert(sizeof(Attend) == 152, "the host's twin has 152 bytes");

struct Merge {
    u64 partial, lse, output;
    u32 shared_splits, own_splits, tokens, heads;
    float temperature, scale;
};
static_assert(sizeof(Merge) == 48, "the host's twin has 48 bytes");

__device__ __forceinline__ float minus_infinity() { return __int_as_float(0xff800000); }

__device__ __forceinline__ float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(unsigned short x) {
#if ELEMENT == 1
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x));
    return y;
#else
    return __uint_as_float((u32)x << 16);
#endif
}

/// Two numbers rounded to 16-bit elements, the first in the low half.
__device__ __forceinline__ u32 pack(float low, float high) {
    u32 pair;
#if ELEMENT == 1 && (!defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800)
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
#elif ELEMENT == 1
    unsigned short a, b;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(a) : "f"(low));
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(b) : "f"(high));
    pair = (u32)b << 16 | a;
#elif ELEMENT == 2 && (!defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800)
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
#else
    u32 a = __float_as_uint(low), b = __float_as_uint(high);
    a = (a + 0x7fff + ((a >> 16) & 1)) >> 16;
    b = (b + 0x7fff + ((b >> 16) & 1)) & 0xffff0000;
    pair = a | b;
#endif
    return pair;
}

__device__ __forceinline__ void store_element(float *at, float x) { *at = x; }
__device__ __forceinline__ void store_element(unsigned short *at, float x) { *at = (unsigned short)pack(x, 0.f); }

/// The natural log-sum-exp of a row whose largest score (in base 2) and sum are given.
__device__ __forceinline__ float row_lse(float most, float sum) {
    return sum > 0.f ? (most + __log2f(sum)) * LN_2 : minus_infinity();
}

/// What one block does: some query rows of a KV head, a range of shared keys and one of own keys (either may be
/// empty). Row r of the block is query token (first_row + r) / group of the sequence, head (first_row + r) % group.
struct Work {
    int first_row, rows;   // rows is how many exist
    int group, kv_head;
    int token_base;        // of the sequence, in `query`
    int past;              // own keys before the sequence's first token: token t sees own keys 0..past + t
    int shared_first, shared_end, own_first, own_end;
    int split;             // row of `partial`; 0 when joint
    const Element *shared_keys, *shared_values, *own_keys, *own_values;  // of this KV head, at key 0

    __device__ __forceinline__ int token(int row) const { return (first_row + row) / group; }

    /// Own keys that a row sees.
    __device__ __forceinline__ int limit(int row) const { return past + token(row) + 1; }

    /// Index of a row's vector in `query` and `output`, in units of HEAD_DIM elements; of its LSE.
    __device__ __forceinline__ long long vector(int row, u32 heads) const {
        int place = first_row + row;
        return (long long)(token_base + place / group) * heads + kv_head * group + place % group;
    }
};

/// Cuts [0, count) into `splits` of equal size (a multiple of `step`) and gives the one asked for.
__device__ __forceinline__ void cut(int count, int splits, int index, int step, int &first, int &end) {
    int size = (count + splits - 1) / splits;
    size = (size + step - 1) / step * step;
    first = min(count, index * size);
    end = min(count, first + size);
}

/// Finds the block's work; false where the sequence has no such rows.
__device__ __forceinline__ bool find_work(const Attend &a, int block_rows, int step, Work &work) {
    int splits = a.joint ? 1 : (int)(a.shared_splits + a.own_splits);
    int sequence = blockIdx.z / splits;
    int turn = blockIdx.z % splits;
    const u32 *starts = (const u32 *)a.sequence_start;
    int tokens = starts[sequence + 1] - starts[sequence];
    int own = a.own_count_of ? ((const u32 *)a.own_count_of)[sequence] : a.own_count;
    int offset = a.own_offset ? ((const u32 *)a.own_offset)[sequence] : 0;

    work.group = a.heads / a.kv_heads;
    work.kv_head = blockIdx.y;
    work.token_base = starts[sequence];
    work.past = own - tokens;
    // The last rows see most keys: they start first.
    work.first_row = (gridDim.x - 1 - blockIdx.x) * block_rows;
    work.rows = min(block_rows, tokens * work.group - work.first_row);
    if (work.rows <= 0) return false;

    u64 shared_at = (u64)work.kv_head * a.shared_head_stride;
    u64 own_at = (u64)work.kv_head * a.own_head_stride + (u64)offset * DIM;
    work.shared_keys = (const Element *)a.shared_keys + shared_at;
    work.shared_values = (const Element *)a.shared_values + shared_at;
    work.own_keys = (const Element *)a.own_keys + own_at;
    work.own_values = (const Element *)a.own_values + own_at;

    work.shared_first = work.shared_end = work.own_first = work.own_end = 0;
    if (a.joint) {
        work.split = 0;
        work.shared_end = a.shared_count;
        work.own_end = own;
    } else if (turn < (int)a.own_splits) {
        work.split = a.shared_splits + turn;
        cut(own, a.own_splits, turn, step, work.own_first, work.own_end);
    } else {
        work.split = turn - a.own_splits;
        cut(a.shared_count, a.shared_splits, work.split, step, work.shared_first, work.shared_end);
    }
    work.own_end = max(work.own_first, min(work.own_end, work.limit(work.rows - 1)));
    return true;
}

/// Writes two neighbouring numbers of a row's output (already divided by its sum).
__device__ __forceinline__ void store_pair(const Attend &a, const Work &work, long long vector, int d, float x, float y) {
#if ELEMENT != 0
    if (a.joint) {
        *(u32 *)((Element *)a.output + vector * DIM + d) = pack(x, y);
        return;
    }
#else
    if (a.joint) {
        *(float2 *)((Element *)a.output + vector * DIM + d) = make_float2(x, y);
        return;
    }
#endif
    long long base = (long long)work.split * a.tokens * a.heads;
    *(float2 *)((float *)a.partial + (base + vector) * DIM + d) = make_float2(x, y);
}

__device__ __forceinline__ void store_lse(const Attend &a, const Work &work, long long vector, float lse) {
    if (!a.joint) ((float *)a.lse)[(long long)work.split * a.tokens * a.heads + vector] = lse;
}

// ---- attend_generic: no tensor cores --------------------------------------------------------------------------

constexpr int GENERIC_ROWS = 4;                     // of a warp
constexpr int GENERIC_PARTS = (DIM + 31) / 32;      // numbers of an output row that a lane holds

/// Online softmax of a warp's rows over keys [first, end): a lane scores one key of 32, then owns some dimensions.
__device__ __forceinline__ void generic_keys(const float *query, const Element *keys, const Element *values, int first,
                                             int end, const int *limit, float scale, float (&most)[GENERIC_ROWS],
                                             float (&sum)[GENERIC_ROWS], float (&out)[GENERIC_ROWS][GENERIC_PARTS]) {
    int lane = threadIdx.x % 32;
    for (int start = first; start < end; start += 32) {
        int key = start + lane;
        float score[GENERIC_ROWS] = {};
        if (key < end) {
            const Element *at = keys + (long long)key * DIM;
#pragma unroll 4
            for (int d = 0; d < DIM; d += 2) {
                float x = to_float(at[d]), y = to_float(at[d + 1]);
#pragma unroll
                for (int r = 0; r < GENERIC_ROWS; r++) {
                    score[r] += query[r * DIM + d] * x;
                    score[r] += query[r * DIM + d + 1] * y;
                }
            }
        }
#pragma unroll
        for (int r = 0; r < GENERIC_ROWS; r++) {
            float s = key < end && key < limit[r] ? score[r] * scale : minus_infinity();
            float top = s;
            for (int step = 16; step; step /= 2) top = fmaxf(top, __shfl_xor_sync(0xffffffff, top, step));
            top = fmaxf(top, most[r]);
            float base = top == minus_infinity() ? 0.f : top;
            float factor = exp2f(most[r] - base);
            most[r] = top;
            score[r] = exp2f(s - base);
            float total = score[r];
            for (int step = 16; step; step /= 2) total += __shfl_xor_sync(0xffffffff, total, step);
            sum[r] = sum[r] * factor + total;
#pragma unroll
            for (int p = 0; p < GENERIC_PARTS; p++) out[r][p] *= factor;
        }
        int count = min(32, end - start);
        for (int j = 0; j < count; j++) {
            float weight[GENERIC_ROWS];
#pragma unroll
            for (int r = 0; r < GENERIC_ROWS; r++) weight[r] = __shfl_sync(0xffffffff, score[r], j);
            const Element *at = values + (long long)(start + j) * DIM;
#pragma unroll
            for (int p = 0; p < GENERIC_PARTS; p++) {
                int d = p * 32 + lane;
                float x = d < DIM ? to_float(at[d]) : 0.f;
#pragma unroll
                for (int r = 0; r < GENERIC_ROWS; r++) out[r][p] += weight[r] * x;
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(128) attend_generic(const __grid_constant__ Attend a) {
    extern __shared__ __align__(16) unsigned char shared_memory[];
    Work work;
    if (!find_work(a, 4 * GENERIC_ROWS, 32, work)) return;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int first = warp * GENERIC_ROWS;
    float *query = (float *)shared_memory + first * DIM;
    int all[GENERIC_ROWS], limit[GENERIC_ROWS];
    float most[GENERIC_ROWS], sum[GENERIC_ROWS], out[GENERIC_ROWS][GENERIC_PARTS] = {};
    for (int r = 0; r < GENERIC_ROWS; r++) {
        bool there = first + r < work.rows;
        const Element *at = (const Element *)a.query + work.vector(there ? first + r : 0, a.heads) * DIM;
        for (int d = lane; d < DIM; d += 32) query[r * DIM + d] = there ? to_float(at[d]) : 0.f;
        all[r] = 0x7fffffff;
        limit[r] = work.limit(min(first + r, work.rows - 1));
        most[r] = minus_infinity();
        sum[r] = 0.f;
    }
    __syncwarp();
    generic_keys(query, work.shared_keys, work.shared_values, work.shared_first, work.shared_end, all,
                 a.scale_shared * LOG2_E, most, sum, out);
    generic_keys(query, work.own_keys, work.own_values, work.own_first, work.own_end, limit, a.scale_own * LOG2_E, most,
                 sum, out);
    for (int r = 0; r < GENERIC_ROWS && first + r < work.rows; r++) {
        long long vector = work.vector(first + r, a.heads);
        float inverse = sum[r] > 0.f ? 1.f / sum[r] : 0.f;
        long long base = ((long long)work.split * a.tokens * a.heads + vector) * DIM;
#pragma unroll
        for (int p = 0; p < GENERIC_PARTS; p++) {
            int d = p * 32 + lane;
            if (d >= DIM) continue;
            if (a.joint) store_element((Element *)a.output + vector * DIM + d, out[r][p] * inverse);
            else ((float *)a.partial)[base + d] = out[r][p] * inverse;
        }
        if (lane == 0) store_lse(a, work, vector, row_lse(most[r], sum[r]));
    }
}

// ---- merge ------------------------------------------------------------------------------------------------------

/// Log-sum-exp of lse[first..end] (stride `stride`), by one warp.
__device__ __forceinline__ float merge_lse(const float *lse, long long stride, int first, int end) {
    int lane = threadIdx.x % 32;
    float most = minus_infinity(), sum = 0.f;
    for (int s = first + lane; s < end; s += 32) most = fmaxf(most, lse[s * stride]);
    for (int step = 16; step; step /= 2) most = fmaxf(most, __shfl_xor_sync(0xffffffff, most, step));
    if (most == minus_infinity()) return most;
    for (int s = first + lane; s < end; s += 32) sum += __expf(lse[s * stride] - most);
    for (int step = 16; step; step /= 2) sum += __shfl_xor_sync(0xffffffff, sum, step);
    return most + __logf(sum);
}

/// w = softmax([S T L_C, L_O]); output = w_C out_C + w_O out_O, for one row: four warps take the splits in turn.
extern "C" __global__ void __launch_bounds__(128) merge(const __grid_constant__ Merge a) {
    __shared__ float part[4][DIM];
    let_next_start();
    wait_for_previous();
    long long row = (long long)blockIdx.x * a.heads + blockIdx.y;
    long long stride = (long long)a.tokens * a.heads;
    const float *lse = (const float *)a.lse + row;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int splits = a.shared_splits + a.own_splits;
    float context = merge_lse(lse, stride, 0, a.shared_splits);
    float own = merge_lse(lse, stride, a.shared_splits, splits);
    // exp(log of the group's weight - its LSE) turns a split's LSE into the split's weight in the output.
    float scaled = context == minus_infinity() ? context : a.scale * a.temperature * context;
    float most = fmaxf(scaled, own);
    bool empty = most == minus_infinity();
    float total = empty ? 0.f : most + __logf(__expf(scaled - most) + __expf(own - most));

    constexpr int PARTS = (DIM + 63) / 64;
    float2 out[PARTS] = {};
    for (int s = warp; s < splits && !empty; s += 4) {
        float l = lse[s * stride];
        if (l == minus_infinity()) continue;
        float weight = s < (int)a.shared_splits ? __expf(scaled - total + (l - context)) : __expf(l - total);
        const float2 *at = (const float2 *)((const float *)a.partial + (s * stride + row) * DIM);
#pragma unroll
        for (int p = 0; p < PARTS; p++) {
            if (p * 32 + lane >= DIM / 2) continue;
            float2 x = at[p * 32 + lane];
            out[p].x += weight * x.x;
            out[p].y += weight * x.y;
        }
    }
#pragma unroll
    for (int p = 0; p < PARTS; p++) {
        if (p * 32 + lane < DIM / 2) *(float2 *)&part[warp][(p * 32 + lane) * 2] = out[p];
    }
    __syncthreads();
    for (int d = threadIdx.x; d < DIM; d += 128) {
        store_element((Element *)a.output + row * DIM + d, part[0][d] + part[1][d] + part[2][d] + part[3][d]);
    }
}

}  // namespace attention

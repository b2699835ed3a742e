// What is done to each number or row on its own. Blocks of 256 threads; a thread takes 8 numbers at a time.

constexpr int VECTOR = 8;
constexpr int THREADS = 256;

struct RopeTable {
    u64 cos, sin, frequencies;
    u32 half, first_position, positions, reserved;
};
static_assert(sizeof(RopeTable) == 40, "the host's twin has 40 bytes");

/// Angles in f64: position 100,000 times a frequency in f32 would be off by a hundredth of a turn.
extern "C" __global__ void __launch_bounds__(THREADS) rope_table(const __grid_constant__ RopeTable a) {
    wait_for_previous();
    u32 index = blockIdx.x * THREADS + threadIdx.x;
    if (index >= a.half * a.positions) return;
    u32 position = a.first_position + index / a.half;
    double sine, cosine;
    sincos((double)position * ((const double *)a.frequencies)[index % a.half], &sine, &cosine);
    u64 at = (u64)a.first_position * a.half + index;
    ((float *)a.cos)[at] = (float)cosine;
    ((float *)a.sin)[at] = (float)sine;
}

struct Embed {
    u64 out, table, ids;
    u32 tokens, hidden;
};
static_assert(sizeof(Embed) == 32, "the host's twin has 32 bytes");

/// A row of blocks for a token.
extern "C" __global__ void __launch_bounds__(THREADS) embed(const __grid_constant__ Embed a) {
    wait_for_previous();
    u32 column = (blockIdx.y * THREADS + threadIdx.x) * VECTOR;
    if (column >= a.hidden) return;
    u64 id = ((const u32 *)a.ids)[blockIdx.x];
    float x[VECTOR];
    load<E>(x, (const E::Bits *)a.table + id * a.hidden + column);
    store<F32>((float *)a.out + (u64)blockIdx.x * a.hidden + column, x);
}

struct RmsNorm {
    u64 out, input, weight;
    u32 rows, width;
    float epsilon;
    u32 reserved;
};
static_assert(sizeof(RmsNorm) == 40, "the host's twin has 40 bytes");

/// A block for a row. What a thread can keep of the row it does not read again.
extern "C" __global__ void __launch_bounds__(THREADS) rms_norm(const __grid_constant__ RmsNorm a) {
    constexpr int KEPT = 2;
    __shared__ float memory[8];
    wait_for_previous();
    const float *row = (const float *)a.input + (u64)blockIdx.x * a.width;
    const float *weights = (const float *)a.weight;
    E::Bits *out = (E::Bits *)a.out + (u64)blockIdx.x * a.width;
    u32 first = threadIdx.x * VECTOR;

    float kept[KEPT][VECTOR], squares = 0.f;
#pragma unroll
    for (int k = 0; k < KEPT; k++) {
        u32 column = first + k * THREADS * VECTOR;
        if (column < a.width) {
            load<F32>(kept[k], row + column);
#pragma unroll
            for (int i = 0; i < VECTOR; i++) squares = fmaf(kept[k][i], kept[k][i], squares);
        }
    }
    for (u32 column = first + KEPT * THREADS * VECTOR; column < a.width; column += THREADS * VECTOR) {
        float x[VECTOR];
        load<F32>(x, row + column);
#pragma unroll
        for (int i = 0; i < VECTOR; i++) squares = fmaf(x[i], x[i], squares);
    }
    float factor = 1.f / sqrtf(sum_block(squares, memory) / a.width + a.epsilon);
    auto finish = [&](const float(&x)[VECTOR], u32 column) {
        float weight[VECTOR], y[VECTOR];
        load<F32>(weight, weights + column);
#pragma unroll
        for (int i = 0; i < VECTOR; i++) y[i] = x[i] * factor * weight[i];
        store<E>(out + column, y);
    };
#pragma unroll
    for (int k = 0; k < KEPT; k++) {
        u32 column = first + k * THREADS * VECTOR;
        if (column < a.width) finish(kept[k], column);
    }
    for (u32 column = first + KEPT * THREADS * VECTOR; column < a.width; column += THREADS * VECTOR) {
        float x[VECTOR];
        load<F32>(x, row + column);
        finish(x, column);
    }
}

struct Rows {
    u64 out, input;
    u32 rows, width;
};
static_assert(sizeof(Rows) == 24, "the host's twin has 24 bytes");

/// A row of blocks for a row.
extern "C" __global__ void __launch_bounds__(THREADS) silu_multiply(const __grid_constant__ Rows a) {
    wait_for_previous();
    u32 column = (blockIdx.y * THREADS + threadIdx.x) * VECTOR;
    if (column >= a.width) return;
    const E::Bits *row = (const E::Bits *)a.input + (u64)blockIdx.x * 2 * a.width + column;
    float gate[VECTOR], up[VECTOR];
    load<E>(gate, row);
    load<E>(up, row + a.width);
#pragma unroll
    for (int i = 0; i < VECTOR; i++) gate[i] = silu_multiplied(gate[i], up[i]);
    store<E>((E::Bits *)a.out + (u64)blockIdx.x * a.width + column, gate);
}

template <typename T> __device__ __forceinline__ void add_to_rows(const Rows &a) {
    wait_for_previous();
    u32 column = (blockIdx.y * THREADS + threadIdx.x) * VECTOR;
    if (column >= a.width) return;
    typename T::Bits *row = (typename T::Bits *)a.out + (u64)blockIdx.x * a.width + column;
    float x[VECTOR], bias[VECTOR];
    load<T>(x, row);
    load<F32>(bias, (const float *)a.input + column);
#pragma unroll
    for (int i = 0; i < VECTOR; i++) x[i] += bias[i];
    store<T>(row, x);
}

extern "C" __global__ void __launch_bounds__(THREADS) add_bias(const __grid_constant__ Rows a) {
    add_to_rows<F32>(a);
}

extern "C" __global__ void __launch_bounds__(THREADS) add_bias_element(const __grid_constant__ Rows a) {
    add_to_rows<E>(a);
}

struct MostLikely {
    u64 out, logits;
    u32 count, reserved;
};
static_assert(sizeof(MostLikely) == 24, "the host's twin has 24 bytes");

/// The largest logit, in the order of numbers, above the complement of its index, so that the first of equals is chosen. What
/// is no number comes last. `out` was 0 before.
extern "C" __global__ void __launch_bounds__(THREADS) most_likely(const __grid_constant__ MostLikely a) {
    wait_for_previous();
    u64 best = 0;
    for (u32 index = blockIdx.x * THREADS + threadIdx.x; index < a.count; index += gridDim.x * THREADS) {
        float logit = ((const float *)a.logits)[index];
        u32 bits = __float_as_uint(logit);
        u32 order = logit != logit ? 0 : bits >> 31 ? ~bits : bits | 0x80000000u;
        u64 key = (u64)order << 32 | (u32)~index;
        best = key > best ? key : best;
    }
#pragma unroll
    for (int step = WARP / 2; step > 0; step /= 2) {
        u64 other = __shfl_xor_sync(ALL_LANES, best, step);
        best = other > best ? other : best;
    }
    if (threadIdx.x % WARP == 0) atomicMax((u64 *)a.out, best);
}

struct FillRandom {
    u64 out, count, seed;
    float scale;
    u32 reserved;
};
static_assert(sizeof(FillRandom) == 32, "the host's twin has 32 bytes");

/// The sum of four uniform numbers of 16 bits, whose deviation is sqrt(4 / 12), moved to 0 and scaled.
__device__ __forceinline__ float random_number(u64 seed, u64 index, float scale) {
    // The mixing of SplitMix64 (Steele, Lea, Flood 2014).
    u64 x = (seed + 1) * 0xd1342543de82ef95ull + (index + 1) * 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    x ^= x >> 31;
    int sum = (int)(x & 0xffff) + (int)(x >> 16 & 0xffff) + (int)(x >> 32 & 0xffff) + (int)(x >> 48);
    return (float)(sum - 131070) * (1.7320508f / 65536.f) * scale;
}

extern "C" __global__ void __launch_bounds__(THREADS) fill_random(const __grid_constant__ FillRandom a) {
    wait_for_previous();
    E::Bits *out = (E::Bits *)a.out;
    u64 step = (u64)gridDim.x * THREADS;
    for (u64 index = (u64)blockIdx.x * THREADS + threadIdx.x; index < a.count; index += step)
        out[index] = from_float<E>(random_number(a.seed, index, a.scale));
}

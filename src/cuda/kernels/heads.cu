// What is done to the rows of heads: `finish_qkv` after the product, and `place` for stored segments. Both rotate with
// the same code, and without fused multiply-add like the CPU, so that a key that was stored and one that was not come
// out the same.
//
// HEAD_DIM is D; INTERLEAVED is 1 where numbers 2i and 2i + 1 are rotated together and 0 where i and i + D / 2 are.

constexpr int DIM = HEAD_DIM;
constexpr int HALF = DIM / 2;
/// Pairs of numbers of a thread, and threads that share a row; kernels.rs counts the same way.
constexpr int PAIRS = DIM % 16 == 0 ? 8 : DIM % 8 == 0 ? 4 : DIM % 4 == 0 ? 2 : 1;
constexpr int USED_LANES = HALF / PAIRS;
__host__ __device__ constexpr int next_power(int x) { return x <= 1 ? 1 : 2 * next_power((x + 1) / 2); }
constexpr int LANES = next_power(USED_LANES);
static_assert(LANES <= WARP, "a row is a warp's at most");

/// The pairs of numbers of one thread, the first of each in `low`: numbers 2·PAIRS·lane on where pairs are neighbours,
/// else PAIRS·lane on and the same in the second half.
struct Part {
    float low[PAIRS], high[PAIRS];

    template <typename T> __device__ __forceinline__ void read(const typename T::Bits *row, int lane) {
#if INTERLEAVED
        float x[2 * PAIRS];
        load<T>(x, row + 2 * PAIRS * lane);
        separate(x);
#else
        load<T>(low, row + PAIRS * lane);
        load<T>(high, row + HALF + PAIRS * lane);
#endif
    }

    template <typename T> __device__ __forceinline__ void write(typename T::Bits *row, int lane) const {
#if INTERLEAVED
        float x[2 * PAIRS];
#pragma unroll
        for (int i = 0; i < PAIRS; i++) x[2 * i] = low[i], x[2 * i + 1] = high[i];
        store<T>(row + 2 * PAIRS * lane, x);
#else
        store<T>(row + PAIRS * lane, low);
        store<T>(row + HALF + PAIRS * lane, high);
#endif
    }

    /// Type by its number, as kernels.rs counts.
    __device__ __forceinline__ void read_as(u32 type, u64 base, u64 row, int lane) {
        if (type == 0) read<F32>((const float *)base + row, lane);
        else if (type == 1) read<F16>((const u16 *)base + row, lane);
        else read<Bf16>((const u16 *)base + row, lane);
    }

    __device__ __forceinline__ void write_as(u32 type, u64 base, u64 row, int lane) const {
        if (type == 0) write<F32>((float *)base + row, lane);
        else if (type == 1) write<F16>((u16 *)base + row, lane);
        else write<Bf16>((u16 *)base + row, lane);
    }

    template <typename T> __device__ __forceinline__ void round() {
#pragma unroll
        for (int i = 0; i < PAIRS; i++) low[i] = rounded<T>(low[i]), high[i] = rounded<T>(high[i]);
    }

    __device__ __forceinline__ void round_as(u32 type) {
        if (type == 1) round<F16>();
        else if (type == 2) round<Bf16>();
    }

    __device__ __forceinline__ void separate(const float (&x)[2 * PAIRS]) {
#pragma unroll
        for (int i = 0; i < PAIRS; i++) low[i] = x[2 * i], high[i] = x[2 * i + 1];
    }

    /// Adds to each number, or multiplies it by, that of an f32 row.
    __device__ __forceinline__ void add(const float *row, int lane) {
        Part other;
        other.read<F32>(row, lane);
#pragma unroll
        for (int i = 0; i < PAIRS; i++) low[i] += other.low[i], high[i] += other.high[i];
    }

    __device__ __forceinline__ void multiply(const float *row, float factor, int lane) {
        Part other;
        other.read<F32>(row, lane);
#pragma unroll
        for (int i = 0; i < PAIRS; i++) {
            low[i] = low[i] * factor * other.low[i];
            high[i] = high[i] * factor * other.high[i];
        }
    }

    __device__ __forceinline__ float squares() const {
        float sum = 0.f;
#pragma unroll
        for (int i = 0; i < PAIRS; i++) sum = fmaf(low[i], low[i], fmaf(high[i], high[i], sum));
        return sum;
    }
};

/// A thread's cosines and sines of one position.
struct Angles {
    float cos[PAIRS], sin[PAIRS];

    __device__ __forceinline__ Angles(u64 cosines, u64 sines, u32 position, int lane) {
        load<F32>(cos, (const float *)cosines + (u64)position * HALF + PAIRS * lane);
        load<F32>(sin, (const float *)sines + (u64)position * HALF + PAIRS * lane);
    }

    __device__ __forceinline__ void rotate(Part &part) const {
#pragma unroll
        for (int i = 0; i < PAIRS; i++) {
            float low = part.low[i], high = part.high[i];
            part.low[i] = __fsub_rn(__fmul_rn(low, cos[i]), __fmul_rn(high, sin[i]));
            part.high[i] = __fadd_rn(__fmul_rn(high, cos[i]), __fmul_rn(low, sin[i]));
        }
    }
};

struct FinishQkv {
    u64 qkv, bias, query_norm, key_norm, positions, cos, sin, query_out, keys, values, head_stride, record;
    u64 sequence_start, sequence_of;
    u32 first_slot, record_dtype, tokens, heads, kv_heads;
    float epsilon;
};
static_assert(sizeof(FinishQkv) == 136, "the host's twin has 136 bytes");

/// Writes a row of keys (`is_value` 0) or values (1) where the sequence's block has it.
__device__ __forceinline__ void record(const FinishQkv &a, const Part &part, u32 token, u32 head, u32 is_value,
                                       int lane) {
    u32 sequence = ((const u32 *)a.sequence_of)[token];
    u32 start = ((const u32 *)a.sequence_start)[sequence], end = ((const u32 *)a.sequence_start)[sequence + 1];
    u64 row = 2ull * a.kv_heads * start + (u64)(is_value * a.kv_heads + head) * (end - start) + (token - start);
    part.write_as(a.record_dtype, a.record, row * DIM, lane);
}

/// LANES threads for a head of a token: of its queries, keys or values. Rows that do not exist go along to the end,
/// since sums over lanes are the whole warp's work.
extern "C" __global__ void __launch_bounds__(THREADS) finish_qkv(const __grid_constant__ FinishQkv a) {
    let_next_start();
    wait_for_previous();
    u32 width = a.heads + 2 * a.kv_heads;
    u32 lane = threadIdx.x % LANES;
    u32 row = blockIdx.x * (THREADS / LANES) + threadIdx.x / LANES;
    bool there = row < a.tokens * width && lane < USED_LANES;
    u32 token = row / width, head = row % width;
    u32 kind = head < a.heads ? 0 : head < a.heads + a.kv_heads ? 1 : 2;

    Part part;
    if (there) {
        part.read<E>((const E::Bits *)a.qkv + (u64)row * DIM, lane);
        if (a.bias) part.add((const float *)a.bias + head * DIM, lane);
    }
    if (a.query_norm || a.key_norm) {
        float factor = 1.f / sqrtf(sum_lanes<LANES>(there ? part.squares() : 0.f) / DIM + a.epsilon);
        u64 norm = kind == 0 ? a.query_norm : kind == 1 ? a.key_norm : 0;
        if (there && norm) part.multiply((const float *)norm, factor, lane);
    }
    if (!there) return;
    u32 kv_head = head - a.heads - (kind == 2 ? a.kv_heads : 0);
    if (a.record && kind != 0) {
        part.round_as(a.record_dtype);
        record(a, part, token, kv_head, kind - 1, lane);
    }
    if (kind != 2) Angles(a.cos, a.sin, ((const u32 *)a.positions)[token], lane).rotate(part);
    u64 slot = (u64)kv_head * a.head_stride + (u64)(a.first_slot + token) * DIM;
    if (kind == 0) part.write<E>((E::Bits *)a.query_out + ((u64)token * a.heads + head) * DIM, lane);
    else part.write<E>((E::Bits *)(kind == 1 ? a.keys : a.values) + slot, lane);
}

struct PlacedSegment {
    u64 source;
    u32 tokens, start_position, first_slot, reserved;
};

struct Place {
    u64 source, segments, keys, values, head_stride, cos, sin;
    PlacedSegment segment;
    u32 store_dtype, kv_heads;
};
static_assert(sizeof(PlacedSegment) == 24 && sizeof(Place) == 88, "the host's twins have 24 and 88 bytes");

/// Heads that a thread goes through with the angles it has read; place.rs says the same.
constexpr int HEADS_AT_ONCE = 4;

/// A token of a segment, for the heads from `first` on.
template <typename T>
__device__ __forceinline__ void place_token(const Place &a, const PlacedSegment &segment, u32 token, u32 first,
                                            int lane) {
    const typename T::Bits *source = (const typename T::Bits *)(a.source + segment.source);
    Angles angles(a.cos, a.sin, segment.start_position + token, lane);
    u64 behind = (u64)a.kv_heads * segment.tokens * DIM;
    u32 end = min(first + HEADS_AT_ONCE, a.kv_heads);
#pragma unroll 2
    for (u32 head = first; head < end; head++) {
        const typename T::Bits *row = source + ((u64)head * segment.tokens + token) * DIM;
        u64 slot = (u64)head * a.head_stride + (u64)(segment.first_slot + token) * DIM;
        Part key, value;
        key.read<T>(row, lane);
        value.read<T>(row + behind, lane);
        angles.rotate(key);
        key.write<E>((E::Bits *)a.keys + slot, lane);
        value.write<E>((E::Bits *)a.values + slot, lane);
    }
}

/// LANES threads for a token of a segment; the grid is tokens, segments, heads.
extern "C" __global__ void __launch_bounds__(THREADS) place(const __grid_constant__ Place a) {
    wait_for_previous();
    PlacedSegment segment = a.segments ? ((const PlacedSegment *)a.segments)[blockIdx.y] : a.segment;
    u32 lane = threadIdx.x % LANES;
    u32 token = blockIdx.x * (THREADS / LANES) + threadIdx.x / LANES;
    if (token >= segment.tokens || lane >= USED_LANES) return;
    u32 first = blockIdx.z * HEADS_AT_ONCE;
    if (a.store_dtype == 0) place_token<F32>(a, segment, token, first, lane);
    else if (a.store_dtype == 1) place_token<F16>(a, segment, token, first, lane);
    else place_token<Bf16>(a, segment, token, first, lane);
}

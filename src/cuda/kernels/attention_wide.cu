// Fifth piece of the attention source (see attention.cu): many query rows on compute capability 9.0, by `wgmma`.
// One warp group copies tiles of 128 keys and of their values into shared memory; two others hold 64 query rows each
// and compute: while the tensor cores work on the scores of one tile and the values of the one before, a warp group
// turns scores into weights.
//
// Tiles lie in shared memory as parts of 64 columns, rows of 128 bytes, whose 16-byte pieces are swapped around by
// the row's number modulo 8 (the 128-byte swizzle that `wgmma` descriptors name).

#if TENSOR_CORES && (HEAD_DIM == 64 || HEAD_DIM == 128)
namespace attention {

constexpr int WIDE_ROWS = 128;   // of a block
constexpr int WIDE_KEYS = 128;   // of a tile
constexpr int WIDE_STAGES = 2;
constexpr int WIDE_PART = 128 * 128;                     // bytes of 128 rows of 64 columns
constexpr int WIDE_TILE = DIM / 64 * WIDE_PART;          // bytes of 128 rows
constexpr int WIDE_BARRIERS = WIDE_TILE * (1 + 2 * WIDE_STAGES);  // where they are, after query, keys and values

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// Operand lists of an accumulator of 8-column tiles of four numbers each.
#define WIDE_4(x, n) "+f"(x[n][0]), "+f"(x[n][1]), "+f"(x[n][2]), "+f"(x[n][3])
#define WIDE_32(x, n)                                                                                       \
    WIDE_4(x, n), WIDE_4(x, n + 1), WIDE_4(x, n + 2), WIDE_4(x, n + 3), WIDE_4(x, n + 4), WIDE_4(x, n + 5), \
        WIDE_4(x, n + 6), WIDE_4(x, n + 7)
#define WIDE_NAMES_32                                                                                      \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                               \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define WIDE_NAMES_64                                                                                      \
    WIDE_NAMES_32 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "     \
                  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#if ELEMENT == 1
#define WIDE_TYPES ".f32.f16.f16 "
#else
#define WIDE_TYPES ".f32.bf16.bf16 "
#endif

/// Where an operand lies: address, distance between 64-column parts (`leading`) and between groups of 8 rows, bytes.
__device__ __forceinline__ u64 descriptor(u32 at, u32 leading) {
    return (u64)((at & 0x3ffff) >> 4) | (u64)(leading >> 4) << 16 | (u64)(1024 >> 4) << 32 | 1ull << 62;
}

/// score [64, 128] (+)= query [64, 16] keys [128, 16]^T, started.
__device__ __forceinline__ void start_scores(float (&score)[16][4], u64 query, u64 keys, int add) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16" WIDE_TYPES "{" WIDE_NAMES_64 "}, %64, %65, p, 1, 1, 0, 0;\n}"
        : WIDE_32(score, 0), WIDE_32(score, 8)
        : "l"(query), "l"(keys), "r"(add));
}

/// out [64, 128] += weights [64, 16] values [16, 128], started.
__device__ __forceinline__ void start_values(float (&out)[16][4], const u32 (&weights)[4], u64 values) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, 1, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16" WIDE_TYPES "{" WIDE_NAMES_64
        "}, {%64, %65, %66, %67}, %68, p, 1, 1, 1;\n}"
        : WIDE_32(out, 0), WIDE_32(out, 8)
        : "r"(weights[0]), "r"(weights[1]), "r"(weights[2]), "r"(weights[3]), "l"(values));
}

/// The same for 64 columns.
__device__ __forceinline__ void start_values(float (&out)[8][4], const u32 (&weights)[4], u64 values) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, 1, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n64k16" WIDE_TYPES "{" WIDE_NAMES_32
        "}, {%32, %33, %34, %35}, %36, p, 1, 1, 1;\n}"
        : WIDE_32(out, 0)
        : "r"(weights[0]), "r"(weights[1]), "r"(weights[2]), "r"(weights[3]), "l"(values));
}

/// Keeps the compiler from moving uses of an accumulator across this point.
template <int tiles> __device__ __forceinline__ void pin(float (&x)[tiles][4]) {
#pragma unroll
    for (int n = 0; n < tiles; n++) asm volatile("" : WIDE_4(x, n)::"memory");
}

__device__ __forceinline__ void fence_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void commit_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int left> __device__ __forceinline__ void wait_products() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(left) : "memory");
}

/// What this thread wrote to shared memory becomes visible to `wgmma`.
__device__ __forceinline__ void fence_writes() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

__device__ __forceinline__ void barrier_init(u32 at, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(at), "r"(arrivals) : "memory");
}
__device__ __forceinline__ void barrier_arrive(u32 at) {
    asm volatile("{\n.reg .b64 t;\nmbarrier.arrive.shared::cta.b64 t, [%0];\n}" ::"r"(at) : "memory");
}
__device__ __forceinline__ void barrier_wait(u32 at, u32 parity) {
    u32 done;
    do {
        asm volatile(
            "{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.b32 %0, 1, 0, p;\n}"
            : "=r"(done)
            : "r"(at), "r"(parity)
            : "memory");
    } while (!done);
}
/// The numbered barriers of a block: all of `count` threads come, some of them without waiting.
__device__ __forceinline__ void meet(int name, int count) {
    asm volatile("bar.sync %0, %1;" ::"r"(name), "r"(count) : "memory");
}

/// Shared memory of a block: the query's rows, keys and values of the stages, and their barriers.
struct Wide {
    u32 base;

    __device__ __forceinline__ u32 keys(int stage) const { return base + WIDE_TILE * (1 + stage); }
    __device__ __forceinline__ u32 values(int stage) const { return base + WIDE_TILE * (1 + WIDE_STAGES + stage); }
    /// kind: 0 keys are there, 1 values are there, 2 keys are done with, 3 values are done with.
    __device__ __forceinline__ u32 barrier(int kind, int stage) const {
        return base + WIDE_BARRIERS + (kind * WIDE_STAGES + stage) * 8;
    }
};

/// Where piece `piece` of a row lies in a tile.
__device__ __forceinline__ u32 wide_place(int row, int piece) {
    return piece / 8 * WIDE_PART + row * 128 + ((piece % 8 ^ row % 8) << 4);
}

/// One warp group starts copies of a tile's 128 rows, of which `count` exist.
__device__ __forceinline__ void wide_copy(u32 to, const Element *from, int count) {
    constexpr int ROWS = 128 / PIECES;  // at a time, a multiple of 8: a thread's place in the swizzle stays the same
    int thread = threadIdx.x % 128;
    int row = thread / PIECES, piece = thread % PIECES;
    u32 place = to + wide_place(row, piece);
    const Element *source = from + row * DIM + piece * 8;
#pragma unroll
    for (int i = 0; i < 128 / ROWS; i++) {
        bool there = row + i * ROWS < count;
        copy_async(place + i * ROWS * 128, there ? source + i * ROWS * DIM : from, there);
    }
    commit_copies();
}

/// The copying warp group: keys 0, keys 1, values 0, keys 2, values 1, ... in the order in which they are used.
__device__ __forceinline__ void wide_produce(const Work &work, const Tiles &tiles, const Wide &memory) {
    u32 pending = 0;  // barrier of the copy under way, told of one copy later
    for (int step = 0; step <= tiles.all; step++) {
#pragma unroll
        for (int kind = 0; kind < 2; kind++) {
            int index = step - kind;
            if (index < 0 || index >= tiles.all) continue;
            int stage = index % WIDE_STAGES;
            if (index >= WIDE_STAGES) barrier_wait(memory.barrier(2 + kind, stage), (index / WIDE_STAGES + 1) % 2);
            Tile tile(work, tiles, index, WIDE_KEYS);
            if (kind == 0) wide_copy(memory.keys(stage), tile.keys, tile.count);
            else wide_copy(memory.values(stage), tile.values, tile.count);
            if (pending) {
                wait_copies<1>();
                fence_writes();
                barrier_arrive(pending);
            }
            pending = memory.barrier(kind, stage);
        }
    }
    if (pending) {
        wait_copies<0>();
        fence_writes();
        barrier_arrive(pending);
    }
}

/// Starts the products of a warp group's 64 query rows with a tile's keys.
__device__ __forceinline__ void wide_scores(float (&score)[16][4], u32 query, u32 keys) {
    pin(score);
    fence_products();
#pragma unroll
    for (int k = 0; k < DIM / 16; k++) {
        u32 at = k / 4 * WIDE_PART + k % 4 * 32;
        start_scores(score, descriptor(query + at, 16), descriptor(keys + at, 16), k != 0);
    }
    commit_products();
}

/// Starts the products of the weights with a tile's values.
__device__ __forceinline__ void wide_values(float (&out)[DIM / 8][4], const u32 (&weights)[8][4], u32 values) {
    pin(out);
    fence_products();
#pragma unroll
    for (int k = 0; k < WIDE_KEYS / 16; k++) start_values(out, weights[k], descriptor(values + k * 2048, WIDE_PART));
    commit_products();
}

/// Scores to weights relative to the new largest score; `factor` is what the output so far has to be multiplied by.
__device__ __forceinline__ void wide_weigh(float (&score)[16][4], float scale, float (&most)[2], float (&sum)[2],
                                           float (&factor)[2]) {
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float top = fmaxf(score[0][2 * r], score[0][2 * r + 1]);
#pragma unroll
        for (int n = 1; n < 16; n++) top = fmaxf(top, fmaxf(score[n][2 * r], score[n][2 * r + 1]));
        top = fmaxf(top, __shfl_xor_sync(0xffffffff, top, 1));
        top = fmaxf(top, __shfl_xor_sync(0xffffffff, top, 2));
        top = fmaxf(most[r], top * scale);
        float base = top == minus_infinity() ? 0.f : top;
        factor[r] = exp2_fast(most[r] - base);
        most[r] = top;
        float total = 0.f;
#pragma unroll
        for (int n = 0; n < 16; n++) {
#pragma unroll
            for (int i = 2 * r; i < 2 * r + 2; i++) {
                score[n][i] = exp2_fast(score[n][i] * scale - base);
                total += score[n][i];
            }
        }
        sum[r] = sum[r] * factor[r] + total;
    }
}

/// A computing warp group (`group` 0 or 1): 64 rows of the block.
__device__ __forceinline__ void wide_consume(const Attend &a, const Work &work, const Tiles &tiles, const Wide &memory,
                                             int group) {
    int thread = threadIdx.x - 128, lane = threadIdx.x % 32;
    for (int index = thread; index < WIDE_ROWS * PIECES; index += 256) {
        int row = index / PIECES, piece = index % PIECES;
        bool there = row < work.rows;
        const Element *from = (const Element *)a.query + work.vector(there ? row : 0, a.heads) * DIM + piece * 8;
        copy_async(memory.base + wide_place(row, piece), from, there);
    }
    commit_copies();
    int first = group * 64 + thread % 128 / 32 * 16 + lane / 4;  // and first + 8
    int limit[2] = {work.limit(min(first, work.rows - 1)), work.limit(min(first + 8, work.rows - 1))};
    int least = work.limit(0);
    float most[2] = {minus_infinity(), minus_infinity()}, sum[2] = {}, factor[2];
    float out[DIM / 8][4] = {}, score[16][4];
    u32 weights[8][4];
    u32 query = memory.base + group * 64 * 128;
    wait_copies<0>();
    fence_writes();
    meet(1, 256);

    for (int index = 0; index < tiles.all; index++) {
        int stage = index % WIDE_STAGES, before = (index + WIDE_STAGES - 1) % WIDE_STAGES;
        barrier_wait(memory.barrier(0, stage), index / WIDE_STAGES % 2);
        wide_scores(score, query, memory.keys(stage));
        if (index > 0) {
            barrier_wait(memory.barrier(1, before), (index - 1) / WIDE_STAGES % 2);
            wide_values(out, weights, memory.values(before));
        }
        if (index > 0) wait_products<1>();
        else wait_products<0>();
        pin(score);
        if (lane == 0) barrier_arrive(memory.barrier(2, stage));

        Tile tile(work, tiles, index, WIDE_KEYS);
        int end = tile.first + tile.count;
        if (tile.count < WIDE_KEYS || (tile.own && end > least)) {
            int seen[2] = {tile.own ? min(limit[0], end) : end, tile.own ? min(limit[1], end) : end};
            mask(score, tile.first, seen);
        }
        wide_weigh(score, (tile.own ? a.scale_own : a.scale_shared) * LOG2_E, most, sum, factor);
        wait_products<0>();
        pin(out);
        if (index > 0 && lane == 0) barrier_arrive(memory.barrier(3, before));
#pragma unroll
        for (int n = 0; n < DIM / 8; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) out[n][i] *= factor[i / 2];
        }
#pragma unroll
        for (int k = 0; k < 8; k++) pack_weights(weights[k], score[2 * k], score[2 * k + 1]);
    }
    if (tiles.all > 0) {
        int stage = (tiles.all - 1) % WIDE_STAGES;
        barrier_wait(memory.barrier(1, stage), (tiles.all - 1) / WIDE_STAGES % 2);
        wide_values(out, weights, memory.values(stage));
        wait_products<0>();
        pin(out);
    }

#pragma unroll
    for (int r = 0; r < 2; r++) {
        float total = sum[r] + __shfl_xor_sync(0xffffffff, sum[r], 1);
        total += __shfl_xor_sync(0xffffffff, total, 2);
        float inverse = total > 0.f ? 1.f / total : 0.f;
        int row = first + 8 * r;
        if (row >= work.rows) continue;
        long long vector = work.vector(row, a.heads);
#pragma unroll
        for (int n = 0; n < DIM / 8; n++) {
            store_pair(a, work, vector, n * 8 + lane % 4 * 2, out[n][2 * r] * inverse, out[n][2 * r + 1] * inverse);
        }
        if (lane % 4 == 0) store_lse(a, work, vector, row_lse(most[r], total));
    }
}

#endif

extern "C" __global__ void __launch_bounds__(384, 1) attend_wide(const __grid_constant__ Attend a) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ __align__(16) unsigned char shared_memory[];
    Work work;
    if (!find_work(a, WIDE_ROWS, WIDE_KEYS, work)) return;
    Wide memory{(shared_address(shared_memory) + 1023) / 1024 * 1024};
    Tiles tiles(work, WIDE_KEYS);
    if (threadIdx.x == 0) {
        for (int stage = 0; stage < WIDE_STAGES; stage++) {
            for (int kind = 0; kind < 4; kind++) barrier_init(memory.barrier(kind, stage), kind < 2 ? 128 : 8);
        }
    }
    __syncthreads();
    int group = threadIdx.x / 128;
    if (group == 0) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
        wide_produce(work, tiles, memory);
    } else {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
        wide_consume(a, work, tiles, memory, group - 1);
    }
#else
    asm volatile("trap;");
#endif
}

}  // namespace attention
#endif

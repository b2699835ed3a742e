// Second piece of the attention source (see attention.cu): tensor-core instructions, copies into shared memory, and
// the online softmax that `attend_few` and `attend_many` have in common.

#if ELEMENT != 0 && HEAD_DIM % 16 == 0 && HEAD_DIM <= 256
#define TENSOR_CORES 1
#else
#define TENSOR_CORES 0
#endif

#if TENSOR_CORES
namespace attention {

/// Elements from one row of a tile in shared memory to the next: 16 bytes more than the row, so that the eight rows
/// an `ldmatrix` reads at a time lie in different banks (HEAD_DIM / 8 + 1 is odd).
constexpr int STRIDE = DIM + 8;
/// 16-byte pieces of a row.
constexpr int PIECES = DIM / 8;

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

__device__ __forceinline__ u32 shared_address(const void *at) { return (u32)__cvta_generic_to_shared(at); }

/// Starts a copy of 16 bytes; writes zeros where `there` is false (nothing is read then).
__device__ __forceinline__ void copy_async(u32 to, const void *from, bool there) {
    int bytes = there ? 16 : 0;
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}

__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/// Waits until at most `left` groups of this thread's copies are under way.
template <int left> __device__ __forceinline__ void wait_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
}

__device__ __forceinline__ void load_matrix(u32 (&to)[4], u32 from) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(from)
                 : "memory");
}

__device__ __forceinline__ void load_matrix_transposed(u32 (&to)[4], u32 from) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(from)
                 : "memory");
}

/// c [16, 8] += a [16, 16] b [16, 8].
__device__ __forceinline__ void multiply(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
#if ELEMENT == 1
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
#else
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
#endif
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// The tiles of `size` keys that a block walks: first those of the shared range, then those of the own one.
struct Tiles {
    int shared, all;

    __device__ __forceinline__ Tiles(const Work &work, int size) {
        shared = (work.shared_end - work.shared_first + size - 1) / size;
        all = shared + (work.own_end - work.own_first + size - 1) / size;
    }
};

/// One tile: where it is, and how many of its keys exist.
struct Tile {
    const Element *keys, *values;
    int first, count;
    bool own;

    __device__ __forceinline__ Tile(const Work &work, const Tiles &tiles, int index, int size) {
        own = index >= tiles.shared;
        first = own ? work.own_first + (index - tiles.shared) * size : work.shared_first + index * size;
        count = min(size, (own ? work.own_end : work.shared_end) - first);
        long long at = (long long)first * DIM;
        keys = (own ? work.own_keys : work.shared_keys) + at;
        values = (own ? work.own_values : work.shared_values) + at;
    }
};

/// Starts copies of `size` rows, of which `count` exist, by `threads` threads of which this is the `thread`-th.
template <int size, int threads>
__device__ __forceinline__ void copy_rows(u32 to, const Element *from, int count, int thread) {
    constexpr int total = size * PIECES;
#pragma unroll
    for (int i = 0; i < (total + threads - 1) / threads; i++) {
        int index = i * threads + thread;
        int row = index / PIECES, piece = index % PIECES;
        if (total % threads != 0 && index >= total) break;
        bool there = row < count;
        copy_async(to + (row * STRIDE + piece * 8) * 2, from + (there ? (long long)row * DIM + piece * 8 : 0), there);
    }
}

/// Copies the block's query rows into shared memory (rows that do not exist become 0).
template <int size, int threads> __device__ __forceinline__ void copy_query(u32 to, const Attend &a, const Work &work) {
    for (int index = threadIdx.x; index < size * PIECES; index += threads) {
        int row = index / PIECES, piece = index % PIECES;
        bool there = row < work.rows;
        const Element *from = (const Element *)a.query + work.vector(there ? row : 0, a.heads) * DIM + piece * 8;
        copy_async(to + (row * STRIDE + piece * 8) * 2, from, there);
    }
}

/// Running softmax of the two rows of a 16-row tile that a lane sees (lane / 4 and lane / 4 + 8), and their output.
struct Softmax {
    float most[2], sum[2];   // largest score so far in base 2; the sum is this lane's part of it
    float out[DIM / 8][4];

    __device__ __forceinline__ void clear() {
        most[0] = most[1] = minus_infinity();
        sum[0] = sum[1] = 0.f;
#pragma unroll
        for (int n = 0; n < DIM / 8; n++) out[n][0] = out[n][1] = out[n][2] = out[n][3] = 0.f;
    }

    /// Turns scores into weights relative to the new largest score, and rescales what was gathered.
    template <int tiles> __device__ __forceinline__ void weigh(float (&score)[tiles][4], float scale) {
#pragma unroll
        for (int r = 0; r < 2; r++) {
            float top = fmaxf(score[0][2 * r], score[0][2 * r + 1]);
#pragma unroll
            for (int n = 1; n < tiles; n++) top = fmaxf(top, fmaxf(score[n][2 * r], score[n][2 * r + 1]));
            top = fmaxf(top, __shfl_xor_sync(0xffffffff, top, 1));
            top = fmaxf(top, __shfl_xor_sync(0xffffffff, top, 2));
            top = fmaxf(most[r], top * scale);
            float base = top == minus_infinity() ? 0.f : top;
            float factor = exp2_fast(most[r] - base);
            most[r] = top;
            float total = 0.f;
#pragma unroll
            for (int n = 0; n < tiles; n++) {
#pragma unroll
                for (int i = 2 * r; i < 2 * r + 2; i++) {
                    score[n][i] = exp2_fast(score[n][i] * scale - base);
                    total += score[n][i];
                }
            }
            sum[r] = sum[r] * factor + total;
#pragma unroll
            for (int n = 0; n < DIM / 8; n++) {
                out[n][2 * r] *= factor;
                out[n][2 * r + 1] *= factor;
            }
        }
    }

    /// The whole row's sum, in all four lanes that share it.
    __device__ __forceinline__ float total(int r) const {
        float all = sum[r] + __shfl_xor_sync(0xffffffff, sum[r], 1);
        return all + __shfl_xor_sync(0xffffffff, all, 2);
    }
};

/// Sets to -inf the scores of keys that do not exist or that a row must not see. `key` is the tile's first key,
/// `limit` the first key that rows lane / 4 and lane / 4 + 8 do not see.
template <int tiles> __device__ __forceinline__ void mask(float (&score)[tiles][4], int key, const int (&limit)[2]) {
    int column = key + threadIdx.x % 4 * 2;
#pragma unroll
    for (int n = 0; n < tiles; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (column + n * 8 + i % 2 >= limit[i / 2]) score[n][i] = minus_infinity();
        }
    }
}

/// Weights of 16 keys as the left operand of the product with their values.
__device__ __forceinline__ void pack_weights(u32 (&to)[4], const float (&first)[4], const float (&second)[4]) {
    to[0] = pack(first[0], first[1]);
    to[1] = pack(first[2], first[3]);
    to[2] = pack(second[0], second[1]);
    to[3] = pack(second[2], second[3]);
}

#endif

}  // namespace attention
#endif

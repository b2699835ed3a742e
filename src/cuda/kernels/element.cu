// Numbers of type E and how they are read, written and rounded: the first piece of every source but attention's.
//
// ELEMENT is E as `type_number` in kernels.rs counts: 0 = f32, 1 = f16, 2 = bf16. No header is included, since the
// compiler at run time has none; 16-bit numbers are their bits, and instructions of theirs are written out.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct F32 { typedef float Bits; };
struct F16 { typedef u16 Bits; };
struct Bf16 { typedef u16 Bits; };

#if ELEMENT == 0
typedef F32 E;
#elif ELEMENT == 1
typedef F16 E;
#else
typedef Bf16 E;
#endif

constexpr int WARP = 32;
constexpr u32 ALL_LANES = 0xffffffff;

// ---- one number ----

template <typename T> __device__ __forceinline__ float to_float(typename T::Bits x);
template <> __device__ __forceinline__ float to_float<F32>(float x) { return x; }
template <> __device__ __forceinline__ float to_float<F16>(u16 x) {
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x));
    return y;
}
template <> __device__ __forceinline__ float to_float<Bf16>(u16 x) { return __uint_as_float((u32)x << 16); }

template <typename T> __device__ __forceinline__ typename T::Bits from_float(float x);
template <> __device__ __forceinline__ float from_float<F32>(float x) { return x; }
// Numbers beyond the range of f16 are held at its ends, as on the CPU.
template <> __device__ __forceinline__ u16 from_float<F16>(float x) {
    constexpr float MOST = 65504.f;
    x = x > MOST ? MOST : x < -MOST ? -MOST : x;
    u16 y;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y) : "f"(x));
    return y;
}
template <> __device__ __forceinline__ u16 from_float<Bf16>(float x) {
#if __CUDA_ARCH__ >= 800
    u16 y;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y) : "f"(x));
    return y;
#else
    u32 bits = __float_as_uint(x);
    // What is no number must not be carried into infinity.
    return x != x ? 0x7fc0 : (u16)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
#endif
}

/// As it comes back after having been stored as T.
template <typename T> __device__ __forceinline__ float rounded(float x) { return to_float<T>(from_float<T>(x)); }

// ---- several numbers at once ----

/// COUNT numbers of type T, aligned so that they are read and written in as few accesses as there can be.
template <typename T, int COUNT> struct __align__(sizeof(typename T::Bits) * COUNT < 16 ? sizeof(typename T::Bits) * COUNT : 16) Pack {
    typename T::Bits at[COUNT];
};

/// Copies a pack with accesses of 16 bytes, or one smaller one.
template <typename P> __device__ __forceinline__ void copy_pack(P *to, const P *from) {
    if constexpr (sizeof(P) % 16 == 0) {
#pragma unroll
        for (int i = 0; i < (int)sizeof(P) / 16; i++) ((uint4 *)to)[i] = ((const uint4 *)from)[i];
    } else if constexpr (sizeof(P) == 8) {
        *(uint2 *)to = *(const uint2 *)from;
    } else if constexpr (sizeof(P) == 4) {
        *(u32 *)to = *(const u32 *)from;
    } else {
        *to = *from;
    }
}

template <typename T, int COUNT>
__device__ __forceinline__ void load(float (&x)[COUNT], const typename T::Bits *from) {
    Pack<T, COUNT> pack;
    copy_pack(&pack, (const Pack<T, COUNT> *)from);
#pragma unroll
    for (int i = 0; i < COUNT; i++) x[i] = to_float<T>(pack.at[i]);
}

template <typename T, int COUNT>
__device__ __forceinline__ void store(typename T::Bits *to, const float (&x)[COUNT]) {
    Pack<T, COUNT> pack;
#pragma unroll
    for (int i = 0; i < COUNT; i++) pack.at[i] = from_float<T>(x[i]);
    copy_pack((Pack<T, COUNT> *)to, &pack);
}

// ---- sums ----

/// The sum over the `width` lanes that this one is among, in all of them; a power of two.
template <int width> __device__ __forceinline__ float sum_lanes(float x) {
#pragma unroll
    for (int step = width / 2; step > 0; step /= 2) x += __shfl_xor_sync(ALL_LANES, x, step);
    return x;
}

/// The sum over a block of so many warps, in all of its threads. All of them must come here, once per `memory`.
template <int warps> __device__ __forceinline__ float sum_block(float x, float (&memory)[warps]) {
    x = sum_lanes<WARP>(x);
    if (threadIdx.x % WARP == 0) memory[threadIdx.x / WARP] = x;
    __syncthreads();
    float sum = 0.f;
#pragma unroll
    for (int i = 0; i < warps; i++) sum += memory[i];
    return sum;
}

// ---- SwiGLU ----

/// gate · sigmoid(gate) · up.
__device__ __forceinline__ float silu_multiplied(float gate, float up) {
    return gate / (1.f + __expf(fminf(-gate, 88.f))) * up;
}

/*
 * AES-256-GCM (NIST SP 800-38D). The hash is computed as POLYVAL (RFC 8452, appendix A), which is GHASH on byte-reversed
 * blocks with the hash key multiplied by x: its reduction takes two multiplications, and eight blocks share one.
 */
#include "gcm.h"

#include <cpuid.h>
#include <string.h>

enum { LANES = 8, WIDE_LANES = 16 };
#define FIRST_POWER (GCM_POWERS - 1)
#define TWO __attribute__((target("vaes,vpclmulqdq,avx2")))
#define FOUR __attribute__((target("vaes,vpclmulqdq,avx512f,avx512bw,avx512vl")))

int gcm_supported(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
  const unsigned need = bit_AES | bit_PCLMUL | bit_SSE4_1 | bit_SSE4_2 | bit_SSSE3;
  return (c & need) == need;
}

static inline __m128i reversed(__m128i block) {
  return _mm_shuffle_epi8(block, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

/* The sum of 256-bit products, in three parts as Karatsuba leaves them. */
struct product {
  __m128i low, middle, high;
};

static inline void add_product(struct product *sum, __m128i a, __m128i b) {
  sum->low = _mm_xor_si128(sum->low, _mm_clmulepi64_si128(a, b, 0x00));
  sum->high = _mm_xor_si128(sum->high, _mm_clmulepi64_si128(a, b, 0x11));
  const __m128i a_folded = _mm_xor_si128(a, _mm_shuffle_epi32(a, 0x4e));
  const __m128i b_folded = _mm_xor_si128(b, _mm_shuffle_epi32(b, 0x4e));
  sum->middle = _mm_xor_si128(sum->middle, _mm_clmulepi64_si128(a_folded, b_folded, 0x00));
}

static inline __m128i reduce(struct product p) {
  const __m128i middle = _mm_xor_si128(p.middle, _mm_xor_si128(p.low, p.high));
  const __m128i low = _mm_xor_si128(p.low, _mm_slli_si128(middle, 8));
  const __m128i high = _mm_xor_si128(p.high, _mm_srli_si128(middle, 8));
  const __m128i polynomial = _mm_set_epi64x(0, (long long)0xc200000000000000ULL);
  const __m128i once = _mm_xor_si128(_mm_shuffle_epi32(low, 0x4e), _mm_clmulepi64_si128(low, polynomial, 0x00));
  const __m128i twice = _mm_xor_si128(_mm_shuffle_epi32(once, 0x4e), _mm_clmulepi64_si128(once, polynomial, 0x00));
  return _mm_xor_si128(twice, high);
}

static inline __m128i multiply(__m128i a, __m128i b) {
  struct product p = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
  add_product(&p, a, b);
  return reduce(p);
}

/* a · x in POLYVAL's field. */
static __m128i times_x(__m128i a) {
  const uint64_t low = (uint64_t)_mm_extract_epi64(a, 0), high = (uint64_t)_mm_extract_epi64(a, 1);
  const __m128i shifted = _mm_set_epi64x((long long)(high << 1 | low >> 63), (long long)(low << 1));
  if (!(high >> 63)) return shifted;
  return _mm_xor_si128(shifted, _mm_set_epi64x((long long)0xc200000000000000ULL, 1));
}

static inline __m128i encrypt_block(const struct gcm_key *key, __m128i block) {
  block = _mm_xor_si128(block, key->round[0]);
  for (int r = 1; r < GCM_ROUNDS; r++) block = _mm_aesenc_si128(block, key->round[r]);
  return _mm_aesenclast_si128(block, key->round[GCM_ROUNDS]);
}

static inline __m128i mixed(__m128i word) {
  word = _mm_xor_si128(word, _mm_slli_si128(word, 4));
  return _mm_xor_si128(word, _mm_slli_si128(word, 8));
}

void gcm_init(struct gcm_key *key, const uint8_t bytes[GCM_KEY_BYTES]) {
  __m128i *k = key->round;
  k[0] = _mm_loadu_si128((const __m128i *)bytes);
  k[1] = _mm_loadu_si128((const __m128i *)(bytes + 16));
#define EVEN(i, rcon) \
  k[i] = _mm_xor_si128(mixed(k[(i)-2]), _mm_shuffle_epi32(_mm_aeskeygenassist_si128(k[(i)-1], rcon), 0xff))
#define ODD(i) k[i] = _mm_xor_si128(mixed(k[(i)-2]), _mm_shuffle_epi32(_mm_aeskeygenassist_si128(k[(i)-1], 0), 0xaa))
  EVEN(2, 0x01), ODD(3), EVEN(4, 0x02), ODD(5), EVEN(6, 0x04), ODD(7), EVEN(8, 0x08);
  ODD(9), EVEN(10, 0x10), ODD(11), EVEN(12, 0x20), ODD(13), EVEN(14, 0x40);
#undef EVEN
#undef ODD
  key->power[FIRST_POWER] = times_x(reversed(encrypt_block(key, _mm_setzero_si128())));
  for (int i = FIRST_POWER; i > 0; i--) key->power[i - 1] = multiply(key->power[i], key->power[FIRST_POWER]);
  const int has_vectors = __builtin_cpu_supports("vaes") && __builtin_cpu_supports("vpclmulqdq");
  const int has_512 = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  key->blocks_at_once = has_vectors && has_512 ? 4 : has_vectors && __builtin_cpu_supports("avx2") ? 2 : 1;
}

/* Eight blocks into the hash, with one reduction. */
static inline __m128i hash_lanes(const struct gcm_key *key, __m128i hash, const __m128i block[LANES]) {
  struct product p = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
  add_product(&p, _mm_xor_si128(hash, reversed(block[0])), key->power[GCM_POWERS - LANES]);
#pragma GCC unroll 8
  for (int i = 1; i < LANES; i++) add_product(&p, reversed(block[i]), key->power[GCM_POWERS - LANES + i]);
  return reduce(p);
}

static __m128i hash_bytes(const struct gcm_key *key, __m128i hash, const uint8_t *data, size_t bytes) {
  for (; bytes > 0;) {
    uint8_t padded[16] = {0};
    const size_t n = bytes < 16 ? bytes : 16;
    memcpy(padded, data, n);
    hash = multiply(_mm_xor_si128(hash, reversed(_mm_loadu_si128((const __m128i *)padded))), key->power[FIRST_POWER]);
    data += n, bytes -= n;
  }
  return hash;
}

/* `reduce` takes the middle as Karatsuba leaves it, with low and high in it. */
static inline __m128i reduce_whole(__m128i low, __m128i middle, __m128i high) {
  return reduce((struct product){low, _mm_xor_si128(middle, _mm_xor_si128(low, high)), high});
}

/* The same as below, on processors whose instructions take two blocks: how much of `data` it did, with counter and hash. */
TWO static size_t stream_two(const struct gcm_key *key, __m128i *counter, __m128i *hash, uint8_t *data, size_t bytes,
                             int sealing) {
  const __m256i reverse = _mm256_broadcastsi128_si256(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  const __m256i two = _mm256_broadcastsi128_si256(_mm_set_epi32(0, 0, 0, 2));
  __m256i next = _mm256_add_epi32(_mm256_broadcastsi128_si256(*counter), _mm256_set_epi32(0, 0, 0, 2, 0, 0, 0, 1));
  size_t done = 0;
  for (; done + 16 * WIDE_LANES <= bytes; done += 16 * WIDE_LANES) {
    __m256i pad[8], low = _mm256_setzero_si256(), middle = low, high = low;
    const __m256i first = _mm256_broadcastsi128_si256(key->round[0]);
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
      pad[i] = _mm256_xor_si256(_mm256_shuffle_epi8(next, reverse), first);
      next = _mm256_add_epi32(next, two);
    }
#pragma GCC unroll 13
    for (int r = 1; r < GCM_ROUNDS; r++) {
      const __m256i round = _mm256_broadcastsi128_si256(key->round[r]);
#pragma GCC unroll 8
      for (int i = 0; i < 8; i++) pad[i] = _mm256_aesenc_epi128(pad[i], round);
    }
    const __m256i last = _mm256_broadcastsi128_si256(key->round[GCM_ROUNDS]);
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
      __m256i *at = (__m256i *)(data + done + 32 * i);
      const __m256i before = _mm256_loadu_si256(at);
      const __m256i after = _mm256_xor_si256(before, _mm256_aesenclast_epi128(pad[i], last));
      _mm256_storeu_si256(at, after);
      __m256i block = _mm256_shuffle_epi8(sealing ? after : before, reverse);
      if (i == 0) block = _mm256_xor_si256(block, _mm256_zextsi128_si256(*hash));
      const __m256i power = _mm256_loadu_si256((const __m256i *)&key->power[2 * i]);
      low = _mm256_xor_si256(low, _mm256_clmulepi64_epi128(block, power, 0x00));
      high = _mm256_xor_si256(high, _mm256_clmulepi64_epi128(block, power, 0x11));
      middle = _mm256_xor_si256(middle, _mm256_xor_si256(_mm256_clmulepi64_epi128(block, power, 0x01),
                                                         _mm256_clmulepi64_epi128(block, power, 0x10)));
    }
#define FOLDED(x) _mm_xor_si128(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1))
    *hash = reduce_whole(FOLDED(low), FOLDED(middle), FOLDED(high));
#undef FOLDED
  }
  *counter = _mm_add_epi32(*counter, _mm_set_epi32(0, 0, 0, (int)(done / 16)));
  return done;
}

/* The same with four blocks. */
FOUR static size_t stream_four(const struct gcm_key *key, __m128i *counter, __m128i *hash, uint8_t *data, size_t bytes,
                               int sealing) {
  const __m512i reverse = _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  const __m512i four = _mm512_broadcast_i32x4(_mm_set_epi32(0, 0, 0, 4));
  __m512i next = _mm512_add_epi32(_mm512_broadcast_i32x4(*counter),
                                  _mm512_set_epi32(0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1));
  size_t done = 0;
  for (; done + 16 * WIDE_LANES <= bytes; done += 16 * WIDE_LANES) {
    __m512i pad[4], low = _mm512_setzero_si512(), middle = low, high = low;
    const __m512i first = _mm512_broadcast_i32x4(key->round[0]);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      pad[i] = _mm512_xor_si512(_mm512_shuffle_epi8(next, reverse), first);
      next = _mm512_add_epi32(next, four);
    }
#pragma GCC unroll 13
    for (int r = 1; r < GCM_ROUNDS; r++) {
      const __m512i round = _mm512_broadcast_i32x4(key->round[r]);
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) pad[i] = _mm512_aesenc_epi128(pad[i], round);
    }
    const __m512i last = _mm512_broadcast_i32x4(key->round[GCM_ROUNDS]);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      uint8_t *at = data + done + 64 * i;
      const __m512i before = _mm512_loadu_si512(at);
      const __m512i after = _mm512_xor_si512(before, _mm512_aesenclast_epi128(pad[i], last));
      _mm512_storeu_si512(at, after);
      __m512i block = _mm512_shuffle_epi8(sealing ? after : before, reverse);
      if (i == 0) block = _mm512_xor_si512(block, _mm512_zextsi128_si512(*hash));
      const __m512i power = _mm512_loadu_si512(&key->power[4 * i]);
      low = _mm512_xor_si512(low, _mm512_clmulepi64_epi128(block, power, 0x00));
      high = _mm512_xor_si512(high, _mm512_clmulepi64_epi128(block, power, 0x11));
      middle = _mm512_xor_si512(middle, _mm512_xor_si512(_mm512_clmulepi64_epi128(block, power, 0x01),
                                                         _mm512_clmulepi64_epi128(block, power, 0x10)));
    }
    __m128i sums[3];
    const __m512i parts[3] = {low, middle, high};
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++) {
      const __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(parts[i]), _mm512_extracti64x4_epi64(parts[i], 1));
      sums[i] = _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    }
    *hash = reduce_whole(sums[0], sums[1], sums[2]);
  }
  *counter = _mm_add_epi32(*counter, _mm_set_epi32(0, 0, 0, (int)(done / 16)));
  return done;
}

/* Counter mode over `data` in place, hashing what is ciphertext: the result when sealing, the input when opening. */
static __m128i stream(const struct gcm_key *key, __m128i counter, __m128i hash, uint8_t *data, size_t bytes, int sealing) {
  const __m128i one = _mm_set_epi32(0, 0, 0, 1);
  if (key->blocks_at_once > 1) {
    const size_t done = (key->blocks_at_once == 4 ? stream_four : stream_two)(key, &counter, &hash, data, bytes, sealing);
    data += done, bytes -= done;
  }
  for (; bytes >= 16 * LANES; data += 16 * LANES, bytes -= 16 * LANES) {
    __m128i pad[LANES], cipher[LANES];
#pragma GCC unroll 8
    for (int i = 0; i < LANES; i++) {
      counter = _mm_add_epi32(counter, one);
      pad[i] = _mm_xor_si128(reversed(counter), key->round[0]);
    }
#pragma GCC unroll 13
    for (int r = 1; r < GCM_ROUNDS; r++) {
#pragma GCC unroll 8
      for (int i = 0; i < LANES; i++) pad[i] = _mm_aesenc_si128(pad[i], key->round[r]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < LANES; i++) {
      __m128i *at = (__m128i *)(data + 16 * i);
      const __m128i before = _mm_loadu_si128(at);
      const __m128i after = _mm_xor_si128(before, _mm_aesenclast_si128(pad[i], key->round[GCM_ROUNDS]));
      _mm_storeu_si128(at, after);
      cipher[i] = sealing ? after : before;
    }
    hash = hash_lanes(key, hash, cipher);
  }
  for (; bytes > 0;) {
    const size_t n = bytes < 16 ? bytes : 16;
    uint8_t pad[16];
    counter = _mm_add_epi32(counter, one);
    _mm_storeu_si128((__m128i *)pad, encrypt_block(key, reversed(counter)));
    if (!sealing) hash = hash_bytes(key, hash, data, n);
    for (size_t i = 0; i < n; i++) data[i] ^= pad[i];
    if (sealing) hash = hash_bytes(key, hash, data, n);
    data += n, bytes -= n;
  }
  return hash;
}

static void run(const struct gcm_key *key, uint32_t word, uint64_t number, const uint8_t *aad, size_t aad_bytes,
                uint8_t *data, size_t bytes, int sealing, uint8_t tag[GCM_TAG_BYTES]) {
  /* Byte-reversed, the block nonce ‖ counter is counter, then number, then word. */
  const __m128i first = _mm_set_epi32((int)word, (int)(number >> 32), (int)number, 1);
  __m128i hash = hash_bytes(key, _mm_setzero_si128(), aad, aad_bytes);
  hash = stream(key, first, hash, data, bytes, sealing);
  const __m128i lengths = _mm_set_epi64x((long long)aad_bytes * 8, (long long)bytes * 8);
  hash = multiply(_mm_xor_si128(hash, lengths), key->power[FIRST_POWER]);
  _mm_storeu_si128((__m128i *)tag, _mm_xor_si128(reversed(hash), encrypt_block(key, reversed(first))));
}

void gcm_seal(const struct gcm_key *key, uint32_t word, uint64_t number, const uint8_t *aad, size_t aad_bytes,
              uint8_t *data, size_t bytes, uint8_t tag[GCM_TAG_BYTES]) {
  run(key, word, number, aad, aad_bytes, data, bytes, 1, tag);
}

int gcm_open(const struct gcm_key *key, uint32_t word, uint64_t number, const uint8_t *aad, size_t aad_bytes,
             uint8_t *data, size_t bytes, const uint8_t tag[GCM_TAG_BYTES]) {
  uint8_t right[GCM_TAG_BYTES];
  run(key, word, number, aad, aad_bytes, data, bytes, 0, right);
  unsigned difference = 0;
  for (int i = 0; i < GCM_TAG_BYTES; i++) difference |= right[i] ^ tag[i];
  return difference ? -1 : 0;
}

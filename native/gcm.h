/* AES-256-GCM for whole messages with 96-bit nonces, on the processor's AES and carry-less multiply instructions. */
#ifndef FORESCALE_GCM_H
#define FORESCALE_GCM_H

#include <stddef.h>
#include <stdint.h>
#include <immintrin.h>

enum { GCM_KEY_BYTES = 32, GCM_TAG_BYTES = 16, GCM_ROUNDS = 14, GCM_POWERS = 16 };

struct gcm_key {
  __m128i round[GCM_ROUNDS + 1];
  __m128i power[GCM_POWERS]; /* of the hash key: the 16th first, the 1st last */
  int blocks_at_once;        /* that one instruction of the processor takes: 1, 2 or 4 */
};

/* True when this processor has the instructions; nothing else here may run without them. */
int gcm_supported(void);
void gcm_init(struct gcm_key *key, const uint8_t bytes[GCM_KEY_BYTES]);
/* Encrypts in place. `word` and `number` together are the nonce: never the same twice under one key. */
void gcm_seal(const struct gcm_key *key, uint32_t word, uint64_t number, const uint8_t *aad, size_t aad_bytes,
              uint8_t *data, size_t bytes, uint8_t tag[GCM_TAG_BYTES]);
/* Decrypts in place; 0 when the tag is right. Otherwise -1, and what stands in `data` must not be used. */
int gcm_open(const struct gcm_key *key, uint32_t word, uint64_t number, const uint8_t *aad, size_t aad_bytes,
             uint8_t *data, size_t bytes, const uint8_t tag[GCM_TAG_BYTES]);

#endif

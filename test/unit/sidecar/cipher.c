/*
 * Prints what the helper's cipher makes of messages of many lengths, a line each, in hexadecimal with the tag behind; each is
 * opened again, and once with one bit turned. A number keeps off instructions that take more blocks.
 */
#include "../../../native/gcm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 2600 };

int main(int count, char **words) {
  struct gcm_key key;
  uint8_t bytes[GCM_KEY_BYTES], aad[64], data[LONGEST], tag[GCM_TAG_BYTES];
  for (int i = 0; i < GCM_KEY_BYTES; i++) bytes[i] = (uint8_t)(i * 7 + 1);
  for (int i = 0; i < 64; i++) aad[i] = (uint8_t)i;
  gcm_init(&key, bytes);
  const int most = count > 1 ? atoi(words[1]) : 4;
  if (key.blocks_at_once > most) key.blocks_at_once = most;
  for (size_t length = 0; length <= LONGEST; length += 65) {
    for (size_t i = 0; i < length; i++) data[i] = (uint8_t)(i * 3);
    gcm_seal(&key, 0x01020304, 0x1122334455667788ULL, aad, length % 60, data, length, tag);
    for (size_t i = 0; i < length; i++) printf("%02x", data[i]);
    for (int i = 0; i < GCM_TAG_BYTES; i++) printf("%02x", tag[i]);
    printf("\n");
    uint8_t turned[LONGEST];
    memcpy(turned, data, length);
    if (length > 0) turned[length / 2] ^= 4;
    if (length > 0 && gcm_open(&key, 0x01020304, 0x1122334455667788ULL, aad, length % 60, turned, length, tag) == 0) return 1;
    if (gcm_open(&key, 0x01020304, 0x1122334455667788ULL, aad, length % 60, data, length, tag) != 0) return 2;
    for (size_t i = 0; i < length; i++)
      if (data[i] != (uint8_t)(i * 3)) return 3;
  }
  return 0;
}

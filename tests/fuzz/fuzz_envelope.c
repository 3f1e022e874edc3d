/* An envelope that was read encodes to the very same bytes, and everything in
 * it lies inside the input. */
#include <string.h>

#include "envelope.h"
#include "fuzz.h"

static void is_inside(struct wwr_view part, struct wwr_view whole) {
  fuzz_check(part.len <= whole.len);
  fuzz_check(part.data >= whole.data);
  fuzz_check(part.data + part.len <= whole.data + whole.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct wwr_view bytes = {data, size};
  struct wwri_envelope envelope;
  wwr_err err = wwri_envelope_decode(bytes, &envelope);
  fuzz_check(err == WWR_OK || err == WWR_E_PROTOCOL);
  if (err) {
    fuzz_check(envelope.name.len == 0 && envelope.payload.data.len == 0);
    return 0;
  }
  is_inside(envelope.name, bytes);
  is_inside(envelope.payload.data, bytes);
  struct wwri_buf again;
  wwri_buf_init(&again, size);
  fuzz_check(wwri_envelope_len(&envelope) == size);
  fuzz_check(wwri_envelope_encode(&envelope, &again) == WWR_OK);
  fuzz_check(again.len == size && memcmp(again.data, data, size) == 0);
  wwri_buf_deinit(&again);
  return 0;
}

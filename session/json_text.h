/* json_text.h - JSON as text: the JSON library says whether it is valid, and
 * the functions here walk what it accepted. So a session's info stays as it was
 * written: numbers keep their digits, members their order. */
#ifndef WWRI_JSON_TEXT_H
#define WWRI_JSON_TEXT_H

#include <jansson.h>

#include "wwr_err.h"

/** Parse any JSON value; release with json_decref(). Numbers lose precision
 * here: take their text instead. Errors: WWR_E_INVALID, WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_json_load(struct wwr_view text, json_t **out);

/** Find the last member of that name in the text of a valid object. *value
 * points into `object`. Errors: WWR_E_INVALID (no such member), WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_json_member(struct wwr_view object,
                                        struct wwr_view name,
                                        struct wwr_view *value);

/** Copy valid JSON text without the white space between its tokens. `out`
 * holds text.len bytes; returns the bytes written. */
size_t wwri_json_compact(struct wwr_view text, char *out);

#endif

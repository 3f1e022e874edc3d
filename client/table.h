/* table.h - the calls of a client that are known by an id. Ids are consecutive
 * numbers, so the low bits are the hash; calls are linked through themselves,
 * so that inserting one can't fail. */
#ifndef WWRI_CLIENT_TABLE_H
#define WWRI_CLIENT_TABLE_H

#include "wwr_err.h"

struct wwri_call;

struct wwri_call_table {
  struct wwri_call **slots;
  size_t mask; /* slots - 1 */
  size_t count;
};

/** Errors: WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_call_table_init(struct wwri_call_table *table);

/** Free the slots; the calls are the caller's. */
void wwri_call_table_deinit(struct wwri_call_table *table);

/** Insert by call->id, which must be new. Grows if there is memory for it,
 * otherwise the chains do. */
void wwri_call_table_insert(struct wwri_call_table *table,
                            struct wwri_call *call);

/** The call, or NULL. */
struct wwri_call *wwri_call_table_find(const struct wwri_call_table *table,
                                       uint64_t id);

/** Remove; harmless when it is not in the table. */
void wwri_call_table_remove(struct wwri_call_table *table,
                            struct wwri_call *call);

#endif

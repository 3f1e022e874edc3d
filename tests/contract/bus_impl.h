/* bus_impl.h - between the files of the bus fixture. */
#ifndef BUS_IMPL_H
#define BUS_IMPL_H

#include "bus_fixture.h"

/* True while this thread is inside a call into a bus. */
extern _Thread_local bool bus_in_call;

/* Every callback begins and ends with these; end signals what changed. */
void bus_callback_begin(struct bus_node *node);
void bus_callback_end(struct bus_node *node);

/* Remember the first thing that must not be. Under the lock. */
void bus_breach(const char *format, ...) __attribute__((format(printf, 1, 2)));

void bus_keep(struct bus_messages *messages,
              const struct wwri_bus_message *message);
void bus_forget(struct bus_messages *messages);

/* The callbacks of every call and receiver. */
void bus_on_done(struct wwri_bus_op *op, const struct wwri_bus_result *result);
void bus_on_deliver(struct wwri_bus_sub *sub,
                    const struct wwri_bus_message *message);
void bus_on_verdict(struct wwri_bus_sub *sub,
                    const struct wwri_verdict *verdict);
extern const struct wwri_bus_events bus_events;

#endif

/* redis_publish.c - publishes and control messages: the core's publisher does
 * all of it, retries included; here their ends become results. */
#include "redis_bus.h"

static void published(struct wwri_member_publish *base,
                      enum wwri_outcome outcome, struct wwri_logid id) {
  struct bus_work *work =
      WWRI_CONTAINER(base, struct bus_work, u.publish.publish);
  struct redis_bus *bus = work->bus;
  struct wwri_bus_op *op = work->op;
  struct wwri_bus_result result = {.id = id};
  bus->publishes--;
  switch (outcome) {
    case WWRI_ACKED:
      if (op->kind == BUS_PUBLISH) atomic_fetch_add(&bus->counts.published, 1);
      wwri_rbus_end(bus, op, &result);
      break;
    case WWRI_DENIED:
      wwri_rbus_fail(bus, op, WWR_E_REFUSED, true);
      break;
    case WWRI_FAILED:
    case WWRI_UNKNOWN:
      wwri_rbus_fail(bus, op, WWR_E_UNAVAILABLE, outcome == WWRI_FAILED);
      break;
  }
  if (bus->stopping && bus->publishes == 0) {
    wwri_member_user_done(bus->member, &bus->user);
  }
}

void wwri_rbus_publish(struct redis_bus *bus, struct wwri_bus_op *op) {
  struct bus_work *work = bus_work_of(op);
  struct wwri_member_publish *publish = &work->u.publish.publish;
  wwr_err err;
  publish->done = published;
  wwri_list_init(&op->node);
  bus->publishes++;
  if (op->kind == BUS_CONTROL) {
    err = wwri_member_control(bus->member, work->u.publish.topic,
                              work->u.publish.data, publish);
  } else {
    err = wwri_node_publish(wwri_member_node(bus->member), work->channel,
                            work->u.publish.data, work->u.publish.limit,
                            publish, wwri_member_now());
  }
  if (!err) return;
  bus->publishes--;
  wwri_rbus_fail(bus, op, err, true);
}

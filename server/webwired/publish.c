/* What is published goes to the server as it came, and the answer is its place
 * in the channel's log. The request's turn is over at once: the server keeps
 * the order of what is published, and answers in it. */
#include <inttypes.h>
#include <stdio.h>

#include "webwired.h"

static void on_published(const struct wwr_publish_result *result,
                         void *user_data) {
  struct wwr_request *request = user_data;
  char json[80];
  if (result->err != WWR_OK) {
    webwired_fail(request, result->err, result->certain);
    return;
  }
  snprintf(json, sizeof json,
           "{\"epoch\":\"%" PRIu64 "\",\"offset\":%" PRIu64 "}",
           result->id.epoch, result->id.offset);
  const struct wwr_payload reply = wwr_payload_text(json);
  wwr_request_reply(request, &reply);
}

void webwired_publish(const struct webwired_call *call) {
  if (!webwired_may(call, POLICY_PUBLISH)) return;
  wwr_request_defer(call->request);
  wwr_err err =
      wwr_server_publish(call->webwired->server, call->channel, call->channel,
                         call->payload, NULL, on_published, call->request);
  if (err != WWR_OK) webwired_fail(call->request, err, true);
}

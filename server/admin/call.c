/* Questions to the server and the way of their answers back to the admin
 * thread. */
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "impl.h"

struct wwri_postbox {
  pthread_mutex_t mutex;
  unsigned refs; /* the listener's, and one of every call */
  int wake_fd;   /* -1: closed */
  struct wwri_list arrived;
};

struct wwri_postbox *wwri_postbox_new(int wake_fd) {
  struct wwri_postbox *box = calloc(1, sizeof *box);
  if (!box) return NULL;
  pthread_mutex_init(&box->mutex, NULL);
  box->refs = 1;
  box->wake_fd = wake_fd;
  wwri_list_init(&box->arrived);
  return box;
}

static void box_unref(struct wwri_postbox *box) {
  pthread_mutex_lock(&box->mutex);
  bool last = --box->refs == 0;
  pthread_mutex_unlock(&box->mutex);
  if (!last) return;
  pthread_mutex_destroy(&box->mutex);
  free(box);
}

/* --- Calls ---------------------------------------------------------------- */

struct wwri_call *wwri_call_new(struct wwri_ask *ask,
                                void (*then)(struct wwri_ask *ask,
                                             struct wwri_call *call)) {
  struct wwri_call *call = calloc(1, sizeof *call);
  if (!call) {
    wwri_answer_err(ask, WWR_E_NOMEM);
    return NULL;
  }
  wwri_list_init(&call->node);
  call->ask = ask;
  call->then = then;
  call->box = ask->admin->box;
  pthread_mutex_lock(&call->box->mutex);
  call->box->refs++;
  pthread_mutex_unlock(&call->box->mutex);
  return call;
}

static void call_free(struct wwri_call *call) {
  json_decref(call->json);
  box_unref(call->box);
  free(call);
}

void wwri_call_begun(struct wwri_call *call, wwr_err err) {
  struct wwri_ask *ask = call->ask;
  if (err == WWR_OK) {
    ask->call = call;
    return;
  }
  call_free(call);
  wwri_answer_err(ask, err);
}

void wwri_call_post(struct wwri_call *call) {
  static const uint64_t one = 1;
  struct wwri_postbox *box = call->box;
  pthread_mutex_lock(&box->mutex);
  bool open = box->wake_fd >= 0;
  if (open) {
    wwri_list_append(&box->arrived, &call->node);
    /* Fails only when the counter is full: then it is awake. */
    ssize_t written = write(box->wake_fd, &one, sizeof one);
    (void)written;
  }
  pthread_mutex_unlock(&box->mutex);
  if (!open) call_free(call);
}

/* --- Taking --------------------------------------------------------------- */

static void take(struct wwri_call *call) {
  struct wwri_ask *ask = call->ask;
  if (ask) {
    ask->call = NULL;
    call->then(ask, call);
    if (ask->answered && ask->suspended) wwri_http_resume(ask);
  }
  call_free(call);
}

void wwri_postbox_take(struct wwri_postbox *box) {
  struct wwri_list arrived, *node;
  wwri_list_init(&arrived);
  pthread_mutex_lock(&box->mutex);
  wwri_list_splice(&arrived, &box->arrived);
  pthread_mutex_unlock(&box->mutex);
  while ((node = wwri_list_pop(&arrived)) != NULL) {
    take(WWRI_CONTAINER(node, struct wwri_call, node));
  }
}

void wwri_postbox_close(struct wwri_postbox *box) {
  struct wwri_list arrived, *node;
  if (!box) return;
  wwri_list_init(&arrived);
  pthread_mutex_lock(&box->mutex);
  box->wake_fd = -1;
  wwri_list_splice(&arrived, &box->arrived);
  pthread_mutex_unlock(&box->mutex);
  while ((node = wwri_list_pop(&arrived)) != NULL) {
    call_free(WWRI_CONTAINER(node, struct wwri_call, node));
  }
  box_unref(box);
}

/* The hub where dialers find the server, and the waiting that both share. */
#include <stdlib.h>

#include "mem.h"

/* Owner */

wwr_err wwri_mem_owner_init(struct wwri_mem_owner *owner) {
  owner->users = 0;
  if (pthread_mutex_init(&owner->lock, NULL)) return WWR_E_NOMEM;
  if (pthread_cond_init(&owner->idle, NULL)) {
    pthread_mutex_destroy(&owner->lock);
    return WWR_E_NOMEM;
  }
  return WWR_OK;
}

void wwri_mem_owner_deinit(struct wwri_mem_owner *owner) {
  pthread_cond_destroy(&owner->idle);
  pthread_mutex_destroy(&owner->lock);
}

void wwri_mem_owner_hold(struct wwri_mem_owner *owner) {
  pthread_mutex_lock(&owner->lock);
  owner->users++;
  pthread_mutex_unlock(&owner->lock);
}

void wwri_mem_owner_drop(struct wwri_mem_owner *owner) {
  pthread_mutex_lock(&owner->lock);
  if (--owner->users == 0) pthread_cond_broadcast(&owner->idle);
  pthread_mutex_unlock(&owner->lock);
}

void wwri_mem_owner_wait(struct wwri_mem_owner *owner) {
  pthread_mutex_lock(&owner->lock);
  while (owner->users > 0) pthread_cond_wait(&owner->idle, &owner->lock);
  pthread_mutex_unlock(&owner->lock);
}

/* Hub */

wwr_err wwr_memory_hub_new(struct wwr_memory_hub **out) {
  *out = NULL;
  struct wwr_memory_hub *hub = calloc(1, sizeof(*hub));
  if (!hub) return WWR_E_NOMEM;
  if (pthread_mutex_init(&hub->lock, NULL)) {
    free(hub);
    return WWR_E_NOMEM;
  }
  atomic_init(&hub->refs, 1);
  *out = hub;
  return WWR_OK;
}

struct wwr_memory_hub *wwri_mem_hub_ref(struct wwr_memory_hub *hub) {
  atomic_fetch_add(&hub->refs, 1);
  return hub;
}

void wwr_memory_hub_free(struct wwr_memory_hub *hub) {
  if (!hub || atomic_fetch_sub(&hub->refs, 1) > 1) return;
  pthread_mutex_destroy(&hub->lock);
  free(hub);
}

bool wwri_mem_hub_dial(struct wwr_memory_hub *hub, struct wwri_mem_pair *pair,
                       void (*answered)(struct wwri_mail *mail)) {
  struct wwri_loop *loop = NULL;
  pair->answered = answered;
  pair->mail.fn = wwri_mem_server_on_dial;
  pthread_mutex_lock(&hub->lock);
  if (hub->server) loop = wwri_mem_server_admit(hub->server, pair);
  pthread_mutex_unlock(&hub->lock);
  /* The dial is counted, so the server's loop outlives this. */
  if (loop) wwri_loop_post(loop, &pair->mail);
  return loop != NULL;
}

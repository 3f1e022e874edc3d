/* session.c - the session that the client has, and the one it wants back.
 *
 * `locked.session` is what the application sees: the session of the connection,
 * or of the last one while there is none. `kept` is restored at every connect;
 * both are the same unless a restore failed for another reason than "not
 * found": then the connection has no session, and the next one tries again. */
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "session.h"

bool wwri_client_session_active(const struct wwr_client *client) {
  return client->locked.session != NULL; /* only this thread changes it */
}

/* Takes over both references; tells nobody. */
static void set_session(struct wwr_client *client, struct wwr_session *shown,
                        struct wwr_session *kept) {
  struct wwr_session *old_kept = client->kept;
  client->kept = kept;
  pthread_mutex_lock(&client->locked.mutex);
  struct wwr_session *old_shown = client->locked.session;
  client->locked.session = shown;
  pthread_mutex_unlock(&client->locked.mutex);
  wwr_session_unref(old_kept);
  wwr_session_unref(old_shown);
}

struct wwr_session *wwr_client_session(const struct wwr_client *client) {
  struct wwr_client *self = (struct wwr_client *)client;
  pthread_mutex_lock(&self->locked.mutex);
  struct wwr_session *session = self->locked.session;
  if (session) wwr_session_ref(session);
  pthread_mutex_unlock(&self->locked.mutex);
  return session;
}

static wwr_err parse(struct wwr_view json, struct wwr_session **out) {
  wwr_err err = wwri_session_decode(json, (struct wwr_view){NULL, 0}, out);
  return err == WWR_E_INVALID ? WWR_E_PROTOCOL : err;
}

static void adopt(struct wwr_client *client, struct wwr_session *session) {
  set_session(client, session, wwr_session_ref(session));
}

static void tell_created(struct wwr_client *client) {
  if (!client->opts.hooks.on_session_created) return;
  client->opts.hooks.on_session_created(client->kept, client->opts.user_data);
}

wwr_err wwri_client_session_take(struct wwr_client *client,
                                 struct wwr_view json) {
  struct wwr_session *session;
  wwr_err err = parse(json, &session);
  if (err != WWR_OK) return err;
  adopt(client, session);
  tell_created(client);
  return WWR_OK;
}

void wwri_client_session_forget(struct wwr_client *client) {
  bool had = client->kept != NULL;
  set_session(client, NULL, NULL);
  if (had && client->opts.hooks.on_session_closed) {
    client->opts.hooks.on_session_closed(client->opts.user_data);
  }
}

/* On connect */

static wwr_err ask_for_kept(struct wwr_client *client) {
  uint64_t id = atomic_fetch_add(&client->next_id, 1);
  struct wwri_msg msg = {.type = WWRI_REQUEST_RESTORE_SESSION,
                         .id = wwri_client_wire_id(id)};
  struct wwri_frame *frame;
  msg.name = wwr_view_str(wwr_session_key(client->kept));
  wwr_err err = wwri_encode_frame(&msg, SIZE_MAX, &frame);
  if (err != WWR_OK) return err;
  err = wwri_client_link_send(client, frame);
  wwri_frame_unref(frame);
  if (err == WWR_OK) client->link.restore_id = id;
  return err;
}

wwr_err wwri_client_restore_begin(struct wwr_client *client) {
  client->link.restore_id = 0;
  if (!client->kept) {
    wwri_client_link_up(client);
    return WWR_OK;
  }
  wwr_err err = ask_for_kept(client);
  if (err != WWR_E_BUFFER_OVERFLOW) return err;
  /* This server can't even be asked: a failed restore like others. */
  struct wwr_reply reply = {.err = err};
  return wwri_client_restore_end(client, &reply);
}

wwr_err wwri_client_restore_end(struct wwr_client *client,
                                const struct wwr_reply *reply) {
  struct wwr_session *session = NULL;
  client->link.restore_id = 0;
  if (reply->err == WWR_OK) {
    wwr_err err = parse(reply->payload.data, &session);
    if (err != WWR_OK) return err;
  }
  wwri_client_link_up(client);
  if (session) {
    adopt(client, session);
    tell_created(client);
  } else if (reply->err == WWR_E_SESSION_NOT_FOUND) {
    wwri_client_session_forget(client);
  } else {
    struct wwr_session *kept = client->kept;
    wwri_log(&client->opts.log, WWR_LOG_WARN, 0, "session not restored",
             "reason", wwr_err_name(reply->err), NULL);
    if (kept) wwr_session_ref(kept);
    set_session(client, NULL, kept);
  }
  return WWR_OK;
}

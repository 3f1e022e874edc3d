#include "transport.h"

void wwr_transport_free(struct wwr_transport *transport) {
  if (transport) transport->ops->free(transport);
}

void wwr_dialer_free(struct wwr_dialer *dialer) {
  if (dialer) dialer->ops->free(dialer);
}

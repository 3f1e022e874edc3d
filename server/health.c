/* Apart from the channels, so that who only wants the names links no more. */
#include "wwr_channel.h"

const char *wwr_health_name(enum wwr_health health) {
  switch (health) {
    case WWR_HEALTH_READY:
      return "ready";
    case WWR_HEALTH_HOLDING:
      return "holding";
    case WWR_HEALTH_UNREADY:
      return "unready";
    case WWR_HEALTH_REFUSED:
      return "refused";
  }
  return "unknown";
}

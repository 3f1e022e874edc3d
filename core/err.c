#include "wwr_err.h"

const char *wwr_err_name(wwr_err err) {
  switch (err) {
    case WWR_OK:
      return "ok";
#define X(NAME, value, name, text) \
  case WWR_E_##NAME:               \
    return name;
      WWR_ERR_MAP(X)
#undef X
  }
  return "unknown";
}

const char *wwr_err_text(wwr_err err) {
  switch (err) {
    case WWR_OK:
      return "success";
#define X(NAME, value, name, text) \
  case WWR_E_##NAME:               \
    return text;
      WWR_ERR_MAP(X)
#undef X
  }
  return "unknown error";
}

bool wwr_err_is_timeout(wwr_err err) {
  return err == WWR_E_TIMEOUT || err == WWR_E_DEADLINE ||
         err == WWR_E_DIAL_TIMEOUT;
}

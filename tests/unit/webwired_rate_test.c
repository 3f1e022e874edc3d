/* Token buckets, and addresses with their limits. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "addresses.h"
#include "network.h"
#include "rate.h"
#include "test.h"

enum { SECOND = 1000000 };

/* --- Buckets -------------------------------------------------------------- */

static unsigned take_many(struct rate *rate, const struct rate_limit *limit,
                          uint64_t now_us) {
  unsigned taken = 0;
  while (taken < 1000 && rate_take(rate, limit, 1, now_us)) taken++;
  return taken;
}

static void burst_then_rate(void) {
  struct rate rate = {0};
  const struct rate_limit limit = {.per_second = 10, .burst = 25};
  uint64_t now = 5 * SECOND;
  CU_ASSERT_EQUAL(take_many(&rate, &limit, now), 25);
  CU_ASSERT_EQUAL(take_many(&rate, &limit, now + 99999), 0);
  CU_ASSERT_EQUAL(take_many(&rate, &limit, now + 100000), 1);
  CU_ASSERT_EQUAL(take_many(&rate, &limit, now + SECOND), 9);
  CU_ASSERT_FALSE(rate_full(&rate, &limit, now + 2 * SECOND));
  CU_ASSERT_TRUE(rate_full(&rate, &limit, now + 4 * SECOND));
  CU_ASSERT_EQUAL(take_many(&rate, &limit, now + 1000 * (uint64_t)SECOND), 25);
}

/* What is asked for in many small steps adds up to the rate, whatever the
 * steps are. */
static void steps_add_up(void) {
  static const uint64_t steps[] = {1, 7, 333, 99991, 1000003};
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    struct rate rate = {0};
    const struct rate_limit limit = {.per_second = 100, .burst = 200};
    uint64_t end = 10 * SECOND, taken = 0;
    if (steps[i] < 300) end = SECOND / 10;
    for (uint64_t now = 1; now <= end; now += steps[i])
      taken += take_many(&rate, &limit, now);
    uint64_t most = 200 + end / (SECOND / 100);
    CU_ASSERT_TRUE(taken <= most && taken + 101 >= most);
  }
}

static void costs(void) {
  struct rate rate = {0};
  const struct rate_limit limit = {.per_second = 1000, .burst = 5000};
  CU_ASSERT_TRUE(rate_take(&rate, &limit, 3000, SECOND));
  CU_ASSERT_FALSE(rate_take(&rate, &limit, 2001, SECOND));
  CU_ASSERT_TRUE(rate_take(&rate, &limit, 2000, SECOND));
  CU_ASSERT_FALSE(rate_take(&rate, &limit, UINT32_MAX, 5 * SECOND));
  CU_ASSERT_TRUE(rate_take(&rate, &limit, UINT32_MAX, 6 * SECOND));
  CU_ASSERT_FALSE(rate_take(&rate, &limit, 1, 6 * SECOND));
}

static void edges(void) {
  struct rate rate = {0};
  struct rate_limit limit = {.per_second = 0, .burst = 0};
  CU_ASSERT_EQUAL(take_many(&rate, &limit, 1), 1000);
  limit = (struct rate_limit){.per_second = UINT32_MAX, .burst = UINT32_MAX};
  CU_ASSERT_TRUE(rate_take(&rate, &limit, UINT32_MAX, SECOND));
  CU_ASSERT_FALSE(rate_take(&rate, &limit, UINT32_MAX, SECOND));
  CU_ASSERT_TRUE(rate_take(&rate, &limit, UINT32_MAX, UINT64_MAX));
  CU_ASSERT_FALSE(rate_take(&rate, &limit, 1, 0)); /* time went back */
  limit = (struct rate_limit){.per_second = 1, .burst = 2};
  CU_ASSERT_FALSE(rate_take(&rate, &limit, 1, UINT64_MAX)); /* was lowered */
}

/* --- Networks ------------------------------------------------------------- */

static void networks(void) {
  static const struct {
    const char *network, *address;
    int inside; /* -1: no network, -2: no address */
  } cases[] = {
      {"10.0.0.0/8", "10.255.0.1", 1},
      {"10.0.0.0/8", "11.0.0.1", 0},
      {"10.0.0.0/8", "10.0.0.1:5000", 1},
      {"192.0.2.128/25", "192.0.2.127", 0},
      {"192.0.2.128/25", "192.0.2.128", 1},
      {"192.0.2.7", "192.0.2.7", 1},
      {"192.0.2.7", "192.0.2.6", 0},
      {"0.0.0.0/0", "1.2.3.4", 1},
      {"0.0.0.0/0", "2001:db8::1", 0},
      {"::/0", "1.2.3.4", 1},
      {"fd00::/8", "[fdff::1]:80", 1},
      {"fd00::/8", "fe80::1", 0},
      {"2001:db8::/127", "2001:db8::1", 1},
      {"2001:db8::/127", "2001:db8::2", 0},
      {"2001:db8::1", "[2001:db8::1]", 1},
      {"::ffff:10.0.0.0/104", "10.1.1.1", 1},
      {"10.0.0.0/33", "", -1},
      {"fd00::/129", "", -1},
      {"10.0.0.0/", "", -1},
      {"10.0.0.0/8x", "", -1},
      {"10.0.0/8", "", -1},
      {"", "", -1},
      {"all", "", -1},
      {"::/0", "", -2},
      {"::/0", "1.2.3.4:", -2},
      {"::/0", "1.2.3.4:x", -2},
      {"::/0", "[::1", -2},
      {"::/0", "[::1]x", -2},
      {"::/0", "[::1]:", -2},
      {"::/0", "unknown", -2},
      {"::/0", "1.2.3.4.5", -2},
      {"::/0",
       "111111111111111111111111111111111111111111111111111111111111111", -2},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct network network;
    struct network_address address;
    char reason[ADDRESSES_REASON_MAX];
    const char *text = cases[i].address;
    bool ok = network_parse(&network, cases[i].network);
    CU_ASSERT_EQUAL(ok, cases[i].inside != -1);
    CU_ASSERT_EQUAL(address_network_check(cases[i].network, reason), ok);
    if (!ok) continue;
    ok = network_parse_address(&address, text, strlen(text));
    CU_ASSERT_EQUAL(ok, cases[i].inside != -2);
    if (ok)
      CU_ASSERT_EQUAL(network_contains(&network, &address),
                      cases[i].inside == 1);
  }
}

/* --- Addresses ------------------------------------------------------------ */

static struct addresses *make(const struct address_limits *limits) {
  struct addresses *addresses = addresses_new(limits);
  CU_ASSERT_PTR_NOT_NULL_FATAL(addresses);
  return addresses;
}

static void connections_of_an_address(void) {
  struct addresses *addresses =
      make(&(struct address_limits){.connections = 2});
  struct address_entry *a, *b, *c;
  CU_ASSERT_EQUAL(addresses_enter(addresses, "192.0.2.1:1", NULL, 1, &a),
                  ADDRESS_OK);
  CU_ASSERT_EQUAL(addresses_enter(addresses, "192.0.2.1:2", NULL, 1, &b),
                  ADDRESS_OK);
  CU_ASSERT_EQUAL(addresses_enter(addresses, "192.0.2.1:3", NULL, 1, &c),
                  ADDRESS_TOO_MANY);
  CU_ASSERT_PTR_NULL(c);
  CU_ASSERT_EQUAL(addresses_enter(addresses, "192.0.2.2:3", NULL, 1, &c),
                  ADDRESS_OK);
  addresses_leave(addresses, c);
  addresses_leave(addresses, b);
  CU_ASSERT_EQUAL(addresses_enter(addresses, "192.0.2.1:3", NULL, 1, &b),
                  ADDRESS_OK);
  addresses_leave(addresses, a);
  addresses_leave(addresses, b);
  addresses_leave(addresses, NULL);
  addresses_free(addresses);
  addresses_free(NULL);
}

static bool gets_in(struct addresses *addresses, const char *remote,
                    const char *forwarded, uint64_t now_us) {
  struct address_entry *claim;
  bool in = addresses_enter(addresses, remote, forwarded, now_us, &claim) ==
            ADDRESS_OK;
  addresses_leave(addresses, claim);
  return in;
}

static void connects_of_an_address(void) {
  struct addresses *addresses =
      make(&(struct address_limits){.connects = {.per_second = 1, .burst = 2}});
  CU_ASSERT_TRUE(gets_in(addresses, "192.0.2.1:1", NULL, SECOND));
  CU_ASSERT_TRUE(gets_in(addresses, "192.0.2.1:2", NULL, SECOND));
  CU_ASSERT_FALSE(gets_in(addresses, "192.0.2.1:3", NULL, SECOND));
  CU_ASSERT_TRUE(gets_in(addresses, "192.0.2.2:3", NULL, SECOND));
  CU_ASSERT_TRUE(gets_in(addresses, "192.0.2.1:4", NULL, 2 * SECOND));
  CU_ASSERT_FALSE(gets_in(addresses, "192.0.2.1:5", NULL, 2 * SECOND));
  CU_ASSERT_TRUE(gets_in(addresses, "not an address", NULL, 2 * SECOND));
  CU_ASSERT_TRUE(gets_in(addresses, NULL, NULL, 2 * SECOND));
  struct address_limits none = {0};
  CU_ASSERT_TRUE(addresses_set(addresses, &none));
  CU_ASSERT_TRUE(gets_in(addresses, "192.0.2.1:5", NULL, 2 * SECOND));
  addresses_free(addresses);
}

/* IPv6: half an address is one subscriber. */
static void half_an_address(void) {
  struct addresses *addresses =
      make(&(struct address_limits){.connects = {.per_second = 1, .burst = 1}});
  CU_ASSERT_TRUE(gets_in(addresses, "[2001:db8::1]:1", NULL, SECOND));
  CU_ASSERT_FALSE(gets_in(addresses, "[2001:db8::2:3]:1", NULL, SECOND));
  CU_ASSERT_TRUE(gets_in(addresses, "[2001:db8:0:1::1]:1", NULL, SECOND));
  addresses_free(addresses);
}

/* Who is limited, behind which proxies. */
static void forwarded(void) {
  static const char *const proxies[] = {"10.0.0.0/8", "fd00::/8"};
  static const struct {
    const char *remote, *forwarded, *is;
  } cases[] = {
      {"10.0.0.1:1", "192.0.2.9", "192.0.2.9"},
      {"10.0.0.1:1", "  192.0.2.9  ", "192.0.2.9"},
      {"10.0.0.1:1", "1.1.1.1, 192.0.2.9", "192.0.2.9"},
      {"10.0.0.1:1", "1.1.1.1,192.0.2.9,10.9.9.9", "192.0.2.9"},
      {"[fd00::5]:1", "192.0.2.9,10.9.9.9:80", "192.0.2.9"},
      {"10.0.0.1:1", "10.0.0.7", "10.0.0.7"},
      {"10.0.0.1:1", "1.1.1.1,invented", "10.0.0.1"},
      {"10.0.0.1:1", "", "10.0.0.1"},
      {"10.0.0.1:1", ",,", "10.0.0.1"},
      {"10.0.0.1:1", NULL, "10.0.0.1"},
      {"192.0.2.1:1", "1.1.1.1", "192.0.2.1"}, /* not trusted */
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct addresses *addresses =
        make(&(struct address_limits){.connects = {.per_second = 1, .burst = 1},
                                      .proxies = proxies,
                                      .proxy_count = 2});
    CU_ASSERT_TRUE(
        gets_in(addresses, cases[i].remote, cases[i].forwarded, SECOND));
    CU_ASSERT_FALSE(gets_in(addresses, cases[i].is, NULL, SECOND));
    addresses_free(addresses);
  }
}

/* More addresses than there is room for: known ones stay limited as long as
 * they have connections, and strangers get in. */
static void many_addresses(void) {
  struct addresses *addresses = make(&(struct address_limits){
      .connections = 1, .connects = {.per_second = 1, .burst = 5}});
  struct address_entry *held, *claim;
  char remote[32];
  CU_ASSERT_EQUAL(addresses_enter(addresses, "192.0.2.1:1", NULL, 1, &held),
                  ADDRESS_OK);
  unsigned refused = 0;
  for (unsigned i = 0; i < 300000; i++) {
    snprintf(remote, sizeof remote, "11.%u.%u.%u", i >> 16, i >> 8 & 255,
             i & 255);
    refused += !gets_in(addresses, remote, NULL, SECOND);
  }
  CU_ASSERT_EQUAL(refused, 0);
  CU_ASSERT_EQUAL(
      addresses_enter(addresses, "192.0.2.1:1", NULL, SECOND, &claim),
      ADDRESS_TOO_MANY);
  addresses_leave(addresses, held);
  addresses_free(addresses);
}

static void bad_proxies(void) {
  static const char *const proxies[] = {"10.0.0.0/8", "nowhere"};
  struct address_limits limits = {.proxies = proxies, .proxy_count = 2};
  CU_ASSERT_PTR_NULL(addresses_new(&limits));
}

static void *enter_and_leave(void *arg) {
  struct addresses *addresses = arg;
  for (int i = 0; i < 2000; i++) gets_in(addresses, "192.0.2.1:1", NULL, 1);
  return NULL;
}

static void threads(void) {
  struct addresses *addresses =
      make(&(struct address_limits){.connections = 3});
  pthread_t others[4];
  for (int i = 0; i < 4; i++) {
    CU_ASSERT_EQUAL_FATAL(
        pthread_create(&others[i], NULL, enter_and_leave, addresses), 0);
  }
  for (int i = 0; i < 4; i++) pthread_join(others[i], NULL);
  for (int i = 0; i < 3; i++) {
    struct address_entry *claim;
    CU_ASSERT_EQUAL(addresses_enter(addresses, "192.0.2.1:1", NULL, 1, &claim),
                    ADDRESS_OK);
  }
  CU_ASSERT_FALSE(gets_in(addresses, "192.0.2.1:1", NULL, 1));
  addresses_free(addresses);
}

int main(int argc, char **argv) {
  CU_TestInfo rates[] = {{"burst, then rate", burst_then_rate},
                         {"steps add up", steps_add_up},
                         {"costs", costs},
                         {"edges", edges},
                         CU_TEST_INFO_NULL};
  CU_TestInfo all[] = {{"networks", networks},
                       {"connections of an address", connections_of_an_address},
                       {"connects of an address", connects_of_an_address},
                       {"half an address", half_an_address},
                       {"forwarded", forwarded},
                       {"many addresses", many_addresses},
                       {"bad proxies", bad_proxies},
                       {"threads", threads},
                       CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"rates", NULL, NULL, NULL, NULL, rates},
                           {"addresses", NULL, NULL, NULL, NULL, all},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}

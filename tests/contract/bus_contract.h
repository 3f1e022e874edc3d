/* bus_contract.h - the cases that every bus has to pass, by theme. */
#ifndef BUS_CONTRACT_H
#define BUS_CONTRACT_H

#include "bus_fixture.h"

extern CU_TestInfo bus_messages_tests[];
extern CU_TestInfo bus_history_tests[];
extern CU_TestInfo bus_subs_tests[];
extern CU_TestInfo bus_nodes_tests[];
extern CU_TestInfo bus_limits_tests[];

#define BUS_SUITE(subject, theme, set_up)                      \
  {                                                            \
    subject "/" #theme, NULL, NULL, set_up, bus_fixture_close, \
        bus_##theme##_tests                                    \
  }

#define BUS_CONTRACT(subject, set_up)                                        \
  BUS_SUITE(subject, messages, set_up), BUS_SUITE(subject, history, set_up), \
      BUS_SUITE(subject, subs, set_up), BUS_SUITE(subject, nodes, set_up),   \
      BUS_SUITE(subject, limits, set_up)

#endif

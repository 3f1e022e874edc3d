/* transport_contract.h - the cases that every transport has to pass. */
#ifndef TRANSPORT_CONTRACT_H
#define TRANSPORT_CONTRACT_H

#include "transport_fixture.h"

extern CU_TestInfo transport_opening[];
extern CU_TestInfo transport_messages[];
extern CU_TestInfo transport_ending[];
extern CU_TestInfo transport_no_memory[]; /* makes its own fixtures */

#endif
